package kafka

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/stream"
)

func built(add func(*batch.Builder)) []byte {
	var w batch.Builder
	add(&w)
	return w.Finish(batch.NoProducer)
}

func threeRecords(w *batch.Builder) {
	w.Add(1000, []byte("k"), []byte("value"))
	w.Add(1001, nil, nil, batch.RecordHeader{Name: "h"}, batch.RecordHeader{Name: "i", Value: make([]byte, 300)})
	w.Add(900, []byte("l"), make([]byte, 100))
}

// resum renews the checksum of a batch that was changed.
func resum(b []byte) []byte {
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

func TestCheckRecords(t *testing.T) {
	const version = 9
	for name, row := range map[string]struct {
		batch   []byte
		version int16
		want    *kerr.Error
	}{
		"good":          {built(threeRecords), version, nil},
		"nothing":       {nil, version, kerr.InvalidRecord},
		"half a batch":  {built(threeRecords)[:100], version, kerr.InvalidRecord},
		"half a header": {built(threeRecords)[:30], version, kerr.InvalidRecord},
		"length too small": {func() []byte {
			b := built(threeRecords)
			binary.BigEndian.PutUint32(b[8:], 10)
			return b
		}(), version, kerr.CorruptMessage},
		"two batches": {append(built(threeRecords), built(threeRecords)...), version, kerr.InvalidRecord},
		"format 1":    {edit(16, 1), version, kerr.InvalidRecord},
		"small format 1": {func() []byte {
			b := edit(16, 1)[:34]
			binary.BigEndian.PutUint32(b[8:], 22)
			return b
		}(), version, kerr.InvalidRecord},
		"base offset":         {edit(7, 1), version, kerr.InvalidRecord},
		"control":             {edit(22, 0x20), version, kerr.InvalidRecord},
		"transactional":       {edit(22, 0x10), version, kerr.TransactionalIDAuthorizationFailed},
		"log append time":     {edit(22, 0x08), version, kerr.InvalidTimestamp},
		"early zstd":          {edit(22, 4), 6, kerr.UnsupportedCompressionType},
		"zstd":                {edit(22, 4), 7, nil},
		"record too few":      {edit(60, 2), version, kerr.InvalidRecord},
		"record too many":     {edit(60, 4), version, kerr.InvalidRecord},
		"no record":           {edit(60, 0), version, kerr.InvalidRecord},
		"delta too large":     {edit(26, 9), version, kerr.InvalidRecord},
		"malformed length":    {edit(61, 0x7f), version, kerr.InvalidRecord},
		"bad offset delta":    {edit(64, 2), version, kerr.InvalidRecord},
		"key too long":        {edit(65, 0x70), version, kerr.InvalidRecord},
		"damaged length":      {damage(61, 0x7f), version, kerr.CorruptMessage},
		"damaged attributes":  {damage(22, 0x20), version, kerr.CorruptMessage},
		"damaged transaction": {damage(22, 0x10), version, kerr.CorruptMessage},
		"damaged time type":   {damage(22, 0x08), version, kerr.CorruptMessage},
		"damaged codec":       {damage(22, 4), 6, kerr.CorruptMessage},
		"damaged count":       {damage(60, 4), version, kerr.CorruptMessage},
		"damaged delta":       {damage(26, 9), version, kerr.CorruptMessage},
	} {
		t.Run(name, func(t *testing.T) {
			s := Server{clock: clock.NewVirtual(time.UnixMilli(1000))}
			err := s.checkBatch(t.Context(), &stream.Stream{}, row.batch, row.version, false)
			want := int16(0)
			if row.want != nil {
				want = row.want.Code
			}
			if code(err) != want {
				t.Errorf("got %v, code %d, want %v", err, code(err), row.want)
			}
		})
	}
}

// edit returns a good batch in which one byte is another, and the checksum right.
func edit(at int, to byte) []byte { return resum(damage(at, to)) }

// damage returns a good batch in which one byte is another.
func damage(at int, to byte) []byte {
	b := built(threeRecords)
	b[at] = to
	return b
}

// FuzzCheckRecords asserts that readers can read what producers may write.
func FuzzCheckRecords(f *testing.F) {
	s := Server{clock: clock.NewVirtual(time.UnixMilli(1000))}
	f.Add(built(threeRecords)[batch.HeaderSize:], int32(3))
	f.Add([]byte{}, int32(0))
	f.Add(built(func(w *batch.Builder) { w.Add(-5, nil, nil) })[batch.HeaderSize:], int32(1))
	f.Fuzz(func(t *testing.T, records []byte, n int32) {
		b := append(built(threeRecords)[:batch.HeaderSize:batch.HeaderSize], records...)
		binary.BigEndian.PutUint32(b[8:], uint32(len(b)-batch.Prefix))
		binary.BigEndian.PutUint32(b[23:], uint32(n-1))
		binary.BigEndian.PutUint32(b[57:], uint32(n))
		resum(b)
		if s.checkBatch(t.Context(), &stream.Stream{}, b, 9, false) != nil {
			return
		}
		if _, err := batch.Verify(b); err != nil {
			return // the log refuses it
		}
		seen, latest := int32(0), int64(math.MinInt64)
		if err := batch.Records(b, 0, func(r *batch.Record) bool {
			if r.Offset != int64(seen) {
				t.Fatalf("record %d has offset %d", seen, r.Offset)
			}
			latest = max(latest, r.Timestamp)
			seen++
			return true
		}); err != nil || seen != n {
			t.Fatalf("%d of %d records: %v", seen, n, err)
		}
		if h, _ := batch.Parse(b); h.MaxTimestamp != latest {
			t.Fatalf("largest timestamp %d, the header says %d", latest, h.MaxTimestamp)
		}
	})
}

func BenchmarkCheckRecords(b *testing.B) {
	s := Server{clock: clock.NewVirtual(time.UnixMilli(1000))}
	for _, size := range []int{100, 1024} {
		one := built(func(w *batch.Builder) {
			for w.Bytes() < 128<<10 {
				w.Add(1000, []byte("key"), make([]byte, size))
			}
		})
		b.Run(map[int]string{100: "100B", 1024: "1KiB"}[size], func(b *testing.B) {
			b.SetBytes(int64(len(one)))
			for b.Loop() {
				if err := s.checkBatch(b.Context(), &stream.Stream{}, one, 9, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
