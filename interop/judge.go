package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// errMissing says that a client cannot be had on this machine; its row says so and fails nothing.
var errMissing = errors.New("not available here")

// clientPatience bounds one client's scenario; the slowest, fifty JVM starts, takes two thirds of it on two busy cores.
const clientPatience = 6 * time.Minute

// bench is what all clients of a run share.
type bench struct {
	root   string // the repository
	work   string // temporary directory of this run
	target target
	run    int // tells this run's names from those of earlier ones on the same server
	print  sync.Mutex
}

// verdict is what was found of one capability.
type verdict string

const (
	ok   verdict = "ok"
	fail verdict = "fail"
	none verdict = "none" // the client has no such thing, or it does not apply
)

// finding is one cell of the matrix.
type finding struct {
	Capability string  `json:"capability"`
	Verdict    verdict `json:"verdict"`
	Detail     string  `json:"detail,omitempty"`
}

// result is one client's row.
type result struct {
	Client   string    `json:"client"`
	Title    string    `json:"title"`
	Version  string    `json:"version"`
	Protocol protocol  `json:"protocol"`
	Missing  string    `json:"missing,omitempty"` // why it did not run at all
	Findings []finding `json:"findings,omitempty"`
}

// capabilities are what every client of a protocol is asked, in the order of the matrix's columns. A scenario that does not mention one has failed it.
var capabilities = map[protocol][]string{
	kafkaProtocol:  {"topics", "codecs", "group", "resume", "time", "large", "transactions", "errors", "from-kinesis", "to-kinesis"},
	awsProtocol:    {"streams", "put", "read", "subscribe", "errors", "firehose", "from-kafka", "to-kafka"},
	nextProtocol:   {"shares", "patterns", "static", "migration"},
	queueProtocol:  {"queue"},
	streamedKafka:  {"stream-tasks", "stream-standby", "stream-admin"},
	tieredKafka:    {"moved", "old-records", "trimmed", "disabled"},
	governedKafka:  {"users", "acls", "tokens", "quotas"},
	operatedKafka:  {"node", "load", "replicas", "roles"},
	monitored:      {"lag"},
	metricsOfKafka: {"subscribed", "pushed", "unsubscribed"},
	securedKafka:   {"tls", "mtls", "plain", "scram", "token", "iam", "denied"},
	mskProtocol:    {"cluster", "clients", "topics-api", "changes", "passwords", "certificates", "terraform", "deletion"},
	s3Protocol:     {"s3-refusal", "s3-delivery", "s3-parts", "s3-outage"},
}

// runAll runs the matching clients, a few at a time, and returns their rows in the order of the list.
func runAll(ctx context.Context, b *bench, only *regexp.Regexp, jobs int) []result {
	var chosen []client
	for _, c := range clients {
		if only.MatchString(c.name) && b.speaks(c.protocol) {
			chosen = append(chosen, c)
		}
	}
	results := make([]result, len(chosen))
	var group errgroup.Group
	group.SetLimit(max(1, jobs))
	for i, c := range chosen {
		group.Go(func() error {
			began := time.Now()
			results[i] = b.judge(ctx, c)
			b.show(results[i], time.Since(began))
			return nil
		})
	}
	_ = group.Wait() // judge reports failures in its result
	return results
}

func (b *bench) speaks(p protocol) bool {
	switch p {
	case kafkaProtocol, nextProtocol, queueProtocol, streamedKafka, monitored, operatedKafka:
		return b.target.kafka != ""
	case securedKafka, governedKafka:
		return b.target.secured != nil
	case mskProtocol:
		return b.target.endpoint != "" && b.target.objects != "" // beside the objects is the certificate that clients trust
	case metricsOfKafka: // whose pages of metrics are with the AWS services
		return b.target.kafka != "" && b.target.endpoint != ""
	case s3Protocol, tieredKafka: // what our own node is started with
		return b.target.binary != ""
	case awsProtocol:
	}
	return b.target.endpoint != ""
}

// judge runs one client and returns a finding for every capability of its protocol.
func (b *bench) judge(ctx context.Context, c client) result {
	r := result{Client: c.name, Title: c.title, Version: c.version, Protocol: c.protocol}
	ctx, cancel := context.WithTimeout(ctx, clientPatience+installPatience)
	defer cancel()
	cmd, err := c.prepare(ctx, b)
	if errors.Is(err, errMissing) {
		r.Missing = err.Error()
		return r
	}
	if err != nil {
		r.Findings = b.complete(c, nil, fmt.Errorf("prepare: %w", err))
		return r
	}
	ctx, cancel = context.WithTimeout(ctx, clientPatience)
	defer cancel()
	crossing := b.newCrossing(c)
	if err := crossing.seed(ctx); err != nil {
		r.Findings = b.complete(c, nil, fmt.Errorf("seed the crossing: %w", err))
		return r
	}
	findings, err := b.execute(ctx, c, cmd)
	if b.crosses() && c.protocol.crosses() {
		findings = append(findings, crossing.verify(ctx))
	}
	r.Findings = b.complete(c, findings, err)
	return r
}

// installPatience bounds the first installation of a client from its registry.
const installPatience = 10 * time.Minute

// crosses reports whether both protocols are served, so that records can go from one to the other.
func (b *bench) crosses() bool { return b.target.kafka != "" && b.target.endpoint != "" }

// execute runs the scenario and collects what it says.
func (b *bench) execute(ctx context.Context, c client, cmd *exec.Cmd) ([]finding, error) {
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env,
		"KAFKA="+b.target.kafka, "AWS_ENDPOINT_URL="+b.target.endpoint, "OBJECTS="+b.target.objects, "PREFIX="+b.prefix(c),
		"AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=secret", "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_PAGER=",
		"PYTHONWARNINGS=ignore", "NODE_NO_WARNINGS=1")
	if c.protocol == securedKafka || c.protocol == governedKafka || c.protocol == mskProtocol {
		cmd.Env = append(cmd.Env, b.target.secured...)
	}
	if b.crosses() {
		cmd.Env = append(cmd.Env, "IN="+b.prefix(c)+"in", "OUT="+b.prefix(c)+"out")
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	log := filepath.Join(b.work, c.name+".log")
	if werr := os.WriteFile(log, slices.Concat(stdout.Bytes(), stderr.Bytes()), 0o644); werr != nil {
		return nil, werr
	}
	findings := parse(stdout.Bytes())
	if err != nil {
		err = fmt.Errorf("%w: %s", err, lastLines(stderr.String(), 4))
	}
	return findings, err
}

// prefix begins every name that a client makes; the run is in it, so that a server can be judged again.
func (b *bench) prefix(c client) string { return fmt.Sprintf("it-%d-%s-", b.run, c.name) }

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], " | ")
}

// parse picks the lines "@ capability verdict detail" out of a scenario's output.
func parse(output []byte) []finding {
	var findings []finding
	scanner := bufio.NewScanner(bytes.NewReader(output))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		fields := strings.SplitN(scanner.Text(), " ", 4)
		if len(fields) < 3 || fields[0] != "@" {
			continue
		}
		f := finding{Capability: fields[1], Verdict: verdict(fields[2])}
		if len(fields) == 4 {
			f.Detail = strings.TrimSpace(fields[3])
		}
		findings = append(findings, f)
	}
	return findings
}

// complete orders the findings by column and adds a failure for each capability that the scenario did not come to.
func (b *bench) complete(c client, findings []finding, err error) []finding {
	var all []finding
	for _, name := range capabilities[c.protocol] {
		crossing := strings.HasPrefix(name, "from-") || strings.HasPrefix(name, "to-")
		i := slices.IndexFunc(findings, func(f finding) bool { return f.Capability == name })
		switch {
		case crossing && !b.crosses():
			all = append(all, finding{name, none, "the server speaks one protocol only"})
		case i >= 0 && slices.Contains([]verdict{ok, fail, none}, findings[i].Verdict):
			all = append(all, findings[i])
		default:
			detail := "the scenario did not come to it"
			if err != nil {
				detail += ": " + err.Error()
			}
			all = append(all, finding{name, fail, detail})
		}
	}
	return all
}

// show prints a row per capability as soon as a client is done.
func (b *bench) show(r result, took time.Duration) {
	b.print.Lock()
	defer b.print.Unlock()
	fmt.Printf("%s %s, %.1f s\n", r.Title, r.Version, took.Seconds())
	if r.Missing != "" {
		fmt.Printf("  missing: %s\n", r.Missing)
	}
	for _, f := range r.Findings {
		fmt.Printf("  %-18s %-13s %-5s %s\n", r.Client, f.Capability, f.Verdict, f.Detail)
	}
}

func tally(results []result) (passed, failed int) {
	for _, r := range results {
		for _, f := range r.Findings {
			switch f.Verdict {
			case ok:
				passed++
			case fail:
				failed++
			case none:
			}
		}
	}
	return passed, failed
}
