package offsets

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/freshet/freshet/internal/stream"
)

// follower is what the goroutine of Run knows beside what all know.
type follower struct {
	*Mirror
	groups   Groups
	topic    *stream.Stream  // nil: the topic does not follow
	index    index           // what the topic says
	rest     map[string]bool // groups to compare when they may be at rest
	revision uint64          // Log.Revision when streams were looked at
	streams  map[stream.ID]bool
	failed   string // the last error that was logged
}

// Run makes the topic follow groups until ctx ends.
func (m *Mirror) Run(ctx context.Context, groups Groups) {
	f := &follower{Mirror: m, groups: groups}
	defer f.stop()
	for {
		select { // nobody is woken while there is nothing to follow
		case <-ctx.Done():
			return
		case <-m.wake:
			f.report(ctx, f.step(ctx, false))
		}
		if f.topic != nil {
			f.follow(ctx)
		}
	}
}

// follow follows until nobody reads any more.
func (f *follower) follow(ctx context.Context) {
	tick := f.Clock.NewTicker(compareEvery)
	defer tick.Stop()
	for f.topic != nil {
		timely := false
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		case <-tick.C():
			timely = true
		}
		f.report(ctx, f.step(ctx, timely))
	}
}

func (m *Mirror) isWanted() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.wanted
}

// report logs an error, once for as long as it stays the same: what failed is tried again each second.
func (f *follower) report(ctx context.Context, err error) {
	switch {
	case err == nil:
		f.failed = ""
	case ctx.Err() == nil && err.Error() != f.failed:
		f.failed = err.Error()
		f.Logger.Error("topic of committed offsets", "topic", Topic, "error", err)
	}
}

// step does what there is to do. Once in compareEvery it is timely, and looks whether anything was missed.
func (f *follower) step(ctx context.Context, timely bool) error {
	wanted := f.isWanted()
	if f.topic != nil && timely && f.Clock.Now().Sub(time.Unix(0, f.read.Load())) > idleAfter {
		f.Logger.Info("topic of committed offsets is not read any more, and not written until it is", "topic", Topic)
		f.stop()
		return nil
	}
	if f.topic != nil && (timely || wanted) { // who wants it may see one that was made since
		if err := f.look(ctx); err != nil {
			return err
		}
	}
	if f.topic == nil && wanted {
		if err := f.begin(ctx); err != nil || f.topic == nil {
			f.stop()
			f.mu.Lock()
			f.refused = f.Clock.Now()
			f.mu.Unlock()
			return err
		}
	}
	if f.topic == nil {
		f.stop()
		return nil
	}
	return f.write(ctx, timely)
}

// begin reads what the topic says, and has all groups compared with it. It does nothing if there is no such topic, or one of somebody's from before there
// was this one.
func (f *follower) begin(ctx context.Context) error {
	topic, err := f.Log.Stream(ctx, Topic)
	if errors.Is(err, stream.ErrNotFound) || err == nil && !Is(topic) {
		return nil
	}
	if err != nil {
		return err
	}
	began := f.Clock.Now()
	said, err := readIndex(ctx, f.Log, topic, func(s stream.Shard, err error) {
		f.Logger.Warn("topic of committed offsets is damaged; what it said there is said again", "topic", Topic, "partition", s.Index, "error", err)
	})
	if err != nil {
		return fmt.Errorf("read what it says: %w", err)
	}
	f.topic, f.index, f.rest, f.streams = topic, said, map[string]bool{}, nil
	id := topic.ID
	f.following.Store(&id) // what is committed from here on is heard of, what was before is found by comparing
	f.compareAll()
	f.Logger.Info("topic of committed offsets is read, and follows", "topic", Topic, "groups", len(said), "took", f.Clock.Now().Sub(began))
	return f.look(ctx)
}

// compareAll has every group compared, and those of which only the topic knows.
func (f *follower) compareAll() {
	ids := f.groups.IDs()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		f.changed[id] = true
	}
	for id := range f.index {
		f.changed[id] = true
	}
}

// stop lets go of the topic, and of who waits for it.
func (f *follower) stop() {
	f.leave()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wanted = false
	f.finishLocked(f.asked)
}

// leave lets go of the topic.
func (f *follower) leave() {
	f.following.Store(nil)
	f.topic, f.index, f.rest, f.streams = nil, nil, nil, nil
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue, f.queued = nil, 0
	clear(f.changed)
}

func (m *Mirror) finishLocked(done uint64) {
	m.done = done
	close(m.moved)
	m.moved = make(chan struct{})
}

// look finds out whether streams were deleted, with which cursors go, and whether the topic is one of them.
func (f *follower) look(ctx context.Context) error {
	revision := f.Log.Revision() // before the list, which may be newer than it but not older
	if f.streams != nil && revision == f.revision {
		return nil
	}
	all, err := f.Log.Streams(ctx)
	if err != nil {
		return err
	}
	now := make(map[stream.ID]bool, len(all))
	present := false
	for _, st := range all {
		now[st.ID] = true
		if st.ID == f.topic.ID {
			present, f.topic = true, st
		}
	}
	if !present {
		f.Logger.Info("topic of committed offsets was deleted, the offsets were not", "topic", Topic)
		f.leave()
		return nil
	}
	for id := range f.streams {
		if !now[id] {
			f.compareAll()
			break
		}
	}
	f.streams, f.revision = now, revision
	return nil
}

// write writes what was committed, and by what groups differ: those that have changed and, once in compareEvery, those of which anything was heard since.
func (f *follower) write(ctx context.Context, timely bool) error {
	f.mu.Lock()
	queue, changed, upTo := f.queue, f.changed, f.asked
	f.queue, f.queued, f.changed = nil, 0, map[string]bool{}
	f.mu.Unlock()
	rest := map[string]bool{} // they may have changed in between, unheard of
	for i := range queue {
		rest[queue[i].group] = true
	}
	maps.Copy(rest, changed)
	if timely {
		maps.Copy(changed, f.rest)
		clear(f.rest)
	}
	maps.Copy(f.rest, rest)
	w := &writer{follower: f, partitions: spread(f.topic)}
	if err := w.all(ctx, queue, changed); err != nil { // nothing that was taken is lost: groups are compared as a whole
		w.doubt(w.batches...)
		maps.Copy(f.rest, changed)
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wanted = f.wanted && f.asked > upTo // by who came since
	f.finishLocked(upTo)
	return nil
}
