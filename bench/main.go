// Command bench measures freshet and a peer in turn on one machine, A B A B, and prints every row, the medians and their ratios.
//
//	go run ./bench kafka      against Apache Kafka, by Kafka's own Java tools (and a Go client where they cannot)
//	go run ./bench kinesis    against ferrokinesis, by a raw generator that costs little
//	go run ./bench scale      alone: memory with many shards and connections or 10,000 idle ones, start with a large log
//
// freshet acknowledges what is on disk; Kafka and ferrokinesis do not unless the row says fsync. The raw rows stay in bench/rows, one file per run of
// this program. Machines are shared and noisy: quote medians and ratios, never one row.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/freshet/freshet/tests/process"
)

// options are the command line.
type options struct {
	runs     int
	gib      int // of the large log
	records  int
	bytes    int
	rate     int
	backlog  int // GiB
	seconds  int
	dir      string
	only     *regexp.Regexp // which measures
	subjects *regexp.Regexp // which subjects
}

// clientGC is GOGC of this process: at 100 its collector, marking what the clients hold, was a quarter of what the clients cost, and rows of clients that
// are meant to cost little showed that.
const clientGC = 800

func main() { process.Main("bench", run) }

func run(ctx context.Context, args []string) error {
	suites := map[string]func(context.Context, options, *rows) error{"kafka": benchKafka, "kinesis": benchKinesis, "scale": benchScale}
	if len(args) == 0 || suites[args[0]] == nil {
		return fmt.Errorf("usage: bench kafka|kinesis|scale [flags]; bench kafka -h lists them")
	}
	o := options{}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.IntVar(&o.runs, "runs", 3, "how often each subject has its turn")
	flags.IntVar(&o.gib, "gib", 10, "GiB of the large log (scale)")
	flags.IntVar(&o.records, "records", 1_000_000, "records of a throughput row (kafka)")
	flags.IntVar(&o.bytes, "bytes", 1024, "bytes of a record (kafka)")
	flags.IntVar(&o.rate, "rate", 20_000, "records per second of the latency row (kafka)")
	flags.IntVar(&o.backlog, "backlog", 5, "GiB that are read while others are produced (kafka)")
	flags.IntVar(&o.seconds, "seconds", 10, "how long a timed row lasts")
	flags.StringVar(&o.dir, "dir", os.TempDir(), "`directory` for data: the disk that is measured")
	only := flags.String("only", "", "measure what matches this `pattern` (the server is started for each all the same)")
	subjects := flags.String("subjects", "", "measure the subjects that match this `pattern`")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return err
	}
	if o.subjects, err = regexp.Compile(*subjects); err != nil {
		return err
	}
	if o.dir, err = os.MkdirTemp(o.dir, "freshet-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(o.dir)
	out, err := newRows(args[0])
	if err != nil {
		return err
	}
	defer out.close()
	debug.SetGCPercent(clientGC)
	err = suites[args[0]](ctx, o, out)
	out.summarize()
	return err
}

// newRows opens the file of raw rows.
func newRows(suite string) (*rows, error) {
	root, err := process.ModuleRoot()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(root, "bench", "rows")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	name := filepath.Join(dir, suite+"-"+time.Now().UTC().Format("20060102-150405")+".tsv")
	file, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	fmt.Println("raw rows in", name)
	return &rows{file: file}, nil
}
