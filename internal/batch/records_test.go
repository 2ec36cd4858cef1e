package batch_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/freshet/freshet/internal/batch"
)

// describe writes records as text, nil apart from empty.
func describe(b []byte, maxBytes int) (string, error) {
	var out strings.Builder
	err := batch.Records(b, maxBytes, func(r *batch.Record) bool {
		fmt.Fprintf(&out, "%d @%d %s=%s", r.Offset, r.Timestamp, field(r.Key), field(r.Value))
		for _, h := range r.Headers {
			fmt.Fprintf(&out, " %q:%s", h.Name, field(h.Value))
		}
		out.WriteByte('\n')
		return true
	})
	return out.String(), err
}

func field(b []byte) string {
	if b == nil {
		return "nil"
	}
	return fmt.Sprintf("%q", b)
}

func TestRecordsAreReadAsWritten(t *testing.T) {
	got, err := describe(example(), 0)
	if err != nil {
		t.Fatal(err)
	}
	const want = `0 @1000 "key"="value"
1 @2000 nil="" "h":"v" "":nil
2 @500 ""=nil
`
	if got != want {
		t.Fatalf("records\n%swant\n%s", got, want)
	}
}

func TestRecordsStopsWhenTold(t *testing.T) {
	n := 0
	if err := batch.Records(example(), 0, func(*batch.Record) bool { n++; return n < 2 }); err != nil || n != 2 {
		t.Fatalf("visited %d, %v", n, err)
	}
}

// recompress replaces a batch's records by their compressed form.
func recompress(b []byte, codec batch.Codec, compressed []byte) []byte {
	b = append(bytes.Clone(b[:batch.HeaderSize]), compressed...)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-batch.Prefix))
	b[22] = b[22]&^7 | byte(codec)
	return reseal(b)
}

func TestAllCodecsOfFranzGoAreRead(t *testing.T) {
	var b batch.Builder
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 500 {
		b.Add(int64(i), fmt.Appendf(nil, "key-%d", i%7), bytes.Repeat([]byte{byte(random.IntN(4))}, random.IntN(3000)))
	}
	plain := bytes.Clone(b.Finish(batch.NoProducer))
	want, err := describe(plain, 0)
	if err != nil {
		t.Fatal(err)
	}
	for codec, c := range map[batch.Codec]kgo.CompressionCodec{
		batch.None: kgo.NoCompression(), batch.Gzip: kgo.GzipCompression(), batch.Snappy: kgo.SnappyCompression(),
		batch.LZ4: kgo.Lz4Compression(), batch.Zstd: kgo.ZstdCompression(),
	} {
		compressor, err := kgo.DefaultCompressor(c)
		if err != nil {
			t.Fatal(err)
		}
		compressed := plain[batch.HeaderSize:]
		if compressor != nil {
			var used kgo.CompressionCodecType
			if compressed, used = compressor.Compress(&bytes.Buffer{}, compressed); int8(used) != int8(codec) {
				t.Fatalf("codec %d: franz-go used %d", codec, used)
			}
		}
		batchOf := recompress(plain, codec, compressed)
		if _, err := batch.Verify(batchOf); err != nil {
			t.Errorf("codec %d: %v", codec, err)
		}
		if got, err := describe(batchOf, 0); err != nil || got != want {
			t.Errorf("codec %d: %v, %d bytes of description, want %d", codec, err, len(got), len(want))
		}
		if _, err := describe(batchOf, len(plain)-batch.HeaderSize); err != nil {
			t.Errorf("codec %d: within the exact limit: %v", codec, err)
		}
		if codec != batch.None {
			_, err := describe(batchOf, len(plain)-batch.HeaderSize-1)
			isFault(t, fmt.Sprintf("codec %d one byte over the limit", codec), err, batch.TooBig)
		}
	}
}

func isFault(t *testing.T, what string, err error, want batch.Fault) {
	t.Helper()
	var fault *batch.Error
	if !errors.As(err, &fault) || fault.Fault != want {
		t.Errorf("%s: error %v, want fault %d", what, err, want)
	}
}

// xerial frames snappy blocks as Java producers do.
func xerial(blocks ...[]byte) []byte {
	out := []byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01")
	for _, b := range blocks {
		out = binary.BigEndian.AppendUint32(out, uint32(len(b)))
		out = append(out, b...)
	}
	return out
}

func TestSnappyFramingOfJavaIsRead(t *testing.T) {
	records := example()[batch.HeaderSize:]
	framed := xerial(s2.EncodeSnappy(nil, records[:10]), s2.EncodeSnappy(nil, records[10:]))
	want, _ := describe(example(), 0)
	if got, err := describe(recompress(example(), batch.Snappy, framed), 0); err != nil || got != want {
		t.Fatalf("%v\n%s", err, got)
	}
	for cut := 1; cut < len(framed); cut++ {
		if _, err := describe(recompress(example(), batch.Snappy, framed[:cut]), 0); err == nil {
			t.Errorf("cut at %d: no error", cut)
		}
	}
}

// bombs are a gigabyte of zeros in every codec, by name.
func bombs(t testing.TB) map[string][]byte {
	const size = 1 << 30
	zeros := make([]byte, 1<<20)
	write := func(w interface {
		Write([]byte) (int, error)
		Close() error
	}, buffer *bytes.Buffer,
	) []byte {
		for range size / len(zeros) {
			if _, err := w.Write(zeros); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return buffer.Bytes()
	}
	var g, l, z bytes.Buffer
	encoder, err := zstd.NewWriter(&z, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	claim := binary.AppendUvarint(nil, 1<<31)
	return map[string][]byte{
		"1 gzip":         write(gzip.NewWriter(&g), &g),
		"3 lz4":          write(lz4.NewWriter(&l), &l),
		"4 zstd":         write(encoder, &z),
		"2 snappy claim": append(claim, 0xfe, 0, 0, 0xfe, 0, 0),
		"2 xerial claim": xerial(append(claim, 0xfe, 0, 0, 0xfe, 0, 0)),
	}
}

func TestDecompressionBombsAreBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("makes gigabytes of zeros")
	}
	for name, bomb := range bombs(t) {
		b := recompress(example(), batch.Codec(name[0]-'0'), bomb)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := describe(b, 1<<20)
		runtime.ReadMemStats(&after)
		isFault(t, name, err, batch.TooBig)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20 {
			t.Errorf("%s: allocated %d MiB against a limit of 1 MiB", name, grown>>20)
		}
	}
	small := recompress(example(), batch.Snappy, append(binary.AppendUvarint(nil, 60<<20), 0xfe, 0, 0))
	_, err := describe(small, 0)
	isFault(t, "snappy claim within the limit", err, batch.Compression)
}

func TestDamagedRecordsAreInconsistent(t *testing.T) {
	record := func(fields ...byte) []byte { return append([]byte{byte(len(fields)) << 1}, fields...) }
	headers := []byte{0, 0, 0, 1, 1}
	headers = binary.AppendVarint(headers, batch.MaxHeaders+1)
	headers = append(headers, bytes.Repeat([]byte{0, 1}, batch.MaxHeaders+1)...)
	many := append(binary.AppendVarint(nil, int64(len(headers))), headers...)
	for _, row := range []struct {
		name    string
		records []byte
		ok      bool
	}{
		{"one good record", record(0, 0, 0, 1, 1, 0), true},
		{"nothing", nil, false},
		{"an empty record", record(), false},
		{"a length beyond the end", []byte{100, 0, 0}, false},
		{"a negative length", []byte{1}, false},
		{"a length of eleven bytes", bytes.Repeat([]byte{0xff}, 11), false},
		{"a key beyond the record", record(0, 0, 0, 20, 1, 0), false},
		{"a value beyond the record", record(0, 0, 0, 1, 20, 0), false},
		{"no header count", record(0, 0, 0, 1, 1), false},
		{"a negative header count", record(0, 0, 0, 1, 1, 1), false},
		{"more headers than bytes", record(0, 0, 0, 1, 1, 20), false},
		{"a header without name", record(0, 0, 0, 1, 1, 2, 1, 1), false},
		{"a header without value field", record(0, 0, 0, 1, 1, 2, 0), false},
		{"bytes after the headers", record(0, 0, 0, 1, 1, 0, 0), false},
		{"bytes after the records", append(record(0, 0, 0, 1, 1, 0), 0), false},
		{"an offset before the batch", record(0, 0, 1, 1, 1, 0), false},
		{"an offset after the batch", record(0, 0, 2, 1, 1, 0), false},
		{"too many headers", many, false},
	} {
		var one batch.Builder
		one.Add(1, nil, nil)
		b := recompress(one.Finish(batch.NoProducer), batch.None, row.records)
		if _, err := batch.Verify(b); err != nil {
			t.Fatal(err)
		}
		_, err := describe(b, 0)
		if row.ok && err != nil {
			t.Errorf("%s: %v", row.name, err)
		} else if !row.ok {
			isFault(t, row.name, err, batch.Inconsistent)
		}
	}
}

func TestOffsetsOfRecordsAscend(t *testing.T) {
	b := example()
	b[batch.HeaderSize+15+4] = 0 // the second record's offset delta: as the first
	_, err := describe(reseal(b), 0)
	isFault(t, "an offset twice", err, batch.Inconsistent)
}

// TestBuilderAgreesWithFranzGo writes random records and lets franz-go read them.
func TestBuilderAgreesWithFranzGo(t *testing.T) {
	bytesOrNil := rapid.Custom(func(t *rapid.T) []byte {
		if rapid.Bool().Draw(t, "nil") {
			return nil
		}
		return rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "bytes")
	})
	rapid.Check(t, func(t *rapid.T) {
		var b batch.Builder
		base := rapid.Int64Range(0, 1<<45).Draw(t, "base time")
		n := rapid.IntRange(1, 20).Draw(t, "records")
		for range n {
			var headers []batch.RecordHeader
			for range rapid.IntRange(0, 3).Draw(t, "headers") {
				headers = append(headers, batch.RecordHeader{Name: rapid.String().Draw(t, "name"), Value: bytesOrNil.Draw(t, "header")})
			}
			b.Add(base+rapid.Int64Range(-1<<40, 1<<40).Draw(t, "time"), bytesOrNil.Draw(t, "key"), bytesOrNil.Draw(t, "value"), headers...)
		}
		built := b.Finish(batch.NoProducer)
		want, err := describe(built, 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := describeWithFranzGo(built)
		if err != nil || got != want {
			t.Fatalf("%v: franz-go reads\n%swe\n%s", err, got, want)
		}
	})
}

func describeWithFranzGo(b []byte) (string, error) {
	var franz kmsg.RecordBatch
	if err := franz.ReadFrom(b); err != nil {
		return "", err
	}
	var out strings.Builder
	rest := franz.Records
	for range franz.NumRecords {
		length, n := binary.Varint(rest)
		var r kmsg.Record
		if err := r.ReadFrom(rest[:n+int(length)]); err != nil {
			return "", err
		}
		rest = rest[n+int(length):]
		fmt.Fprintf(&out, "%d @%d %s=%s", r.OffsetDelta, franz.FirstTimestamp+r.TimestampDelta64, field(r.Key), field(r.Value))
		for _, h := range r.Headers {
			fmt.Fprintf(&out, " %q:%s", h.Key, field(h.Value))
		}
		out.WriteByte('\n')
	}
	return out.String(), nil
}
