package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/freshet/freshet/internal/stream"
)

// Stage says what a flow is doing.
type Stage string

const (
	Waiting  Stage = "waiting"  // not started, or another worker holds the lease
	Running  Stage = "running"  // moving records, or waiting for some
	Retrying Stage = "retrying" // the last write failed; it will be repeated
	Ended    Stage = "ended"    // Run has returned
)

// Status is what a flow has done since it was made.
type Status struct {
	Name      string
	Stage     Stage
	Batches   int64
	Records   int64 // delivered, as they are in the log
	Bytes     int64 // of their values
	Retries   int64 // failed writes
	Lost      int64 // offsets that retention took before they were read, or their stream's deletion after; and those of skipped batches
	Damaged   int64 // batches of the log whose records could not be read
	LastError string
	Delivered time.Time // when the last batch was

	LagRecords int64         // offsets between what is delivered and the end of the log
	Lag        time.Duration // age of the oldest record that is read but not delivered
}

// Status returns what the flow has done and how far it is behind. It asks the log for each shard's end.
func (f *Flow) Status(ctx context.Context) (Status, error) {
	source, err := f.deps.Log.StreamByID(ctx, f.config.Stream)
	if err != nil && !errors.Is(err, stream.ErrNotFound) {
		return Status{}, fmt.Errorf("status of flow %s: %w", f.config.Name, err)
	}
	var ends []stream.Bounds
	if err == nil {
		ends = make([]stream.Bounds, source.Shards)
		for i := range ends {
			if ends[i], err = f.deps.Log.Bounds(ctx, source.Shard(int32(i))); err != nil && !errors.Is(err, stream.ErrNotFound) {
				return Status{}, fmt.Errorf("status of flow %s: %w", f.config.Name, err)
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.status
	for i, b := range ends {
		if at, known := f.position[int32(i)]; known {
			s.LagRecords += max(0, int64(b.End-max(at, b.Start)))
		}
	}
	if !f.waiting.IsZero() {
		s.Lag = max(0, f.deps.Clock.Now().Sub(f.waiting))
	}
	return s, nil
}

func (f *Flow) setStage(s Stage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Stage = s
}

func (f *Flow) batches() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status.Batches
}

func (f *Flow) failed(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Stage, f.status.LastError = Retrying, err.Error()
}

// setWaiting records the timestamp, in milliseconds, of the oldest record that is read but not delivered. It outlives a session that fails: then
// above all somebody should see how late delivery is.
func (f *Flow) setWaiting(oldest int64, any bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = time.Time{}
	if any {
		f.waiting = time.UnixMilli(oldest)
	}
}

func (f *Flow) setPosition(shard int32, at stream.Offset) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.position[shard] = at
}

func (f *Flow) countDamaged(shard stream.Shard, offset stream.Offset, err error) {
	f.deps.Logger.Error("records cannot be read and are left out", "shard", shard.Index, "offset", offset, "error", err)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Damaged++
}

func (f *Flow) countLost(shard stream.Shard, from, to stream.Offset) {
	f.deps.Logger.Error("records were gone before they were read", "shard", shard.Index, "from", from, "to", to)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Lost += int64(to - from)
}
