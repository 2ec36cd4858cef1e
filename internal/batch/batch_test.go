package batch_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/batch"
)

// golden is the batch of example, byte by byte. Its checksum is a fact of the other bytes; franz-go agrees with it below.
const golden = "0000000000000000" + "00000056" + "ffffffff" + "02" + "136a0b8a" + // base offset, length, leader epoch, magic, checksum
	"0000" + "00000002" + "00000000000003e8" + "00000000000007d0" + // attributes, last offset delta, base and maximum timestamp
	"000000000000002a" + "0003" + "00000007" + "00000003" + // producer id, epoch, sequence, records
	"1c" + "00" + "00" + "00" + "066b6579" + "0a76616c7565" + "00" + // length, attributes, time +0, offset +0, key, value, no headers
	"1a" + "00" + "d00f" + "02" + "01" + "00" + "04" + "0268" + "0276" + "00" + "01" + // time +1000, offset +1, no key, empty value, two headers
	"0e" + "00" + "e707" + "04" + "00" + "01" + "00" // time -500, offset +2, empty key, no value

func example() []byte {
	var b batch.Builder
	b.Add(1000, []byte("key"), []byte("value"))
	b.Add(2000, nil, []byte{}, batch.RecordHeader{Name: "h", Value: []byte("v")}, batch.RecordHeader{Name: "", Value: nil})
	b.Add(500, []byte{}, nil)
	if b.Len() != 3 || b.Bytes() != 98 {
		panic("the builder has lost count")
	}
	return slices.Clone(b.Finish(batch.Producer{ID: 42, Epoch: 3, Sequence: 7}))
}

func TestBuilderWritesTheFormat(t *testing.T) {
	if got := hex.EncodeToString(example()); got != golden {
		t.Fatalf("built\n%s, want\n%s", got, golden)
	}
	var franz kmsg.RecordBatch
	if err := franz.ReadFrom(example()); err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(franz.AppendTo(nil)); got != golden {
		t.Fatalf("franz-go reads and writes\n%s, want\n%s", got, golden)
	}
}

func TestBuilderStartsAnew(t *testing.T) {
	var b batch.Builder
	b.Add(5, nil, []byte("x"))
	b.Reset()
	if b.Len() != 0 || b.Bytes() != batch.HeaderSize {
		t.Fatalf("after reset: %d records, %d bytes", b.Len(), b.Bytes())
	}
	defer func() {
		if recover() == nil {
			t.Fatal("finishing without records did not panic")
		}
	}()
	b.Finish(batch.NoProducer)
}

func TestVerifyReadsTheHeader(t *testing.T) {
	h, err := batch.Verify(example())
	if err != nil {
		t.Fatal(err)
	}
	want := batch.Header{
		Length: 98, LeaderEpoch: -1, CRC: 0x136a0b8a, LastOffsetDelta: 2, BaseTimestamp: 1000, MaxTimestamp: 2000,
		ProducerID: 42, ProducerEpoch: 3, BaseSequence: 7, Records: 3,
	}
	if h != want {
		t.Fatalf("header %+v, want %+v", h, want)
	}
	if h.LastOffset() != 2 || h.LastSequence() != 9 {
		t.Fatalf("last offset %d, last sequence %d", h.LastOffset(), h.LastSequence())
	}
	h.BaseSequence = 1<<31 - 2
	if h.LastSequence() != 0 {
		t.Fatalf("last sequence %d across the wrap, want 0", h.LastSequence())
	}
}

func TestVerifyNamesTheFault(t *testing.T) {
	edit := func(at int, v ...byte) []byte {
		b := example()
		copy(b[at:], v)
		return b
	}
	sealed := func(at int, v ...byte) []byte { return reseal(edit(at, v...)) }
	orphan := edit(43, 0xff)
	orphan[22] = 1 << 4
	for _, row := range []struct {
		name  string
		batch []byte
		fault batch.Fault
	}{
		{"nothing", nil, batch.Truncated},
		{"less than a header", example()[:60], batch.Truncated},
		{"less than the length", example()[:97], batch.Truncated},
		{"length below a header", edit(8, 0, 0, 0, 48), batch.Truncated},
		{"negative length", edit(8, 0xff), batch.Truncated},
		{"huge length", edit(8, 0x7f, 0xff, 0xff, 0xff), batch.Truncated},
		{"format 1", edit(16, 1), batch.Magic},
		{"format 1, less than a header", edit(16, 1)[:34], batch.Magic},
		{"more bytes", append(example(), 0), batch.Inconsistent},
		{"flipped bit", edit(97, 1), batch.Checksum},
		{"flipped checksum", edit(17, 0), batch.Checksum},
		{"no records", sealed(57, 0, 0, 0, 0), batch.Inconsistent},
		{"negative records", sealed(57, 0xff), batch.Inconsistent},
		{"more records than offsets", sealed(57, 0, 0, 0, 4), batch.Inconsistent},
		{"negative last offset delta", sealed(23, 0xff, 0xff, 0xff, 0xff), batch.Inconsistent},
		{"codec 5", sealed(22, 5), batch.Compression},
		{"producer without sequence", sealed(53, 0xff, 0xff, 0xff, 0xff), batch.Inconsistent},
		{"producer without epoch", sealed(51, 0xff, 0xff), batch.Inconsistent},
		{"transaction without producer", reseal(orphan), batch.Inconsistent},
	} {
		_, err := batch.Verify(row.batch)
		var fault *batch.Error
		if !errors.As(err, &fault) || fault.Fault != row.fault {
			t.Errorf("%s: error %v, want fault %d", row.name, err, row.fault)
		}
	}
}

// reseal renews a batch's checksum.
func reseal(b []byte) []byte {
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

func TestSetBaseLeavesTheChecksum(t *testing.T) {
	b := example()
	batch.SetBase(b, 1<<40, 9)
	h, err := batch.Verify(b)
	if err != nil || h.BaseOffset != 1<<40 || h.LeaderEpoch != 9 {
		t.Fatalf("%+v, %v", h, err)
	}
}

func TestSetLogAppendTimeRenewsTheChecksum(t *testing.T) {
	b := example()
	batch.SetLogAppendTime(b, 777)
	h, err := batch.Verify(b)
	if err != nil || !h.Attributes.LogAppendTime() || h.MaxTimestamp != 777 {
		t.Fatalf("%+v, %v", h, err)
	}
	err = batch.Records(b, 0, func(r *batch.Record) bool {
		if r.Timestamp != 777 {
			t.Errorf("record at %d", r.Timestamp)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSizeNeedsTheFirstBytesOnly(t *testing.T) {
	b := example()
	if n, ok := batch.Size(b[:batch.Prefix]); !ok || n != len(b) {
		t.Fatalf("size %d, %v", n, ok)
	}
	for _, short := range [][]byte{nil, b[:11], make([]byte, 12)} {
		if n, ok := batch.Size(short); ok {
			t.Errorf("%d bytes have size %d", len(short), n)
		}
	}
}

func TestAttributesSayWhatTheBitsMean(t *testing.T) {
	for a, want := range map[batch.Attributes]string{
		0: "", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd", 8: "append", 16: "tx", 32: "control", 8 + 16 + 32 + 4: "zstd append tx control",
	} {
		got := []string{[]string{"", "gzip", "snappy", "lz4", "zstd"}[a.Codec()]}
		for _, flag := range []struct {
			set  bool
			name string
		}{{a.LogAppendTime(), "append"}, {a.Transactional(), "tx"}, {a.Control(), "control"}} {
			if flag.set {
				got = append(got, flag.name)
			}
		}
		if s := strings.TrimSpace(strings.Join(got, " ")); s != want {
			t.Errorf("%d means %q, want %q", a, s, want)
		}
	}
}

// TestSetProducerTakesABatchOutOfItsTransaction: only producer, sequence and the transactional bit become others.
func TestSetProducerTakesABatchOutOfItsTransaction(t *testing.T) {
	b := example()
	b[22] |= 1 << 4
	before, err := batch.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	batch.SetProducer(b, batch.Producer{ID: 7, Epoch: 2, Sequence: 99})
	got, err := batch.Verify(b)
	want := before
	want.Attributes &^= 1 << 4
	want.ProducerID, want.ProducerEpoch, want.BaseSequence, want.CRC = 7, 2, 99, got.CRC
	if err != nil || got != want {
		t.Errorf("header %+v, %v, want %+v", got, err, want)
	}
}
