package batch_test

import (
	"bytes"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/freshet/freshet/internal/batch"
)

// compressed returns the records of example in a codec.
func compressed(t testing.TB, codec batch.Codec) []byte {
	t.Helper()
	records := example()[batch.HeaderSize:]
	var out bytes.Buffer
	switch codec {
	case batch.Gzip:
		w := gzip.NewWriter(&out)
		if _, err := w.Write(records); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	case batch.Snappy:
		return s2.EncodeSnappy(nil, records)
	case batch.LZ4:
		w := lz4.NewWriter(&out)
		if _, err := w.Write(records); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	case batch.Zstd:
		w, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		return w.EncodeAll(records, nil)
	default:
		return records
	}
	return out.Bytes()
}

// FuzzParse feeds whole batches to everything that reads one.
func FuzzParse(f *testing.F) {
	f.Add([]byte{})
	f.Add(example()[:batch.HeaderSize])
	for codec := range batch.Zstd + 1 {
		f.Add(recompress(example(), codec, compressed(f, codec)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		original := bytes.Clone(b)
		h, err := batch.Parse(b)
		size, ok := batch.Size(b)
		if err == nil && (!ok || int(h.Length) != size || size > len(b)) {
			t.Fatalf("parsed %d bytes to length %d, size %d %v", len(b), h.Length, size, ok)
		}
		if verified, err := batch.Verify(b); err == nil && (verified.Records < 1 || verified.LastOffset() < verified.BaseOffset) {
			t.Fatalf("verified %+v", verified)
		}
		checkRecords(t, b)
		if !bytes.Equal(b, original) {
			t.Fatal("reading has written")
		}
	})
}

// FuzzRecords feeds records behind a sound header, so that the fuzzer need not guess lengths and checksums.
func FuzzRecords(f *testing.F) {
	for codec := range batch.Zstd + 1 {
		f.Add(byte(codec), compressed(f, codec))
	}
	f.Add(byte(batch.Snappy), xerial(s2.EncodeSnappy(nil, example()[batch.HeaderSize:])))
	f.Add(byte(batch.Snappy), []byte{0xff, 0xff, 0xff, 0xff, 0x07, 0xfe, 0, 0})
	f.Fuzz(func(t *testing.T, codec byte, records []byte) {
		b := recompress(example(), batch.Codec(codec%8), records)
		checkRecords(t, b)
	})
}

// checkRecords reads with a limit and checks what every batch must keep to.
func checkRecords(t *testing.T, b []byte) {
	const limit = 1 << 20
	h, _ := batch.Parse(b)
	visited, total, last := int32(0), 0, int64(0)
	err := batch.Records(b, limit, func(r *batch.Record) bool {
		visited++
		total += len(r.Key) + len(r.Value)
		if visited > 1 && r.Offset <= last || r.Offset < h.BaseOffset || r.Offset > h.LastOffset() {
			t.Fatalf("offset %d after %d in %+v", r.Offset, last, h)
		}
		last = r.Offset
		return true
	})
	if err == nil && visited != h.Records {
		t.Fatalf("visited %d of %d records", visited, h.Records)
	}
	if total > max(limit, len(b)) {
		t.Fatalf("%d bytes of records, the limit is %d", total, limit)
	}
}
