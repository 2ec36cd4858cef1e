package main

import "testing"

func TestMedianAndRatio(t *testing.T) {
	if got := median([]float64{9, 1, 5}); got != 5 {
		t.Errorf("median of three: %g", got)
	}
	if got := median([]float64{4, 1, 2, 9}); got != 3 {
		t.Errorf("median of four: %g", got)
	}
	if got := ratio([]float64{6, 2, 4}, []float64{2}); got != "2.00x" {
		t.Errorf("ratio: %s", got)
	}
	if got := ratio(nil, []float64{2}); got != "–" {
		t.Errorf("ratio of nothing: %s", got)
	}
}

func TestParsePerf(t *testing.T) {
	const produced = "1000 records sent, 900.0 records/sec (0.88 MB/sec), 1.1 ms avg latency, 5.0 ms max latency.\n" +
		"2000 records sent, 1999.5 records/sec (1.95 MB/sec), 2.50 ms avg latency, 90.00 ms max latency, 2 ms 50th, 4 ms 95th, 7 ms 99th, 9 ms 99.9th.\n"
	got, err := parseProduced(produced)
	want := produced4{recordsPerSecond: 1999.5, mibPerSecond: 1.95, average: 2.5, maximum: 90, p50: 2, p95: 4, p99: 7, p999: 9}
	if err != nil || got != want {
		t.Errorf("producer: %+v, %v", got, err)
	}
	if _, err := parseProduced("something else"); err == nil {
		t.Error("producer: noise was taken for figures")
	}
	const consumed = "2026-11-21 08:00:00:000, 2026-11-21 08:00:02:000, 976.5625, 488.2, 1000000, 500000.0, 1500, 500, 1953.125, 2000000.0\n"
	records, join, fetch, err := parseConsumed(consumed)
	if err != nil || records != 1_000_000 || join != 1500 || fetch != 1953.125 {
		t.Errorf("consumer: %g %g %g %v", records, join, fetch, err)
	}
	const trips = "Avg latency: 0.8123 ms\n\nPercentiles: 50th = 1, 99th = 2, 99.9th = 5\n"
	average, p99, err := parseTrips(trips)
	if err != nil || average != 0.8123 || p99 != 2 {
		t.Errorf("round trips: %g %g %v", average, p99, err)
	}
}
