package kafka_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/streamtest"
)

// within appends a batch of a producer's transaction to partition 0.
func (n *node) within(t testing.TB, st *stream.Stream, producer int64, sequence int32, size int) stream.Offset {
	t.Helper()
	b := streamtest.Transactional(batch.Producer{ID: producer, Sequence: sequence}, n.clock.Now(), string(make([]byte, size)))
	results, err := n.log.Append(t.Context(), []stream.Append{{Shard: st.Shard(0), Batch: b}}).Wait(t.Context())
	if err != nil || results[0].Err != nil {
		t.Fatal(err, results[0].Err)
	}
	return results[0].Base
}

// endWithin ends a producer's transaction in partition 0.
func (n *node) endWithin(t testing.TB, st *stream.Stream, producer int64, commit bool) {
	t.Helper()
	m := batch.AppendMarker(nil, batch.Marker{ProducerID: producer, Commit: commit, Time: n.clock.Now()})
	if _, err := n.log.Transact(t.Context(), []stream.Append{{Shard: st.Shard(0), Batch: m}}, nil); err != nil {
		t.Fatal(err)
	}
}

// twoTransactions fills partition 0: a record of none at 0, producers 7 and 8 at 1 and 2, of which 8 and then 7 is aborted by 3 and 4, a record at 5,
// and one of producer 7 at 6 that is open.
func (n *node) twoTransactions(t testing.TB) *stream.Stream {
	t.Helper()
	st := n.create(t, "events", 1, nil)
	n.put(t, st, 0, 10)
	n.within(t, st, 7, 0, 10)
	n.within(t, st, 8, 0, 10)
	n.endWithin(t, st, 8, false)
	n.endWithin(t, st, 7, false)
	n.put(t, st, 0, 10)
	n.within(t, st, 7, 1, 10)
	n.put(t, st, 0, 10)
	return st
}

func TestFetchReadsCommittedInEveryVersion(t *testing.T) {
	t.Parallel()
	n := start(t)
	st := n.twoTransactions(t)
	r := n.raw(t)
	for version := int16(4); version <= 18; version++ {
		for _, row := range []struct {
			isolation int8
			from      int64
			batches   string
			aborted   string
		}{
			{0, 0, "0:[0 1 2 3 4 5 6 7]", "nil []"},
			{1, 0, "0:[0 1 2 3 4 5]", "[[7 1] [8 2]]"},
			{1, 2, "0:[2 3 4 5]", "[[7 1] [8 2]]"},
			{1, 4, "0:[4 5]", "[[7 1]]"},
			{1, 5, "0:[5]", "[]"},
			{1, 6, "0:[]", "[]"},
			{1, 7, "0:[]", "[]"},
			{1, 8, "0:[]", "[]"},
		} {
			req := fetchRequest(st, want{0, row.from})
			req.IsolationLevel, req.SessionEpoch = row.isolation, -1
			resp := ask[*kmsg.FetchResponse](r, version, req)
			expectListed(t, resp, row.batches)
			p := resp.Topics[0].Partitions[0]
			aborted := ""
			if p.AbortedTransactions == nil && row.isolation == 0 {
				aborted = "nil "
			}
			list := [][2]int64{}
			for _, a := range p.AbortedTransactions {
				list = append(list, [2]int64{a.ProducerID, a.FirstOffset})
			}
			if aborted += fmt.Sprint(list); aborted != row.aborted || p.HighWatermark != 8 || p.LastStableOffset != 6 {
				t.Errorf("v%d, isolation %d from %d: aborted %s, want %s; %+v", version, row.isolation, row.from, aborted, row.aborted, p)
			}
		}
	}
}

// TestFetchListsAbortedAmongWhatItReturns: a transaction that begins behind the answer's last batch is not in it.
func TestFetchListsAbortedAmongWhatItReturns(t *testing.T) {
	t.Parallel()
	n := start(t)
	st := n.twoTransactions(t)
	r := n.raw(t)
	req := fetchRequest(st, want{0, 0})
	req.IsolationLevel, req.SessionEpoch = 1, -1
	req.Topics[0].Partitions[0].PartitionMaxBytes = 200 // two batches
	resp := ask[*kmsg.FetchResponse](r, 12, req)
	expectListed(t, resp, "0:[0 1]")
	if a := resp.Topics[0].Partitions[0].AbortedTransactions; len(a) != 1 || a[0].ProducerID != 7 {
		t.Errorf("aborted %+v", a)
	}
}

// TestFetchWaitsForWhatIsCommitted: what comes within a transaction does not end the waiting, nor does it count for min_bytes; its end does both.
func TestFetchWaitsForWhatIsCommitted(t *testing.T) {
	t.Parallel()
	for _, session := range []bool{false, true} {
		t.Run(fmt.Sprintf("session=%v", session), func(t *testing.T) {
			n, v := waiting(t)
			st := n.create(t, "events", 1, nil)
			r := n.raw(t)
			sleepers := v.Waiting()
			fetch := func(from int64, minBytes int32) chan *kmsg.FetchResponse {
				req := fetchRequest(st, want{0, from})
				if req.SessionEpoch = -1; session {
					req.SessionEpoch = 0
				}
				req.MaxWaitMillis, req.MinBytes, req.IsolationLevel = 500, minBytes, 1
				done := make(chan *kmsg.FetchResponse, 1)
				go func() { done <- ask[*kmsg.FetchResponse](r, 12, req) }()
				eventually(t, "the fetch waits", func() bool { return v.Waiting() == sleepers+1 })
				return done
			}
			still := func(done chan *kmsg.FetchResponse, why string) {
				t.Helper()
				select {
				case resp := <-done:
					t.Fatal("answered too early:", why, listed(t, resp))
				default: // if it comes later, it has too little in it
				}
			}

			done := fetch(0, 1)
			n.within(t, st, 7, 0, 1000)
			still(done, "a record of an open transaction")
			n.endWithin(t, st, 7, true)
			expectListed(t, <-done, "0:[0 1]")

			done = fetch(2, 3000)
			n.within(t, st, 7, 1, 2000)
			n.put(t, st, 0, 2000)
			still(done, "4,000 bytes behind the last stable offset")
			n.endWithin(t, st, 7, true)
			expectListed(t, <-done, "0:[2 3 4]")

			n.within(t, st, 7, 2, 2000) // 5: before the fetch
			done = fetch(5, 3000)
			n.within(t, st, 8, 0, 2000) // 6
			before := n.reads.Load()
			n.endWithin(t, st, 7, true) // 7
			// Of the 4,000 bytes behind the last stable offset as it was, half may be read: it looks, and goes on waiting for the rest.
			eventually(t, "the fetch looks", func() bool { return n.reads.Load() > before })
			still(done, "2,000 bytes are stable")
			n.endWithin(t, st, 8, false)
			expectListed(t, <-done, "0:[5 6 7 8]")

			n.within(t, st, 7, 3, 2000) // 9
			done = fetch(9, 1)
			v.Advance(500 * time.Millisecond)
			expectListed(t, <-done, "0:[]")
		})
	}
}

func TestListOffsetsReadsCommitted(t *testing.T) {
	t.Parallel()
	n, v := waiting(t)
	st := n.create(t, "events", 1, nil)
	began := v.Now().UnixMilli()
	n.put(t, st, 0, 10)
	v.Advance(time.Second)
	n.within(t, st, 7, 0, 10)
	r := n.raw(t)
	offset := func(isolation int8, at int64) int64 {
		t.Helper()
		req := kmsg.NewPtrListOffsetsRequest()
		req.ReplicaID, req.IsolationLevel = -1, isolation
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Timestamp = at
		req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "events", Partitions: []kmsg.ListOffsetsRequestTopicPartition{p}}}
		got := ask[*kmsg.ListOffsetsResponse](r, 8, req).Topics[0].Partitions[0]
		if got.ErrorCode != 0 {
			t.Fatal(kerr.ErrorForCode(got.ErrorCode))
		}
		return got.Offset
	}
	rows := []struct {
		at                  int64
		uncommitted, before int64
		after               int64
	}{
		{-1, 2, 1, 3}, {-2, 0, 0, 0}, {-3, 1, -1, 1}, {began, 0, 0, 0}, {began + 1, 1, -1, 1}, {began + 5000, -1, -1, -1},
	}
	for _, row := range rows {
		if u, c := offset(0, row.at), offset(1, row.at); u != row.uncommitted || c != row.before {
			t.Errorf("timestamp %d: %d uncommitted, %d committed, want %d, %d", row.at, u, c, row.uncommitted, row.before)
		}
	}
	n.endWithin(t, st, 7, true)
	for _, row := range rows {
		if c := offset(1, row.at); c != row.after {
			t.Errorf("timestamp %d behind the commit: %d, want %d", row.at, c, row.after)
		}
	}
}

func TestDescribeProducers(t *testing.T) {
	t.Parallel()
	n, v := waiting(t)
	st := n.twoTransactions(t)
	r := n.raw(t)
	req := kmsg.NewPtrDescribeProducersRequest()
	req.Topics = []kmsg.DescribeProducersRequestTopic{
		{Topic: string(st.Name), Partitions: []int32{0, 5}}, {Topic: "nope", Partitions: []int32{0}}, {Topic: "a/b", Partitions: []int32{0}},
	}
	resp := ask[*kmsg.DescribeProducersResponse](r, 0, req)
	var codes []int16
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			codes = append(codes, p.ErrorCode)
		}
	}
	if unknown, invalid := kerr.UnknownTopicOrPartition.Code, kerr.InvalidTopicException.Code; !slices.Equal(codes, []int16{0, unknown, unknown, invalid}) {
		t.Errorf("errors %v", codes)
	}
	now := v.Now().UnixMilli()
	producer := func(id int64, last, coordinator int32, open int64) kmsg.DescribeProducersResponseTopicPartitionActiveProducer {
		p := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
		p.ProducerID, p.LastSequence, p.LastTimestamp, p.CoordinatorEpoch, p.CurrentTxnStartOffset = id, last, now, coordinator, open
		return p
	}
	got, want := resp.Topics[0].Partitions[0].ActiveProducers, []kmsg.DescribeProducersResponseTopicPartitionActiveProducer{producer(7, 1, 0, 6), producer(8, 0, 0, -1)}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("producers %+v, want %+v", got, want)
	}
}
