package group

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/protocol/kafka/group/assignor"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

func joinBeat(member string) ConsumerBeat {
	return ConsumerBeat{Member: member, Client: "client", Rebalance: time.Minute, Topics: []string{"t"}, Owned: []Partitions{}}
}

// beat sends a heartbeat that must not be refused.
func (b *bench) beat(id string, h ConsumerBeat) ConsumerBeaten {
	b.t.Helper()
	done, err := b.c.ConsumerBeat(b.t.Context(), id, h)
	if err != nil {
		b.t.Fatal(err)
	}
	return done
}

func (b *bench) documents() int {
	b.t.Helper()
	n := 0
	for _, k := range []string{kind, memberKind} {
		docs, err := b.store.List(b.t.Context(), k, "")
		if err != nil {
			b.t.Fatal(err)
		}
		n += len(docs)
	}
	return n
}

func TestConsumersLiveThroughARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{})
		defer func() { b.stop() }()
		first := b.beat("g", joinBeat("m1"))
		expect(t, "first", fmt.Sprint(first.Epoch, first.Assignment.Len()), "2 4")
		b.beat("g", joinBeat("m2"))
		b.beat("g", ConsumerBeat{Member: "m1", Epoch: 2})
		d, _, err := b.c.DescribeConsumers(t.Context(), "g")
		if err != nil || d.Members[0].Assigned.Len() != 4 || d.Members[0].Target.Len() != 2 {
			t.Fatalf("while it gives up two partitions: %+v, %v", d, err)
		}
		half := []Partitions{{Topic: b.topic.ID, Indexes: []int32{0, 1}}}
		b.beat("g", ConsumerBeat{Member: "m1", Epoch: 2, Owned: half})
		expect(t, "second", b.beat("g", ConsumerBeat{Member: "m2", Epoch: 3}).Assignment.Len(), 2)
		expectErr(t, "commit", b.commit("g", Commit{Member: "m1", Generation: 3, Epochs: true}, 0, 42), nil)
		expect(t, "documents", b.documents(), 3)

		b.start(Config{})
		expect(t, "listed", b.listed(), "g/consumer/Stable")
		expect(t, "offsets", b.offsets("g"), "0:42")
		again := b.beat("g", ConsumerBeat{Member: "m1", Epoch: 3, Owned: half})
		expect(t, "epoch", again.Epoch, int32(3))
		expect(t, "assigned anew", again.Assigned, false)
		expectErr(t, "commit", b.commit("g", Commit{Member: "m2", Generation: 3, Epochs: true}, 2, 7), nil)
		time.Sleep(20 * time.Second) // m2 does not show itself, m1 has
		synctest.Wait()
		d, _, err = b.c.DescribeConsumers(t.Context(), "g")
		if err != nil || len(d.Members) != 1 || d.Members[0].ID != "m1" || d.State != Assigning {
			t.Fatalf("%+v, %v", d, err)
		}
		time.Sleep(DefaultConsumerSession)
		synctest.Wait()
		expect(t, "listed", b.listed(), "g/consumer/Empty")
		expectErr(t, "delete", b.c.Delete(t.Context(), "g"), nil)
		expect(t, "documents", b.documents(), 0)
		expect(t, "offsets", b.offsets("g"), "")
	})
}

func TestConsumersAreToldWhatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{})
		defer func() { b.stop() }()
		b.store.setBroken(errors.New("disk on fire"))
		_, err := b.c.ConsumerBeat(t.Context(), "g", joinBeat("m1"))
		expectErr(t, "join", err, kerr.CoordinatorNotAvailable)
		b.store.setBroken(nil)
		b.beat("g", joinBeat("m1")) // changes nothing more, and yet all is kept with it
		b.start(Config{})
		expect(t, "listed", b.listed(), "g/consumer/Stable")
		expect(t, "epoch", b.beat("g", ConsumerBeat{Member: "m1", Epoch: 2}).Epoch, int32(2))
	})
}

func TestGroupsChangeTheirKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{})
		defer func() { b.stop() }()
		j, err := b.c.Join(t.Context(), "g", join(""))
		expectErr(t, "join", err, nil)
		given := appendGiven(1, []namedPartitions{{"t", []int32{0, 1, 2, 3}}})
		_, err = b.c.Sync(t.Context(), "g", Sync{Member: j.Member, Generation: 1, Assignments: map[string][]byte{j.Member: given}})
		expectErr(t, "sync", err, nil)
		expectErr(t, "commit", b.commit("g", Commit{Member: j.Member, Generation: 1}, 0, 5), nil)
		_, _, err = b.c.DescribeConsumers(t.Context(), "g")
		expectErr(t, "describe consumers", err, kerr.GroupIDNotFound)
		_, err = b.c.ConsumerBeat(t.Context(), "g", ConsumerBeat{Member: "m1", Epoch: 2})
		expectErr(t, "heartbeat", err, kerr.GroupIDNotFound)
		bad := "a("
		_, err = b.c.ConsumerBeat(t.Context(), "g", ConsumerBeat{Member: "m1", Pattern: &bad, Rebalance: time.Minute})
		expectErr(t, "bad pattern", err, kerr.InvalidRegularExpression)
		expect(t, "after a bad pattern", b.listed(), "g/consumer/Stable")

		// Somebody waits in a rebalance that is over when the group changes.
		waits := make(chan error, 1)
		go func() {
			_, err := b.c.Join(t.Context(), "g", join(""))
			waits <- err
		}()
		synctest.Wait()
		newcomer := b.beat("g", joinBeat("m1"))
		expect(t, "the newcomer has", newcomer.Assignment.Len(), 0)
		expectErr(t, "who waited", <-waits, kerr.RebalanceInProgress)
		_, err = b.c.Describe("g")
		expectErr(t, "describe", err, kerr.GroupIDNotFound)
		expectErr(t, "classic heartbeat", b.c.Heartbeat(t.Context(), "g", Heartbeat{Member: j.Member, Generation: 1}), kerr.RebalanceInProgress)
		b.start(Config{})
		expectErr(t, "classic heartbeat after a restart", b.c.Heartbeat(t.Context(), "g", Heartbeat{Member: j.Member, Generation: 1}), kerr.RebalanceInProgress)
		again := join(j.Member)
		k, err := b.c.Join(t.Context(), "g", again)
		expectErr(t, "join again", err, nil)
		s, err := b.c.Sync(t.Context(), "g", Sync{Member: j.Member, Generation: k.Generation})
		if got, _, ok := decodeGiven(s.Assignment); err != nil || !ok || fmt.Sprint(got) != "[{t [0 1]}]" {
			t.Fatalf("%v, %v", got, err)
		}
		expect(t, "the newcomer has", b.beat("g", ConsumerBeat{Member: "m1", Epoch: newcomer.Epoch}).Assignment.Len(), 2)
		expect(t, "offsets", b.offsets("g"), "0:5")

		b.beat("g", ConsumerBeat{Member: "m1", Epoch: left})
		d, err := b.c.Describe("g")
		if err != nil || len(d.Members) != 1 || d.State != PreparingRebalance {
			t.Fatalf("%+v, %v", d, err)
		}
		expectErr(t, "classic heartbeat", b.c.Heartbeat(t.Context(), "g", Heartbeat{Member: j.Member, Generation: k.Generation}), kerr.RebalanceInProgress)
		expect(t, "documents", b.documents(), 1)
		_, err = b.c.Leave(t.Context(), "g", []Leave{{Member: j.Member}})
		expectErr(t, "leave", err, nil)

		// An empty group becomes what joins it.
		b.beat("g", joinBeat("m2"))
		b.beat("g", ConsumerBeat{Member: "m2", Epoch: left})
		b.stable("g")
		d, err = b.c.Describe("g")
		if err != nil || d.State != Stable {
			t.Fatalf("%+v, %v", d, err)
		}
	})
}

func TestGroupsThatCannotBecomeConsumers(t *testing.T) {
	for name, row := range map[string]struct {
		config     Config
		change     func(j *Join)
		assignment []byte
	}{
		"another type":       {change: func(j *Join) { j.ProtocolType = "connect" }},
		"malformed metadata": {change: func(j *Join) { j.Protocols[0].Metadata = []byte{0} }},
		"malformed":          {assignment: []byte{0, 0, 0}},
		"user data":          {assignment: []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 9}},
		"by its policy":      {config: Config{Migration: MigrationDowngrade}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, row.config)
				defer func() { b.stop() }()
				j := join("")
				if row.change != nil {
					row.change(&j)
				}
				joined, err := b.c.Join(t.Context(), "g", j)
				expectErr(t, "join", err, nil)
				_, err = b.c.Sync(t.Context(), "g", Sync{Member: joined.Member, Generation: 1, Assignments: map[string][]byte{joined.Member: row.assignment}})
				expectErr(t, "sync", err, nil)
				_, err = b.c.ConsumerBeat(t.Context(), "g", joinBeat("m1"))
				expectErr(t, "heartbeat", err, kerr.GroupIDNotFound)
				expectErr(t, "classic heartbeat", b.c.Heartbeat(t.Context(), "g", Heartbeat{Member: joined.Member, Generation: 1}), nil)
			})
		})
	}
}

func TestOffsetsOfConsumers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{OffsetsRetention: time.Hour, RetentionCheck: time.Minute})
		defer func() { b.stop() }()
		other, err := b.log.Create(t.Context(), stream.Spec{Name: "other", Shards: 1})
		expectErr(t, "create", err, nil)
		b.beat("g", joinBeat("m1"))
		who := Commit{Member: "m1", Generation: 2, Epochs: true}
		expectErr(t, "commit", b.commit("g", who, 0, 5), nil)
		expectErr(t, "commit of what it does not read", b.c.Commit(t.Context(), "g", who, []stream.Cursor{{Shard: other.Shard(0), Next: 6}}), nil)
		member := "m1"
		expectErr(t, "fetch", b.c.MayFetch("g", &member, 2), nil)
		expectErr(t, "fetch by an old epoch", b.c.MayFetch("g", &member, 0), kerr.StaleMemberEpoch)
		expectErr(t, "fetch of no group", b.c.MayFetch("none", &member, 1), nil)
		expectErr(t, "delete with members", b.c.Delete(t.Context(), "g"), kerr.NonEmptyGroup)
		errs, err := b.c.DeleteOffsets(t.Context(), "g", []Committed{{Topic: "t", Shard: b.topic.Shard(0)}})
		expectErr(t, "delete offsets", err, nil)
		expectErr(t, "delete offsets of a subscribed topic", errs[0], kerr.GroupSubscribedToTopic)

		for range 62 * 2 {
			time.Sleep(30 * time.Second)
			b.beat("g", ConsumerBeat{Member: "m1", Epoch: 2})
		}
		expect(t, "offsets of the active group", b.offsets("g"), "0:5")
		b.beat("g", ConsumerBeat{Member: "m1", Epoch: left})
		time.Sleep(59 * time.Minute)
		expect(t, "offsets within retention", b.offsets("g"), "0:5")
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		expect(t, "offsets after retention", b.offsets("g"), "")
		expect(t, "listed", b.listed(), "")
		expect(t, "documents", b.documents(), 0)
	})
}

// TestNewTopicsAreNoticed: by the revision of the log, whoever made them.
func TestNewTopicsAreNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{})
		defer func() { b.stop() }()
		all := "t|u.*"
		j := joinBeat("m1")
		j.Topics, j.Pattern = nil, &all
		expect(t, "partitions", b.beat("g", j).Assignment.Len(), 4)
		u, err := b.log.Create(t.Context(), stream.Spec{Name: "u1", Shards: 3})
		expectErr(t, "create", err, nil)
		expect(t, "partitions", b.beat("g", ConsumerBeat{Member: "m1", Epoch: 2}).Assignment.Len(), 7)
		expectErr(t, "delete", b.log.Delete(t.Context(), u.ID), nil)
		expect(t, "partitions", b.beat("g", ConsumerBeat{Member: "m1", Epoch: 3}).Assignment.Len(), 4)
	})
}

func TestHeartbeatsAreAsOftenAsTheNodeHasTimeFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := Settings{}
		b := newBench(t, Config{})
		defer func() { b.stop() }()
		b.c.Settings = func(string) Settings {
			s := b.c.config.Settings()
			s.Brisk = own.Brisk
			return s
		}
		expect(t, "one member", b.beat("g", joinBeat("m1")).Interval, time.Second)
		b.c.members = 1500
		expect(t, "1,500 members", b.beat("g", ConsumerBeat{Member: "m1", Epoch: 2}).Interval, 3*time.Second)
		b.c.members = 1_000_000
		expect(t, "a million", b.beat("g", ConsumerBeat{Member: "m1", Epoch: 2}).Interval, DefaultConsumerInterval)
		b.c.members = 1
		own.Brisk = 5 * time.Second
		expect(t, "one that is set", b.beat("g", ConsumerBeat{Member: "m1", Epoch: 2}).Interval, 5*time.Second)
	})
}

// TestTwoThousandConsumers joins them at once; each then has its share, whoever has to give some up.
func TestTwoThousandConsumers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{})
		defer func() { b.stop() }()
		const n = 2000
		wide, err := b.log.Create(t.Context(), stream.Spec{Name: "wide", Shards: 3 * n})
		expectErr(t, "create", err, nil)
		var mu sync.Mutex
		have := map[int32]int{}
		var there atomic.Int32 // members with their share: they go on until all have it
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				h := joinBeat(fmt.Sprint("m", i))
				h.Topics = []string{"wide"}
				owns := assignor.Assignment{}
				for mine := false; there.Load() < n; {
					done, err := b.c.ConsumerBeat(t.Context(), "g", h)
					if err != nil {
						t.Error(err)
						return
					}
					if done.Assigned {
						owns = done.Assignment
					}
					if !mine && done.Epoch == n+1 && len(owns[wide.ID]) == 3 {
						mine = true
						there.Add(1)
					}
					h = ConsumerBeat{Member: h.Member, Epoch: done.Epoch, Owned: owned(owns)}
					if !done.Assigned {
						time.Sleep(done.Interval)
					}
				}
				mu.Lock()
				defer mu.Unlock()
				for _, p := range owns[wide.ID] {
					have[p]++
				}
			})
		}
		wg.Wait()
		expect(t, "partitions with a reader", len(have), 3*n)
		for p, readers := range have {
			expect(t, fmt.Sprint("readers of ", p), readers, 1)
		}
		expect(t, "listed", b.listed(), "g/consumer/Stable")
		expect(t, "documents", b.documents(), n+1)
	})
}

func FuzzDecodeConsumerMemberDocument(f *testing.F) {
	f.Add([]byte(`{"group":"g","id":"m","epoch":3,"assigned":[{"topic":"00000000000000000000000000000001","partitions":[0,2],"epochs":[1,3]}]}`))
	f.Add([]byte(`{"id":"m","epoch":-2,"phase":"revoking","pattern":"a(","classic":{"sessionNanos":9,"protocols":[{"name":"range","metadata":"AAA="}]}}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		doc, err := DecodeConsumerMemberDocument(value)
		if err != nil {
			return
		}
		m := RestoreConsumers("g", Config{}.WithDefaults(), Config{}.WithDefaults().Settings(), time.Unix(0, 0), NewTopics(nil), ConsumerDocument{}, []ConsumerMemberDocument{doc})
		m.Ready()
		for range 10 {
			next := m.Deadline()
			if next.IsZero() || m.Becomes() != nil {
				break
			}
			m.Tick(next)
			m.Ready()
			if again := m.Deadline(); m.Becomes() == nil && !again.IsZero() && !again.After(next) {
				t.Fatalf("due at %v again after that", again)
			}
		}
	})
}

func TestDocumentsThatCannotBe(t *testing.T) {
	for _, value := range []string{
		`{"type":"consumer","epoch":-1}`, `{"type":"consumer","epoch":1,"targetEpoch":2}`, `{"type":"consumer","epoch":"x"}`,
	} {
		if _, _, err := DecodeConsumerDocument([]byte(value)); err == nil {
			t.Errorf("%s was decoded", value)
		}
	}
	for _, value := range []string{
		`{"id":"m","epoch":-1}`, `{"id":"m","epoch":-3}`, `{"id":"m","phase":"x"}`, `{"id":"m","rebalanceNanos":-1}`, `{"id":"m","classic":{}}`, `[]`,
		`{"id":"m","assigned":[{"topic":"x","partitions":[0],"epochs":[0]}]}`,
		`{"id":"m","assigned":[{"topic":"00000000000000000000000000000001","partitions":[0],"epochs":[]}]}`,
		`{"id":"m","revoking":[{"topic":"00000000000000000000000000000001","partitions":[1,0],"epochs":[0,0]}]}`,
		`{"id":"m","revoking":[{"topic":"00000000000000000000000000000001","partitions":[99999999],"epochs":[0]}]}`,
	} {
		if _, err := DecodeConsumerMemberDocument([]byte(value)); err == nil {
			t.Errorf("%s was decoded", value)
		}
	}
	if _, ok, err := DecodeConsumerDocument([]byte(`{"state":"Stable","protocolType":"consumer"}`)); ok || err != nil {
		t.Errorf("a classic group's document: %v, %v", ok, err)
	}
}

// keys of members' documents fit whatever ids are.
func TestMemberKeys(t *testing.T) {
	long := memberKey(memberKind, string(make([]byte, 500)), string(make([]byte, 30_000)))
	if err := long.Check(); err != nil || long == memberKey(memberKind, "g", "m") || memberKey(memberKind, "g", "m") == memberKey(memberKind, "gm", "") {
		t.Errorf("%v, %v", long, err)
	}
	expect(t, "kind", memberKey(memberKind, "g", "m").Kind, memberKind)
	expectErr(t, "check", state.Key{Kind: memberKind, ID: memberKey(memberKind, "g", "m").ID}.Check(), nil)
}

func BenchmarkConsumerJoin(b *testing.B) {
	for _, members := range []int{500, 2000} {
		b.Run(fmt.Sprintf("%d members, 10000 partitions", members), func(b *testing.B) {
			var all []*stream.Stream
			j := joinBeat("")
			j.Topics = nil
			for i := range 100 {
				name := fmt.Sprint("t", i)
				j.Topics = append(j.Topics, name)
				all = append(all, &stream.Stream{ID: topicID(name), Name: stream.Name(name), Shards: 100})
			}
			topics := NewTopics(all)
			for b.Loop() {
				m := NewConsumerMachine("g", Config{}.WithDefaults(), time.Now(), topics)
				for i := range members {
					h := j
					h.Member = fmt.Sprint(i)
					m.Beat(time.Now(), 1, h)
					m.Deadline()
					m.Bytes()
					if r := m.Ready().Replies; r[0].Err != nil {
						b.Fatal(r[0].Err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(members), "µs/join")
		})
	}
}
