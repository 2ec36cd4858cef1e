package main

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// tool runs one of Kafka's programs against the server and returns what it printed.
func (t *kafkaTurn) tool(name string, args ...string) (string, error) {
	cmd := t.tools.Tool(t.ctx, name, append([]string{"--bootstrap-server", t.server.address()}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %.2000s%.500s", name, err, stderr.String(), stdout.String())
	}
	return stdout.String(), nil
}

// topic makes a topic; a sink has every one.
func (t *kafkaTurn) topic(name string, partitions int) error {
	if t.server.process() == nil {
		return nil
	}
	_, err := t.tool("topics", "--create", "--topic", name, "--partitions", strconv.Itoa(partitions))
	return err
}

// produced4 is what kafka-producer-perf-test says of a run. Latencies in milliseconds.
type produced4 struct {
	recordsPerSecond, mibPerSecond float64
	average, maximum               float64
	p50, p95, p99, p999            float64
}

// produce sends records through the perf tool, a tenth more at first that do not count. throughput -1 = as fast as it goes.
func (t *kafkaTurn) produce(topic string, records, throughput int, properties ...string) (produced4, error) {
	warm := min(records/10, 100_000)
	if throughput > 0 {
		warm = max(warm, rateWarmUp*throughput) // or the latencies are those of a client that starts
	}
	args := []string{
		"--topic", topic, "--num-records", strconv.Itoa(records + warm), "--warmup-records", strconv.Itoa(warm),
		"--record-size", strconv.Itoa(t.options.bytes), "--throughput", strconv.Itoa(throughput), "--command-property", "acks=all",
	}
	text, err := t.tool("producer-perf-test", append(args, properties...)...)
	if err != nil {
		return produced4{}, err
	}
	return parseProduced(text)
}

// rateWarmUp is for how many seconds a client that has a rate to keep is not measured.
const rateWarmUp = 3

var number = regexp.MustCompile(`\d+(\.\d+)?`)

// numbers returns the numbers of the last line that contains mark.
func numbers(text, mark string) []float64 {
	lines := strings.Split(text, "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if !strings.Contains(lines[i], mark) {
			continue
		}
		var all []float64
		for _, s := range number.FindAllString(lines[i], -1) {
			v, err := strconv.ParseFloat(s, 64)
			if err != nil {
				return nil
			}
			all = append(all, v)
		}
		return all
	}
	return nil
}

// parseProduced reads "N records sent, N records/sec (N MB/sec), N ms avg latency, N ms max latency, N ms 50th, N ms 95th, N ms 99th, N ms
// 99.9th."; the tool's MB are MiB.
func parseProduced(text string) (produced4, error) {
	n := numbers(text, "99.9th")
	if len(n) < 12 {
		return produced4{}, fmt.Errorf("no summary in %.300q", text)
	}
	return produced4{
		recordsPerSecond: n[1], mibPerSecond: n[2], average: n[3], maximum: n[4], p50: n[5], p95: n[7], p99: n[9], p999: n[11],
	}, nil
}

// consumed reads so many records of a topic by a new group and returns the bandwidth without the time to join, in MiB/s, and that time in
// milliseconds.
func (t *kafkaTurn) consumed(topic string, records int, options ...string) (fetch, join float64, err error) {
	args := append([]string{"--topic", topic, "--num-records", strconv.Itoa(records), "--hide-header", "--timeout", "60000"}, options...)
	text, err := t.tool("consumer-perf-test", args...)
	if err != nil {
		return 0, 0, err
	}
	got, join, fetch, err := parseConsumed(text)
	if err == nil && int(got) < records {
		err = fmt.Errorf("%d of %d records came", int(got), records)
	}
	return fetch, join, err
}

// parseConsumed reads "start, end, MB, MB/s, records, records/s, rebalance ms, fetch ms, fetch MB/s, fetch records/s".
func parseConsumed(text string) (records, join, fetch float64, err error) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	fields := strings.Split(lines[len(lines)-1], ", ")
	if len(fields) != 10 {
		return 0, 0, 0, fmt.Errorf("no summary in %.300q", text)
	}
	var errs [3]error
	records, errs[0] = strconv.ParseFloat(fields[4], 64)
	join, errs[1] = strconv.ParseFloat(fields[6], 64)
	fetch, errs[2] = strconv.ParseFloat(fields[8], 64)
	return records, join, fetch, errors.Join(errs[:]...)
}

func (t *kafkaTurn) endToEnd() error {
	if err := t.topic("trips", 1); err != nil {
		return err
	}
	text, err := t.tool("end-to-end-latency", "--topic", "trips", "--num-records", "30000", "--producer-acks", "all", "--record-size",
		strconv.Itoa(t.options.bytes))
	if err != nil {
		return err
	}
	average, p99, err := parseTrips(text)
	if err != nil {
		return err
	}
	t.row("end-to-end, average", average, "ms")
	t.row("end-to-end, p99", p99, "ms")
	return nil
}

// parseTrips reads "Avg latency: N ms" and "Percentiles: 50th = N, 99th = N, 99.9th = N", whole milliseconds.
func parseTrips(text string) (average, p99 float64, err error) {
	a, p := numbers(text, "Avg latency"), numbers(text, "Percentiles")
	if len(a) < 1 || len(p) < 4 {
		return 0, 0, fmt.Errorf("no summary in %.300q", text)
	}
	return a[0], p[3], nil
}
