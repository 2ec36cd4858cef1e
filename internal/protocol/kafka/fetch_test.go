package kafka_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/protocol/kafka"
	"github.com/freshet/freshet/internal/stream"
)

// put appends one batch of a record of size bytes to a partition and returns its offset.
func (n *node) put(t testing.TB, st *stream.Stream, partition int32, size int) stream.Offset {
	t.Helper()
	var w batch.Builder
	w.Add(n.clock.Now().UnixMilli(), nil, make([]byte, size))
	results, err := n.log.Append(t.Context(), []stream.Append{{Shard: st.Shard(partition), Batch: w.Finish(batch.NoProducer)}}).Wait(t.Context())
	if err != nil || results[0].Err != nil {
		t.Fatal(err, results[0].Err)
	}
	return results[0].Base
}

// want is a partition to fetch from.
type want struct {
	partition int32
	offset    int64
}

func fetchRequest(st *stream.Stream, wants ...want) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes, req.MinBytes = 50<<20, 1
	if len(wants) == 0 {
		return req
	}
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = string(st.Name), st.ID
	for _, w := range wants {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = w.partition, w.offset, 1<<20
		topic.Partitions = append(topic.Partitions, p)
	}
	req.Topics = append(req.Topics, topic)
	return req
}

// listed returns the partitions in an answer, each with the offsets of its batches, as "0:[3 4]".
func listed(t testing.TB, resp *kmsg.FetchResponse) []string {
	t.Helper()
	var out []string
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			line := fmt.Sprintf("%d:", p.Partition)
			if p.ErrorCode != 0 {
				out = append(out, line+kerr.ErrorForCode(p.ErrorCode).(*kerr.Error).Message)
				continue
			}
			offsets := []int64{}
			for b := p.RecordBatches; len(b) > 0; {
				h, err := batch.Parse(b)
				if err != nil {
					t.Fatal(err)
				}
				offsets = append(offsets, h.BaseOffset)
				b = b[h.Length:]
			}
			out = append(out, fmt.Sprint(line, offsets))
		}
	}
	return out
}

func expectListed(t testing.TB, resp *kmsg.FetchResponse, want ...string) {
	t.Helper()
	if got := listed(t, resp); resp.ErrorCode != 0 || !slices.Equal(got, want) {
		t.Fatalf("error %d, partitions %q, want %q", resp.ErrorCode, got, want)
	}
}

func TestFetchInEveryVersion(t *testing.T) {
	t.Parallel()
	n := start(t)
	st := n.create(t, "events", 2, nil)
	n.put(t, st, 0, 10)
	n.put(t, st, 0, 3000)
	r := n.raw(t)
	for v := int16(4); v <= 18; v++ {
		req := fetchRequest(st, want{0, 0}, want{1, 0}, want{7, 0})
		req.SessionEpoch = -1
		req.IsolationLevel = int8(v % 2)
		resp := ask[*kmsg.FetchResponse](r, v, req)
		expectListed(t, resp, "0:[0 1]", "1:[]", "7:UNKNOWN_TOPIC_OR_PARTITION")
		p := resp.Topics[0].Partitions[0]
		if p.HighWatermark != 2 || p.LastStableOffset != 2 || v >= 5 && p.LogStartOffset != 0 || v >= 11 && p.PreferredReadReplica != -1 {
			t.Errorf("v%d: %+v", v, p)
		}
		if (p.AbortedTransactions == nil) != (v%2 == 0) {
			t.Errorf("v%d: aborted transactions %v", v, p.AbortedTransactions)
		}
		if name, id := resp.Topics[0].Topic, resp.Topics[0].TopicID; v < 13 && name != "events" || v >= 13 && stream.ID(id) != st.ID {
			t.Errorf("v%d: topic %q %x", v, name, id)
		}
	}
}

func TestFetchErrors(t *testing.T) {
	t.Parallel()
	n := start(t)
	st := n.create(t, "events", 1, nil)
	n.put(t, st, 0, 10)
	n.put(t, st, 0, 10)
	if _, err := n.log.Trim(t.Context(), st.Shard(0), 1); err != nil {
		t.Fatal(err)
	}
	r := n.raw(t)
	for name, row := range map[string]struct {
		version int16
		change  func(*kmsg.FetchRequestTopic, *kmsg.FetchRequestTopicPartition)
		want    string
	}{
		"before the start":    {13, func(_ *kmsg.FetchRequestTopic, p *kmsg.FetchRequestTopicPartition) { p.FetchOffset = 0 }, "0:OFFSET_OUT_OF_RANGE"},
		"behind the end":      {13, func(_ *kmsg.FetchRequestTopic, p *kmsg.FetchRequestTopicPartition) { p.FetchOffset = 3 }, "0:OFFSET_OUT_OF_RANGE"},
		"at the end":          {13, func(_ *kmsg.FetchRequestTopic, p *kmsg.FetchRequestTopicPartition) { p.FetchOffset = 2 }, "0:[]"},
		"unknown id":          {13, func(t *kmsg.FetchRequestTopic, _ *kmsg.FetchRequestTopicPartition) { t.TopicID[0] ^= 1 }, "0:UNKNOWN_TOPIC_ID"},
		"unknown name":        {12, func(t *kmsg.FetchRequestTopic, _ *kmsg.FetchRequestTopicPartition) { t.Topic = "x" }, "0:UNKNOWN_TOPIC_OR_PARTITION"},
		"unknown partition":   {12, func(_ *kmsg.FetchRequestTopic, p *kmsg.FetchRequestTopicPartition) { p.Partition = -1 }, "-1:UNKNOWN_TOPIC_OR_PARTITION"},
		"epoch of the past":   {12, func(_ *kmsg.FetchRequestTopic, p *kmsg.FetchRequestTopicPartition) { p.CurrentLeaderEpoch = 0 }, "0:FENCED_LEADER_EPOCH"},
		"epoch of now":        {12, func(_ *kmsg.FetchRequestTopic, p *kmsg.FetchRequestTopicPartition) { p.CurrentLeaderEpoch = 1 }, "0:[1]"},
		"last record's epoch": {12, func(_ *kmsg.FetchRequestTopic, p *kmsg.FetchRequestTopicPartition) { p.LastFetchedEpoch = 9 }, "0:OFFSET_OUT_OF_RANGE"},
		"negative epoch":      {12, func(_ *kmsg.FetchRequestTopic, p *kmsg.FetchRequestTopicPartition) { p.CurrentLeaderEpoch = -2 }, "0:[1]"},
		"epoch of the times":  {12, func(_ *kmsg.FetchRequestTopic, p *kmsg.FetchRequestTopicPartition) { p.CurrentLeaderEpoch = 9 }, "0:UNKNOWN_LEADER_EPOCH"},
	} {
		t.Run(name, func(t *testing.T) {
			if st, err := n.log.Bounds(t.Context(), st.Shard(0)); err != nil || st.Epoch == 0 {
				n.log.BumpEpochs()
			}
			req := fetchRequest(st, want{0, 1})
			req.SessionEpoch = -1
			row.change(&req.Topics[0], &req.Topics[0].Partitions[0])
			expectListed(t, ask[*kmsg.FetchResponse](r, row.version, req), row.want)
		})
	}
}

func TestFetchTellsWhereConsumerAndLogPart(t *testing.T) {
	t.Parallel()
	n := start(t)
	st := n.create(t, "events", 1, nil)
	n.put(t, st, 0, 10)
	n.log.BumpEpochs()
	n.put(t, st, 0, 10)
	r := n.raw(t)
	for v := int16(12); v <= 18; v++ {
		req := fetchRequest(st, want{0, 2})
		req.SessionEpoch = -1
		p := &req.Topics[0].Partitions[0]
		p.LastFetchedEpoch = 0 // which ended at 1: record 1 of the consumer is another
		got := ask[*kmsg.FetchResponse](r, v, req).Topics[0].Partitions[0]
		if got.ErrorCode != 0 || got.DivergingEpoch.Epoch != 0 || got.DivergingEpoch.EndOffset != 1 || len(got.RecordBatches) != 0 {
			t.Errorf("v%d: %+v", v, got)
		}
		p.LastFetchedEpoch, p.CurrentLeaderEpoch = -1, 0
		resp := ask[*kmsg.FetchResponse](r, v, req)
		got = resp.Topics[0].Partitions[0]
		if got.ErrorCode != kerr.FencedLeaderEpoch.Code || v >= 16 != (got.CurrentLeader.LeaderID == 1 && got.CurrentLeader.LeaderEpoch == 1) {
			t.Errorf("v%d: %+v", v, got)
		}
		if v >= 16 != (len(resp.Brokers) == 1 && fmt.Sprintf("%s:%d", resp.Brokers[0].Host, resp.Brokers[0].Port) == n.addr) {
			t.Errorf("v%d: brokers %+v", v, resp.Brokers)
		}
	}
}

func TestFetchSizes(t *testing.T) {
	t.Parallel()
	n := start(t)
	st := n.create(t, "events", 3, nil)
	for p := range int32(3) {
		for range 4 {
			n.put(t, st, p, 10_000)
		}
	}
	r := n.raw(t)
	for name, row := range map[string]struct {
		total, each int32
		want        []string
	}{
		"all":                                      {1 << 20, 1 << 20, []string{"0:[0 1 2 3]", "1:[0 1 2 3]", "2:[0 1 2 3]"}},
		"two of each partition":                    {1 << 20, 25_000, []string{"0:[0 1]", "1:[0 1]", "2:[0 1]"}},
		"the first batch whatever its size":        {1, 1 << 20, []string{"0:[0]", "1:[]", "2:[]"}},
		"no partition's size bounds the first":     {1 << 20, 1, []string{"0:[0]", "1:[]", "2:[]"}},
		"the total cuts the second partition":      {45_000, 1 << 20, []string{"0:[0 1 2 3]", "1:[]", "2:[]"}},
		"what does not fit leaves room for no one": {55_000, 1 << 20, []string{"0:[0 1 2 3]", "1:[0]", "2:[]"}},
	} {
		t.Run(name, func(t *testing.T) {
			req := fetchRequest(st, want{0, 0}, want{1, 0}, want{2, 0})
			req.SessionEpoch, req.MaxBytes = -1, row.total
			for i := range req.Topics[0].Partitions {
				req.Topics[0].Partitions[i].PartitionMaxBytes = row.each
			}
			expectListed(t, ask[*kmsg.FetchResponse](r, 12, req), row.want...)
		})
	}
}

func TestFetchStartsAtTheBatchThatHoldsTheOffset(t *testing.T) {
	t.Parallel()
	n := start(t)
	st := n.create(t, "events", 1, nil)
	var w batch.Builder
	for range 10 {
		w.Add(1000, nil, []byte("v"))
	}
	if _, err := n.log.Append(t.Context(), []stream.Append{{Shard: st.Shard(0), Batch: w.Finish(batch.NoProducer)}}).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	req := fetchRequest(st, want{0, 7})
	req.SessionEpoch = -1
	expectListed(t, ask[*kmsg.FetchResponse](n.raw(t), 12, req), "0:[0]")
}

// waiting starts a server on a virtual clock.
func waiting(t *testing.T) (*node, *clock.Virtual) {
	v := clock.NewVirtual(time.UnixMilli(1_700_000_000_000))
	n := start(t, func(c *kafka.Config) { c.Clock = v })
	// The server's own sleepers: the connections' ticker, the ticker and the timer of groups. Who counts others must not count these.
	eventually(t, "the server is up", func() bool { return v.Waiting() >= 3 })
	return n, v
}

func TestFetchWaits(t *testing.T) {
	t.Parallel()
	for _, session := range []bool{false, true} {
		t.Run(fmt.Sprintf("session=%v", session), func(t *testing.T) {
			n, v := waiting(t)
			st := n.create(t, "events", 3, nil)
			r := n.raw(t)
			sleepers := v.Waiting()
			answer := func(change func(*kmsg.FetchRequest)) chan *kmsg.FetchResponse {
				req := fetchRequest(st, want{0, 0}, want{1, 0}, want{2, 0})
				if req.SessionEpoch = -1; session {
					req.SessionEpoch = 0
				}
				req.MaxWaitMillis = 500
				change(req)
				done := make(chan *kmsg.FetchResponse, 1)
				go func() { done <- ask[*kmsg.FetchResponse](r, 12, req) }()
				return done
			}
			asleep := func() {
				t.Helper()
				eventually(t, "the fetch waits", func() bool { return v.Waiting() == sleepers+1 })
			}

			done := answer(func(*kmsg.FetchRequest) {})
			asleep()
			v.Advance(499 * time.Millisecond)
			select {
			case resp := <-done:
				t.Fatal("answered too early", listed(t, resp))
			default:
			}
			v.Advance(time.Millisecond)
			expectListed(t, <-done, "0:[]", "1:[]", "2:[]")

			done = answer(func(*kmsg.FetchRequest) {})
			asleep()
			n.put(t, st, 1, 100)
			expectListed(t, <-done, "0:[]", "1:[0]", "2:[]")

			done = answer(func(req *kmsg.FetchRequest) { req.MinBytes = 1000 })
			asleep()
			n.put(t, st, 2, 100)
			n.put(t, st, 0, 1000)
			expectListed(t, <-done, "0:[0]", "1:[0]", "2:[0]")

			done = answer(func(req *kmsg.FetchRequest) { req.MinBytes = math.MaxInt32 })
			asleep()
			if err := n.log.Delete(t.Context(), st.ID); err != nil {
				t.Fatal(err)
			}
			resp := <-done
			for _, p := range resp.Topics[0].Partitions {
				if p.ErrorCode != kerr.UnknownTopicOrPartition.Code {
					t.Errorf("deleted topic: %+v", p)
				}
			}
		})
	}
}

// TestFetchDoesNotWaitForWhatDoesNotFit: batches are whole, so an answer may have fewer bytes than are asked for though there are more: they do
// not come by waiting.
func TestFetchDoesNotWaitForWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	n, v := waiting(t)
	st := n.create(t, "events", 2, nil)
	for p := range int32(2) {
		for range 4 {
			n.put(t, st, p, 10_000)
		}
	}
	r := n.raw(t)
	for name, row := range map[string]struct {
		least, total, each int32
		parts              []want
		waits              bool
		want               []string
	}{
		"the partition's size is the least":     {25_000, 1 << 20, 25_000, []want{{0, 0}}, false, []string{"0:[0 1]"}},
		"the answer's size is the least":        {25_000, 25_000, 1 << 20, []want{{0, 0}}, false, []string{"0:[0 1]"}},
		"more than the answer may have":         {1 << 20, 25_000, 1 << 20, []want{{0, 0}, {1, 0}}, false, []string{"0:[0 1]", "1:[]"}},
		"more than the partition's size, twice": {50_000, 1 << 20, 25_000, []want{{0, 0}, {1, 0}}, false, []string{"0:[0 1]", "1:[0 1]"}},
		"more than the partition's size":        {50_000, 1 << 20, 25_000, []want{{0, 0}}, true, []string{"0:[0 1]"}},
		"more than there is":                    {50_000, 1 << 20, 1 << 20, []want{{0, 0}}, true, []string{"0:[0 1 2 3]"}},
	} {
		t.Run(name, func(t *testing.T) {
			sleepers := v.Waiting()
			req := fetchRequest(st, row.parts...)
			req.SessionEpoch, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = -1, 500, row.least, row.total
			for i := range req.Topics[0].Partitions {
				req.Topics[0].Partitions[i].PartitionMaxBytes = row.each
			}
			done := make(chan *kmsg.FetchResponse, 1)
			go func() { done <- ask[*kmsg.FetchResponse](r, 12, req) }()
			waited := false
			eventually(t, "it answers or waits", func() bool {
				waited = v.Waiting() > sleepers
				return waited || len(done) > 0
			})
			if waited != row.waits {
				t.Errorf("it waits: %v", waited)
			}
			v.Advance(500 * time.Millisecond)
			expectListed(t, <-done, row.want...)
		})
	}
}

// TestFetchTellsOfAnotherLeaderFirst: a consumer whose offset a truncation has taken learns of that, and not only that its offset is out of range:
// for that it would begin anew somewhere.
func TestFetchTellsOfAnotherLeaderFirst(t *testing.T) {
	t.Parallel()
	n := start(t)
	st := n.create(t, "events", 1, nil)
	n.put(t, st, 0, 10)
	n.log.BumpEpochs()
	n.put(t, st, 0, 10)
	r := n.raw(t)
	req := fetchRequest(st, want{0, 9})
	req.SessionEpoch = -1
	p := &req.Topics[0].Partitions[0]
	p.CurrentLeaderEpoch = 0
	expectListed(t, ask[*kmsg.FetchResponse](r, 12, req), "0:FENCED_LEADER_EPOCH")
	p.CurrentLeaderEpoch, p.LastFetchedEpoch = 1, 0
	got := ask[*kmsg.FetchResponse](r, 12, req).Topics[0].Partitions[0]
	if got.ErrorCode != 0 || got.DivergingEpoch.Epoch != 0 || got.DivergingEpoch.EndOffset != 1 {
		t.Errorf("an offset behind the end, of an epoch that ended before: %+v", got)
	}
	p.LastFetchedEpoch = -1
	expectListed(t, ask[*kmsg.FetchResponse](r, 12, req), "0:OFFSET_OUT_OF_RANGE")
}

func TestFetchSessionListsOnlyNews(t *testing.T) {
	t.Parallel()
	n := start(t)
	st := n.create(t, "events", 4, nil)
	n.put(t, st, 1, 100)
	r := n.raw(t)
	first := ask[*kmsg.FetchResponse](r, 13, func() kmsg.Request {
		req := fetchRequest(st, want{0, 0}, want{1, 0}, want{2, 0}, want{3, 0})
		req.SessionEpoch = 0
		return req
	}())
	expectListed(t, first, "0:[]", "1:[0]", "2:[]", "3:[]")
	if first.SessionID == 0 {
		t.Fatal("no session")
	}
	epoch := int32(0)
	next := func(forgotten []int32, wants ...want) *kmsg.FetchResponse {
		t.Helper()
		epoch++
		req := fetchRequest(st, wants...)
		req.SessionID, req.SessionEpoch = first.SessionID, epoch
		if forgotten != nil {
			f := kmsg.NewFetchRequestForgottenTopic()
			f.TopicID, f.Partitions = st.ID, forgotten
			req.ForgottenTopics = append(req.ForgottenTopics, f)
		}
		resp := ask[*kmsg.FetchResponse](r, 13, req)
		if resp.ErrorCode == 0 && resp.SessionID != first.SessionID {
			t.Errorf("session %d, not %d", resp.SessionID, first.SessionID)
		}
		return resp
	}
	expectListed(t, next(nil), "1:[0]") // the consumer has not moved, so it is given the same again
	expectListed(t, next(nil, want{1, 1}))
	n.put(t, st, 3, 100)
	expectListed(t, next(nil), "3:[0]")
	expectListed(t, next(nil, want{3, 1}))
	if _, err := n.log.Trim(t.Context(), st.Shard(1), 1); err != nil {
		t.Fatal(err)
	}
	expectListed(t, next(nil), "1:[]") // the log start has moved
	n.put(t, st, 0, 100)
	n.put(t, st, 2, 100)
	expectListed(t, next([]int32{0}), "2:[0]")
	expectListed(t, next([]int32{0}, want{0, 0}), "2:[0]") // added, then forgotten
	if resp := next(nil); resp.ErrorCode != 0 {
		t.Fatal(resp.ErrorCode)
	}
	epoch += 5
	if resp := next(nil); resp.ErrorCode != kerr.InvalidFetchSessionEpoch.Code || resp.SessionID != 0 {
		t.Errorf("wrong epoch: %d, session %d", resp.ErrorCode, resp.SessionID)
	}
	req := fetchRequest(st)
	req.SessionID, req.SessionEpoch = first.SessionID, 6
	if resp := ask[*kmsg.FetchResponse](n.raw(t), 13, req); resp.ErrorCode != kerr.FetchSessionIDNotFound.Code {
		t.Errorf("another connection's session: %d", resp.ErrorCode)
	}
	req = fetchRequest(st)
	req.SessionID, req.SessionEpoch = first.SessionID, 8
	if resp := ask[*kmsg.FetchResponse](r, 12, req); resp.ErrorCode == 0 {
		t.Error("a session of ids was continued with names")
	}
	req = fetchRequest(st, want{0, 0})
	req.SessionID, req.SessionEpoch = first.SessionID, -1
	if resp := ask[*kmsg.FetchResponse](r, 13, req); resp.ErrorCode != 0 || resp.SessionID != 0 {
		t.Errorf("closing: %d, session %d", resp.ErrorCode, resp.SessionID)
	}
}

func TestFetchSessionTakesTurns(t *testing.T) {
	t.Parallel()
	n := start(t)
	st := n.create(t, "events", 3, nil)
	for p := range int32(3) {
		n.put(t, st, p, 1000)
	}
	r := n.raw(t)
	session, seen := int32(0), []string{}
	for epoch := range int32(6) {
		req := fetchRequest(st)
		if epoch == 0 {
			req = fetchRequest(st, want{0, 0}, want{1, 0}, want{2, 0})
		}
		req.SessionID, req.SessionEpoch, req.MaxBytes = session, epoch, 1
		resp := ask[*kmsg.FetchResponse](r, 13, req)
		session = resp.SessionID
		for _, line := range listed(t, resp) {
			if line != fmt.Sprintf("%c:[]", line[0]) {
				seen = append(seen, line)
			}
		}
	}
	if want := []string{"0:[0]", "1:[0]", "2:[0]", "0:[0]", "1:[0]", "2:[0]"}; !slices.Equal(seen, want) {
		t.Errorf("partitions were served as %q, want %q", seen, want)
	}
}

func TestFetchSessionsAreBounded(t *testing.T) {
	t.Parallel()
	v := clock.NewVirtual(time.UnixMilli(1_700_000_000_000))
	n := start(t, func(c *kafka.Config) { c.Clock, c.MaxFetchSessions = v, 2 })
	st := n.create(t, "events", 3, nil)
	r := n.raw(t)
	begin := func(wants ...want) int32 {
		req := fetchRequest(st, wants...)
		req.SessionEpoch = 0
		return ask[*kmsg.FetchResponse](r, 13, req).SessionID
	}
	known := func(session, epoch int32) bool {
		req := fetchRequest(st)
		req.SessionID, req.SessionEpoch = session, epoch
		return ask[*kmsg.FetchResponse](r, 13, req).ErrorCode == 0
	}
	a, b := begin(want{0, 0}), begin(want{0, 0}, want{1, 0})
	if a == 0 || b == 0 {
		t.Fatal("no sessions")
	}
	if c := begin(want{2, 0}); c != 0 {
		t.Error("a third session of one partition was given")
	}
	c := begin(want{0, 0}, want{1, 0})
	if c == 0 || known(a, 1) || !known(b, 1) || !known(c, 1) {
		t.Error("a larger session did not take the place of the smallest")
	}
	if sessions, parts := n.FetchSessions(); sessions != 2 || parts != 4 {
		t.Errorf("%d sessions of %d partitions", sessions, parts)
	}
	v.Advance(3 * time.Minute)
	if !known(c, 2) {
		t.Error("c is gone")
	}
	if d := begin(want{2, 0}); d == 0 || known(b, 2) || !known(c, 3) {
		t.Error("a new session did not take the place of the one unused")
	}
	r.conn.Close()
	eventually(t, "the sessions of a client that is gone are forgotten", func() bool {
		sessions, parts := n.FetchSessions()
		return sessions == 0 && parts == 0
	})
}

// TestFetchGivesZstdToWhoSaysLess: clients have said since v10 that they know zstd, and Kafka does not mind.
func TestFetchGivesZstdToWhoSaysLess(t *testing.T) {
	t.Parallel()
	n := start(t)
	st := n.create(t, "events", 1, nil)
	cl := n.client(t, kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "events", Value: make([]byte, 1000)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	r := n.raw(t)
	for _, v := range []int16{4, 9, 10} {
		req := fetchRequest(st, want{0, 0})
		req.SessionEpoch = -1
		expectListed(t, ask[*kmsg.FetchResponse](r, v, req), "0:[0]")
	}
}

func TestFetchRefusesUnknownIsolation(t *testing.T) {
	t.Parallel()
	n := start(t)
	st := n.create(t, "events", 2, nil)
	r := n.raw(t)
	for _, v := range []int16{4, 6, 7, 12, 13, 18} {
		req := fetchRequest(st, want{0, 0}, want{7, 0})
		req.SessionEpoch, req.IsolationLevel = 0, 2
		resp := ask[*kmsg.FetchResponse](r, v, req)
		var parts []string
		if v < 13 {
			parts = []string{"0:UNKNOWN_SERVER_ERROR", "7:UNKNOWN_SERVER_ERROR"}
		}
		if got := listed(t, resp); !slices.Equal(got, parts) || v >= 7 && resp.ErrorCode != kerr.UnknownServerError.Code || resp.SessionID != 0 {
			t.Errorf("v%d: error %d, session %d, partitions %q", v, resp.ErrorCode, resp.SessionID, got)
		}
	}
}

// TestFetchRefusesBrokers shows that who says to be a broker is told that it has no replica here, after what is wrong with its request.
func TestFetchRefusesBrokers(t *testing.T) {
	t.Parallel()
	n := start(t)
	st := n.create(t, "events", 1, nil)
	n.put(t, st, 0, 10)
	r := n.raw(t)
	for _, v := range []int16{4, 12, 14, 15, 18} {
		for replica, want0 := range map[int32]string{-2: "0:[0]", -1: "0:[0]", 0: "0:NOT_LEADER_FOR_PARTITION", 7: "0:NOT_LEADER_FOR_PARTITION"} {
			req := fetchRequest(st, want{0, 0}, want{9, 0})
			req.SessionEpoch, req.ReplicaID, req.ReplicaState.ID = -1, replica, replica
			expectListed(t, ask[*kmsg.FetchResponse](r, v, req), want0, "9:UNKNOWN_TOPIC_OR_PARTITION")
		}
	}
}

func TestFetchSessionTellsThatATopicWasMadeAnew(t *testing.T) {
	t.Parallel()
	n := start(t)
	st := n.create(t, "events", 1, nil)
	r := n.raw(t)
	session := int32(0)
	next := func(epoch int32, wants ...want) *kmsg.FetchResponse {
		req := fetchRequest(st, wants...)
		req.SessionID, req.SessionEpoch = session, epoch
		return ask[*kmsg.FetchResponse](r, 13, req)
	}
	first := next(0, want{0, 0})
	session = first.SessionID
	expectListed(t, first, "0:[]")
	if err := n.log.Delete(t.Context(), st.ID); err != nil {
		t.Fatal(err)
	}
	expectListed(t, next(1), "0:UNKNOWN_TOPIC_OR_PARTITION")
	expectListed(t, next(2), "0:UNKNOWN_TOPIC_OR_PARTITION")
	n.create(t, "events", 1, nil)
	expectListed(t, next(3), "0:INCONSISTENT_TOPIC_ID")
	expectListed(t, next(4, want{0, 0}), "0:INCONSISTENT_TOPIC_ID")
	session = 0
	expectListed(t, next(-1, want{0, 0}), "0:UNKNOWN_TOPIC_ID")
}

// TestBatchesBeyondTheMemoryOfAnswersWait: where there is no memory for more answers, a large batch waits for one that is being written, small ones do
// not, and a client that does not read its answer then is let go soon.
func TestBatchesBeyondTheMemoryOfAnswersWait(t *testing.T) {
	t.Parallel()
	v := clock.NewVirtual(time.UnixMilli(1_700_000_000_000))
	n := start(t, func(c *kafka.Config) { c.Clock, c.MaxAnswerBytes = v, 1 })
	large := n.create(t, "large", 1, map[string]*string{"max.message.bytes": new("33554432")})
	small := n.create(t, "small", 1, nil)
	n.put(t, large, 0, 24<<20) // more than the kernel takes for who does not read
	n.put(t, small, 0, 100)
	fetch := func(r *raw, st *stream.Stream) chan *kmsg.FetchResponse {
		req := fetchRequest(st, want{0, 0})
		req.SessionEpoch, req.MaxBytes = -1, 32<<20
		req.Topics[0].Partitions[0].PartitionMaxBytes = 32 << 20
		done := make(chan *kmsg.FetchResponse, 1)
		go func() { done <- ask[*kmsg.FetchResponse](r, 12, req) }()
		return done
	}
	stalls := n.raw(t)
	req := fetchRequest(large, want{0, 0})
	req.SetVersion(12)
	req.SessionEpoch, req.MaxBytes = -1, 32<<20
	req.Topics[0].Partitions[0].PartitionMaxBytes = 32 << 20
	before := n.reads.Load()
	if _, err := stalls.conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is read for who does not read", func() bool { return n.reads.Load() >= before+2 })

	waits := fetch(n.raw(t), large)
	eventually(t, "another one is read for", func() bool { return n.reads.Load() >= before+3 })
	expectListed(t, <-fetch(n.raw(t), small), "0:[0]")
	began := v.Now()
	var got *kmsg.FetchResponse
	looks := 0
	eventually(t, "the other one is answered", func() bool {
		select {
		case got = <-waits:
			return true
		default:
			if looks++; looks%5 == 0 { // 24 MiB are to be copied meanwhile
				v.Advance(time.Second)
			}
			return false
		}
	})
	expectListed(t, got, "0:[0]")
	if took := v.Now().Sub(began); took > 20*time.Second {
		t.Errorf("after %s", took)
	}
}
