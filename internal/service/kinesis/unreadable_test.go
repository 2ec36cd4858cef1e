package kinesis

import (
	"testing"

	"github.com/freshet/freshet/internal/stream"
)

func TestUnreadableIsBounded(t *testing.T) {
	var u unreadable
	at := func(i int) batchPlace { return batchPlace{base: stream.Offset(i)} }
	for i := range 2*maxUnreadable + 10 {
		if u.add(at(i), false) {
			t.Fatalf("batch %d is known before it was met", i)
		}
	}
	if len(u.opens) != maxUnreadable || len(u.order) != maxUnreadable {
		t.Errorf("%d and %d batches are remembered, want %d", len(u.opens), len(u.order), maxUnreadable)
	}
	for i, want := range map[int]bool{maxUnreadable + 9: false, maxUnreadable + 10: true, 2*maxUnreadable + 9: true} {
		if got := u.passes(at(i)); got != want {
			t.Errorf("batch %d is passed: %v, want %v", i, got, want)
		}
	}
	if !u.add(at(maxUnreadable+10), false) {
		t.Error("a batch that is remembered is not known")
	}
}
