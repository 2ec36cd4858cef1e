package group

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/state/memstate"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/memlog"
)

// bench is a coordinator on memory, within a synctest bubble: the bubble's clock is the virtual one.
type bench struct {
	t     *testing.T
	log   *memlog.Log
	store *faultyStore
	topic *stream.Stream
	c     *Coordinator
	stop  func()
}

// faultyStore fails while broken.
type faultyStore struct {
	*memstate.Store
	mu     sync.Mutex
	broken error
}

func (f *faultyStore) Apply(ctx context.Context, changes ...state.Change) ([]int64, error) {
	f.mu.Lock()
	err := f.broken
	f.mu.Unlock()
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

func newBench(t *testing.T, config Config) *bench {
	b := &bench{t: t, store: &faultyStore{Store: memstate.New(clock.Real())}}
	b.log = memlog.New(clock.Real(), rand.NewChaCha8([32]byte{2}))
	t.Cleanup(func() { b.log.Close() })
	topic, err := b.log.Create(t.Context(), stream.Spec{Name: "t", Shards: 4})
	if err != nil {
		t.Fatal(err)
	}
	b.topic = topic
	b.start(config)
	return b
}

// start runs a coordinator on what the one before left.
func (b *bench) start(config Config) {
	if b.stop != nil {
		b.stop()
	}
	c, err := New(b.t.Context(), config, Deps{
		Log: b.log, Names: b.log, Store: b.store, Clock: clock.Real(),
		Random: rand.NewChaCha8([32]byte{1}), Logger: slog.New(slog.DiscardHandler),
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

func join(member string) Join {
	return Join{
		Member: member, Client: "client", Connection: "c", Session: 10 * time.Second, Rebalance: 30 * time.Second,
		ProtocolType: consumerType, Protocols: []Protocol{{Name: "range", Metadata: subscription("t")}},
	}
}

// stable makes a group with one member.
func (b *bench) stable(id string) Joined {
	b.t.Helper()
	j, err := b.c.Join(b.t.Context(), id, join(""))
	if err != nil {
		b.t.Fatal(err)
	}
	s, err := b.c.Sync(b.t.Context(), id, Sync{Member: j.Member, Generation: j.Generation, Assignments: map[string][]byte{j.Member: []byte("x")}})
	if err != nil || string(s.Assignment) != "x" {
		b.t.Fatalf("sync: %q, %v", s.Assignment, err)
	}
	return j
}

func (b *bench) commit(id string, who Commit, shard int32, next stream.Offset) error {
	return b.c.Commit(b.t.Context(), id, who, []stream.Cursor{{Shard: b.topic.Shard(shard), Next: next, Epoch: -1}})
}

func (b *bench) offsets(id string) string {
	b.t.Helper()
	cursors, err := b.c.Offsets(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	var s []string
	for _, c := range cursors {
		s = append(s, fmt.Sprintf("%d:%d", c.Shard.Index, c.Next))
	}
	return strings.Join(s, " ")
}

func (b *bench) listed() string {
	var s []string
	for _, l := range b.c.List() {
		s = append(s, fmt.Sprintf("%s/%s/%s", l.ID, l.ProtocolType, l.State))
	}
	return strings.Join(s, " ")
}

func expect(t *testing.T, what string, got, want any) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func expectErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func TestFirstJoinTakesTheInitialDelayOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{})
		defer func() { b.stop() }()
		begin := time.Now()
		b.stable("g")
		if took := time.Since(begin); took != DefaultInitialDelay {
			t.Fatalf("took %v", took)
		}
	})
}

func TestSilentMemberIsRemovedByTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{})
		defer func() { b.stop() }()
		j := b.stable("g")
		time.Sleep(9 * time.Second)
		h := Heartbeat{Member: j.Member, Generation: j.Generation}
		expectErr(t, "heartbeat", b.c.Heartbeat(t.Context(), "g", h), nil)
		time.Sleep(9 * time.Second)
		expect(t, "listed", b.listed(), "g/consumer/Stable")
		time.Sleep(time.Second)
		synctest.Wait()
		expect(t, "listed", b.listed(), "g/consumer/Empty")
		expectErr(t, "heartbeat", b.c.Heartbeat(t.Context(), "g", h), kerr.UnknownMemberID)
	})
}

func TestCallerWhoGivesUpWaitsNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{InitialDelay: time.Hour, MaxSession: 2 * time.Hour})
		defer func() { b.stop() }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		j := join("")
		j.Rebalance = 2 * time.Hour
		_, err := b.c.Join(ctx, "g", j)
		expectErr(t, "join", err, context.DeadlineExceeded)
		synctest.Wait()
		d, err := b.c.Describe("g")
		if err != nil || len(d.Members) != 0 {
			t.Fatalf("%+v, %v", d, err)
		}
	})
}

// As in Kafka, tools see during a rebalance what the members had before it.
func TestDescribeShowsOldAssignmentsDuringARebalance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{})
		defer func() { b.stop() }()
		old := b.stable("g").Member
		described := func(state State, members int) {
			t.Helper()
			d, err := b.c.Describe("g")
			if err != nil || d.State != state || len(d.Members) != members || d.Protocol != "" {
				t.Fatalf("%+v, %v", d, err)
			}
			for _, m := range d.Members {
				want := ""
				if m.ID == old {
					want = "x"
				}
				if string(m.Assignment) != want || m.Metadata != nil {
					t.Errorf("%s: member %s has the assignment %q and metadata %q", state, m.ID, m.Assignment, m.Metadata)
				}
			}
		}
		joined := make(chan error, 2)
		for _, member := range []string{"", old} {
			go func() {
				_, err := b.c.Join(t.Context(), "g", join(member))
				joined <- err
			}()
			synctest.Wait()
			if member == "" {
				described(PreparingRebalance, 2)
			}
		}
		expectErr(t, "join", errors.Join(<-joined, <-joined), nil)
		described(CompletingRebalance, 2)
	})
}

func TestStopAnswersWhoeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{InitialDelay: time.Hour})
		got := make(chan error, 1)
		go func() {
			_, err := b.c.Join(t.Context(), "g", join(""))
			got <- err
		}()
		synctest.Wait()
		b.stop()
		expectErr(t, "join", <-got, kerr.CoordinatorNotAvailable)
		_, err := b.c.Join(t.Context(), "g", join(""))
		expectErr(t, "join after stop", err, kerr.CoordinatorNotAvailable)
	})
}

func TestRestartKeepsGenerationAndOffsets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{})
		defer func() { b.stop() }()
		j := b.stable("g")
		who := Commit{Member: j.Member, Generation: j.Generation}
		expectErr(t, "commit", b.commit("g", who, 1, 42), nil)
		expectErr(t, "commit", b.commit("simple", Commit{Generation: -1}, 2, 7), nil)
		b.start(Config{})
		expect(t, "listed", b.listed(), "g/consumer/Stable simple//Empty")
		expect(t, "offsets", b.offsets("g"), "1:42")
		expectErr(t, "heartbeat", b.c.Heartbeat(t.Context(), "g", Heartbeat{Member: j.Member, Generation: j.Generation}), nil)
		expectErr(t, "commit", b.commit("g", who, 1, 43), nil)
		d, err := b.c.Describe("g")
		if err != nil || len(d.Members) != 1 || string(d.Members[0].Assignment) != "x" || d.Protocol != "range" {
			t.Fatalf("%+v, %v", d, err)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		expect(t, "listed", b.listed(), "g/consumer/Empty simple//Empty")
	})
}

func TestAnswersWaitForTheirDocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{})
		defer func() { b.stop() }()
		j, err := b.c.Join(t.Context(), "g", join(""))
		if err != nil {
			t.Fatal(err)
		}
		b.store.setBroken(errors.New("disk on fire"))
		s := Sync{Member: j.Member, Generation: j.Generation, Assignments: map[string][]byte{j.Member: []byte("x")}}
		_, err = b.c.Sync(t.Context(), "g", s)
		expectErr(t, "sync", err, kerr.CoordinatorNotAvailable)
		b.store.setBroken(nil)
		synced, err := b.c.Sync(t.Context(), "g", s)
		if err != nil || string(synced.Assignment) != "x" {
			t.Fatalf("%q, %v", synced.Assignment, err)
		}
		b.start(Config{})
		expect(t, "listed after restart", b.listed(), "g/consumer/Stable")
	})
}

func TestCommitRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{})
		defer func() { b.stop() }()
		j := b.stable("g")
		for _, row := range []struct {
			name, group string
			who         Commit
			want        error
		}{
			{"member", "g", Commit{Member: j.Member, Generation: 1}, nil},
			{"stale", "g", Commit{Member: j.Member, Generation: 0}, kerr.IllegalGeneration},
			{"stranger", "g", Commit{Member: "x", Generation: 1}, kerr.UnknownMemberID},
			{"nobody in a group with members", "g", Commit{Generation: -1}, kerr.UnknownMemberID},
			{"unknown instance", "g", Commit{Member: j.Member, Instance: "i", Generation: 1}, kerr.UnknownMemberID},
			{"nobody, new group", "simple", Commit{Generation: -1}, nil},
			{"nobody, no group", "", Commit{Generation: -1}, nil},
			{"member of no group", "none", Commit{Member: "x", Generation: 3}, kerr.GroupIDNotFound},
			{"long group", strings.Repeat("g", MaxIDBytes+1), Commit{Generation: -1}, kerr.InvalidGroupID},
		} {
			expectErr(t, row.name, b.commit(row.group, row.who, 0, 1), row.want)
		}
		gone := []stream.Cursor{{Shard: stream.Shard{Stream: stream.ID{1}}}}
		expectErr(t, "no stream", b.c.Commit(t.Context(), "simple", Commit{Generation: -1}, gone), stream.ErrNotFound)
		expect(t, "listed", b.listed(), "//Empty g/consumer/Stable simple//Empty")
	})
}

func TestOffsetsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{OffsetsRetention: time.Hour, RetentionCheck: time.Minute})
		defer func() { b.stop() }()
		other, err := b.log.Create(t.Context(), stream.Spec{Name: "other", Shards: 1})
		if err != nil {
			t.Fatal(err)
		}
		j := b.stable("g")
		who := Commit{Member: j.Member, Generation: 1}
		expectErr(t, "commit", b.commit("g", who, 0, 5), nil)
		err = b.c.Commit(t.Context(), "g", who, []stream.Cursor{{Shard: other.Shard(0), Next: 6}})
		expectErr(t, "commit of what is not subscribed", err, nil)
		expectErr(t, "commit", b.commit("simple", Commit{Generation: -1}, 0, 5), nil)
		err = b.c.Commit(t.Context(), "short", Commit{Generation: -1}, []stream.Cursor{{Shard: other.Shard(0), Next: 7, Retention: time.Minute}})
		expectErr(t, "commit with its own retention", err, nil)

		for range 59 * 12 {
			time.Sleep(5 * time.Second)
			expectErr(t, "heartbeat", b.c.Heartbeat(t.Context(), "g", Heartbeat{Member: j.Member, Generation: 1}), nil)
		}
		expect(t, "listed before", b.listed(), "g/consumer/Stable simple//Empty")
		for range 3 * 12 {
			time.Sleep(5 * time.Second)
			expectErr(t, "heartbeat", b.c.Heartbeat(t.Context(), "g", Heartbeat{Member: j.Member, Generation: 1}), nil)
		}
		synctest.Wait()
		expect(t, "listed after", b.listed(), "g/consumer/Stable")
		expect(t, "offsets of the active group", b.offsets("g"), "0:5")
		expect(t, "offsets of no group", b.offsets("simple"), "")

		_, err = b.c.Leave(t.Context(), "g", []Leave{{Member: j.Member}})
		expectErr(t, "leave", err, nil)
		time.Sleep(59 * time.Minute)
		expect(t, "offsets within retention", b.offsets("g"), "0:5")
		b.start(Config{OffsetsRetention: time.Hour, RetentionCheck: time.Minute})
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		expect(t, "offsets after retention", b.offsets("g"), "")
		expect(t, "listed at the end", b.listed(), "")
		docs, err := b.store.List(t.Context(), kind, "")
		if err != nil || len(docs) != 0 {
			t.Fatalf("documents left: %v, %v", docs, err)
		}
	})
}

func TestDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{})
		defer func() { b.stop() }()
		j := b.stable("g")
		expectErr(t, "commit", b.commit("g", Commit{Member: j.Member, Generation: 1}, 0, 5), nil)
		expectErr(t, "delete with members", b.c.Delete(t.Context(), "g"), kerr.NonEmptyGroup)
		expectErr(t, "delete nothing", b.c.Delete(t.Context(), "none"), kerr.GroupIDNotFound)

		errs, err := b.c.DeleteOffsets(t.Context(), "g", []Committed{{Topic: "t", Shard: b.topic.Shard(0)}})
		expectErr(t, "delete offsets", err, nil)
		expectErr(t, "delete offsets of a subscribed topic", errs[0], kerr.GroupSubscribedToTopic)
		_, err = b.c.DeleteOffsets(t.Context(), "none", nil)
		expectErr(t, "delete offsets of nothing", err, kerr.GroupIDNotFound)

		if _, err = b.c.Leave(t.Context(), "g", []Leave{{Member: j.Member}}); err != nil {
			t.Fatal(err)
		}
		expectErr(t, "commit", b.commit("g", Commit{Generation: -1}, 1, 6), nil)
		errs, err = b.c.DeleteOffsets(t.Context(), "g", []Committed{{Topic: "t", Shard: b.topic.Shard(0)}})
		expectErr(t, "delete offsets", errors.Join(append(errs, err)...), nil)
		expect(t, "offsets", b.offsets("g"), "1:6")

		b.store.setBroken(errors.New("disk on fire"))
		if err = b.c.Delete(t.Context(), "g"); err == nil {
			t.Fatal("delete did not fail")
		}
		expect(t, "listed after failure", b.listed(), "g/consumer/Empty")
		b.store.setBroken(nil)
		expectErr(t, "delete", b.c.Delete(t.Context(), "g"), nil)
		_, err = b.c.Describe("g")
		expectErr(t, "describe", err, kerr.GroupIDNotFound)
		b.start(Config{})
		expect(t, "listed after restart", b.listed(), "")
		b.stable("g")
	})
}

func TestConcurrentCommitsAndDeletesLeaveNoGhost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{})
		defer func() { b.stop() }()
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for n := range 200 {
					if i%4 == 3 {
						_ = b.c.Delete(t.Context(), "g")
						continue
					}
					err := b.commit("g", Commit{Generation: -1}, int32(i%4), stream.Offset(n)) //nolint:gosec // small
					if err != nil && !errors.Is(err, kerr.CoordinatorNotAvailable) {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if (b.offsets("g") != "") != (b.listed() != "") {
			t.Fatalf("offsets %q of groups %q", b.offsets("g"), b.listed())
		}
	})
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{MaxGroups: 2, MaxBytes: 600, MaxGroupBytes: 500})
		defer func() { b.stop() }()
		expectErr(t, "commit", b.commit("a", Commit{Generation: -1}, 0, 1), nil)
		big := join("")
		big.Protocols[0].Metadata = make([]byte, 400)
		_, err := b.c.Join(t.Context(), "b", big)
		expectErr(t, "join", err, nil)
		_, err = b.c.Join(t.Context(), "a", big)
		expectErr(t, "join beyond all memory", err, kerr.GroupMaxSizeReached)
		_, err = b.c.Join(t.Context(), "c", join(""))
		expectErr(t, "third group", err, kerr.GroupMaxSizeReached)
		for _, session := range []time.Duration{DefaultMinSession - 1, DefaultMaxSession + 1} {
			j := join("")
			j.Session = session
			_, err = b.c.Join(t.Context(), "b", j)
			expectErr(t, "session "+session.String(), err, kerr.InvalidSessionTimeout)
		}
		_, err = b.c.Join(t.Context(), "", join(""))
		expectErr(t, "no group id", err, kerr.InvalidGroupID)
		_, err = b.c.Join(t.Context(), "c", join("x"))
		expectErr(t, "unknown member of no group", err, kerr.UnknownMemberID)
	})
}

func TestManyMembersRebalanceOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{})
		defer func() { b.stop() }()
		const n = 200
		var mu sync.Mutex
		var got []string
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				j, err := b.c.Join(t.Context(), "g", join(""))
				if err != nil || j.Generation != 1 {
					t.Errorf("generation %d, %v", j.Generation, err)
					return
				}
				in := Sync{Member: j.Member, Generation: 1, Assignments: map[string][]byte{}}
				for _, f := range j.Members {
					in.Assignments[f.Member] = []byte(f.Member)
				}
				s, err := b.c.Sync(t.Context(), "g", in)
				if err != nil || string(s.Assignment) != j.Member {
					t.Errorf("assignment %q of %s, %v", s.Assignment, j.Member, err)
				}
				mu.Lock()
				defer mu.Unlock()
				got = append(got, j.Member)
			})
		}
		wg.Wait()
		slices.Sort(got)
		expect(t, "different members", len(slices.Compact(got)), n)
	})
}

func TestConfigNamesWhatIsWrong(t *testing.T) {
	err := Config{MinSession: time.Hour, MaxSession: time.Minute, MaxGroups: -1, MaxMetadataBytes: -1}.Validate()
	for _, want := range []string{"session timeouts", "group limits", "offset metadata bound"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	if err = (Config{}).Validate(); err != nil {
		t.Error(err)
	}
}

func FuzzDecodeDocument(f *testing.F) {
	f.Add([]byte(`{"state":"Stable","generation":3,"leader":"a","members":[{"id":"a","sessionNanos":9,"rebalanceNanos":9,"protocols":[{"name":"range","metadata":"AAA="}]}]}`))
	f.Add([]byte(`{"state":"Empty"}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		doc, err := DecodeDocument(value)
		if err != nil {
			return
		}
		m := Restore("g", Config{}.WithDefaults(), time.Unix(0, 0), doc)
		for range 10 * (len(doc.Members) + 1) {
			next := m.Deadline()
			if next.IsZero() {
				break
			}
			m.Tick(next)
			m.Ready()
			if again := m.Deadline(); !again.IsZero() && !again.After(next) {
				t.Fatalf("due at %v again after that", again)
			}
		}
	})
}

func BenchmarkHeartbeat(b *testing.B) {
	for _, members := range []int{10, 5000} {
		b.Run(fmt.Sprintf("%d members", members), func(b *testing.B) {
			c, err := New(b.Context(), Config{InitialDelay: -1}, Deps{
				Log: memlog.New(clock.Real(), rand.NewChaCha8([32]byte{2})), Store: memstate.New(clock.Real()), Clock: clock.Real(),
				Random: rand.NewChaCha8([32]byte{1}), Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				b.Fatal(err)
			}
			m := NewMachine("g", c.config, time.Now())
			e := c.insertLocked("g", m)
			for i := range members {
				j := join("")
				j.Candidate = fmt.Sprint(i)
				m.add(time.Now(), 0, j.Candidate, j)
			}
			m.complete(time.Now())
			h := Heartbeat{Member: "1", Generation: m.generation}
			c.settleLocked(e)
			e.flushing = false
			for b.Loop() {
				if err := c.Heartbeat(b.Context(), "g", h); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestDecodeTopics(t *testing.T) {
	whole := subscription("a", "bc")
	for what, row := range map[string]struct {
		metadata []byte
		want     []string
		ok       bool
	}{
		"whole":           {whole, []string{"a", "bc"}, true},
		"no topics":       {subscription(), nil, true},
		"nothing":         {nil, nil, false},
		"cut":             {whole[:9], nil, false},
		"too many topics": {append([]byte{0, 0, 0x7f, 0xff, 0xff, 0xff}, make([]byte, 100)...), nil, false},
		"null topics":     {[]byte{0, 0, 0xff, 0xff, 0xff, 0xff}, nil, false},
		"null topic":      {[]byte{0, 0, 0, 0, 0, 1, 0xff, 0xff}, nil, false},
		"a liar's tail":   {append(whole[:len(whole):len(whole)], 0x7f, 0xff, 0xff, 0xff), []string{"a", "bc"}, true},
	} {
		if got, ok := decodeTopics(row.metadata); ok != row.ok || !slices.Equal(got, row.want) {
			t.Errorf("%s: %q, %v", what, got, ok)
		}
	}
}

// TestTopicsTakeTheMemoryOfTheirBytes: a member's metadata comes from outside and says itself how much is in it.
func TestTopicsTakeTheMemoryOfTheirBytes(t *testing.T) {
	const size = 1 << 20
	mem := member{protocols: []Protocol{{Name: "range", Metadata: append([]byte{0, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0x0f, 0xff, 0xff}, make([]byte, size)...)}}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	mem.topics("range")
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > size {
		t.Errorf("%d bytes of metadata took %d bytes to look at", size, took)
	}
}

// FuzzDecodeTopics asserts that what a general decoder reads as a subscription is read as the same topics.
func FuzzDecodeTopics(f *testing.F) {
	f.Add(subscription("a", "bc"))
	f.Add(subscription())
	f.Add([]byte{0, 0, 0x7f, 0xff, 0xff, 0xff})
	f.Add([]byte{0, 3, 0, 0, 0, 1, 0, 1, 'x', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, metadata []byte) {
		if len(metadata) > 1<<12 {
			return
		}
		got, ok := decodeTopics(metadata)
		var meta kmsg.ConsumerMemberMetadata
		if meta.ReadFrom(metadata) == nil && meta.Topics != nil && (!ok || !slices.Equal(got, meta.Topics)) {
			t.Errorf("%q, %v; want %q", got, ok, meta.Topics)
		}
	})
}
