package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sort"

	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
)

// A checkpoint is a file in the engine's directory, checkpoint-NUMBER, written under another name and renamed, so that one with a valid name
// and wrong bytes is always damage. Two are kept: should the newer one be damaged, the log files behind the older one are read again.
const (
	checkpointPrefix = "checkpoint-"
	checkpointTmp    = "checkpoint.tmp"
	keptCheckpoints  = 2
)

func checkpointName(number uint64) string { return fmt.Sprintf("%s%016x", checkpointPrefix, number) }

// savedMark is a checkpoint on disk: its number, and the first log file that recovery from it reads.
type savedMark struct {
	number uint64
	file   uint64
}

// producerState is a shard's producers at a moment.
type producerState struct {
	shard    *shard
	snapshot []byte
}

// producerStatesLocked snapshots the producers of all shards, as they are behind everything taken so far.
func (e *Engine) producerStatesLocked() []producerState {
	var states []producerState
	for _, s := range e.tables.shards { // the caller is the committer, the only one to change the map
		if s.producers != nil && s.producers.Len() > 0 {
			states = append(states, producerState{s, s.producers.Snapshot(nil)})
		}
	}
	return states
}

// snapshot encodes everything known behind the committer's position. Only the committer may call it: it reads the tables without lock, as the one
// who changes them.
func (e *Engine) snapshot(states []producerState) (format.CheckpointHeader, []byte) {
	t := &e.tables
	var body, buf []byte
	add := func(c change) {
		buf = c.encode(buf[:0])
		body = format.AppendCheckpointEntry(body, c.kind(), buf)
	}
	add(&epochChange{t.epoch})
	add(&producerIDs{t.producerIDs})
	for _, s := range sorted(t.streams, func(a, b stream.ID) int { return bytes.Compare(a[:], b[:]) }) {
		add(&streamChange{s})
	}
	tables := map[*shard][]byte{}
	for _, p := range states {
		tables[p.shard] = p.snapshot
	}
	for _, s := range sorted(t.shards, compareShards) {
		if s.end == 0 && tables[s] == nil {
			continue
		}
		add(&shardState{shard: s.id, start: s.start, end: s.end, size: s.bytes, epochs: s.epochs, producers: tables[s]})
	}
	for _, c := range e.partStates() {
		add(c)
	}
	for _, of := range sorted(t.documents, compare[string]) {
		for _, d := range sorted(of, compare[string]) {
			add(d)
		}
	}
	owners := make([]string, 0, len(t.cursors))
	for owner := range t.cursors {
		owners = append(owners, owner)
	}
	sort.Strings(owners)
	for _, owner := range owners {
		add(&cursorsChange{owner: owner, cursors: sorted(t.cursors[owner], compareShards)})
	}
	p := &e.log
	return format.CheckpointHeader{File: p.file.First, Position: p.at, Group: p.group, GroupSum: p.sum}, body
}

// sorted returns the values of m in the order of its keys: the same state gives the same bytes.
func sorted[K comparable, V any](m map[K]V, compare func(a, b K) int) []V {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compare)
	values := make([]V, len(keys))
	for i, k := range keys {
		values[i] = m[k]
	}
	return values
}

func compare[T string](a, b T) int { return bytes.Compare([]byte(a), []byte(b)) }

func compareShards(a, b stream.Shard) int {
	if c := bytes.Compare(a.Stream[:], b.Stream[:]); c != 0 {
		return c
	}
	return int(a.Index) - int(b.Index)
}

// writeCheckpoint writes a checkpoint and removes those that are no longer kept.
func (e *Engine) writeCheckpoint(h format.CheckpointHeader, body []byte) error {
	e.view.RLock()
	marks := slices.Clone(e.checkpoints)
	e.view.RUnlock()
	h.Number = 1
	if n := len(marks); n > 0 {
		h.Number = marks[n-1].number + 1
	}
	name := checkpointName(h.Number)
	if err := e.writeWhole(name, checkpointTmp, append(h.Append(nil, body), body...)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	marks = append(marks, savedMark{h.Number, h.File})
	for len(marks) > keptCheckpoints {
		if err := e.cfg.FS.Remove(filepath.Join(e.cfg.Dir, checkpointName(marks[0].number))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove old checkpoint: %w", err)
		}
		marks = marks[1:]
	}
	e.view.Lock()
	e.checkpoints = marks
	e.view.Unlock()
	e.counters.checkpoints.Add(1)
	return nil
}

// writeWhole makes a file with these bytes, durable with its name when it returns. A crash leaves all of it or nothing.
func (e *Engine) writeWhole(name, tmp string, b []byte) error {
	tmp = filepath.Join(e.cfg.Dir, tmp)
	if err := e.cfg.FS.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := e.cfg.FS.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err = diskError("write", name, err); err == nil {
		if err = f.Sync(); err != nil {
			err = &DiskError{"sync", name, err}
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := e.cfg.FS.Rename(tmp, filepath.Join(e.cfg.Dir, name)); err != nil {
		return err
	}
	return e.syncNames("")
}

// closingCheckpoint is the last act of an orderly Close: it says that nothing was being written.
func (e *Engine) closingCheckpoint() error {
	p := &e.log
	if p.synced < p.group {
		if err := p.file.file.Sync(); err != nil {
			return &DiskError{"sync", p.file.name, err}
		}
	}
	e.mu.Lock()
	states := e.producerStatesLocked()
	e.mu.Unlock()
	h, body := e.snapshot(states)
	h.Closed = true
	err := e.writeCheckpoint(h, body)
	if isFull(err) {
		if _, err := e.cutAhead(p.file); err != nil {
			return err
		}
		err = e.writeCheckpoint(h, body)
	}
	return err
}
