package telemetry

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// The bounds of what is pushed: what is longer is dropped, and counted.
const (
	maxMetricName    = 200
	maxLabels        = 16
	maxLabelBytes    = 256 // of a label's name or value
	maxPoints        = 10_000
	maxPointBytes    = 16 << 10
	maxResourceBytes = 16 << 10
)

// told is what a push says.
type told struct {
	points []point
	about  []label // the client: its group, its rack
	left   int     // points that cannot be shown
}

// point is one value of one series.
type point struct {
	name   string // as Prometheus has it, without prefix
	labels []label
	value  float64
	kind   pointKind
}

type label struct{ name, value string }

type pointKind int8

const (
	gauge      pointKind = iota
	cumulative           // a counter's value
	delta                // what a counter grew by
)

// The numbers of fields in OTLP's MetricsData, down to data points (opentelemetry/proto/metrics/v1/metrics.proto).
const (
	fieldResourceMetrics = 1 // of MetricsData
	fieldResource        = 1 // of ResourceMetrics
	fieldScopeMetrics    = 2 // of ResourceMetrics
	fieldMetrics         = 2 // of ScopeMetrics
	fieldName            = 1 // of Metric, and the kinds of data
	fieldGauge           = 5
	fieldSum             = 7
	fieldHistogram       = 9
	fieldExponential     = 10
	fieldSummary         = 11
	fieldDataPoints      = 1 // of each kind of data
	fieldTemporality     = 2 // of Sum and Histogram
	fieldMonotonic       = 3 // of Sum
)

// decode reads MetricsData. It walks down to the data points itself, and has these decoded one by one: decoded as a whole, a message takes fifty times
// its length in memory.
func decode(plain []byte) (told, error) {
	d := decoder{}
	err := submessages(plain, fieldResourceMetrics, func(resource []byte) error {
		if err := submessages(resource, fieldResource, d.resource); err != nil {
			return err
		}
		return submessages(resource, fieldScopeMetrics, func(scope []byte) error {
			return submessages(scope, fieldMetrics, d.metric)
		})
	})
	return d.told, err
}

type decoder struct{ told }

// resource reads what a client says of itself.
func (d *decoder) resource(b []byte) error {
	if len(b) > maxResourceBytes {
		return nil
	}
	var r resourcepb.Resource
	if err := proto.Unmarshal(b, &r); err != nil {
		return err
	}
	if about, ok := labels(r.Attributes); ok {
		d.about = about
	}
	return nil
}

// fields calls each with every field of a message.
func fields(b []byte, each func(num protowire.Number, typ protowire.Type, value []byte) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
			return protowire.ParseError(n)
		}
		if err := each(num, typ, b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// submessages calls each with every field of a number that has a length.
func submessages(b []byte, number protowire.Number, each func([]byte) error) error {
	return fields(b, func(num protowire.Number, typ protowire.Type, value []byte) error {
		if num != number || typ != protowire.BytesType {
			return nil
		}
		body, _ := protowire.ConsumeBytes(value) // which fields has measured
		return each(body)
	})
}

// varint returns the last field of a number that is a varint, 0 if there is none.
func varint(b []byte, number protowire.Number) (v uint64, err error) {
	err = fields(b, func(num protowire.Number, typ protowire.Type, value []byte) error {
		if num == number && typ == protowire.VarintType {
			v, _ = protowire.ConsumeVarint(value)
		}
		return nil
	})
	return v, err
}

// metric reads one metric. Its name is looked for first: it may stand behind the data.
func (d *decoder) metric(b []byte) error {
	name := ""
	err := submessages(b, fieldName, func(text []byte) error {
		if !utf8.Valid(text) {
			return fmt.Errorf("a metric's name is not UTF-8")
		}
		name = string(text[:min(len(text), maxMetricName+1)])
		return nil
	})
	if err != nil {
		return err
	}
	return fields(b, func(num protowire.Number, typ protowire.Type, value []byte) error {
		if typ != protowire.BytesType || num == fieldName {
			return nil
		}
		body, _ := protowire.ConsumeBytes(value)
		switch num {
		case fieldGauge:
			return d.numbers(name, body, gauge)
		case fieldSum:
			kind, err := sumKind(body)
			if err != nil {
				return err
			}
			return d.numbers(name, body, kind)
		case fieldHistogram:
			return d.histograms(name, body)
		case fieldExponential, fieldSummary:
			return submessages(body, fieldDataPoints, func([]byte) error {
				d.left++
				return nil
			})
		}
		return nil
	})
}

// sumKind says what the values of a sum are: one that may fall is no counter.
func sumKind(body []byte) (pointKind, error) {
	monotonic, err := varint(body, fieldMonotonic)
	if err != nil {
		return 0, err
	}
	if monotonic == 0 {
		return gauge, nil
	}
	return temporality(body)
}

func temporality(body []byte) (pointKind, error) {
	t, err := varint(body, fieldTemporality)
	if t == uint64(metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA) {
		return delta, err
	}
	return cumulative, err
}

func (d *decoder) numbers(name string, body []byte, kind pointKind) error {
	return submessages(body, fieldDataPoints, func(b []byte) error {
		var p metricspb.NumberDataPoint
		if d.tooLong(b) {
			return nil
		}
		if err := proto.Unmarshal(b, &p); err != nil {
			return err
		}
		var value float64
		switch v := p.Value.(type) {
		case *metricspb.NumberDataPoint_AsDouble:
			value = v.AsDouble
		case *metricspb.NumberDataPoint_AsInt:
			value = float64(v.AsInt)
		default: // no value was recorded
			d.left++
			return nil
		}
		d.add(name, "", p.Attributes, value, kind)
		return nil
	})
}

// histograms keeps how many values there were, and their sum.
func (d *decoder) histograms(name string, body []byte) error {
	kind, err := temporality(body)
	if err != nil {
		return err
	}
	return submessages(body, fieldDataPoints, func(b []byte) error {
		var p metricspb.HistogramDataPoint
		if d.tooLong(b) {
			return nil
		}
		if err := proto.Unmarshal(b, &p); err != nil {
			return err
		}
		d.add(name, "_count", p.Attributes, float64(p.Count), kind)
		d.add(name, "_sum", p.Attributes, p.GetSum(), kind)
		return nil
	})
}

// tooLong says whether a data point cannot be looked at, and counts it then.
func (d *decoder) tooLong(b []byte) bool {
	if len(b) > maxPointBytes || len(d.points) >= maxPoints {
		d.left++
		return true
	}
	return false
}

func (d *decoder) add(name, suffix string, attributes []*commonpb.KeyValue, value float64, kind pointKind) {
	p := point{value: value, kind: kind}
	ok := len(name) <= maxMetricName && len(name) > 0 && name != common
	if kind != gauge && (value < 0 || math.IsNaN(value) || math.IsInf(value, 0)) {
		ok = false
	}
	if ok {
		p.labels, ok = labels(attributes)
	}
	if !ok {
		d.left++
		return
	}
	p.name = metricName(name, suffix, kind)
	d.points = append(d.points, p)
}

// labels makes labels of attributes, by name, if they can be.
func labels(attributes []*commonpb.KeyValue) ([]label, bool) {
	if len(attributes) > maxLabels {
		return nil, false
	}
	var all []label
	for _, a := range attributes {
		text, ok := labelValue(a.GetValue())
		if !ok || a.GetKey() == "" || len(a.GetKey()) > maxLabelBytes || len(text) > maxLabelBytes {
			return nil, false
		}
		all = append(all, label{underscored(a.GetKey()), text})
	}
	slices.SortFunc(all, func(a, b label) int { return strings.Compare(a.name, b.name) })
	for i, l := range all {
		if i > 0 && l.name == all[i-1].name || slices.Contains(ownLabels, l.name) {
			return nil, false
		}
	}
	return all, true
}

// common begins the names of what KIP-714 asks clients for; it says nothing here.
const common = "org.apache.kafka."

// metricName is a metric's name for Prometheus: counters end in _total, and nothing else does.
func metricName(name, suffix string, kind pointKind) string {
	name = underscored(strings.TrimPrefix(name, common) + suffix)
	const total = "_total"
	switch {
	case kind == gauge && strings.HasSuffix(name, total):
		return name + "_now"
	case kind != gauge && !strings.HasSuffix(name, total):
		return name + total
	}
	return name
}

// underscored makes a name of what may be in a name of Prometheus. It begins with a letter there, so that what does not gets one.
func underscored(name string) string {
	b := []byte(name)
	for i, c := range b {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			b[i] = '_'
		}
	}
	if b[0] == '_' || b[0] >= '0' && b[0] <= '9' {
		return "x" + string(b)
	}
	return string(b)
}

func labelValue(v *commonpb.AnyValue) (string, bool) {
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return v.StringValue, true
	case *commonpb.AnyValue_IntValue:
		return strconv.FormatInt(v.IntValue, 10), true
	case *commonpb.AnyValue_BoolValue:
		return strconv.FormatBool(v.BoolValue), true
	case *commonpb.AnyValue_DoubleValue:
		return strconv.FormatFloat(v.DoubleValue, 'g', -1, 64), true
	}
	return "", false
}
