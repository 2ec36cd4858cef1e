package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/clock"
)

// LedgerPrefix begins the name of the topic in which the target keeps what was transferred to it. The source's cluster id is the rest.
const LedgerPrefix = "__freshet_transfer_"

// entry is one record of the ledger, JSON: that a topic is about to be made, that it is ours, by which producer records are written, or the runs
// of a partition. A record is written before what it says is done.
type entry struct {
	Topic     string     `json:"topic,omitempty"`
	SourceID  string     `json:"source_id,omitempty"` // of an entry by which the topic is ours
	TargetID  string     `json:"target_id,omitempty"`
	Making    bool       `json:"making,omitempty"`    // the topic is not there yet, and is about to be made
	Made      bool       `json:"made,omitempty"`      // it was made by us, so that its settings are ours
	Partition int32      `json:"partition,omitempty"` // of the runs
	Runs      [][2]int64 `json:"runs,omitempty"`      // offsets at source and target at which each begins
	Producer  *int64     `json:"producer,omitempty"`  // the id of the producer of what comes behind
}

// owned is what the ledger says of a topic of the target.
type owned struct {
	sourceID, targetID string
	making, made       bool
}

// place of a run: the id of the target's topic, so that a topic that was made anew begins anew, and its partition.
type runsKey struct {
	targetID  string
	partition int32
}

// ledger is the topic, as the only one who writes to it knows it. Its methods are safe for concurrent use but for load.
type ledger struct {
	target *side
	address
	clock    clock.Clock
	producer int64

	mu  sync.Mutex
	end int64 // of the ledger, its next offset

	topics    map[string]owned
	producers map[int64]bool
	shifted   map[string]bool // ids of the target's topics of which some record has another offset than at the source
}

// ledgerSettings keep all of it for ever: what a group's offset becomes may be asked for years later.
var ledgerSettings = map[string]*string{"cleanup.policy": kadm.StringPtr("delete"), "retention.ms": kadm.StringPtr("-1"), "retention.bytes": kadm.StringPtr("-1")}

// openLedger finds the ledger, or makes it unless dry. It is nil if dry and there is none.
func openLedger(ctx context.Context, target *side, c clock.Clock, cluster string, replicas int16, dry bool) (*ledger, error) {
	name := LedgerPrefix + cluster
	for {
		found, err := target.admin.Metadata(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("look for the ledger at the %s: %w", target.name, err)
		}
		t := found.Topics[name]
		switch {
		case t.Err == nil && len(t.Partitions) > 0 && t.Partitions[0].Leader >= 0:
			return &ledger{target: target, clock: c, address: address{topic: name, id: t.ID, leader: t.Partitions[0].Leader}}, nil
		case errors.Is(t.Err, kerr.UnknownTopicOrPartition) && dry:
			return nil, nil
		case errors.Is(t.Err, kerr.UnknownTopicOrPartition):
			_, err := target.admin.CreateTopic(ctx, 1, replicas, ledgerSettings, name)
			if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
				return nil, fmt.Errorf("make the ledger %s at the %s: %w", name, target.name, err)
			}
		case t.Err != nil && !kerr.IsRetriable(t.Err):
			return nil, fmt.Errorf("the ledger %s at the %s: %w", name, target.name, t.Err)
		}
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
	}
}

// load reads all of the ledger, and lets visit see the runs, each partition's in their order.
func (l *ledger) load(ctx context.Context, visit func(runsKey, run)) error {
	l.topics, l.producers, l.shifted = map[string]owned{}, map[int64]bool{}, map[string]bool{}
	end, err := l.read(ctx, func(e *entry) {
		if e.Producer != nil {
			l.producers[*e.Producer] = true
		}
		if e.SourceID != "" || e.Making {
			l.topics[e.Topic] = owned{e.SourceID, e.TargetID, e.Making, e.Made}
		}
		for _, r := range e.Runs {
			l.see(e, run{r[0], r[1]}, visit)
		}
	})
	l.end = end
	return err
}

func (l *ledger) see(e *entry, r run, visit func(runsKey, run)) {
	if r.source != r.target {
		l.shifted[e.TargetID] = true
	}
	visit(runsKey{e.TargetID, e.Partition}, r)
}

// read lets visit see every entry, and returns the ledger's next offset.
func (l *ledger) read(ctx context.Context, visit func(*entry)) (end int64, err error) {
	listed, err := l.target.admin.ListEndOffsets(ctx, l.topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("read the ledger's end at the %s: %w", l.target.name, err)
	}
	found, _ := listed.Lookup(l.topic, 0)
	for at := int64(0); at < found.Offset; {
		set, err := l.target.fetchOne(ctx, l.address, at)
		if err != nil {
			return 0, fmt.Errorf("read the ledger at the %s: %w", l.target.name, err)
		}
		from := at
		if at, err = visitEntries(set, at, visit); err != nil {
			return 0, fmt.Errorf("the ledger %s of the %s at offset %d: %w", l.topic, l.target.name, at, err)
		}
		if at == from && ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
	}
	return found.Offset, nil
}

func visitEntries(raw []byte, at int64, visit func(*entry)) (int64, error) {
	var failed error
	for failed == nil {
		size, ok := batch.Size(raw)
		if !ok || size > len(raw) {
			break
		}
		h, err := batch.Verify(raw[:size])
		if err != nil {
			return at, err
		}
		err = batch.Records(raw[:size], 0, func(r *batch.Record) bool {
			if r.Offset < at {
				return true
			}
			var e entry
			if failed = json.Unmarshal(r.Value, &e); failed == nil {
				visit(&e)
			}
			return failed == nil
		})
		if failed = errors.Join(failed, err); failed == nil {
			at, raw = h.LastOffset()+1, raw[size:]
		}
	}
	return at, failed
}

// write adds entries, and returns when they are safe.
func (l *ledger) write(ctx context.Context, entries ...entry) error {
	if len(entries) == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(entries) > 0 {
		var b batch.Builder
		for len(entries) > 0 && (b.Len() == 0 || b.Bytes() < mostJoined/2) {
			value, err := json.Marshal(&entries[0])
			if err != nil {
				return err
			}
			b.Add(l.clock.Now().UnixMilli(), []byte(entries[0].Topic), value)
			entries = entries[1:]
		}
		p := placement{l.address, piece{at: l.end, records: int64(b.Len()), bytes: b.Finish(batch.NoProducer)}}
		if err := l.target.place(ctx, l.producer, []placement{p}); err != nil {
			return err
		}
		l.end += p.records
	}
	return nil
}

// mostRuns is how many runs one entry has at most: a record of 200 KiB or so.
const mostRuns = 8192

// runsEntries are the entries for runs of a partition.
func runsEntries(topic, targetID string, partition int32, runs []run) []entry {
	var all []entry
	for len(runs) > 0 {
		some := runs[:min(len(runs), mostRuns)]
		runs = runs[len(some):]
		e := entry{Topic: topic, TargetID: targetID, Partition: partition, Runs: make([][2]int64, len(some))}
		for i, r := range some {
			e.Runs[i] = [2]int64{r.source, r.target}
		}
		all = append(all, e)
	}
	return all
}

// owns says what the ledger has about a topic of the target. A ledger that is not there has nothing.
func (l *ledger) owns(name string) (owned, bool) {
	if l == nil {
		return owned{}, false
	}
	own, known := l.topics[name]
	return own, known
}

// shift takes down that a topic has records with other offsets than at the source.
func (l *ledger) shift(targetID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shifted[targetID] = true
}
