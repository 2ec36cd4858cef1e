// Package agent follows files and puts what is written to them into a stream, through the public Kinesis API of any endpoint: a freshet node's or
// AWS's. Agent is the program; Config says which files, which stream and how lines become records.
//
// The way of a byte: a lane per path reads the file there, and those renamed away from there, in the order of their lives (lane.go, tail.go,
// rotated.go); a framer cuts lines and joins those that belong together (framer.go); a format makes a record with a partition key of each
// (format.go); a batch goes out, one at a time per lane, until every member of it is accepted (sender.go); then, and only then, the checkpoint
// moves (checkpoint.go).
// So after a crash nothing is missing, and what was sent since the last checkpoint is sent again: at least once.
//
// Files are told apart by their first bytes, not by name or inode, so that renaming, copying and truncating are understood on every platform.
//
// It refuses lines it cannot make a record of: they are counted and logged, and never stop it.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/internal/clock"
)

// Config says what to follow and where to send it. Files, Stream and Checkpoint must be set; other zero values mean the defaults.
type Config struct {
	// Files are paths or patterns (path/filepath.Match); directories are not entered. A file that is renamed, or copied and cut, within Poll of
	// its first line, or while MaxFiles are open, is only found if a pattern matches its new name.
	Files      []string
	Stream     string
	Checkpoint string // the file that remembers how far each file has been sent; whoever starts an agent sees to it that no other uses it
	FromEnd    bool   // begin files that were there at the first start at their end

	Format    string // "line" (default), "json", "csv" or "apache"
	Key       string // field whose value is the partition key; "" = the client's address for apache, else a random key for each record
	Multiline string // regular expression of a record's first line: lines that do not match belong to the record before

	Create int32 // make the stream with so many shards if there is none; 0 = do not

	BatchRecords int           // records of a request at most; 0 = 500
	BatchBytes   int           // data and keys of a request at most; 0 = 5 MiB
	MaxLineBytes int           // longer lines, or joined lines, are not sent; 0 = 1 MiB less the longest key
	Poll         time.Duration // time between two looks at a file, and so the longest that a record waits for others; 0 = 200 ms
	Rescan       time.Duration // time between two looks for files; 0 = 1 s
	RotateGrace  time.Duration // how long a file that was renamed or removed may stay silent before it is closed; 0 = 5 s
	MaxFiles     int           // files followed at once, those that were renamed and are not sent included; 0 = 1000
	MaxInFlight  int           // files read and sent at once, each with one request under way; 0 = 8
	StopGrace    time.Duration // how long a stop waits for the request under way; 0 = 5 s
}

// The hard bounds of PutRecords and the defaults of Config.
const (
	maxBatchRecords = 500
	maxKeyChars     = 256
	maxKeyBytes     = 4 * maxKeyChars
	defaultLine     = 1<<20 - maxKeyBytes
)

// Deps is what an Agent works with; Random need not be safe for concurrent use.
type Deps struct {
	Client Kinesis
	Clock  clock.Clock
	Random *rand.Rand
	Logger *slog.Logger
}

// Stats counts what an agent has done since it started.
type Stats struct {
	Files    int64 // being followed
	Lines    int64 // complete lines read
	Records  int64 // accepted by the stream
	Bytes    int64 // of their data
	Bad      int64 // lines that the format does not understand
	TooLong  int64
	Retried  int64 // members of requests that were sent again
	Requests int64
}

// Agent follows files.
type Agent struct {
	cfg Config
	Deps
	format    func() format
	multiline *regexp.Regexp
	marks     *checkpoints
	sender    *sender
	slots     chan struct{} // one for each lane that holds a batch

	files, lines, bad, tooLong atomic.Int64

	mu    sync.Mutex // guards what follows
	lanes map[string]*lane
	tails map[*tail]os.FileInfo // every open file
	over  map[string]bool       // paths that were refused, to say so once
}

// New returns an agent, with its checkpoint read.
func New(cfg Config, deps Deps) (*Agent, error) {
	cfg.setDefaults()
	a := &Agent{
		cfg: cfg, Deps: deps, lanes: map[string]*lane{}, tails: map[*tail]os.FileInfo{}, over: map[string]bool{},
	}
	var err error
	if a.format, err = newFormat(cfg.Format, cfg.Key); err != nil {
		return nil, err
	}
	if cfg.Multiline != "" {
		if cfg.Format == "csv" {
			return nil, errors.New("multiline start: csv knows by its quotes where a record ends")
		}
		if a.multiline, err = regexp.Compile(cfg.Multiline); err != nil {
			return nil, fmt.Errorf("multiline start: %w", err)
		}
	}
	if err = cfg.validate(); err != nil {
		return nil, err
	}
	if a.marks, err = loadCheckpoints(cfg.Checkpoint); err != nil {
		return nil, err
	}
	a.slots = make(chan struct{}, cfg.MaxInFlight)
	a.sender = newSender(cfg, deps)
	return a, nil
}

func (c *Config) setDefaults() {
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&c.Poll, 200 * time.Millisecond}, {&c.Rescan, time.Second}, {&c.RotateGrace, 5 * time.Second}, {&c.StopGrace, 5 * time.Second}} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	for _, d := range []struct {
		v   *int
		def int
	}{{&c.BatchRecords, maxBatchRecords}, {&c.BatchBytes, 5 << 20}, {&c.MaxLineBytes, defaultLine}, {&c.MaxFiles, 1000}, {&c.MaxInFlight, 8}} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	if c.Format == "" {
		c.Format = "line"
	}
}

func (c *Config) validate() error {
	var wrong []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	check(len(c.Files) > 0, "no files: name paths or patterns to follow")
	check(c.Stream != "", "no stream: name the stream to put records into")
	check(c.Checkpoint != "", "no checkpoint file")
	for _, f := range c.Files {
		_, err := filepath.Match(f, "")
		check(err == nil, "file %q: not a valid pattern", f)
	}
	check(c.BatchRecords > 0 && c.BatchRecords <= maxBatchRecords, "batch of %d records: must be 1 to %d", c.BatchRecords, maxBatchRecords)
	check(c.MaxLineBytes > 0 && c.BatchBytes >= c.MaxLineBytes+maxKeyBytes, "lines of %d bytes do not fit a batch of %d", c.MaxLineBytes, c.BatchBytes)
	check(c.Poll > 0 && c.Rescan > 0 && c.RotateGrace > 0 && c.StopGrace > 0, "times must be positive")
	check(c.MaxFiles > 0 && c.MaxInFlight > 0 && c.Create >= 0, "numbers of files, requests and shards must be positive")
	return errors.Join(wrong...)
}

// Stats returns the counters.
func (a *Agent) Stats() Stats {
	return Stats{
		Files: a.files.Load(), Lines: a.lines.Load(), Bad: a.bad.Load(), TooLong: a.tooLong.Load(),
		Records: a.sender.records.Load(), Bytes: a.sender.bytes.Load(), Retried: a.sender.retried.Load(), Requests: a.sender.requests.Load(),
	}
}

// Run follows the files until ctx ends, then finishes the requests under way and keeps the checkpoint. An error means that the stream
// refuses everything: it does not exist, or the credentials are wrong.
func (a *Agent) Run(ctx context.Context) error {
	soft, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	hard, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	if err := a.sender.ready(soft, a.cfg.Create); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	var lanes sync.WaitGroup
	a.follow(soft, func(l *lane) {
		lanes.Go(func() {
			defer a.retire(l)
			if err := l.run(soft, hard); err != nil {
				fail(err)
			}
		})
	})
	grace := a.Clock.NewTimer(a.cfg.StopGrace)
	defer grace.Stop()
	finished := make(chan struct{})
	go func() {
		lanes.Wait()
		close(finished)
	}()
	select {
	case <-finished:
	case <-grace.C():
		a.Logger.Warn("requests under way were given up: they will be sent again", "after", a.cfg.StopGrace)
		stop()
		<-finished
	}
	err := a.marks.save(a.Clock.Now())
	if ctx.Err() == nil {
		err = errors.Join(context.Cause(soft), err)
	}
	return err
}

// follow looks for files, keeps the checkpoint and tells the counters, until ctx ends.
func (a *Agent) follow(ctx context.Context, begin func(*lane)) {
	rescan := a.Clock.NewTicker(a.cfg.Rescan)
	defer rescan.Stop()
	report := a.Clock.NewTicker(10 * time.Second)
	defer report.Stop()
	var told Stats
	for first := true; ; first = false {
		found := a.discover(first)
		for _, l := range found {
			l.begin() // before the checkpoint is kept: that it was to begin at the end of a file must not be forgotten in a crash
			begin(l)
		}
		if first || len(found) > 0 {
			a.reportLost()
		}
		if err := a.marks.save(a.Clock.Now()); err != nil {
			a.Logger.Error("keep checkpoint", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-rescan.C():
		case <-report.C():
			if s := a.Stats(); s != told {
				a.Logger.Info("following", "files", s.Files, "lines", s.Lines, "records", s.Records, "bytes", s.Bytes,
					"bad", s.Bad, "tooLong", s.TooLong, "retried", s.Retried)
				told = s
			}
		}
	}
}

// discover returns lanes for the paths that match and have none yet.
func (a *Agent) discover(first bool) []*lane {
	var found []*lane
	for _, pattern := range a.cfg.Files {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			continue // validate has checked it
		}
		if len(paths) == 0 && first {
			a.Logger.Info("waiting for a file", "path", pattern)
		}
		for _, path := range paths {
			if l := a.lane(path, first); l != nil {
				found = append(found, l)
			}
		}
	}
	return found
}

// compressed are endings of files that are not followed.
var compressed = []string{gzipEnding, ".bz2", ".xz", ".zst", ".zip", ".lz4"}

func isCompressed(name string) bool {
	return slices.Contains(compressed, strings.ToLower(filepath.Ext(name)))
}

// lane returns a lane for path, or nil if there is one, or none is wanted.
func (a *Agent) lane(path string, first bool) *lane {
	path = filepath.Clean(path)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lanes[path] != nil {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil || a.openLocked(info) {
		return nil // gone again, or known by the name it had before
	}
	refuse := func(reason string) *lane {
		if !a.over[path] && len(a.over) < a.cfg.MaxFiles {
			a.over[path] = true
			a.Logger.Warn("file not followed", "path", path, "reason", reason)
		}
		return nil
	}
	switch {
	case !info.Mode().IsRegular():
		return refuse("not a regular file")
	case isCompressed(path):
		return refuse("compressed")
	case len(a.lanes) >= a.cfg.MaxFiles:
		return refuse(fmt.Sprintf("%d files are followed already", a.cfg.MaxFiles))
	}
	l := newLane(a, path, a.cfg.FromEnd && first)
	a.lanes[path] = l
	return l
}

// openLocked says whether the file of info is open under any name.
func (a *Agent) openLocked(info os.FileInfo) bool {
	for _, other := range a.tails {
		if os.SameFile(info, other) {
			return true
		}
	}
	return false
}

func (a *Agent) retire(l *lane) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.lanes, l.path)
}
