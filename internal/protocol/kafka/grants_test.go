package kafka

import (
	"net"
	"testing"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/govern/acl"
	"github.com/freshet/freshet/internal/govern/principal"
	"github.com/freshet/freshet/internal/govern/quota"
	"github.com/freshet/freshet/internal/state/memstate"
)

// TestRightsCostNoMemory asks what each Produce and Fetch asks, without an authorizer and with one that has decided before.
func TestRightsCostNoMemory(t *testing.T) {
	book, err := acl.Open(t.Context(), memstate.New(clock.Real()), acl.Config{Open: true})
	if err != nil {
		t.Fatal(err)
	}
	quotas, err := quota.Open(t.Context(), memstate.New(clock.Real()), quota.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]Authorizer{"none": nil, "a book": book} {
		c := &Client{Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, server: &Server{authorizer: a, cfg: Config{Quotas: quotas}}, principal: principal.Anonymous}
		c.may(acl.Write, acl.Topic, "t")
		if n := testing.AllocsPerRun(100, func() {
			if c.take(quota.ProducerBytes, 1) != 0 || !c.may(acl.Write, acl.Topic, "t") {
				t.Fatal("denied")
			}
		}); n != 0 {
			t.Errorf("%s: %f allocations", name, n)
		}
	}
}

func TestDecisionsAreBounded(t *testing.T) {
	book, err := acl.Open(t.Context(), memstate.New(clock.Real()), acl.Config{})
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{Addr: &net.TCPAddr{}, server: &Server{authorizer: book}, principal: principal.Anonymous}
	for i := range 10 * maxGrants {
		c.may(acl.Write, acl.Topic, string(rune('a'+i)))
	}
	if n := len(c.grants.decided); n > maxGrants {
		t.Errorf("%d decisions are remembered", n)
	}
}
