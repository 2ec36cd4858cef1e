package engine

import (
	"context"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
)

// group is what one group commit writes: it fills while the one before is on its way to the disk, survives a crash whole or not at all, and
// is published whole. It lies in a block at from, in the form that package format draws; its table is kept apart until it is full.
type group struct {
	block   *block
	from    int
	payload int
	table   []byte

	batches  []placed
	turns    []turn
	changes  []change
	tickets  []*stream.Ticket
	receipts []*receipt
	sync     bool // someone was promised that the group is on the disk

	// ends says that the group is its file's last one; producers is then what the shards' tables were behind it.
	ends      bool
	early     bool // the file is not full
	producers []producerState
}

// placed is a batch in a group: what publishing it needs to know.
type placed struct {
	shard  *shard
	base   stream.Offset
	next   stream.Offset
	at     int // where in the group
	size   int
	latest int64
	time   int64
	result *stream.Appended
}

// receipt is what a change of state waits for.
type receipt struct {
	done chan struct{}
	err  error // valid after done is closed
}

// wait returns when the change is durable. If ctx ends first it returns its cause: the change goes on all the same.
func (r *receipt) wait(ctx context.Context) error {
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (g *group) empty() bool { return g.payload == 0 && len(g.tickets) == 0 && len(g.receipts) == 0 }

// size returns how many bytes the group has on disk.
func (g *group) size() int { return format.GroupSize(g.payload, len(g.table)/format.EntrySize) }

// room returns how many more bytes, entries included, the block can take.
func (g *group) room() int {
	return len(g.block.buf) - g.from - format.GroupHeaderSize - g.payload - len(g.table) - format.Align
}

// reserve returns memory in the block for a payload of n bytes and where it is in the group. The caller has checked room.
func (g *group) reserve(n int) (payload []byte, at int) {
	at = format.GroupHeaderSize + g.payload
	g.payload += n
	return g.block.buf[g.from+at : g.from+at+n : g.from+at+n], at
}

func (g *group) addEntry(kind format.Kind, shard stream.Shard, payload []byte, time int64) {
	entry := format.Entry{Kind: kind, Size: uint32(len(payload)), Shard: shard, Sum: format.PayloadSum(kind, payload), Time: time}
	g.table = entry.Append(g.table)
}

// addBatch puts a batch with its base offset set behind what the group has.
func (g *group) addBatch(a *arrival, epoch int32, now int64) {
	h := &a.header
	dst, at := g.reserve(len(a.bytes))
	copy(dst, a.bytes)
	batch.SetBase(dst, h.BaseOffset, epoch)
	if a.stream.Config.Timestamps == stream.LogAppendTime {
		batch.SetLogAppendTime(dst, now)
		h.MaxTimestamp = now
	}
	g.addEntry(format.KindBatch, a.shard.id, dst, now)
	base := stream.Offset(h.BaseOffset)
	g.batches = append(g.batches, placed{
		shard: a.shard, base: base, next: base + stream.Offset(h.LastOffsetDelta) + 1,
		at: at, size: len(dst), latest: h.MaxTimestamp, time: now, result: a.result,
	})
	g.sync = g.sync || a.stream.Config.Durability == stream.Fsync
}

// addAborted puts an aborted transaction behind its marker.
func (g *group) addAborted(shard stream.Shard, a stream.Aborted, now int64) {
	dst, _ := g.reserve(format.AbortedSize)
	format.AppendAborted(dst[:0], a)
	g.addEntry(format.KindAborted, shard, dst, now)
}

// addChange puts a change of state, encoded as payload, behind what the group has.
func (g *group) addChange(c change, payload []byte, now int64) {
	dst, _ := g.reserve(len(payload))
	copy(dst, payload)
	g.addEntry(c.kind(), stream.Shard{}, dst, now)
	g.changes = append(g.changes, c)
	g.sync = true
}

// seal completes the group's bytes and returns them. Their capacity reaches to the block's end, where the next group follows.
func (g *group) seal(h *format.GroupHeader) []byte {
	h.Payload, h.Entries = uint32(g.payload), uint32(len(g.table)/format.EntrySize)
	b := g.block.buf[g.from:][:g.size()]
	end := format.GroupHeaderSize + g.payload + copy(b[format.GroupHeaderSize+g.payload:], g.table)
	clear(b[end:]) // the padding
	h.Seal(b)
	return b
}

// reset makes the group ready to be filled at from of block, keeping its memory.
func (g *group) reset(b *block, from int) {
	clear(g.batches)
	clear(g.turns)
	clear(g.changes)
	clear(g.tickets)
	clear(g.receipts)
	*g = group{
		block: b, from: from,
		table:    g.table[:0],
		batches:  g.batches[:0],
		turns:    g.turns[:0],
		changes:  g.changes[:0],
		tickets:  g.tickets[:0],
		receipts: g.receipts[:0],
	}
}

// finish lets everyone go who waits for the group. err is nil once the group is durable and published.
func (g *group) finish(err error) {
	if err != nil {
		for i := range g.batches {
			*g.batches[i].result = stream.Appended{Err: err}
		}
	}
	for _, t := range g.tickets {
		t.Finish()
	}
	for _, r := range g.receipts {
		r.err = err
		close(r.done)
	}
}
