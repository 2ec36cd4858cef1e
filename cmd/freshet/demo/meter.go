package demo

import (
	"encoding/json"
	"slices"
	"sync"
	"time"
)

const (
	// window is how far back rates and latencies look.
	window = 10 * time.Second
	// maxLatencies bounds the latencies remembered of the window: the newest.
	maxLatencies = 20_000
)

// flowMeter measures one stream: what goes in, and how long it takes until its consumer has it. Safe for concurrent use.
type flowMeter struct {
	stream string
	shards int32

	mu        sync.Mutex
	records   int64 // accepted by the stream since the demo started
	bytes     int64
	ticks     []tick    // one a second, the oldest first
	latencies []latency // the oldest first
	read      int64
}

type tick struct {
	at             time.Time
	records, bytes int64
}

type latency struct {
	at time.Time
	d  time.Duration
}

func newFlowMeter(stream string, shards int32) *flowMeter {
	return &flowMeter{stream: stream, shards: shards}
}

func (m *flowMeter) wrote(bytes int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records++
	m.bytes += int64(bytes)
}

// got notes an event that a consumer has received. Events from before the demo started say nothing about latency.
func (m *flowMeter) got(event []byte, started time.Time) {
	var e struct {
		Sent time.Time `json:"sent"`
	}
	now := time.Now()
	known := json.Unmarshal(event, &e) == nil && e.Sent.After(started)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.read++
	if !known {
		return
	}
	if len(m.latencies) == maxLatencies {
		m.latencies = slices.Delete(m.latencies, 0, maxLatencies/2)
	}
	m.latencies = append(m.latencies, latency{now, now.Sub(e.Sent)})
}

// reading is what a meter shows.
type reading struct {
	stream           string
	shards           int32
	records, read    int64
	perSecond, bytes float64 // each second
	p99              time.Duration
	measured         bool // p99 is known
}

// reading returns the averages over the window; now is a second after the last call.
func (m *flowMeter) reading(now time.Time) reading {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ticks = append(m.ticks, tick{now, m.records, m.bytes})
	for len(m.ticks) > 2 && now.Sub(m.ticks[0].at) > window {
		m.ticks = m.ticks[1:]
	}
	r := reading{stream: m.stream, shards: m.shards, records: m.records, read: m.read}
	first := m.ticks[0]
	if seconds := now.Sub(first.at).Seconds(); seconds > 0 {
		r.perSecond, r.bytes = float64(m.records-first.records)/seconds, float64(m.bytes-first.bytes)/seconds
	}
	fresh := 0
	for fresh < len(m.latencies) && now.Sub(m.latencies[fresh].at) > window {
		fresh++
	}
	m.latencies = m.latencies[fresh:]
	if n := len(m.latencies); n > 0 {
		sorted := make([]time.Duration, n)
		for i, l := range m.latencies {
			sorted[i] = l.d
		}
		slices.Sort(sorted)
		r.p99, r.measured = sorted[(n*99-1)/100], true
	}
	return r
}
