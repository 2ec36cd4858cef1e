package quota

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

var t0 = time.Unix(1_700_000_000, 0)

func TestRateLetsTenSecondsWorthPassAtOnce(t *testing.T) {
	var r Rate
	if wait := r.Take(1000, 100, t0); wait != 0 {
		t.Errorf("ten seconds' worth: %s", wait)
	}
	if wait := r.Take(100, 100, t0); wait != time.Second {
		t.Errorf("a second's worth more: %s", wait)
	}
	if wait := r.Take(0, 100, t0.Add(10500*time.Millisecond)); wait != time.Duration(0.5*float64(time.Second)) {
		t.Errorf("measured over 10.5 s: %s", wait)
	}
	if wait := r.Take(0, 100, t0.Add(11*time.Second)); wait != 0 {
		t.Errorf("after it is forgotten: %s", wait)
	}
}

func TestRateTakesNothingThatIsTooMuch(t *testing.T) {
	var r Rate
	for range 10 {
		if wait := r.TakeIf(1, 1, t0); wait != 0 {
			t.Fatal(wait)
		}
	}
	for range 100 {
		if wait := r.TakeIf(1, 1, t0); wait != time.Second {
			t.Fatal(wait)
		}
	}
	if wait := r.Take(0, 1, t0); wait != 0 {
		t.Errorf("what was not taken counts: %s", wait)
	}
}

// TestRateHolds has a client take at random and wait as long as it is told: over a long time it does not get more than its limit.
func TestRateHolds(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 2))
	var r Rate
	const limit, seconds = 1000.0, 10_000
	now, total := t0, 0.0
	for now.Before(t0.Add(seconds * time.Second)) {
		amount := float64(random.IntN(3000))
		total += amount
		now = now.Add(r.Take(amount, limit, now))
		now = now.Add(time.Duration(random.IntN(500)) * time.Millisecond)
	}
	if rate := total / now.Sub(t0).Seconds(); rate > limit*1.05 || rate < limit*0.8 {
		t.Errorf("%f per second, the limit is %f", rate, limit)
	}
}

func TestRateSurvivesAClockThatIsSetBack(t *testing.T) {
	var r Rate
	r.Take(5000, 100, t0)
	if wait := r.Take(0, 100, t0.Add(-time.Hour)); wait != 40*time.Second {
		t.Errorf("an hour before: %s", wait)
	}
	if wait := r.Take(0, 100, t0.Add(time.Hour)); wait != 0 {
		t.Errorf("an hour after: %s", wait)
	}
}

func TestWaitsAreBounded(t *testing.T) {
	var r Rate
	if wait := r.Take(math.MaxFloat64, 1, t0); wait != maxWait {
		t.Error(wait)
	}
	if wait := r.Take(0, 1, t0); wait != maxWait {
		t.Error(wait)
	}
}

func TestBucket(t *testing.T) {
	var b Bucket
	if taken, wait := b.Take(110, 10, t0, true); !taken || wait != 0 {
		t.Errorf("eleven seconds' worth: %t, %s", taken, wait)
	}
	if taken, wait := b.Take(20, 10, t0, true); !taken || wait != 2*time.Second {
		t.Errorf("more than there is, when there was no debt: %t, %s", taken, wait)
	}
	if taken, wait := b.Take(1, 10, t0.Add(time.Second), true); taken || wait != time.Second {
		t.Errorf("with a debt: %t, %s", taken, wait)
	}
	if taken, wait := b.Take(10, 10, t0.Add(time.Second), false); !taken || wait != 2*time.Second {
		t.Errorf("with a debt, from who cannot be told: %t, %s", taken, wait)
	}
	if taken, wait := b.Take(5, 10, t0.Add(time.Hour), true); !taken || wait != 0 {
		t.Errorf("an hour later: %t, %s", taken, wait)
	}
	if taken, wait := b.Take(105, 10, t0.Add(time.Hour), true); !taken || wait != 0 {
		t.Errorf("it was not fuller than full: %t, %s", taken, wait)
	}
}
