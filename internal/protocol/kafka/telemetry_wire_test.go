package kafka_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/protocol/kafka"
	"github.com/freshet/freshet/internal/protocol/kafka/telemetry"
	"github.com/freshet/freshet/internal/state/memstate"
)

// clientMetrics alters a subscription's configs and returns the answer's error.
func (r *raw) clientMetrics(name string, configs ...kmsg.IncrementalAlterConfigsRequestResourceConfig) int16 {
	r.t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	which := kmsg.NewIncrementalAlterConfigsRequestResource()
	which.ResourceType, which.ResourceName, which.Configs = kmsg.ConfigResourceTypeClientMetrics, name, configs
	req.Resources = append(req.Resources, which)
	return ask[*kmsg.IncrementalAlterConfigsResponse](r, 1, req).Resources[0].ErrorCode
}

func metricSetting(key, value string) kmsg.IncrementalAlterConfigsRequestResourceConfig {
	return kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: key, Value: &value}
}

func (r *raw) listedMetrics(version int16) []string {
	r.t.Helper()
	req := kmsg.NewPtrListConfigResourcesRequest()
	req.ResourceTypes = []int8{int8(kmsg.ConfigResourceTypeClientMetrics)}
	var names []string
	for _, found := range ask[*kmsg.ListConfigResourcesResponse](r, version, req).ConfigResources {
		names = append(names, found.Name)
	}
	return names
}

// An operator subscribes to clients' metrics, a client pushes them, and they are shown; what was subscribed to survives a restart.
func TestClientsPushWhatIsSubscribedTo(t *testing.T) {
	store := memstate.New(clock.Real())
	board := telemetry.NewBoard(telemetry.BoardConfig{}, clock.Real())
	change := func(c *kafka.Config) { c.State, c.Telemetry.Board = store, board }
	n := start(t, change)
	r := n.raw(t)
	if got := r.clientMetrics("sub", metricSetting("metrics", "org.apache."), metricSetting("interval.ms", "100"), metricSetting("match", "client_id=raw")); got != 0 {
		t.Fatal(kerr.ErrorForCode(got))
	}
	if got := r.clientMetrics("sub", metricSetting("interval.ms", "1")); got != kerr.InvalidRequest.Code {
		t.Error(kerr.ErrorForCode(got))
	}
	other := start(t, change).raw(t) // the same state: as after a restart
	for version := range int16(2) {
		if got := other.listedMetrics(version); !slices.Equal(got, []string{"sub"}) {
			t.Errorf("v%d lists %q", version, got)
		}
	}
	a := ask[*kmsg.GetTelemetrySubscriptionsResponse](other, 0, kmsg.NewPtrGetTelemetrySubscriptionsRequest())
	if a.ErrorCode != 0 || !slices.Equal(a.RequestedMetrics, []string{"org.apache."}) || a.PushIntervalMillis != 100 || !slices.Equal(a.AcceptedCompressionTypes, []int8{4, 3, 1, 2}) {
		t.Fatalf("%+v", a)
	}
	metrics, err := proto.Marshal(&metricspb.MetricsData{ResourceMetrics: []*metricspb.ResourceMetrics{{ScopeMetrics: []*metricspb.ScopeMetrics{{Metrics: []*metricspb.Metric{{
		Name: "org.apache.kafka.producer.x", Data: &metricspb.Metric_Gauge{Gauge: &metricspb.Gauge{DataPoints: []*metricspb.NumberDataPoint{{
			Value: &metricspb.NumberDataPoint_AsInt{AsInt: 7},
		}}}},
	}}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	push := kmsg.NewPtrPushTelemetryRequest()
	push.ClientInstanceID, push.SubscriptionID, push.Metrics, push.Terminating = a.ClientInstanceID, a.SubscriptionID, metrics, true
	for i, want := range []int16{0, kerr.InvalidRequest.Code} {
		if got := ask[*kmsg.PushTelemetryResponse](other, 0, push).ErrorCode; got != want {
			t.Errorf("push %d: %v", i, kerr.ErrorForCode(got))
		}
	}
	if got := testutil.CollectAndCount(board, "freshet_kafka_client_producer_x"); got != 1 {
		t.Errorf("%d series", got)
	}
	del := kmsg.IncrementalAlterConfigsRequestResourceConfig{Op: kmsg.IncrementalAlterConfigOpDelete}
	var all []kmsg.IncrementalAlterConfigsRequestResourceConfig
	for _, del.Name = range []string{"metrics", "interval.ms", "match"} {
		all = append(all, del)
	}
	if got := other.clientMetrics("sub", all...); got != 0 || len(other.listedMetrics(1)) != 0 {
		t.Errorf("deleted: %v, %q", kerr.ErrorForCode(got), other.listedMetrics(1))
	}
}

// What was pushed is forgotten with its connection.
func TestTelemetryIsForgottenWithTheConnection(t *testing.T) {
	n := start(t)
	r := n.raw(t)
	ask[*kmsg.GetTelemetrySubscriptionsResponse](r, 0, kmsg.NewPtrGetTelemetrySubscriptionsRequest())
	if got := n.TelemetryInstances(); got != 1 {
		t.Fatalf("%d clients", got)
	}
	r.conn.Close()
	eventually(t, "the client is forgotten", func() bool { return n.TelemetryInstances() == 0 })
}

// Describing tells which configs are a subscription's own, also of one that there is not.
func TestClientMetricsAreDescribed(t *testing.T) {
	n := start(t)
	r := n.raw(t)
	r.clientMetrics("sub", metricSetting("metrics", "a,b"))
	for name, want := range map[string]string{
		"sub": "interval.ms=300000 5, match= 5, metrics=a,b 7", "none": "interval.ms=300000 5, match= 5, metrics= 5",
	} {
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeClientMetrics, ResourceName: name}}
		var got []string
		for _, c := range ask[*kmsg.DescribeConfigsResponse](r, 4, req).Resources[0].Configs {
			got = append(got, c.Name+"="+*c.Value+" "+string('0'+rune(c.Source)))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
