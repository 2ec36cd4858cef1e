package demo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/freshet/freshet/internal/app"
)

// plainEvery is the time between two lines for each stream where the output is no terminal.
const plainEvery = 5 * time.Second

// show tells how the streams go until ctx ends: in place on a terminal, else in plain lines.
func (d *demo) show(ctx context.Context) error {
	live := isTerminal(d.cfg.Out)
	if _, err := fmt.Fprint(d.cfg.Out, d.welcome()); err != nil {
		return err
	}
	second := time.NewTicker(time.Second)
	defer second.Stop()
	started := time.Now()
	var found files
	drawn := 0
	for {
		now := time.Now()
		rows := []row{
			{d.machine.reading(now), d.kafkaLag.String(), found.count(d.delivered(machineStream))},
			{d.access.reading(now), d.kinesisLag.String(), found.count(d.delivered(accessStream))},
		}
		var err error
		switch up := now.Sub(started); {
		case live:
			drawn, err = d.draw(rows, up, drawn)
		case int64(up/time.Second)%int64(plainEvery/time.Second) == 0 && up > 500*time.Millisecond:
			err = d.print(rows)
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			_, err := fmt.Fprintf(d.cfg.Out, "\nstopping; run it again to go on with %s\n", d.at.Data)
			return err
		case <-second.C:
		}
	}
}

func isTerminal(out any) bool {
	f, ok := out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && enableANSI(f)
}

// row is one stream on the screen.
type row struct {
	reading
	lag   string
	files int
}

func (r *row) latency() string {
	if !r.measured {
		return "-"
	}
	return fmt.Sprintf("%.1f ms", float64(r.p99.Microseconds())/1000)
}

const (
	head = "%-10s %7s %11s %9s %11s %14s %10s"
	line = "%-10s %7d %11.1f %9.3f %11s %14s %10d"
)

// draw writes the table over the one before, which had drawn lines, and returns how many it has.
func (d *demo) draw(rows []row, up time.Duration, drawn int) (int, error) {
	lines := []string{fmt.Sprintf(head, "stream", "shards", "records/s", "MB/s", "e2e p99", "consumer lag", "files")}
	for _, r := range rows {
		lines = append(lines, fmt.Sprintf(line, r.stream, r.shards, r.perSecond, r.bytes/1e6, r.latency(), r.lag, r.files))
	}
	status := fmt.Sprintf("%s up, %d records in, %d out", up.Round(time.Second), rows[0].records+rows[1].records, rows[0].read+rows[1].read)
	if lost := d.lost.Load(); lost > 0 {
		status += fmt.Sprintf(", %d dropped before they were sent", lost)
	}
	lines = append(lines, "", status+"; Ctrl-C stops")
	var b strings.Builder
	if drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", drawn)
	}
	for _, l := range lines {
		b.WriteString("\x1b[2K" + l + "\n")
	}
	_, err := fmt.Fprint(d.cfg.Out, b.String())
	return len(lines), err
}

// print writes a line for each stream.
func (d *demo) print(rows []row) error {
	for _, r := range rows {
		_, err := fmt.Fprintf(d.cfg.Out, "stream=%s shards=%d records/s=%.1f MB/s=%.3f e2e-p99=%q lag=%q files=%d records=%d read=%d dropped=%d\n",
			r.stream, r.shards, r.perSecond, r.bytes/1e6, r.latency(), r.lag, r.files, r.records, r.read, d.lost.Load())
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) delivered(stream string) string { return filepath.Join(d.at.Objects, bucket, stream) }

// welcome says what is going on, and what to paste.
func (d *demo) welcome() string {
	keys := "AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any"
	if len(d.cfg.Node.AccessKeys) > 0 {
		keys = "AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=..."
	}
	aws := fmt.Sprintf("aws --endpoint-url %s --region %s kinesis", d.at.AWS, region)
	return fmt.Sprintf(`freshet demo: real events of this machine, on one log
  %-8s CPU, memory, disks, network, processes: put by Kinesis PutRecords, read by a Kafka consumer group
  %-8s this node's API access log: produced by Kafka, read by a Kinesis consumer with enhanced fan-out

read along, in another terminal:
  export %s; %s get-records --shard-iterator $(%s get-shard-iterator --stream-name %s --shard-id shardId-000000000000 --shard-iterator-type TRIM_HORIZON --query ShardIterator --output text) --limit 5
  kcat -C -b %s -t %s -o -5 -f '%%p %%o %%k %%s\n'
  find %s -name '*.gz' -exec gunzip -c {} + | tail -5

the node's log: %s

`, machineStream, accessStream, keys, aws, aws, machineStream, d.at.Kafka, machineStream, app.ShellQuote(filepath.Join(d.at.Objects, bucket)), filepath.Join(d.dir, "log"))
}
