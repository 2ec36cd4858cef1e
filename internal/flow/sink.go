package flow

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
)

// Sink is where a flow writes. Its methods are called by one goroutine at a time. The acceptance suite is in package flowtest.
type Sink interface {
	// Connect makes the sink ready; it is called again after a failed session, and does nothing then if it is ready.
	Connect(ctx context.Context) error
	// Write writes a batch whole, and returns when it is durable. After an error, and after a crash even if it had succeeded, the same batch
	// is written again: the same ID stands for the same records, and a sink does its best to let the second writing have no effect.
	Write(ctx context.Context, batch *Batch) error
	// Close ends the sink; it is called once, after the last Write.
	Close() error
}

// Batch is what one Write writes: ranges of offsets of one stream, planned durably, and the way to read their records.
type Batch struct {
	ID      string  // 32 hexadecimal digits made of the flow, the stream and the ranges
	Ranges  []Range // by shard, none empty
	Label   string  // what Config.Label called it
	Oldest  time.Time
	Records int   // in the log, before Transform; control records and what retention has taken are not counted
	Bytes   int64 // of their values
	Epoch   int64 // of the worker's lease: greater than that of every earlier worker

	each func(ctx context.Context, visit func(*Record) error) error
}

// Range is a part of one shard: the offsets From to To-1.
type Range struct {
	Shard    stream.Shard
	From, To stream.Offset
	Epoch    int32 // leader epoch of its last record
}

// Record is one record of a batch. It shares memory with the log or with its decompressed form, and is valid only while it is visited.
type Record struct {
	batch.Record
	Shard int32
	Sub   int // counts the records that Transform made of one, from 0
}

// Transform hands to emit what becomes of a record. An error of emit is returned as it is.
type Transform func(record *Record, emit func(*Record) error) error

// Each visits the batch's records, shard by shard and in order, as they are read from the log. It stops at the first error of visit and
// returns it. A batch may turn out to have no records.
func (b *Batch) Each(ctx context.Context, visit func(*Record) error) error { return b.each(ctx, visit) }

// NewBatch returns a batch that holds its records, as tests of sinks need it.
func NewBatch(id, label string, oldest time.Time, ranges []Range, records []Record) *Batch {
	b := &Batch{ID: id, Label: label, Oldest: oldest, Ranges: ranges, Records: len(records)}
	for _, r := range records {
		b.Bytes += int64(len(r.Value))
	}
	b.each = func(ctx context.Context, visit func(*Record) error) error {
		for _, r := range records {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			if err := visit(&r); err != nil {
				return err
			}
		}
		return nil
	}
	return b
}

// NewBroken returns a batch like b whose reading fails with err after some records, as tests of sinks need it.
func NewBroken(b *Batch, after int, err error) *Batch {
	broken := *b
	broken.each = func(ctx context.Context, visit func(*Record) error) error {
		n := 0
		return b.each(ctx, func(r *Record) error {
			if n++; n > after {
				return err
			}
			return visit(r)
		})
	}
	return &broken
}

// batchID makes a name of what a batch is made of.
func batchID(flow string, source stream.ID, ranges []Range) string {
	h := sha256.New()
	h.Write(source[:])
	for _, r := range ranges {
		var b [20]byte
		binary.BigEndian.PutUint32(b[:], uint32(r.Shard.Index))
		binary.BigEndian.PutUint64(b[4:], uint64(r.From))
		binary.BigEndian.PutUint64(b[12:], uint64(r.To))
		h.Write(b[:])
	}
	h.Write([]byte(flow))
	return hex.EncodeToString(h.Sum(nil)[:16])
}
