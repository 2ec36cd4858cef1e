package engine

import (
	"cmp"
	"maps"
	"slices"

	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
)

// What is compacted of a shard lies in compacted files (compact_files.go), what is not in log files. Where the one ends and the other begins is
// shard.clean: batches of log files before it are dead. A range of a shard goes into a compacted file, or from one into another, by a change in the
// log that names the file, which is whole and durable by then. So a crash leaves the range where it was or has it where it is to be; and a file that
// no change names is no part of the log.

// The kinds of changes that compaction makes.
const (
	kindCompacted format.Kind = 64 + iota
	kindParts                 // in checkpoints only
)

// part says where a range of a shard lies.
type part struct {
	file, id uint64 // number and id of the compacted file; 0: nothing is left of the range
	from, to stream.Offset
}

// compacted gives a range of a shard another place.
type compacted struct {
	shard stream.Shard
	part
	freed int64 // bytes of live batches that are no more
}

func (*compacted) kind() format.Kind { return kindCompacted }

func (c *compacted) encode(dst []byte) []byte {
	return appendInt(c.part.encode(appendShard(dst, c.shard)), c.freed)
}

func (c *compacted) decode(r *reader) {
	c.shard = r.shard()
	c.part.decode(r)
	c.freed = r.int()
}

func (p *part) encode(dst []byte) []byte {
	for _, v := range []int64{int64(p.file), int64(p.id), int64(p.from), int64(p.to)} {
		dst = appendInt(dst, v)
	}
	return dst
}

func (p *part) decode(r *reader) {
	p.file, p.id, p.from, p.to = uint64(r.int()), uint64(r.int()), stream.Offset(r.int()), stream.Offset(r.int())
	if p.from < 0 || p.from >= p.to {
		r.fail("a compacted range that ends before it begins")
	}
}

func (c *compacted) apply(t *tables) {
	s := t.shards[c.shard]
	if s == nil {
		return
	}
	var dead []*span
	spans := make([]*span, 0, len(s.spans)+1)
	for _, sp := range s.spans { // readers may hold the old slice
		if sp.Next > c.from {
			sp.cutOff(c.to)
		}
		if sp.Next <= c.to && sp.Next > c.from {
			dead = append(dead, sp)
		} else {
			spans = append(spans, sp)
		}
	}
	if sp := t.partSpan(s, &c.part); sp != nil {
		at, _ := slices.BinarySearchFunc(spans, sp, func(a, b *span) int { return cmp.Compare(a.Next, b.Next) })
		spans = slices.Insert(spans, at, sp)
	}
	s.spans = spans
	s.clean = max(s.clean, c.to)
	s.passes++
	s.bytes -= c.freed
	t.bury(dead)
}

// cutOff makes the span's batches before an offset dead. The bytes of some of them are told from those of others only while the file is written to.
func (sp *span) cutOff(before stream.Offset) {
	cut := min(before, sp.Next)
	if cut <= max(sp.cut, sp.First) { // it lies behind
		return
	}
	if cut < sp.Next && len(sp.extents) > 0 {
		for i := firstLive(sp.extents, sp.cut, sp.cut); i < len(sp.extents) && sp.extents[i].Base < cut; i++ {
			sp.gone += int64(sp.extents[i].Size)
			sp.file.live -= int64(sp.extents[i].Size)
		}
	}
	sp.cut = cut
}

// partSpan returns the span of a shard that p refers to, nil if nothing is left of its range. While a log is being opened its file may be missing: a later
// change will then have moved the range.
func (t *tables) partSpan(s *shard, p *part) *span {
	t.lastCompacted = max(t.lastCompacted, p.file)
	if p.file == 0 {
		return nil
	}
	f := t.compacted[p.file]
	if f == nil || f.broken == nil && f.ID != p.id {
		f = missingCompacted(p.file)
	}
	if f.broken != nil {
		return &span{Span: format.Span{Shard: s.id, First: p.from, Next: p.to, Count: 1}, shard: s, file: f}
	}
	sp := f.offered(s, p)
	if sp == nil {
		f = &logFile{name: f.name, broken: f.corrupt(0, "the file has nothing of shard %d of stream %s from offset %d to %d", s.id.Index, s.id.Stream, p.from, p.to)}
		return &span{Span: format.Span{Shard: s.id, First: p.from, Next: p.to, Count: 1}, shard: s, file: f}
	}
	sp.cut = p.from
	f.live += sp.Bytes
	s.aborts = s.aborts || sp.Aborted > 0
	return sp
}

// partsState is what a checkpoint keeps of a shard that was compacted; its shardState comes before it.
type partsState struct {
	shard stream.Shard
	clean stream.Offset
	parts []part
}

func (*partsState) kind() format.Kind { return kindParts }

func (c *partsState) encode(dst []byte) []byte {
	dst = appendInt(appendShard(dst, c.shard), int64(c.clean))
	dst = appendInt(dst, int64(len(c.parts)))
	for i := range c.parts {
		dst = c.parts[i].encode(dst)
	}
	return dst
}

func (c *partsState) decode(r *reader) {
	c.shard, c.clean = r.shard(), stream.Offset(r.int())
	for n := r.count(4); n > 0; n-- {
		var p part
		p.decode(r)
		if k := len(c.parts) - 1; k >= 0 && p.from < c.parts[k].to || p.to > c.clean {
			r.fail("compacted ranges that do not ascend")
			return
		}
		c.parts = append(c.parts, p)
	}
}

func (c *partsState) apply(t *tables) {
	s := t.shards[c.shard]
	if s == nil {
		return
	}
	s.clean = c.clean
	for i := range c.parts {
		s.spans = append(s.spans, t.partSpan(s, &c.parts[i]))
	}
}

// partsOf returns what a checkpoint keeps of a shard's compacted ranges. The caller holds view.
func (s *shard) partsOf() *partsState {
	c := &partsState{shard: s.id, clean: s.clean}
	for _, sp := range s.spans {
		if sp.file.isCompacted() {
			c.parts = append(c.parts, part{sp.file.First, sp.file.ID, max(sp.First, sp.cut), sp.Next})
		}
	}
	return c
}

// partStates returns what a checkpoint keeps of all shards' compacted ranges, in order.
func (e *Engine) partStates() []change {
	e.view.RLock()
	defer e.view.RUnlock()
	of := map[stream.Shard]change{}
	for id, s := range e.tables.shards {
		if s.clean > 0 {
			of[id] = s.partsOf()
		}
	}
	return sorted(of, compareShards)
}

// checkParts finds compacted ranges whose files are missing or damaged.
func (e *Engine) checkParts() error {
	for _, s := range sorted(e.tables.shards, compareShards) {
		for _, sp := range s.spans {
			if err := sp.file.broken; err != nil {
				return err
			}
		}
	}
	return nil
}

// compactedFiles returns the compacted files, by number. The caller holds view, or is alone.
func (t *tables) compactedFiles() []*logFile {
	files := slices.Collect(maps.Values(t.compacted))
	slices.SortFunc(files, func(a, b *logFile) int { return cmp.Compare(a.First, b.First) })
	return files
}
