package deadline_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/protocol/kafka/deadline"
)

var seed = flag.Uint64("seed", 0, "of the random deadlines; 0 = another one each time")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func woken(q *deadline.Queue[int]) bool {
	select {
	case <-q.Wake():
		return true
	default:
		return false
	}
}

func TestQueueSaysWhenTheNextDeadlineComesNearer(t *testing.T) {
	q, now := deadline.NewQueue[int](), time.UnixMilli(1_700_000_000_000)
	a, b := &deadline.Timer[int]{Of: 1}, &deadline.Timer[int]{Of: 2}
	for _, row := range []struct {
		what  string
		timer *deadline.Timer[int]
		at    time.Time
		wakes bool
		until time.Duration
	}{
		{"the first", a, now.Add(10 * time.Second), true, 10 * time.Second},
		{"a later one", b, now.Add(20 * time.Second), false, 10 * time.Second},
		{"the first moves away", a, now.Add(30 * time.Second), false, 20 * time.Second},
		{"and back", a, now.Add(time.Second), true, time.Second},
		{"the other is removed", b, time.Time{}, false, time.Second},
		{"it is overdue", a, now.Add(-time.Second), true, 0},
		{"none is left", a, time.Time{}, false, time.Hour},
		{"removed once more", a, time.Time{}, false, time.Hour},
	} {
		q.Set(row.timer, row.at)
		if got := woken(q); got != row.wakes {
			t.Errorf("%s: wakes %v", row.what, got)
		}
		if got := q.Until(now); got != row.until || !row.timer.At().Equal(row.at) {
			t.Errorf("%s: %v until the next, at %v", row.what, got, row.timer.At())
		}
	}
}

// TestQueueAgreesWithAList compares it with a list that is searched.
func TestQueueAgreesWithAList(t *testing.T) {
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", s)
	random := rand.New(rand.NewPCG(s, 0))
	q, base := deadline.NewQueue[int](), time.UnixMilli(1_700_000_000_000)
	all := make([]*deadline.Timer[int], 50)
	for i := range all {
		all[i] = &deadline.Timer[int]{Of: i}
	}
	for range 5000 {
		var at time.Time
		if random.IntN(4) > 0 {
			at = base.Add(time.Duration(random.IntN(100)) * time.Second)
		}
		q.Set(all[random.IntN(len(all))], at)
		now := base.Add(time.Duration(random.IntN(100)) * time.Second)
		var next *deadline.Timer[int]
		var want []int
		for _, timer := range all {
			if timer.At().IsZero() {
				continue
			}
			want = append(want, timer.Of)
			if next == nil || timer.At().Before(next.At()) {
				next = timer
			}
		}
		switch due := q.Due(now); {
		case next == nil || next.At().After(now):
			if due != nil {
				t.Fatalf("%d is due at %v, it is %v", due.Of, due.At(), now)
			}
		case due == nil || !due.At().Equal(next.At()):
			t.Fatalf("%+v is due, want %+v", due, next)
		}
		got := slices.Sorted(q.All())
		if !slices.Equal(got, want) {
			t.Fatalf("%v have deadlines, want %v", got, want)
		}
	}
}

func TestLoopDoesWhatIsDueInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, began := deadline.NewQueue[int](), time.Now()
		timer := &deadline.Timer[int]{}
		var due, swept, noticed []time.Duration
		news := make(chan struct{})
		l := deadline.Loop{
			Clock: clock.Real(), Wake: q.Wake(), Until: func() time.Duration { return q.Until(time.Now()) },
			Due: func() {
				for q.Due(time.Now()) != nil {
					due = append(due, time.Since(began))
					q.Set(timer, time.Time{})
				}
			},
			Every: time.Minute, Sweep: func() { swept = append(swept, time.Since(began)) },
			News: news, Notice: func() { noticed = append(noticed, time.Since(began)) },
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { l.Run(ctx); close(done) }()
		synctest.Wait() // it sleeps
		q.Set(timer, began.Add(10*time.Second))
		time.Sleep(11 * time.Second)
		news <- struct{}{}
		synctest.Wait()
		q.Set(timer, began.Add(70*time.Second))
		time.Sleep(60 * time.Second)
		cancel()
		<-done
		if !slices.Equal(due, []time.Duration{10 * time.Second, 70 * time.Second}) || !slices.Equal(swept, []time.Duration{time.Minute}) ||
			!slices.Equal(noticed, []time.Duration{11 * time.Second}) {
			t.Errorf("due at %v, swept at %v, noticed at %v", due, swept, noticed)
		}
	})
}
