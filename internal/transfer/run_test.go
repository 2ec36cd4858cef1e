package transfer

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// simulated is a partition of a source with gaps, and what came of it at the target, by kills and plans.
type simulated struct {
	rnd    *rand.Rand
	source []int64 // offsets of its records; compaction takes some away
	end    int64
	placed []int64 // offsets at the source of the target's records
	ledger []run
}

func (s *simulated) origin() run {
	o := origin{next: int64(len(s.placed))}
	for _, r := range s.ledger {
		o.see(r)
	}
	return o.run
}

// attempt plans runs and places records, as a lane does, until it is killed in between or all is copied.
func (s *simulated) attempt() {
	r := s.origin()
	next := r.sourceOf(int64(len(s.placed)))
	rest := s.source[lower(s.source, next):]
	for len(rest) > 0 {
		some := rest[:min(len(rest), 1+s.rnd.IntN(20))]
		rest = rest[len(some):]
		for i, offset := range some {
			if at := int64(len(s.placed) + i); r.sourceOf(at) != offset {
				r = run{offset, at}
				s.ledger = append(s.ledger, r)
			}
		}
		if s.rnd.IntN(4) == 0 { // killed, with a part of it placed
			s.placed = append(s.placed, some[:s.rnd.IntN(len(some)+1)]...)
			return
		}
		s.placed = append(s.placed, some...)
	}
}

// compact takes away records that are not placed yet, or are: what is placed stays at the target.
func (s *simulated) compact() {
	s.source = slices.DeleteFunc(s.source, func(int64) bool { return s.rnd.IntN(30) == 0 })
}

func lower(sorted []int64, offset int64) int {
	i, _ := slices.BinarySearch(sorted, offset)
	return i
}

// TestOffsetsAreFoundAgain: whatever is killed and compacted in between, each record is copied once, and each offset of a group becomes that of
// the first record at or behind it.
func TestOffsetsAreFoundAgain(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 500 {
		s := &simulated{rnd: rnd}
		density := 1 + rnd.IntN(10)
		for s.end = int64(rnd.IntN(3) * 1000); len(s.source) < 200; s.end++ {
			if rnd.IntN(10) < density {
				s.source = append(s.source, s.end)
			}
		}
		for len(s.source) > 0 && (len(s.placed) == 0 || s.placed[len(s.placed)-1] < s.source[len(s.source)-1]) {
			s.attempt()
			s.compact()
		}
		if !slices.IsSorted(s.placed) || len(slices.Compact(slices.Clone(s.placed))) != len(s.placed) {
			t.Fatalf("placed %v", s.placed)
		}
		for _, offset := range s.source {
			if _, is := slices.BinarySearch(s.placed, offset); !is {
				t.Fatalf("the record at %d is missing", offset)
			}
		}
		for wanted := int64(0); wanted <= s.end; wanted++ {
			tr := translation{wanted: wanted}
			for _, r := range s.ledger {
				tr.see(r)
			}
			if got, want := tr.offset(int64(len(s.placed))), int64(lower(s.placed, wanted)); got != want {
				t.Fatalf("offset %d became %d, want %d; placed %v, ledger %v", wanted, got, want, s.placed, s.ledger)
			}
		}
	}
}
