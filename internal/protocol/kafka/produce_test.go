package kafka_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/protocol/kafka"
	"github.com/freshet/freshet/internal/stream"
)

// sent is one partition of a Produce.
type sent struct {
	partition int32
	records   []byte
}

func produceRequest(st *stream.Stream, all ...sent) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 1000
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic, topic.TopicID = string(st.Name), st.ID
	for _, s := range all {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = s.partition, s.records
		topic.Partitions = append(topic.Partitions, p)
	}
	req.Topics = append(req.Topics, topic)
	return req
}

// records returns a batch of n records with a key or without.
func records(n int, key string, p batch.Producer) []byte {
	var w batch.Builder
	for range n {
		var k []byte
		if key != "" {
			k = []byte(key)
		}
		w.Add(time.Now().UnixMilli(), k, []byte("value"))
	}
	return w.Finish(p)
}

func plain(n int) []byte { return records(n, "", batch.NoProducer) }

// outcomes returns what became of each partition: its base offset, or the error.
func outcomes(resp *kmsg.ProduceResponse) []string {
	var out []string
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				out = append(out, kerr.ErrorForCode(p.ErrorCode).(*kerr.Error).Message)
				continue
			}
			out = append(out, fmt.Sprint(p.BaseOffset))
		}
	}
	return out
}

func expectOutcomes(t testing.TB, resp *kmsg.ProduceResponse, want ...string) {
	t.Helper()
	if got := outcomes(resp); !slices.Equal(got, want) {
		t.Fatalf("outcomes %q, want %q", got, want)
	}
}

func TestProduceInEveryVersion(t *testing.T) {
	t.Parallel()
	n := start(t)
	st := n.create(t, "events", 2, nil)
	r := n.raw(t)
	for v := range int16(14) {
		resp := ask[*kmsg.ProduceResponse](r, v, produceRequest(st, sent{0, plain(2)}, sent{1, plain(1)}, sent{2, plain(1)}))
		if v < 3 {
			expectOutcomes(t, resp, "UNSUPPORTED_VERSION", "UNSUPPORTED_VERSION", "UNSUPPORTED_VERSION")
			continue
		}
		expectOutcomes(t, resp, fmt.Sprint(2*(v-3)), fmt.Sprint(v-3), "UNKNOWN_TOPIC_OR_PARTITION")
		p := resp.Topics[0].Partitions[0]
		if p.LogAppendTime != -1 || v >= 5 && p.LogStartOffset != 0 {
			t.Errorf("v%d: %+v", v, p)
		}
		if failed := resp.Topics[0].Partitions[2]; (failed.ErrorMessage != nil) != (v >= 8) || failed.BaseOffset != -1 {
			t.Errorf("v%d: %+v", v, failed)
		}
	}
}

func TestProduceErrors(t *testing.T) {
	t.Parallel()
	n := start(t, func(c *kafka.Config) { c.AcceptAnyRF = false })
	small, two, compact := "200", "2", "compact"
	st := n.create(t, "events", 2, nil)
	limited := n.create(t, "limited", 1, map[string]*string{"max.message.bytes": &small})
	strict := n.create(t, "strict", 1, map[string]*string{"min.insync.replicas": &two})
	keyed := n.create(t, "keyed", 1, map[string]*string{"cleanup.policy": &compact})
	r := n.raw(t)
	damaged := plain(1)
	damaged[len(damaged)-1] ^= 1
	for name, row := range map[string]struct {
		st     *stream.Stream
		all    []sent
		change func(*kmsg.ProduceRequest)
		want   []string
	}{
		"one bad partition":    {st, []sent{{0, damaged}, {1, plain(1)}}, nil, []string{"CORRUPT_MESSAGE", "0"}},
		"unknown topic":        {&stream.Stream{Name: "none"}, []sent{{0, plain(1)}}, nil, []string{"UNKNOWN_TOPIC_OR_PARTITION"}},
		"unknown acks":         {st, []sent{{0, plain(1)}}, func(r *kmsg.ProduceRequest) { r.Acks = 2 }, []string{"INVALID_REQUIRED_ACKS"}},
		"transaction":          {st, []sent{{0, transactional(1, batch.Producer{ID: 7})}}, func(r *kmsg.ProduceRequest) { r.TransactionID = kmsg.StringPtr("t") }, []string{"INVALID_PRODUCER_ID_MAPPING"}},
		"no batch":             {st, []sent{{0, nil}}, nil, []string{"INVALID_RECORD"}},
		"too large":            {limited, []sent{{0, plain(50)}}, nil, []string{"MESSAGE_TOO_LARGE"}},
		"not enough replicas":  {strict, []sent{{0, plain(1)}}, nil, []string{"NOT_ENOUGH_REPLICAS"}},
		"enough for acks=1":    {strict, []sent{{0, plain(1)}}, func(r *kmsg.ProduceRequest) { r.Acks = 1 }, []string{"0"}},
		"compacted, no key":    {keyed, []sent{{0, plain(1)}}, nil, []string{"INVALID_RECORD"}},
		"compacted, damaged":   {keyed, []sent{{0, damaged}}, nil, []string{"CORRUPT_MESSAGE"}},
		"compacted, with keys": {keyed, []sent{{0, records(3, "k", batch.NoProducer)}}, nil, []string{"0"}},
	} {
		t.Run(name, func(t *testing.T) {
			req := produceRequest(row.st, row.all...)
			if row.change != nil {
				row.change(req)
			}
			expectOutcomes(t, ask[*kmsg.ProduceResponse](r, 12, req), row.want...)
		})
	}
}

// TestProduceNamesBadRecords shows that a producer learns which of its records are at fault (KIP-467).
func TestProduceNamesBadRecords(t *testing.T) {
	t.Parallel()
	n := start(t)
	compact := "compact"
	keyed := n.create(t, "keyed", 1, map[string]*string{"cleanup.policy": &compact})
	var w batch.Builder
	for i := range 5 {
		var key []byte
		if i%2 == 0 {
			key = []byte("k")
		}
		w.Add(time.Now().UnixMilli(), key, []byte("value"))
	}
	r, b := n.raw(t), w.Finish(batch.NoProducer)
	for v := int16(3); v <= 13; v++ {
		resp := ask[*kmsg.ProduceResponse](r, v, produceRequest(keyed, sent{0, b}))
		expectOutcomes(t, resp, "INVALID_RECORD")
		var at []int32
		for _, bad := range resp.Topics[0].Partitions[0].ErrorRecords {
			if at = append(at, bad.RelativeOffset); bad.ErrorMessage == nil || *bad.ErrorMessage == "" {
				t.Errorf("v%d: record %d without a reason", v, bad.RelativeOffset)
			}
		}
		if want := []int32{1, 3}; v >= 8 && !slices.Equal(at, want) || v < 8 && at != nil {
			t.Errorf("v%d: bad records %v, want %v", v, at, want)
		}
	}
	many := ask[*kmsg.ProduceResponse](r, 13, produceRequest(keyed, sent{0, plain(5000)}))
	if got := len(many.Topics[0].Partitions[0].ErrorRecords); got != 100 {
		t.Errorf("%d records named, the bound is 100", got)
	}
}

func TestProduceByUnknownID(t *testing.T) {
	t.Parallel()
	r := start(t).raw(t)
	for _, id := range []stream.ID{{}, {1}} {
		expectOutcomes(t, ask[*kmsg.ProduceResponse](r, 13, produceRequest(&stream.Stream{ID: id}, sent{0, plain(1)})), "UNKNOWN_TOPIC_ID")
	}
}

func TestIdempotentProduce(t *testing.T) {
	t.Parallel()
	n := start(t)
	st := n.create(t, "events", 1, nil)
	r := n.raw(t)
	id := ask[*kmsg.InitProducerIDResponse](r, 4, kmsg.NewPtrInitProducerIDRequest()).ProducerID
	step := func(epoch int16, sequence int32, want string) {
		t.Helper()
		b := records(2, "", batch.Producer{ID: id, Epoch: epoch, Sequence: sequence})
		expectOutcomes(t, ask[*kmsg.ProduceResponse](r, 9, produceRequest(st, sent{0, b})), want)
	}
	step(0, 0, "0")
	step(0, 2, "2")
	step(0, 0, "0") // again
	step(0, 6, "OUT_OF_ORDER_SEQUENCE_NUMBER")
	step(1, 0, "4")
	step(0, 4, "INVALID_PRODUCER_EPOCH")
}

func TestInitProducerID(t *testing.T) {
	t.Parallel()
	n := start(t)
	r := n.raw(t)
	seen := map[int64]bool{}
	for v := range int16(6) {
		resp := ask[*kmsg.InitProducerIDResponse](r, v, kmsg.NewPtrInitProducerIDRequest())
		if resp.ErrorCode != 0 || resp.ProducerEpoch != 0 || seen[resp.ProducerID] {
			t.Errorf("v%d: %+v", v, resp)
		}
		seen[resp.ProducerID] = true
	}
}

func TestInitProducerIDTakesIDAndEpochTogether(t *testing.T) {
	t.Parallel()
	r := start(t).raw(t)
	for _, row := range []struct {
		id    int64
		epoch int16
		want  int16
	}{{7, -1, kerr.InvalidRequest.Code}, {-1, 0, kerr.InvalidRequest.Code}, {7, 0, 0}} {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.ProducerID, req.ProducerEpoch = row.id, row.epoch
		if resp := ask[*kmsg.InitProducerIDResponse](r, 5, req); resp.ErrorCode != row.want || (resp.ProducerID < 0) != (row.want != 0) {
			t.Errorf("id %d, epoch %d: %+v", row.id, row.epoch, resp)
		}
	}
}

// Of errors that are the producer's, Kafka tells where the partition starts; not of those it knows before it looks into the log.
func TestProduceErrorsTellTheLogStart(t *testing.T) {
	t.Parallel()
	n := start(t)
	compact := "compact"
	st := n.create(t, "events", 1, map[string]*string{"cleanup.policy": &compact})
	r := n.raw(t)
	expectOutcomes(t, ask[*kmsg.ProduceResponse](r, 9, produceRequest(st, sent{0, records(3, "k", batch.NoProducer)})), "0")
	if _, err := n.log.Trim(t.Context(), st.Shard(0), 2); err != nil {
		t.Fatal(err)
	}
	damaged := records(1, "k", batch.NoProducer)
	damaged[len(damaged)-1] ^= 1
	for _, row := range []struct {
		partition int32
		records   []byte
		want      string
		start     int64
	}{
		{0, plain(1), "INVALID_RECORD", 2},
		{0, records(1, "k", batch.Producer{ID: 1, Epoch: 0, Sequence: 0}), "3", 2},
		{0, records(1, "k", batch.Producer{ID: 1, Epoch: 0, Sequence: 9}), "OUT_OF_ORDER_SEQUENCE_NUMBER", 2},
		{0, damaged, "CORRUPT_MESSAGE", -1},
		{1, plain(1), "UNKNOWN_TOPIC_OR_PARTITION", -1},
	} {
		resp := ask[*kmsg.ProduceResponse](r, 9, produceRequest(st, sent{row.partition, row.records}))
		expectOutcomes(t, resp, row.want)
		if got := resp.Topics[0].Partitions[0].LogStartOffset; got != row.start {
			t.Errorf("%s: log start offset %d, want %d", row.want, got, row.start)
		}
	}
}

func TestProduceWithoutAcknowledgement(t *testing.T) {
	t.Parallel()
	n := start(t)
	st := n.create(t, "events", 1, nil)
	r := n.raw(t)
	req := produceRequest(st, sent{0, plain(1)})
	req.Acks = 0
	r.send(9, req)
	r.send(9, req)
	listed := ask[*kmsg.ListOffsetsResponse](r, 5, listRequest("events", -1))
	eventually(t, "both are in the log", func() bool {
		bounds, err := n.log.Bounds(t.Context(), st.Shard(0))
		return err == nil && bounds.End == 2
	})
	if listed.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Error(listed)
	}
	req.Topics[0].Partitions[0].Partition = 9
	r.send(9, req)
	r.expectClosed()
}

func TestLogAppendTime(t *testing.T) {
	t.Parallel()
	n, v := waiting(t)
	kind := "LogAppendTime"
	st := n.create(t, "events", 1, map[string]*string{"message.timestamp.type": &kind})
	v.Advance(time.Hour)
	resp := ask[*kmsg.ProduceResponse](n.raw(t), 9, produceRequest(st, sent{0, plain(3)}))
	if got, want := resp.Topics[0].Partitions[0].LogAppendTime, v.Now().UnixMilli(); got != want {
		t.Errorf("log append time %d, want %d", got, want)
	}
	for _, r := range n.consume(t, "events", 3) {
		if !r.Timestamp.Equal(v.Now()) || r.Attrs.TimestampType() != 1 {
			t.Errorf("record at %s, type %d", r.Timestamp, r.Attrs.TimestampType())
		}
	}
}

func listRequest(topic string, timestamp int64) *kmsg.ListOffsetsRequest {
	req := kmsg.NewPtrListOffsetsRequest()
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Timestamp = timestamp
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func TestListOffsetsRefusesPartitionsAskedForTwiceOnce(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.create(t, "events", 2, nil)
	req, again := listRequest("events", -1), listRequest("events", -2)
	other := req.Topics[0].Partitions[0]
	other.Partition = 1
	req.Topics[0].Partitions = append(req.Topics[0].Partitions, other, req.Topics[0].Partitions[0])
	req.Topics = append(req.Topics, again.Topics...)
	got := ""
	for _, topic := range ask[*kmsg.ListOffsetsResponse](n.raw(t), 5, req).Topics {
		for _, p := range topic.Partitions {
			got += fmt.Sprintf(" %s/%d error %d offset %d", topic.Topic, p.Partition, p.ErrorCode, p.Offset)
		}
	}
	if want := " events/0 error 42 offset -1 events/1 error 0 offset 0"; got != want {
		t.Errorf("got%s\nwant%s", got, want)
	}
}

func TestListOffsetsRefusesUnknownIsolation(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.create(t, "events", 1, nil)
	r := n.raw(t)
	for level, want := range map[int8]int16{0: 0, 1: 0, 2: kerr.UnknownServerError.Code, -1: kerr.UnknownServerError.Code} {
		req := listRequest("events", -1)
		req.IsolationLevel = level
		if got := ask[*kmsg.ListOffsetsResponse](r, 11, req).Topics[0].Partitions[0].ErrorCode; got != want {
			t.Errorf("isolation level %d: error %d, want %d", level, got, want)
		}
	}
}

// gzipped returns the batch with its records compressed.
func gzipped(t *testing.T, b []byte) []byte {
	body := bytes.NewBuffer(slices.Clone(b[:batch.HeaderSize]))
	w := gzip.NewWriter(body)
	if _, err := w.Write(b[batch.HeaderSize:]); errors.Join(err, w.Close()) != nil {
		t.Fatal(err)
	}
	b = body.Bytes()
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-batch.Prefix))
	b[22] |= byte(batch.Gzip)
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// TestBoundsOfTimestampsHoldForEveryRecord: a batch's header tells its first and its largest timestamp alone.
func TestBoundsOfTimestampsHoldForEveryRecord(t *testing.T) {
	t.Parallel()
	n := start(t)
	hour, never := "3600000", "9223372036854775807"
	bounded := n.create(t, "bounded", 1, map[string]*string{"message.timestamp.before.max.ms": &hour, "message.timestamp.after.max.ms": &never})
	unbounded := n.create(t, "unbounded", 1, nil)
	r, now := n.raw(t), time.Now()
	old := now.Add(-2 * time.Hour)
	var w batch.Builder
	for _, at := range []time.Time{now, old, now.Add(48 * time.Hour), old} {
		w.Add(at.UnixMilli(), nil, []byte("value"))
	}
	b := w.Finish(batch.NoProducer)
	for what, b := range map[string][]byte{"plain": b, "compressed": gzipped(t, b)} {
		resp := ask[*kmsg.ProduceResponse](r, 12, produceRequest(bounded, sent{0, b}))
		expectOutcomes(t, resp, "INVALID_TIMESTAMP")
		if bad := resp.Topics[0].Partitions[0].ErrorRecords; len(bad) != 2 || bad[0].RelativeOffset != 1 || bad[1].RelativeOffset != 3 {
			t.Errorf("%s: bad records %+v", what, bad)
		}
	}
	var early batch.Builder
	early.Add(now.UnixMilli(), nil, nil)
	early.Add(old.UnixMilli(), nil, nil)
	expectOutcomes(t, ask[*kmsg.ProduceResponse](r, 12, produceRequest(unbounded, sent{0, early.Finish(batch.NoProducer)})), "0")
	expectOutcomes(t, ask[*kmsg.ProduceResponse](r, 12, produceRequest(bounded, sent{0, plain(3)})), "0")
}

// TestLargestTimestampIsTheRecords: the log keeps records for as long as their own timestamps say, finds them by those and bounds those, whatever the
// header of their batch says.
func TestLargestTimestampIsTheRecords(t *testing.T) {
	t.Parallel()
	n := start(t)
	r, now := n.raw(t), time.Now()
	old, late := now.Add(-365*24*time.Hour), now.Add(2*time.Hour)
	batchOf := func(header int64, at ...time.Time) []byte {
		var w batch.Builder
		for _, at := range at {
			w.Add(at.UnixMilli(), nil, []byte("value"))
		}
		b := w.Finish(batch.NoProducer)
		batch.SetMaxTimestamp(b, header)
		return b
	}
	for name, row := range map[string]struct {
		batch []byte
		want  string
		bad   int // records named
		at    time.Time
	}{
		"right":           {batchOf(now.UnixMilli(), old, now), "0", 0, now},
		"last":            {batchOf(old.UnixMilli(), now, old), "0", 0, now},
		"none":            {batchOf(-1, now, now), "0", 0, now},
		"late":            {batchOf(late.UnixMilli(), old, now), "0", 0, now},
		"late record":     {batchOf(now.UnixMilli(), now, late, now, late), "INVALID_TIMESTAMP", 2, time.Time{}},
		"compressed last": {gzipped(t, batchOf(old.UnixMilli(), now, old)), "0", 0, now},
		"compressed none": {gzipped(t, batchOf(-1, now)), "0", 0, now},
		"compressed late": {gzipped(t, batchOf(late.UnixMilli(), late, now)), "INVALID_TIMESTAMP", 1, time.Time{}},
	} {
		st := n.create(t, strings.ReplaceAll(name, " ", "-"), 1, nil)
		resp := ask[*kmsg.ProduceResponse](r, 12, produceRequest(st, sent{0, row.batch}))
		expectOutcomes(t, resp, row.want)
		if bad := resp.Topics[0].Partitions[0].ErrorRecords; len(bad) != row.bad {
			t.Errorf("%s: bad records %+v", name, bad)
		}
		if row.at.IsZero() {
			continue
		}
		listed := ask[*kmsg.ListOffsetsResponse](r, 8, listRequest(string(st.Name), -3)).Topics[0].Partitions[0]
		if listed.Timestamp != row.at.UnixMilli() {
			t.Errorf("%s: the largest timestamp is %d, not %d", name, listed.Timestamp, row.at.UnixMilli())
		}
	}
}

func TestCompactedTopicsNeedKeysInCompressedRecordsToo(t *testing.T) {
	t.Parallel()
	n := start(t)
	compact := "compact,delete"
	n.create(t, "keyed", 1, map[string]*string{"cleanup.policy": &compact})
	cl := n.client(t, kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.DisableIdempotentWrite())
	for key, want := range map[string]error{"k": nil, "": kerr.InvalidRecord} {
		r := &kgo.Record{Topic: "keyed", Value: make([]byte, 1000)}
		if key != "" {
			r.Key = []byte(key)
		}
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); !errors.Is(err, want) {
			t.Errorf("key %q: %v, want %v", key, err, want)
		}
	}
}
