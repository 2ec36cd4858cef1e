// Package flowtest tests flows and what they write to: Run is the acceptance suite of a flow.Sink, Sink keeps batches in memory and fails on
// demand, Killer ends the process at a chosen step.
//
// It refuses to judge: what must hold after a kill is the test's to say, with Once for one.
package flowtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/freshet/freshet/internal/flow"
)

// Sink is a flow.Sink in memory: what was written last under an ID counts. The zero value is ready. Safe for concurrent use.
type Sink struct {
	// Before and After, if set, are called around the storing of each batch with the number of the attempt, from 0 over all batches; an error
	// fails the write. An error of After is that of a sink which stored the batch and could not say so.
	Before, After func(ctx context.Context, attempt int, b *flow.Batch) error

	mu       sync.Mutex // guards the fields below
	attempts int
	open     bool
	order    []string // ids as they were first stored
	batches  map[string]Stored
}

// Stored is a batch that was written.
type Stored struct {
	Label  string
	Ranges []flow.Range
	Values []string
	Times  int // how often it was stored
}

// ErrNotConnected answers a Write before Connect or after Close.
var ErrNotConnected = errors.New("sink is not connected")

// Connect implements flow.Sink.
func (s *Sink) Connect(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = true
	return nil
}

// Close implements flow.Sink.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = false
	return nil
}

// Write implements flow.Sink.
func (s *Sink) Write(ctx context.Context, b *flow.Batch) error {
	attempt, err := s.begin()
	if err != nil {
		return err
	}
	if s.Before != nil {
		if err := s.Before(ctx, attempt, b); err != nil {
			return err
		}
	}
	var values []string
	err = b.Each(ctx, func(r *flow.Record) error {
		values = append(values, string(r.Value))
		return nil
	})
	if err != nil {
		return err
	}
	s.store(b, values)
	if s.After != nil {
		return s.After(ctx, attempt, b)
	}
	return nil
}

func (s *Sink) begin() (attempt int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		return 0, ErrNotConnected
	}
	s.attempts++
	return s.attempts - 1, nil
}

func (s *Sink) store(b *flow.Batch, values []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.batches == nil {
		s.batches = map[string]Stored{}
	}
	old, again := s.batches[b.ID]
	if !again {
		s.order = append(s.order, b.ID)
	}
	s.batches[b.ID] = Stored{b.Label, b.Ranges, values, old.Times + 1}
}

// Attempts returns how often Write was called.
func (s *Sink) Attempts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attempts
}

// Batches returns what is stored, in the order of the first writing.
func (s *Sink) Batches() []Stored {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Stored
	for _, id := range s.order {
		all = append(all, s.batches[id])
	}
	return all
}

// Values returns the values of all batches, in order.
func (s *Sink) Values() []string {
	var all []string
	for _, b := range s.Batches() {
		all = append(all, b.Values...)
	}
	return all
}

// Once returns an error that names values which are not in got exactly once, or are in it and not in want.
func Once(got, want []string) error {
	times := map[string]int{}
	for _, v := range want {
		times[v] = 0
	}
	var wrong []string
	for _, v := range got {
		if _, known := times[v]; !known {
			wrong = append(wrong, v+" nobody wrote")
		}
		times[v]++
	}
	for _, v := range slices.Sorted(maps.Keys(times)) {
		if n := times[v]; n != 1 {
			wrong = append(wrong, fmt.Sprintf("%s %d times", v, n))
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%d of %d values: %q", len(wrong), len(want), wrong[:min(len(wrong), 10)])
	}
	return nil
}
