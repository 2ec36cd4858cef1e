// Package telemetry takes the metrics that Kafka clients tell of themselves (KIP-714). Subscriptions keeps what operators subscribe to: which metrics
// of which clients, how often. Receiver holds clients to that: it tells each what to push, and takes what they push. Board is what the node shows of it, a
// prometheus.Collector.
//
// It refuses to know of connections and requests, and to believe a client: how many clients, series and bytes it remembers is bounded, and what it drops is
// counted.
package telemetry
