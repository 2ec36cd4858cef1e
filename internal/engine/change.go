package engine

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/producers"
)

// change is a change of what the log knows beside batches. It is encoded into a group, and applied when the group is published; recovery
// decodes it and applies it just so. A checkpoint is a list of changes that lead from nothing to everything.
type change interface {
	kind() format.Kind
	encode(dst []byte) []byte
	decode(r *reader)
	// apply changes the tables; the caller holds Engine.view, or is alone.
	apply(t *tables)
}

// The kinds of changes on disk.
const (
	kindStream format.Kind = format.KindChange + iota
	kindDelete
	kindTrim
	kindDocument
	kindCursors
	kindForget
	kindEpoch
	kindProducerIDs
	kindShard // in checkpoints only
)

func newChange(k format.Kind) change {
	switch k {
	case kindStream:
		return &streamChange{}
	case kindDelete:
		return &deletion{}
	case kindTrim:
		return &trimming{}
	case kindDocument:
		return &document{}
	case kindCursors:
		return &cursorsChange{}
	case kindForget:
		return &forgetting{}
	case kindEpoch:
		return &epochChange{}
	case kindProducerIDs:
		return &producerIDs{}
	case kindShard:
		return &shardState{}
	case kindCompacted:
		return &compacted{}
	case kindParts:
		return &partsState{}
	}
	return nil
}

// decodeChange reads a payload of that kind.
func decodeChange(k format.Kind, payload []byte) (change, error) {
	c := newChange(k)
	if c == nil {
		return nil, fmt.Errorf("%w: kind %d is unknown", format.ErrFormat, k)
	}
	r := reader{b: payload}
	c.decode(&r)
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("%T: %w", c, err)
	}
	return c, nil
}

// streamChange creates a stream or makes it what it now is. JSON, because streams change rarely and gain fields.
type streamChange struct{ stream *stream.Stream }

func (*streamChange) kind() format.Kind { return kindStream }

func (c *streamChange) encode(dst []byte) []byte {
	b, err := json.Marshal(c.stream)
	if err != nil {
		panic(fmt.Sprintf("engine: encode stream %s: %s", c.stream.Name, err)) // nothing in a Stream can fail
	}
	return append(dst, b...)
}

func (c *streamChange) decode(r *reader) {
	c.stream = &stream.Stream{}
	if err := json.Unmarshal(r.rest(), c.stream); err != nil {
		r.fail(err.Error())
	} else if c.stream.ID.IsZero() || c.stream.Shards < 1 || c.stream.Shards > maxShards {
		r.fail("a stream without id or shards")
	}
}

func (c *streamChange) apply(t *tables) { t.putStream(c.stream) }

// deletion removes a stream, its shards and its cursors.
type deletion struct{ id stream.ID }

func (*deletion) kind() format.Kind          { return kindDelete }
func (c *deletion) encode(dst []byte) []byte { return append(dst, c.id[:]...) }
func (c *deletion) decode(r *reader)         { copy(c.id[:], r.bytes(len(c.id))) }
func (c *deletion) apply(t *tables)          { t.deleteStream(c.id) }

// trimming moves the first readable offset of a shard.
type trimming struct {
	shard stream.Shard
	start stream.Offset
	freed int64 // bytes of the batches that end before start and were live until now
}

func (*trimming) kind() format.Kind { return kindTrim }

func (c *trimming) encode(dst []byte) []byte {
	dst = appendShard(dst, c.shard)
	dst = appendInt(dst, int64(c.start))
	return appendInt(dst, c.freed)
}

func (c *trimming) decode(r *reader) {
	c.shard, c.start, c.freed = r.shard(), stream.Offset(r.int()), r.int()
}

func (c *trimming) apply(t *tables) {
	if s := t.shards[c.shard]; s != nil {
		t.bury(s.trim(c.start, c.freed))
		s.notify()
	}
}

// document puts or deletes a state document.
type document struct {
	key     state.Key
	version int64 // 0 = deleted
	value   []byte
	expects int64 // with deletes what was asked for; not on disk
	deletes bool
}

func (*document) kind() format.Kind { return kindDocument }

func (c *document) encode(dst []byte) []byte {
	dst = appendString(dst, c.key.Kind)
	dst = appendString(dst, c.key.ID)
	dst = appendInt(dst, c.version)
	return append(dst, c.value...)
}

func (c *document) decode(r *reader) {
	c.key = state.Key{Kind: r.string(), ID: r.string()}
	c.version = r.int()
	c.value = append([]byte{}, r.rest()...)
}

func (c *document) apply(t *tables) { t.putDocument(c) }

// cursorsChange stores cursors of one owner.
type cursorsChange struct {
	owner   string
	cursors []stream.Cursor
}

func (*cursorsChange) kind() format.Kind { return kindCursors }

func (c *cursorsChange) encode(dst []byte) []byte {
	dst = appendString(dst, c.owner)
	dst = appendInt(dst, int64(len(c.cursors)))
	for i := range c.cursors {
		k := &c.cursors[i]
		dst = appendShard(dst, k.Shard)
		dst = appendInt(dst, int64(k.Next))
		dst = appendInt(dst, int64(k.Epoch))
		dst = appendString(dst, k.Metadata)
		dst = appendInt(dst, k.Committed.UnixNano())
		dst = appendInt(dst, int64(k.Retention))
	}
	return dst
}

func (c *cursorsChange) decode(r *reader) {
	c.owner = r.string()
	for n := r.count(22); n > 0; n-- {
		c.cursors = append(c.cursors, stream.Cursor{
			Shard:     r.shard(),
			Next:      stream.Offset(r.int()),
			Epoch:     int32(r.int()),
			Metadata:  r.string(),
			Committed: time.Unix(0, r.int()),
			Retention: time.Duration(r.int()),
		})
	}
}

func (c *cursorsChange) apply(t *tables) { t.putCursors(c.owner, c.cursors) }

// forgetting removes cursors of one owner: those of shards, or all.
type forgetting struct {
	owner  string
	all    bool
	shards []stream.Shard
}

func (*forgetting) kind() format.Kind { return kindForget }

func (c *forgetting) encode(dst []byte) []byte {
	dst = appendString(dst, c.owner)
	if c.all {
		return appendInt(dst, -1)
	}
	dst = appendInt(dst, int64(len(c.shards)))
	for _, s := range c.shards {
		dst = appendShard(dst, s)
	}
	return dst
}

func (c *forgetting) decode(r *reader) {
	c.owner = r.string()
	n := r.int()
	if c.all = n == -1; c.all {
		return
	}
	if n < 0 || n > int64(len(r.b)) {
		r.fail("impossible number of shards")
		return
	}
	for ; n > 0; n-- {
		c.shards = append(c.shards, r.shard())
	}
}

func (c *forgetting) apply(t *tables) { t.forgetCursors(c) }

// epochChange begins a leader epoch for all shards.
type epochChange struct{ epoch int32 }

func (*epochChange) kind() format.Kind          { return kindEpoch }
func (c *epochChange) encode(dst []byte) []byte { return appendInt(dst, int64(c.epoch)) }
func (c *epochChange) decode(r *reader)         { c.epoch = int32(r.int()) }
func (c *epochChange) apply(t *tables)          { t.epoch = c.epoch }

// producerIDs reserves all producer ids below next.
type producerIDs struct{ next int64 }

func (*producerIDs) kind() format.Kind          { return kindProducerIDs }
func (c *producerIDs) encode(dst []byte) []byte { return appendInt(dst, c.next) }
func (c *producerIDs) decode(r *reader)         { c.next = r.int() }
func (c *producerIDs) apply(t *tables)          { t.producerIDs = c.next }

// shardState is what a checkpoint keeps of a shard; its stream comes before it.
type shardState struct {
	shard     stream.Shard
	start     stream.Offset
	end       stream.Offset
	size      int64
	epochs    []epochStart
	producers []byte // a snapshot of the table, empty if there is none
}

func (*shardState) kind() format.Kind { return kindShard }

func (c *shardState) encode(dst []byte) []byte {
	dst = appendShard(dst, c.shard)
	dst = appendInt(dst, int64(c.start))
	dst = appendInt(dst, int64(c.end))
	dst = appendInt(dst, c.size)
	dst = appendInt(dst, int64(len(c.epochs)))
	for _, e := range c.epochs {
		dst = appendInt(dst, int64(e.epoch))
		dst = appendInt(dst, int64(e.start))
	}
	return append(dst, c.producers...)
}

func (c *shardState) decode(r *reader) {
	c.shard = r.shard()
	c.start, c.end, c.size = stream.Offset(r.int()), stream.Offset(r.int()), r.int()
	for n := r.count(2); n > 0; n-- {
		e := epochStart{int32(r.int()), stream.Offset(r.int())}
		if k := len(c.epochs) - 1; k >= 0 && (e.epoch <= c.epochs[k].epoch || e.start < c.epochs[k].start) { // equal starts: the shard was trimmed to there
			r.fail("leader epochs that do not ascend")
			return
		}
		c.epochs = append(c.epochs, e)
	}
	c.producers = append([]byte(nil), r.rest()...)
	if c.start < 0 || c.start > c.end {
		r.fail("a shard that ends before it starts")
	}
	if len(c.producers) > 0 {
		if _, err := producers.Load(c.producers, 0); err != nil {
			r.fail(err.Error())
		}
	}
}

func (c *shardState) apply(t *tables) {
	s := t.shards[c.shard]
	if s == nil {
		return
	}
	s.start, s.end, s.next, s.bytes, s.epochs = c.start, c.end, c.end, c.size, c.epochs
	if len(c.producers) > 0 {
		s.producers, _ = producers.Load(c.producers, t.maxProducers) // decode has checked it
		s.open = nil
		s.producers.Open(s.begin)
	}
}
