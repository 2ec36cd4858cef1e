package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// Transact appends batches, stores cursors and changes documents as one: after a crash, and to readers, there is all of it or nothing. Batches may be
// transaction markers, which end their producers' transactions; this is the only way to write those. It returns when all is durable, with the results of
// the batches and the new versions of the documents.
//
// If a single batch is refused, or repeated, a shard does not exist (any more), or a document is not at the version expected, nothing happens and the
// error is that one's. Of one producer it takes only one batch or marker per shard (stream.ErrInvalid).
//
// All of it becomes visible at one moment, under the lock that every reader takes: who sees a marker, or a shard's LastStable moved by it, finds the
// cursors and documents as they were stored with it, and every other marker of the call. There is no order among them to rely on, or to wait for.
//
// All of it is one group, which is larger than others if need be: the markers of 10,000 shards are 1.8 MB. Only Config.MaxUnitBytes bounds it
// (stream.ErrTooLarge). On a full disk it is refused as appends are (stream.ErrFull): a marker frees no space, and nothing that does waits for one,
// since retention and trimming pass open transactions; so the space that is kept for those is not for markers. Documents alone, if all are said to free
// some (state.Change.Frees), are let in.
func (e *Engine) Transact(ctx context.Context, entries []stream.Append, cursors []stream.OwnedCursors, changes []state.Change) ([]stream.Appended, []int64, error) {
	t := stream.NewTicket(len(entries))
	u := bundle{arrivals: make([]arrival, len(entries))}
	u.need = e.inspect(entries, u.arrivals, t.Results(), true)
	if err := firstError(t.Results()); err != nil {
		return nil, nil, err
	}
	if err := u.prepare(e, cursors, changes); err != nil {
		return nil, nil, err
	}
	if err := e.enter(ctx, u.need, len(entries), u.frees); err != nil {
		return nil, nil, err
	}
	now := e.nowLocked()
	versions, err := e.checkAllLocked(&u, now)
	if err != nil {
		var winner *receipt
		if errors.Is(err, state.ErrConflict) && e.isAheadLocked(u.documents) {
			winner = e.receiptLocked()
		}
		e.mu.Unlock()
		if winner != nil {
			if err := winner.wait(ctx); err != nil {
				return nil, nil, err
			}
		}
		return nil, nil, err
	}
	e.placeAllLocked(&u, now)
	r := e.receiptLocked()
	e.mu.Unlock()
	if err := r.wait(ctx); err != nil {
		return nil, nil, err
	}
	return t.Results(), versions, nil
}

// maxFreeing bounds what documents may have that are let in on a full disk, in bytes.
const maxFreeing = 64 * kib

// bundle is all that one call of Transact puts into a group, and the room it needs there.
type bundle struct {
	arrivals  []arrival
	cursors   []*cursorsChange
	payloads  [][]byte // of cursors
	documents []*document
	need      int
	frees     bool // it is let in on a full disk
}

// prepare checks what does not change any more, and encodes cursors.
func (u *bundle) prepare(e *Engine, cursors []stream.OwnedCursors, changes []state.Change) error {
	if err := u.oneOfEach(); err != nil {
		return err
	}
	for _, o := range cursors {
		if err := e.checkCursors(o.Owner, o.Cursors); err != nil {
			return err
		}
		if len(o.Cursors) == 0 {
			continue
		}
		c := &cursorsChange{owner: o.Owner, cursors: append([]stream.Cursor(nil), o.Cursors...)}
		payload := c.encode(nil)
		u.cursors, u.payloads = append(u.cursors, c), append(u.payloads, payload)
		u.need += len(payload) + format.EntrySize
	}
	documents, size, err := prepareDocuments(changes)
	u.documents = documents
	u.need += size
	u.frees = len(u.arrivals) == 0 && len(u.cursors) == 0 && u.need <= maxFreeing &&
		!slices.ContainsFunc(changes, func(c state.Change) bool { return !c.Frees })
	return err
}

// oneOfEach refuses a second batch of a producer for one shard: all are judged before the first is placed.
func (u *bundle) oneOfEach() error {
	type sender struct {
		shard    *shard
		producer int64
	}
	if len(u.arrivals) < 2 {
		return nil
	}
	seen := make(map[sender]bool, len(u.arrivals))
	for i := range u.arrivals {
		a := &u.arrivals[i]
		of := sender{a.shard, a.header.ProducerID}
		if of.producer >= 0 && seen[of] {
			return fmt.Errorf("%w: two batches of producer %d for shard %d of stream %s at once", stream.ErrInvalid, of.producer, a.shard.id.Index, a.shard.id.Stream)
		}
		seen[of] = true
	}
	return nil
}

func firstError(results []stream.Appended) error {
	for i := range results {
		if err := results[i].Err; err != nil {
			return err
		}
	}
	return nil
}

// checkAllLocked checks everything that placing would refuse, without changing anything but the documents' versions.
func (e *Engine) checkAllLocked(u *bundle, now int64) ([]int64, error) {
	for i := range u.arrivals {
		a := &u.arrivals[i]
		_, duplicate, err := a.judgeLocked(now)
		if err == nil && duplicate {
			err = fmt.Errorf("%w: producer %d sent sequence %d again", stream.ErrStale, a.header.ProducerID, a.header.BaseSequence)
		}
		if err != nil {
			return nil, err
		}
	}
	return e.checkDocumentsLocked(u.documents)
}

func (e *Engine) placeAllLocked(u *bundle, now int64) {
	for i := range u.arrivals {
		e.placeLocked(&u.arrivals[i], now)
	}
	for i, c := range u.cursors {
		e.open.addChange(c, u.payloads[i], now)
	}
	for _, d := range u.documents {
		e.changeDocumentLocked(d, now)
	}
}

// takeMarker reads the marker that a control batch has to be, if one may be.
func (a *arrival) takeMarker(may bool) error {
	if !may {
		return fmt.Errorf("%w: a control batch is not appended as others are", stream.ErrInvalid)
	}
	m, err := batch.ParseMarker(a.bytes)
	if err != nil {
		return err
	}
	if m.CoordinatorEpoch < 0 {
		return fmt.Errorf("%w: a marker of coordinator epoch %d", stream.ErrInvalid, m.CoordinatorEpoch)
	}
	a.marker = &m
	return nil
}

func (a *arrival) judgeMarkerLocked() error {
	if a.shard.producers == nil {
		return nil
	}
	return a.shard.producers.CheckMarker(a.marker)
}

// rememberLocked notes what a placed batch says of its producer.
func (e *Engine) rememberLocked(a *arrival, now int64) {
	s := a.shard
	table := e.producersOf(s)
	base := stream.Offset(a.header.BaseOffset)
	if a.marker == nil {
		if table.Record(&a.header, now) {
			e.open.turns = append(e.open.turns, turn{shard: s, begins: true, aborted: stream.Aborted{ProducerID: a.header.ProducerID, First: base}})
		}
		return
	}
	first, open := table.End(a.marker, now)
	if !open {
		return
	}
	t := turn{shard: s, aborts: !a.marker.Commit, aborted: stream.Aborted{ProducerID: a.header.ProducerID, First: first, Last: base}}
	if t.aborts {
		e.open.addAborted(s.id, t.aborted, now)
	}
	e.open.turns = append(e.open.turns, t)
}
