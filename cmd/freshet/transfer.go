package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/transfer"
)

// clusterFlags say how a cluster is reached, by the names that the settings of Kafka's clients have.
type clusterFlags struct {
	Protocol     string `name:"security-protocol" placeholder:"NAME" help:"PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL (by the other flags)."`
	Mechanism    string `name:"sasl-mechanism" placeholder:"NAME" help:"PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or AWS_MSK_IAM."`
	User         string `name:"sasl-user" placeholder:"NAME" help:"User to log in as."`
	PasswordFile string `name:"sasl-password-file" type:"path" placeholder:"FILE" help:"File whose first line is the password."`
	CAFile       string `name:"tls-ca" type:"path" placeholder:"FILE" help:"Certificates to trust, PEM (the system's)."`
	CertFile     string `name:"tls-cert" type:"path" placeholder:"FILE" help:"The client's own certificate, PEM."`
	KeyFile      string `name:"tls-key" type:"path" placeholder:"FILE" help:"Its key."`
}

func (f *clusterFlags) cluster(address string) (transfer.Cluster, error) {
	hosts, ok := strings.CutPrefix(address, "kafka://")
	if !ok && strings.Contains(address, "://") || hosts == "" || strings.ContainsAny(hosts, "/@?") {
		return transfer.Cluster{}, &usageError{fmt.Errorf("%q is no cluster: give kafka://HOST:PORT, or several hosts by commas", address)}
	}
	return transfer.Cluster{
		Address: hosts, Protocol: f.Protocol, Mechanism: f.Mechanism, User: f.User, PasswordFile: f.PasswordFile,
		CAFile: f.CAFile, CertFile: f.CertFile, KeyFile: f.KeyFile,
	}, nil
}

// transferFlags are what import and export have in common.
type transferFlags struct {
	Topics   string `name:"topics" placeholder:"REGEXP" help:"Topics to copy, by their whole names (all but internal ones, which must be named)."`
	Groups   bool   `name:"groups" help:"Copy the offsets of groups, too, translated where records have other offsets."`
	Follow   bool   `name:"follow" help:"Go on until interrupted, and show how far behind it is."`
	DryRun   bool   `name:"dry-run" help:"Show what would be done."`
	Append   bool   `name:"append" help:"Copy also into topics that have records of others, behind them."`
	Parallel int    `name:"parallel" default:"4" placeholder:"N" help:"How many lanes read and write at a time (4). Each takes up to 20 MiB of memory."`
	Replicas int16  `name:"replicas" placeholder:"N" help:"Replicas of topics that are made (the target's default)."`
	JSON     bool   `name:"json" help:"Write the log and, at the end, the report as JSON."`
}

// importCmd copies from a Kafka cluster into a node.
type importCmd struct {
	From string `arg:"" placeholder:"kafka://HOST:PORT" help:"Cluster to copy from."`
	To   string `name:"to" placeholder:"kafka://HOST:PORT" help:"Kafka listener of the node to copy into (the local node's)."`
	transferFlags
	Remote clusterFlags `embed:""`
	Local  clusterFlags `embed:"" prefix:"to-"`
}

// Run copies.
func (c *importCmd) Run(t *terminal) error {
	from, err := c.Remote.cluster(c.From)
	if err != nil {
		return err
	}
	to, err := c.Local.cluster(cmp.Or(c.To, app.Defaults().Kafka))
	if err != nil {
		return err
	}
	return c.run(t, from, to)
}

// exportCmd copies from a node into a Kafka cluster.
type exportCmd struct {
	To   string `arg:"" placeholder:"kafka://HOST:PORT" help:"Cluster to copy into."`
	From string `name:"from" placeholder:"kafka://HOST:PORT" help:"Kafka listener of the node to copy from (the local node's)."`
	transferFlags
	Remote clusterFlags `embed:""`
	Local  clusterFlags `embed:"" prefix:"from-"`
}

// Run copies.
func (c *exportCmd) Run(t *terminal) error {
	to, err := c.Remote.cluster(c.To)
	if err != nil {
		return err
	}
	from, err := c.Local.cluster(cmp.Or(c.From, app.Defaults().Kafka))
	if err != nil {
		return err
	}
	return c.run(t, from, to)
}

func (f *transferFlags) run(t *terminal, from, to transfer.Cluster) error {
	bar := newProgress(t.stderr, f.Follow, f.JSON)
	var handler slog.Handler = slog.NewTextHandler(bar, nil)
	if f.JSON {
		handler = slog.NewJSONHandler(t.stderr, nil)
	}
	limit := app.LimitLog(slog.New(handler), clock.Real())
	defer limit.Close()
	tr, err := transfer.New(t.ctx, transfer.Config{
		Source: from, Target: to, Topics: f.Topics, Groups: f.Groups, Follow: f.Follow, Append: f.Append, Parallel: f.Parallel, Replicas: f.Replicas,
	}, transfer.Deps{Clock: clock.Real(), Logger: limit.Logger()})
	if err != nil {
		return err
	}
	defer tr.Close()
	if f.DryRun {
		report, err := tr.Plan(t.ctx)
		return errors.Join(err, f.report(t, report, 0))
	}
	began := time.Now()
	stop := bar.show(tr.Progress)
	err = tr.Run(t.ctx)
	stop()
	return errors.Join(err, f.report(t, tr.Report(), time.Since(began)))
}

// report writes what was done, or would be, on standard output.
func (f *transferFlags) report(t *terminal, r transfer.Report, took time.Duration) error {
	if f.JSON {
		return json.NewEncoder(t.stdout).Encode(struct {
			transfer.Report
			Seconds float64 `json:"seconds"`
		}{r, took.Seconds()})
	}
	table := tabwriter.NewWriter(t.stdout, 0, 0, 2, ' ', 0)
	var records, bytes int64
	head := "TOPIC\tPARTITIONS\tRECORDS\tSIZE\tOFFSETS\t\n"
	if f.DryRun {
		head = "TOPIC\tPARTITIONS\tOFFSETS\tWHAT\t\n"
	}
	fmt.Fprint(table, head)
	for _, one := range r.Topics {
		offsets, what := "the same", one.Action
		if !one.SameOffsets {
			offsets = "translated"
		}
		if one.Error != "" {
			offsets, what = "", "left out"
		}
		if f.DryRun {
			fmt.Fprintf(table, "%s\t%d\t%d\t%s\t\n", shown(one.Topic), one.Partitions, one.Records, what)
		} else {
			fmt.Fprintf(table, "%s\t%d\t%d\t%s\t%s\t\n", shown(one.Topic), one.Partitions, one.Records, byteCount(one.Bytes), offsets)
		}
		records, bytes = records+one.Records, bytes+one.Bytes
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if !f.DryRun {
		fmt.Fprintf(t.stdout, "%d records (%s) in %s: %s\n", records, byteCount(bytes), took.Round(time.Millisecond), rate(records, bytes, took))
	}
	return f.reportRest(t.stdout, r)
}

// reportRest writes what became of groups, and what was not as it was asked for.
func (f *transferFlags) reportRest(w io.Writer, r transfer.Report) error {
	line := func(kind, name, text string) { fmt.Fprintf(w, "%s %s: %s\n", kind, shown(name), text) }
	for _, one := range r.Groups {
		if one.Partitions > 0 {
			line("group", one.Group, fmt.Sprintf("offsets of %d partitions", one.Partitions))
		}
		for _, n := range one.Notes {
			line("group", one.Group, n)
		}
		if one.Error != "" {
			line("group", one.Group, "not copied: "+one.Error)
		}
	}
	for _, one := range r.Topics {
		for _, n := range one.Notes {
			line("topic", one.Topic, n)
		}
		if one.Error != "" {
			line("topic", one.Topic, "left: "+one.Error)
		}
	}
	return nil
}

func rate(records, bytes int64, took time.Duration) string {
	seconds := max(took.Seconds(), 0.001)
	return fmt.Sprintf("%.0f records/s, %.1f MiB/s", float64(records)/seconds, float64(bytes)/seconds/(1<<20))
}

// progress shows how far a transfer is: a bar on a terminal, else a line now and then. As a writer it is the log's, which must not be written
// into the bar.
type progress struct {
	w      io.Writer
	bar    *progressbar.ProgressBar // nil where there is no terminal
	follow bool
	json   bool
}

// Intervals at which progress is shown.
const (
	barInterval  = 200 * time.Millisecond
	lineInterval = 5 * time.Second
)

func newProgress(w io.Writer, follow, json bool) *progress {
	p := &progress{w: w, follow: follow, json: json}
	if file, ok := w.(*os.File); ok && !json && term.IsTerminal(int(file.Fd())) {
		p.bar = progressbar.NewOptions64(1, progressbar.OptionSetWriter(w), progressbar.OptionSetWidth(30), progressbar.OptionFullWidth(),
			progressbar.OptionSetPredictTime(!follow), progressbar.OptionSetElapsedTime(true), progressbar.OptionThrottle(0))
	}
	return p
}

// Write implements io.Writer.
func (p *progress) Write(b []byte) (int, error) {
	if p.bar != nil {
		_ = p.bar.Clear() // the next look draws it again
	}
	return p.w.Write(b)
}

// show shows progress until the function that it returns is called.
func (p *progress) show(look func() transfer.Progress) (stop func()) {
	interval := lineInterval
	if p.bar != nil {
		interval = barInterval
	}
	ticker, end, ended := time.NewTicker(interval), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer ticker.Stop()
		began, last := time.Now(), look()
		for {
			select {
			case <-ticker.C:
				now := look()
				p.draw(now, last, interval, time.Since(began))
				last = now
			case <-end:
				if p.bar != nil {
					_ = p.bar.Clear()
				}
				return
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

func (p *progress) draw(now, last transfer.Progress, interval, since time.Duration) {
	lag := max(0, now.Total-now.Offsets)
	text := fmt.Sprintf("%d records, %s, %s", now.Records, byteCount(now.Bytes), rate(now.Records-last.Records, now.Bytes-last.Bytes, interval))
	switch {
	case p.bar != nil:
		p.bar.ChangeMax64(max(1, now.Total))
		if p.follow {
			text = fmt.Sprintf("%d behind, %s", lag, text)
		}
		p.bar.Describe(text)
		_ = p.bar.Set64(now.Offsets)
	case p.json:
		slog.New(slog.NewJSONHandler(p.w, nil)).Info("progress", "records", now.Records, "bytes", now.Bytes, "lag", lag)
	case now.Total > 0 || p.follow:
		fmt.Fprintf(p.w, "%s of %d offsets: %s, %d behind\n", percent(now), now.Total, text, lag)
	default:
		fmt.Fprintf(p.w, "looking at both sides for %s\n", since.Round(time.Second))
	}
}

func percent(p transfer.Progress) string {
	return fmt.Sprintf("%.1f%%", 100*float64(p.Offsets)/float64(max(1, p.Total)))
}
