package app

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/freshet/freshet/internal/protocol/aws"
	"github.com/freshet/freshet/internal/protocol/kafka"
)

// latencyBuckets reach from a cached read to a long poll, in seconds.
var latencyBuckets = []float64{
	.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10,
}

// metrics are the node's own, in a registry of their own.
type metrics struct {
	registry *prometheus.Registry

	kafkaRequests *prometheus.CounterVec // api, status
	kafkaSeconds  *prometheus.HistogramVec
	kafkaIn       *prometheus.CounterVec
	kafkaOut      *prometheus.CounterVec

	awsRequests *prometheus.CounterVec // service, operation, status
	awsSeconds  *prometheus.HistogramVec
	awsIn       *prometheus.CounterVec
	awsOut      *prometheus.CounterVec
}

func newMetrics(version string) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "freshet", Name: name, Help: help}, labels)
		m.registry.MustRegister(v)
		return v
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "freshet", Name: name, Help: help, Buckets: latencyBuckets}, labels)
		m.registry.MustRegister(v)
		return v
	}
	m.kafkaRequests = counter("kafka_requests_total", "Kafka requests answered, by the first error in the answer.", "api", "status")
	m.kafkaSeconds = histogram("kafka_request_seconds", "Time from a Kafka request's arrival until its answer was written.", "api")
	m.kafkaIn = counter("kafka_request_bytes_total", "Size of Kafka requests.", "api")
	m.kafkaOut = counter("kafka_response_bytes_total", "Size of Kafka answers.", "api")
	m.awsRequests = counter("aws_requests_total", "AWS requests answered, by error code.", "service", "operation", "status")
	m.awsSeconds = histogram("aws_request_seconds", "Time from an AWS request's arrival until its answer was written.", "service", "operation")
	m.awsIn = counter("aws_request_bytes_total", "Size of the bodies of AWS requests.", "service", "operation")
	m.awsOut = counter("aws_response_bytes_total", "Size of the bodies of AWS answers.", "service", "operation")
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "freshet", Name: "build_info", Help: "1, with the version as label.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	m.registry.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// gauge registers a value that is read when the metrics are.
func (m *metrics) gauge(name, help string, read func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "freshet", Name: name, Help: help}, read))
}

// counted registers a count that is read when the metrics are.
func (m *metrics) counted(name, help string, read func() float64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "freshet", Name: name, Help: help}, read))
}

func (m *metrics) observeKafka(o *kafka.Observation) {
	m.kafkaRequests.WithLabelValues(o.API, kafkaStatus(o)).Inc()
	m.kafkaSeconds.WithLabelValues(o.API).Observe(o.Latency.Seconds())
	m.kafkaIn.WithLabelValues(o.API).Add(float64(o.RequestBytes))
	m.kafkaOut.WithLabelValues(o.API).Add(float64(o.AnswerBytes))
}

func (m *metrics) observeAWS(o *aws.Observation) {
	m.awsRequests.WithLabelValues(o.Service, o.Operation, awsStatus(o)).Inc()
	m.awsSeconds.WithLabelValues(o.Service, o.Operation).Observe(o.Latency.Seconds())
	m.awsIn.WithLabelValues(o.Service, o.Operation).Add(float64(o.BytesIn))
	m.awsOut.WithLabelValues(o.Service, o.Operation).Add(float64(o.BytesOut))
}
