package kafka_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/govern/quota"
	"github.com/freshet/freshet/internal/protocol/kafka"
	"github.com/freshet/freshet/internal/state/memstate"
)

// limited starts a server with quotas on a virtual clock.
func limited(t *testing.T, change ...func(*kafka.Config, *clock.Virtual)) (*node, *clock.Virtual, *quota.Book) {
	t.Helper()
	v := clock.NewVirtual(time.UnixMilli(1_700_000_000_000))
	book, err := quota.Open(t.Context(), memstate.New(v), quota.Config{})
	if err != nil {
		t.Fatal(err)
	}
	n := start(t, func(c *kafka.Config) {
		c.Clock, c.Quotas = v, book
		for _, f := range change {
			f(c, v)
		}
	})
	eventually(t, "the server is up", func() bool { return v.Waiting() >= 5 })
	return n, v, book
}

func limit(t *testing.T, book *quota.Book, e quota.Entity, k quota.Kind, value float64) {
	t.Helper()
	if err := book.Alter(t.Context(), e, []quota.Change{{Name: k.String(), Limit: value}}, false); err != nil {
		t.Fatal(err)
	}
}

var everyUser = quota.Entity{User: quota.Everyone}

// expectMuted sees that a connection answers after wait and not before.
func expectMuted(t *testing.T, r *raw, v *clock.Virtual, sleepers int, wait time.Duration) {
	t.Helper()
	eventually(t, "the connection is muted", func() bool { return v.Waiting() == sleepers+1 })
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		ask[kmsg.Response](r, 0, kmsg.NewPtrApiVersionsRequest())
	}()
	v.Advance(wait - time.Millisecond)
	if v.Waiting() != sleepers+1 {
		t.Errorf("not muted any more a millisecond before %s", wait)
	}
	v.Advance(time.Millisecond)
	<-answered
}

func TestProducersAreThrottled(t *testing.T) {
	t.Parallel()
	n, v, book := limited(t)
	n.create(t, "t", 1, nil)
	sleepers := v.Waiting()
	r := n.raw(t)
	limit(t, book, everyUser, quota.ProducerBytes, 100)
	produce := func(bytes int) *kmsg.ProduceResponse {
		req := kmsg.NewPtrProduceRequest()
		req.Acks = -1
		req.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{{Records: sized(bytes)}}}}
		return ask[*kmsg.ProduceResponse](r, 9, req)
	}
	if got := produce(500); got.ThrottleMillis != 0 || got.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatalf("within the quota: %+v", got)
	}
	got := produce(1000)
	if got.ThrottleMillis < 5000 || got.ThrottleMillis > 8000 || got.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatalf("beyond it: %+v", got)
	}
	expectMuted(t, r, v, sleepers, time.Duration(got.ThrottleMillis)*time.Millisecond)
}

// sized returns a batch of about so many bytes.
func sized(n int) []byte {
	var w batch.Builder
	w.Add(1_700_000_000_000, nil, make([]byte, n))
	return w.Finish(batch.NoProducer)
}

func TestConsumersAreThrottled(t *testing.T) {
	t.Parallel()
	n, v, book := limited(t)
	st := n.create(t, "t", 1, nil)
	produce := kmsg.NewPtrProduceRequest()
	produce.Acks = -1
	produce.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{{Records: sized(2000)}}}}
	ask[*kmsg.ProduceResponse](n.raw(t), 9, produce)
	limit(t, book, everyUser, quota.ConsumerBytes, 100)
	sleepers := v.Waiting()
	fetch := func(r *raw) *kmsg.FetchResponse {
		req := fetchRequest(st, want{0, 0})
		req.MaxWaitMillis, req.SessionEpoch = 0, 0
		return ask[*kmsg.FetchResponse](r, 12, req)
	}
	r := n.raw(t)
	first := fetch(r)
	if len(first.Topics) != 1 || len(first.Topics[0].Partitions[0].RecordBatches) < 2000 || first.ThrottleMillis < 10_000 || first.SessionID == 0 {
		t.Fatalf("more than ten seconds' worth: %d ms, session %d", first.ThrottleMillis, first.SessionID)
	}
	other := n.raw(t)
	if got := fetch(other); len(got.Topics) != 0 || got.ThrottleMillis < 10_000 || got.SessionID != 0 || got.ErrorCode != 0 {
		t.Errorf("by another connection: %+v", got)
	}
	if sessions, _ := n.FetchSessions(); sessions != 1 {
		t.Errorf("%d sessions", sessions)
	}
	eventually(t, "both are muted", func() bool { return v.Waiting() == sleepers+2 })
	v.Advance(12 * time.Second)
	next := fetchRequest(st, want{0, 1})
	next.SessionID, next.SessionEpoch, next.MaxWaitMillis = first.SessionID, 1, 0
	if got := ask[*kmsg.FetchResponse](r, 12, next); got.ErrorCode != 0 || got.ThrottleMillis != 0 {
		t.Errorf("the session goes on: error %d, %d ms", got.ErrorCode, got.ThrottleMillis)
	}
	if got := fetch(other); len(got.Topics) != 1 {
		t.Errorf("after the time: %d topics", len(got.Topics))
	}
}

func TestMutationsAreLimited(t *testing.T) {
	t.Parallel()
	n, _, book := limited(t)
	limit(t, book, everyUser, quota.Mutations, 1)
	create := func(name string, version int16, partitions int32) (int16, int32) {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
		resp := ask[*kmsg.CreateTopicsResponse](n.raw(t), version, &kmsg.CreateTopicsRequest{Topics: []kmsg.CreateTopicsRequestTopic{topic}})
		return resp.Topics[0].ErrorCode, resp.ThrottleMillis
	}
	const exceeded = 89
	if code, wait := create("a", 7, 13); code != 0 || wait != 0 {
		t.Errorf("beyond the quota, without a debt before: %d, %d ms", code, wait)
	}
	if code, wait := create("b", 7, 1); code != exceeded || wait != 2000 {
		t.Errorf("with a debt: %d, %d ms", code, wait)
	}
	if code, wait := create("b", 5, 1); code != 0 || wait != 3000 {
		t.Errorf("a version that does not know of it: %d, %d ms", code, wait)
	}
	add := &kmsg.CreatePartitionsRequest{Topics: []kmsg.CreatePartitionsRequestTopic{{Topic: "b", Count: 2}}}
	if got := ask[*kmsg.CreatePartitionsResponse](n.raw(t), 3, add); got.Topics[0].ErrorCode != exceeded || got.ThrottleMillis != 3000 {
		t.Errorf("more partitions: %+v", got)
	}
	remove := &kmsg.DeleteTopicsRequest{TopicNames: []string{"b"}}
	if got := ask[*kmsg.DeleteTopicsResponse](n.raw(t), 5, remove); got.Topics[0].ErrorCode != exceeded || got.ThrottleMillis != 3000 {
		t.Errorf("deletion: %+v", got)
	}
	if got := ask[*kmsg.DeleteTopicsResponse](n.raw(t), 4, remove); got.Topics[0].ErrorCode != 0 || got.ThrottleMillis != 4000 {
		t.Errorf("deletion by a version that does not know of it: %+v", got)
	}
}

// TestBusyClientsAreThrottled has a request take three seconds, which are thirty percent of the time over which it is measured.
func TestBusyClientsAreThrottled(t *testing.T) {
	t.Parallel()
	n, v, book := limited(t, func(c *kafka.Config, v *clock.Virtual) {
		c.DiskSpace = func(context.Context) (int64, int64, error) { v.Advance(3 * time.Second); return 1, 1, nil }
	})
	r := n.raw(t)
	sleepers := v.Waiting()
	limit(t, book, everyUser, quota.RequestTime, 28)
	if got := ask[*kmsg.DescribeLogDirsResponse](r, 4, kmsg.NewPtrDescribeLogDirsRequest()); got.ThrottleMillis != 715 {
		t.Errorf("throttled for %d ms", got.ThrottleMillis)
	}
	expectMuted(t, r, v, sleepers, 715*time.Millisecond)
	eventually(t, "the connection is muted again, for its rate is as it was", func() bool { return v.Waiting() == sleepers+1 })
	v.Advance(12 * time.Second)
	limit(t, book, everyUser, quota.RequestTime, 1000)
	if got := ask[*kmsg.DescribeLogDirsResponse](r, 4, kmsg.NewPtrDescribeLogDirsRequest()); got.ThrottleMillis != 0 {
		t.Errorf("throttled for %d ms", got.ThrottleMillis)
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	t.Parallel()
	n, v, book := limited(t)
	limit(t, book, quota.Entity{IP: quota.Named("127.0.0.1")}, quota.Connections, 1)
	sleepers := v.Waiting()
	for range 10 {
		ask[kmsg.Response](n.raw(t), 0, kmsg.NewPtrApiVersionsRequest())
	}
	r := n.raw(t)
	eventually(t, "a connection is held up", func() bool { return v.Waiting() == sleepers+1 })
	r.send(0, kmsg.NewPtrApiVersionsRequest())
	v.Advance(time.Second)
	r.expectClosed()
	v.Advance(10 * time.Second)
	ask[kmsg.Response](n.raw(t), 0, kmsg.NewPtrApiVersionsRequest())
}

func TestClientQuotas(t *testing.T) {
	t.Parallel()
	n, _, _ := limited(t)
	r := n.raw(t)
	type part = kmsg.AlterClientQuotasRequestEntryEntity
	type op = kmsg.AlterClientQuotasRequestEntryOp
	text := kmsg.StringPtr
	alter := func(entries ...kmsg.AlterClientQuotasRequestEntry) (codes []int16) {
		for _, e := range ask[*kmsg.AlterClientQuotasResponse](r, 1, &kmsg.AlterClientQuotasRequest{Entries: entries}).Entries {
			codes = append(codes, e.ErrorCode)
		}
		return codes
	}
	entry := func(value float64, parts ...part) kmsg.AlterClientQuotasRequestEntry {
		key := "producer_byte_rate"
		if parts[0].Type == "ip" {
			key = "connection_creation_rate"
		}
		return kmsg.AlterClientQuotasRequestEntry{Entity: parts, Ops: []op{{Key: key, Value: value}}}
	}
	user, everyone, client := part{Type: "user", Name: text("u")}, part{Type: "user"}, part{Type: "client-id", Name: text("c")}
	v6 := part{Type: "ip", Name: text("0:0:0:0:0:0:0:1")}
	if got := alter(entry(1, user), entry(2, everyone, client), entry(3, client), entry(4, v6), entry(1.5, user, client), entry(1, part{Type: "group"})); !slices.Equal(got, []int16{0, 0, 0, 0, 42, 42}) {
		t.Errorf("altered: %v", got)
	}
	if got := alter(entry(9, user), entry(8, user)); !slices.Equal(got, []int16{42}) {
		t.Errorf("one entity twice: %v", got)
	}
	if got := alter(entry(9, user, user)); !slices.Equal(got, []int16{42}) {
		t.Errorf("one part twice: %v", got)
	}
	type component = kmsg.DescribeClientQuotasRequestComponent
	describe := func(strict bool, components ...component) string {
		resp := ask[*kmsg.DescribeClientQuotasResponse](r, 1, &kmsg.DescribeClientQuotasRequest{Strict: strict, Components: components})
		if resp.ErrorCode != 0 {
			return fmt.Sprint("error ", resp.ErrorCode)
		}
		var b bytes.Buffer
		for _, e := range resp.Entries {
			for _, p := range e.Entity {
				name := "*"
				if p.Name != nil {
					name = *p.Name
				}
				fmt.Fprintf(&b, "%s=%s ", p.Type, name)
			}
			for _, value := range e.Values {
				fmt.Fprintf(&b, "%s:%g; ", value.Key, value.Value)
			}
		}
		return b.String()
	}
	const (
		ip   = "ip=::1 connection_creation_rate:4; "
		c    = "client-id=c producer_byte_rate:3; "
		pair = "user=* client-id=c producer_byte_rate:2; "
		u    = "user=u producer_byte_rate:1; "
	)
	for _, row := range []struct {
		name string
		got  string
		want string
	}{
		{"all", describe(false), ip + c + pair + u},
		{"nothing else than nothing", describe(true), ""},
		{"a user", describe(false, component{EntityType: "user", Match: text("u")}), u},
		{"any user", describe(false, component{EntityType: "user", MatchType: 2}), pair + u},
		{"any user alone", describe(true, component{EntityType: "user", MatchType: 2}), u},
		{"everyone", describe(false, component{EntityType: "user", MatchType: 1}), pair},
		{"an address", describe(false, component{EntityType: "ip", Match: text("::1")}), ip},
		{"exactly nobody", describe(false, component{EntityType: "user"}), "error 42"},
		{"everyone by name", describe(false, component{EntityType: "user", MatchType: 1, Match: text("x")}), "error 42"},
		{"another match", describe(false, component{EntityType: "user", MatchType: 3}), "error 42"},
		{"another kind", describe(false, component{EntityType: "foo", MatchType: 2}), "error 35"},
		{"no kind", describe(false, component{MatchType: 2}), "error 42"},
		{"a kind twice", describe(false, component{EntityType: "user", MatchType: 2}, component{EntityType: "user", MatchType: 1}), "error 42"},
		{"an address and a user", describe(false, component{EntityType: "ip", MatchType: 2}, component{EntityType: "user", MatchType: 2}), "error 42"},
	} {
		if row.got != row.want {
			t.Errorf("%s: %s, want %s", row.name, row.got, row.want)
		}
	}
}
