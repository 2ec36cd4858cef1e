package quota

import (
	"sync"
	"time"
)

// Rates are measured over samples of a second each, as with Kafka's quota.window.num and quota.window.size.seconds: what a client takes is
// spread over at least ten seconds, so that it may take ten seconds' worth at once.
const (
	samples    = 11
	sampleTime = time.Second
	leastTime  = (samples - 1) * sampleTime
)

// Rate measures how much is taken per second. The zero Rate has measured nothing. It is safe for concurrent use.
type Rate struct {
	mu      sync.Mutex
	used    time.Time // when something was recorded last
	samples [samples]sample
}

type sample struct {
	from  time.Time // zero if there is none
	taken float64
}

// Take records that amount was taken at a time, and returns how long whoever takes must wait so that it is not more than limit per second: 0 if it is
// not.
func (r *Rate) Take(amount, limit float64, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(amount, now)
	return r.wait(limit, now)
}

// TakeIf is Take, but for what would be too much: that is not recorded.
func (r *Rate) TakeIf(amount, limit float64, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(amount, now)
	wait := r.wait(limit, now)
	if wait > 0 {
		r.add(-amount, now)
	}
	return wait
}

func (r *Rate) add(amount float64, now time.Time) {
	if now.Before(r.used) { // the clock was set back: what was measured goes on from where it was
		now = r.used
	}
	r.used = now
	from := now.Truncate(sampleTime)
	s := &r.samples[int(from.Unix()%samples+samples)%samples]
	if !s.from.Equal(from) {
		*s = sample{from: from}
	}
	s.taken += amount
}

// PerSecond returns how much was taken per second of late.
func (r *Rate) PerSecond(now time.Time) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	total, window := r.taken(now)
	return total / window.Seconds()
}

func (r *Rate) wait(limit float64, now time.Time) time.Duration {
	total, window := r.taken(now)
	allowed := limit * window.Seconds()
	if total <= allowed {
		return 0
	}
	return bounded((total - allowed) / limit)
}

// taken returns how much was taken in the time over which it is measured.
func (r *Rate) taken(now time.Time) (total float64, window time.Duration) {
	if now.Before(r.used) {
		now = r.used
	}
	window = leastTime
	for i := range r.samples {
		s := &r.samples[i]
		if age := now.Sub(s.from); !s.from.IsZero() && age < samples*sampleTime {
			total += s.taken
			window = max(window, age)
		}
	}
	return total, window
}

// maxWait bounds how long a client is made to wait: a limit set by mistake is not to take a connection for ever.
const maxWait = time.Hour

func bounded(seconds float64) time.Duration {
	if seconds >= maxWait.Seconds() {
		return maxWait
	}
	return max(time.Millisecond, time.Duration(seconds*float64(time.Second)))
}

// Bucket measures what is taken in pieces: as many as eleven seconds bring may be taken at once (KIP-599). The zero Bucket is full. It is safe for
// concurrent use.
type Bucket struct {
	mu     sync.Mutex
	used   time.Time // when something was taken last
	began  bool
	tokens float64
}

// Take takes amount, of which limit come per second. If strict is set nothing may be taken while more was taken than there was: then taken is false. The
// bucket is empty for wait from now on.
func (b *Bucket) Take(amount, limit float64, now time.Time, strict bool) (taken bool, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	most := limit * samples * sampleTime.Seconds()
	if !b.began {
		b.began, b.tokens, b.used = true, most, now
	}
	if passed := now.Sub(b.used); passed > 0 {
		b.tokens += passed.Seconds() * limit
		b.used = now
	}
	b.tokens = min(b.tokens, most)
	if strict && b.tokens < 0 {
		return false, bounded(-b.tokens / limit)
	}
	b.tokens -= amount
	if b.tokens < 0 {
		wait = bounded(-b.tokens / limit)
	}
	return true, wait
}
