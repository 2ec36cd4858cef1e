package quota

import (
	"slices"
	"sync"
	"time"
)

// meters are the measurements of who has limits and takes. There is room for max of them: those not used for an hour go, and if that is not enough
// the ones unused for longest, which then begin anew.
type meters struct {
	max int

	mu      sync.Mutex
	rates   map[meter]*Rate   // guarded by mu
	buckets map[meter]*Bucket // guarded by mu
}

type meter struct {
	kind Kind
	who  Entity
}

// idleMeter is how long a meter is kept without use (inactive sensors of Kafka).
const idleMeter = time.Hour

func (m *meters) init(most int) {
	m.max, m.rates, m.buckets = most, map[meter]*Rate{}, map[meter]*Bucket{}
}

func (m *meters) rate(k Kind, who Entity, now time.Time) *Rate {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.rates[meter{k, who}]
	if r == nil {
		m.makeRoomLocked(now)
		r = &Rate{used: now}
		m.rates[meter{k, who}] = r
	}
	return r
}

func (m *meters) bucket(k Kind, who Entity, now time.Time) *Bucket {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.buckets[meter{k, who}]
	if b == nil {
		m.makeRoomLocked(now)
		b = &Bucket{used: now}
		m.buckets[meter{k, who}] = b
	}
	return b
}

// makeRoomLocked lets go of meters if there is no room for one more: a tenth at least, so that it is not done for each.
func (m *meters) makeRoomLocked(now time.Time) {
	if len(m.rates)+len(m.buckets) < m.max {
		return
	}
	type use struct {
		meter
		at time.Time
	}
	var uses []use
	for key, r := range m.rates {
		r.mu.Lock()
		uses = append(uses, use{key, r.used})
		r.mu.Unlock()
	}
	for key, b := range m.buckets {
		b.mu.Lock()
		uses = append(uses, use{key, b.used})
		b.mu.Unlock()
	}
	slices.SortFunc(uses, func(a, b use) int { return a.at.Compare(b.at) })
	for i, u := range uses {
		if i > m.max/10 && now.Sub(u.at) < idleMeter {
			return
		}
		delete(m.rates, u.meter)
		delete(m.buckets, u.meter)
	}
}

// Limits are what goes for one client, until Book.Version changes. They are safe for concurrent use.
type Limits struct {
	limits  [kinds]float64 // 0 = none
	rates   [kinds]*Rate
	bucket  *Bucket
	who     [kinds]Entity // whose limits they are
	tallies *tallies
	Version uint64
}

// For returns what goes for a user with a client id.
func (b *Book) For(user, client string, now time.Time) *Limits {
	l := &Limits{Version: b.Version(), tallies: &b.tallies}
	for _, k := range []Kind{ProducerBytes, ConsumerBytes, RequestTime, Mutations} {
		if !b.Active(k) {
			continue
		}
		limit, who, ok := b.limit(k, user, client)
		if !ok {
			continue
		}
		l.limits[k], l.who[k] = limit, who
		if k == Mutations {
			l.bucket = b.meters.bucket(k, who, now)
		} else {
			l.rates[k] = b.meters.rate(k, who, now)
		}
	}
	return l
}

// Has says whether there is a limit of a kind.
func (l *Limits) Has(k Kind) bool { return l.limits[k] > 0 }

// Take records that amount of a kind was taken, and returns how long the client must wait.
func (l *Limits) Take(k Kind, amount float64, now time.Time) time.Duration {
	if !l.Has(k) {
		return 0
	}
	wait := l.rates[k].Take(amount, l.limits[k], now)
	if k == RequestTime { // as in Apache Kafka: processor time is short again soon
		wait = min(wait, sampleTime)
	}
	if wait > 0 {
		l.tallies.note(k, l.who[k], wait, l.limits[k], now)
	}
	return wait
}

// Most returns how much of a kind may be taken at once: what comes in the time over which it is measured. ok is false if there is no limit.
func (l *Limits) Most(k Kind) (most float64, ok bool) {
	return l.limits[k] * leastTime.Seconds(), l.Has(k)
}

// Mutate takes n mutations; see Bucket.Take.
func (l *Limits) Mutate(n float64, now time.Time, strict bool) (taken bool, wait time.Duration) {
	if !l.Has(Mutations) {
		return true, 0
	}
	taken, wait = l.bucket.Take(n, l.limits[Mutations], now, strict)
	if wait > 0 {
		l.tallies.note(Mutations, l.who[Mutations], wait, l.limits[Mutations], now)
	}
	return taken, wait
}
