package txn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/state/memstate"
	"github.com/freshet/freshet/internal/stream"
)

// fakeLog is a log of one stream whose records are words.
type fakeLog struct {
	streams map[stream.ID]*stream.Stream
	shards  map[stream.Shard][]fakeRecord
	cursors map[string]map[stream.Shard]stream.Offset
	store   *memstate.Store
	lastID  int64
	fails   error // of the next Transact
	dies    bool  // the next Transact does its work and is not heard of
	held    int   // groups whose offsets are being committed
}

// fakeRecord is a word, or a marker if it has none.
type fakeRecord struct {
	producer Producer
	word     string
	commit   bool
}

var errFake = errors.New("disk on fire")

func newFakeLog() *fakeLog {
	st := &stream.Stream{ID: stream.ID{1}, Name: "t", Shards: 4}
	return &fakeLog{
		streams: map[stream.ID]*stream.Stream{st.ID: st}, shards: map[stream.Shard][]fakeRecord{},
		cursors: map[string]map[stream.Shard]stream.Offset{}, store: memstate.New(clock.Real()),
	}
}

func (l *fakeLog) Streams(context.Context) ([]*stream.Stream, error) {
	return slices.Collect(maps.Values(l.streams)), nil
}

func (l *fakeLog) StreamByID(_ context.Context, id stream.ID) (*stream.Stream, error) {
	if st := l.streams[id]; st != nil {
		return st, nil
	}
	return nil, stream.ErrNotFound
}

func (l *fakeLog) NewProducerID(context.Context) (int64, error) {
	l.lastID++
	return l.lastID, nil
}

func (l *fakeLog) Producers(_ context.Context, s stream.Shard) ([]stream.Producer, error) {
	if l.streams[s.Stream] == nil {
		return nil, stream.ErrNotFound
	}
	known := map[int64]stream.Producer{}
	for i, r := range l.shards[s] {
		p, ok := known[r.producer.ID]
		if !ok {
			p = stream.Producer{ID: r.producer.ID, CoordinatorEpoch: -1, TransactionFirst: -1}
		}
		p.Epoch = r.producer.Epoch
		switch {
		case r.word == "":
			p.TransactionFirst, p.CoordinatorEpoch = -1, 0
		case p.TransactionFirst < 0:
			p.TransactionFirst = stream.Offset(i)
		}
		known[p.ID] = p
	}
	return slices.Collect(maps.Values(known)), nil
}

// append writes a word of a transaction, as the node does between Write and Release.
func (l *fakeLog) append(s stream.Shard, p Producer, word string) {
	l.shards[s] = append(l.shards[s], fakeRecord{producer: p, word: word})
}

func (l *fakeLog) Transact(ctx context.Context, entries []stream.Append, cursors []stream.OwnedCursors, changes []state.Change) ([]stream.Appended, []int64, error) {
	if err := l.fails; err != nil {
		l.fails = nil
		return nil, nil, err
	}
	markers := make([]batch.Marker, len(entries))
	for i, e := range entries {
		var err error
		if markers[i], err = batch.ParseMarker(e.Batch); err != nil {
			return nil, nil, err
		}
		producers, err := l.Producers(ctx, e.Shard)
		if err != nil {
			return nil, nil, err
		}
		for _, p := range producers {
			if p.ID == markers[i].ProducerID && p.Epoch > markers[i].Epoch {
				return nil, nil, fmt.Errorf("%w: epoch %d is before %d", stream.ErrFenced, markers[i].Epoch, p.Epoch)
			}
		}
	}
	for _, o := range cursors {
		for _, c := range o.Cursors {
			if st := l.streams[c.Shard.Stream]; st == nil || c.Shard.Index >= st.Shards {
				return nil, nil, stream.ErrNotFound
			}
		}
	}
	if len(cursors) != l.held {
		return nil, nil, fmt.Errorf("offsets of %d groups, %d of them held", len(cursors), l.held)
	}
	versions, err := l.store.Apply(ctx, changes...)
	if err != nil {
		return nil, nil, err
	}
	for i, e := range entries {
		m := markers[i]
		l.shards[e.Shard] = append(l.shards[e.Shard], fakeRecord{producer: Producer{m.ProducerID, m.Epoch}, commit: m.Commit})
	}
	for _, o := range cursors {
		for _, c := range o.Cursors {
			if l.cursors[o.Owner] == nil {
				l.cursors[o.Owner] = map[stream.Shard]stream.Offset{}
			}
			l.cursors[o.Owner][c.Shard] = c.Next
		}
	}
	if l.dies {
		l.dies = false
		return nil, nil, errFake
	}
	return make([]stream.Appended, len(entries)), versions, nil
}

// Committing implements Groups.
func (l *fakeLog) Committing(owned []stream.OwnedCursors, f func() error) error {
	l.held = len(owned)
	defer func() { l.held = 0 }()
	return f()
}

// Owner implements Groups.
func (l *fakeLog) Owner(group string) string { return "group/" + group }

// words returns those of a shard that are in the wanted state: "commit", "abort" or "open".
func (l *fakeLog) words(s stream.Shard, wanted string) []string {
	open, ended := map[int64][]string{}, map[string][]string{}
	for _, r := range l.shards[s] {
		id := r.producer.ID
		switch {
		case r.word != "":
			open[id] = append(open[id], r.word)
			continue
		case r.commit:
			ended["commit"] = append(ended["commit"], open[id]...)
		default:
			ended["abort"] = append(ended["abort"], open[id]...)
		}
		delete(open, id)
	}
	for _, words := range open {
		ended["open"] = append(ended["open"], words...)
	}
	return ended[wanted]
}

// rig is a coordinator on a fake log and a virtual clock.
type rig struct {
	*Coordinator
	t     testing.TB
	log   *fakeLog
	clock *clock.Virtual
}

// anyone may speak for any group.
func anyone() error { return nil }

func newRig(t testing.TB, config Config) *rig {
	r := &rig{t: t, log: newFakeLog(), clock: clock.NewVirtual(time.Unix(1_000_000, 0))}
	r.restart(config)
	return r
}

// restart begins again with what is in the log and its store.
func (r *rig) restart(config Config) {
	r.t.Helper()
	c, err := New(context.Background(), config, Deps{Log: r.log, Groups: r.log, Store: r.log.store, Clock: r.clock, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		r.t.Fatal(err)
	}
	r.Coordinator = c
}
