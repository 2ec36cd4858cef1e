package batch

import (
	"bytes"
	"encoding/binary"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// The levels that the codecs' names stand for, as in Kafka (KIP-390): 0 is the default of each, which is -1 for gzip, 9 for lz4 and 3 for zstd.
const (
	defaultGzip = gzip.DefaultCompression
	defaultLZ4  = 9
	defaultZstd = 3
)

// compress appends plain records to dst in the form of a codec other than None. Levels that a codec's implementation here does not tell apart are the
// nearest that it does; snappy has none.
func compress(dst []byte, codec Codec, level int, plain []byte) ([]byte, error) {
	switch codec {
	case Gzip:
		return deflate(dst, level, plain)
	case Snappy:
		return snappy(dst, plain), nil
	case LZ4:
		return compressLZ4(dst, level, plain)
	case Zstd:
		return compressZstd(dst, level, plain), nil
	default:
		return nil, fault(Compression, "codec %d is unknown", codec)
	}
}

// gzipWriters are kept per level, from gzip.HuffmanOnly on, as making one costs more than a batch.
var gzipWriters [gzip.BestCompression - gzip.HuffmanOnly + 1]sync.Pool

func deflate(dst []byte, level int, plain []byte) ([]byte, error) {
	if level == 0 {
		level = defaultGzip
	}
	level = min(max(level, gzip.HuffmanOnly), gzip.BestCompression)
	pool := &gzipWriters[level-gzip.HuffmanOnly]
	out := bytes.NewBuffer(dst)
	w, _ := pool.Get().(*gzip.Writer)
	if w == nil {
		var err error
		if w, err = gzip.NewWriterLevel(out, level); err != nil {
			return nil, codecFault(Gzip, err)
		}
	}
	defer pool.Put(w)
	w.Reset(out)
	_, err := w.Write(plain)
	if err == nil {
		err = w.Close()
	}
	w.Reset(io.Discard)
	return out.Bytes(), codecFault(Gzip, err)
}

// xerialBlockBytes is how much Java's writer of framed snappy puts into a block.
const xerialBlockBytes = 32 << 10

// snappy writes the framing that Java writes around snappy blocks: its reader takes no other from a broker.
func snappy(dst, plain []byte) []byte {
	dst = append(dst, xerialHeader...)
	dst = binary.BigEndian.AppendUint32(dst, 1) // version
	dst = binary.BigEndian.AppendUint32(dst, 1) // the oldest that can read it
	for len(plain) > 0 {
		block := plain[:min(len(plain), xerialBlockBytes)]
		plain = plain[len(block):]
		at := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		if n := at + 4 + s2.MaxEncodedLen(len(block)); cap(dst) < n {
			dst = append(make([]byte, 0, 2*n), dst...)
		}
		size := len(s2.EncodeSnappy(dst[at+4:cap(dst)], block))
		dst = dst[:at+4+size]
		binary.BigEndian.PutUint32(dst[at:], uint32(size))
	}
	return dst
}

var lz4Writers = sync.Pool{New: func() any { return lz4.NewWriter(io.Discard) }}

// lz4Levels are the levels of the implementation: the default of Kafka is the fast one, the others go up from the fastest that searches.
var lz4Levels = [...]lz4.CompressionLevel{
	lz4.Level1, lz4.Level2, lz4.Level3, lz4.Level4, lz4.Level5, lz4.Level6, lz4.Level7, lz4.Level8, lz4.Level9,
}

// compressLZ4 writes frames as Kafka does: independent blocks of 64 KiB, no checksum of the content, which Java's reader would not look at.
func compressLZ4(dst []byte, level int, plain []byte) ([]byte, error) {
	hard := lz4.Fast
	if level != 0 && level != defaultLZ4 {
		hard = lz4Levels[min(max(level, 1), len(lz4Levels))-1]
	}
	out := bytes.NewBuffer(dst)
	w := lz4Writers.Get().(*lz4.Writer)
	defer lz4Writers.Put(w)
	w.Reset(out)
	err := w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false), lz4.CompressionLevelOption(hard), lz4.ConcurrencyOption(1))
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	w.Reset(io.Discard)
	return out.Bytes(), codecFault(LZ4, err)
}

// zstdWindow bounds the memory of an encoder, and what a reader needs.
const zstdWindow = 1 << 20

// zstdEncoders are kept per level.
var zstdEncoders [zstd.SpeedBestCompression + 1]sync.Pool

func compressZstd(dst []byte, level int, plain []byte) []byte {
	if level == 0 {
		level = defaultZstd
	}
	hard := zstd.EncoderLevelFromZstd(level)
	pool := &zstdEncoders[hard]
	w, _ := pool.Get().(*zstd.Encoder)
	if w == nil {
		var err error
		if w, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(hard), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(zstdWindow)); err != nil {
			panic(err) // the options are constants
		}
	}
	defer pool.Put(w)
	return w.EncodeAll(plain, dst)
}
