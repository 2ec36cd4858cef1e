package group

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/protocol/kafka/group/tasks"
	"github.com/freshet/freshet/internal/protocol/kafka/group/topology"
	"github.com/freshet/freshet/internal/stream"
)

// reads is an application of one subtopology that reads topics.
func reads(topics ...string) *topology.Topology {
	return &topology.Topology{Subtopologies: []topology.Subtopology{{ID: "0", Sources: topics}}}
}

func streamsJoin(member string) StreamsBeat {
	process := "process of " + member
	return StreamsBeat{Member: member, Client: "client", Rebalance: time.Minute, Process: &process, Topology: reads("t")}
}

// streams sends a heartbeat that must not be refused.
func (b *bench) streams(id string, h StreamsBeat) StreamsBeaten {
	b.t.Helper()
	done, err := b.c.StreamsBeat(b.t.Context(), id, h)
	if err != nil {
		b.t.Fatal(err)
	}
	return done
}

// active is the tasks of partitions of the only subtopology.
func active(partitions ...int32) *tasks.Assignment {
	return &tasks.Assignment{Active: tasks.Set{"0": partitions}, Standby: tasks.Set{}}
}

func TestStreamsLiveThroughARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{})
		defer func() { b.stop() }()
		first := b.streams("g", streamsJoin("m1"))
		expect(t, "first", fmt.Sprint(first.Epoch, first.Assigned, first.Assignment.Active.Len(), first.Status[0].Code), "1 true 0 5")
		expect(t, "interval", first.Interval, waitingInterval)
		time.Sleep(DefaultStreamsDelay)
		first = b.streams("g", StreamsBeat{Member: "m1", Epoch: 1})
		expect(t, "after the delay", fmt.Sprint(first.Epoch, first.Assignment.Active.Len(), len(first.Status)), "2 4 0")
		b.streams("g", streamsJoin("m2"))
		expect(t, "gives up", b.streams("g", StreamsBeat{Member: "m1", Epoch: 2, Owned: active(0, 1, 2, 3)}).Assignment.Active.Len(), 2)
		expect(t, "gave up", b.streams("g", StreamsBeat{Member: "m1", Epoch: 2, Owned: active(0, 1)}).Epoch, int32(3))
		expect(t, "second", b.streams("g", StreamsBeat{Member: "m2", Epoch: 3}).Assignment.Active.Len(), 2)
		expectErr(t, "commit", b.commit("g", Commit{Member: "m1", Generation: 3, Epochs: true}, 0, 42), nil)

		b.start(Config{})
		expect(t, "listed", b.listed(), "g/streams/Stable")
		expect(t, "offsets", b.offsets("g"), "0:42")
		again := b.streams("g", StreamsBeat{Member: "m1", Epoch: 3, Owned: active(0, 1)})
		expect(t, "again", fmt.Sprint(again.Epoch, again.Assigned), "3 false")
		time.Sleep(20 * time.Second) // m2 does not show itself, m1 has
		synctest.Wait()
		d, err := b.c.DescribeStreams("g")
		if err != nil || len(d.Members) != 1 || d.Members[0].ID != "m1" || d.State != Assigning {
			t.Fatalf("%+v, %v", d, err)
		}
		expect(t, "alone", b.streams("g", StreamsBeat{Member: "m1", Epoch: 3}).Assignment.Active.Len(), 4)
		time.Sleep(DefaultConsumerSession)
		synctest.Wait()
		expect(t, "listed", b.listed(), "g/streams/Empty")
		expectErr(t, "delete", b.c.Delete(t.Context(), "g"), nil)
		for _, k := range []string{kind, streamerKind} {
			if docs, err := b.store.List(t.Context(), k, ""); err != nil || len(docs) > 0 {
				t.Errorf("documents of kind %s: %v, %v", k, docs, err)
			}
		}
		expect(t, "offsets", b.offsets("g"), "")
	})
}

// TestStreamsAreToldWhatIsKept: on a disk that takes nothing a member is told nothing, and all is kept with what it says next.
func TestStreamsAreToldWhatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{StreamsDelay: -1})
		defer func() { b.stop() }()
		b.store.setBroken(errors.New("no space left on device"))
		_, err := b.c.StreamsBeat(t.Context(), "g", streamsJoin("m1"))
		expectErr(t, "join", err, kerr.CoordinatorNotAvailable)
		b.store.setBroken(nil)
		b.streams("g", streamsJoin("m1")) // changes nothing more
		b.start(Config{StreamsDelay: -1})
		expect(t, "listed", b.listed(), "g/streams/Stable")
		expect(t, "epoch", b.streams("g", StreamsBeat{Member: "m1", Epoch: 2}).Epoch, int32(2))
	})
}

func TestOffsetsOfStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{StreamsDelay: -1, OffsetsRetention: time.Hour})
		defer func() { b.stop() }()
		expectErr(t, "before anybody joined", b.commit("g", Commit{Generation: -1}, 1, 1), nil)
		b.streams("g", streamsJoin("m1"))
		expect(t, "a group of offsets became one of streams", b.listed(), "g/streams/Stable")
		b.streams("g", streamsJoin("m2"))
		b.streams("g", StreamsBeat{Member: "m1", Epoch: 2, Owned: active(0, 1, 2, 3)})
		for _, row := range []struct {
			what  string
			who   Commit
			shard int32
			want  error
		}{
			{"by its epoch", Commit{Member: "m1", Generation: 2, Epochs: true}, 0, nil},
			{"of a task that it is to give up", Commit{Member: "m1", Generation: 2, Epochs: true}, 3, nil},
			{"by a later epoch", Commit{Member: "m1", Generation: 3, Epochs: true}, 0, kerr.StaleMemberEpoch},
			{"by an earlier epoch than the task's", Commit{Member: "m1", Generation: 1, Epochs: true}, 0, kerr.StaleMemberEpoch},
			{"by a stranger", Commit{Member: "m9", Generation: 2, Epochs: true}, 0, kerr.UnknownMemberID},
			{"by nobody", Commit{Generation: -1}, 0, kerr.UnknownMemberID},
			{"by a client that knows no epochs", Commit{Member: "m1", Generation: 2}, 0, kerr.UnsupportedVersion},
		} {
			expectErr(t, row.what, b.commit("g", row.who, row.shard, 7), row.want)
		}
		cursors := []stream.Cursor{{Shard: stream.Shard{Stream: b.topic.ID}}}
		expectErr(t, "staged by nobody", b.c.MayStage(t.Context(), "g", Commit{Generation: -1}, cursors), nil)
		expectErr(t, "staged by an earlier epoch", b.c.MayStage(t.Context(), "g", Commit{Member: "m1", Generation: 1}, cursors), kerr.IllegalGeneration)
		m1, m9 := "m1", "m9"
		expectErr(t, "fetch", b.c.MayFetch("g", &m1, 2), nil)
		expectErr(t, "fetch by another epoch", b.c.MayFetch("g", &m1, 3), kerr.StaleMemberEpoch)
		expectErr(t, "fetch by a stranger", b.c.MayFetch("g", &m9, 2), kerr.UnknownMemberID)
		expectErr(t, "fetch by nobody", b.c.MayFetch("g", nil, -1), nil)

		// m1 gives half of its tasks up: an earlier epoch is good for those that it has had since, and no others.
		b.streams("g", StreamsBeat{Member: "m1", Epoch: 2, Owned: active(0, 1)})
		expectErr(t, "a task that it kept", b.commit("g", Commit{Member: "m1", Generation: 2, Epochs: true}, 1, 8), nil)
		expectErr(t, "a task that it gave up", b.commit("g", Commit{Member: "m1", Generation: 2, Epochs: true}, 3, 8), kerr.StaleMemberEpoch)
		errs, err := b.c.DeleteOffsets(t.Context(), "g", []Committed{{"t", stream.Shard{Stream: b.topic.ID}}})
		expectErr(t, "delete offsets", errors.Join(append(errs, err)...), kerr.GroupSubscribedToTopic)

		b.streams("g", StreamsBeat{Member: "m1", Epoch: left})
		b.streams("g", StreamsBeat{Member: "m2", Epoch: left})
		time.Sleep(30 * time.Minute)
		expectErr(t, "expire", b.c.Expire(t.Context()), nil)
		if b.offsets("g") == "" {
			t.Error("offsets went before their time")
		}
		time.Sleep(31 * time.Minute)
		expectErr(t, "expire", b.c.Expire(t.Context()), nil)
		expect(t, "offsets", b.offsets("g")+b.listed(), "")
	})
}

func TestStreamsAndOtherKindsOfGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{StreamsDelay: -1, InitialDelay: -1})
		defer func() { b.stop() }()
		b.streams("g", streamsJoin("m1"))
		_, err := b.c.ConsumerBeat(t.Context(), "g", joinBeat("c"))
		expectErr(t, "a consumer", err, kerr.GroupIDNotFound)
		_, err = b.c.Join(t.Context(), "g", join(""))
		expectErr(t, "a classic member", err, kerr.InconsistentGroupProtocol)
		_, err = b.c.Describe("g")
		expectErr(t, "describe", err, kerr.GroupIDNotFound)
		expectErr(t, "heartbeat", b.c.Heartbeat(t.Context(), "g", Heartbeat{Member: "m1", Generation: 2}), kerr.UnknownMemberID)
		errs, err := b.c.Leave(t.Context(), "g", []Leave{{Member: "m1"}})
		expectErr(t, "leave", errors.Join(append(errs, err)...), kerr.UnknownMemberID)
		expectErr(t, "delete", b.c.Delete(t.Context(), "g"), kerr.NonEmptyGroup)
		b.streams("g", StreamsBeat{Member: "m1", Epoch: left})
		_, err = b.c.ConsumerBeat(t.Context(), "g", joinBeat("c"))
		expectErr(t, "a consumer of an empty group", err, kerr.GroupIDNotFound)
		_, err = b.c.Join(t.Context(), "g", join(""))
		expectErr(t, "a classic member of an empty group", err, nil)
		_, err = b.c.StreamsBeat(t.Context(), "g", streamsJoin("m1"))
		expectErr(t, "a stream of a classic group", err, kerr.GroupIDNotFound)
		_, err = b.c.StreamsBeat(t.Context(), "none", StreamsBeat{Member: "m1", Epoch: 2})
		expectErr(t, "a group that is not there", err, kerr.GroupIDNotFound)

		bad := streamsJoin("m1")
		bad.Topology = &topology.Topology{Subtopologies: []topology.Subtopology{{ID: "0", RepartitionSources: []topology.Topic{{Name: "r"}}}}}
		_, err = b.c.StreamsBeat(t.Context(), "h", bad)
		expectErr(t, "an application that cannot be", err, kerr.StreamsInvalidTopology)
		expect(t, "listed", b.listed(), "g/consumer/CompletingRebalance")
	})
}

func TestStreamsTakeNoMoreThanTheyMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{StreamsDelay: -1, MaxGroupBytes: 2000})
		defer func() { b.stop() }()
		b.streams("g", streamsJoin("m1"))
		long := StreamsBeat{Member: "m1", Epoch: 2, Client: "client", Tags: []Tag{{"k", strings.Repeat("v", 2000)}}}
		_, err := b.c.StreamsBeat(t.Context(), "g", long)
		expectErr(t, "long tags", err, kerr.GroupMaxSizeReached)
		wide := streamsJoin("m2")
		wide.Process = &long.Tags[0].Value
		_, err = b.c.StreamsBeat(t.Context(), "g", wide)
		expectErr(t, "a long process", err, kerr.GroupMaxSizeReached)
		large := streamsJoin("m1")
		large.Topology = reads("t", strings.Repeat("t", 2000))
		_, err = b.c.StreamsBeat(t.Context(), "h", large)
		expectErr(t, "a large topology", err, kerr.GroupMaxSizeReached)
		expect(t, "who was there", b.streams("g", StreamsBeat{Member: "m1", Epoch: 2, Client: "client"}).Epoch, int32(2))
	})
}

func TestTopologiesOfAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{StreamsDelay: -1, MaxStreamsMembers: 2})
		defer func() { b.stop() }()
		of := func(member string, epoch int32, topics ...string) StreamsBeat {
			j := streamsJoin(member)
			j.Topology = reads(topics...)
			j.Topology.Epoch = epoch
			return j
		}
		b.streams("g", of("m1", 3, "t"))
		for _, other := range []StreamsBeat{of("m2", 3, "u"), of("m2", 4, "u"), of("m2", 4, "t")} {
			_, err := b.c.StreamsBeat(t.Context(), "g", other)
			expectErr(t, "another application", err, kerr.InvalidRequest)
		}
		old := b.streams("g", of("m2", 2, "whatever"))
		expect(t, "an older application", fmt.Sprint(old.Status[0]), "{0 The member's topology epoch 2 is behind the group's topology epoch 3.}")
		_, err := b.c.StreamsBeat(t.Context(), "g", of("m3", 3, "t"))
		expectErr(t, "too many members", err, kerr.GroupMaxSizeReached)

		b.streams("g", StreamsBeat{Member: "m1", Epoch: 2, Shutdown: true})
		told := b.streams("g", StreamsBeat{Member: "m2", Epoch: old.Epoch}).Status
		expect(t, "shutdown", told[len(told)-1].Detail, "Streams group member m1 encountered a fatal error and requested a shutdown for the entire application.")
		b.start(Config{StreamsDelay: -1})
		told = b.streams("g", StreamsBeat{Member: "m2", Epoch: old.Epoch}).Status
		expect(t, "shutdown after a restart", told[len(told)-1].Code, int8(statusShutdown))
	})
}

// FuzzDecodeStreamerDocument: whatever a member's document says, the group that it is restored to goes on.
func FuzzDecodeStreamerDocument(f *testing.F) {
	f.Add([]byte(`{"group":"g","id":"m","epoch":3,"active":[{"subtopology":"0","partitions":[0,2],"epochs":[1,3]}],"standby":{"0":[1]},"phase":"revoking","revoking":[{"subtopology":"1","partitions":[7],"epochs":[2]}]}`))
	f.Add([]byte(`{"group":"g","id":"m","epoch":3,"standby":{"0":[2,1]}}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		doc, err := DecodeStreamerDocument(value)
		if err != nil {
			return
		}
		config := Config{}.WithDefaults()
		all := StreamsDocument{Epoch: 5, TargetEpoch: 4, Topology: application()}
		m := RestoreStreams("g", config, config.StreamsSettings(), time.Unix(0, 0), NewTopics(nil), all, []StreamerDocument{doc})
		m.Beat(time.Unix(1, 0), 1, StreamsBeat{Member: "other", Topology: application()})
		m.Tick(time.Unix(1_000, 0))
		m.Describe()
		m.Ready()
	})
}
