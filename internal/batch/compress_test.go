package batch_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/freshet/freshet/internal/batch"
)

// written compresses b: with a claim of its length if the codec has one, and claim asks for it where that is a choice.
func written(t *testing.T, codec batch.Codec, b []byte, claim bool) []byte {
	t.Helper()
	var out bytes.Buffer
	var err error
	switch codec {
	case batch.Gzip:
		w := gzip.NewWriter(&out)
		_, err = w.Write(b)
		must(t, err)
		must(t, w.Close())
	case batch.Snappy:
		var blocks [][]byte
		for block := range slices.Chunk(b, 32<<10) { // as Java's framing has them
			blocks = append(blocks, s2.EncodeSnappy(nil, block))
		}
		return xerial(blocks...)
	case batch.LZ4:
		w := lz4.NewWriter(&out)
		if claim {
			must(t, w.Apply(lz4.SizeOption(uint64(len(b)))))
		}
		_, err = w.Write(b)
		must(t, err)
		must(t, w.Close())
	case batch.Zstd:
		var w *zstd.Encoder
		w, err = zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
		must(t, err)
		if claim {
			return w.EncodeAll(b, nil)
		}
		_, err = w.Write(b)
		must(t, err)
		must(t, w.Close())
	}
	return out.Bytes()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// long is a batch of one record, of so many bytes that compress to less than half.
func long(size int) []byte {
	random := rand.New(rand.NewPCG(3, 4))
	value := make([]byte, 0, size+7)
	for len(value) < size {
		value = binary.LittleEndian.AppendUint64(value, random.Uint64()&0x0707070707070707)
	}
	var b batch.Builder
	b.Add(1000, nil, value)
	return slices.Clone(b.Finish(batch.NoProducer))
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestDecompressionTakesTheMemoryItMust: what says how long it becomes is given that much, else as much again to join the pieces.
func TestDecompressionTakesTheMemoryItMust(t *testing.T) {
	plain := long(4 << 20)
	const slack = 1 << 20
	for _, row := range []struct {
		codec  batch.Codec
		claim  bool
		memory int
	}{
		{batch.Gzip, true, len(plain)},
		{batch.Snappy, true, len(plain)},
		{batch.LZ4, true, len(plain) + 8<<20}, // two blocks, which its reader takes
		{batch.LZ4, false, 2*len(plain) + 8<<20},
		{batch.Zstd, true, len(plain) + 4<<20},
		{batch.Zstd, false, 2*len(plain) + 4<<20},
	} {
		b := recompress(plain, row.codec, written(t, row.codec, plain[batch.HeaderSize:], row.claim))
		records := 0
		got := allocated(func() {
			must(t, batch.Records(b, 0, func(*batch.Record) bool { records++; return true }))
		})
		if records != 1 || got > uint64(row.memory+slack) {
			t.Errorf("%s, claim %v: %d records for %d KiB, want at most %d", row.codec, row.claim, records, got>>10, (row.memory+slack)>>10)
		}
	}
}

// TestClaimsBeyondTheLimitAreRefusedUnread, though nothing is there that would become so long.
func TestClaimsBeyondTheLimitAreRefusedUnread(t *testing.T) {
	plain := example()
	claims := map[batch.Codec]func(b []byte){
		batch.Gzip: func(b []byte) { binary.LittleEndian.PutUint32(b[len(b)-4:], 1<<20+1) },
		batch.LZ4:  func(b []byte) { binary.LittleEndian.PutUint64(b[6:], 1<<20+1) },
	}
	for codec, claim := range claims {
		compressed := written(t, codec, plain[batch.HeaderSize:], true)
		claim(compressed)
		var err error
		got := allocated(func() { _, err = describe(recompress(plain, codec, compressed), 1<<20) })
		isFault(t, codec.String(), err, batch.TooBig)
		if got > 256<<10 {
			t.Errorf("%s: refused for %d KiB", codec, got>>10)
		}
	}
	for _, codec := range []batch.Codec{batch.Gzip, batch.Zstd} {
		b := recompress(plain, codec, written(t, codec, make([]byte, 4<<20), true))
		var err error
		got := allocated(func() { _, err = describe(b, 1<<20) })
		isFault(t, codec.String()+" of 4 MiB", err, batch.TooBig)
		if got > 256<<10 {
			t.Errorf("%s of 4 MiB: refused for %d KiB", codec, got>>10)
		}
	}
}

// TestWrongClaimsAreNoHarm: they say less than is there, because they are of one of several parts, or what nobody would believe.
func TestWrongClaimsAreNoHarm(t *testing.T) {
	plain := long(256 << 10)
	body := plain[batch.HeaderSize:]
	for _, codec := range []batch.Codec{batch.Gzip, batch.Zstd} {
		for _, cut := range []int{1, 1000, len(body) - 1} {
			parts := slices.Concat(written(t, codec, body[:cut], true), written(t, codec, body[cut:], true))
			b := recompress(plain, codec, parts)
			records := 0
			if err := batch.Records(b, len(body), func(*batch.Record) bool { records++; return true }); err != nil || records != 1 {
				t.Errorf("%s in two parts, the first of %d bytes: %d records, %v", codec, cut, records, err)
			}
			_, err := describe(recompress(plain, codec, parts), len(body)-1)
			isFault(t, codec.String()+" in two parts, a byte over the limit", err, batch.TooBig)
		}
	}
	for name, size := range map[string]uint32{"less": 1000, "none": 0, "more": uint32(len(body)) + 1} {
		compressed := written(t, batch.Gzip, body, true)
		binary.LittleEndian.PutUint32(compressed[len(compressed)-4:], size)
		_, err := describe(recompress(plain, batch.Gzip, compressed), 0)
		isFault(t, "gzip that claims "+name, err, batch.Compression)
	}
	small := written(t, batch.Gzip, []byte(strings.Repeat("x", 100)), true)
	binary.LittleEndian.PutUint32(small[len(small)-4:], batch.DefaultMaxDecompressed)
	var err error
	got := allocated(func() { _, err = describe(recompress(example(), batch.Gzip, small), 0) })
	isFault(t, "gzip of nothing that claims all", err, batch.Compression)
	if got > 256<<10 {
		t.Errorf("a claim of %d MiB alone took %d KiB", batch.DefaultMaxDecompressed>>20, got>>10)
	}
}
