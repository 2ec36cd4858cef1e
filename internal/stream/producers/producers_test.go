package producers

import (
	"errors"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
)

// header describes a batch of n records.
func header(id int64, epoch int16, sequence int32, n int32) *batch.Header {
	return &batch.Header{ProducerID: id, ProducerEpoch: epoch, BaseSequence: sequence, LastOffsetDelta: n - 1, Records: n}
}

// put checks a batch, or the marker that a control batch is, and records it at offset and time if it is taken.
func put(t *Table, h *batch.Header, offset int64, at int64) (Batch, bool, error) {
	remembered, duplicate, err := judge(t, h)
	if err == nil && h.Attributes.Control() {
		t.End(marker(h), at)
		return remembered, duplicate, nil
	}
	if err == nil && !duplicate {
		h.BaseOffset = offset
		t.Record(h, at)
	}
	return remembered, duplicate, err
}

func judge(t *Table, h *batch.Header) (Batch, bool, error) {
	if h.Attributes.Control() {
		return Batch{}, false, t.CheckMarker(marker(h))
	}
	return t.Check(h)
}

// marker is a control header's; its offset delta stands for the coordinator's epoch.
func marker(h *batch.Header) *batch.Marker {
	return &batch.Marker{ProducerID: h.ProducerID, Epoch: h.ProducerEpoch, CoordinatorEpoch: h.LastOffsetDelta}
}

// control describes the marker of a coordinator's epoch 0.
func control(id int64, epoch int16) *batch.Header {
	h := header(id, epoch, -1, 1)
	h.Attributes = 1<<4 | 1<<5
	return h
}

// within describes a batch of n records within a transaction.
func within(id int64, epoch int16, sequence int32, n int32) *batch.Header {
	h := header(id, epoch, sequence, n)
	h.Attributes = 1 << 4
	return h
}

func TestCheck(t *testing.T) {
	coordinator := func(h *batch.Header, epoch int32) *batch.Header {
		h.LastOffsetDelta = epoch
		return h
	}
	const last = math.MaxInt32
	rows := []struct {
		name      string
		before    []*batch.Header
		batch     *batch.Header
		duplicate stream.Offset // -1 = none
		err       error
	}{
		{"no producer id is taken", []*batch.Header{header(-1, -1, -1, 1)}, header(-1, -1, -1, 1), -1, nil},
		{"unknown producer at 0 is taken", nil, header(1, 0, 0, 3), -1, nil},
		{"unknown producer elsewhere is taken", nil, header(1, 4, 77, 3), -1, nil},
		{"next sequence is taken", []*batch.Header{header(1, 0, 0, 3)}, header(1, 0, 3, 1), -1, nil},
		{"producers do not disturb each other", []*batch.Header{header(1, 0, 0, 3)}, header(2, 0, 0, 1), -1, nil},
		{"gap is out of order", []*batch.Header{header(1, 0, 0, 3)}, header(1, 0, 4, 1), -1, stream.ErrOutOfOrder},
		{"repeat of the last is a duplicate", []*batch.Header{header(1, 0, 0, 3), header(1, 0, 3, 2)}, header(1, 0, 3, 2), 1, nil},
		{"repeat of one before is a duplicate", []*batch.Header{header(1, 0, 0, 3), header(1, 0, 3, 2)}, header(1, 0, 0, 3), 0, nil},
		{"repeat of the fifth last is a duplicate", run(5), header(1, 0, 0, 2), 0, nil},
		{"repeat of the sixth last is stale", run(6), header(1, 0, 0, 2), -1, stream.ErrStale},
		{"repeat with other bounds is out of order", []*batch.Header{header(1, 0, 0, 3)}, header(1, 0, 0, 2), -1, stream.ErrOutOfOrder},
		{"repeat that reaches into the new is out of order", run(6), header(1, 0, 11, 2), -1, stream.ErrOutOfOrder},
		{"repeat from before what was ever taken is out of order", []*batch.Header{header(1, 0, 50, 3)}, header(1, 0, 48, 2), -1, stream.ErrOutOfOrder},
		{"sequence after 2^31-1 is 0", []*batch.Header{header(1, 0, last, 1)}, header(1, 0, 0, 1), -1, nil},
		{"batch across the wrap leads on", []*batch.Header{header(1, 0, last-1, 4)}, header(1, 0, 2, 1), -1, nil},
		{"repeat across the wrap is a duplicate", []*batch.Header{header(1, 0, last-1, 4), header(1, 0, 2, 1)}, header(1, 0, last-1, 4), 0, nil},
		{"gap across the wrap is out of order", []*batch.Header{header(1, 0, last, 1)}, header(1, 0, 1, 1), -1, stream.ErrOutOfOrder},
		{"older epoch is fenced", []*batch.Header{header(1, 3, 0, 1)}, header(1, 2, 1, 1), -1, stream.ErrFenced},
		{"newer epoch begins with 0", []*batch.Header{header(1, 3, 0, 1)}, header(1, 4, 0, 1), -1, nil},
		{"newer epoch elsewhere is out of order", []*batch.Header{header(1, 3, 0, 1)}, header(1, 4, 1, 1), -1, stream.ErrOutOfOrder},
		{"newer epoch forgets the older one's batches", []*batch.Header{header(1, 3, 0, 1), header(1, 4, 0, 2)}, header(1, 4, 0, 1), -1, stream.ErrOutOfOrder},
		{"marker of a newer epoch fences", []*batch.Header{header(1, 3, 0, 1), control(1, 4)}, header(1, 3, 1, 1), -1, stream.ErrFenced},
		{"marker of a newer epoch begins anew", []*batch.Header{header(1, 3, 0, 1), control(1, 4)}, header(1, 4, 0, 1), -1, nil},
		{"marker of the same epoch uses no sequence", []*batch.Header{header(1, 3, 0, 1), control(1, 3)}, header(1, 3, 1, 1), -1, nil},
		{"marker of an older epoch is fenced", []*batch.Header{header(1, 3, 0, 1)}, control(1, 2), -1, stream.ErrFenced},
		{"marker of an unknown producer is taken", nil, control(1, 2), -1, nil},
		{"marker makes its producer known", []*batch.Header{control(1, 2)}, header(1, 2, 5, 1), -1, stream.ErrOutOfOrder},
		{"marker of an older coordinator is refused", []*batch.Header{coordinator(control(1, 2), 7)}, coordinator(control(1, 2), 6), -1, stream.ErrCoordinator},
		{"marker of a newer coordinator is taken", []*batch.Header{coordinator(control(1, 2), 7)}, coordinator(control(1, 2), 8), -1, nil},
		{"transaction goes on", []*batch.Header{within(1, 0, 0, 3)}, within(1, 0, 3, 1), -1, nil},
		{"transaction begins behind batches outside", []*batch.Header{header(1, 0, 0, 3)}, within(1, 0, 3, 1), -1, nil},
		{"batch outside of the open transaction is refused", []*batch.Header{within(1, 0, 0, 3)}, header(1, 0, 3, 1), -1, stream.ErrTransaction},
		{"batch outside is taken behind the marker", []*batch.Header{within(1, 0, 0, 3), control(1, 0)}, header(1, 0, 3, 1), -1, nil},
		{"gap in a transaction is out of order", []*batch.Header{within(1, 0, 0, 3)}, within(1, 0, 4, 1), -1, stream.ErrOutOfOrder},
		{"repeat in a transaction is a duplicate", []*batch.Header{within(1, 0, 0, 3)}, within(1, 0, 0, 3), 0, nil},
		{"repeat behind the marker is a duplicate", []*batch.Header{within(1, 0, 0, 3), control(1, 0)}, within(1, 0, 0, 3), 0, nil},
		{"batch of the ended epoch is fenced by its marker's", []*batch.Header{within(1, 0, 0, 3), control(1, 1)}, within(1, 0, 3, 1), -1, stream.ErrFenced},
		{"next epoch's transaction begins with 0", []*batch.Header{within(1, 0, 0, 3), control(1, 1)}, within(1, 1, 0, 1), -1, nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			table := New(0)
			for i, h := range row.before {
				if _, duplicate, err := put(table, h, int64(i), 7); duplicate || err != nil {
					t.Fatalf("batch %d before: duplicate %v, %v", i, duplicate, err)
				}
			}
			for _, table := range []*Table{table, reloaded(t, table)} {
				remembered, duplicate, err := judge(table, row.batch)
				if !errors.Is(err, row.err) || err != nil && row.err == nil {
					t.Fatalf("error %v, want %v", err, row.err)
				}
				if duplicate != (row.duplicate >= 0) || duplicate && (remembered.Base != row.duplicate || remembered.At != 7) {
					t.Fatalf("duplicate %v of %+v, want base %d", duplicate, remembered, row.duplicate)
				}
			}
		})
	}
}

// run returns n batches of two records each of producer 1.
func run(n int32) []*batch.Header {
	var all []*batch.Header
	for i := range n {
		all = append(all, header(1, 0, 2*i, 2))
	}
	return all
}

func reloaded(t *testing.T, table *Table) *Table {
	t.Helper()
	snapshot := table.Snapshot(nil)
	loaded, err := Load(snapshot, 0)
	if err != nil {
		t.Fatal(err)
	}
	if again := loaded.Snapshot(nil); string(again) != string(snapshot) {
		t.Fatalf("snapshot changed on its way\n%x\n%x", snapshot, again)
	}
	return loaded
}

func TestExpireForgetsTheSilent(t *testing.T) {
	table := New(0)
	hour := time.Hour.Milliseconds()
	put(table, header(1, 0, 0, 1), 0, 1*hour)
	put(table, header(2, 0, 0, 1), 1, 3*hour)
	put(table, header(3, 0, 0, 1), 2, 2*hour) // the clock went backwards
	put(table, header(1, 0, 1, 1), 3, 4*hour)
	if n := table.Expire(2 * hour); n != 1 || table.Len() != 2 {
		t.Fatalf("expired %d, %d are left", n, table.Len())
	}
	if _, _, err := table.Check(header(3, 0, 9, 1)); err != nil {
		t.Errorf("an expired producer is unknown, got %v", err)
	}
	if _, _, err := table.Check(header(1, 0, 9, 1)); !errors.Is(err, stream.ErrOutOfOrder) {
		t.Errorf("a producer heard of since is known, got %v", err)
	}
}

func TestLimitForgetsTheLongestSilent(t *testing.T) {
	table := New(2)
	put(table, header(1, 0, 0, 1), 0, 0)
	put(table, header(2, 0, 0, 1), 1, 0)
	put(table, header(1, 0, 1, 1), 2, 0)
	put(table, header(3, 0, 0, 1), 3, 0)
	if table.Len() != 2 {
		t.Fatalf("%d producers, want 2", table.Len())
	}
	for id, want := range map[int64]error{1: stream.ErrOutOfOrder, 2: nil, 3: stream.ErrOutOfOrder} {
		if _, _, err := table.Check(header(id, 0, 9, 1)); !errors.Is(err, want) {
			t.Errorf("producer %d: %v, want %v", id, err, want)
		}
	}
	if loaded, err := Load(table.Snapshot(nil), 1); err != nil || loaded.Len() != 1 || loaded.producers[3] == nil {
		t.Errorf("load with a smaller limit: %v", err)
	}
}

// TestAgainstModel compares the table with a list of everything that was taken.
func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := New(0)
		var taken []Batch
		next := rapid.SampledFrom([]int32{0, 5, math.MaxInt32 - 7}).Draw(t, "start")
		for step := range 60 {
			n := rapid.Int32Range(1, 4).Draw(t, "records")
			sequence := next
			if rapid.IntRange(0, 2).Draw(t, "kind") == 0 && len(taken) > 0 {
				again := taken[rapid.IntRange(0, len(taken)-1).Draw(t, "again")]
				sequence, n = again.First, int32(forward(again.First, again.Last))+1
			}
			remembered, duplicate, err := put(table, header(9, 1, sequence, n), int64(step), 0)
			if sequence == next {
				if duplicate || err != nil {
					t.Fatalf("step %d: next sequence %d: duplicate %v, %v", step, sequence, duplicate, err)
				}
				b := Batch{First: sequence, Last: header(9, 1, sequence, n).LastSequence(), Base: stream.Offset(step)}
				taken = append(taken, b)
				next = int32((int64(b.Last) + 1) % sequences)
				continue
			}
			index := len(taken) - 1
			for taken[index].First != sequence {
				index--
			}
			if known := len(taken)-index <= Remembered; known != duplicate || known && remembered != taken[index] {
				t.Fatalf("step %d: repeat of batch %d of %d: duplicate %v of %+v", step, index, len(taken), duplicate, remembered)
			} else if !known && !errors.Is(err, stream.ErrStale) {
				t.Fatalf("step %d: repeat of batch %d of %d: %v", step, index, len(taken), err)
			}
		}
	})
}

func FuzzLoad(f *testing.F) {
	table := New(0)
	f.Add(table.Snapshot(nil))
	for i, h := range append(run(7), header(5, 2, math.MaxInt32, 3)) {
		put(table, h, int64(i), int64(i)-3)
	}
	f.Add(table.Snapshot(nil))
	f.Add(table.Snapshot(nil)[:20])
	put(table, within(6, 0, 0, 1), 9, 1)
	put(table, within(7, 0, 0, 1), 11, 1)
	put(table, control(8, 0), 12, 1)
	f.Add(table.Snapshot(nil))
	f.Fuzz(func(t *testing.T, src []byte) {
		table, err := Load(src, 100)
		if err != nil {
			return
		}
		again, err := Load(table.Snapshot(nil), 100)
		if err != nil || string(again.Snapshot(nil)) != string(table.Snapshot(nil)) {
			t.Fatalf("what Load took does not load again: %v", err)
		}
	})
}

func BenchmarkCheckAndRecord(b *testing.B) {
	table := New(0)
	for i := range b.N {
		h := header(int64(i%1000), 0, int32(i/1000), 1)
		if _, _, err := put(table, h, int64(i), 0); err != nil {
			b.Fatal(err)
		}
	}
}
