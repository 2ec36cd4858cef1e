package quota

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"
)

// MaxFigures bounds whom Figures tells of by name. Beyond, who was made to wait longest ago goes, if that is an hour; else whoever comes
// is told of together with others.
const MaxFigures = 200

// maxLabel bounds the bytes of a name in Figures.
const maxLabel = 128

// Figure is what was measured of who has been made to wait.
type Figure struct {
	Kind Kind
	// User, Client and Address are whose limit it is, "" where it is nobody's in particular. All are Others for those who are not told of by name.
	User, Client, Address string

	Throttled time.Duration // that it was made to wait in all
	Times     int64         // that it was made to wait
	Rate      float64       // that it takes now, per second; 0 where that is not measured
	Limit     float64       // when it was made to wait last
}

// Others is the name of those who are not told of by theirs.
const Others = "(others)"

// tallies count waits. They go on counting for those whose meters are forgotten.
type tallies struct {
	mu  sync.Mutex
	all map[meter]*tally // guarded by mu: at most MaxFigures by name, and one of others for each kind
}

type tally struct {
	Figure
	last time.Time
}

// others is who stands for all that are not told of by name.
var others = Entity{User: Named(Others), Client: Named(Others), IP: Named(Others)}

// note counts a wait.
func (t *tallies) note(k Kind, who Entity, wait time.Duration, limit float64, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := meter{k, label(who)}
	one := t.all[key]
	if one == nil && len(t.all) >= MaxFigures {
		t.makeRoomLocked(now)
		if len(t.all) >= MaxFigures {
			key.who = others
			one = t.all[key]
		}
	}
	if one == nil {
		one = t.makeLocked(key)
	}
	one.Throttled += wait
	one.Times++
	one.Limit, one.last = limit, now
}

func (t *tallies) makeLocked(key meter) *tally {
	one := &tally{Figure: Figure{Kind: key.kind, User: key.who.User.Name, Client: key.who.Client.Name, Address: key.who.IP.Name}}
	t.all[key] = one
	return one
}

// makeRoomLocked counts who has not waited for an hour among the others: counts never go back in sum.
func (t *tallies) makeRoomLocked(now time.Time) {
	for key, one := range t.all {
		if key.who == others || now.Sub(one.last) < idleMeter {
			continue
		}
		delete(t.all, key)
		rest := t.all[meter{key.kind, others}]
		if rest == nil {
			rest = t.makeLocked(meter{key.kind, others})
		}
		rest.Throttled += one.Throttled
		rest.Times += one.Times
	}
}

// label makes names such as a page can hold: of valid UTF-8, and not too long.
func label(who Entity) Entity {
	for _, p := range []*Part{&who.User, &who.Client, &who.IP} {
		if len(p.Name) > maxLabel {
			p.Name = p.Name[:maxLabel-len("…")] + "…"
		}
		p.Name = strings.ToValidUTF8(p.Name, "�")
	}
	return who
}

// Figures returns what is known of those who have been made to wait, in an order that stays the same.
func (b *Book) Figures(now time.Time) []Figure {
	rates := b.meters.perSecond(now)
	b.tallies.mu.Lock()
	defer b.tallies.mu.Unlock()
	all := make([]Figure, 0, len(b.tallies.all))
	for key, one := range b.tallies.all {
		f := one.Figure
		f.Rate = rates[key]
		all = append(all, f)
	}
	slices.SortFunc(all, func(x, y Figure) int {
		return cmp.Or(cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.User, y.User), cmp.Compare(x.Client, y.Client), cmp.Compare(x.Address, y.Address))
	})
	return all
}

// perSecond returns what is taken by whom, under the names that Figures has.
func (m *meters) perSecond(now time.Time) map[meter]float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	rates := map[meter]float64{}
	for key, r := range m.rates {
		rates[meter{key.kind, label(key.who)}] += r.PerSecond(now)
	}
	return rates
}

// Measured returns how many meters there are.
func (b *Book) Measured() int {
	b.meters.mu.Lock()
	defer b.meters.mu.Unlock()
	return len(b.meters.rates) + len(b.meters.buckets)
}
