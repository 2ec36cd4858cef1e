package offsets

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/protocol/kafka/group"
	"github.com/freshet/freshet/internal/protocol/kafka/group/assignor"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/memlog"
)

var seed = flag.Uint64("seed", 0, "of the random operations; 0 = another one each time")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a mirror of groups on memory, within a synctest bubble.
type bench struct {
	t      *testing.T
	log    *faultyLog
	truth  *truth
	mirror *Mirror
	stop   func()
}

// faultyLog fails while broken; half says that what it refuses is appended all the same, as when an answer is lost, and
// blind that of three times it finds topics once.
type faultyLog struct {
	*memlog.Log
	mu     sync.Mutex
	broken error
	half   bool
	blind  bool
	found  int
}

func (f *faultyLog) fault() (error, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.broken, f.half
}

func (f *faultyLog) set(broken error, half, blind bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken, f.half, f.blind = broken, half, blind
}

// Append implements stream.Log.
func (f *faultyLog) Append(ctx context.Context, entries []stream.Append) *stream.Ticket {
	broken, half := f.fault()
	if broken == nil {
		return f.Log.Append(ctx, entries)
	}
	if half {
		f.Log.Append(ctx, entries)
	}
	t := stream.NewTicket(len(entries))
	for i := range t.Results() {
		t.Results()[i].Err = broken
	}
	t.Finish()
	return t
}

// StreamByID implements stream.Log.
func (f *faultyLog) StreamByID(ctx context.Context, id stream.ID) (*stream.Stream, error) {
	f.mu.Lock()
	f.found++
	lost := f.blind && f.found%3 != 0
	f.mu.Unlock()
	if lost {
		return nil, errors.New("lost")
	}
	return f.Log.StreamByID(ctx, id)
}

// Read implements stream.Log.
func (f *faultyLog) Read(ctx context.Context, shard stream.Shard, from stream.Offset, maxBytes int) (stream.Chunk, error) {
	if broken, _ := f.fault(); broken != nil {
		return stream.Chunk{}, broken
	}
	return f.Log.Read(ctx, shard, from, maxBytes)
}

// truth is Groups, whose offsets are cursors of the log.
type truth struct {
	log    *memlog.Log
	during func() // what happens before offsets are told
	mu     sync.Mutex
	of     map[string]group.Snapshot
}

// IDs implements Groups.
func (g *truth) IDs() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	ids := slices.Collect(maps.Keys(g.of))
	owners, err := g.log.Owners(context.Background(), "")
	if err != nil {
		panic(err)
	}
	return append(ids, owners...)
}

// Snapshot implements Groups.
func (g *truth) Snapshot(id string) group.Snapshot {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.of[id]
}

// Offsets implements Groups.
func (g *truth) Offsets(ctx context.Context, id string) ([]stream.Cursor, error) {
	if f := g.during; f != nil {
		g.during = nil
		f()
	}
	return g.log.Committed(ctx, id)
}

func (g *truth) set(id string, s group.Snapshot) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.of[id] = s
}

func newBench(t *testing.T) *bench {
	log := memlog.New(clock.Real(), rand.NewChaCha8([32]byte{1}))
	b := &bench{t: t, log: &faultyLog{Log: log}, truth: &truth{log: log, of: map[string]group.Snapshot{}}}
	b.topic()
	b.start()
	return b
}

func (b *bench) create(name string, shards int32, labels map[string]string) *stream.Stream {
	b.t.Helper()
	config := stream.Config{}
	if labels != nil {
		config.KeepAll, config.Compaction = true, stream.Compaction{On: true, SegmentBytes: 500, DeleteRetention: -1}
	}
	st, err := b.log.Create(b.t.Context(), stream.Spec{Name: stream.Name(name), Shards: shards, Config: config, Labels: labels})
	if err != nil {
		b.t.Fatal(err)
	}
	return st
}

func (b *bench) topic() { b.create(Topic, 5, Labels(5)) }

// offsets returns the id of the topic.
func (b *bench) offsets() stream.ID {
	b.t.Helper()
	st, err := b.log.Stream(b.t.Context(), Topic)
	if err != nil {
		b.t.Fatal(err)
	}
	return st.ID
}

func (b *bench) start() {
	b.mirror = New(Deps{Log: b.log, Clock: clock.Real(), Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	m := b.mirror
	go func() {
		defer close(done)
		m.Run(ctx, b.truth)
	}()
	b.stop = func() {
		cancel()
		<-done
	}
}

// commit commits an offset, and tells the mirror.
func (b *bench) commit(id string, shard stream.Shard, next stream.Offset) {
	b.t.Helper()
	b.mirror.Committed(id, b.keep(id, shard, next))
}

// keep commits an offset that the mirror is not told of yet.
func (b *bench) keep(id string, shard stream.Shard, next stream.Offset) []stream.Cursor {
	b.t.Helper()
	cursors := []stream.Cursor{{Shard: shard, Next: next, Epoch: -1, Committed: time.Now()}}
	if err := b.log.Commit(b.t.Context(), id, cursors); err != nil {
		b.t.Fatal(err)
	}
	return cursors
}

func (b *bench) forget(id string, shards ...stream.Shard) {
	b.t.Helper()
	if err := b.log.Forget(b.t.Context(), id, shards); err != nil {
		b.t.Fatal(err)
	}
	b.mirror.Changed(id)
}

// said returns all that the topic says, in the order of each partition.
func (b *bench) said() (all []record) {
	b.t.Helper()
	st, err := b.log.Log.StreamByID(b.t.Context(), b.offsets())
	if err != nil {
		b.t.Fatal(err)
	}
	for i := range st.Shards {
		for at := stream.Offset(0); ; {
			bounds, err := b.log.Bounds(b.t.Context(), st.Shard(i))
			if err != nil {
				b.t.Fatal(err)
			}
			chunk, err := b.log.Log.Read(b.t.Context(), st.Shard(i), max(at, bounds.Start), 1<<20)
			if err != nil {
				b.t.Fatal(err)
			}
			if len(chunk.Batches) == 0 {
				break
			}
			for _, bytes := range chunk.Batches {
				err := batch.Records(bytes, 0, func(r *batch.Record) bool {
					id, _, ok := groupOf(r.Key)
					if !ok || Partition(id, 5) != i {
						b.t.Errorf("partition %d has a record of group %q: %v", i, id, ok)
					}
					all = append(all, record{slices.Clone(r.Key), slices.Clone(r.Value)})
					at = stream.Offset(r.Offset) + 1
					return true
				})
				if err != nil {
					b.t.Fatal(err)
				}
			}
		}
	}
	return all
}

// last returns what the topic says last of each key.
func (b *bench) last() map[string]string {
	last := map[string]string{}
	for _, r := range b.said() {
		if last[string(r.key)] = string(r.value); r.value == nil {
			delete(last, string(r.key))
		}
	}
	return last
}

// want returns what the topic is to say of all groups. moving are the keys of groups that are amid a rebalance: they may be there or not.
func (b *bench) want() (want map[string]string, moving func(key string) bool) {
	b.t.Helper()
	want = map[string]string{}
	for _, id := range b.truth.IDs() {
		cursors, err := b.log.Committed(b.t.Context(), id)
		if err != nil {
			b.t.Fatal(err)
		}
		for i := range cursors {
			st, err := b.log.Log.StreamByID(b.t.Context(), cursors[i].Shard.Stream)
			if err != nil {
				b.t.Fatal(err)
			}
			r := offsetRecord(id, string(st.Name), &cursors[i])
			want[string(r.key)] = string(r.value)
		}
		s := b.truth.Snapshot(id)
		if s.Classic != nil {
			r := classicRecord(id, s.Classic)
			want[string(r.key)] = string(r.value)
		}
		if s.Consumers != nil {
			for _, r := range consumerRecords(id, s.Consumers) {
				want[string(r.key)] = string(r.value)
			}
		}
	}
	return want, func(key string) bool {
		id, offset, _ := groupOf([]byte(key))
		return !offset && b.truth.Snapshot(id).Moving
	}
}

// expectTruth waits until the topic follows, and compares.
func (b *bench) expectTruth(when string) {
	b.t.Helper()
	b.mirror.Await(b.t.Context(), b.offsets())
	want, moving := b.want()
	got := b.last()
	for key, value := range want {
		if got[key] != value {
			b.t.Fatalf("%s: of key %q the topic says %q, want %q", when, key, got[key], value)
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok && !moving(key) {
			b.t.Fatalf("%s: the topic has the key %q, which is gone", when, key)
		}
	}
}

func classic(generation int32, members ...string) group.Snapshot {
	d := &group.Document{State: group.Empty, Since: time.Now(), Generation: generation, ProtocolType: "consumer"}
	for _, m := range members {
		d.State, d.Protocol, d.Leader = group.Stable, "range", members[0]
		d.Members = append(d.Members, group.MemberDocument{ID: m, Protocols: []group.ProtocolDocument{{Name: "range", Metadata: []byte(m)}}})
	}
	return group.Snapshot{Classic: d}
}

func consumers(epoch int32, topic stream.ID, members ...string) group.Snapshot {
	s := &group.ConsumerSnapshot{Group: group.ConsumerDocument{Epoch: epoch, TargetEpoch: epoch, TargetAt: time.Now()}}
	for i, m := range members {
		held := []group.HeldDocument{{Topic: topic.String(), Partitions: []int32{int32(i)}, Epochs: []int32{epoch}}}
		s.Members = append(s.Members, group.ConsumerMemberDocument{ID: m, Epoch: epoch, Assigned: held})
		s.Targets = append(s.Targets, assignor.Assignment{topic: {int32(i)}})
	}
	return group.Snapshot{Consumers: s}
}

// offsetsSaid returns the offsets that the topic says of a group, in order, "-" for a tombstone.
func (b *bench) offsetsSaid(id string) string {
	var all []string
	for _, r := range b.said() {
		var k kmsg.OffsetCommitKey
		var v kmsg.OffsetCommitValue
		switch of, offset, _ := groupOf(r.key); {
		case of != id || !offset:
		case r.value == nil:
			all = append(all, "-")
		case k.ReadFrom(r.key) != nil || v.ReadFrom(r.value) != nil:
			b.t.Fatalf("kmsg cannot read %q: %q", r.key, r.value)
		default:
			all = append(all, fmt.Sprintf("%s/%d:%d", k.Topic, k.Partition, v.Offset))
		}
	}
	return strings.Join(all, " ")
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestNothingIsWrittenUntilTheTopicIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		in := b.create("t", 3, nil)
		b.commit("g", in.Shard(0), 1)
		b.commit("g", in.Shard(0), 2)
		time.Sleep(time.Hour)
		expect(t, "unread", b.offsetsSaid("g"), "")
		b.mirror.Touch(t.Context(), b.offsets())
		expect(t, "as it is first read", b.offsetsSaid("g"), "t/0:2")
		b.commit("g", in.Shard(0), 3)
		synctest.Wait()
		expect(t, "then", b.offsetsSaid("g"), "t/0:2 t/0:3")
		b.mirror.Touch(t.Context(), b.offsets())
		time.Sleep(idleAfter - time.Minute)
		b.commit("g", in.Shard(0), 4)
		time.Sleep(2 * time.Minute)
		b.commit("g", in.Shard(0), 5)
		b.forget("gone", in.Shard(0))
		time.Sleep(time.Hour)
		expect(t, "nobody has read it for a day", b.offsetsSaid("g"), "t/0:2 t/0:3 t/0:4")
		b.mirror.Await(t.Context(), b.offsets())
		expect(t, "read again", b.offsetsSaid("g"), "t/0:2 t/0:3 t/0:4 t/0:5")
	})
}

func TestEachCommitIsFollowedByItsRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		in := b.create("t", 3, nil)
		b.mirror.Touch(t.Context(), b.offsets())
		var want []string
		for i := range 1000 {
			p := int32(i % 3)
			b.commit("g", in.Shard(p), stream.Offset(i))
			want = append(want, fmt.Sprintf("t/%d:%d", p, i))
			if i%100 == 0 {
				time.Sleep(time.Second) // amid them it is compared
			}
		}
		b.mirror.Await(t.Context(), b.offsets())
		expect(t, "commits", b.offsetsSaid("g"), strings.Join(want, " "))
	})
}

func TestWhatIsRemovedIsDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		in, other := b.create("t", 3, nil), b.create("u", 1, nil)
		b.mirror.Touch(t.Context(), b.offsets())
		b.commit("g", in.Shard(0), 1)
		b.commit("g", in.Shard(1), 2)
		b.commit("g", other.Shard(0), 3)
		b.truth.set("g", classic(3, "a"))
		b.mirror.Changed("g")
		b.expectTruth("all there")
		b.forget("g", in.Shard(0))
		b.commit("g", in.Shard(0), 4)
		b.forget("g", in.Shard(1))
		b.expectTruth("one removed")
		if err := b.log.Delete(t.Context(), other.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * compareEvery)
		b.expectTruth("a topic deleted")
		again := b.create("u", 1, nil)
		b.commit("g", again.Shard(0), 5)
		b.expectTruth("and made again")
		b.truth.set("g", group.Snapshot{Moving: true})
		b.mirror.Changed("g")
		b.expectTruth("amid a rebalance")
		if len(b.last()) != 3 {
			t.Errorf("of the group that moves nothing is said any more: %q", b.last())
		}
		b.truth.set("g", group.Snapshot{})
		b.forget("g", in.Shard(0), again.Shard(0))
		b.expectTruth("nothing left")
		if last := b.last(); len(last) != 0 {
			t.Errorf("%q", last)
		}
	})
}

// TestCommitsAtOneMomentAreComparedAgain: the mirror hears of two commits the other way around.
func TestCommitsAtOneMomentAreComparedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		in := b.create("t", 1, nil)
		b.mirror.Touch(t.Context(), b.offsets())
		first := b.keep("g", in.Shard(0), 1)
		time.Sleep(time.Millisecond)
		second := b.keep("g", in.Shard(0), 2)
		b.mirror.Committed("g", second)
		synctest.Wait()
		b.mirror.Committed("g", first)
		time.Sleep(2 * compareEvery)
		expect(t, "commits", b.offsetsSaid("g"), "t/0:2 t/0:1 t/0:2")
	})
}

// TestComparingDoesNotOvertakeCommits: what is true when a group is compared is behind commits that wait to be written.
func TestComparingDoesNotOvertakeCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer func() { b.stop() }()
		in := b.create("t", 2, nil)
		b.mirror.Touch(t.Context(), b.offsets())
		b.keep("g", in.Shard(1), 9) // of which only comparing tells
		b.truth.during = func() {
			b.commit("g", in.Shard(0), 1)
			time.Sleep(time.Millisecond)
			b.commit("g", in.Shard(0), 2)
		}
		b.mirror.Changed("g")
		b.mirror.Await(t.Context(), b.offsets())
		synctest.Wait() // what was committed while Await waited is not promised to be there
		expect(t, "commits", b.offsetsSaid("g"), "t/1:9 t/0:1 t/0:2")
	})
}

// TestQueueIsBounded: nobody takes from it, as when the disk is slow.
func TestQueueIsBounded(t *testing.T) {
	m := New(Deps{Clock: clock.Real()})
	m.following.Store(&stream.ID{1})
	for range 3 {
		m.Committed("large", make([]stream.Cursor, maxQueued/2))
	}
	m.Committed("small", make([]stream.Cursor, 1))
	if len(m.queue) != 2 || m.queued != maxQueued || !m.changed["large"] || !m.changed["small"] {
		t.Errorf("%d commits of %d offsets wait, to compare: %v", len(m.queue), m.queued, m.changed)
	}
}

// TestTopicConvergesWhateverHappens compares the topic with the truth after random commits, removals, rebalances, faults, restarts and deletions.
func TestTopicConvergesWhateverHappens(t *testing.T) {
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", s)
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	for i := range rounds {
		synctest.Test(t, func(t *testing.T) { converge(t, rand.New(rand.NewPCG(s, uint64(i)))) })
	}
}

func converge(t *testing.T, random *rand.Rand) {
	b := newBench(t)
	defer func() { b.stop() }()
	topics := []*stream.Stream{b.create("t0", 3, nil), b.create("t1", 3, nil)}
	for step := range 300 {
		id := fmt.Sprintf("group-%d", random.IntN(6))
		n := random.IntN(len(topics))
		shard := topics[n].Shard(random.Int32N(3))
		switch op := random.IntN(40); {
		case op < 14:
			b.commit(id, shard, stream.Offset(step))
		case op < 16: // two at one moment
			first, second := b.keep(id, shard, stream.Offset(step)), b.keep(id, shard, stream.Offset(step+1))
			b.mirror.Committed(id, second)
			b.mirror.Committed(id, first)
		case op < 19:
			b.forget(id, shard)
		case op < 21:
			b.truth.set(id, group.Snapshot{})
			b.forget(id, topics[0].Shard(0), topics[0].Shard(1), topics[1].Shard(0))
		case op < 25:
			b.truth.set(id, []group.Snapshot{classic(int32(step)), classic(int32(step), "a", "b"), {Moving: true}}[random.IntN(3)])
			b.mirror.Changed(id)
		case op < 28:
			b.truth.set(id, consumers(int32(step), topics[n].ID, []string{"a", "b", "c"}[:random.IntN(4)]...))
			b.mirror.Changed(id)
		case op < 30:
			b.stop()
			b.start()
		case op < 31:
			if err := b.log.Delete(t.Context(), topics[n].ID); err != nil {
				t.Fatal(err)
			}
			topics[n] = b.create([]string{string(topics[n].Name), fmt.Sprintf("new-%d", step)}[random.IntN(2)], 3, nil)
		case op < 33:
			if random.IntN(2) == 0 {
				b.log.set(nil, false, true)
			} else {
				b.log.set(errors.New("full"), random.IntN(2) == 0, false)
			}
		case op < 35:
			b.log.set(nil, false, false)
		case op < 36:
			if err := b.log.Compact(); err != nil {
				t.Fatal(err)
			}
		case op == 36 && step%3 == 0:
			if err := b.log.Delete(t.Context(), b.offsets()); err != nil {
				t.Fatal(err)
			}
			b.topic()
		case op < 38:
			b.mirror.Touch(t.Context(), b.offsets())
		default:
			time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
		}
		if step%50 == 49 {
			b.log.set(nil, false, false)
			time.Sleep(3 * compareEvery)
			b.expectTruth(fmt.Sprintf("step %d", step))
			time.Sleep(2 * compareEvery)
			b.expectTruth(fmt.Sprintf("a while after step %d", step))
		}
	}
}
