package transfer

import (
	"encoding/binary"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/batch"
)

// piece is one batch on its way.
type piece struct {
	at      int64 // the target's offset of its first record
	records int64
	bytes   []byte
}

// chunk is what one fetch brought of a partition, made ready for the target.
type chunk struct {
	part    *partition
	pieces  []piece
	runs    []run
	next    int64 // the source's offset behind the chunk
	records int64
	bytes   int64 // of the pieces
}

// whole is the size in bytes from which on a batch is passed on as it is. Smaller ones are joined: each batch costs the target a request.
const whole = 256 << 10

// mostJoined is the size in bytes, before compression, up to which records are joined into one batch, if the target's topic takes as much. A larger
// record has a batch of its own.
const mostJoined = 900 << 10

// rebatcher makes batches for the target out of those of the source: committed records only, without gaps. It is at a place in both partitions,
// and goes on from there with each fetch.
type rebatcher struct {
	part   *partition
	next   int64 // the source's offset of what comes next
	target int64 // and the target's
	run    run

	out     *chunk
	builder batch.Builder
	codec   batch.Codec
}

// fetched turns the batches of a fetch from next on into a chunk. limit is where the source's undecided transactions begin.
func (r *rebatcher) fetched(p *kmsg.FetchResponseTopicPartition) (*chunk, error) {
	r.out = &chunk{part: r.part}
	aborted := newAborted(p.AbortedTransactions)
	for raw := p.RecordBatches; len(raw) > 0; {
		size := sizeOf(raw)
		if size > len(raw) { // the fetch was cut off in the middle of a batch, but never of the first
			if len(raw) == len(p.RecordBatches) {
				return nil, fmt.Errorf("at or behind source offset %d there is no batch in %d bytes", r.next, len(raw))
			}
			break
		}
		if err := r.take(raw[:size:size], aborted); err != nil {
			return nil, fmt.Errorf("batch at or behind source offset %d: %w", r.next, err)
		}
		raw = raw[size:]
	}
	if err := r.flush(); err != nil {
		return nil, err
	}
	r.out.next = r.next
	return r.out, nil
}

// magicAt is where every format of Kafka's says which it is.
const magicAt = 16

// sizeOf returns how many bytes the batch at the start of raw has, or the message of an earlier format; more than there are if it cannot be told.
func sizeOf(raw []byte) int {
	size, ok := batch.Size(raw)
	switch {
	case ok:
		return size
	case len(raw) <= magicAt || raw[magicAt] >= 2 || int32(binary.BigEndian.Uint32(raw[8:])) < magicAt-batch.Prefix:
		return len(raw) + 1
	}
	return batch.Prefix + int(binary.BigEndian.Uint32(raw[8:]))
}

func (r *rebatcher) take(b []byte, aborted *aborted) error {
	if len(b) > magicAt && b[magicAt] < 2 {
		return r.takeOld(b)
	}
	h, err := batch.VerifyStored(b)
	if err != nil {
		return err
	}
	end := h.LastOffset() + 1
	if end <= r.next {
		return nil
	}
	if !aborted.skips(&h, b) && !h.Attributes.Control() && h.Records > 0 {
		if err := r.takeRecords(b, &h); err != nil {
			return err
		}
	}
	r.next = end
	return nil
}

// takeRecords passes a batch on as it is if it is large and has every offset, else record by record.
func (r *rebatcher) takeRecords(b []byte, h *batch.Header) error {
	intact := h.BaseOffset >= r.next && h.Records == h.LastOffsetDelta+1 && !h.Attributes.LogAppendTime() && h.DeleteHorizon() == 0
	if intact && len(b) >= whole {
		if err := r.flush(); err != nil {
			return err
		}
		r.begin(h.BaseOffset)
		r.emit(b, int64(h.Records))
		return nil
	}
	if codec := h.Attributes.Codec(); codec != r.codec {
		if err := r.flush(); err != nil {
			return err
		}
		r.codec = codec
	}
	var failed error
	err := batch.Records(b, 0, func(record *batch.Record) bool {
		if record.Offset < r.next {
			return true
		}
		failed = r.add(record.Offset, record.Timestamp, record.Key, record.Value, record.Headers)
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	return err
}

// takeOld takes messages of the formats before the batch, which brokers before 4.0 can have.
func (r *rebatcher) takeOld(b []byte) error {
	set := kmsg.NewFetchResponseTopicPartition()
	set.RecordBatches = b
	fetched, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Offset: r.next}, &set, kgo.DefaultDecompressor(), nil)
	if fetched.Err != nil {
		return fetched.Err
	}
	if err := r.flush(); err != nil {
		return err
	}
	r.codec = batch.None
	for _, record := range fetched.Records {
		if err := r.add(record.Offset, record.Timestamp.UnixMilli(), record.Key, record.Value, nil); err != nil {
			return err
		}
		r.next = record.Offset + 1
	}
	return nil
}

// recordOverhead is no less than what a record, and each of its headers, has in a batch beside its bytes.
const recordOverhead = 32

// begin takes down that a record of this offset comes next.
func (r *rebatcher) begin(offset int64) {
	pending := int64(r.builder.Len())
	if at := r.target + pending; r.run.sourceOf(at) != offset {
		r.run = run{offset, at}
		r.out.runs = append(r.out.runs, r.run)
	}
}

func (r *rebatcher) add(offset, timestamp int64, key, value []byte, headers []batch.RecordHeader) error {
	size := len(key) + len(value)
	for _, h := range headers {
		size += len(h.Name) + len(h.Value)
	}
	if r.builder.Len() > 0 && r.builder.Bytes()+size+recordOverhead*(1+len(headers)) > r.part.joined {
		if err := r.flush(); err != nil {
			return err
		}
	}
	r.begin(offset)
	r.builder.Add(timestamp, key, value, headers...)
	return nil
}

// flush makes a batch of the records that were joined.
func (r *rebatcher) flush() error {
	n := r.builder.Len()
	if n == 0 {
		return nil
	}
	b := r.builder.Finish(batch.NoProducer)
	if r.codec == batch.None {
		b = append([]byte(nil), b...)
	} else {
		var err error
		if b, err = batch.Recode(nil, b, r.codec, 0, 0); err != nil {
			return err
		}
	}
	r.builder.Reset()
	r.emit(b, int64(n))
	return nil
}

func (r *rebatcher) emit(b []byte, records int64) {
	batch.SetBase(b, 0, -1)
	r.out.pieces = append(r.out.pieces, piece{at: r.target, records: records, bytes: b})
	r.out.records += records
	r.out.bytes += int64(len(b))
	r.target += records
}

// aborted tells which batches of a fetch were aborted, as Kafka's consumer does: from the offset at which an aborted transaction begins until its
// marker, whatever its producer wrote is left out.
type aborted struct {
	ahead []kmsg.FetchResponseTopicPartitionAbortedTransaction // by offset
	open  map[int64]bool                                       // producers that are in one
}

func newAborted(listed []kmsg.FetchResponseTopicPartitionAbortedTransaction) *aborted {
	a := &aborted{ahead: listed, open: map[int64]bool{}}
	sortByFirst(a.ahead)
	return a
}

func (a *aborted) skips(h *batch.Header, b []byte) bool {
	for len(a.ahead) > 0 && a.ahead[0].FirstOffset <= h.LastOffset() {
		a.open[a.ahead[0].ProducerID] = true
		a.ahead = a.ahead[1:]
	}
	if h.Attributes.Control() {
		if m, err := batch.ParseMarker(b); err == nil && !m.Commit {
			delete(a.open, h.ProducerID)
		}
		return true
	}
	return h.Attributes.Transactional() && a.open[h.ProducerID]
}

// sequence is the sequence number of a batch that begins at an offset of the target. Sequences wrap from 2^31-1 to 0.
func sequence(at int64) int32 { return int32(at & (1<<31 - 1)) }

// stamped returns the batch of a piece as the producer's, with the sequence that lets it come to lie at its offset only.
func stamped(p *piece, producer int64) []byte {
	batch.SetProducer(p.bytes, batch.Producer{ID: producer, Epoch: producerEpoch, Sequence: sequence(p.at)})
	return p.bytes
}

// batchOf returns the header of the batch with an offset in what was fetched.
func batchOf(raw []byte, offset int64) (h batch.Header, ok bool) {
	for {
		size, whole := batch.Size(raw)
		if !whole || size > len(raw) {
			return h, false
		}
		if h, err := batch.Parse(raw); err == nil && h.LastOffset() >= offset {
			return h, h.BaseOffset <= offset
		}
		raw = raw[size:]
	}
}
