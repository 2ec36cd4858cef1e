package share

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"go.uber.org/goleak"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/state/memstate"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/memlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a coordinator on memory, within a synctest bubble: the bubble's clock is the virtual one.
type bench struct {
	t        *testing.T
	log      *memlog.Log
	store    *faultyStore
	topic    *stream.Stream
	c        *Coordinator
	settings Settings
	stop     func()
	held     memory
}

// memory counts what answers have taken.
type memory struct {
	mu      sync.Mutex
	held    int64
	none    bool          // is left
	batches chan struct{} // has a value for each batch that there is memory for; nil = for all
}

func (m *memory) TakeUpTo(n int64) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.none {
		return 0
	}
	m.held += n
	return n
}

func (m *memory) setNone(none bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.none = none
}

func (m *memory) TakeBatch(ctx context.Context) error {
	if m.batches == nil {
		return nil
	}
	select {
	case <-m.batches:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (m *memory) GiveBatch() {
	if m.batches != nil {
		m.batches <- struct{}{}
	}
}

func (m *memory) Give(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held -= n
}

// faultyStore fails while broken, waits for hold while there is one, and counts.
type faultyStore struct {
	*memstate.Store
	mu      sync.Mutex
	broken  error
	hold    chan struct{}
	applied int
}

func (f *faultyStore) Apply(ctx context.Context, changes ...state.Change) ([]int64, error) {
	f.mu.Lock()
	err, hold := f.broken, f.hold
	f.applied++
	f.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if err != nil {
		return nil, err
	}
	return f.Store.Apply(ctx, changes...)
}

func (f *faultyStore) setBroken(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = err
}

// on runs a test on a coordinator in a bubble. Groups begin at the start of shards.
func on(t *testing.T, config Config, run func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, store: &faultyStore{Store: memstate.New(clock.Real())}}
		b.settings = config.WithDefaults().Defaults
		b.settings.Reset.Earliest = true
		b.log = memlog.New(clock.Real(), rand.NewChaCha8([32]byte{2}))
		defer b.log.Close()
		topic, err := b.log.Create(t.Context(), stream.Spec{Name: "t", Shards: 4})
		if err != nil {
			t.Fatal(err)
		}
		b.topic = topic
		b.start(config)
		defer func() { b.stop() }()
		run(t, b)
	})
}

// start runs a coordinator on what the one before left.
func (b *bench) start(config Config) {
	if b.stop != nil {
		b.stop()
	}
	c, err := New(b.t.Context(), config, Deps{
		Log: b.log, Store: b.store, Clock: clock.Real(), Random: rand.NewChaCha8([32]byte{1}), Logger: slog.New(slog.DiscardHandler), Memory: &b.held,
		Settings: func(string, Settings) Settings { return b.settings },
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.c = c
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx)
	}()
	b.stop = func() {
		cancel()
		<-done
	}
}

// produce appends a batch of n records, whose values are their offsets, and returns the first.
func (b *bench) produce(shard int32, n int) stream.Offset {
	b.t.Helper()
	var w batch.Builder
	for i := range n {
		w.Add(time.Now().UnixMilli(), nil, fmt.Appendf(nil, "%d", i))
	}
	ticket := b.log.Append(b.t.Context(), []stream.Append{{Shard: b.topic.Shard(shard), Batch: w.Finish(batch.NoProducer)}})
	got, err := ticket.Wait(b.t.Context())
	if err != nil || got[0].Err != nil {
		b.t.Fatal(err, got)
	}
	synctest.Wait() // who waits for records is told by another goroutine
	return got[0].Base
}

func (b *bench) beat(member string, epoch int32, topics ...string) (Beaten, error) {
	got, _, err := b.c.Beat(b.t.Context(), "g", Beat{Member: member, Epoch: epoch, Topics: topics})
	return got, err
}

// consumer is a member as stock clients behave.
type consumer struct {
	*bench
	name  string
	epoch int32 // of its session
	fetch Fetch // what it asks, but for epoch and acks
	last  error
}

// join makes a member that reads shards of the topic, 500 records at most, without waiting.
func (b *bench) join(name string, shards ...int32) *consumer {
	b.t.Helper()
	if _, err := b.beat(name, JoinEpoch, "t"); err != nil {
		b.t.Fatal(err)
	}
	c := &consumer{bench: b, name: name, fetch: Fetch{MinBytes: 1, MaxBytes: 1 << 20, Wish: Wish{Records: 500}}}
	c.fetch.Group, c.fetch.Member, c.fetch.Owner = "g", name, name
	for _, s := range shards {
		c.fetch.Shards = append(c.fetch.Shards, Asked{Shard: b.topic.Shard(s)})
	}
	return c
}

// ask sends a fetch with acks of shard 0, and returns what was acquired of all shards as "shard:first-last*deliveries".
func (c *consumer) ask(acks ...Ack) string {
	f := c.fetch
	f.Epoch = c.epoch
	f.Shards = slices.Clone(f.Shards)
	if len(acks) > 0 {
		f.Shards[0].Acks = acks
	}
	answer, err := c.c.Fetch(c.t.Context(), &f)
	defer answer.Release()
	if c.last = err; err != nil {
		return errorName(err)
	}
	c.epoch++
	return c.read(&answer)
}

func (c *consumer) read(answer *Fetched) string {
	var got []string
	for _, a := range answer.Shards {
		if err := a.Err; err != nil {
			got = append(got, errorName(err))
		}
		if a.AckErr != nil {
			got = append(got, "ack "+errorName(a.AckErr))
		}
		for _, taken := range a.Taken {
			got = append(got, fmt.Sprintf("%d:%d-%d*%d", a.Shard.Index, taken.First, taken.Last, taken.Deliveries))
		}
		c.check(&a)
	}
	return strings.Join(got, " ")
}

// check sees that every record that was acquired is there to read.
func (c *consumer) check(a *Answered) {
	there := map[stream.Offset]bool{}
	for _, b := range a.Batches {
		any := false
		if err := batch.Records(b, 0, func(r *batch.Record) bool {
			there[stream.Offset(r.Offset)] = true
			any = any || slices.ContainsFunc(a.Taken, func(t Taken) bool { return t.First <= stream.Offset(r.Offset) && stream.Offset(r.Offset) <= t.Last })
			return true
		}); err != nil || !any {
			c.t.Errorf("a batch of which nothing was acquired, %v: %v", a.Taken, err)
		}
	}
	for _, t := range a.Taken {
		for o := t.First; o <= t.Last; o++ {
			if !there[o] {
				c.t.Errorf("%d was acquired and is not there", o)
			}
		}
	}
}

func errorName(err error) string {
	var known *kerr.Error
	if errors.As(err, &known) {
		return known.Message
	}
	return err.Error()
}

// say sends acknowledgements of shard 0 alone, sayOf those of another.
func (c *consumer) say(acks ...Ack) string { return c.sayOf(0, acks...) }

func (c *consumer) sayOf(shard int32, acks ...Ack) string {
	r := Request{Group: "g", Member: c.name, Owner: c.name, Epoch: c.epoch, Renew: true, Shards: []Asked{{c.topic.Shard(shard), acks}}}
	answer, err := c.c.Acknowledge(c.t.Context(), &r)
	if err != nil {
		return errorName(err)
	}
	c.epoch++
	return c.read(&answer)
}

func (b *bench) expect(what, got, want string) {
	b.t.Helper()
	if got != want {
		b.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func all(kind Kind, first, last stream.Offset) Ack { return Ack{first, last, []Kind{kind}} }

func TestRecordsAreGivenToOneAtATime(t *testing.T) {
	on(t, Config{}, func(t *testing.T, b *bench) {
		b.produce(0, 10)
		b.produce(1, 5)
		a, o := b.join("a", 0, 1), b.join("o", 0, 1)
		a.fetch.Wish.Records = 7
		b.expect("a takes some", a.ask(), "0:0-6*1")
		b.expect("the other the rest", o.ask(), "0:7-9*1 1:0-4*1")
		b.expect("nothing is left", a.ask(), "")
		b.expect("a says no to some", a.say(all(Accept, 0, 3), all(Release, 4, 4), all(Reject, 5, 6)), "")
		b.expect("the other gets it", o.ask(all(Accept, 7, 9)), "0:4-4*2")
		b.expect("that is all", a.ask(), "")
		b.expect("one says of another's", a.say(all(Accept, 4, 4)), "ack INVALID_RECORD_STATE")
		b.expect("done", o.say(all(Accept, 4, 4)), "")
		p, err := b.c.Positions("g")
		b.expect("positions", fmt.Sprint(p[0].Start, p[1].Start, err), "10 0 <nil>")
		if b.held.held != 0 {
			t.Errorf("answers hold %d bytes", b.held.held)
		}
	})
}

// TestAnswersKeepToTheirMemory: where there is none a small batch is given at once, and a large one when there is memory for that: until then others may
// have it.
func TestAnswersKeepToTheirMemory(t *testing.T) {
	on(t, Config{}, func(t *testing.T, b *bench) {
		b.held.batches = make(chan struct{}, 1)
		b.held.setNone(true)
		for _, shard := range []int32{0, 2, 3} {
			b.produce(shard, 3000) // 32 KB
		}
		b.produce(1, 5)
		a, o, m, s := b.join("a", 0), b.join("o", 0), b.join("m", 2, 3), b.join("s", 1)
		b.expect("a small batch", s.ask(), "1:0-4*1")
		asks := func(ctx context.Context) chan string {
			f, got := a.fetch, make(chan string, 1)
			f.Epoch = a.epoch
			a.epoch++
			go func() {
				answer, _ := b.c.Fetch(ctx, &f) // who hangs up may be told an error, which nobody hears
				got <- a.read(&answer)
				answer.Release()
			}()
			synctest.Wait()
			return got
		}
		ctx, hangUp := context.WithCancel(t.Context())
		got := asks(ctx)
		hangUp()
		b.expect("who hangs up while it waits has nothing", <-got, "")

		got = asks(t.Context())
		select {
		case answer := <-got:
			t.Errorf("a large batch is given where there is no memory: %s", answer)
		default:
		}
		b.held.setNone(false)
		b.expect("another has memory", o.ask(), "0:0-499*1")
		b.held.setNone(true)
		b.held.batches <- struct{}{}
		b.expect("then there is some", <-got, "0:500-999*1")
		synctest.Wait()
		if len(b.held.batches) != 1 {
			t.Error("it is not given back")
		}
		<-b.held.batches

		b.held.setNone(false)
		m.fetch.MaxBytes, m.fetch.Wish.Records = 50<<10, 5000
		b.expect("a second batch is too much", m.ask(), "2:0-1999*1")
		b.expect("it has its turn", m.ask(), "3:0-1999*1")
		if b.held.held != 0 {
			t.Errorf("answers hold %d bytes", b.held.held)
		}
	})
}

func TestWhatWasAcknowledgedSurvives(t *testing.T) {
	on(t, Config{}, func(t *testing.T, b *bench) {
		b.produce(0, 10)
		a := b.join("a", 0)
		b.expect("all", a.ask(), "0:0-9*1")
		b.expect("some done", a.say(all(Accept, 1, 4), all(Release, 5, 5)), "")
		b.start(Config{})
		b.expect("its session is gone", a.ask(), "SHARE_SESSION_NOT_FOUND")
		if got, err := b.beat("a", 1); err != nil || got.Epoch != 2 || len(got.Assignment) != 4 {
			t.Errorf("it is a member yet: %+v, %v", got, err)
		}
		a.epoch = 0
		b.expect("the rest is given again", a.ask(), "0:0-0*1 0:5-5*2 0:6-9*1")
		b.expect("and done", a.say(all(Accept, 0, 0), all(Accept, 5, 9)), "")
		b.start(Config{})
		a.epoch = 0
		b.expect("nothing is left", a.ask(), "")
	})
}

func TestNothingIsAnsweredThatIsNotKept(t *testing.T) {
	on(t, Config{}, func(t *testing.T, b *bench) {
		b.produce(0, 10)
		a := b.join("a", 0)
		b.expect("all", a.ask(), "0:0-9*1")
		b.store.setBroken(errors.New("no room"))
		b.expect("not kept", a.say(all(Accept, 0, 4)), "COORDINATOR_NOT_AVAILABLE")
		if _, err := b.beat("b", JoinEpoch, "t"); !errors.Is(err, kerr.CoordinatorNotAvailable) {
			t.Errorf("joined: %v", err)
		}
		b.store.setBroken(nil)
		a.epoch++
		b.expect("kept with what is said next, though that changes nothing", a.say(all(Renew, 9, 9)), "")
		b.start(Config{})
		a.epoch = 0
		b.expect("the rest", a.ask(), "0:5-9*1")
	})
}

func TestWaitingFetches(t *testing.T) {
	on(t, Config{}, func(t *testing.T, b *bench) {
		a, o := b.join("a", 0, 1), b.join("o", 0, 1)
		got := make(chan string, 2)
		wait := func(c *consumer) {
			c.fetch.MaxWait = time.Minute
			go func() { got <- c.name + " " + c.ask() }()
			synctest.Wait()
		}
		wait(a)
		wait(o)
		begin := time.Now()
		b.produce(1, 3)
		b.expect("one is woken", <-got, "a 1:0-2*1")
		synctest.Wait()
		b.produce(0, 600)
		b.expect("the other", <-got, "o 0:0-499*1")
		if took := time.Since(begin); took != 0 {
			t.Errorf("that took %v", took)
		}
		wait(a)
		b.expect("what was left", <-got, "a 0:500-599*1")
		wait(a)
		b.expect("release", o.say(all(Release, 3, 5)), "")
		b.expect("somebody waits for that", <-got, "a 0:3-5*2")
		b.expect("done", a.say(all(Accept, 4, 5), all(Accept, 500, 599))+a.sayOf(1, all(Accept, 0, 2))+o.say(all(Accept, 6, 499)), "")
		time.Sleep(time.Second)
		b.expect("a renewal", a.say(all(Renew, 3, 3)), "")
		wait(a)
		b.expect("locks expire in time", <-got, "a 0:0-2*2")
		if took := time.Since(begin); took != 30*time.Second {
			t.Errorf("that took %v", took)
		}
		wait(o)
		b.expect("renewed ones later", <-got, "o 0:3-3*3")
		if took := time.Since(begin); took != 31*time.Second {
			t.Errorf("that took %v", took)
		}
		wait(o)
		b.c.Disconnect("a")
		b.expect("its connection is gone", <-got, "o 0:0-2*3")
	})
}

func TestWaitingForBytes(t *testing.T) {
	on(t, Config{}, func(t *testing.T, b *bench) {
		a, o := b.join("a", 0), b.join("o", 0)
		a.fetch.MinBytes, a.fetch.MaxWait = 1000, time.Minute
		got := make(chan string, 1)
		go func() { got <- a.ask() }()
		synctest.Wait()
		b.produce(0, 3)
		synctest.Wait()
		select {
		case early := <-got:
			t.Errorf("answered with %q", early)
		default:
		}
		b.produce(0, 200)
		b.expect("enough", <-got, "0:0-202*1")
		b.produce(0, 3)
		go func() { got <- a.ask() }()
		synctest.Wait()
		o.fetch.MaxWait = time.Minute
		b.expect("others need not wait so long", o.ask(), "0:203-205*1")
		begin := time.Now()
		b.expect("enough when the locks have expired", <-got, "0:0-205*2")
		if took := time.Since(begin); took != 30*time.Second {
			t.Errorf("that took %v", took)
		}
	})
}

// Who finds a window being read for another is called when that is over, also if it has seen all news of the window before.
func TestWindowThatIsBusy(t *testing.T) {
	on(t, Config{}, func(t *testing.T, b *bench) {
		b.produce(0, 10)
		a := b.join("a", 0)
		a.fetch.Wish.Records, a.fetch.MaxWait = 4, time.Minute
		b.expect("some", a.ask(), "0:0-3*1")
		w := b.c.groups["g"].windows[b.topic.Shard(0)]
		b.c.mu.Lock()
		w.busy = true
		w.subs[0].looked = w.news
		b.c.mu.Unlock()
		got := make(chan string, 1)
		go func() { got <- a.ask() }()
		synctest.Wait()
		begin := time.Now()
		b.c.mu.Lock()
		w.busy = false
		b.c.callLocked(w)
		b.c.mu.Unlock()
		b.expect("the rest", <-got, "0:4-7*1")
		if took := time.Since(begin); took != 0 {
			t.Errorf("that took %v", took)
		}
	})
}

func TestRenewalsThatAreNotAllowed(t *testing.T) {
	on(t, Config{}, func(t *testing.T, b *bench) {
		b.settings.NoRenew = true
		b.produce(0, 1)
		a := b.join("a", 0)
		b.expect("one", a.ask(), "0:0-0*1")
		b.expect("more time", a.say(all(Renew, 0, 0)), "ack INVALID_REQUEST")
	})
}

func TestFullWindow(t *testing.T) {
	on(t, Config{Defaults: Settings{Limits: Limits{Locks: 10}}}, func(t *testing.T, b *bench) {
		b.produce(0, 30)
		a, o := b.join("a", 0), b.join("o", 0)
		a.fetch.Wish.Whole = true
		b.expect("no more than there is room for", a.ask(), "0:0-9*1")
		b.expect("not for others either", o.ask(), "")
		o.fetch.MaxWait = time.Minute
		got := make(chan string, 1)
		go func() { got <- o.ask() }()
		synctest.Wait()
		b.expect("the second half is done", a.say(all(Accept, 5, 9)), "")
		synctest.Wait()
		b.expect("the first as well", a.say(all(Accept, 0, 4)), "")
		b.expect("there is room", <-got, "0:10-19*1")
	})
}

func TestSessions(t *testing.T) {
	on(t, Config{MaxSessions: 2, MaxSubscribed: 3}, func(t *testing.T, b *bench) {
		b.produce(0, 4)
		a := b.join("a", 0)
		b.expect("an acknowledgement opens none", a.say(all(Accept, 0, 0)), "INVALID_SHARE_SESSION_EPOCH")
		a.epoch = 3
		b.expect("there is none", a.ask(), "SHARE_SESSION_NOT_FOUND")
		b.expect("nor to say anything in", a.say(all(Accept, 0, 0)), "SHARE_SESSION_NOT_FOUND")
		a.epoch = 0
		b.expect("what is new has nothing to say", a.ask(all(Accept, 0, 0)), "INVALID_REQUEST")
		b.expect("opened", a.ask(), "0:0-3*1")
		a.epoch = 3
		b.expect("not its turn", a.ask(), "INVALID_SHARE_SESSION_EPOCH")
		b.expect("nor to say anything", a.say(all(Accept, 0, 0)), "INVALID_SHARE_SESSION_EPOCH")
		a.epoch = 0
		b.expect("opened anew, what it had is for all", a.ask(), "0:0-3*2")
		o := b.join("o", 0, 1)
		b.expect("another", o.ask(), "")
		x := b.join("x", 0)
		b.expect("one too many", x.ask(), "SHARE_SESSION_LIMIT_REACHED")
		a.epoch = -1
		b.expect("closed", a.say(all(Accept, 0, 1)), "")
		b.expect("what it had is for others", o.ask(), "0:2-3*3")
		a.epoch = 1
		b.expect("gone", a.ask(), "SHARE_SESSION_NOT_FOUND")
		x.fetch.Shards = append(x.fetch.Shards, Asked{Shard: b.topic.Shard(1)})
		b.expect("a shard too many", x.ask(), "SHARE_SESSION_LIMIT_REACHED")
		o.fetch.Forget, o.fetch.Shards = []stream.Shard{b.topic.Shard(0)}, nil
		b.expect("without a shard", o.ask(), "")
		b.produce(0, 1)
		b.expect("nothing comes of it", o.ask(), "")
		if x.fetch.Group = "nope"; x.ask() != "GROUP_ID_NOT_FOUND" {
			t.Error("a session with no group:", x.last)
		}
	})
}

func TestMembersThatVanish(t *testing.T) {
	on(t, Config{}, func(t *testing.T, b *bench) {
		b.produce(0, 4)
		b.settings.Lock = time.Hour
		a := b.join("a", 0)
		b.expect("a", a.ask(), "0:0-3*1")
		time.Sleep(40 * time.Second)
		o := b.join("o", 0)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		b.expect("its records are for others", o.ask(), "0:0-3*2")
		if _, err := b.beat("a", 1); !errors.Is(err, kerr.UnknownMemberID) {
			t.Errorf("a is a member: %v", err)
		}
		if got, err := b.beat("o", LeaveEpoch); err != nil || got.Epoch != LeaveEpoch {
			t.Errorf("left: %+v, %v", got, err)
		}
		x := b.join("x", 0)
		b.expect("who leaves has nothing", x.ask(), "0:0-3*3")
	})
}

func TestWhereGroupsBegin(t *testing.T) {
	on(t, Config{}, func(t *testing.T, b *bench) {
		b.settings.Reset = Reset{}
		b.produce(0, 4)
		time.Sleep(time.Hour)
		b.produce(1, 4)
		time.Sleep(time.Minute)
		b.produce(1, 2)
		a := b.join("a", 0)
		b.expect("at the end", a.ask(), "")
		b.produce(0, 2)
		b.start(Config{})
		a.epoch = 0
		b.expect("which it remembers", a.ask(), "0:4-5*1")
		b.settings.Reset = Reset{Ago: 30 * time.Second}
		a.fetch.Shards = []Asked{{Shard: b.topic.Shard(1)}, {Shard: b.topic.Shard(2)}}
		b.expect("some time ago", a.ask(), "1:4-5*1")
	})
}

func TestTheLogMovesOn(t *testing.T) {
	on(t, Config{}, func(t *testing.T, b *bench) {
		b.log.LeaveGaps(5)
		b.produce(0, 4)
		b.log.LeaveGaps(0)
		b.produce(0, 4)
		a := b.join("a", 0)
		b.expect("over a gap", a.ask(), "0:0-3*1 0:9-12*1")
		b.expect("released", a.say(all(Release, 0, 3), all(Accept, 9, 12)), "")
		if _, err := b.log.Trim(t.Context(), b.topic.Shard(0), 2); err != nil {
			t.Fatal(err)
		}
		b.expect("what the log has dropped is gone", a.ask(), "0:2-3*2")
		b.expect("done", a.say(all(Accept, 2, 3)), "")
		p, _ := b.c.Positions("g")
		b.expect("positions", fmt.Sprint(p[0].Start), "13")
		if err := b.log.Delete(t.Context(), b.topic.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * sweepEvery)
		synctest.Wait()
		if p, _ = b.c.Positions("g"); len(p) > 0 {
			t.Errorf("of a stream that is gone: %v", p)
		}
		if docs, err := b.store.List(t.Context(), windowKind, ""); len(docs) > 0 || err != nil {
			t.Errorf("kept: %v, %v", docs, err)
		}
	})
}

func TestAdministration(t *testing.T) {
	on(t, Config{}, func(t *testing.T, b *bench) {
		b.produce(0, 10)
		b.produce(1, 10)
		a := b.join("a", 0, 1)
		b.expect("all", a.ask(), "0:0-9*1 1:0-9*1")
		b.expect("some", a.say(all(Accept, 0, 4)), "")
		ctx := t.Context()
		to := []SetPosition{{b.topic.Shard(0), 2}, {b.topic.Shard(3), 0}}
		_, err := b.c.ForgetStreams(ctx, "g", nil)
		b.expect("not while there are members", strings.Join([]string{errorName(b.c.Alter(ctx, "g", to)), errorName(b.c.Delete(ctx, "g")), errorName(err)}, " "),
			"NON_EMPTY_GROUP NON_EMPTY_GROUP NON_EMPTY_GROUP")
		b.expect("list", fmt.Sprint(b.c.List()), "[{g Stable}]")
		d, err := b.c.Describe("g")
		b.expect("describe", fmt.Sprintf("%s %d %+v %v", d.State, d.Epoch, d.Members[0].Topics, err), "Stable 1 [t] <nil>")
		b.expect("assignment", fmt.Sprint(len(d.Members[0].Assignment)), "4")
		b.beat("a", LeaveEpoch)
		b.expect("list", fmt.Sprint(b.c.List()), "[{g Empty}]")
		if err := b.c.Alter(ctx, "g", to); err != nil {
			t.Error(err)
		}
		b.start(Config{})
		p, _ := b.c.Positions("g")
		b.expect("altered", fmt.Sprint(p[0].Start, p[1].Start, p[2].Shard.Index, p[2].Start), "2 0 3 0")
		a = b.join("a", 0)
		b.expect("goes on there", a.ask(), "0:2-9*1")
		b.beat("a", LeaveEpoch)
		found, err := b.c.ForgetStreams(ctx, "g", []stream.ID{{9}, b.topic.ID})
		b.expect("forgotten", fmt.Sprint(found, err), "[false true] <nil>")
		a = b.join("a", 0)
		b.expect("begins anew", a.ask(), "0:0-9*1")
		b.beat("a", LeaveEpoch)
		if err := b.c.Delete(ctx, "g"); err != nil || b.c.Exists("g") {
			t.Error(err)
		}
		b.expect("deleted", errorName(b.c.Delete(ctx, "g")), "GROUP_ID_NOT_FOUND")
		groups, _ := b.store.List(ctx, groupKind, "")
		windows, _ := b.store.List(ctx, windowKind, "")
		if len(groups)+len(windows) > 0 || b.c.bytes != 0 || b.c.windows != 0 || b.c.sessions != 0 || b.c.subscribed != 0 {
			t.Errorf("left: %v %v, %+v", groups, windows, b.c)
		}
	})
}

// A document that could not be deleted does not come to light again after a restart.
func TestDeletionIsTriedAgain(t *testing.T) {
	on(t, Config{}, func(t *testing.T, b *bench) {
		b.produce(0, 10)
		a := b.join("a", 0)
		a.ask()
		b.beat("a", LeaveEpoch)
		b.store.setBroken(errors.New("no room"))
		b.expect("not deleted", errorName(b.c.Delete(t.Context(), "g")), "COORDINATOR_NOT_AVAILABLE")
		b.store.setBroken(nil)
		time.Sleep(2 * sweepEvery)
		b.start(Config{})
		if b.c.Exists("g") {
			t.Error("it is there again")
		}
	})
}

// Many acknowledgements that come while the disk is busy are kept with one write.
func TestAcknowledgementsShareWrites(t *testing.T) {
	on(t, Config{}, func(t *testing.T, b *bench) {
		b.produce(0, 100)
		var members []*consumer
		for i := range 50 {
			m := b.join(fmt.Sprintf("m%d", i), 0)
			m.fetch.Wish.Records = 2
			b.expect("two", m.ask(), fmt.Sprintf("0:%d-%d*1", 2*i, 2*i+1))
			members = append(members, m)
		}
		before, hold := b.store.applied, make(chan struct{})
		b.store.hold = hold
		var done sync.WaitGroup
		for i, m := range members {
			done.Go(func() {
				first := stream.Offset(2 * i)
				m.say(all(Accept, first, first+1))
			})
		}
		synctest.Wait()
		close(hold)
		done.Wait()
		if n := b.store.applied - before; n < 1 || n > 2 { // the first's may have waited for the others
			t.Errorf("%d writes for 50 acknowledgements, want one for the first and one for the others at most", n)
		}
		p, _ := b.c.Positions("g")
		b.expect("all done", fmt.Sprint(p[0].Start), "100")
	})
}
