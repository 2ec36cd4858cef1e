package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// part is one part of whom a quota is for; nil is the default.
type part struct {
	kind string
	name *string
}

func (p part) String() string {
	if p.name == nil {
		return p.kind + " by default"
	}
	return fmt.Sprintf("%s %q", p.kind, *p.name)
}

// quotas sets quotas for whom there can be some and for whom not, finds them in many ways, and removes them.
func quotas(p *pair) error {
	user, client, ip := part{"user", new("u")}, part{"client-id", new("c")}, part{"ip", new("10.0.0.1")}
	anyUser, anyClient, anyIP := part{"user", nil}, part{"client-id", nil}, part{"ip", nil}
	whom := [][]part{
		{user},
		{client},
		{ip},
		{anyUser},
		{anyClient},
		{anyIP},
		{user, client},
		{user, anyClient},
		{anyUser, client},
		{anyUser, anyClient},
		{},
		{user, ip},
		{user, client, ip},
		{{"group", new("g")}},
		{{"user", new("")}},
		{{"ip", new("not an address")}},
		{{"ip", new("::1")}},
		{{"user", new("CN=a,O=b c")}},
	}
	keys := []string{"producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate", "connection_creation_rate", "no_such_rate", ""}
	for _, w := range whom {
		for _, key := range keys {
			for _, value := range []float64{1e6, 100000.5} {
				p.newestOf(fmt.Sprintf("%v: %s=%v", w, key, value), same(func() kmsg.Request { return newQuota(w, key, value, false) }))
			}
		}
	}
	for _, key := range keys[:5] {
		for _, value := range []float64{math.Inf(1), math.NaN(), 1e300, 0, -1, 1e6} {
			w := []part{user}
			if key == "connection_creation_rate" {
				w = []part{ip}
			}
			p.newestOf(fmt.Sprintf("%v: %s=%v", w, key, value), same(func() kmsg.Request { return newQuota(w, key, value, false) }))
		}
	}
	p.each("only looked at", func(*side, int16) kmsg.Request {
		req := newQuota([]part{{"user", new("nobody")}}, "producer_byte_rate", 1, false)
		req.ValidateOnly = true
		return req
	})
	p.findQuotas()
	for _, w := range whom {
		for _, key := range keys {
			p.newestOf(fmt.Sprintf("%v: %s removed", w, key), same(func() kmsg.Request { return newQuota(w, key, 0, true) }))
		}
	}
	p.settled("in the end", same(func() kmsg.Request { return kmsg.NewPtrDescribeClientQuotasRequest() }))
	return nil
}

func newQuota(whom []part, key string, value float64, remove bool) *kmsg.AlterClientQuotasRequest {
	req := kmsg.NewPtrAlterClientQuotasRequest()
	e := kmsg.NewAlterClientQuotasRequestEntry()
	for _, w := range whom {
		e.Entity = append(e.Entity, kmsg.AlterClientQuotasRequestEntryEntity{Type: w.kind, Name: w.name})
	}
	e.Ops = []kmsg.AlterClientQuotasRequestEntryOp{{Key: key, Value: value, Remove: remove}}
	req.Entries = append(req.Entries, e)
	return req
}

// findQuotas asks for quotas by the kinds and names of whom they are for: 0 exactly, 1 the default, 2 any.
func (p *pair) findQuotas() {
	type component struct {
		kind string
		how  kmsg.QuotasMatchType
		name *string
	}
	sets := [][]component{{}}
	for _, kind := range []string{"user", "client-id", "ip"} {
		for how := range kmsg.QuotasMatchType(4) {
			c := component{kind: kind, how: how}
			if how == 0 {
				c.name = new(map[string]string{"user": "u", "client-id": "c", "ip": "10.0.0.1"}[kind])
			}
			sets = append(sets, []component{c})
		}
	}
	sets = append(sets,
		[]component{{"user", 0, new("u")}, {"client-id", 2, nil}}, []component{{"user", 2, nil}, {"client-id", 1, nil}}, []component{{"user", 2, nil}, {"ip", 2, nil}},
		[]component{{"user", 2, nil}, {"user", 2, nil}}, []component{{"group", 2, nil}}, []component{{"", 2, nil}}, []component{{"user", 0, nil}}, []component{{"user", 1, new("u")}},
		[]component{{"user", 2, new("u")}}, []component{{"user", 0, new("nobody")}},
	)
	for _, strict := range []bool{false, true} {
		for _, set := range sets {
			build := func() kmsg.Request {
				req := kmsg.NewPtrDescribeClientQuotasRequest()
				req.Strict = strict
				for _, c := range set {
					req.Components = append(req.Components, kmsg.DescribeClientQuotasRequestComponent{EntityType: c.kind, MatchType: c.how, Match: c.name})
				}
				return req
			}
			step := "found, strictly " + fmt.Sprint(strict)
			for _, c := range set {
				step += fmt.Sprintf(", %q how %d %v", c.kind, c.how, c.name != nil)
			}
			p.settled(step, same(build))
			p.each(step, func(*side, int16) kmsg.Request { return build() })
		}
	}
}

// quotaKey addresses quotas in answers by whom they are for, their values by their keys, and credentials by their mechanisms: they come in any order.
func quotaKey(v any) (string, bool) {
	var parts []string
	add := func(kind string, name *string) { parts = append(parts, part{kind, name}.String()) }
	switch v := v.(type) {
	case kmsg.DescribeClientQuotasResponseEntry:
		for _, e := range v.Entity {
			add(e.Type, e.Name)
		}
	case kmsg.AlterClientQuotasResponseEntry:
		for _, e := range v.Entity {
			add(e.Type, e.Name)
		}
	case kmsg.DescribeClientQuotasResponseEntryEntity:
		return v.Type, true
	case kmsg.AlterClientQuotasResponseEntryEntity:
		return v.Type, true
	case kmsg.DescribeClientQuotasResponseEntryValue:
		return v.Key, true
	case kmsg.DescribeUserSCRAMCredentialsResponseResultCredentialInfo:
		return fmt.Sprint("mechanism ", v.Mechanism), true
	default:
		return "", false
	}
	slices.SortFunc(parts, cmp.Compare[string])
	return strings.Join(parts, " "), true
}

// credentials makes and removes credentials of SCRAM, and such as cannot be.
func credentials(p *pair) error {
	upsert := func(name string, mechanism int8, iterations int32) kmsg.AlterUserSCRAMCredentialsRequestUpsertion {
		return kmsg.AlterUserSCRAMCredentialsRequestUpsertion{Name: name, Mechanism: mechanism, Iterations: iterations, Salt: []byte("salt"), SaltedPassword: make([]byte, 32)}
	}
	remove := func(name string, mechanism int8) kmsg.AlterUserSCRAMCredentialsRequestDeletion {
		return kmsg.AlterUserSCRAMCredentialsRequestDeletion{Name: name, Mechanism: mechanism}
	}
	for _, row := range []struct {
		step      string
		upserts   []kmsg.AlterUserSCRAMCredentialsRequestUpsertion
		deletions []kmsg.AlterUserSCRAMCredentialsRequestDeletion
	}{
		{"sound", []kmsg.AlterUserSCRAMCredentialsRequestUpsertion{upsert("dora", 1, 4096), upsert("ed", 2, 16384)}, nil},
		{"of another mechanism", []kmsg.AlterUserSCRAMCredentialsRequestUpsertion{upsert("dora", 2, 8192)}, nil},
		{"changed", []kmsg.AlterUserSCRAMCredentialsRequestUpsertion{upsert("dora", 1, 5000)}, nil},
		{"few iterations", []kmsg.AlterUserSCRAMCredentialsRequestUpsertion{upsert("dora", 1, 4095)}, nil},
		{"many iterations", []kmsg.AlterUserSCRAMCredentialsRequestUpsertion{upsert("dora", 1, 16385)}, nil},
		{"no mechanism", []kmsg.AlterUserSCRAMCredentialsRequestUpsertion{upsert("dora", 0, 4096), upsert("fay", 3, 4096)}, nil},
		{"no name", []kmsg.AlterUserSCRAMCredentialsRequestUpsertion{upsert("", 1, 4096)}, []kmsg.AlterUserSCRAMCredentialsRequestDeletion{remove("", 2)}},
		{"twice", []kmsg.AlterUserSCRAMCredentialsRequestUpsertion{upsert("gus", 1, 4096), upsert("gus", 1, 4096)}, nil},
		{"made and removed", []kmsg.AlterUserSCRAMCredentialsRequestUpsertion{upsert("gus", 1, 4096)}, []kmsg.AlterUserSCRAMCredentialsRequestDeletion{remove("gus", 1)}},
		{"one of two is wrong", []kmsg.AlterUserSCRAMCredentialsRequestUpsertion{upsert("hal", 1, 4096), upsert("ivy", 2, 1)}, nil},
		{"removed, not there", nil, []kmsg.AlterUserSCRAMCredentialsRequestDeletion{remove("nobody", 1), remove("ed", 1)}},
		{"removed, no mechanism", nil, []kmsg.AlterUserSCRAMCredentialsRequestDeletion{remove("ed", 0), remove("dora", 9)}},
		{"removed twice", nil, []kmsg.AlterUserSCRAMCredentialsRequestDeletion{remove("ed", 2), remove("ed", 2)}},
		{"removed", nil, []kmsg.AlterUserSCRAMCredentialsRequestDeletion{remove("dora", 1)}},
	} {
		p.each(row.step, func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
			req.Upsertions, req.Deletions = row.upserts, row.deletions
			return req
		})
		for _, names := range [][]string{{"dora"}, {"ed", "gus", "hal", "ivy"}, {"nobody"}, {"dora", "dora"}, {""}} {
			p.settled(fmt.Sprintf("after %s, described %q", row.step, names), same(func() kmsg.Request {
				req := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
				for _, name := range names {
					req.Users = append(req.Users, kmsg.DescribeUserSCRAMCredentialsRequestUser{Name: name})
				}
				return req
			}))
		}
	}
	return nil
}
