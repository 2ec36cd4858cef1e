package quota

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/state/memstate"
)

func open(t *testing.T, store state.Store, config Config) *Book {
	t.Helper()
	b, err := Open(t.Context(), store, config)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func set(t *testing.T, b *Book, e Entity, k Kind, limit float64) {
	t.Helper()
	if err := b.Alter(t.Context(), e, []Change{{Name: k.String(), Limit: limit}}, false); err != nil {
		t.Fatal(err)
	}
}

func all(Entity) bool { return true }

func TestBookKeepsLimits(t *testing.T) {
	store := memstate.New(clock.Real())
	first := open(t, store, Config{})
	alice, pair := Entity{User: Named("alice")}, Entity{User: Everyone, Client: Named("app")}
	before := first.Version()
	set(t, first, alice, ProducerBytes, 1000)
	set(t, first, alice, RequestTime, 12.5)
	set(t, first, pair, Mutations, 0.5)
	if err := first.Alter(t.Context(), pair, []Change{{Name: "producer_byte_rate", Limit: 5}}, true); err != nil {
		t.Error(err)
	}
	want := []Entry{{pair, Values{Mutations: 0.5}}, {alice, Values{ProducerBytes: 1000, RequestTime: 12.5}}}
	if got := first.Entries(all); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	second := open(t, store, Config{})
	if got := second.Entries(all); !reflect.DeepEqual(got, want) || first.Version() == before {
		t.Errorf("after a restart: %+v", got)
	}
	if !second.Active(ProducerBytes) || second.Active(ConsumerBytes) {
		t.Error("the kinds that are limited are others")
	}
	remove := []Change{{Name: "producer_byte_rate", Remove: true}, {Name: "request_percentage", Remove: true}, {Name: "whatever", Remove: true}}
	if err := second.Alter(t.Context(), alice, remove, false); err != nil || second.Active(ProducerBytes) {
		t.Error(err)
	}
	if got := open(t, store, Config{}).Entries(all); !reflect.DeepEqual(got, want[:1]) {
		t.Errorf("after another restart: %+v", got)
	}
}

func TestBookRefusesWhatCannotBeALimit(t *testing.T) {
	b := open(t, memstate.New(clock.Real()), Config{})
	user, ip := Entity{User: Named("u")}, Entity{IP: Named("192.0.2.1")}
	for name, row := range map[string]struct {
		entity Entity
		change Change
	}{
		"nobody":                   {Entity{}, Change{Name: "producer_byte_rate", Limit: 1}},
		"an address with a user":   {Entity{User: Named("u"), IP: Named("192.0.2.1")}, Change{Name: "connection_creation_rate", Limit: 1}},
		"a user without a name":    {Entity{User: Named("")}, Change{Name: "producer_byte_rate", Limit: 1}},
		"a name that is not UTF-8": {Entity{User: Named("\xff")}, Change{Name: "producer_byte_rate", Limit: 1}},
		"no address":               {Entity{IP: Named("here")}, Change{Name: "connection_creation_rate", Limit: 1}},
		"an unknown limit":         {user, Change{Name: "foo", Limit: 1}},
		"a limit of addresses":     {user, Change{Name: "connection_creation_rate", Limit: 1}},
		"a limit of users":         {ip, Change{Name: "producer_byte_rate", Limit: 1}},
		"zero":                     {user, Change{Name: "request_percentage"}},
		"less":                     {user, Change{Name: "request_percentage", Limit: -1}},
		"a fraction":               {user, Change{Name: "producer_byte_rate", Limit: 1.5}},
	} {
		if err := b.Alter(t.Context(), row.entity, []Change{row.change}, false); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	twice := []Change{{Name: "producer_byte_rate", Limit: 1}, {Name: "producer_byte_rate", Remove: true}}
	if err := b.Alter(t.Context(), user, twice, false); !errors.Is(err, ErrInvalid) {
		t.Errorf("twice: %v", err)
	}
	if got := b.Entries(all); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestLimitsFitTheirKinds(t *testing.T) {
	user, address := Entity{User: Named("u")}, Entity{IP: Named("10.0.0.1")}
	for _, row := range []struct {
		entity Entity
		name   string
		limit  float64
		want   string // of the reason; "" = it is one
	}{
		{user, "producer_byte_rate", 1e18, ""},
		{user, "producer_byte_rate", 1e300, "Proposed value for producer_byte_rate is too large for a LONG."},
		{user, "consumer_byte_rate", math.Inf(1), "Proposed value for consumer_byte_rate is too large for a LONG."},
		{user, "request_percentage", 1e300, ""},
		{user, "request_percentage", math.Inf(1), "Quota request_percentage must be a number"},
		{user, "controller_mutation_rate", math.NaN(), "Quota controller_mutation_rate must be greater than 0"},
		{address, "connection_creation_rate", math.MaxInt32, ""},
		{address, "connection_creation_rate", math.MaxInt32 + 1, "Proposed value for connection_creation_rate is too large for an INT."},
	} {
		_, err := row.entity.checkNew(row.name, row.limit)
		if got := fmt.Sprint(err); err == nil && row.want != "" || err != nil && got != row.want {
			t.Errorf("%s=%v: %v, want %q", row.name, row.limit, err, row.want)
		}
	}
}

func TestBookIsBounded(t *testing.T) {
	b := open(t, memstate.New(clock.Real()), Config{MaxEntities: 1})
	set(t, b, Entity{User: Named("a")}, ProducerBytes, 1)
	if err := b.Alter(t.Context(), Entity{User: Named("b")}, []Change{{Name: "producer_byte_rate", Limit: 1}}, false); !errors.Is(err, ErrTooMany) {
		t.Error(err)
	}
	set(t, b, Entity{User: Named("a")}, ConsumerBytes, 1)
}

// TestPrecedence sets one limit after another, each before those there in the order, and sees it taken.
func TestPrecedence(t *testing.T) {
	b := open(t, memstate.New(clock.Real()), Config{})
	order := precedence("u", "c")
	for i := len(order) - 1; i >= 0; i-- {
		set(t, b, order[i], ProducerBytes, float64(i+1))
		limit, who, ok := b.limit(ProducerBytes, "u", "c")
		if !ok || limit != float64(i+1) {
			t.Errorf("%+v: limit %f", order[i], limit)
		}
		want := Entity{}
		if order[i].User.Set {
			want.User = Named("u")
		}
		if order[i].Client.Set {
			want.Client = Named("c")
		}
		if who != want {
			t.Errorf("%+v: shared by %+v, want %+v", order[i], who, want)
		}
	}
	if _, _, ok := b.limit(ConsumerBytes, "u", "c"); ok {
		t.Error("a limit of another kind is taken")
	}
}

func TestClientsOfAUserShareItsLimit(t *testing.T) {
	b := open(t, memstate.New(clock.Real()), Config{})
	set(t, b, Entity{User: Everyone}, ProducerBytes, 100)
	one, other, stranger := b.For("u", "a", t0), b.For("u", "b", t0), b.For("v", "a", t0)
	if one.Take(ProducerBytes, 1000, t0) != 0 || other.Take(ProducerBytes, 100, t0) != time.Second || stranger.Take(ProducerBytes, 1000, t0) != 0 {
		t.Error("limits are shared otherwise")
	}
	if wait := one.Take(ConsumerBytes, 1e9, t0); wait != 0 {
		t.Errorf("what is not limited: %s", wait)
	}
	if most, ok := one.Most(ProducerBytes); !ok || most != 1000 {
		t.Errorf("%f at once", most)
	}
}

func TestConnections(t *testing.T) {
	b := open(t, memstate.New(clock.Real()), Config{})
	if wait := b.Connect("192.0.2.1", t0); wait != 0 {
		t.Error(wait)
	}
	set(t, b, Entity{IP: Everyone}, Connections, 1)
	set(t, b, Entity{IP: Named("192.0.2.9")}, Connections, 100)
	for i := range 12 {
		for ip, least := range map[string]int{"192.0.2.1": 10, "192.0.2.2": 10, "192.0.2.9": 100} {
			if wait := b.Connect(ip, t0); (wait > 0) != (i >= least) || wait > maxConnectionWait {
				t.Errorf("connection %d of %s waits %s", i, ip, wait)
			}
		}
	}
}

func TestMetersAreBounded(t *testing.T) {
	b := open(t, memstate.New(clock.Real()), Config{MaxMeters: 100})
	set(t, b, Entity{User: Everyone}, ProducerBytes, 1)
	set(t, b, Entity{User: Everyone}, Mutations, 1)
	mine := b.For("mine", "", t0)
	mine.Take(ProducerBytes, 1000, t0.Add(time.Hour))
	for i := range 1000 {
		b.For(fmt.Sprint("u", i), "", t0.Add(time.Duration(i)*time.Millisecond)).Take(ProducerBytes, 1, t0)
		if n := len(b.meters.rates) + len(b.meters.buckets); n > 101 {
			t.Fatalf("%d meters", n)
		}
	}
	if wait := b.For("mine", "", t0).Take(ProducerBytes, 0, t0.Add(time.Hour)); wait == 0 {
		t.Error("a meter in use was let go of")
	}
}

// broken fails every Apply.
type broken struct{ state.Store }

func (broken) Apply(context.Context, ...state.Change) ([]int64, error) { return nil, state.ErrFull }

func TestNothingChangesThatIsNotKept(t *testing.T) {
	b := open(t, broken{memstate.New(clock.Real())}, Config{})
	err := b.Alter(t.Context(), Entity{User: Named("u")}, []Change{{Name: "producer_byte_rate", Limit: 1}}, false)
	if !errors.Is(err, state.ErrFull) || b.Active(ProducerBytes) {
		t.Error(err)
	}
}

func FuzzDocument(f *testing.F) {
	f.Add([]byte(`{"entity":{"user":{"set":true,"name":"u"}},"values":{"producer_byte_rate":1}}`))
	f.Add([]byte(`{"entity":{"ip":{"set":true,"default":true}},"values":{"connection_creation_rate":1e300}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		e, err := decode(doc)
		if err != nil {
			return
		}
		for k, limit := range e.Values {
			if _, err := e.Entity.checkLimit(k.String(), limit); err != nil {
				t.Error(err)
			}
		}
	})
}
