package offsets

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/protocol/kafka/group"
	"github.com/freshet/freshet/internal/stream"
)

const (
	// compareEvery is how long what commits at one moment may have left in another order stays so.
	compareEvery = time.Second
	// maxWait is how long who reads waits for the topic to say what was committed before; then it reads what is there.
	maxWait = 5 * time.Second
	// idleAfter is how long the topic is written without anybody reading it.
	idleAfter = 24 * time.Hour
	// maxQueued bounds the offsets that wait for being written. Groups that commit more are compared: of what they have committed since, the topic says the last.
	maxQueued = 1 << 16
	// maxRound bounds the records in memory, in bytes, and maxBatch those of one batch.
	maxRound = 4 << 20
	maxBatch = 512 << 10
)

// Log is where the topic is, and the topics are that offsets are of.
type Log interface {
	Stream(ctx context.Context, name stream.Name) (*stream.Stream, error)
	StreamByID(ctx context.Context, id stream.ID) (*stream.Stream, error)
	Streams(ctx context.Context) ([]*stream.Stream, error)
	Revision() uint64
	Append(ctx context.Context, entries []stream.Append) *stream.Ticket
	Read(ctx context.Context, shard stream.Shard, from stream.Offset, maxBytes int) (stream.Chunk, error)
	Bounds(ctx context.Context, shard stream.Shard) (stream.Bounds, error)
}

// Groups tell the truth; see group.Coordinator.
type Groups interface {
	IDs() []string
	Snapshot(id string) group.Snapshot
	Offsets(ctx context.Context, id string) ([]stream.Cursor, error)
}

// Deps is what a Mirror works with.
type Deps struct {
	Log    Log
	Clock  clock.Clock
	Logger *slog.Logger
}

// Mirror makes the topic follow the groups. It is a group.Journal: its methods are safe for concurrent use, and cost next to nothing while nobody reads the
// topic.
type Mirror struct {
	Deps
	wake      chan struct{}             // has a value when there is something to do; never closed
	following atomic.Pointer[stream.ID] // of the topic that follows, nil = none does
	read      atomic.Int64              // when the topic was read last, in nanoseconds since 1970

	mu      sync.Mutex // guards what follows
	wanted  bool       // somebody reads, and the topic does not follow yet
	refused time.Time  // when it could not be made to
	queue   []commit
	queued  int             // offsets in queue
	changed map[string]bool // groups to compare
	asked   uint64          // counts what there is to do
	done    uint64          // what asked was when what is written by now was taken
	moved   chan struct{}   // closed when done grows
}

// commit is what a group has committed at once.
type commit struct {
	group   string
	cursors []stream.Cursor
}

// New returns a mirror that does nothing until Run.
func New(deps Deps) *Mirror {
	return &Mirror{Deps: deps, wake: make(chan struct{}, 1), changed: map[string]bool{}, moved: make(chan struct{})}
}

// Committed implements group.Journal.
func (m *Mirror) Committed(group string, cursors []stream.Cursor) {
	if m.following.Load() == nil || len(cursors) == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.queued+len(cursors) > maxQueued {
		m.changed[group] = true
	} else {
		m.queue = append(m.queue, commit{group, cursors})
		m.queued += len(cursors)
	}
	m.askLocked()
}

// Changed implements group.Journal.
func (m *Mirror) Changed(group string) {
	if m.following.Load() == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changed[group] = true
	m.askLocked()
}

func (m *Mirror) askLocked() {
	m.asked++
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Touch hears that somebody reads the topic, which is a stream of that id. It waits only where the topic does not follow yet.
func (m *Mirror) Touch(ctx context.Context, topic stream.ID) {
	if m.follows(topic) {
		m.read.Store(m.Clock.Now().UnixNano())
		return
	}
	m.Await(ctx, topic)
}

func (m *Mirror) follows(topic stream.ID) bool {
	id := m.following.Load()
	return id != nil && *id == topic
}

// Await returns when the topic, which is a stream of that id, says all that was committed before the call: after maxWait at the latest.
func (m *Mirror) Await(ctx context.Context, topic stream.ID) {
	m.read.Store(m.Clock.Now().UnixNano())
	timer := m.Clock.NewTimer(maxWait)
	defer timer.Stop()
	m.mu.Lock()
	if !m.follows(topic) && !m.wanted && m.Clock.Now().Sub(m.refused) >= compareEvery {
		m.wanted = true
		m.askLocked()
	}
	for target := m.asked; m.done < target; {
		moved := m.moved
		m.mu.Unlock()
		select {
		case <-moved:
		case <-timer.C():
			return
		case <-ctx.Done():
			return
		}
		m.mu.Lock()
	}
	m.mu.Unlock()
}
