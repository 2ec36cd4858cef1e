package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/freshet/freshet/tests/kit"
	"github.com/freshet/freshet/tests/process"
)

// server is a subject of the Kafka suite.
type server interface {
	// start runs the server on its data in dir and returns the time until it served.
	start(ctx context.Context, dir string) (time.Duration, error)
	address() string
	secured() string // the address with TLS
	process() *process.Process
}

type freshetServer struct {
	binary string
	tls    *secrets
	at     string // with TLS
	node   *process.Node
}

func (f *freshetServer) start(ctx context.Context, dir string) (time.Duration, error) {
	if f.node == nil || filepath.Dir(f.node.Data) != dir {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return 0, err
		}
		node, err := process.NewNode(f.binary, dir)
		if err != nil {
			return 0, err
		}
		addresses, err := process.FreeAddresses(1)
		if err != nil {
			return 0, err
		}
		f.node, f.at = node, addresses[0]
		node.Args = []string{"--kafka-listeners", "SSL://" + f.at, "--tls-certificate", f.tls.file, "--tls-key", f.tls.file}
	}
	return f.node.Start(ctx)
}

func (f *freshetServer) address() string           { return f.node.Kafka }
func (f *freshetServer) secured() string           { return f.at }
func (f *freshetServer) process() *process.Process { return f.node.Process() }

type kafkaServer struct {
	kafka   *kit.Kafka
	durable bool
	at      string
}

func (k *kafkaServer) start(ctx context.Context, dir string) (time.Duration, error) {
	if k.at == "" {
		addresses, err := process.FreeAddresses(2)
		if err != nil {
			return 0, err
		}
		k.at, k.kafka.TLS = addresses[0], addresses[1]
	}
	return k.kafka.Start(ctx, dir, k.at, k.durable)
}

func (k *kafkaServer) address() string           { return k.at }
func (k *kafkaServer) secured() string           { return k.kafka.TLS }
func (k *kafkaServer) process() *process.Process { return k.kafka.Broker }

// warmUp is how many records a server is sent before it is measured, whatever comes then: it takes that long until a Java server runs compiled.
const warmUp = 1_000_000

// startPatience covers Kafka after kill -9, which waits for its old registration to expire, and a log to check.
const startPatience = 3 * time.Minute

// benchKafka gives each server its turn in each run.
func benchKafka(ctx context.Context, o options, out *rows) error {
	binary, err := process.Build(ctx, o.dir)
	if err != nil {
		return err
	}
	tools, err := kit.InstallKafka(ctx)
	if err != nil {
		return err
	}
	keys, err := makeSecrets(o.dir)
	if err != nil {
		return err
	}
	tools.KeyStore = keys.file
	peer, fsynced := *tools, *tools
	for run := range o.runs {
		for _, s := range []struct {
			name    string
			server  server
			warm    int
			records int
			play    func(*kafkaTurn) error
		}{
			{"freshet", &freshetServer{binary: binary, tls: keys}, warmUp, o.records, (*kafkaTurn).whole},
			{"kafka", &kafkaServer{kafka: &peer}, warmUp, o.records, (*kafkaTurn).whole},
			// With an fsync per append Kafka is some thirty times slower: fewer records, and throughput alone.
			{"kafka-fsync", &kafkaServer{kafka: &fsynced, durable: true}, max(o.records/20, 1000), max(o.records/20, 1000), (*kafkaTurn).throughput},
		} {
			if !o.subjects.MatchString(s.name) {
				continue
			}
			t := &kafkaTurn{
				ctx: ctx, options: o, out: out, run: run, subject: s.name, server: s.server, tools: tools, warm: s.warm, records: s.records, tls: keys,
				dir: filepath.Join(o.dir, fmt.Sprintf("%s-%d", s.name, run)),
			}
			err := t.begin()
			if err == nil {
				err = s.play(t)
			}
			if err = errors.Join(err, t.end()); err != nil {
				return fmt.Errorf("run %d, %s: %w", run, s.name, err)
			}
		}
		if o.subjects.MatchString("sink") {
			if err := sinkTurn(ctx, o, out, run, tools); err != nil {
				return fmt.Errorf("run %d, sink: %w", run, err)
			}
		}
	}
	return nil
}

// kafkaTurn is one server's turn in one run.
type kafkaTurn struct {
	ctx     context.Context
	options options
	out     *rows
	run     int
	subject string
	server  server
	tools   *kit.Kafka
	warm    int // records before anything is measured
	records int
	dir     string
	tls     *secrets
}

func (t *kafkaTurn) row(measure string, value float64, unit string) {
	t.out.add(t.run, t.subject, measure, value, unit)
}

func (t *kafkaTurn) start(measure string) error {
	ctx, cancel := context.WithTimeout(t.ctx, startPatience)
	defer cancel()
	took, err := t.server.start(ctx, t.dir)
	if err == nil {
		t.row(measure, took.Seconds()*1000, "ms")
	}
	return err
}

// begin starts the server on an empty directory and warms it and the tools' page cache up.
func (t *kafkaTurn) begin() error {
	if err := t.start("start empty"); err != nil {
		return err
	}
	if err := t.resident("resident idle"); err != nil {
		return err
	}
	if err := t.topic("warm", 6); err != nil {
		return err
	}
	_, err := t.produce("warm", t.warm, -1)
	return err
}

// end stops the server, if it still runs, and removes its data.
func (t *kafkaTurn) end() error {
	if p := t.server.process(); p != nil {
		p.Kill()
	}
	return os.RemoveAll(t.dir)
}

func (t *kafkaTurn) resident(measure string) error {
	usage, err := t.server.process().Usage()
	if err == nil {
		t.row(measure, float64(usage.Resident)/(1<<20), "MiB")
	}
	return err
}

// whole measures everything. The last steps stop and kill the server.
func (t *kafkaTurn) whole() error {
	return t.steps([]step{
		{"produce", t.throughput},
		{"latency", t.latency},
		{"consume", t.consume},
		{"end-to-end", t.endToEnd},
		{"partitions", t.thousandPartitions},
		{"producers", t.manyProducers},
		{"tls", t.encrypted},
		{"small", t.small},
		{"prepared", t.prepared},
		{"transactions", t.transactions},
		{"fan-out", t.fanOut},
		{"group", t.groups},
		{"catch-up", t.catchUp},
		{"start", t.restarts},
	})
}

// step is a part of a turn that -only chooses by its name.
type step struct {
	name string
	run  func() error
}

// steps runs those that were chosen, and adds what the server, if it is a process that still runs, then has in memory.
func (t *kafkaTurn) steps(all []step) error {
	for _, s := range all {
		if !t.options.only.MatchString(s.name) {
			continue
		}
		if err := s.run(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if s.name != "start" && t.server.process() != nil {
			if err := t.resident("resident after " + s.name); err != nil {
				return err
			}
		}
	}
	return nil
}

// throughput produces as fast as one Java client can, with its default batches and with large ones.
func (t *kafkaTurn) throughput() error {
	if err := t.topic("perf", 6); err != nil {
		return err
	}
	if err := t.produceRow("produce default", "perf", t.records); err != nil {
		return err
	}
	if err := t.produceRow("produce 128 KiB", "perf", t.records, largeBatches...); err != nil {
		return err
	}
	if err := t.topic("perf-lz4", 6); err != nil {
		return err
	}
	return t.produceRow("produce lz4", "perf-lz4", t.records, "compression.type=lz4")
}

// largeBatches are a producer's properties for batches of 128 KiB.
var largeBatches = []string{"batch.size=131072", "linger.ms=10"}

// produceRow adds the rows of one producer run: throughput, latency and what it cost the server.
func (t *kafkaTurn) produceRow(name, topic string, records int, properties ...string) error {
	var p produced4
	cost, err := t.cost(func() (err error) {
		p, err = t.produce(topic, records, -1, properties...)
		return err
	})
	if err != nil {
		return err
	}
	t.row(name, p.mibPerSecond, "MiB/s")
	t.row(name+", p99", p.p99, "ms")
	t.row(name+", server CPU", cost.Seconds()/t.gib(records), "s/GiB")
	return nil
}

// gib returns the size of so many records.
func (t *kafkaTurn) gib(records int) float64 { return float64(records*t.options.bytes) / (1 << 30) }

// cost runs work and returns the server's CPU time meanwhile, 0 of one that is no process.
func (t *kafkaTurn) cost(work func() error) (time.Duration, error) {
	if t.server.process() == nil {
		return 0, work()
	}
	before, err := t.server.process().Usage()
	if err != nil {
		return 0, err
	}
	if err := work(); err != nil {
		return 0, err
	}
	after, err := t.server.process().Usage()
	return after.CPU - before.CPU, err
}

func (t *kafkaTurn) latency() error {
	if err := t.topic("rate", 6); err != nil {
		return err
	}
	p, err := t.produce("rate", t.options.rate*t.options.seconds, t.options.rate)
	if err != nil {
		return err
	}
	t.row("at rate, reached", p.recordsPerSecond, "rec/s")
	t.row("at rate, p50", p.p50, "ms")
	t.row("at rate, p99", p.p99, "ms")
	t.row("at rate, p99.9", p.p999, "ms")
	return nil
}

// consume reads a topic whole: from what the machine has cached, from the disk, and while it is written.
func (t *kafkaTurn) consume() error {
	total := 2 * t.records // by throughput
	if !t.options.only.MatchString("produce") {
		return errors.New("-only must let produce run: its records are read here")
	}
	var fetch, join float64
	cost, err := t.cost(func() (err error) {
		fetch, join, err = t.consumed("perf", total)
		return err
	})
	if err != nil {
		return err
	}
	t.row("consume", fetch, "MiB/s")
	t.row("consume, server CPU", cost.Seconds()/t.gib(total), "s/GiB")
	t.row("first group join", join, "ms")
	if err := dropCaches(); err != nil {
		fmt.Println("no cold row:", err)
	} else {
		if fetch, _, err = t.consumed("perf", total); err != nil {
			return err
		}
		t.row("consume cold", fetch, "MiB/s")
	}
	return t.tail()
}

// tail consumes what is being produced. The consumer's time begins when it has joined its group, which takes Kafka three seconds, so the
// producer begins then and not before: else the slower join would have a head start to read.
func (t *kafkaTurn) tail() error {
	if err := t.topic("tail", 6); err != nil {
		return err
	}
	type outcome struct {
		fetch float64
		err   error
	}
	consumed := make(chan outcome, 1)
	go func() {
		fetch, _, err := t.consumed("tail", t.records, "--group", "tail")
		consumed <- outcome{fetch, err}
	}()
	err := t.stable("tail", 1)
	var p produced4
	if err == nil {
		p, err = t.produce("tail", t.records, -1)
	}
	o := <-consumed
	if err = errors.Join(err, o.err); err != nil {
		return err
	}
	t.row("produce with a tailing consumer", p.mibPerSecond, "MiB/s")
	t.row("consume tail", o.fetch, "MiB/s")
	return nil
}

func (t *kafkaTurn) thousandPartitions() error {
	if err := t.topic("wide", 1000); err != nil {
		return err
	}
	return t.produceRow("produce, 1,000 partitions", "wide", t.records)
}

// restarts measures the start with a log: after an orderly stop and after kill -9.
func (t *kafkaTurn) restarts() error {
	if err := t.server.process().Stop(time.Minute); err != nil && t.subject == "freshet" {
		return err // Kafka's exit code after SIGTERM is 143
	}
	if err := t.start("start with log"); err != nil {
		return err
	}
	t.server.process().Kill()
	return t.start("start after kill -9")
}

// dropCaches makes the next reads come from the disk; only root can.
func dropCaches() error {
	return os.WriteFile("/proc/sys/vm/drop_caches", []byte("1"), 0)
}
