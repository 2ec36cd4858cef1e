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

// decompress returns the records of a batch in plain form. What it returns is the caller's, but for None, where it is src.
func decompress(codec Codec, src []byte, maxBytes int) ([]byte, error) {
	if maxBytes <= 0 {
		maxBytes = DefaultMaxDecompressed
	}
	var r io.Reader
	switch codec {
	case None:
		return src, nil
	case Gzip:
		z, err := gzip.NewReader(bytes.NewReader(src))
		if err != nil {
			return nil, fault(Compression, "gzip: %s", err)
		}
		defer z.Close()
		r = z
	case Snappy:
		return unsnappy(src, maxBytes)
	case LZ4:
		r = lz4.NewReader(bytes.NewReader(src))
	case Zstd:
		return unzstd(src, maxBytes)
	default:
		return nil, fault(Compression, "codec %d is unknown", codec)
	}
	var out bytes.Buffer
	n, err := io.Copy(&out, io.LimitReader(r, int64(maxBytes)+1))
	if err != nil {
		return nil, fault(Compression, "codec %d: %s", codec, err)
	}
	if n > int64(maxBytes) {
		return nil, fault(TooBig, "records decompress to more than %d bytes", maxBytes)
	}
	return out.Bytes(), nil
}

// xerialHeader begins the framing that Java producers put around snappy blocks: magic, then version and compatible version, i32 each;
// then blocks of an i32 length and that many bytes.
var xerialHeader = []byte("\x82SNAPPY\x00")

func unsnappy(src []byte, maxBytes int) ([]byte, error) {
	if !bytes.HasPrefix(src, xerialHeader) {
		return unsnappyBlock(nil, src, maxBytes)
	}
	if len(src) < 16 {
		return nil, fault(Compression, "snappy: framing ends in its header")
	}
	var out []byte
	for src = src[16:]; len(src) > 0; {
		if len(src) < 4 {
			return nil, fault(Compression, "snappy: framing ends in a length")
		}
		n := int(int32(binary.BigEndian.Uint32(src)))
		if src = src[4:]; n < 0 || n > len(src) {
			return nil, fault(Compression, "snappy: block of %d bytes, %d are left", n, len(src))
		}
		var err error
		if out, err = unsnappyBlock(out, src[:n], maxBytes); err != nil {
			return nil, err
		}
		src = src[n:]
	}
	return out, nil
}

// maxSnappyRatio is more than the format can compress to (64 bytes in three), so that a claim alone allocates nothing.
const maxSnappyRatio = 32

func unsnappyBlock(out, src []byte, maxBytes int) ([]byte, error) {
	n, err := s2.DecodedLen(src)
	if err != nil {
		return nil, fault(Compression, "snappy: %s", err)
	}
	if n > maxBytes-len(out) {
		return nil, fault(TooBig, "records decompress to more than %d bytes", maxBytes)
	}
	if n > maxSnappyRatio*len(src) {
		return nil, fault(Compression, "snappy: %d bytes cannot hold the %d they claim", len(src), n)
	}
	block, err := s2.Decode(nil, src)
	if err != nil {
		return nil, fault(Compression, "snappy: %s", err)
	}
	if out == nil {
		return block, nil
	}
	return append(out, block...), nil
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
	var out bytes.Buffer
	n, err := io.Copy(&out, io.LimitReader(d, int64(maxBytes)+1))
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded), n > int64(maxBytes):
		return nil, fault(TooBig, "records decompress to more than %d bytes", maxBytes)
	case err != nil:
		return nil, fault(Compression, "zstd: %s", err)
	}
	return out.Bytes(), nil
}
