package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet/freshet/tests/kit"
	"github.com/freshet/freshet/tests/process"
)

const (
	eventsTopic, windowsTopic = "events", "windows"
	eventParts                = 2
	eventsAtOnce              = 1000
	// eventEvery is the time between two events as they tell it: a hundred to a window.
	eventEvery = 10 * time.Millisecond
)

// windowKey is a row of the result: what Flink groups by.
type windowKey struct{ begun, word string }

// window is what a row says: how many events, and the sum of their ids.
type window struct{ n, ids int64 }

// flinkSQL aggregates a topic in windows into another topic with Flink SQL, exactly once, while Flink and the node are killed. Flink goes on from its last
// checkpoint, which commits the transactions that it had prepared. Of every window and word, read_committed gives one row, with what was written.
func flinkSQL(ctx context.Context, r *rig) error {
	f, err := newFlink(ctx, r)
	if err != nil {
		return err
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.kafka), kgo.RetryTimeout(time.Minute), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer cl.Close()
	for _, topic := range []string{eventsTopic, windowsTopic} {
		if _, err := kadm.NewClient(cl).CreateTopic(ctx, eventParts, 1, nil, topic); err != nil {
			return err
		}
	}
	if err := f.start(); err != nil {
		return err
	}
	defer func() { f.process.Kill() }()
	e := &events{want: map[windowKey]window{}}
	for kill := range r.kills {
		if err := e.write(ctx, r, cl, eventsAtOnce); err != nil {
			return err
		}
		if err := f.checkpoint(ctx); err != nil { // else the next start would only begin anew
			return err
		}
		if err := f.pause(ctx, time.Duration(r.rnd.IntN(3000))*time.Millisecond); err != nil {
			return err
		}
		if r.node != nil && kill%2 == 1 {
			fmt.Println("kill -9 of the node")
			r.node.Kill()
			if _, err := r.node.Start(ctx); err != nil {
				return err
			}
			continue
		}
		f.process.Kill()
		if err := f.start(); err != nil {
			return err
		}
	}
	if err := e.end(ctx, r, cl); err != nil {
		return err
	}
	return e.judge(ctx, r, f)
}

// flink is one process with a job that is started again from its last checkpoint.
type flink struct {
	command     process.Command
	checkpoints string
	naming      string
	kafka       string
	process     *process.Process
}

func newFlink(ctx context.Context, r *rig) (*flink, error) {
	root, err := process.ModuleRoot()
	if err != nil {
		return nil, err
	}
	jars, err := kit.Flink(ctx)
	if err != nil {
		return nil, err
	}
	classes, err := kit.Javac(ctx, "flink-classes", jars, filepath.Join(root, "tests", "frameworks", "java", "FlinkWindows.java"))
	if err != nil {
		return nil, err
	}
	f := &flink{checkpoints: filepath.Join(r.dir, "checkpoints"), kafka: r.kafka, naming: []string{"POOLING", "INCREMENTING"}[r.rnd.IntN(2)]}
	fmt.Println("transactions are named by", f.naming)
	log := filepath.Join(r.dir, "log4j2.properties")
	if err := os.WriteFile(log, []byte(flinkLog), 0o644); err != nil {
		return nil, err
	}
	args := []string{"-XX:+UseSerialGC", "-Xmx768m", "-Dlog4j2.configurationFile=" + log, "-Djava.io.tmpdir=" + r.dir}
	for _, p := range []string{"lang", "lang.reflect", "net", "io", "nio", "text", "time", "util", "util.concurrent", "util.concurrent.atomic", "util.concurrent.locks"} {
		args = append(args, "--add-opens=java.base/java."+p+"=ALL-UNNAMED")
	}
	args = append(args, "-cp", classes+string(os.PathListSeparator)+filepath.Join(jars, "*"), "FlinkWindows")
	f.command = process.Command{Name: "Flink", Path: "java", Log: filepath.Join(r.dir, "flink.log"), Args: args}
	return f, nil
}

const flinkLog = `rootLogger.level = WARN
rootLogger.appenderRef.stdout.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss.SSS} %-5p %c{1} %m%n
`

// start runs the job from its last checkpoint, if there is one.
func (f *flink) start() (err error) {
	from := f.latest()
	fmt.Printf("Flink starts from %q\n", filepath.Base(from))
	c := f.command
	c.Args = append(slices.Clone(c.Args), f.kafka, f.checkpoints, from, f.naming)
	f.process, err = process.Start(c)
	return err
}

// latest returns the directory of the newest checkpoint that is complete, "" if there is none. Each start has a directory with checkpoints of its own,
// whose numbers go on from those that it began from.
func (f *flink) latest() string {
	found, _ := filepath.Glob(filepath.Join(f.checkpoints, "*", "chk-*", "_metadata"))
	newest, at := "", -1
	for _, path := range found {
		dir := filepath.Dir(path)
		if n, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), "chk-")); err == nil && n > at {
			newest, at = dir, n
		}
	}
	return newest
}

// checkpoint waits until the job has completed one more.
func (f *flink) checkpoint(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no checkpoint after %s", patience))
	defer cancel()
	for before := f.latest(); f.latest() == before; {
		if err := f.pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// pause lets the job work.
func (f *flink) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-f.process.Done():
		return fmt.Errorf("flink ended: %s", f.process.Tail(4000))
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// events are what was written, and what it comes to.
type events struct {
	next int64
	want map[windowKey]window
}

// eventsBegin is when the first event was, as they tell it.
var eventsBegin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const flinkTime = "2006-01-02 15:04:05.000"

// write produces events whose time rises in each partition, and adds up what they come to.
func (e *events) write(ctx context.Context, r *rig, cl *kgo.Client, n int) error {
	var records []*kgo.Record
	for range n {
		at, word := eventsBegin.Add(time.Duration(e.next)*eventEvery), fmt.Sprint("word-", r.rnd.IntN(5))
		key := windowKey{at.Truncate(time.Second).Format("2006-01-02 15:04:05"), word}
		w := e.want[key]
		e.want[key] = window{w.n + 1, w.ids + e.next}
		records = append(records, event(e.next, word, at, int32(r.rnd.IntN(eventParts))))
		e.next++
	}
	return cl.ProduceSync(ctx, records...).FirstErr()
}

func event(id int64, word string, at time.Time, partition int32) *kgo.Record {
	return &kgo.Record{Topic: eventsTopic, Partition: partition, Value: fmt.Appendf(nil, `{"id": %d, "word": %q, "happened": %q}`, id, word, at.Format(flinkTime))}
}

// end lets the time of every partition pass all windows but the last events' own.
func (e *events) end(ctx context.Context, r *rig, cl *kgo.Client) error {
	if err := e.write(ctx, r, cl, eventsAtOnce); err != nil {
		return err
	}
	var records []*kgo.Record
	for p := range int32(eventParts) {
		records = append(records, event(0, "end", eventsBegin.Add(24*time.Hour), p))
	}
	return cl.ProduceSync(ctx, records...).FirstErr()
}

// judge reads the windows until they are complete.
func (e *events) judge(ctx context.Context, r *rig, f *flink) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the windows are not complete after %s", patience))
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.kafka), kgo.ConsumeTopics(windowsTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	defer cl.Close()
	got := map[windowKey]bool{}
	for len(got) < len(e.want) {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %d of %d; %s", context.Cause(ctx), len(got), len(e.want), f.process.Tail(4000))
		}
		for _, record := range fetches.Records() {
			var row struct {
				Begun, Word string
				N, IDs      int64
			}
			if err := json.Unmarshal(record.Value, &row); err != nil {
				return fmt.Errorf("%s: %w", record.Value, err)
			}
			key := windowKey{row.Begun, row.Word}
			if want, ok := e.want[key]; !ok || got[key] || want != (window{row.N, row.IDs}) {
				return fmt.Errorf("offset %d of partition %d: %s, seen before: %v, want %+v", record.Offset, record.Partition, record.Value, got[key], want)
			}
			got[key] = true
		}
	}
	fmt.Printf("%d events in %d windows exactly once across %d kills\n", e.next, len(got), r.kills)
	return nil
}
