package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// DefaultMaxDecompressed bounds what one batch may decompress to, in bytes.
const DefaultMaxDecompressed = 64 << 20

// Decompress returns compressed bytes, as the records of a batch, in plain form: at most maxBytes, 0 = DefaultMaxDecompressed. Errors are a *Error. What it returns is the caller's, but for None, where it is src.
func Decompress(codec Codec, src []byte, maxBytes int) ([]byte, error) {
	if maxBytes <= 0 {
		maxBytes = DefaultMaxDecompressed
	}
	switch codec {
	case None:
		return src, nil
	case Gzip:
		return ungzip(src, maxBytes)
	case Snappy:
		return unsnappy(src, maxBytes)
	case LZ4:
		return unlz4(src, maxBytes)
	case Zstd:
		return unzstd(src, maxBytes)
	default:
		return nil, fault(Compression, "codec %d is unknown", codec)
	}
}

func tooBig(maxBytes int) error {
	return fault(TooBig, "records decompress to more than %d bytes", maxBytes)
}

// believed is how many times their length compressed bytes may claim to become, and that much is set aside before they are opened. Of more, memory
// is taken as it comes: a claim alone costs its producer nothing.
const believed = 1024

// piece is memory for what no claim made room for. Pieces are kept, so that what becomes too big leaves no garbage behind.
type piece [64 << 10]byte

var pieces = sync.Pool{New: func() any { return new(piece) }}

// gather reads to the end of r, which decompresses length bytes that claim to become so many; 0 if they claim nothing. It takes at most maxBytes, and
// as much again while it joins pieces. Errors are r's, or a *batch.Error.
func gather(r io.Reader, length int, claim uint64, maxBytes int) ([]byte, error) {
	if claim > uint64(maxBytes) {
		return nil, tooBig(maxBytes)
	}
	if claim > uint64(length)*believed {
		claim = 0
	}
	whole := make([]byte, claim)
	n, err := fill(r, whole)
	whole = whole[:n]
	var more []*piece
	defer func() {
		for _, p := range more {
			pieces.Put(p)
		}
	}()
	for err == nil && n <= maxBytes { // at the end of what was claimed, too: the reader's checks come with its end
		p := pieces.Get().(*piece)
		more = append(more, p)
		var m int
		m, err = fill(r, p[:])
		n += m
	}
	switch {
	case n > maxBytes:
		return nil, tooBig(maxBytes)
	case err != io.EOF:
		return nil, err
	case n == len(whole):
		return whole, nil
	}
	joined := append(make([]byte, 0, n), whole...)
	for _, p := range more {
		joined = append(joined, p[:min(len(p), n-len(joined))]...)
	}
	return joined, nil
}

// fill reads until b is full, and then returns no error, or until r fails or ends.
func fill(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = r.Read(b[n:])
		n += m
	}
	if n == len(b) && err == io.EOF {
		err = nil // it comes again
	}
	return n, err
}

// codecFault is what an error of a codec's reader says about a batch.
func codecFault(codec Codec, err error) error {
	var known *Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return fault(Compression, "%s: %s", codec, err)
}

// gzipReader is kept, as making one costs more than a small batch; what it has read is not.
type gzipReader struct {
	gzip.Reader
	src bytes.Reader
}

var gzipReaders = sync.Pool{New: func() any { return new(gzipReader) }}

// ungzip believes the last four bytes, the length of the last member modulo 2^32: producers write one.
func ungzip(src []byte, maxBytes int) ([]byte, error) {
	z := gzipReaders.Get().(*gzipReader)
	defer gzipReaders.Put(z)
	defer z.src.Reset(nil)
	z.src.Reset(src)
	if err := z.Reset(&z.src); err != nil {
		return nil, codecFault(Gzip, err)
	}
	claim := binary.LittleEndian.Uint32(src[len(src)-4:]) // what has a header has four bytes
	out, err := gather(z, len(src), uint64(claim), maxBytes)
	return out, codecFault(Gzip, err)
}

// unlz4 finds the length in the first frame's descriptor, if it is there: u32 magic, flags u8, block size u8, content size u64, little-endian.
func unlz4(src []byte, maxBytes int) ([]byte, error) {
	const magic, hasSize = 0x184d2204, 1 << 3
	var claim uint64
	if len(src) >= 14 && binary.LittleEndian.Uint32(src) == magic && src[4]&hasSize != 0 {
		claim = binary.LittleEndian.Uint64(src[6:])
	}
	out, err := gather(lz4.NewReader(bytes.NewReader(src)), len(src), claim, maxBytes)
	return out, codecFault(LZ4, err)
}

// xerialHeader begins the framing that Java producers put around snappy blocks: magic, then version and compatible version, i32 each;
// then blocks of an i32 length and that many bytes.
var xerialHeader = []byte("\x82SNAPPY\x00")

func unsnappy(src []byte, maxBytes int) ([]byte, error) {
	if !bytes.HasPrefix(src, xerialHeader) {
		n, err := snappyLen(src, 0, maxBytes)
		if err != nil {
			return nil, err
		}
		return unsnappyBlock(make([]byte, n), src)
	}
	if len(src) < 16 {
		return nil, fault(Compression, "snappy: framing ends in its header")
	}
	size := 0
	for rest := src[16:]; len(rest) > 0; {
		block, after, err := xerialBlock(rest)
		if err != nil {
			return nil, err
		}
		if size, err = snappyLen(block, size, maxBytes); err != nil {
			return nil, err
		}
		rest = after
	}
	out := make([]byte, 0, size)
	for rest := src[16:]; len(rest) > 0; {
		block, after, err := xerialBlock(rest)
		if err != nil {
			return nil, err
		}
		plain, err := unsnappyBlock(out[len(out):size], block)
		if err != nil {
			return nil, err
		}
		out, rest = out[:len(out)+len(plain)], after
	}
	return out, nil
}

// xerialBlock splits the first block from the others.
func xerialBlock(src []byte) (block, rest []byte, err error) {
	if len(src) < 4 {
		return nil, nil, fault(Compression, "snappy: framing ends in a length")
	}
	n := int(int32(binary.BigEndian.Uint32(src)))
	if src = src[4:]; n < 0 || n > len(src) {
		return nil, nil, fault(Compression, "snappy: block of %d bytes, %d are left", n, len(src))
	}
	return src[:n], src[n:], nil
}

// maxSnappyRatio is more than the format can compress to (64 bytes in three), so that a claim alone allocates nothing.
const maxSnappyRatio = 32

// snappyLen returns how many bytes there are with those that a block says that it becomes, at most maxBytes.
func snappyLen(block []byte, before, maxBytes int) (int, error) {
	n, err := s2.DecodedLen(block)
	switch {
	case err != nil:
		return 0, fault(Compression, "snappy: %s", err)
	case n > maxBytes-before:
		return 0, tooBig(maxBytes)
	case n > maxSnappyRatio*len(block):
		return 0, fault(Compression, "snappy: %d bytes cannot hold the %d they claim", len(block), n)
	}
	return before + n, nil
}

// unsnappyBlock decompresses a block into the beginning of out, which has room for it, and returns that.
func unsnappyBlock(out, block []byte) ([]byte, error) {
	plain, err := s2.Decode(out, block)
	if err != nil {
		return nil, fault(Compression, "snappy: %s", err)
	}
	return plain, nil
}

// zstdDecoders are kept because making one costs far more than using it.
var zstdDecoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(16<<20))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
}}

func unzstd(src []byte, maxBytes int) ([]byte, error) {
	d := zstdDecoders.Get().(*zstd.Decoder)
	defer func() {
		_ = d.Reset(nil)
		zstdDecoders.Put(d)
	}()
	if err := d.Reset(bytes.NewReader(src)); err != nil {
		return nil, fault(Compression, "zstd: %s", err)
	}
	var frame zstd.Header
	var claim uint64
	if frame.Decode(src) == nil && frame.HasFCS { // what is wrong with it the decoder says
		claim = frame.FrameContentSize
	}
	out, err := gather(d, len(src), claim, maxBytes)
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return nil, tooBig(maxBytes)
	}
	return out, codecFault(Zstd, err)
}
