package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/freshet/freshet/tests/kit"
	"github.com/freshet/freshet/tests/process"
)

// ferrokinesisVersion is the fastest Kinesis server we know. It keeps everything in memory.
const ferrokinesisVersion = "0.7.0"

const (
	kinesisShards  = 4
	kinesisCallers = 8
	kinesisBatch   = 500 // records per PutRecords
)

// kinesisServer is a subject of the Kinesis suite.
type kinesisServer struct {
	name    string
	address string
	process *process.Process
	started time.Duration
}

func startFreshet(ctx context.Context, binary, dir string) (*kinesisServer, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	node, err := process.NewNode(binary, dir)
	if err != nil {
		return nil, err
	}
	took, err := node.Start(ctx)
	if err != nil {
		return nil, err
	}
	return &kinesisServer{"freshet", node.AWS, node.Process(), took}, nil
}

func startFerrokinesis(ctx context.Context, binary, dir string) (*kinesisServer, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	addresses, err := process.FreeAddresses(1)
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addresses[0])
	if err != nil {
		return nil, err
	}
	began := time.Now()
	p, err := process.Start(process.Command{
		Name: "ferrokinesis", Path: binary, Log: filepath.Join(dir, "log"),
		Args: []string{"serve", "--port", port, "--shard-limit", "1000", "--log-level", "warn"},
	})
	if err != nil {
		return nil, err
	}
	if err := p.WaitTCP(ctx, addresses[0]); err != nil {
		p.Kill()
		return nil, err
	}
	return &kinesisServer{"ferrokinesis", addresses[0], p, time.Since(began)}, nil
}

// benchKinesis gives each server its turn in each run.
func benchKinesis(ctx context.Context, o options, out *rows) error {
	ours, err := process.Build(ctx, o.dir)
	if err != nil {
		return err
	}
	theirs := ""
	if o.subjects.MatchString("ferrokinesis") {
		if theirs, err = kit.Cargo(ctx, "ferrokinesis", ferrokinesisVersion); err != nil {
			return err
		}
	}
	for run := range o.runs {
		for _, s := range []struct {
			name   string
			binary string
			start  func(context.Context, string, string) (*kinesisServer, error)
		}{{"freshet", ours, startFreshet}, {"ferrokinesis", theirs, startFerrokinesis}} {
			if !o.subjects.MatchString(s.name) {
				continue
			}
			dir := filepath.Join(o.dir, fmt.Sprintf("%s-%d", s.name, run))
			starting, cancel := context.WithTimeout(ctx, startPatience)
			server, err := s.start(starting, s.binary, dir)
			cancel()
			if err != nil {
				return err
			}
			t := &kinesisTurn{ctx: ctx, options: o, out: out, run: run, server: server}
			err = t.play()
			server.process.Kill()
			if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
				return fmt.Errorf("run %d, %s: %w", run, s.name, err)
			}
		}
	}
	return nil
}

// kinesisTurn is one server's turn in one run.
type kinesisTurn struct {
	ctx     context.Context
	options options
	out     *rows
	run     int
	server  *kinesisServer
}

func (t *kinesisTurn) row(measure string, value float64, unit string) {
	t.out.add(t.run, t.server.name, measure, value, unit)
}

func (t *kinesisTurn) resident(measure string) error {
	usage, err := t.server.process.Usage()
	if err == nil {
		t.row(measure, float64(usage.Resident)/(1<<20), "MiB")
	}
	return err
}

func (t *kinesisTurn) play() error {
	t.row("start empty", t.server.started.Seconds()*1000, "ms")
	if err := t.resident("resident idle"); err != nil {
		return err
	}
	for _, s := range []struct {
		name string
		run  func() error
	}{
		{"put 100 B", func() error { return t.putAndDrain("100 B", 100) }},
		{"put 1 KiB", func() error { return t.putAndDrain("1 KiB", 1024) }},
		{"latency", func() error { return errors.Join(t.latency(1), t.latency(8)) }},
		{"subscribe", t.subscribe},
	} {
		if !t.options.only.MatchString(s.name) {
			continue
		}
		if err := s.run(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return t.resident("resident after loads")
}

// callers runs call from n goroutines, each on a connection of its own, until the time is over, and returns how long each call took.
func (t *kinesisTurn) callers(n int, prepare func(i int, c *rawClient) (call func() error, err error)) ([]time.Duration, error) {
	times := make([][]time.Duration, n)
	errs := make([]error, n)
	calls := make([]func() error, n)
	for i := range n {
		c, err := dialRaw(t.server.address)
		if err != nil {
			return nil, err
		}
		defer c.close()
		if calls[i], err = prepare(i, c); err != nil {
			return nil, err
		}
	}
	end := time.Now().Add(time.Duration(t.options.seconds) * time.Second)
	var work sync.WaitGroup
	for i := range n {
		work.Go(func() {
			for now := time.Now(); now.Before(end) && t.ctx.Err() == nil; {
				if errs[i] = calls[i](); errs[i] != nil {
					return
				}
				then := now
				now = time.Now()
				times[i] = append(times[i], now.Sub(then))
			}
		})
	}
	work.Wait()
	return slices.Concat(times...), errors.Join(errs...)
}

// putAndDrain puts records of a size as fast as the callers can, then reads them all.
func (t *kinesisTurn) putAndDrain(name string, size int) error {
	stream := "put-" + fmt.Sprint(size)
	if err := t.create(stream); err != nil {
		return err
	}
	before, err := t.server.process.Usage()
	if err != nil {
		return err
	}
	times, err := t.callers(kinesisCallers, func(_ int, c *rawClient) (func() error, error) {
		// Eight bodies in turn, prepared, so that the generator costs little and records differ.
		var requests [][]byte
		for range 8 {
			requests = append(requests, c.request("PutRecords", putRecordsBody(stream, kinesisBatch, size)))
		}
		next := 0
		return func() error {
			next++
			answer, err := c.do(requests[next%len(requests)])
			if err == nil && !none(answer, "FailedRecordCount") {
				err = fmt.Errorf("records were refused: %.300s", answer)
			}
			return err
		}, nil
	})
	if err != nil {
		return err
	}
	after, err := t.server.process.Usage()
	if err != nil {
		return err
	}
	total := float64(len(times) * kinesisBatch)
	t.row("PutRecords "+name, total/float64(t.options.seconds), "rec/s")
	t.row("PutRecords "+name+", call p99", quantile(times, 99), "ms")
	t.row("PutRecords "+name+", server CPU", (after.CPU-before.CPU).Seconds()/total*1e6, "us/rec")
	return t.drain(name, stream, int(total))
}

func (t *kinesisTurn) drain(name, stream string, want int) error {
	counts := make([]int, kinesisShards)
	errs := make([]error, kinesisShards)
	began := time.Now()
	var work sync.WaitGroup
	for i := range kinesisShards {
		work.Go(func() { counts[i], errs[i] = drainShard(t.server.address, stream, i) })
	}
	work.Wait()
	took := time.Since(began)
	total := 0
	for _, n := range counts {
		total += n
	}
	err := errors.Join(errs...)
	if err == nil && total < want {
		err = fmt.Errorf("%d of %d records came back", total, want)
	}
	if err == nil {
		t.row("GetRecords "+name, float64(total)/took.Seconds(), "rec/s")
	}
	return err
}

// latency puts single records of 100 bytes.
func (t *kinesisTurn) latency(callers int) error {
	stream := fmt.Sprintf("latency-%d", callers)
	if err := t.create(stream); err != nil {
		return err
	}
	times, err := t.callers(callers, func(_ int, c *rawClient) (func() error, error) {
		request := c.request("PutRecord", putRecordBody(stream, 100))
		return func() error {
			_, err := c.do(request)
			return err
		}, nil
	})
	if err != nil {
		return err
	}
	name := fmt.Sprintf("PutRecord, %d callers", callers)
	t.row(name, float64(len(times))/float64(t.options.seconds), "calls/s")
	t.row(name+", p50", quantile(times, 50), "ms")
	t.row(name+", p99", quantile(times, 99), "ms")
	return nil
}

// quantile returns a percentile in milliseconds.
func quantile(times []time.Duration, percent float64) float64 {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	return float64(sorted[int(float64(len(sorted)-1)*percent/100)]) / float64(time.Millisecond)
}
