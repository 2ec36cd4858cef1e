package kafka_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/protocol/kafka/txn"
	"github.com/freshet/freshet/internal/stream"
)

// transactional makes a batch of n records part of its producer's transaction.
func transactional(n int, p batch.Producer) []byte {
	const attributes, bit = 21, 1 << 4
	b := records(n, "", p)
	binary.BigEndian.PutUint16(b[attributes:], binary.BigEndian.Uint16(b[attributes:])|bit)
	h, err := batch.Parse(b)
	if err != nil {
		panic(err)
	}
	batch.SetMaxTimestamp(b, h.MaxTimestamp) // for the checksum
	return b
}

// writer is a transactional producer that speaks in exact versions.
type writer struct {
	*raw
	id       string
	st       *stream.Stream
	producer txn.Producer
	next     map[int32]int32 // sequences by partition
}

func (n *node) writer(t testing.TB, id string, st *stream.Stream) *writer {
	return &writer{raw: n.raw(t), id: id, st: st, next: map[int32]int32{}}
}

func nameOf(code int16) string {
	if code == 0 {
		return "ok"
	}
	return kerr.ErrorForCode(code).(*kerr.Error).Message
}

func (w *writer) want(what, got, want string) {
	w.t.Helper()
	if got != want {
		w.t.Fatalf("%s: %s, want %s", what, got, want)
	}
}

// init takes the transactional id, on from what the writer was if goesOn.
func (w *writer) init(version int16, goesOn bool, want string) {
	w.t.Helper()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &w.id, 60_000
	req.ProducerID, req.ProducerEpoch = -1, -1
	if goesOn {
		req.ProducerID, req.ProducerEpoch = w.producer.ID, w.producer.Epoch
	}
	resp := ask[*kmsg.InitProducerIDResponse](w.raw, version, req)
	w.want("init", nameOf(resp.ErrorCode), want)
	if want == "ok" {
		w.producer, w.next = txn.Producer{ID: resp.ProducerID, Epoch: resp.ProducerEpoch}, map[int32]int32{}
	} else if resp.ProducerID != -1 || resp.ProducerEpoch != -1 {
		w.t.Fatalf("%+v", resp)
	}
}

// add adds partitions in the form of v0 to v3, and returns what is said of each.
func (w *writer) add(version int16, partitions ...int32) string {
	w.t.Helper()
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = w.id, w.producer.ID, w.producer.Epoch
	req.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: string(w.st.Name), Partitions: partitions}}
	var all []string
	for _, p := range ask[*kmsg.AddPartitionsToTxnResponse](w.raw, version, req).Topics[0].Partitions {
		all = append(all, nameOf(p.ErrorCode))
	}
	return strings.Join(all, " ")
}

// addOrVerify is add in the form of v4 and later.
func (w *writer) addOrVerify(version int16, verify bool, partitions ...int32) string {
	w.t.Helper()
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.Transactions = []kmsg.AddPartitionsToTxnRequestTransaction{{
		TransactionalID: w.id, ProducerID: w.producer.ID, ProducerEpoch: w.producer.Epoch, VerifyOnly: verify,
		Topics: []kmsg.AddPartitionsToTxnRequestTransactionTopic{{Topic: string(w.st.Name), Partitions: partitions}},
	}}
	resp := ask[*kmsg.AddPartitionsToTxnResponse](w.raw, version, req)
	if resp.ErrorCode != 0 || len(resp.Transactions) != 1 || resp.Transactions[0].TransactionalID != w.id {
		w.t.Fatalf("%+v", resp)
	}
	var all []string
	for _, p := range resp.Transactions[0].Topics[0].Partitions {
		all = append(all, nameOf(p.ErrorCode))
	}
	return strings.Join(all, " ")
}

// write sends a record to each of partitions in one Produce.
func (w *writer) write(version int16, partitions ...int32) string {
	w.t.Helper()
	all := make([]sent, 0, len(partitions))
	for _, p := range partitions {
		all = append(all, sent{p, transactional(1, batch.Producer{ID: w.producer.ID, Epoch: w.producer.Epoch, Sequence: w.next[p]})})
	}
	req := produceRequest(w.st, all...)
	req.TransactionID = &w.id
	got := outcomes(ask[*kmsg.ProduceResponse](w.raw, version, req))
	for i, p := range partitions {
		if got[i] >= "0" && got[i] <= "9999" {
			w.next[p]++
		}
	}
	return strings.Join(got, " ")
}

func (w *writer) end(version int16, commit bool, want string) {
	w.t.Helper()
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = w.id, w.producer.ID, w.producer.Epoch, commit
	resp := ask[*kmsg.EndTxnResponse](w.raw, version, req)
	w.want("end", nameOf(resp.ErrorCode), want)
	switch {
	case version < 5:
	case want != "ok":
		if resp.ProducerID != -1 || resp.ProducerEpoch != -1 {
			w.t.Fatalf("%+v", resp)
		}
	default:
		w.producer, w.next = txn.Producer{ID: resp.ProducerID, Epoch: resp.ProducerEpoch}, map[int32]int32{}
	}
}

func (w *writer) addGroup(version int16, group string) string {
	w.t.Helper()
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = w.id, w.producer.ID, w.producer.Epoch, group
	return nameOf(ask[*kmsg.AddOffsetsToTxnResponse](w.raw, version, req).ErrorCode)
}

// stage commits offset of partition 0 and of one that does not exist for a group.
func (w *writer) stage(version int16, group string, offset int64, generation int32, member string) string {
	w.t.Helper()
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = w.id, w.producer.ID, w.producer.Epoch, group
	req.Generation, req.MemberID = generation, member
	long := strings.Repeat("m", 5000)
	req.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: string(w.st.Name), Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{
		{Partition: 0, Offset: offset, LeaderEpoch: -1}, {Partition: 99}, {Partition: 1, Metadata: &long},
	}}}
	p := ask[*kmsg.TxnOffsetCommitResponse](w.raw, version, req).Topics[0].Partitions
	w.want("partition that does not exist", nameOf(p[1].ErrorCode), "UNKNOWN_TOPIC_OR_PARTITION")
	w.want("long metadata", nameOf(p[2].ErrorCode), "OFFSET_METADATA_TOO_LARGE")
	return nameOf(p[0].ErrorCode)
}

// offset tells a group's committed offset of partition 0.
func (w *writer) offset(version int16, group string, stable bool) string {
	w.t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group, req.RequireStable = group, stable
	req.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: string(w.st.Name), Partitions: []int32{0}}}
	req.Groups = []kmsg.OffsetFetchRequestGroup{{Group: group, Topics: []kmsg.OffsetFetchRequestGroupTopic{{Topic: string(w.st.Name), TopicID: w.st.ID, Partitions: []int32{0}}}}}
	resp := ask[*kmsg.OffsetFetchResponse](w.raw, version, req)
	if version < 8 {
		p := resp.Topics[0].Partitions[0]
		return offsetOr(p.Offset, p.ErrorCode)
	}
	p := resp.Groups[0].Topics[0].Partitions[0]
	return offsetOr(p.Offset, p.ErrorCode)
}

func offsetOr(offset int64, code int16) string {
	if code != 0 {
		return nameOf(code)
	}
	return fmt.Sprint(offset)
}

// TestTransactionsOfOldClients: partitions and groups are added, and the epoch stays, in each version of each request.
func TestTransactionsOfOldClients(t *testing.T) {
	t.Parallel()
	n := start(t)
	st := n.create(t, "t", 3, nil)
	for v := range int16(5) {
		id := fmt.Sprintf("tx%d", v)
		g := "g" + id
		w := n.writer(t, id, st)
		produce := 3 + 2*v // up to 11
		w.want("add before init", w.add(min(v, 3), 0), "INVALID_PRODUCER_ID_MAPPING")
		w.init(v, false, "ok")
		missing := "INVALID_TXN_STATE"
		if produce >= 11 {
			missing = "TRANSACTION_ABORTABLE"
		}
		w.want("produce", w.write(produce, 0), missing)
		w.end(v, true, "INVALID_TXN_STATE")
		w.want("add", w.add(min(v, 3), 0, 99, 1), "OPERATION_NOT_ATTEMPTED UNKNOWN_TOPIC_OR_PARTITION OPERATION_NOT_ATTEMPTED")
		w.want("add", w.add(min(v, 3), 0, 1), "ok ok")
		if got := w.write(produce, 0, 2); !strings.HasSuffix(got, " "+missing) || strings.HasPrefix(got, missing) {
			t.Fatalf("produce to one that is in the transaction and one that is not: %s", got)
		}
		unadded := "INVALID_TXN_STATE"
		if v >= 4 {
			unadded = "TRANSACTION_ABORTABLE"
		}
		w.want("stage", w.stage(v, g, 5, -1, ""), unadded)
		w.want("add group", w.addGroup(v, ""), "ok")
		w.want("add group", w.addGroup(v, g), "ok")
		w.want("stage", w.stage(v, "", 5, -1, ""), "INVALID_GROUP_ID")
		w.want("stage", w.stage(v, g, 5, -1, ""), "ok")
		w.want("offset", w.offset(7, g, false), "-1")
		w.want("stable offset", w.offset(7, g, true), "UNSTABLE_OFFSET_COMMIT")
		w.want("stable offset", w.offset(10, g, true), "UNSTABLE_OFFSET_COMMIT")
		w.end(v, true, "ok")
		w.want("offset", w.offset(10, g, true), "5")
		w.end(v, true, "ok")
		w.end(v, false, "INVALID_TXN_STATE")
		w.want("add", w.add(min(v, 3), 1), "ok")
		w.write(produce, 1)
		w.end(v, false, "ok")
		// A successor fences it, by the name that the version has for it.
		n.writer(t, id, st).init(v, false, "ok")
		fenced := "PRODUCER_FENCED"
		if v < 2 {
			fenced = "INVALID_PRODUCER_EPOCH"
		}
		w.want("add", w.add(min(v, 3), 0), fenced)
		w.want("add group", w.addGroup(v, g), fenced)
		w.want("stage", w.stage(v, g, 6, -1, ""), "INVALID_PRODUCER_EPOCH")
		w.want("produce", w.write(produce, 0), "INVALID_PRODUCER_EPOCH")
		w.end(v, true, fenced)
		if v >= 3 {
			if v == 3 {
				fenced = "INVALID_PRODUCER_EPOCH"
			}
			w.init(v, true, fenced)
		}
	}
}

// TestTransactionsOfNewClients: partitions and groups join by being written to, and each transaction has its own epoch (KIP-890).
func TestTransactionsOfNewClients(t *testing.T) {
	t.Parallel()
	n := start(t)
	st := n.create(t, "t", 3, nil)
	w := n.writer(t, "tx", st)
	w.init(5, false, "ok")
	for round := range 3 {
		w.want("produce", w.write(12, 0, 1), fmt.Sprintf("%d %d", 2*round, 2*round))
		w.want("produce", w.write(13, 2), fmt.Sprint(2*round))
		w.want("stage", w.stage(5, "g", int64(round), -1, ""), "ok")
		if round > 0 {
			w.want("offset", w.offset(9, "g", false), fmt.Sprint(round-1))
		}
		before := w.producer
		w.end(5, true, "ok")
		if w.producer != (txn.Producer{ID: before.ID, Epoch: before.Epoch + 1}) {
			t.Fatalf("%v after %v", w.producer, before)
		}
		w.want("offset", w.offset(9, "g", true), fmt.Sprint(round))
		zombie := *w
		zombie.producer, zombie.next = before, map[int32]int32{}
		zombie.end(5, false, "INVALID_TXN_STATE")
		zombie.want("produce", zombie.write(12, 0), "INVALID_PRODUCER_EPOCH")
		zombie.end(5, true, "ok")
		if zombie.producer != w.producer {
			t.Fatalf("a repeat is told %v, the first was %v", zombie.producer, w.producer)
		}
	}
	w.end(5, true, "INVALID_TXN_STATE")
	w.end(5, false, "ok")
	w.want("verify", w.addOrVerify(4, true, 0), "TRANSACTION_ABORTABLE")
	w.want("add", w.addOrVerify(5, false, 0, 1), "ok ok")
	w.want("verify", w.addOrVerify(5, true, 0, 2), "ok TRANSACTION_ABORTABLE")
	w.want("verify", w.addOrVerify(5, true, 0, 99), "OPERATION_NOT_ATTEMPTED UNKNOWN_TOPIC_OR_PARTITION")
	w.producer.Epoch--
	w.want("verify", w.addOrVerify(5, true, 0), "PRODUCER_FENCED")
}

// TestTransactionsBeginWithTheFirstSequence: a batch that takes a partition into the transaction, from the middle of a sequence of which the partition
// knows nothing, is not the first that was sent. Clients before KIP-890 may have been forgotten meanwhile.
func TestTransactionsBeginWithTheFirstSequence(t *testing.T) {
	t.Parallel()
	n := start(t)
	st := n.create(t, "t", 3, nil)
	w := n.writer(t, "tx", st)
	w.init(5, false, "ok")
	w.next = map[int32]int32{0: 4, 1: 0}
	w.want("produce", w.write(12, 0, 1), "OUT_OF_ORDER_SEQUENCE_NUMBER 0")
	w.want("verify", w.addOrVerify(4, true, 0, 1), "TRANSACTION_ABORTABLE ok")
	w.next[0] = 0
	w.want("produce", w.write(13, 0), "0")
	w.want("produce", w.write(13, 0, 1), "1 1")
	w.end(5, true, "ok")
	w.next = map[int32]int32{0: 2}
	w.want("produce", w.write(12, 0), "OUT_OF_ORDER_SEQUENCE_NUMBER")
	w.end(5, false, "ok")
	old := n.writer(t, "old", st)
	old.init(4, false, "ok")
	old.want("add", old.add(3, 2), "ok")
	old.next = map[int32]int32{2: 4}
	old.want("produce", old.write(11, 2), "0")
}

// TestBatchesOutsideOfTransactions: what does not fit a transaction is refused, and nothing of it stays.
func TestBatchesOutsideOfTransactions(t *testing.T) {
	t.Parallel()
	n := start(t)
	st := n.create(t, "t", 2, nil)
	w := n.writer(t, "tx", st)
	w.init(4, false, "ok")
	p := batch.Producer{ID: w.producer.ID, Epoch: w.producer.Epoch}
	expectOutcomes(t, ask[*kmsg.ProduceResponse](w.raw, 9, produceRequest(st, sent{0, transactional(1, p)})), "TRANSACTIONAL_ID_AUTHORIZATION_FAILED")
	w.want("add", w.add(3, 0), "ok")
	w.want("produce", w.write(9, 0), "0")
	p.Sequence = 1
	req := produceRequest(st, sent{0, records(1, "", p)})
	req.TransactionID = &w.id
	expectOutcomes(t, ask[*kmsg.ProduceResponse](w.raw, 9, req), "INVALID_TXN_STATE")
	nameless := produceRequest(st, sent{0, transactional(1, p)})
	nameless.TransactionID = new(string)
	expectOutcomes(t, ask[*kmsg.ProduceResponse](w.raw, 9, nameless), "INVALID_REQUEST")
	w.end(4, false, "ok")
	b, err := n.log.Bounds(t.Context(), st.Shard(0))
	if err != nil || b.LastStable != 2 || b.End != 2 {
		t.Errorf("%+v, %v", b, err)
	}
}

// TestTransactionsWhoseTopicsAndGroupsGoAway: they end all the same.
func TestTransactionsWhoseTopicsAndGroupsGoAway(t *testing.T) {
	t.Parallel()
	n := start(t)
	st := n.create(t, "t", 2, nil)
	doomed := n.create(t, "doomed", 2, nil)
	w := n.writer(t, "tx", st)
	w.init(5, false, "ok")
	w.want("produce", w.write(12, 0), "0")
	for _, g := range []string{"kept", "deleted", "shard"} {
		w.want("stage", w.stage(5, g, 7, -1, ""), "ok")
	}
	other := *w
	other.st, other.next = doomed, map[int32]int32{}
	other.want("produce", other.write(12, 0), "0")
	other.want("stage", other.stage(5, "doomed", 7, -1, ""), "ok")
	if err := n.log.Delete(t.Context(), doomed.ID); err != nil {
		t.Fatal(err)
	}
	del := kmsg.NewPtrDeleteGroupsRequest()
	del.Groups = []string{"deleted"}
	w.want("delete", nameOf(ask[*kmsg.DeleteGroupsResponse](w.raw, 2, del).Groups[0].ErrorCode), "ok")
	off := kmsg.NewPtrOffsetDeleteRequest()
	off.Group, off.Topics = "shard", []kmsg.OffsetDeleteRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}}}}
	w.want("delete offsets", nameOf(ask[*kmsg.OffsetDeleteResponse](w.raw, 0, off).ErrorCode), "ok")
	w.end(5, true, "ok")
	for group, want := range map[string]string{"kept": "7", "deleted": "-1", "shard": "-1", "doomed": "-1"} {
		w.want("offset of "+group, w.offset(7, group, true), want)
	}
}

// TestStagingIsForMembers: whoever names a member of the group has to be it (KIP-447).
func TestStagingIsForMembers(t *testing.T) {
	t.Parallel()
	n := start(t, noDelay)
	st := n.create(t, "t", 2, nil)
	w := n.writer(t, "tx", st)
	w.init(5, false, "ok")
	w.want("stage", w.stage(5, "none", 1, 3, "m"), "ILLEGAL_GENERATION")
	member := n.client(t, kgo.ConsumeTopics("t"), kgo.ConsumerGroup("g"))
	soon, cancel := context.WithCancel(t.Context())
	cancel()
	member.PollFetches(soon)
	eventually(t, "the group is stable", func() bool { _, generation := member.GroupMetadata(); return generation > 0 })
	id, generation := member.GroupMetadata()
	w.want("stage", w.stage(5, "g", 1, generation, id), "ok")
	w.want("stage", w.stage(5, "g", 1, generation+1, id), "ILLEGAL_GENERATION")
	w.want("stage", w.stage(5, "g", 1, generation, "stranger"), "UNKNOWN_MEMBER_ID")
	w.want("stage", w.stage(2, "g", 1, 0, ""), "ok") // says nothing of itself
}

func TestTransactionsAreListedAndDescribed(t *testing.T) {
	t.Parallel()
	n := start(t)
	st := n.create(t, "t", 3, nil)
	r := n.raw(t)
	began := n.clock.Now().UnixMilli()
	open, idle := n.writer(t, "open", st), n.writer(t, "idle", st)
	open.init(5, false, "ok")
	idle.init(5, false, "ok")
	open.want("produce", open.write(12, 2, 0), "0 0")
	open.want("stage", open.stage(5, "g", 1, -1, ""), "ok")
	open.want("stage", open.stage(5, "txn-group-old-v0", 1, -1, ""), "ok") // its hash is negative
	list := func(version int16, change func(*kmsg.ListTransactionsRequest)) string {
		req := kmsg.NewPtrListTransactionsRequest()
		change(req)
		resp := ask[*kmsg.ListTransactionsResponse](r, version, req)
		all := append([]string{}, resp.UnknownStateFilters...)
		if resp.ErrorCode != 0 {
			all = append(all, nameOf(resp.ErrorCode))
		}
		for _, x := range resp.TransactionStates {
			all = append(all, x.TransactionalID+":"+x.TransactionState)
		}
		return strings.Join(all, " ")
	}
	pattern := func(s string) func(*kmsg.ListTransactionsRequest) {
		return func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = &s }
	}
	const both = "idle:Empty open:Ongoing"
	for _, row := range []struct {
		version int16
		change  func(*kmsg.ListTransactionsRequest)
		want    string
	}{
		{0, func(*kmsg.ListTransactionsRequest) {}, both},
		{0, func(r *kmsg.ListTransactionsRequest) { r.StateFilters = []string{"Ongoing", "Unheard"} }, "Unheard open:Ongoing"},
		{0, func(r *kmsg.ListTransactionsRequest) { r.StateFilters = []string{"PrepareCommit"} }, ""},
		{1, func(r *kmsg.ListTransactionsRequest) { r.ProducerIDFilters = []int64{idle.producer.ID, 99} }, "idle:Empty"},
		{1, func(r *kmsg.ListTransactionsRequest) { r.DurationFilterMillis = 1_000_000 }, "idle:Empty"}, // as in Apache Kafka: it has begun at -1
		{2, pattern("o.*"), "open:Ongoing"},
		{2, pattern("pe"), ""},
		{2, pattern("idle|open"), both},
		{2, pattern("("), "INVALID_REGULAR_EXPRESSION"},
	} {
		if got := list(row.version, row.change); got != row.want {
			t.Errorf("v%d: %q, want %q", row.version, got, row.want)
		}
	}
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{"open", "idle", "none", ""}
	resp := ask[*kmsg.DescribeTransactionsResponse](r, 0, req)
	d := resp.TransactionStates[0]
	if d.State != "Ongoing" || d.ProducerID != open.producer.ID || d.ProducerEpoch != 0 || d.TimeoutMillis != 60_000 ||
		d.StartTimestamp < began || d.StartTimestamp > n.clock.Now().UnixMilli() {
		t.Errorf("%+v", d)
	}
	if len(d.Topics) != 2 || d.Topics[0].Topic != "__consumer_offsets" || !slices.Equal(d.Topics[0].Partitions, []int32{3, 41}) ||
		d.Topics[1].Topic != "t" || !slices.Equal(d.Topics[1].Partitions, []int32{0, 2}) {
		t.Errorf("%+v", d.Topics)
	}
	if d = resp.TransactionStates[1]; d.State != "Empty" || d.StartTimestamp != -1 || len(d.Topics) != 0 {
		t.Errorf("%+v", d)
	}
	for i, want := range map[int]string{2: "TRANSACTIONAL_ID_NOT_FOUND", 3: "INVALID_REQUEST"} {
		if got := nameOf(resp.TransactionStates[i].ErrorCode); got != want {
			t.Errorf("%q: %s", req.TransactionalIDs[i], got)
		}
	}
}

// TestMarkersOfAdministrators end a transaction in one partition.
func TestMarkersOfAdministrators(t *testing.T) {
	t.Parallel()
	n := start(t)
	st := n.create(t, "t", 2, nil)
	w := n.writer(t, "tx", st)
	w.init(5, false, "ok")
	w.want("produce", w.write(12, 0, 1), "0 0")
	mark := func(version int16, partition int32, change func(*kmsg.WriteTxnMarkersRequestMarker)) string {
		req := kmsg.NewPtrWriteTxnMarkersRequest()
		m := kmsg.NewWriteTxnMarkersRequestMarker()
		m.ProducerID, m.ProducerEpoch = w.producer.ID, w.producer.Epoch
		m.Topics = []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: "t", Partitions: []int32{partition}}}
		change(&m)
		req.Markers = append(req.Markers, m)
		resp := ask[*kmsg.WriteTxnMarkersResponse](w.raw, version, req)
		if resp.Markers[0].ProducerID != m.ProducerID || resp.Markers[0].Topics[0].Partitions[0].Partition != partition {
			t.Fatalf("%+v", resp)
		}
		return nameOf(resp.Markers[0].Topics[0].Partitions[0].ErrorCode)
	}
	as := func(*kmsg.WriteTxnMarkersRequestMarker) {}
	w.want("partition that does not exist", mark(1, 9, as), "UNKNOWN_TOPIC_OR_PARTITION")
	w.want("no producer", mark(1, 0, func(m *kmsg.WriteTxnMarkersRequestMarker) { m.ProducerID = -1 }), "INVALID_REQUEST")
	w.want("the same epoch of a new client", mark(2, 0, func(m *kmsg.WriteTxnMarkersRequestMarker) { m.TransactionVersion = 2 }), "INVALID_PRODUCER_EPOCH")
	w.want("the same epoch", mark(2, 0, as), "ok")
	w.want("the next epoch", mark(2, 1, func(m *kmsg.WriteTxnMarkersRequestMarker) {
		m.TransactionVersion, m.ProducerEpoch = 2, m.ProducerEpoch+1
	}), "ok")
	w.want("an old epoch", mark(1, 1, as), "INVALID_PRODUCER_EPOCH")
	for i := range int32(2) {
		if b, err := n.log.Bounds(t.Context(), st.Shard(i)); err != nil || b.LastStable != 2 {
			t.Errorf("partition %d: %+v, %v", i, b, err)
		}
	}
	w.end(5, true, "ok") // though one of the partitions has seen the next epoch
}

// TestFranzConsumesTransformsAndProduces runs an exactly-once loop whose sessions abort now and then: each input is there once in the output.
//
// A life may end early by a fault of franz-go 1.22.2. When it learns the partitions of a topic, it hands them the records that have waited for them
// before it stores them for others to find (storePartitionsUpdate). If the first transaction of the client is over before that, EndTransaction
// finds no partitions whose sequences to begin anew: the second transaction has the next epoch and goes on with the old sequences, which is out of order
// to the server, as to Apache Kafka. Nothing of it is committed, and the next life takes up from there. It takes a busy machine, so it is seldom.
func TestFranzConsumesTransformsAndProduces(t *testing.T) {
	t.Parallel()
	n := start(t, noDelay)
	n.create(t, "in", 2, nil)
	n.create(t, "out", 2, nil)
	const inputs = 300
	feeder := n.client(t, kgo.DefaultProduceTopic("in"))
	for i := range inputs {
		feeder.Produce(t.Context(), kgo.StringRecord(fmt.Sprint(i)), nil)
	}
	if err := feeder.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	done, outOfOrder := 0, 0
	for life := 0; done < inputs && life < 50; life++ {
		committed, err := n.transform(t, life, inputs-done)
		if done += committed; err != nil {
			t.Logf("life %d: %v", life, err)
			outOfOrder++
		}
	}
	if outOfOrder > 3 {
		t.Errorf("%d lives were out of order", outOfOrder)
	}
	seen := map[string]int{}
	for _, r := range n.consume(t, "out", inputs, kgo.FetchIsolationLevel(kgo.ReadCommitted())) {
		seen[string(r.Value)]++
	}
	if len(seen) != inputs {
		t.Errorf("%d of %d inputs are in the output", len(seen), inputs)
	}
	for input, times := range seen {
		if times != 1 {
			t.Errorf("input %s is in the output %d times", input, times)
		}
	}
	for i, st := range []stream.Name{"in", "out"} {
		s, err := n.log.Stream(t.Context(), st)
		if err != nil {
			t.Fatal(err)
		}
		for p := range s.Shards {
			if b, err := n.log.Bounds(t.Context(), s.Shard(p)); err != nil || b.LastStable != b.End {
				t.Errorf("%d: %+v, %v", i, b, err)
			}
		}
	}
}

// transform is one life of the loop: it commits a few batches, aborts some, and dies within a transaction. It returns how many records it committed,
// and what ended it early if that was the second transaction's being out of order.
func (n *node) transform(t *testing.T, life, want int) (int, error) {
	t.Helper()
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(n.addr), kgo.TransactionalID("loop"), kgo.ConsumerGroup("loop"), kgo.ConsumeTopics("in"), kgo.DefaultProduceTopic("out"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxBytes(700), kgo.FetchMaxPartitionBytes(350),
	)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	done := 0
	for round := range 4 {
		fetches := session.PollRecords(t.Context(), 20)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		if err := session.Begin(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) { session.Produce(t.Context(), kgo.StringRecord(string(r.Value)), nil) })
		if err := session.Client().Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if round == 3 && done < want {
			return done, nil // dies
		}
		committed, err := session.End(t.Context(), kgo.TransactionEndTry((life+round)%3 != 0))
		if round == 1 && errors.Is(err, kerr.OutOfOrderSequenceNumber) {
			return done, err
		}
		if err != nil {
			t.Fatal(err)
		}
		if committed {
			done += fetches.NumRecords()
		}
		if done >= want {
			return done, nil
		}
	}
	return done, nil
}

// TestTheNodeAbortsByItsClock: a transaction whose producer is silent holds readers up no longer than its timeout.
func TestTheNodeAbortsByItsClock(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.create(t, "t", 1, nil)
	cl := n.client(t, kgo.TransactionalID("tx"), kgo.DefaultProduceTopic("t"), kgo.TransactionTimeout(time.Second))
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(t.Context(), kgo.StringRecord("lost")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := n.client(t, kgo.DefaultProduceTopic("t")).ProduceSync(t.Context(), kgo.StringRecord("behind")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	got := n.consume(t, "t", 1, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if string(got[0].Value) != "behind" {
		t.Errorf("read %q", got[0].Value)
	}
	if err := cl.EndTransaction(t.Context(), kgo.TryCommit); err == nil || errors.Is(err, t.Context().Err()) {
		t.Errorf("a commit after its time: %v", err)
	}
}
