package kafka

import (
	"testing"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/govern/acl"
	"github.com/freshet/freshet/internal/govern/iam"
	"github.com/freshet/freshet/internal/state/memstate"
)

func TestPoliciesGoForPrincipalsOfAWS(t *testing.T) {
	policy, err := iam.Parse([]byte(`{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Resource": "*",
		"Action": ["kafka-cluster:Connect", "kafka-cluster:ReadData"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	policies, err := iam.NewAuthorizer(policy, "arn:aws:kafka:us-east-1:111122223333:cluster/a/b", false)
	if err != nil {
		t.Fatal(err)
	}
	const (
		mine  = "User:arn:aws:iam::111122223333:user/alice"
		other = "User:arn:aws:iam::444455556666:user/bob"
		root  = "User:arn:aws:iam::444455556666:user/root"
		plain = "User:carol"
	)
	book, err := acl.Open(t.Context(), memstate.New(clock.Real()), acl.Config{SuperUsers: []string{root}})
	if err != nil {
		t.Fatal(err)
	}
	book.Create(t.Context(), []acl.Binding{
		{Resource: acl.Topic, Pattern: acl.Literal, Name: "t", Principal: acl.Everyone, Host: acl.Wildcard, Operation: acl.Write, Permission: acl.Allow},
	})
	for _, row := range []struct {
		who               string
		acls              *acl.Book
		read, write, some bool
	}{
		{mine, book, true, false, false},
		{other, book, false, false, false},
		{root, book, true, true, true},
		{plain, book, false, true, true},
		{mine, nil, true, false, false},
		{root, nil, false, false, false},
		{plain, nil, true, true, true},
	} {
		a, who := newAuthorizer(row.acls, policies), acl.Subject{Principal: row.who, Host: "192.0.2.1"}
		read, write := a.Authorize(who, acl.Read, acl.Topic, "t"), a.Authorize(who, acl.Write, acl.Topic, "t")
		if some := a.AuthorizeAny(who, acl.Write, acl.Topic); read != row.read || write != row.write || some != row.some {
			t.Errorf("%s, lists %t: read %t, write %t, anything %t", row.who, row.acls != nil, read, write, some)
		}
	}
	if newAuthorizer(nil, nil) != nil || newAuthorizer(book, nil) != Authorizer(book) {
		t.Error("without policies others decide")
	}
	if before := newAuthorizer(book, policies).Version(); len(book.Delete(t.Context(), []acl.Filter{acl.Every})) != 1 || newAuthorizer(book, policies).Version() == before {
		t.Error("a change of the lists is not seen")
	}
}
