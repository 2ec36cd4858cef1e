package firehose

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/freshet/freshet/internal/flow"
)

// meter counts what one delivery stream has done since the start.
type meter struct {
	putRecords, putBatches atomic.Int64 // requests
	incomingRecords        atomic.Int64
	incomingBytes          atomic.Int64
	rejected               atomic.Int64 // records that could not be written
	objects, failures      atomic.Int64 // writes that succeeded, and that did not
	deliveredBytes         atomic.Int64 // of objects, as they are stored
	deliveredRecords       atomic.Int64
	flow                   atomic.Pointer[flow.Flow] // the present one
}

func (m *meter) count(records, size int) {
	m.incomingRecords.Add(int64(records))
	m.incomingBytes.Add(int64(size))
}

// meters holds a meter for each delivery stream.
type meters struct {
	mu     sync.Mutex
	byName map[string]*meter
}

func (m *meters) of(name string) *meter {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byName == nil {
		m.byName = map[string]*meter{}
	}
	if m.byName[name] == nil {
		m.byName[name] = &meter{}
	}
	return m.byName[name]
}

func (m *meters) drop(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.byName, name)
}

func (m *meters) all() map[string]*meter {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string]*meter, len(m.byName))
	for name, one := range m.byName {
		all[name] = one
	}
	return all
}

// metric is one Prometheus metric per delivery stream.
type metric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*meter, *flow.Status) float64
}

func counter(name, help string, value func(*meter) *atomic.Int64) metric {
	return metric{desc(name, help), prometheus.CounterValue, func(m *meter, _ *flow.Status) float64 { return float64(value(m).Load()) }}
}

func gauge(name, help string, value func(*flow.Status) float64) metric {
	return metric{desc(name, help), prometheus.GaugeValue, func(_ *meter, s *flow.Status) float64 { return value(s) }}
}

func desc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("freshet_firehose_"+name, help, []string{"delivery_stream"}, nil)
}

// metrics are named after those of the namespace AWS/Firehose, which the help texts give.
var metrics = []metric{
	counter("put_record_requests_total", "Successful and failed PutRecord calls (PutRecord.Requests).", func(m *meter) *atomic.Int64 { return &m.putRecords }),
	counter("put_record_batch_requests_total", "Successful and failed PutRecordBatch calls (PutRecordBatch.Requests).", func(m *meter) *atomic.Int64 { return &m.putBatches }),
	counter("incoming_records_total", "Records put directly (IncomingRecords).", func(m *meter) *atomic.Int64 { return &m.incomingRecords }),
	counter("incoming_bytes_total", "Data of records put directly (IncomingBytes).", func(m *meter) *atomic.Int64 { return &m.incomingBytes }),
	counter("rejected_records_total", "Records that could not be made durable.", func(m *meter) *atomic.Int64 { return &m.rejected }),
	counter("s3_delivered_objects_total", "Objects written (DeliveryToS3.Success).", func(m *meter) *atomic.Int64 { return &m.objects }),
	counter("s3_delivered_records_total", "Records in objects written (DeliveryToS3.Records).", func(m *meter) *atomic.Int64 { return &m.deliveredRecords }),
	counter("s3_delivered_bytes_total", "Size of objects written, compressed (DeliveryToS3.Bytes).", func(m *meter) *atomic.Int64 { return &m.deliveredBytes }),
	counter("s3_failed_writes_total", "Objects that could not be written and were tried again.", func(m *meter) *atomic.Int64 { return &m.failures }),
	gauge("s3_data_freshness_seconds", "Age of the oldest record read but not delivered (DeliveryToS3.DataFreshness).", func(s *flow.Status) float64 { return s.Lag.Seconds() }),
	gauge("lag_records", "Records between what is delivered and the end of the source.", func(s *flow.Status) float64 { return float64(s.LagRecords) }),
	gauge("unreadable_batches", "Batches of the source that could not be opened and were left out, since the last change of configuration.", func(s *flow.Status) float64 { return float64(s.Damaged) }),
	gauge("lost_records", "Records that expired or whose stream was deleted before they were delivered, since the last change of configuration.", func(s *flow.Status) float64 { return float64(s.Lost) }),
}

// Describe implements prometheus.Collector.
func (s *Service) Describe(out chan<- *prometheus.Desc) {
	for _, m := range metrics {
		out <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (s *Service) Collect(out chan<- prometheus.Metric) {
	for name, one := range s.meters.all() {
		status := flow.Status{}
		if f := one.flow.Load(); f != nil {
			var err error
			if status, err = f.Status(context.Background()); err != nil {
				s.logger.Warn("delivery stream has no status", "delivery_stream", name, "error", err)
			}
		}
		for _, m := range metrics {
			out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(one, &status), name)
		}
	}
}

// Status returns what a delivery stream that runs here has done since its configuration last changed; ok is false if there is none.
func (s *Service) Status(ctx context.Context, name string) (status flow.Status, ok bool, err error) {
	s.meters.mu.Lock()
	one := s.meters.byName[name]
	s.meters.mu.Unlock()
	if one == nil || one.flow.Load() == nil {
		return flow.Status{}, false, nil
	}
	status, err = one.flow.Load().Status(ctx)
	return status, err == nil, err
}
