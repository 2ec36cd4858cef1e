package main

import (
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// rule is an ACL, or a filter for ACLs; nil stands for none of it.
type rule struct {
	kind      kmsg.ACLResourceType
	name      *string
	pattern   kmsg.ACLResourcePatternType
	principal *string
	host      *string
	operation kmsg.ACLOperation
	verdict   kmsg.ACLPermissionType
}

// allows lets alice do something to resources of a name.
func allows(kind kmsg.ACLResourceType, name string, operation kmsg.ACLOperation) rule {
	return rule{kind, &name, kmsg.ACLResourcePatternTypeLiteral, new("User:alice"), new("*"), operation, kmsg.ACLPermissionTypeAllow}
}

func (r rule) denied() rule {
	r.verdict = kmsg.ACLPermissionTypeDeny
	return r
}

func (r rule) prefixed() rule {
	r.pattern = kmsg.ACLResourcePatternTypePrefixed
	return r
}

func (r rule) to(principal, host string) rule {
	r.principal, r.host = &principal, &host
	return r
}

func (r rule) String() string {
	text := func(s *string) string {
		if s == nil {
			return "any"
		}
		return fmt.Sprintf("%q", *s)
	}
	return fmt.Sprintf("kind %d %s pattern %d %s from %s operation %d verdict %d", r.kind, text(r.name), r.pattern, text(r.principal), text(r.host), r.operation, r.verdict)
}

// every is the filter that finds all rules.
var every = rule{kind: kmsg.ACLResourceTypeAny, pattern: kmsg.ACLResourcePatternTypeAny, operation: kmsg.ACLOperationAny, verdict: kmsg.ACLPermissionTypeAny}

func newRules(rules ...rule) *kmsg.CreateACLsRequest {
	req := kmsg.NewPtrCreateACLsRequest()
	for _, r := range rules {
		c := kmsg.NewCreateACLsRequestCreation()
		c.ResourceType, c.ResourceName, c.ResourcePatternType = r.kind, *r.name, r.pattern
		c.Principal, c.Host, c.Operation, c.PermissionType = *r.principal, *r.host, r.operation, r.verdict
		req.Creations = append(req.Creations, c)
	}
	return req
}

func rulesLike(f rule) *kmsg.DescribeACLsRequest {
	req := kmsg.NewPtrDescribeACLsRequest()
	req.ResourceType, req.ResourceName, req.ResourcePatternType = f.kind, f.name, f.pattern
	req.Principal, req.Host, req.Operation, req.PermissionType = f.principal, f.host, f.operation, f.verdict
	return req
}

func noRules(filters ...rule) *kmsg.DeleteACLsRequest {
	req := kmsg.NewPtrDeleteACLsRequest()
	for _, f := range filters {
		d := kmsg.NewDeleteACLsRequestFilter()
		d.ResourceType, d.ResourceName, d.ResourcePatternType = f.kind, f.name, f.pattern
		d.Principal, d.Host, d.Operation, d.PermissionType = f.principal, f.host, f.operation, f.verdict
		req.Filters = append(req.Filters, d)
	}
	return req
}

// ruleKey addresses rules in answers, and what they are about, by all that they say: they come in any order.
func (w *walker) ruleKey(v any) (string, bool) {
	switch v := v.(type) {
	case kmsg.DescribeACLsResponseResource:
		return fmt.Sprintf("%d %s %d", v.ResourceType, w.resource(v.ResourceName), v.ResourcePatternType), true
	case kmsg.DescribeACLsResponseResourceACL:
		return fmt.Sprintf("%q %q %d %d", v.Principal, v.Host, v.Operation, v.PermissionType), true
	case kmsg.DeleteACLsResponseResultMatchingACL:
		return fmt.Sprintf("%d %s %d %q %q %d %d", v.ResourceType, w.resource(v.ResourceName), v.ResourcePatternType, v.Principal, v.Host, v.Operation, v.PermissionType), true
	}
	return "", false
}

// resource is the name of what a rule is about, or the symbol of the token that it is about.
func (w *walker) resource(name string) string {
	if token, ok := w.side.symbols["token "+name]; ok {
		return token
	}
	return strconv.Quote(name)
}

// rules makes, finds and deletes rules, and such as cannot be.
func rules(p *pair) error {
	sound := allows(kmsg.ACLResourceTypeTopic, "t", kmsg.ACLOperationRead)
	made := []rule{sound, sound.denied(), sound.prefixed(), sound.to("User:*", "127.0.0.1")}
	for kind := range kmsg.ACLResourceType(9) {
		for operation := range kmsg.ACLOperation(17) {
			made = append(made, allows(kind, "t", operation))
		}
	}
	made = append(made, allows(kmsg.ACLResourceTypeCluster, "kafka-cluster", kmsg.ACLOperationAll), allows(kmsg.ACLResourceTypeCluster, "kafka-cluster", kmsg.ACLOperationAlter))
	made = append(made, allows(kmsg.ACLResourceTypeUser, "User:bob", kmsg.ACLOperationAll))
	for _, name := range []string{"", "*", "t*", "a b", "kafka"} {
		made = append(made, allows(kmsg.ACLResourceTypeTopic, name, kmsg.ACLOperationRead), allows(kmsg.ACLResourceTypeGroup, name, kmsg.ACLOperationRead).prefixed())
	}
	for _, who := range [][2]string{{"Group:x", "*"}, {"alice", "*"}, {"User:CN=a,O=b", "*"}, {"User:a", "10.0.0.1"}, {"User:a", "localhost"}, {"User:a", "::1"}, {"User:a:b", "*"}} {
		made = append(made, sound.to(who[0], who[1]))
	}
	for pattern := range kmsg.ACLResourcePatternType(6) {
		r := sound
		r.pattern = pattern
		made = append(made, r)
	}
	for verdict := range kmsg.ACLPermissionType(5) {
		r := sound
		r.verdict = verdict
		made = append(made, r)
	}
	for _, r := range made {
		p.newestOf("made, "+r.String(), same(func() kmsg.Request { return newRules(r) }))
	}
	p.each("made again", func(*side, int16) kmsg.Request { return newRules(made[0], made[1], made[0]) })
	p.settled("all", same(func() kmsg.Request { return rulesLike(every) }))
	filters := p.findRules(sound)
	for _, f := range filters[:len(filters)-1] {
		p.newestOf("deleted, "+f.String(), same(func() kmsg.Request { return noRules(f) }))
		p.settled("left", same(func() kmsg.Request { return rulesLike(every) }))
		p.newestOf("made anew", same(func() kmsg.Request { return newRules(made[:4]...) }))
		p.settled("anew", same(func() kmsg.Request { return rulesLike(every) }))
	}
	p.each("deleted, nothing like it", func(*side, int16) kmsg.Request {
		return noRules(sound.to("User:nobody", "*"), sound.prefixed().to("User:x", "*"))
	})
	p.newestOf("deleted, all", same(func() kmsg.Request { return noRules(every) }))
	p.settled("in the end", same(func() kmsg.Request { return rulesLike(every) }))
	return nil
}

// findRules looks for rules in many ways and returns these.
func (p *pair) findRules(like rule) []rule {
	var filters []rule
	for _, name := range []*string{nil, new("t"), new("tt"), new("*"), new("")} {
		for pattern := kmsg.ACLResourcePatternTypeAny; pattern <= kmsg.ACLResourcePatternTypePrefixed; pattern++ {
			f := every
			f.kind, f.name, f.pattern = kmsg.ACLResourceTypeTopic, name, pattern
			filters = append(filters, f)
		}
	}
	for _, change := range []func(*rule){
		func(f *rule) { f.principal = like.principal },
		func(f *rule) { f.principal = new("User:*") },
		func(f *rule) { f.host = like.host },
		func(f *rule) { f.host = new("127.0.0.1") },
		func(f *rule) { f.operation = kmsg.ACLOperationRead },
		func(f *rule) { f.operation = kmsg.ACLOperationAll },
		func(f *rule) { f.verdict = kmsg.ACLPermissionTypeDeny },
		func(f *rule) { f.kind, f.name = kmsg.ACLResourceTypeCluster, new("kafka-cluster") },
		func(f *rule) { f.kind = kmsg.ACLResourceTypeUser },
		func(*rule) {},
	} {
		f := every
		change(&f)
		filters = append(filters, f)
	}
	for _, f := range filters {
		p.each("found, "+f.String(), func(*side, int16) kmsg.Request { return rulesLike(f) })
	}
	return filters
}
