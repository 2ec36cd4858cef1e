package kafka

import (
	"encoding/binary"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/protocol/kafka/wire"
	"github.com/freshet/freshet/internal/stream"
)

// fetched is the answer to a Fetch. It is encoded by hand, so that records go from the log's memory to the network without being copied.
type fetched struct {
	observed
	server    *Server
	version   int16
	committed bool // read_committed: nothing of open transactions, and which of the others were aborted (KIP-98)
	code      int16
	session   int32
	entries   []fetchEntry
	bytes     int   // of records
	budget    int64 // of Server.answers
	beyond    int64 // of Server.beyond
	failed    bool  // a partition has an error

	throttleMillis int32
}

// fetchEntry is what is said of one partition.
type fetchEntry struct {
	part  *fetchPart
	key   fetchKey
	err   error
	chunk stream.Chunk

	aborted []stream.Aborted // transactions among the batches, by their first offsets, for who reads committed

	diverging      bool // the consumer has records that the log has not (KIP-595)
	divergingEpoch int32
	divergingEnd   stream.Offset
}

// cut drops batches that begin at end or behind it, and returns how many bytes they have.
func (e *fetchEntry) cut(end stream.Offset) (dropped int) {
	kept := len(e.chunk.Batches)
	for kept > 0 {
		b := e.chunk.Batches[kept-1]
		if h, err := batch.Parse(b); err != nil || stream.Offset(h.BaseOffset) < end {
			break
		}
		dropped += len(b)
		kept--
	}
	e.chunk.Batches = e.chunk.Batches[:kept]
	return dropped
}

// next returns the offset behind the batches, or that of the partition if there are none.
func (e *fetchEntry) next() stream.Offset {
	if n := len(e.chunk.Batches); n > 0 {
		if h, err := batch.Parse(e.chunk.Batches[n-1]); err == nil {
			return stream.Offset(h.LastOffset()) + 1
		}
	}
	return e.part.offset
}

// add takes e into the answer if it has news, or all is set.
func (a *fetched) add(e fetchEntry, all bool) {
	p, b := e.part, e.chunk.Bounds
	e.key = p.key
	moved := e.err == nil && (b.Start != p.told.Start || b.End != p.told.End || b.LastStable != p.told.LastStable)
	a.failed = a.failed || e.err != nil || e.diverging
	a.bytes += e.chunk.Bytes()
	switch {
	case p.slot > 0:
		a.entries[p.slot-1] = e
	case all || moved || e.err != nil || e.diverging || len(e.chunk.Batches) > 0:
		a.entries = append(a.entries, e)
		p.slot = len(a.entries)
	default:
		e.chunk.Release()
	}
}

// refuse answers a request that is wrong as a whole. Before v13 its partitions are told, each: v4 to v6 have no other place for an error.
func (a *fetched) refuse(req *kmsg.FetchRequest, err error) {
	a.code = code(err)
	if a.version >= 13 {
		return
	}
	for t := range req.Topics {
		for i := range req.Topics[t].Partitions {
			a.entries = append(a.entries, fetchEntry{key: fetchKey{topic: req.Topics[t].Topic, partition: req.Topics[t].Partitions[i].Partition}, err: err})
		}
	}
}

// release gives back the records, and keeps what else is said of the partitions.
func (a *fetched) release() {
	for i := range a.entries {
		a.entries[i].chunk.Release()
	}
	a.server.answers.Give(a.budget)
	if a.beyond > 0 {
		a.server.beyond.Give(a.beyond)
	}
	a.bytes, a.budget, a.beyond = 0, 0, 0
}

// finish notes what the consumer is told: nothing is added any more.
func (a *fetched) finish() {
	for i := range a.entries {
		e := &a.entries[i]
		e.part.slot = 0
		if e.part.told = e.chunk.Bounds; e.err != nil {
			e.part.told = unknownBounds // which is what the error came with: the first answer without it is news
		}
		e.part = nil
	}
}

// Ready implements wire.Answer: the records are there, or there are none.
func (a *fetched) Ready() <-chan struct{} { return nil }

// Done implements wire.Answer: the records are the log's again.
func (a *fetched) Done(written int, err error) {
	failed := a.code
	for i := range a.entries {
		if failed == 0 {
			failed = code(a.entries[i].err)
		}
	}
	a.release()
	a.end(written, failed, err)
}

// Encode writes, per partition: index i32, error i16, high watermark i64, v4 last stable offset i64, v5 log start offset i64, v4 aborted
// transactions, v11 preferred replica i32, records, v12 tags. Since v12 lengths are uvarints of one more, and since v13 topics are ids.
func (a *fetched) Encode(f *wire.Frame) error {
	flexible := a.version >= 12
	f.Buf = binary.BigEndian.AppendUint32(f.Buf, uint32(a.throttleMillis))
	if a.version >= 7 {
		f.Buf = binary.BigEndian.AppendUint16(f.Buf, uint16(a.code))
		f.Buf = binary.BigEndian.AppendUint32(f.Buf, uint32(a.session))
	}
	f.Buf = appendLength(f.Buf, a.topics(), flexible)
	for from := 0; from < len(a.entries); {
		to := a.sameTopic(from)
		if a.version >= 13 {
			f.Buf = append(f.Buf, a.entries[from].key.id[:]...)
		} else {
			f.Buf = appendText(f.Buf, a.entries[from].key.topic, flexible)
		}
		f.Buf = appendLength(f.Buf, to-from, flexible)
		for i := from; i < to; i++ {
			a.encodePart(f, &a.entries[i])
		}
		if flexible {
			f.Buf = append(f.Buf, 0)
		}
		from = to
	}
	if flexible {
		f.Buf = a.appendTags(f.Buf)
	}
	return nil
}

// topics returns how many runs of entries of the same topic there are.
func (a *fetched) topics() int {
	n := 0
	for from := 0; from < len(a.entries); from = a.sameTopic(from) {
		n++
	}
	return n
}

// sameTopic returns the end of the run of entries that begins at from.
func (a *fetched) sameTopic(from int) int {
	k := a.entries[from].key
	to := from + 1
	for to < len(a.entries) && a.entries[to].key.topic == k.topic && a.entries[to].key.id == k.id {
		to++
	}
	return to
}

func (a *fetched) encodePart(f *wire.Frame, e *fetchEntry) {
	bounds, flexible := e.chunk.Bounds, a.version >= 12
	if e.err != nil {
		bounds = unknownBounds
	}
	f.Buf = binary.BigEndian.AppendUint32(f.Buf, uint32(e.key.partition))
	f.Buf = binary.BigEndian.AppendUint16(f.Buf, uint16(code(e.err)))
	f.Buf = binary.BigEndian.AppendUint64(f.Buf, uint64(bounds.End))
	if a.version >= 4 {
		f.Buf = binary.BigEndian.AppendUint64(f.Buf, uint64(bounds.LastStable))
	}
	if a.version >= 5 {
		f.Buf = binary.BigEndian.AppendUint64(f.Buf, uint64(bounds.Start))
	}
	if a.version >= 4 {
		f.Buf = appendAborted(f.Buf, e.aborted, a.committed, flexible)
	}
	if a.version >= 11 {
		f.Buf = append(f.Buf, 0xff, 0xff, 0xff, 0xff) // no other replica is preferred
	}
	f.Buf = appendLength(f.Buf, e.chunk.Bytes(), flexible)
	for _, b := range e.chunk.Batches {
		f.Attach(b)
	}
	if flexible {
		f.Buf = a.appendPartTags(f.Buf, e)
	}
}

// appendAborted appends the aborted transactions among the records: producer id i64, first offset i64, v12 tags. Who does not read committed gets
// null.
func appendAborted(b []byte, aborted []stream.Aborted, committed, flexible bool) []byte {
	if !committed {
		return appendLength(b, -1, flexible)
	}
	b = appendLength(b, len(aborted), flexible)
	for i := range aborted {
		b = binary.BigEndian.AppendUint64(b, uint64(aborted[i].ProducerID))
		b = binary.BigEndian.AppendUint64(b, uint64(aborted[i].First))
		if flexible {
			b = append(b, 0)
		}
	}
	return b
}

// endpoints is the first version of Fetch that tells a client who believes in an old leader who the leader is, and where (KIP-951).
const endpoints = 16

// tellsLeader says whether e tells the client its partition's leader.
func (a *fetched) tellsLeader(e *fetchEntry) bool {
	return a.version >= endpoints && e.err != nil && code(e.err) == kerr.FencedLeaderEpoch.Code
}

// appendPartTags appends a partition's tags: 0 is where the consumer's records and the log part, epoch i32 and offset i64; 1 is the leader, id
// i32 and epoch i32. Each tag has a number, a size and, as a struct, tags of its own.
func (a *fetched) appendPartTags(b []byte, e *fetchEntry) []byte {
	at := len(b)
	b = append(b, 0)
	if e.diverging {
		b[at]++
		b = append(b, 0, 4+8+1)
		b = binary.BigEndian.AppendUint32(b, uint32(e.divergingEpoch))
		b = binary.BigEndian.AppendUint64(b, uint64(e.divergingEnd))
		b = append(b, 0)
	}
	if a.tellsLeader(e) {
		b[at]++
		b = append(b, 1, 4+4+1)
		b = binary.BigEndian.AppendUint32(b, uint32(a.server.cfg.NodeID))
		b = binary.BigEndian.AppendUint32(b, uint32(e.chunk.Bounds.Epoch))
		b = append(b, 0)
	}
	return b
}

// appendTags appends the answer's tags: 0 is the leaders' addresses, of id i32, host, port i32, rack, if a partition tells its leader.
func (a *fetched) appendTags(b []byte) []byte {
	if !slices.ContainsFunc(a.entries, func(e fetchEntry) bool { return a.tellsLeader(&e) }) {
		return append(b, 0)
	}
	list := appendLength(nil, 1, true)
	list = binary.BigEndian.AppendUint32(list, uint32(a.server.cfg.NodeID))
	list = appendText(list, a.client.listener.host, true)
	list = binary.BigEndian.AppendUint32(list, uint32(a.client.listener.port))
	list = append(list, 0, 0) // no rack, no tags
	b = append(b, 1, 0)
	b = binary.AppendUvarint(b, uint64(len(list)))
	return append(b, list...)
}
