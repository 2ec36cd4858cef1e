package tier

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
)

// An object is one segment. Numbers are big-endian; checksums are CRC-32C:
//
//	magic "FRESHET\x01"
//	batches, as they were in the log, one behind the other
//	blocks, one for each stretch of batches that is read at once:
//	    base i64 · position u64 · bytes u32 · largest timestamp i64 · sum of the bytes u32
//	aborted transactions of which something is in the segment: producer i64 · first offset i64 · marker i64
//	leader epochs: epoch i32 · first offset i64
//	trailer: stream id 16 bytes · shard i32 · number i64 · base i64 · end i64 · blocks u32 · aborted u32 · epochs u32 ·
//	    sum u32 of everything behind the batches up to here
//
// A reader knows from the shard's documents where the blocks begin, and reads from there to the end once.
const (
	magic       = "FRESHET\x01"
	blockSize   = 8 + 8 + 4 + 8 + 4
	abortedSize = 8 + 8 + 8
	epochSize   = 4 + 8
	trailerSize = 16 + 4 + 8 + 8 + 8 + 4 + 4 + 4 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// block is a stretch of whole batches.
type block struct {
	base     stream.Offset // of its first batch
	position int64
	bytes    uint32
	latest   int64 // largest timestamp, milliseconds
	sum      uint32
}

// epochStart says where a leader epoch begins.
type epochStart struct {
	Epoch int32         `json:"epoch"`
	Start stream.Offset `json:"start"`
}

// index is what an object has behind its batches.
type index struct {
	blocks  []block
	aborted []stream.Aborted
	epochs  []epochStart
}

// at returns the number of the block that holds an offset, or the one before the gap in which it lies.
func (x *index) at(offset stream.Offset) int {
	low, high := 0, len(x.blocks)
	for low < high {
		if mid := (low + high) / 2; x.blocks[mid].base > offset {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return max(0, low-1)
}

// segmentWriter writes an object and gathers its index.
type segmentWriter struct {
	to         io.Writer
	blockBytes int
	index      index
	at         int64 // bytes written
	bytes      int64 // of them of batches
	first      int64 // timestamp of the first batch
	latest     int64 // largest timestamp of all
	end        stream.Offset
	batches    int64
}

func newSegmentWriter(to io.Writer, blockBytes int) (*segmentWriter, error) {
	w := &segmentWriter{to: to, blockBytes: blockBytes, latest: math.MinInt64}
	return w, w.write([]byte(magic))
}

func (w *segmentWriter) write(b []byte) error {
	n, err := w.to.Write(b)
	w.at += int64(n)
	return err
}

// add writes the next batch.
func (w *segmentWriter) add(h *batch.Header, b []byte) error {
	x := &w.index
	if n := len(x.blocks); n == 0 || int(x.blocks[n-1].bytes)+len(b) > w.blockBytes {
		x.blocks = append(x.blocks, block{base: stream.Offset(h.BaseOffset), position: w.at, latest: math.MinInt64})
	}
	last := &x.blocks[len(x.blocks)-1]
	last.bytes += uint32(len(b))
	last.latest = max(last.latest, h.MaxTimestamp)
	last.sum = crc32.Update(last.sum, castagnoli, b)
	if n := len(x.epochs); n == 0 || x.epochs[n-1].Epoch < h.LeaderEpoch {
		x.epochs = append(x.epochs, epochStart{h.LeaderEpoch, stream.Offset(h.BaseOffset)})
	}
	if w.batches == 0 {
		w.first = h.BaseTimestamp
	}
	w.latest, w.end = max(w.latest, h.MaxTimestamp), stream.Offset(h.LastOffset())+1
	w.batches++
	w.bytes += int64(len(b))
	return w.write(b)
}

// finish writes what comes behind the batches.
func (w *segmentWriter) finish(id stream.Shard, number int64, base stream.Offset) error {
	x := &w.index
	b := make([]byte, 0, len(x.blocks)*blockSize+len(x.aborted)*abortedSize+len(x.epochs)*epochSize+trailerSize)
	for i := range x.blocks {
		k := &x.blocks[i]
		b = binary.BigEndian.AppendUint64(b, uint64(k.base))
		b = binary.BigEndian.AppendUint64(b, uint64(k.position))
		b = binary.BigEndian.AppendUint32(b, k.bytes)
		b = binary.BigEndian.AppendUint64(b, uint64(k.latest))
		b = binary.BigEndian.AppendUint32(b, k.sum)
	}
	for i := range x.aborted {
		a := &x.aborted[i]
		b = binary.BigEndian.AppendUint64(b, uint64(a.ProducerID))
		b = binary.BigEndian.AppendUint64(b, uint64(a.First))
		b = binary.BigEndian.AppendUint64(b, uint64(a.Last))
	}
	for _, e := range x.epochs {
		b = binary.BigEndian.AppendUint32(b, uint32(e.Epoch))
		b = binary.BigEndian.AppendUint64(b, uint64(e.Start))
	}
	b = append(b, id.Stream[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(id.Index))
	for _, v := range []int64{number, int64(base), int64(w.end)} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	for _, n := range []int{len(x.blocks), len(x.aborted), len(x.epochs)} {
		b = binary.BigEndian.AppendUint32(b, uint32(n))
	}
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return w.write(b)
}

// readIndex reads what segment g of a shard has behind its batches. The error says what is wrong with b.
func readIndex(b []byte, id stream.Shard, g *segment) (*index, error) {
	if len(b) < trailerSize {
		return nil, fmt.Errorf("%d bytes are less than a trailer", len(b))
	}
	t := b[len(b)-trailerSize:]
	if sum := crc32.Checksum(b[:len(b)-4], castagnoli); sum != binary.BigEndian.Uint32(t[trailerSize-4:]) {
		return nil, fmt.Errorf("the index has the checksum %08x, not the one stored with it", sum)
	}
	number := int64(binary.BigEndian.Uint64(t[20:]))
	base, end := stream.Offset(binary.BigEndian.Uint64(t[28:])), stream.Offset(binary.BigEndian.Uint64(t[36:]))
	if stream.ID(t[:16]) != id.Stream || int32(binary.BigEndian.Uint32(t[16:])) != id.Index || number != g.Number || base != g.Base || end != g.End {
		return nil, fmt.Errorf("it is segment %d of shard %d of stream %s, offsets %d to %d", number, int32(binary.BigEndian.Uint32(t[16:])), stream.ID(t[:16]), base, end)
	}
	blocks, aborted, epochs := int64(binary.BigEndian.Uint32(t[44:])), int64(binary.BigEndian.Uint32(t[48:])), int64(binary.BigEndian.Uint32(t[52:]))
	if blocks == 0 || blocks*blockSize+aborted*abortedSize+epochs*epochSize+trailerSize != int64(len(b)) {
		return nil, fmt.Errorf("%d blocks, %d aborted transactions and %d epochs are not %d bytes", blocks, aborted, epochs, len(b))
	}
	x := &index{blocks: make([]block, blocks), aborted: make([]stream.Aborted, aborted), epochs: make([]epochStart, epochs)}
	for i := range x.blocks {
		x.blocks[i] = block{
			base: stream.Offset(binary.BigEndian.Uint64(b)), position: int64(binary.BigEndian.Uint64(b[8:])), bytes: binary.BigEndian.Uint32(b[16:]),
			latest: int64(binary.BigEndian.Uint64(b[20:])), sum: binary.BigEndian.Uint32(b[28:]),
		}
		b = b[blockSize:]
	}
	for i := range x.aborted {
		x.aborted[i] = stream.Aborted{
			ProducerID: int64(binary.BigEndian.Uint64(b)), First: stream.Offset(binary.BigEndian.Uint64(b[8:])), Last: stream.Offset(binary.BigEndian.Uint64(b[16:])),
		}
		b = b[abortedSize:]
	}
	for i := range x.epochs {
		x.epochs[i] = epochStart{int32(binary.BigEndian.Uint32(b)), stream.Offset(binary.BigEndian.Uint64(b[4:]))}
		b = b[epochSize:]
	}
	return x, x.check(g)
}

// check says what is wrong with an index whose sum is right.
func (x *index) check(g *segment) error {
	at := int64(len(magic))
	for i := range x.blocks {
		k := &x.blocks[i]
		if k.position != at || i > 0 && k.base <= x.blocks[i-1].base {
			return fmt.Errorf("block %d begins at byte %d and offset %d, which does not follow the one before", i, k.position, k.base)
		}
		at += int64(k.bytes)
	}
	if at != int64(len(magic))+g.Bytes {
		return fmt.Errorf("its blocks have %d bytes, its batches %d", at-int64(len(magic)), g.Bytes)
	}
	return nil
}
