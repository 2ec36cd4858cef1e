package producers

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
)

// open lists the open transactions of a table.
func open(t *Table) string {
	s := ""
	t.Open(func(producer int64, first stream.Offset) { s += fmt.Sprintf("%d@%d ", producer, first) })
	return s
}

func TestOpenTransactions(t *testing.T) {
	table := New(0)
	steps := []struct {
		batch *batch.Header
		open  string
	}{
		{within(1, 0, 0, 2), "1@0 "},
		{within(2, 0, 0, 2), "1@0 2@10 "},
		{within(1, 0, 2, 2), "1@0 2@10 "},
		{header(3, 0, 0, 1), "1@0 2@10 "},
		{within(3, 0, 1, 1), "1@0 2@10 3@40 "},
		{control(2, 0), "1@0 3@40 "},
		{control(2, 0), "1@0 3@40 "},
		{control(1, 1), "3@40 "},
		{within(2, 0, 2, 1), "3@40 2@80 "},
		{within(1, 1, 0, 1), "3@40 2@80 1@90 "},
	}
	for i, s := range steps {
		if _, _, err := put(table, s.batch, int64(10*i), int64(i)); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		table = reloaded(t, table)
		if got := open(table); got != s.open {
			t.Fatalf("step %d: open are %s, want %s", i, got, s.open)
		}
	}
	want := "[{1 1 0 0 90} {2 0 2 0 80} {3 0 1 -1 40}]"
	var got []string
	for _, p := range table.Producers() {
		got = append(got, fmt.Sprint(struct {
			ID    int64
			Epoch int16
			Last  int32
			Coord int32
			First stream.Offset
		}{p.ID, p.Epoch, p.LastSequence, p.CoordinatorEpoch, p.TransactionFirst}))
	}
	if fmt.Sprint(got) != want {
		t.Errorf("producers %v, want %s", got, want)
	}
	if at := table.Producers()[1].LastTimestamp; !at.Equal(time.UnixMilli(8)) {
		t.Errorf("the last sign of life was at %s", at)
	}
}

// TestOpenTransactionsAreNotForgotten: neither for silence nor for room; instead no more may begin.
func TestOpenTransactionsAreNotForgotten(t *testing.T) {
	table := New(2)
	put(table, within(1, 0, 0, 1), 0, 0)
	put(table, header(2, 0, 0, 1), 1, 0)
	put(table, within(3, 0, 0, 1), 2, 0)
	if got := open(table); got != "1@0 3@2 " || table.Len() != 2 {
		t.Fatalf("open are %s of %d producers", got, table.Len())
	}
	for _, h := range []*batch.Header{within(4, 0, 0, 1), within(2, 0, 1, 1)} {
		if _, _, err := table.Check(h); !errors.Is(err, stream.ErrTooMany) {
			t.Errorf("a third transaction of producer %d: %v", h.ProducerID, err)
		}
	}
	if _, _, err := table.Check(within(1, 0, 1, 1)); err != nil {
		t.Errorf("an open transaction goes on: %v", err)
	}
	if n := table.Expire(1000); n != 0 || open(table) != "1@0 3@2 " {
		t.Errorf("%d expired, open are %s", n, open(table))
	}
	if loaded, err := Load(table.Snapshot(nil), 1); err != nil || open(loaded) != "1@0 3@2 " {
		t.Errorf("loaded with a smaller limit: %v", err)
	}
	put(table, control(1, 0), 3, 5)
	if n := table.Expire(4); n != 0 {
		t.Errorf("the marker is a sign of life, but %d expired", n)
	}
	if n := table.Expire(5); n != 1 || open(table) != "3@2 " {
		t.Errorf("%d expired, open are %s", n, open(table))
	}
}

// TestSnapshotWithoutTransactions: who has none writes what there was before there were any, byte for byte.
func TestSnapshotWithoutTransactions(t *testing.T) {
	table := New(0)
	put(table, header(9, 1, 5, 2), 3, 7)
	want := "\x01\x01\x09\x01\x02\x0e\x01\x05\x01\x03\x0e"
	if got := string(table.Snapshot(nil)); got != want {
		t.Errorf("snapshot %x, want %x", got, want)
	}
}

// TestTransactionsAgainstModel compares the open transactions with a map.
func TestTransactionsAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := New(0)
		opened := map[int64]stream.Offset{}
		next := map[int64]int32{}
		for step := range 80 {
			id := rapid.Int64Range(0, 5).Draw(t, "producer")
			h := within(id, 0, next[id], 1)
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				h = control(id, 0)
			case 1:
				h = header(id, 0, next[id], 1)
			}
			first, isOpen := opened[id]
			_, _, err := put(table, h, int64(step), 0)
			switch {
			case h.Attributes.Control():
				delete(opened, id)
			case isOpen && !h.Attributes.Transactional():
				if !errors.Is(err, stream.ErrTransaction) {
					t.Fatalf("step %d: %v, producer %d has a transaction open since %d", step, err, id, first)
				}
				continue
			default:
				next[id]++
				if h.Attributes.Transactional() && !isOpen {
					opened[id] = stream.Offset(step)
				}
			}
			if err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
			last, n := stream.Offset(-1), 0
			table.Open(func(producer int64, first stream.Offset) {
				if first <= last || opened[producer] != first {
					t.Fatalf("step %d: producer %d is open since %d, behind %d; the model has %v", step, producer, first, last, opened)
				}
				last, n = first, n+1
			})
			if n != len(opened) {
				t.Fatalf("step %d: %d are open, the model has %v", step, n, opened)
			}
		}
	})
}
