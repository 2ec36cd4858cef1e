package offsets

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/protocol/kafka/group"
	"github.com/freshet/freshet/internal/protocol/kafka/group/assignor"
	"github.com/freshet/freshet/internal/stream"
)

// writer writes one round of records.
type writer struct {
	*follower
	partitions int32
	batches    []*written
	open       map[int32]*written // the batch of each partition that takes more
	bytes      int
}

// written is a batch and what it says.
type written struct {
	partition int32
	builder   batch.Builder
	groups    []string // of each record
	keys      []string
}

// all writes the records of commits, then those by which groups differ from what the topic says.
func (w *writer) all(ctx context.Context, queue []commit, groups map[string]bool) error {
	for i := range queue {
		if err := w.commit(ctx, &queue[i]); err != nil {
			return err
		}
	}
	for id := range groups {
		if err := w.compare(ctx, id); err != nil {
			return err
		}
	}
	return w.flush(ctx)
}

// commit writes the records of a commit. Of topics that are gone there are none.
func (w *writer) commit(ctx context.Context, c *commit) error {
	for i := range c.cursors {
		r, ok, err := w.offset(ctx, c.group, &c.cursors[i])
		if err != nil {
			return err
		}
		if !ok || w.index.says(c.group, r) {
			continue
		}
		if err = w.put(ctx, c.group, r); err != nil {
			return err
		}
	}
	return nil
}

// offset returns the record of a committed offset; ok is false if its topic is gone.
func (w *writer) offset(ctx context.Context, id string, c *stream.Cursor) (r record, ok bool, err error) {
	st, err := w.Log.StreamByID(ctx, c.Shard.Stream)
	switch {
	case errors.Is(err, stream.ErrNotFound):
		return r, false, nil
	case err != nil:
		return r, false, err
	}
	return offsetRecord(id, string(st.Name), c), true, nil
}

// compare writes what the topic does not say of a group, or says wrongly. Keys of commits that wait in the queue are left to these: what is true by now
// may be newer.
func (w *writer) compare(ctx context.Context, id string) error {
	cursors, err := w.groups.Offsets(ctx, id)
	if err != nil {
		return err
	}
	snapshot := w.groups.Snapshot(id)
	var truth []record
	for i := range cursors {
		r, ok, err := w.offset(ctx, id, &cursors[i])
		if err != nil {
			return err
		}
		if ok {
			truth = append(truth, r)
		}
	}
	switch {
	case snapshot.Classic != nil:
		truth = append(truth, classicRecord(id, snapshot.Classic))
	case snapshot.Consumers != nil:
		truth = append(truth, consumerRecords(id, snapshot.Consumers)...)
	}
	skip, err := w.waiting(ctx, id)
	if err != nil {
		return err
	}
	valid := make(map[string]bool, len(truth))
	for _, r := range truth {
		valid[string(r.key)] = true
	}
	for _, key := range w.index.gone(id, valid) {
		if _, offset, _ := groupOf([]byte(key)); skip[key] || !offset && snapshot.Moving {
			continue
		}
		if err = w.put(ctx, id, record{key: []byte(key)}); err != nil {
			return err
		}
	}
	for _, r := range truth {
		if skip[string(r.key)] || w.index.says(id, r) {
			continue
		}
		if err = w.put(ctx, id, r); err != nil {
			return err
		}
	}
	return nil
}

// waiting returns the keys of a group's commits in the queue.
func (w *writer) waiting(ctx context.Context, id string) (map[string]bool, error) {
	var queued []stream.Cursor
	w.mu.Lock()
	for i := range w.queue {
		if w.queue[i].group == id {
			queued = append(queued, w.queue[i].cursors...)
		}
	}
	w.mu.Unlock()
	keys := make(map[string]bool, len(queued))
	for i := range queued {
		r, ok, err := w.offset(ctx, id, &queued[i])
		if err != nil {
			return nil, err
		}
		if ok {
			keys[string(r.key)] = true
		}
	}
	return keys, nil
}

// put adds a record to the round, and writes the round if it has become large.
func (w *writer) put(ctx context.Context, id string, r record) error {
	const overhead = 32 // of a record in a batch, at most
	size := len(r.key) + len(r.value) + overhead
	partition := Partition(id, w.partitions)
	to := w.open[partition]
	if to == nil || to.builder.Bytes()+size > w.batchBytes() {
		to = &written{partition: partition}
		if w.open == nil {
			w.open = map[int32]*written{}
		}
		w.open[partition] = to
		w.batches = append(w.batches, to)
	}
	to.builder.Add(w.Clock.Now().UnixMilli(), r.key, r.value)
	to.groups, to.keys = append(to.groups, id), append(to.keys, string(r.key))
	w.index.set(id, string(r.key), r.value)
	if w.bytes += size; w.bytes > maxRound {
		return w.flush(ctx)
	}
	return nil
}

// batchBytes is how large a batch of several records may be.
func (w *writer) batchBytes() int {
	if most := int(w.topic.Config.MaxBatchBytes); most > 0 {
		return min(maxBatch, most)
	}
	return maxBatch
}

// flush appends what the round has, and waits until it is readable. What could not be appended is not known to be said.
func (w *writer) flush(ctx context.Context) error {
	if len(w.batches) == 0 {
		return nil
	}
	all := w.batches
	w.batches, w.open, w.bytes = nil, nil, 0
	entries := make([]stream.Append, len(all))
	for i, b := range all {
		entries[i] = stream.Append{Shard: w.topic.Shard(b.partition), Batch: b.builder.Finish(batch.NoProducer)}
	}
	results, err := w.Log.Append(ctx, entries).Wait(ctx)
	if err != nil {
		w.doubt(all...)
		return err
	}
	for i := range results {
		switch failed := results[i].Err; {
		case failed == nil:
		case errors.Is(failed, stream.ErrTooLarge): // it would be the next time, too
			w.Logger.Warn("record is too large for the topic of committed offsets", "topic", Topic, "group", all[i].groups[0], "error", failed)
		default:
			w.doubt(all[i])
			err = failed
		}
	}
	return err
}

// doubt forgets what batches say: it is found out by comparing that it is to be said.
func (w *writer) doubt(all ...*written) {
	for _, b := range all {
		for i, id := range b.groups {
			w.index.doubt(id, b.keys[i])
		}
	}
}

// sortedIDs returns the topics of an assignment in order.
func sortedIDs(a assignor.Assignment) []stream.ID {
	ids := make([]stream.ID, 0, len(a))
	for id := range a {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b stream.ID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

var _ Groups = (*group.Coordinator)(nil)
