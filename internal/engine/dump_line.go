package engine

import (
	"fmt"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
)

// The lines of a dump. Each is for humans as a String and for machines as JSON, where Type tells the lines apart: "file", "group", "batch",
// "record", "unreadable", "aborted", and the changes of state. Bytes that clients sent are base64 there, null where there are none.

type fileLine struct {
	Type       string `json:"type"`
	File       string `json:"file"`
	ID         string `json:"id"`
	FirstGroup uint64 `json:"first_group"`
}

// String is the line without --json.
func (l fileLine) String() string {
	return fmt.Sprintf("%s id=%s first-group=%d", l.File, l.ID, l.FirstGroup)
}

type groupLine struct {
	Type    string `json:"type"`
	File    string `json:"file"`
	Group   uint64 `json:"group"`
	Byte    int64  `json:"byte"`
	Size    int    `json:"size"`
	Synced  uint64 `json:"synced"`
	Entries uint32 `json:"entries"`
}

// String is the line without --json.
func (l groupLine) String() string {
	return fmt.Sprintf("  group %d byte=%d size=%d synced=%d entries=%d", l.Group, l.Byte, l.Size, l.Synced, l.Entries)
}

type batchLine struct {
	Type          string      `json:"type"`
	File          string      `json:"file"`
	Byte          int64       `json:"byte"`
	Size          int32       `json:"size"`
	Stream        stream.Name `json:"stream,omitempty"` // none = the stream has been deleted
	StreamID      string      `json:"stream_id"`
	Shard         int32       `json:"shard"`
	BaseOffset    int64       `json:"base_offset"`
	LastOffset    int64       `json:"last_offset"`
	LeaderEpoch   int32       `json:"leader_epoch"`
	Records       int32       `json:"records"`
	Codec         string      `json:"codec"`
	MaxTimestamp  time.Time   `json:"max_timestamp"`
	Appended      time.Time   `json:"appended"`
	ProducerID    int64       `json:"producer_id"`
	ProducerEpoch int16       `json:"producer_epoch"`
	BaseSequence  int32       `json:"base_sequence"`
	Transactional bool        `json:"transactional,omitempty"`
	// Marker is "commit" or "abort" if the batch is the marker that ends its producer's transaction, by a coordinator of that epoch.
	Marker           string `json:"marker,omitempty"`
	CoordinatorEpoch *int32 `json:"coordinator_epoch,omitempty"`
}

func newBatchLine(file string, at int64, name stream.Name, e *format.Entry, h *batch.Header, b []byte) batchLine {
	l := batchLine{
		Type: "batch", File: file, Byte: at, Size: h.Length, Stream: name, StreamID: e.Shard.Stream.String(), Shard: e.Shard.Index,
		BaseOffset: h.BaseOffset, LastOffset: h.LastOffset(), LeaderEpoch: h.LeaderEpoch, Records: h.Records, Codec: h.Attributes.Codec().String(),
		MaxTimestamp: time.UnixMilli(h.MaxTimestamp).UTC(), Appended: time.UnixMilli(e.Time).UTC(),
		ProducerID: h.ProducerID, ProducerEpoch: h.ProducerEpoch, BaseSequence: h.BaseSequence, Transactional: h.Attributes.Transactional(),
	}
	if m, err := batch.ParseMarker(b); err == nil {
		l.Marker, l.CoordinatorEpoch = "abort", &m.CoordinatorEpoch
		if m.Commit {
			l.Marker = "commit"
		}
	}
	return l
}

// String is the line without --json.
func (l batchLine) String() string {
	name := string(l.Stream)
	if name == "" {
		name = l.StreamID + " (deleted)"
	}
	transaction := ""
	switch {
	case l.Marker != "":
		transaction = fmt.Sprintf(" marker=%s coordinator=%d", l.Marker, *l.CoordinatorEpoch)
	case l.Transactional:
		transaction = " transactional"
	}
	return fmt.Sprintf("    batch %s/%d offset=%d..%d byte=%d size=%d epoch=%d records=%d codec=%s timestamp=%s appended=%s producer=%d/%d sequence=%d%s",
		name, l.Shard, l.BaseOffset, l.LastOffset, l.Byte, l.Size, l.LeaderEpoch, l.Records, l.Codec,
		l.MaxTimestamp.Format(time.RFC3339Nano), l.Appended.Format(time.RFC3339Nano), l.ProducerID, l.ProducerEpoch, l.BaseSequence, transaction)
}

// abortedLine is a transaction that the batch before it has aborted.
type abortedLine struct {
	Type        string      `json:"type"`
	Stream      stream.Name `json:"stream,omitempty"`
	StreamID    string      `json:"stream_id"`
	Shard       int32       `json:"shard"`
	ProducerID  int64       `json:"producer_id"`
	FirstOffset int64       `json:"first_offset"`
	LastOffset  int64       `json:"last_offset"`
}

func newAbortedLine(name stream.Name, of stream.Shard, a *stream.Aborted) abortedLine {
	return abortedLine{"aborted", name, of.Stream.String(), of.Index, a.ProducerID, int64(a.First), int64(a.Last)}
}

// String is the line without --json.
func (l abortedLine) String() string {
	return fmt.Sprintf("      aborted producer=%d offset=%d..%d", l.ProducerID, l.FirstOffset, l.LastOffset)
}

type recordLine struct {
	Type      string       `json:"type"`
	Stream    stream.Name  `json:"stream,omitempty"`
	StreamID  string       `json:"stream_id"`
	Shard     int32        `json:"shard"`
	Offset    int64        `json:"offset"`
	Timestamp int64        `json:"timestamp"` // milliseconds since 1970
	Key       []byte       `json:"key"`
	Value     []byte       `json:"value"`
	Headers   []headerLine `json:"headers"`
}

type headerLine struct {
	Name  string `json:"name"`
	Value []byte `json:"value"`
}

func newRecordLine(name stream.Name, of stream.Shard, r *batch.Record) recordLine {
	l := recordLine{
		Type: "record", Stream: name, StreamID: of.Stream.String(), Shard: of.Index, Offset: r.Offset, Timestamp: r.Timestamp,
		Key: r.Key, Value: r.Value, Headers: []headerLine{},
	}
	for _, h := range r.Headers {
		l.Headers = append(l.Headers, headerLine(h))
	}
	return l
}

// String is the line without --json.
func (l recordLine) String() string {
	return fmt.Sprintf("      record offset=%d timestamp=%d key=%q value=%q headers=%d", l.Offset, l.Timestamp, l.Key, l.Value, len(l.Headers))
}

type unreadableLine struct {
	Type   string `json:"type"`
	Reason string `json:"reason"`
}

// String is the line without --json.
func (l unreadableLine) String() string { return "      records cannot be read: " + l.Reason }

// changeLine is a change of state; it has the members that its Type needs.
type changeLine struct {
	Type     string       `json:"type"`
	Stream   stream.Name  `json:"stream,omitempty"`
	StreamID string       `json:"stream_id,omitempty"`
	Shards   int32        `json:"shards,omitempty"`
	Shard    *int32       `json:"shard,omitempty"`
	Start    *int64       `json:"start,omitempty"`
	End      *int64       `json:"end,omitempty"`
	File     string       `json:"file,omitempty"` // none: nothing is left of what was compacted
	Kind     string       `json:"kind,omitempty"`
	ID       string       `json:"id,omitempty"`
	Version  *int64       `json:"version,omitempty"` // 0 = deleted
	Size     *int         `json:"size,omitempty"`
	Owner    *string      `json:"owner,omitempty"`
	All      bool         `json:"all,omitempty"`
	Cursors  []cursorLine `json:"cursors,omitempty"`
	Epoch    *int32       `json:"epoch,omitempty"`
	Next     *int64       `json:"next,omitempty"`

	text string
}

type cursorLine struct {
	StreamID string `json:"stream_id"`
	Shard    int32  `json:"shard"`
	Next     *int64 `json:"next,omitempty"`
}

// String is the line without --json.
func (l *changeLine) String() string { return "    " + l.text }

// lineOf returns the line of a change.
func lineOf(c change) *changeLine {
	switch c := c.(type) {
	case *streamChange:
		s := c.stream
		return &changeLine{
			Type: "stream", Stream: s.Name, StreamID: s.ID.String(), Shards: s.Shards, text: fmt.Sprintf("stream %s id=%s shards=%d", s.Name, s.ID, s.Shards),
		}
	case *deletion:
		return &changeLine{Type: "delete", StreamID: c.id.String(), text: fmt.Sprintf("delete stream id=%s", c.id)}
	case *trimming:
		return &changeLine{
			Type: "trim", StreamID: c.shard.Stream.String(), Shard: &c.shard.Index, Start: new(int64(c.start)),
			text: fmt.Sprintf("trim stream=%s shard=%d start=%d", c.shard.Stream, c.shard.Index, c.start),
		}
	case *document:
		return &changeLine{
			Type: "document", Kind: c.key.Kind, ID: c.key.ID, Version: &c.version, Size: new(len(c.value)),
			text: fmt.Sprintf("document %s/%s version=%d size=%d", c.key.Kind, c.key.ID, c.version, len(c.value)),
		}
	case *cursorsChange:
		l := &changeLine{Type: "cursors", Owner: &c.owner, text: fmt.Sprintf("cursors of %q: %d", c.owner, len(c.cursors))}
		for _, k := range c.cursors {
			l.Cursors = append(l.Cursors, cursorLine{k.Shard.Stream.String(), k.Shard.Index, new(int64(k.Next))})
		}
		return l
	case *forgetting:
		l := &changeLine{Type: "forget", Owner: &c.owner, All: c.all, text: fmt.Sprintf("forget cursors of %q: all=%v, %d", c.owner, c.all, len(c.shards))}
		for _, s := range c.shards {
			l.Cursors = append(l.Cursors, cursorLine{StreamID: s.Stream.String(), Shard: s.Index})
		}
		return l
	case *epochChange:
		return &changeLine{Type: "epoch", Epoch: &c.epoch, text: fmt.Sprintf("leader epoch %d", c.epoch)}
	case *compacted:
		l := &changeLine{
			Type: "compacted", StreamID: c.shard.Stream.String(), Shard: &c.shard.Index, Start: new(int64(c.from)), End: new(int64(c.to)),
			text: fmt.Sprintf("compacted stream=%s shard=%d from=%d to=%d", c.shard.Stream, c.shard.Index, c.from, c.to),
		}
		if c.file > 0 {
			l.File = compactedName(c.file)
			l.text += " file=" + l.File
		}
		return l
	case *producerIDs:
		return &changeLine{Type: "producer-ids", Next: &c.next, text: fmt.Sprintf("producer ids below %d are reserved", c.next)}
	}
	return &changeLine{Type: fmt.Sprintf("%T", c), text: fmt.Sprintf("%T", c)}
}
