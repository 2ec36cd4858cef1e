package quota

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/state/memstate"
)

// limited returns a book in which every user, client id and address has limits of one per second.
func limited(t *testing.T) *Book {
	t.Helper()
	b, err := Open(t.Context(), memstate.New(clock.NewVirtual(time.Unix(1e9, 0))), Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		who   Entity
		kinds []Kind
	}{{Entity{User: Everyone}, []Kind{ProducerBytes, RequestTime, Mutations}}, {Entity{Client: Everyone}, []Kind{ConsumerBytes}}, {Entity{IP: Everyone}, []Kind{Connections}}} {
		for _, k := range row.kinds {
			if err := b.Alter(t.Context(), row.who, []Change{{Name: k.String(), Limit: 1}}, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	return b
}

func TestFiguresTellWhoWaited(t *testing.T) {
	b, now := limited(t), time.Unix(1e9, 0)
	if got := b.Figures(now); len(got) != 0 {
		t.Errorf("of nobody: %+v", got)
	}
	alice := b.For("alice", "app", now)
	alice.Take(ProducerBytes, 5, now) // fewer than ten seconds bring
	if got := b.Figures(now); len(got) != 0 {
		t.Errorf("of who did not wait: %+v", got)
	}
	alice.Take(ProducerBytes, 15, now)
	alice.Take(ProducerBytes, 10, now)
	alice.Take(ConsumerBytes, 12, now)
	alice.Take(RequestTime, 1000, now)
	alice.Mutate(13, now, true)
	for range 11 {
		b.Connect("10.0.0.1", now)
	}
	var got []string
	for _, f := range b.Figures(now) {
		got = append(got, fmt.Sprintf("%s %s/%s/%s %s in %d, %.1f of %.0f", f.Kind, f.User, f.Client, f.Address, f.Throttled, f.Times, f.Rate, f.Limit))
	}
	want := `producer_byte_rate alice// 30s in 2, 3.0 of 1
consumer_byte_rate /app/ 2s in 1, 1.2 of 1
request_percentage alice// 1s in 1, 100.0 of 1
controller_mutation_rate alice// 2s in 1, 0.0 of 1
connection_creation_rate //10.0.0.1 1s in 1, 1.0 of 1`
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	if f := b.Figures(now.Add(time.Minute))[0]; f.Rate != 0 || f.Throttled != 30*time.Second {
		t.Errorf("a minute later: %+v", f)
	}
	if b.Measured() != 5 {
		t.Errorf("%d meters", b.Measured())
	}
}

// TestFiguresAreBounded has more users than there is room for, at once and one after the other: no wait is lost.
func TestFiguresAreBounded(t *testing.T) {
	b, now := limited(t), time.Unix(1e9, 0)
	sum := func() (times int64, named int) {
		for _, f := range b.Figures(now) {
			times += f.Times
			if f.User != Others {
				named++
			}
		}
		return times, named
	}
	waits := int64(0)
	wait := func(user string) {
		b.For(user, "", now).Take(ProducerBytes, 20, now)
		waits++
	}
	for i := range 2 * MaxFigures {
		wait(fmt.Sprint("user", i))
	}
	if times, named := sum(); times != waits || named != MaxFigures {
		t.Errorf("%d of %d waits, %d by name", times, waits, named)
	}
	now = now.Add(idleMeter)
	for i := range MaxFigures / 2 {
		wait(fmt.Sprint("new", i))
	}
	if times, named := sum(); times != waits || named != MaxFigures/2 || len(b.tallies.all) > MaxFigures+int(kinds) {
		t.Errorf("an hour later %d of %d waits, %d by name", times, waits, named)
	}
}

// TestFiguresHaveNamesForAPage has names that no page of metrics could hold, some of which look alike there.
func TestFiguresHaveNamesForAPage(t *testing.T) {
	b, now := limited(t), time.Unix(1e9, 0)
	for _, user := range []string{"\xff\xfe", strings.Repeat("é", 3000), strings.Repeat("é", 3001), "plain"} {
		b.For(user, "", now).Take(ProducerBytes, 20, now)
	}
	seen := map[string]bool{}
	for _, f := range b.Figures(now) {
		if seen[f.User] || !utf8.ValidString(f.User) || len(f.User) > maxLabel+len("�") {
			t.Errorf("%q, again %t", f.User, seen[f.User])
		}
		seen[f.User] = true
		if f.Rate <= 0 {
			t.Errorf("%q takes nothing", f.User)
		}
	}
	if len(seen) != 3 {
		t.Errorf("%d names", len(seen))
	}
}
