package listappend

import (
	"strings"
	"testing"
	"time"
)

// at is a moment of a made-up history.
func at(second int) time.Time { return time.Unix(1_000_000+int64(second), 0) }

// TestCheckFinds plants each fault in a history that is right without it.
func TestCheckFinds(t *testing.T) {
	type world struct {
		transactions []*Transaction
		reads        []*Read
		final        map[int32][]string
	}
	for _, row := range []struct {
		name  string
		plant func(w *world)
		want  string // in one of the faults; "" = none
	}{
		{"nothing", func(*world) {}, ""},
		{"a lost word", func(w *world) { w.final[1] = w.final[1][:1] }, "was committed, and 1 of its 2"},
		{"an aborted word", func(w *world) { w.final[0] = append(w.final[0], "b0") }, "was aborted, and 1 of its 1"},
		{"a torn one of unknown outcome", func(w *world) { w.final[1] = append(w.final[1], "c1") }, "is torn"},
		{"all of one of unknown outcome", func(w *world) {
			w.final[0], w.final[1] = append(w.final[0], "c0"), append(w.final[1], "c1")
		}, ""},
		{"a word twice", func(w *world) { w.final[1] = append(w.final[1], "a1") }, "is there twice"},
		{"a word of nobody", func(w *world) { w.final[1] = append(w.final[1], "x") }, "never sent"},
		{"another order", func(w *world) { w.final[0] = []string{"d0", "a0"} }, "behind what was sent after it"},
		{"something that was taken back", func(w *world) { w.reads[0].Words = []string{"b0"} }, "not there in the end"},
		{"a stale read", func(w *world) { w.reads[2].Words = nil }, "which transaction 0 committed before"},
		{"a read that another transaction holds up", func(w *world) {
			w.reads[2].Words = nil
			w.transactions[2].Began = at(0)
		}, ""},
		{"a read that forgets", func(w *world) {
			w.reads[3].Words, w.reads[3].Partition, w.reads[3].Began = nil, 0, at(0)
		}, "an earlier one had"},
		{"half of a transaction", func(w *world) {
			w.reads[2].Began, w.reads[3].Began, w.reads[3].Words = at(0), at(0), nil
		}, "has seen another part"},
		{"its own word", func(w *world) { w.transactions[3].Saw, w.reads[2].Words = []int{2}, []string{"a0", "d0"} }, "saw its own"},
		{"what came later", func(w *world) { w.transactions[0].Saw, w.reads[2].Words = []int{2}, []string{"a0", "d0"} }, "which began after it had ended"},
		{"a circle", func(w *world) {
			w.transactions[0].Ended = at(20)
			w.transactions[0].Saw, w.reads[2].Words = []int{2}, []string{"a0", "d0"}
			w.transactions[3].Saw = []int{3}
			w.transactions[0].Appends = map[int32][]string{0: {"a0"}, 1: {"a1"}}
		}, "circle"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := &world{
				transactions: []*Transaction{
					{ID: 0, Client: "x", Appends: map[int32][]string{0: {"a0"}, 1: {"a1"}}, Began: at(1), Ended: at(2), Outcome: Committed},
					{ID: 1, Client: "x", Appends: map[int32][]string{0: {"b0"}}, Began: at(3), Ended: at(4), Outcome: Aborted},
					{ID: 2, Client: "y", Appends: map[int32][]string{0: {"c0"}, 1: {"c1"}}, Began: at(-100), Outcome: Unknown},
					{ID: 3, Client: "x", Appends: map[int32][]string{0: {"d0"}, 1: {"d1"}}, Began: at(10), Ended: at(11), Outcome: Committed},
				},
				reads: []*Read{
					{ID: 0, Session: 1, Partition: 0, Began: at(0)},
					{ID: 1, Session: 1, Partition: 1, Words: []string{"a1"}, Began: at(1)},
					{ID: 2, Session: 2, Partition: 0, Words: []string{"a0"}, Began: at(5)},
					{ID: 3, Session: 2, Partition: 1, Words: []string{"a1"}, Began: at(6)},
				},
				final: map[int32][]string{0: {"a0", "d0"}, 1: {"a1", "d1"}},
			}
			row.plant(w)
			_, wrong := Check(w.transactions, w.reads, w.final)
			found := strings.Join(wrong, "\n")
			if row.want == "" && found != "" || !strings.Contains(found, row.want) {
				t.Errorf("found %q, want %q", found, row.want)
			}
		})
	}
}
