package iam

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/govern/acl"
	"github.com/freshet/freshet/internal/watchfile"
)

const (
	cluster  = "arn:aws:kafka:us-east-1:111122223333:cluster/orders/1234abcd-12ab-34cd-56ef-1234567890ab-3"
	role     = "arn:aws:iam::111122223333:role/service/Example"
	session  = "arn:aws:sts::111122223333:assumed-role/Example/i-1"
	user     = "arn:aws:iam::111122223333:user/alice"
	stranger = "arn:aws:iam::444455556666:user/mallory"
)

// policy makes a document of statements for everyone who is named.
func policy(t *testing.T, statements ...string) *Policy {
	t.Helper()
	p, err := Parse(fmt.Appendf(nil, `{"Version": "2012-10-17", "Statement": [%s]}`, strings.Join(statements, ",")))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func say(effect, principal, action, resource string) string {
	return fmt.Sprintf(`{"Effect": %q, "Principal": {"AWS": %s}, "Action": %s, "Resource": %s}`, effect, principal, action, resource)
}

const (
	anybody    = `"*"`
	connecting = `{"Effect": "Allow", "Principal": "*", "Action": "kafka-cluster:Connect", "Resource": "*"}`
	anything   = `"*"`
)

func authorizer(t *testing.T, p *Policy, unknown bool) *Authorizer {
	t.Helper()
	a, err := NewAuthorizer(p, cluster, unknown)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestActions grants one action at a time, and sees that the operations it stands for are allowed and no other.
func TestActions(t *testing.T) {
	for kind := acl.Topic; kind <= acl.User; kind++ {
		for op := acl.Read; op <= acl.TwoPhaseCommit; op++ {
			for _, action := range actionNames {
				a := authorizer(t, policy(t, connecting, say("Allow", anybody, `"kafka-cluster:`+action+`"`, anything)), false)
				if got, want := a.Authorize(user, op, kind, "x"), actions[kind][op] == action; got != want {
					t.Errorf("%s: %s on %s: %t", action, op, kind, got)
				}
			}
		}
	}
}

func TestEvaluation(t *testing.T) {
	const (
		read   = `"kafka-cluster:ReadData"`
		topics = `"arn:aws:kafka:us-east-1:111122223333:topic/orders/*/eu-*"`
	)
	for _, row := range []struct {
		name       string
		statements []string
		topic      string
		want       bool
	}{
		{"nothing", nil, "eu-1", false},
		{"allowed", []string{connecting, say("Allow", anybody, read, topics)}, "eu-1", true},
		{"another topic", []string{connecting, say("Allow", anybody, read, topics)}, "us-1", false},
		{"without Connect", []string{say("Allow", anybody, read, topics)}, "eu-1", false},
		{"another cluster", []string{connecting, say("Allow", anybody, read, `"arn:aws:kafka:us-east-1:111122223333:topic/other/*"`)}, "eu-1", false},
		{"another region", []string{connecting, say("Allow", anybody, read, `"arn:aws:kafka:eu-west-1:111122223333:topic/orders/*"`)}, "eu-1", false},
		{"denied", []string{connecting, say("Allow", anybody, read, topics), say("Deny", anybody, `["kafka-cluster:Read*", "s3:*"]`, `["*"]`)}, "eu-1", false},
		{"denied first", []string{say("Deny", anybody, `"*"`, topics), connecting, say("Allow", anybody, read, topics)}, "eu-1", false},
		{"denied elsewhere", []string{connecting, say("Allow", anybody, read, topics), say("Deny", anybody, read, `"arn:aws:kafka:us-east-1:111122223333:topic/orders/*/eu-2"`)}, "eu-1", true},
		{"denied to somebody else", []string{connecting, say("Allow", anybody, read, topics), say("Deny", `"`+stranger+`"`, read, topics)}, "eu-1", true},
		{"in other letters", []string{connecting, say("Allow", anybody, `"KAFKA-CLUSTER:readdata"`, topics)}, "eu-1", true},
		{"a resource in other letters", []string{connecting, say("Allow", anybody, read, topics)}, "EU-1", false},
		{"by a mark", []string{connecting, say("Allow", anybody, `"kafka-cluster:Rea?Data"`, topics)}, "eu-1", true},
		{"all but", []string{`{"Effect": "Allow", "Principal": "*", "NotAction": "kafka-cluster:Write*", "NotResource": "arn:aws:kafka:*:*:topic/orders/*/us-*"}`}, "eu-1", true},
		{"but this", []string{`{"Effect": "Allow", "Principal": "*", "NotAction": "kafka-cluster:Read*", "Resource": "*"}`}, "eu-1", false},
		{"but here", []string{connecting, `{"Effect": "Allow", "Principal": "*", "Action": "*", "NotResource": "arn:aws:kafka:*:*:topic/orders/*/us-*"}`}, "us-1", false},
	} {
		if got := authorizer(t, policy(t, row.statements...), false).Authorize(user, acl.Read, acl.Topic, row.topic); got != row.want {
			t.Errorf("%s: %t", row.name, got)
		}
	}
}

func TestPrincipals(t *testing.T) {
	for _, row := range []struct {
		principal string
		who       []string
	}{
		{`"*"`, []string{role, session, user, stranger}},
		{`"` + role + `"`, []string{role, session}},
		{`"arn:aws:iam::111122223333:role/Example"`, []string{session}},
		{`"arn:aws:iam::444455556666:role/Example"`, nil},
		{`"` + session + `"`, []string{session}},
		{`"` + user + `"`, []string{user}},
		{`["` + user + `", "` + stranger + `"]`, []string{user, stranger}},
		{`"111122223333"`, []string{role, session, user}},
		{`"arn:aws:iam::444455556666:root"`, []string{stranger}},
	} {
		a := authorizer(t, policy(t, say("Allow", row.principal, `"kafka-cluster:*"`, anything)), false)
		for _, who := range []string{role, session, user, stranger, "arn:aws", "alice"} {
			if got, want := a.Authorize(who, acl.Read, acl.Topic, "t"), row.principal == `"*"` || contains(row.who, who); got != want {
				t.Errorf("%s: %s: %t", row.principal, who, got)
			}
		}
	}
}

func contains(all []string, s string) bool {
	for _, a := range all {
		if a == s {
			return true
		}
	}
	return false
}

func TestPrincipalsWithoutAPolicy(t *testing.T) {
	p := policy(t, say("Deny", `"`+user+`"`, `"*"`, anything))
	for _, unknown := range []bool{false, true} {
		a := authorizer(t, p, unknown)
		if got := a.Authorize(stranger, acl.Read, acl.Topic, "t"); got != unknown {
			t.Errorf("unknown %t: %t", unknown, got)
		}
		if a.Authorize(user, acl.Read, acl.Topic, "t") {
			t.Error("who has a policy is unknown")
		}
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	good := say("Allow", anybody, `"kafka-cluster:*"`, anything)
	for want, text := range map[string]string{
		"Version must be":        `{"Statement": []}`,
		"unknown field":          `{"Version": "2012-10-17", "Statement": [], "Statements": []}`,
		`unknown field "Effects`: `{"Version": "2012-10-17", "Statement": {"Effects": "Allow"}}`,
		"behind the document":    `{"Version": "2012-10-17", "Statement": []} {}`,
		"Effect must be":         strings.Replace(good, "Allow", "allow", 1),
		"Condition is not":       strings.Replace(good, `"Effect"`, `"Condition": {}, "Effect"`, 1),
		"NotPrincipal is not":    strings.Replace(good, `"Effect"`, `"NotPrincipal": "*", "Effect"`, 1),
		"Action and NotAction":   strings.Replace(good, `"Action"`, `"NotAction": "*", "Action"`, 1),
		"Resource and NotRes":    strings.Replace(good, `"Resource": "*"`, `"Resource": []`, 1),
		"must have a Principal":  strings.Replace(good, `"Principal": {"AWS": "*"}, `, "", 1),
		"has no principal":       strings.Replace(good, `"AWS": "*"`, `"AWS": []`, 1),
		"unknown field \"Fed":    strings.Replace(good, `"AWS"`, `"Federated"`, 1),
		"is neither *, an acc":   strings.Replace(good, `"AWS": "*"`, `"AWS": "arn:aws:iam::1:user/*"`, 1),
		"no action kafka":        strings.Replace(good, "kafka-cluster:*", "kafka-cluster:ReadDatas", 1),
		"service:action":         strings.Replace(good, "kafka-cluster:*", "ReadData", 1),
		"nor an ARN":             strings.Replace(good, `"Resource": "*"`, `"Resource": "topic"`, 1),
		"policy variables":       strings.Replace(good, `"Resource": "*"`, `"Resource": "arn:aws:kafka:::topic/${aws:username}"`, 1),
		"statement 2:":           good + ",{}",
		"at most":                strings.Repeat(" ", MaxBytes+1),
		"more than 1000":         strings.Repeat(good+",", maxStatements) + good,
	} {
		if !strings.HasPrefix(text, `{"Version"`) && !strings.HasPrefix(text, `{"Statement"`) && !strings.HasPrefix(text, " ") {
			text = `{"Version": "2012-10-17", "Statement": [` + text + `]}`
		}
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.200s: %v, want %s", text, err, want)
		}
	}
}

func TestClusterARNs(t *testing.T) {
	for arn, good := range map[string]bool{
		cluster: true, strings.Replace(cluster, "arn:aws:", "arn:aws-cn:", 1): true,
		"": false, strings.Replace(cluster, "orders", "*", 1): false, strings.Replace(cluster, ":cluster/", ":topic/", 1): false, cluster + "/t": false,
	} {
		if err := CheckCluster(arn); (err == nil) != good {
			t.Errorf("%s: %v", arn, err)
		}
	}
}

// FuzzParse reads policies, and asks those that are good.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"Version": "2012-10-17", "Statement": [` + connecting + `,` + say("Deny", `["`+user+`", "111122223333"]`, `"*"`, `"arn:*"`) + `]}`))
	f.Add([]byte(`{"Version": "2012-10-17", "Id": "x", "Statement": {"Sid": "s", "Effect": "Allow", "Principal": "*", "NotAction": ["a:b"], "NotResource": ["*"]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		a, err := NewAuthorizer(p, cluster, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, who := range []string{role, session, user, stranger} {
			if a.Authorize(who, acl.Read, acl.Topic, "t") && len(p.statements) == 0 {
				t.Error("allowed by nothing")
			}
		}
	})
}

// FuzzMatches compares the pattern with one that is looked at by its first star.
func FuzzMatches(f *testing.F) {
	f.Add("a*b?", "axxbc")
	f.Add("**", "")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 10 || len(text) > 20 {
			return
		}
		if got, want := matches(pattern, text), slowly(pattern, text); got != want {
			t.Errorf("%q, %q: %t, want %t", pattern, text, got, want)
		}
	})
}

func slowly(pattern, text string) bool {
	switch {
	case pattern == "":
		return text == ""
	case pattern[0] == '*':
		return slowly(pattern[1:], text) || text != "" && slowly(pattern, text[1:])
	}
	return text != "" && (pattern[0] == '?' || pattern[0] == text[0]) && slowly(pattern[1:], text[1:])
}

// TestAPolicyFileIsReadAgain writes a policy, another, and what is none.
func TestAPolicyFileIsReadAgain(t *testing.T) {
	path, virtual, counts := filepath.Join(t.TempDir(), "policy.json"), clock.NewVirtual(time.Unix(1e9, 0)), &watchfile.Counts{}
	written := time.Unix(1e9, 0)
	write := func(text string) {
		t.Helper()
		written = written.Add(time.Second) // whatever the file system's clock shows
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chtimes(path, written, written)); err != nil {
			t.Fatal(err)
		}
		virtual.Advance(watchfile.LookEach)
	}
	allowing := func(action string) string {
		return fmt.Sprintf(`{"Version": "2012-10-17", "Statement": [%s, %s]}`, connecting, say("Allow", anybody, `"kafka-cluster:`+action+`"`, anything))
	}
	write("no policy")
	if _, err := OpenFile(path, virtual, slog.New(slog.DiscardHandler), counts); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("opened what is no policy: %v", err)
	}
	write(allowing("ReadData"))
	file, err := OpenFile(path, virtual, slog.New(slog.DiscardHandler), counts)
	if err != nil {
		t.Fatal(err)
	}
	a, err := NewAuthorizer(file, cluster, false)
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct {
		text                string
		reads, writes       bool
		read, failed, stale int64
	}{
		{allowing("ReadData"), true, false, 1, 0, 0}, // only touched
		{allowing("WriteData"), false, true, 2, 0, 0},
		{`{"Version": "2012-10-17", "Statement": [`, false, true, 2, 1, 1},
		{strings.Repeat(" ", watchfile.MaxBytes+1), false, true, 2, 2, 1},
		{allowing("ReadData"), true, false, 3, 2, 0},
	} {
		before := a.Version()
		write(step.text)
		version := a.Version()
		if version < before || (version != before) != (step.stale == 0) {
			t.Errorf("step %d: version %d after %d", i, version, before)
		}
		reads, writes := a.Authorize(user, acl.Read, acl.Topic, "t"), a.Authorize(user, acl.Write, acl.Topic, "t")
		if reads != step.reads || writes != step.writes || counts.Read() != step.read || counts.Failed() != step.failed || counts.Stale() != step.stale {
			t.Errorf("step %d: reads %t, writes %t, %d read, %d failed, %d stale", i, reads, writes, counts.Read(), counts.Failed(), counts.Stale())
		}
	}
}
