package telemetry

import (
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/freshet/freshet/internal/clock"
)

// BoardConfig bounds a Board; zero values mean the defaults.
type BoardConfig struct {
	MaxClients int // that are shown at once, those that came first
	MaxSeries  int // of one client
	MaxText    int // bytes of the names and labels of one client's series
}

// The defaults of BoardConfig: a page of 100,000 series is what a scrape may well take.
const (
	DefaultMaxClients = 200
	DefaultMaxSeries  = 500
	DefaultMaxText    = 128 << 10
)

// Board is what clients told last, as metrics of the node. A client is shown until it should have pushed three times again. Its methods are safe for
// concurrent use.
type Board struct {
	cfg   BoardConfig
	clock clock.Clock

	mu      sync.Mutex
	clients map[ID]*shown
	dropped map[string]int64 // points, by reason
}

// shown is what is known of a client.
type shown struct {
	labels []label // of all its series
	about  []label // of the client alone
	series map[string]*point
	text   int // bytes of the keys of series
	until  time.Time
}

// Why points are dropped.
const (
	tooManyClients = "clients" // there are as many clients as may be shown
	tooManySeries  = "series"  // the client has as many series, or bytes of them, as it may
	unshowable     = "form"    // it has no form that is shown
)

// ownLabels are those that clients cannot name their own.
var ownLabels = []string{"cluster", clientInstanceID, clientID, softwareName, softwareVersion, sourceAddress}

// NewBoard returns an empty board.
func NewBoard(cfg BoardConfig, c clock.Clock) *Board {
	if cfg.MaxClients == 0 {
		cfg.MaxClients = DefaultMaxClients
	}
	if cfg.MaxSeries == 0 {
		cfg.MaxSeries = DefaultMaxSeries
	}
	if cfg.MaxText == 0 {
		cfg.MaxText = DefaultMaxText
	}
	return &Board{cfg: cfg, clock: c, clients: map[ID]*shown{}, dropped: map[string]int64{tooManyClients: 0, tooManySeries: 0, unshowable: 0}}
}

// take shows what a client told until a time.
func (b *Board) take(cluster string, c *Client, id ID, t *told, now, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expireLocked(now)
	b.dropped[unshowable] += int64(t.left)
	s := b.clients[id]
	if s == nil {
		if len(b.clients) >= b.cfg.MaxClients {
			b.dropped[tooManyClients] += int64(len(t.points))
			return
		}
		s = &shown{series: map[string]*point{}}
		b.clients[id] = s
	}
	s.until = until
	s.labels = []label{{clientInstanceID, id.String()}, {clientID, bounded(c.ClientID)}, {"cluster", bounded(cluster)}}
	s.about = append([]label{
		{softwareName, bounded(c.Software)}, {softwareVersion, bounded(c.Version)}, {sourceAddress, bounded(c.SourceIP)},
	}, t.about...)
	for i := range t.points {
		b.pointLocked(s, &t.points[i])
	}
}

// bounded makes a label's value of what a client calls itself.
func bounded(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxLabelBytes)], "_")
}

func (b *Board) pointLocked(s *shown, p *point) {
	key := p.name
	for _, l := range p.labels {
		key += "\xff" + l.name + "\xff" + l.value // 0xff is in no UTF-8
	}
	known := s.series[key]
	switch {
	case known == nil && (len(s.series) >= b.cfg.MaxSeries || s.text+len(key) > b.cfg.MaxText):
		b.dropped[tooManySeries]++
	case known == nil:
		s.series[key] = p
		s.text += len(key)
	case p.kind == delta:
		known.value += p.value
	default:
		known.value = p.value
	}
}

func (b *Board) expireLocked(now time.Time) {
	for id, s := range b.clients {
		if s.until.Before(now) {
			delete(b.clients, id)
		}
	}
}

const (
	namePrefix = "freshet_kafka_client_"
	pointHelp  = "As told by a Kafka client (KIP-714)."
)

var (
	clientsDesc = prometheus.NewDesc("freshet_kafka_telemetry_clients", "Kafka clients whose own metrics are shown.", nil, nil)
	droppedDesc = prometheus.NewDesc("freshet_kafka_telemetry_dropped_points_total", "Values that Kafka clients told and that are not shown.", []string{"reason"}, nil)
)

// Describe implements prometheus.Collector. What clients tell is not known before they do.
func (b *Board) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (b *Board) Collect(out chan<- prometheus.Metric) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expireLocked(b.clock.Now())
	out <- prometheus.MustNewConstMetric(clientsDesc, prometheus.GaugeValue, float64(len(b.clients)))
	for reason, n := range b.dropped {
		out <- prometheus.MustNewConstMetric(droppedDesc, prometheus.CounterValue, float64(n), reason)
	}
	for _, s := range b.clients {
		out <- constant("freshet_kafka_telemetry_client_info", "1, with what a Kafka client says of itself.", prometheus.GaugeValue, 1, s.labels, s.about)
		for _, p := range s.series {
			kind := prometheus.CounterValue
			if p.kind == gauge {
				kind = prometheus.GaugeValue
			}
			out <- constant(namePrefix+p.name, pointHelp, kind, p.value, s.labels, p.labels)
		}
	}
}

// constant makes a metric. Names and labels are what Prometheus takes: decode and take saw to it.
func constant(name, help string, kind prometheus.ValueType, value float64, labels ...[]label) prometheus.Metric {
	var names, values []string
	for _, some := range labels {
		for _, l := range some {
			names, values = append(names, l.name), append(values, l.value)
		}
	}
	return prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, names, nil), kind, value, values...)
}
