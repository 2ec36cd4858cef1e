package engine

import (
	"context"
	"fmt"
	"maps"
	"sort"

	"github.com/freshet/freshet/internal/stream"
)

// Create implements stream.Log.
func (e *Engine) Create(ctx context.Context, spec stream.Spec) (*stream.Stream, error) {
	if err := spec.Name.Check(); err != nil {
		return nil, err
	}
	if spec.Shards < 1 || spec.Shards > maxShards {
		return nil, fmt.Errorf("%w: %d shards, a stream has 1 to %d", stream.ErrInvalid, spec.Shards, maxShards)
	}
	if err := checkConfig(&spec.Config); err != nil {
		return nil, err
	}
	e.admin.Lock()
	defer e.admin.Unlock()
	if _, err := e.Stream(ctx, spec.Name); err == nil {
		return nil, fmt.Errorf("%w: stream %s", stream.ErrExists, spec.Name)
	}
	if err := e.checkShards(spec.Shards); err != nil {
		return nil, err
	}
	id, err := stream.NewID(e.cfg.Random)
	if err != nil {
		return nil, err
	}
	s := &stream.Stream{
		ID: id, Name: spec.Name, Shards: spec.Shards, Config: spec.Config, Labels: maps.Clone(spec.Labels), Created: e.cfg.Clock.Now(),
	}
	return s, e.proposeAll(ctx, false, &streamChange{s})
}

// checkShards says whether there may be so many shards more. The caller holds admin.
func (e *Engine) checkShards(more int32) error {
	e.view.RLock()
	have := len(e.tables.shards)
	e.view.RUnlock()
	if more > 0 && have+int(more) > e.cfg.MaxShards {
		return fmt.Errorf("%w: there are %d, %d more are asked for, and there may be %d in all (max-shards)", stream.ErrTooMany, have, more, e.cfg.MaxShards)
	}
	return nil
}

// proposeAll is propose for callers that hold admin: it does not return before the changes are published or refused, whatever ctx does, since
// the next holder relies on the tables.
func (e *Engine) proposeAll(ctx context.Context, urgent bool, changes ...change) error {
	return e.propose(context.WithoutCancel(ctx), urgent, changes...)
}

func checkConfig(c *stream.Config) error {
	switch {
	case c.MaxBatchBytes < 0 || c.MaxBatchBytes > stream.MostBatchBytes:
		return fmt.Errorf("%w: largest batch of %d bytes is not between 0 and %d", stream.ErrInvalid, c.MaxBatchBytes, stream.MostBatchBytes)
	case c.Timestamps != stream.CreateTime && c.Timestamps != stream.LogAppendTime:
		return fmt.Errorf("%w: timestamp type %d is unknown", stream.ErrInvalid, c.Timestamps)
	case c.TimestampBefore < 0 || c.TimestampAfter < 0:
		return fmt.Errorf("%w: timestamp bounds %s and %s must not be negative", stream.ErrInvalid, c.TimestampBefore, c.TimestampAfter)
	case c.Durability != stream.Fsync && c.Durability != stream.OS:
		return fmt.Errorf("%w: durability %d is unknown", stream.ErrInvalid, c.Durability)
	}
	return nil
}

// Alter implements stream.Log.
func (e *Engine) Alter(ctx context.Context, id stream.ID, change stream.Change) (*stream.Stream, error) {
	e.admin.Lock()
	defer e.admin.Unlock()
	old, err := e.StreamByID(ctx, id)
	if err != nil {
		return nil, err
	}
	s := *old
	if change.Shards != nil {
		if *change.Shards < s.Shards || *change.Shards > maxShards {
			return nil, fmt.Errorf("%w: %d shards, stream %s has %d and may have up to %d", stream.ErrInvalid, *change.Shards, s.Name, s.Shards, maxShards)
		}
		if err := e.checkShards(*change.Shards - s.Shards); err != nil {
			return nil, err
		}
		s.Shards = *change.Shards
	}
	if change.Config != nil {
		if err := checkConfig(change.Config); err != nil {
			return nil, err
		}
		s.Config = *change.Config
	}
	if change.Labels != nil {
		s.Labels = maps.Clone(change.Labels)
	}
	return &s, e.proposeAll(ctx, false, &streamChange{&s})
}

// Delete implements stream.Log.
func (e *Engine) Delete(ctx context.Context, id stream.ID) error {
	e.admin.Lock()
	defer e.admin.Unlock()
	s, err := e.StreamByID(ctx, id)
	if err != nil {
		return err
	}
	e.view.RLock()
	shards := make([]*shard, 0, s.Shards)
	for i := range s.Shards {
		shards = append(shards, e.tables.shards[s.Shard(i)])
	}
	e.view.RUnlock()
	leave := func(gone bool) {
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, sh := range shards {
			sh.gone = gone
		}
	}
	leave(true) // from here on no batch can get behind the deletion
	if err := e.proposeAll(ctx, true, &deletion{id}); err != nil {
		leave(false)
		return err
	}
	e.tend()
	return nil
}

// Stream implements stream.Log.
func (e *Engine) Stream(_ context.Context, name stream.Name) (*stream.Stream, error) {
	e.view.RLock()
	defer e.view.RUnlock()
	if s := e.tables.names[name]; s != nil {
		return s, nil
	}
	return nil, e.noStreamLocked(name)
}

// StreamByID implements stream.Log.
func (e *Engine) StreamByID(_ context.Context, id stream.ID) (*stream.Stream, error) {
	e.view.RLock()
	defer e.view.RUnlock()
	if s := e.tables.streams[id]; s != nil {
		return s, nil
	}
	return nil, e.noStreamLocked(id)
}

// Streams implements stream.Log.
func (e *Engine) Streams(context.Context) ([]*stream.Stream, error) {
	e.view.RLock()
	if err := e.closedLocked(); err != nil {
		e.view.RUnlock()
		return nil, err
	}
	all := make([]*stream.Stream, 0, len(e.tables.streams))
	for _, s := range e.tables.streams {
		all = append(all, s)
	}
	e.view.RUnlock()
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all, nil
}

// Revision implements stream.Log.
func (e *Engine) Revision() uint64 {
	e.view.RLock()
	defer e.view.RUnlock()
	return e.tables.revision
}

// producerIDStep is how many producer ids are reserved with one write: a crash wastes as many.
const producerIDStep = 1000

// NewProducerID implements stream.Log.
func (e *Engine) NewProducerID(ctx context.Context) (int64, error) {
	e.admin.Lock()
	defer e.admin.Unlock()
	if e.nextID == e.lastID {
		if err := e.proposeAll(ctx, false, &producerIDs{next: e.lastID + producerIDStep}); err != nil {
			return 0, err
		}
		e.lastID += producerIDStep
	}
	id := e.nextID
	e.nextID++
	return id, nil
}

// closedLocked returns stream.ErrClosed after Close. Its callers, and those of the two below, hold view.
func (e *Engine) closedLocked() error {
	if e.closed {
		return stream.ErrClosed
	}
	return nil
}

func (e *Engine) noShardLocked(id stream.Shard) error {
	if e.closed {
		return stream.ErrClosed
	}
	return fmt.Errorf("%w: shard %d of stream %s", stream.ErrNotFound, id.Index, id.Stream)
}

func (e *Engine) noStreamLocked(what any) error {
	if e.closed {
		return stream.ErrClosed
	}
	return fmt.Errorf("%w: stream %s", stream.ErrNotFound, what)
}
