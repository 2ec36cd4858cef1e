package batch_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/batch"
)

// keyed returns a batch of so many records with keys k0, k1, ..., each third of them a tombstone, at offset 1000, in a codec.
func keyed(t testing.TB, records int, codec batch.Codec) []byte {
	t.Helper()
	var w batch.Builder
	for i := range records {
		value := bytes.Repeat([]byte{byte(i)}, 50)
		if i%3 == 2 {
			value = nil
		}
		w.Add(int64(5000+i), fmt.Append(nil, "k", i), value, batch.RecordHeader{Name: "h", Value: []byte{byte(i)}})
	}
	b := slices.Clone(w.Finish(batch.Producer{ID: 42, Epoch: 3, Sequence: 7}))
	batch.SetBase(b, 1000, 9)
	if codec == batch.None {
		return b
	}
	out, err := batch.Recode(nil, b, codec, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func describeStored(t testing.TB, b []byte) (h batch.Header, records []string) {
	t.Helper()
	h, err := batch.VerifyStored(b)
	if err != nil {
		t.Fatal(err)
	}
	err = batch.Records(b, 0, func(r *batch.Record) bool {
		records = append(records, fmt.Sprintf("%d at %d: %q = %x %v", r.Offset, r.Timestamp, r.Key, r.Value, r.Headers))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return h, records
}

func TestFilterKeepsWhatItIsToldAndWhereItWas(t *testing.T) {
	for codec := range batch.Zstd + 1 {
		b := keyed(t, 100, codec)
		before, all := describeStored(t, b)
		f := batch.Filter{Horizon: 9e9, Keep: func(offset int64, key []byte, tombstone bool, horizon int64) bool {
			if want := fmt.Sprint("k", offset-1000); string(key) != want || tombstone != (offset%3 == 0) || horizon != 0 { // 1002 is the first
				t.Errorf("offset %d: key %q, tombstone %v, horizon %d", offset, key, tombstone, horizon)
			}
			return offset%2 == 1 && !tombstone
		}}
		out, err := f.Apply([]byte("room that is taken"), b)
		if err != nil {
			t.Fatal(codec, err)
		}
		h, kept := describeStored(t, out)
		var want []string
		for i, r := range all {
			if i%2 == 1 && i%3 != 2 {
				want = append(want, r)
			}
		}
		if !slices.Equal(kept, want) {
			t.Errorf("%s: kept %v, want %v", codec, kept, want)
		}
		before.Records, before.MaxTimestamp, before.Length, before.CRC = int32(len(want)), 5099, h.Length, h.CRC
		if h != before {
			t.Errorf("%s: header %+v, want %+v", codec, h, before)
		}
		if len(out) >= len(b) {
			t.Errorf("%s: %d of %d bytes are left", codec, len(out), len(b))
		}
	}
}

func TestFilterReturnsWhatNeedNotChange(t *testing.T) {
	b := keyed(t, 2, batch.LZ4) // no tombstone
	f := batch.Filter{Horizon: 1, Keep: func(int64, []byte, bool, int64) bool { return true }}
	if out, err := f.Apply(nil, b); err != nil || &out[0] != &b[0] {
		t.Errorf("a batch of which all is kept: %v", err)
	}
	f.Keep = func(int64, []byte, bool, int64) bool { return false }
	if out, err := f.Apply(nil, b); err != nil || out != nil {
		t.Errorf("a batch of which nothing is kept: %x, %v", out, err)
	}
}

func TestFirstFilterSetsTheDeleteHorizon(t *testing.T) {
	for codec := range batch.Zstd + 1 {
		b := keyed(t, 10, codec)
		_, all := describeStored(t, b)
		f := batch.Filter{Horizon: 777_000, Keep: func(int64, []byte, bool, int64) bool { return true }}
		out, err := f.Apply(nil, b)
		if err != nil {
			t.Fatal(codec, err)
		}
		h, kept := describeStored(t, out)
		if h.DeleteHorizon() != 777_000 || !slices.Equal(kept, all) || h.MaxTimestamp != 5009 {
			t.Errorf("%s: %+v, %v", codec, h, kept)
		}
		f.Horizon = 888_000
		f.Keep = func(_ int64, _ []byte, _ bool, horizon int64) bool {
			if horizon != 777_000 {
				t.Errorf("%s: horizon %d", codec, horizon)
			}
			return true
		}
		if again, err := f.Apply(nil, out); err != nil || !bytes.Equal(again, out) {
			t.Errorf("%s: a second time the batch changes: %v", codec, err)
		}
	}
}

func TestEmptiedBatchKeepsOffsetsAndProducer(t *testing.T) {
	b := keyed(t, 10, batch.Zstd)
	batch.SetLogAppendTime(b, 6000)
	before, _ := batch.Parse(b)
	out, err := batch.Emptied([]byte("before"), b)
	if err != nil {
		t.Fatal(err)
	}
	h, records := describeStored(t, out[len("before"):])
	before.Attributes &= 1 << 3
	before.Records, before.Length, before.CRC, before.BaseTimestamp = 0, batch.HeaderSize, h.CRC, -1
	if h != before || len(records) != 0 {
		t.Errorf("header %+v, want %+v", h, before)
	}
	if _, err := batch.Verify(out[len("before"):]); err == nil {
		t.Error("a producer may send a batch without records")
	}
}

func TestEveryLevelIsReadBack(t *testing.T) {
	plain := keyed(t, 3000, batch.None)
	_, want := describeStored(t, plain)
	for codec, levels := range map[batch.Codec][]int{
		batch.None: {0}, batch.Gzip: {-1, 0, 1, 9}, batch.Snappy: {0}, batch.LZ4: {0, 1, 8, 9, 17}, batch.Zstd: {-131072, 0, 1, 3, 9, 22},
	} {
		for _, level := range levels {
			for range 2 { // the second time with what is kept of the first
				out, err := batch.Recode(nil, plain, codec, level, 0)
				if err != nil {
					t.Fatal(codec, level, err)
				}
				h, records := describeStored(t, out)
				if !slices.Equal(records, want) || h.Attributes.Codec() != codec || codec != batch.None && len(out) > len(plain)/2 {
					t.Errorf("%s level %d: %d bytes of %d", codec, level, len(out), len(plain))
				}
			}
		}
	}
}

// TestFranzGoReadsWhatIsCompressed: another implementation decompresses what this one writes.
func TestFranzGoReadsWhatIsCompressed(t *testing.T) {
	plain := keyed(t, 3000, batch.None)
	for codec := batch.Gzip; codec <= batch.Zstd; codec++ {
		out, err := batch.Recode(nil, plain, codec, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		var franz kmsg.RecordBatch
		if err := franz.ReadFrom(out); err != nil {
			t.Fatal(codec, err)
		}
		body, err := kgo.DefaultDecompressor().Decompress(franz.Records, kgo.CompressionCodecType(codec))
		if err != nil || !bytes.Equal(body, plain[batch.HeaderSize:]) {
			t.Errorf("%s: %v", codec, err)
		}
	}
}

// FuzzFilter: whatever the records are, a filter refuses them or leaves a sound batch with those of them that it kept.
func FuzzFilter(f *testing.F) {
	for codec := range batch.Zstd + 1 {
		f.Add(byte(codec), compressed(f, codec), uint64(0b101))
		f.Add(byte(codec)|8, compressed(f, codec), ^uint64(0))
	}
	f.Add(byte(batch.Snappy), xerial(s2.EncodeSnappy(nil, example()[batch.HeaderSize:])), uint64(1))
	f.Fuzz(func(t *testing.T, kind byte, records []byte, choice uint64) {
		b := recompress(example(), batch.Codec(kind%8), records)
		original := bytes.Clone(b)
		const limit = 1 << 20
		var want []string
		filter := batch.Filter{Horizon: int64(kind>>3) * 1e6, MaxBytes: limit, Keep: func(offset int64, key []byte, tombstone bool, _ int64) bool {
			keep := choice>>(offset&63)&1 == 1
			if keep {
				want = append(want, fmt.Sprintf("%d %q %v", offset, key, tombstone))
			}
			return keep
		}}
		out, err := filter.Apply(nil, b)
		if !bytes.Equal(b, original) {
			t.Fatal("filtering has written")
		}
		whole := batch.Records(b, limit, func(*batch.Record) bool { return true }) == nil
		if err != nil {
			if whole {
				t.Fatalf("sound records are refused: %v", err)
			}
			return
		}
		if out == nil {
			if len(want) > 0 {
				t.Fatalf("nothing is left of %v", want)
			}
			return
		}
		h, err := batch.VerifyStored(out)
		if err != nil || !whole { // headers of records are passed on as they are
			if whole {
				t.Fatal(err)
			}
			return
		}
		var got []string
		err = batch.Records(out, 2*limit, func(r *batch.Record) bool {
			got = append(got, fmt.Sprintf("%d %q %v", r.Offset, r.Key, r.Value == nil))
			return true
		})
		if err != nil || !slices.Equal(got, want) || int(h.Records) != len(want) {
			t.Fatalf("%+v: got %v, want %v: %v", h, got, want, err)
		}
	})
}
