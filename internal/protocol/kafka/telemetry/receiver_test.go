package telemetry

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/proto"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/protocol/kafka/refusal"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/state/memstate"
)

// rig is a receiver on memory whose clock is the test's.
type rig struct {
	*Receiver
	t     testing.TB
	clock *clock.Virtual
	store state.Store
	subs  *Subscriptions
	board *Board
}

func newRig(t testing.TB, cfg Config, show BoardConfig) *rig {
	t.Helper()
	c := clock.NewVirtual(time.UnixMilli(1_700_000_000_000))
	r := &rig{t: t, clock: c, store: memstate.New(c), board: NewBoard(show, c)}
	var err error
	if r.subs, err = OpenSubscriptions(t.Context(), r.store); err != nil {
		t.Fatal(err)
	}
	cfg.Board = r.board
	r.Receiver = NewReceiver(cfg, r.subs, c, rand.NewChaCha8([32]byte{7}))
	return r
}

// set makes pairs of keys and values all that a subscription has.
func (r *rig) set(name string, pairs ...string) error {
	return r.subs.Alter(r.t.Context(), name, func(set map[string]string) error {
		clear(set)
		for i := 0; i < len(pairs); i += 2 {
			set[pairs[i]] = pairs[i+1]
		}
		return nil
	}, false)
}

func (r *rig) mustSet(name string, pairs ...string) {
	r.t.Helper()
	if err := r.set(name, pairs...); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) subscribe(c *Client, id ID) Assignment {
	r.t.Helper()
	a, err := r.Subscribe(c, id)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

// wants checks an error's kind, nil for none.
func (r *rig) wants(what string, err error, kind *kerr.Error) {
	r.t.Helper()
	switch {
	case kind == nil && err != nil:
		r.t.Errorf("%s: %v", what, err)
	case kind != nil && !errors.Is(err, kind):
		r.t.Errorf("%s: %v, want %s", what, err, kind.Message)
	}
}

var java = &Client{
	ClientID: "orders", Software: "apache-kafka-java", Version: "4.3.1", SourceAddress: "10.0.0.7:4711", SourceIP: "10.0.0.7", Connection: 1,
}

func TestIDsOfSubscriptionsAreKafkas(t *testing.T) {
	r := newRig(t, Config{}, BoardConfig{})
	r.mustSet("all", Metrics, "*", Interval, "1000")
	a := r.subscribe(java, ID{})
	text := crc32.Checksum([]byte("[*]1000"), crc32.MakeTable(crc32.Castagnoli))
	mixed := binary.BigEndian.Uint64(a.ID[:8]) ^ binary.BigEndian.Uint64(a.ID[8:])
	if want := int32(text) ^ int32(mixed>>32) ^ int32(mixed); a.Subscription != want {
		t.Errorf("%d, want %d", a.Subscription, want)
	}
	if a.ID[6]>>4 != 4 || a.Interval != time.Second || len(a.Metrics) != 1 || a.Metrics[0] != "" || a.MaxBytes != 1<<20 {
		t.Errorf("%+v", a)
	}
}

func TestSubscriptionsOfAClientAreUnited(t *testing.T) {
	r := newRig(t, Config{}, BoardConfig{})
	if a := r.subscribe(java, ID{1}); len(a.Metrics) != 0 || a.Interval != DefaultInterval {
		t.Errorf("none: %+v", a)
	}
	r.mustSet("one", Metrics, "b,a", Match, "client_software_name=apache.*, client_source_port=47..")
	r.mustSet("two", Metrics, "a, c", Interval, "500", Match, "client_id=orders")
	r.mustSet("of others", Metrics, "x", Match, "client_id=order")
	// The change counts at once, though the client asks before its time.
	if a := r.subscribe(java, ID{1}); strings.Join(a.Metrics, " ") != "a b c" || a.Interval != 500*time.Millisecond {
		t.Errorf("two: %+v", a)
	}
	r.mustSet("one")
	if a := r.subscribe(java, ID{1}); strings.Join(a.Metrics, " ") != "a c" {
		t.Errorf("one: %+v", a)
	}
	unnamed := &Client{ClientID: "orders", SourceAddress: "pipe", Connection: 2}
	r.mustSet("named", Metrics, "y", Match, "client_software_version=.*")
	if a := r.subscribe(unnamed, ID{2}); strings.Join(a.Metrics, " ") != "a c" {
		t.Errorf("a client that did not say what it is: %+v", a)
	}
}

func TestSubscriptionsAreCheckedAsInKafka(t *testing.T) {
	r := newRig(t, Config{}, BoardConfig{})
	for _, row := range []struct {
		key, value string
		kind       *kerr.Error
	}{
		{"nonsense", "1", kerr.InvalidRequest},
		{Interval, "99", kerr.InvalidRequest},
		{Interval, "3600001", kerr.InvalidRequest},
		{Interval, "x", kerr.InvalidConfig},
		{Interval, "100", nil},
		{Match, "client_id", kerr.InvalidConfig},
		{Match, "client_id=", kerr.InvalidConfig},
		{Match, "client_id=a=b", kerr.InvalidConfig},
		{Match, "client_name=a", kerr.InvalidConfig},
		{Match, "client_id=(", kerr.InvalidConfig},
		{Match, "client_id=a)|(?:b", kerr.InvalidConfig},
		{Match, " client_id = a|b ", nil},
		{Metrics, strings.Repeat("m", MaxConfigBytes+1), kerr.InvalidConfig},
	} {
		r.wants(row.key+"="+row.value[:min(20, len(row.value))], r.set("s", row.key, row.value), row.kind)
	}
	r.wants("no name", r.set("", Metrics, "*"), kerr.InvalidRequest)
	r.wants("long name", r.set(strings.Repeat("n", MaxNameBytes+1), Metrics, "*"), kerr.InvalidRequest)
	for i := range MaxSubscriptions - 1 {
		r.mustSet(strings.Repeat("s", i+2), Metrics, "*")
	}
	r.wants("one too many", r.set("another", Metrics, "*"), kerr.PolicyViolation)
}

func TestSubscriptionsAreKept(t *testing.T) {
	r := newRig(t, Config{}, BoardConfig{})
	r.mustSet("kept", Metrics, "a", Match, "client_id=o.*")
	r.mustSet("gone", Metrics, "b")
	r.mustSet("gone")
	again, err := OpenSubscriptions(t.Context(), r.store)
	if err != nil {
		t.Fatal(err)
	}
	if got := again.Names(); len(got) != 1 || again.Set("kept")[Match] != "client_id=o.*" {
		t.Errorf("%v", got)
	}
	if p := again.of(java, ID{1}); len(p.metrics) != 1 {
		t.Errorf("%+v", p)
	}
}

// The rules of when a client may ask and push are those of KIP-714, as Apache Kafka has them.
func TestClientsAreHeldToTheirInterval(t *testing.T) {
	r := newRig(t, Config{}, BoardConfig{})
	r.mustSet("all", Metrics, "*", Interval, "1000")
	a := r.subscribe(java, ID{})
	push := &Push{ID: a.ID, Subscription: a.Subscription}
	_, err := r.Subscribe(java, a.ID)
	r.wants("asked twice", err, kerr.ThrottlingQuotaExceeded)
	r.clock.Advance(100 * time.Millisecond)
	r.wants("the first push", r.Push(java, push), nil)
	r.wants("the second at once", r.Push(java, push), kerr.ThrottlingQuotaExceeded)
	r.clock.Advance(time.Second)
	r.wants("the second", r.Push(java, push), nil)
	r.clock.Advance(time.Second)
	r.wants("another subscription", r.Push(java, &Push{ID: a.ID, Subscription: a.Subscription + 1}), kerr.UnknownSubscriptionID)
	_, err = r.Subscribe(java, a.ID)
	r.wants("asked why", err, nil)
	r.wants("pushed again, at once", r.Push(java, push), kerr.ThrottlingQuotaExceeded)
	r.clock.Advance(time.Second)
	r.wants("no codec", r.Push(java, &Push{ID: a.ID, Subscription: a.Subscription, Codec: 9}), kerr.UnsupportedCompressionType)
	_, err = r.Subscribe(java, a.ID)
	r.wants("asked for codecs", err, nil)
	r.wants("too much", r.Push(java, &Push{ID: a.ID, Subscription: a.Subscription, Terminating: true, Metrics: make([]byte, 1<<20+1)}), kerr.TelemetryTooLarge)
	r.wants("after the last", r.Push(java, push), kerr.InvalidRequest)
	r.wants("no id", r.Push(java, &Push{}), kerr.InvalidRequest)
}

func TestClientsAreForgotten(t *testing.T) {
	r := newRig(t, Config{MaxInstances: 3}, BoardConfig{})
	for i := range byte(5) {
		r.subscribe(&Client{Connection: i}, ID{1, i})
	}
	if n := r.Instances(); n != 3 || len(r.connections) != 3 {
		t.Errorf("%d clients, %d connections", n, len(r.connections))
	}
	r.Disconnect(byte(4))
	r.Disconnect(byte(0)) // whose client was forgotten
	if n := r.Instances(); n != 2 {
		t.Errorf("%d clients", n)
	}
	r.clock.Advance(3*DefaultInterval + time.Second)
	r.subscribe(java, ID{9})
	if n := r.Instances(); n != 1 || len(r.connections) != 1 {
		t.Errorf("%d clients, %d connections", n, len(r.connections))
	}
}

func text(key, value string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: value}}}
}

func double(v float64, attributes ...*commonpb.KeyValue) *metricspb.NumberDataPoint {
	return &metricspb.NumberDataPoint{Value: &metricspb.NumberDataPoint_AsDouble{AsDouble: v}, Attributes: attributes}
}

func whole(v int64, attributes ...*commonpb.KeyValue) *metricspb.NumberDataPoint {
	return &metricspb.NumberDataPoint{Value: &metricspb.NumberDataPoint_AsInt{AsInt: v}, Attributes: attributes}
}

func gaugeOf(name string, points ...*metricspb.NumberDataPoint) *metricspb.Metric {
	return &metricspb.Metric{Name: name, Data: &metricspb.Metric_Gauge{Gauge: &metricspb.Gauge{DataPoints: points}}}
}

func sumOf(name string, t metricspb.AggregationTemporality, monotonic bool, points ...*metricspb.NumberDataPoint) *metricspb.Metric {
	return &metricspb.Metric{Name: name, Data: &metricspb.Metric_Sum{Sum: &metricspb.Sum{DataPoints: points, AggregationTemporality: t, IsMonotonic: monotonic}}}
}

const (
	deltas      = metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA
	cumulatives = metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE
)

// message encodes metrics as clients do: a resource for each.
func message(t testing.TB, metrics ...*metricspb.Metric) []byte {
	t.Helper()
	m := &metricspb.MetricsData{}
	for _, one := range metrics {
		m.ResourceMetrics = append(m.ResourceMetrics, &metricspb.ResourceMetrics{
			Resource:     &resourcepb.Resource{Attributes: []*commonpb.KeyValue{text("group_id", "g")}},
			ScopeMetrics: []*metricspb.ScopeMetrics{{Metrics: []*metricspb.Metric{one}}},
		})
	}
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// example has every kind of metric, and some that cannot be shown.
func example(t testing.TB) []byte {
	histogram := &metricspb.Histogram{AggregationTemporality: deltas, DataPoints: []*metricspb.HistogramDataPoint{{Count: 3, Sum: proto.Float64(1.5)}}}
	summary := &metricspb.Summary{DataPoints: []*metricspb.SummaryDataPoint{{}, {}}}
	return message(t,
		gaugeOf("org.apache.kafka.producer.record.queue.time.avg", double(2.5, text("node-id", "1"))),
		gaugeOf("9 odd.total", whole(-4)),
		sumOf("org.apache.kafka.producer.record.send.total", deltas, true, whole(10, text("topic", "t")), whole(5, text("topic", "u"))),
		sumOf("org.apache.kafka.consumer.bytes", cumulatives, true, double(7)),
		sumOf("falls", cumulatives, false, double(-7)),
		&metricspb.Metric{Name: "latency", Data: &metricspb.Metric_Histogram{Histogram: histogram}},
		&metricspb.Metric{Name: "quantiles", Data: &metricspb.Metric_Summary{Summary: summary}},
		sumOf("shrinks", deltas, true, double(-1)),
		gaugeOf("none", &metricspb.NumberDataPoint{}),
		gaugeOf("mine", double(1, text("client_id", "another"))),
		gaugeOf("twice", double(1, text("a.b", "1"), text("a-b", "2"))),
		gaugeOf("", double(1)),
		gaugeOf("org.apache.kafka.", double(1)),
	)
}

const shownOnce = `
# HELP freshet_kafka_client_consumer_bytes_total As told by a Kafka client (KIP-714).
# TYPE freshet_kafka_client_consumer_bytes_total counter
freshet_kafka_client_consumer_bytes_total{client_id="orders",client_instance_id="AQAAAAAAAAAAAAAAAAAAAA",cluster=""} 7
# HELP freshet_kafka_client_falls As told by a Kafka client (KIP-714).
# TYPE freshet_kafka_client_falls gauge
freshet_kafka_client_falls{client_id="orders",client_instance_id="AQAAAAAAAAAAAAAAAAAAAA",cluster=""} -7
# HELP freshet_kafka_client_latency_count_total As told by a Kafka client (KIP-714).
# TYPE freshet_kafka_client_latency_count_total counter
freshet_kafka_client_latency_count_total{client_id="orders",client_instance_id="AQAAAAAAAAAAAAAAAAAAAA",cluster=""} 6
# HELP freshet_kafka_client_latency_sum_total As told by a Kafka client (KIP-714).
# TYPE freshet_kafka_client_latency_sum_total counter
freshet_kafka_client_latency_sum_total{client_id="orders",client_instance_id="AQAAAAAAAAAAAAAAAAAAAA",cluster=""} 3
# HELP freshet_kafka_client_producer_record_queue_time_avg As told by a Kafka client (KIP-714).
# TYPE freshet_kafka_client_producer_record_queue_time_avg gauge
freshet_kafka_client_producer_record_queue_time_avg{client_id="orders",client_instance_id="AQAAAAAAAAAAAAAAAAAAAA",cluster="",node_id="1"} 2.5
# HELP freshet_kafka_client_producer_record_send_total As told by a Kafka client (KIP-714).
# TYPE freshet_kafka_client_producer_record_send_total counter
freshet_kafka_client_producer_record_send_total{client_id="orders",client_instance_id="AQAAAAAAAAAAAAAAAAAAAA",cluster="",topic="t"} 20
freshet_kafka_client_producer_record_send_total{client_id="orders",client_instance_id="AQAAAAAAAAAAAAAAAAAAAA",cluster="",topic="u"} 10
# HELP freshet_kafka_client_x9_odd_total_now As told by a Kafka client (KIP-714).
# TYPE freshet_kafka_client_x9_odd_total_now gauge
freshet_kafka_client_x9_odd_total_now{client_id="orders",client_instance_id="AQAAAAAAAAAAAAAAAAAAAA",cluster=""} -4
# HELP freshet_kafka_telemetry_client_info 1, with what a Kafka client says of itself.
# TYPE freshet_kafka_telemetry_client_info gauge
freshet_kafka_telemetry_client_info{client_id="orders",client_instance_id="AQAAAAAAAAAAAAAAAAAAAA",client_software_name="apache-kafka-java",client_software_version="4.3.1",client_source_address="10.0.0.7",cluster="",group_id="g"} 1
# HELP freshet_kafka_telemetry_clients Kafka clients whose own metrics are shown.
# TYPE freshet_kafka_telemetry_clients gauge
freshet_kafka_telemetry_clients 1
# HELP freshet_kafka_telemetry_dropped_points_total Values that Kafka clients told and that are not shown.
# TYPE freshet_kafka_telemetry_dropped_points_total counter
freshet_kafka_telemetry_dropped_points_total{reason="clients"} 0
freshet_kafka_telemetry_dropped_points_total{reason="form"} 16
freshet_kafka_telemetry_dropped_points_total{reason="series"} 0
`

// What clients push is shown: growth is added up, the rest replaced, until they should have pushed three times again.
func TestPushedMetricsAreShown(t *testing.T) {
	r := newRig(t, Config{}, BoardConfig{})
	r.mustSet("all", Metrics, "*", Interval, "60000")
	a := r.subscribe(java, ID{1})
	for range 2 {
		r.wants("push", r.Push(java, &Push{ID: a.ID, Subscription: a.Subscription, Metrics: example(t)}), nil)
		r.clock.Advance(time.Minute)
	}
	r.Disconnect(1)
	if err := testutil.CollectAndCompare(r.board, strings.NewReader(shownOnce)); err != nil {
		t.Error(err)
	}
	r.clock.Advance(3 * time.Minute)
	if got := testutil.CollectAndCount(r.board, "freshet_kafka_telemetry_client_info"); got != 0 {
		t.Errorf("%d clients are shown", got)
	}
}

func TestWhatIsShownIsBounded(t *testing.T) {
	r := newRig(t, Config{}, BoardConfig{MaxClients: 2, MaxSeries: 3})
	r.mustSet("all", Metrics, "*")
	for i := range byte(3) {
		c := &Client{ClientID: strings.Repeat("\xff", 500), Connection: i}
		a := r.subscribe(c, ID{1, i})
		b := message(t, gaugeOf("m", whole(1, text("p", "1")), whole(2, text("p", "2")), whole(3, text("p", "3")), whole(4, text("p", "4"))))
		r.wants("push", r.Push(c, &Push{ID: a.ID, Subscription: a.Subscription, Metrics: b}), nil)
	}
	want := `
# HELP freshet_kafka_telemetry_dropped_points_total Values that Kafka clients told and that are not shown.
# TYPE freshet_kafka_telemetry_dropped_points_total counter
freshet_kafka_telemetry_dropped_points_total{reason="clients"} 4
freshet_kafka_telemetry_dropped_points_total{reason="form"} 0
freshet_kafka_telemetry_dropped_points_total{reason="series"} 2
`
	if err := testutil.CollectAndCompare(r.board, strings.NewReader(want), "freshet_kafka_telemetry_dropped_points_total"); err != nil {
		t.Error(err)
	}
	if got := testutil.CollectAndCount(r.board, "freshet_kafka_client_m"); got != 6 {
		t.Errorf("%d series", got)
	}
}

func TestPushesThatCannotBeReadAreRefused(t *testing.T) {
	r := newRig(t, Config{MaxPlain: 1 << 20}, BoardConfig{})
	r.mustSet("all", Metrics, "*", Interval, "100")
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	if _, err := w.Write(make([]byte, 16<<20)); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	for i, row := range []struct {
		codec   int8
		metrics []byte
		kind    *kerr.Error
	}{
		{0, example(t), nil},
		{1, bomb.Bytes(), kerr.TelemetryTooLarge},
		{1, []byte("no gzip"), kerr.InvalidRecord},
		{4, []byte("no zstd"), kerr.InvalidRecord},
		{0, []byte("no message"), kerr.InvalidRecord},
		{0, example(t)[:100], kerr.InvalidRecord},
		{0, message(t, &metricspb.Metric{Name: "m", Data: &metricspb.Metric_Gauge{Gauge: &metricspb.Gauge{
			DataPoints: []*metricspb.NumberDataPoint{double(1, text("long", strings.Repeat("x", maxPointBytes)))},
		}}}), nil},
	} {
		id := ID{1, byte(i)}
		a := r.subscribe(java, id)
		r.wants(string(row.metrics[:min(10, len(row.metrics))]), r.Push(java, &Push{ID: id, Subscription: a.Subscription, Codec: row.codec, Metrics: row.metrics}), row.kind)
	}
}

// TestLongPointsAreLeft: of a data point that is too long, as exemplars can make it, not even what could be shown is looked at.
func TestLongPointsAreLeft(t *testing.T) {
	for _, row := range []struct{ bytes, shown, left int }{{maxPointBytes, 1, 0}, {maxPointBytes + 1, 0, 1}} {
		p := double(1)
		padding := &metricspb.Exemplar{TraceId: make([]byte, maxPointBytes-100)}
		p.Exemplars = []*metricspb.Exemplar{padding}
		padding.TraceId = make([]byte, len(padding.TraceId)+row.bytes-proto.Size(p))
		if n := proto.Size(p); n != row.bytes {
			t.Fatalf("the point has %d bytes, want %d", n, row.bytes)
		}
		got, err := decode(message(t, gaugeOf("m", p)))
		if err != nil || len(got.points) != row.shown || got.left != row.left {
			t.Errorf("of %d bytes: %d points, %d left, %v, want %d and %d", row.bytes, len(got.points), got.left, err, row.shown, row.left)
		}
	}
}

// FuzzPush wants that whatever is pushed leaves metrics that can be collected.
func FuzzPush(f *testing.F) {
	f.Add(int8(0), example(f))
	f.Add(int8(1), []byte{0x1f, 0x8b})
	f.Fuzz(func(t *testing.T, codec int8, metrics []byte) {
		r := newRig(t, Config{MaxPlain: 1 << 20}, BoardConfig{})
		a := r.subscribe(java, ID{1})
		err := r.Push(java, &Push{ID: a.ID, Subscription: a.Subscription, Codec: codec, Metrics: metrics})
		var known *refusal.Error
		if err != nil && !errors.As(err, &known) {
			t.Fatal(err)
		}
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(r.board)
		if _, err := registry.Gather(); err != nil {
			t.Fatal(err)
		}
	})
}
