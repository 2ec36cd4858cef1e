// Package transfer copies topics, and the offsets of groups, from one Kafka cluster into another: `freshet import` and `freshet export`. It is a
// client of both and knows nothing of a node. New reaches them; Run copies.
//
// Every committed record arrives once, in its partition and order, with key, value, headers and time; what was aborted, and markers, do not.
// An attempt begins with a look at both sides: how far a partition is, its target's end says, and the ledger (ledger.go), a topic of the target,
// says which of the source's offsets that is. Whatever goes wrong ends the attempt, and the next one looks again: place.go says why nothing that
// is still under way then can lie there twice. Lanes (lane.go) read and write, each some of the partitions; rebatch.go makes the batches.
//
// It refuses to write into a topic behind records of others, and to go on where others have written.
package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/clock"
)

// Config says what to transfer.
type Config struct {
	Source, Target Cluster

	Topics   string // regular expression for whole names; "" = all but internal ones, which must be named
	Groups   bool   // the offsets of groups, too
	Follow   bool   // go on until the context ends
	Append   bool   // also into topics that have other records
	Parallel int    // lanes; 0 = DefaultParallel
	Replicas int16  // of topics that are made; 0 = the target's default

	pattern *regexp.Regexp
}

// DefaultParallel is how many lanes read and write at a time. Each has up to some 20 MiB in memory.
const DefaultParallel = 4

// maxParallel bounds the lanes, and with them the memory.
const maxParallel = 64

// ConfigError is a mistake in what was asked for.
type ConfigError struct{ error }

// Unwrap returns what is wrong.
func (e *ConfigError) Unwrap() error { return e.error }

// ErrInterrupted ends a transfer that was not to end before all is copied. What is copied stays, and the next one goes on from there.
var ErrInterrupted = errors.New("interrupted: what is copied stays, run again to go on")

// ErrIncomplete ends a transfer that left topics or groups out for what the report says.
var ErrIncomplete = errors.New("not everything was transferred")

// errFenced ends the older of two transfers between the same clusters.
var errFenced = errors.New("another transfer from this source has begun at this target")

// Deps are what a transfer needs of its surroundings.
type Deps struct {
	Clock  clock.Clock
	Logger *slog.Logger
}

// Transfer is one run of one process.
type Transfer struct {
	cfg            Config
	clock          clock.Clock
	logger         *slog.Logger
	source, target *side
	ledger         *ledger
	producer       int64 // of all records
	epoch          int16 // by which a later transfer is told

	mu     sync.Mutex
	topics map[string]*topic
	until  offsets // where to end, at the source; of a transfer that follows, where the source ended when last seen
	copied offsets // the source's offset behind what is copied
	begun  offsets // and where that was when this run began
	placed offsets // the target's offset behind what is copied
	first  offsets // and where that was when this run began
	groups groupsState

	moved atomic.Int64 // records placed, by which an attempt is known to have got on
}

// New checks the configuration and reaches both clusters. A *ConfigError says what is wrong with what was asked for. The caller must Close it.
func New(ctx context.Context, cfg Config, deps Deps) (*Transfer, error) {
	cfg.Parallel = cmp.Or(cfg.Parallel, DefaultParallel)
	cfg.Replicas = cmp.Or(cfg.Replicas, -1)
	if cfg.Parallel < 1 || cfg.Parallel > maxParallel {
		return nil, &ConfigError{fmt.Errorf("%d lanes in parallel: 1 to %d are possible", cfg.Parallel, maxParallel)}
	}
	pattern, err := regexp.Compile("^(?:" + cmp.Or(cfg.Topics, ".*") + ")$")
	if err != nil {
		return nil, &ConfigError{fmt.Errorf("topics: %w", err)}
	}
	cfg.pattern = pattern
	t := &Transfer{
		cfg: cfg, clock: deps.Clock, logger: deps.Logger,
		topics: map[string]*topic{}, until: offsets{}, copied: offsets{}, begun: offsets{}, placed: offsets{}, first: offsets{},
	}
	if t.source, err = dial(ctx, "source", cfg.Source); err != nil {
		return nil, err
	}
	if t.target, err = dial(ctx, "target", cfg.Target); err != nil {
		t.source.client.Close()
		return nil, err
	}
	return t, nil
}

// Close ends the connections.
func (t *Transfer) Close() {
	t.source.client.Close()
	t.target.client.Close()
}

// Bounds of trying again.
const (
	shortestPause = 200 * time.Millisecond
	longestPause  = 5 * time.Second
	// patience is how long nothing may arrive, for errors that pass, until the transfer gives up. A broker that was killed needs less to be back.
	patience = 5 * time.Minute
)

// Run copies until all that the source had when it began is at the target; if it follows, until all is that the source had when ctx ended. Errors
// that pass are logged and tried again. ErrIncomplete says that the report has errors; ErrInterrupted that ctx ended before the end.
func (t *Transfer) Run(ctx context.Context) error {
	opened := false
	err := t.through(ctx, func(ctx context.Context) error {
		err := t.open(ctx, false)
		opened = err == nil
		return err
	})
	if err != nil {
		return err
	}
	if !opened {
		return ErrInterrupted
	}
	if err := t.through(ctx, t.attempt); err != nil {
		return err
	}
	if ctx.Err() != nil {
		if !t.cfg.Follow {
			return ErrInterrupted
		}
		var cancel context.CancelFunc
		ctx, cancel = clock.WithTimeout(context.WithoutCancel(ctx), t.clock, drainTime, ErrInterrupted)
		defer cancel()
		t.drain()
		if err := t.through(ctx, t.attempt); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ErrInterrupted
		}
	}
	// Nothing ends this half way: a broker that has just begun needs a while for its first group.
	if err := t.through(context.WithoutCancel(ctx), t.finish); err != nil {
		return err
	}
	return t.incomplete()
}

// drainTime bounds how long a transfer that follows goes on after its context has ended.
const drainTime = 5 * time.Minute

// drain lets a transfer that followed end where the source ends now.
func (t *Transfer) drain() {
	t.cfg.Follow = false
	t.mu.Lock()
	t.until = offsets{}
	t.mu.Unlock()
	t.groups.mu.Lock()
	t.groups.listed = nil
	t.groups.mu.Unlock()
}

// through does something until it comes through, or ctx ends: errors that pass are logged, and it is done again.
func (t *Transfer) through(ctx context.Context, do func(context.Context) error) error {
	pause, moved, since := shortestPause, int64(-1), t.clock.Now()
	for {
		err := do(ctx)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		if now := t.moved.Load(); now != moved {
			moved, since, pause = now, t.clock.Now(), shortestPause
		}
		if final := t.judge(ctx, err); final != nil {
			return final
		}
		if tried := t.clock.Now().Sub(since); tried > patience {
			return fmt.Errorf("given up after %s: %w", tried.Round(time.Second), err)
		}
		if clock.Sleep(ctx, t.clock, pause) != nil {
			return nil
		}
		pause = min(2*pause, longestPause)
	}
}

// open finds or makes the ledger and takes the transfer over from whoever had it. A dry one does neither.
func (t *Transfer) open(ctx context.Context, dry bool) error {
	ids := [2]string{}
	for i, s := range []*side{t.source, t.target} {
		found, err := s.admin.BrokerMetadata(ctx)
		if err != nil {
			return fmt.Errorf("ask the %s for its cluster id: %w", s.name, err)
		}
		ids[i] = found.Cluster
	}
	if ids[0] == ids[1] {
		return &ConfigError{fmt.Errorf("source and target are the same cluster, %q", ids[0])}
	}
	if ids[0] == "" {
		return fmt.Errorf("the %s has no cluster id", t.source.name)
	}
	var err error
	if t.ledger, err = openLedger(ctx, t.target, t.clock, ids[0], t.cfg.Replicas, dry); err != nil || dry {
		return err
	}
	return t.takeOver(ctx, -1, -1)
}

// transactionalTimeout is of a transactional id by which nothing transactional is ever written.
const transactionalTimeout = time.Minute

// takeOver gets the producer. With the present id and epoch it succeeds only if nobody else has done so since, else the error is errFenced.
func (t *Transfer) takeOver(ctx context.Context, id int64, epoch int16) error {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &t.ledger.topic, int32(transactionalTimeout.Milliseconds())
	req.ProducerID, req.ProducerEpoch = id, epoch
	resp, err := req.RequestWith(ctx, t.target.client)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) {
		return errFenced
	}
	if err != nil {
		return fmt.Errorf("get a producer id from the %s: %w", t.target.name, err)
	}
	t.producer, t.epoch, t.ledger.producer = resp.ProducerID, resp.ProducerEpoch, resp.ProducerID
	return nil
}

// judge returns nil if the attempt may be made again after an error.
func (t *Transfer) judge(ctx context.Context, err error) error {
	var (
		own    *topicError
		taken  *takenError
		config *ConfigError
	)
	switch {
	case errors.As(err, &own):
		t.failTopic(own.topic, own.cause)
		return nil
	case errors.As(err, &config), errors.Is(err, errFenced), fatal(err):
		return err
	case errors.As(err, &taken):
		if fenced := t.takeOver(ctx, t.producer, t.epoch); errors.Is(fenced, errFenced) {
			return fenced
		}
		t.countTaken(taken)
	case errors.Is(err, errStale):
		t.logger.Info("looking at both sides again", "because", err)
		return nil
	}
	t.logger.Warn("trying again", "error", err)
	return nil
}

// fatal are the errors that trying again does not help.
func fatal(err error) bool {
	for _, one := range []error{
		kerr.SaslAuthenticationFailed, kerr.ClusterAuthorizationFailed, kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed,
		kerr.TransactionalIDAuthorizationFailed, kerr.UnsupportedVersion, kerr.UnsupportedSaslMechanism, kerr.SecurityDisabled,
	} {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}

// mostTaken is how often in a row the same place may turn out to be taken. An earlier attempt's own requests take one or two.
const mostTaken = 5

// countTaken gives a topic up of which others take the places.
func (t *Transfer) countTaken(e *takenError) {
	tp := t.topicNamed(e.topic)
	tp.mu.Lock()
	if tp.taken.address != e.address || tp.taken.at != e.at {
		tp.taken.address, tp.taken.at, tp.taken.times = e.address, e.at, 0
	}
	tp.taken.times++
	enough := tp.taken.times >= mostTaken && e.topic != t.ledger.topic
	tp.mu.Unlock()
	if enough {
		t.failTopic(e.topic, fmt.Errorf("others have written to partition %d of the target since offset %d", e.partition, e.at))
	}
}

// topicNamed returns the topic, new if it was not known.
func (t *Transfer) topicNamed(name string) *topic {
	t.mu.Lock()
	defer t.mu.Unlock()
	tp := t.topics[name]
	if tp == nil {
		tp = &topic{name: name}
		t.topics[name] = tp
	}
	return tp
}

// failTopic takes a topic out of the transfer.
func (t *Transfer) failTopic(name string, err error) {
	tp := t.topicNamed(name)
	tp.mu.Lock()
	defer tp.mu.Unlock()
	if tp.err == nil {
		tp.err = err
		t.logger.Error("topic is left", "topic", name, "error", err)
	}
}

// sorted returns the topics by name.
func (t *Transfer) sorted() []*topic {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.SortedFunc(maps.Values(t.topics), func(a, b *topic) int { return cmp.Compare(a.name, b.name) })
}

// active are the topics that are in the transfer still.
func (t *Transfer) active() []*topic {
	return slices.DeleteFunc(t.sorted(), func(tp *topic) bool {
		return tp.failed() || tp.gone || t.ledger != nil && tp.name == t.ledger.topic
	})
}
