package txn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/protocol/kafka/deadline"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// kind is that of a transactional id's document, whose id it is.
const kind = "kafka-transaction"

// Log is what the coordinator needs of the log.
type Log interface {
	Streams(ctx context.Context) ([]*stream.Stream, error)
	StreamByID(ctx context.Context, id stream.ID) (*stream.Stream, error)
	Producers(ctx context.Context, shard stream.Shard) ([]stream.Producer, error)
	NewProducerID(ctx context.Context) (int64, error)
	// Transact makes all of it durable and readable, or nothing. stream.ErrNotFound if there is no such shard, stream.ErrFenced and
	// stream.ErrCoordinator for markers of a producer that the shard knows a newer epoch or coordinator of.
	Transact(ctx context.Context, entries []stream.Append, cursors []stream.OwnedCursors, changes []state.Change) ([]stream.Appended, []int64, error)
}

// Groups is what the coordinator needs of consumer groups.
type Groups interface {
	// Committing calls f, which commits cursors of groups, so that nobody removes any of these groups' meanwhile.
	Committing(owned []stream.OwnedCursors, f func() error) error
	// Owner returns whose cursors a group's offsets are.
	Owner(group string) string
}

// Deps is what a Coordinator works with.
type Deps struct {
	Log    Log
	Groups Groups
	Store  state.Store
	Clock  clock.Clock
	Logger *slog.Logger
}

// Coordinator keeps all transactional ids of a node. Its methods are safe for concurrent use; they return *kerr.Error for what a client did wrong,
// and other errors when the log or the store failed: then nothing has changed, and the client may ask again.
type Coordinator struct {
	config Config
	Deps

	// mu guards what follows. It may be taken while an entry's lock is held, never the other way around.
	mu      sync.Mutex
	entries map[string]*entry
	open    *deadline.Queue[*entry]         // when transactions that are open are aborted
	staged  map[string]map[stream.Shard]int // per group, how many transactions have an offset of the shard staged
	bytes   int64
}

// entry is one transactional id. Its lock is held for writing while the Txn changes, until the change is on the disk, and for reading around a look at
// it and what depends on that: so no batch of a transaction comes to lie behind the marker that ends it.
type entry struct {
	id string

	mu   sync.RWMutex
	txn  Txn
	gone bool // not in Coordinator.entries any more

	// Guarded by the coordinator's mu.
	bytes    int64                  // in Coordinator.bytes
	deadline deadline.Timer[*entry] // in Coordinator.open
}

func newEntry(id string, t Txn) *entry {
	e := &entry{id: id, txn: t}
	e.deadline.Of = e
	return e
}

// New returns a coordinator with all transactional ids that were kept.
func New(ctx context.Context, config Config, deps Deps) (*Coordinator, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	c := &Coordinator{
		config: config.WithDefaults(), Deps: deps,
		entries: map[string]*entry{}, open: deadline.NewQueue[*entry](), staged: map[string]map[stream.Shard]int{},
	}
	docs, err := c.Store.List(ctx, kind, "")
	if err != nil {
		return nil, fmt.Errorf("load transactions: %w", err)
	}
	for _, d := range docs {
		t, err := Decode(d.Value)
		if err != nil {
			return nil, fmt.Errorf("load transactional id %q: %w", d.ID, err)
		}
		c.entries[d.ID] = newEntry(d.ID, t)
	}
	return c, c.reopen(ctx)
}

// reopen finds, for the producers of all transactional ids, the shards where the log has a transaction of theirs open.
func (c *Coordinator) reopen(ctx context.Context) error {
	if len(c.entries) == 0 {
		return nil
	}
	byProducer := make(map[Producer]*entry, len(c.entries))
	for _, e := range c.entries {
		byProducer[Producer{e.txn.ProducerID, e.txn.Epoch}] = e
	}
	streams, err := c.Log.Streams(ctx)
	if err != nil {
		return fmt.Errorf("load transactions: %w", err)
	}
	found := map[*entry][]stream.Shard{}
	for _, s := range streams {
		for i := range s.Shards {
			if err := c.findOpen(ctx, s, i, byProducer, found); err != nil {
				return err
			}
		}
	}
	now := c.Clock.Now()
	for _, e := range c.entries {
		e.txn.Reopen(now, found[e], c.config.RestoreGrace)
		c.settle(e, Txn{})
	}
	return nil
}

func (c *Coordinator) findOpen(ctx context.Context, s *stream.Stream, i int32, of map[Producer]*entry, found map[*entry][]stream.Shard) error {
	producers, err := c.Log.Producers(ctx, s.Shard(i))
	if errors.Is(err, stream.ErrNotFound) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return fmt.Errorf("load transactions of %s shard %d: %w", s.Name, i, err)
	}
	for _, p := range producers {
		if p.TransactionFirst < 0 {
			continue
		}
		e := of[Producer{p.ID, p.Epoch}]
		if e == nil {
			c.Logger.Warn("a transaction hangs: no transactional id has its producer",
				"topic", s.Name, "partition", i, "producer", p.ID, "epoch", p.Epoch, "offset", p.TransactionFirst)
			continue
		}
		found[e] = append(found[e], s.Shard(i))
	}
	return nil
}

// checkID refuses what is no transactional id.
func checkID(id string) error {
	if id == "" || len(id) > MaxIDBytes || !utf8.ValidString(id) {
		return kerr.InvalidRequest
	}
	return nil
}

// lock returns the entry of id, its lock held for writing, for reading if shared. Without create, nil if there is none.
func (c *Coordinator) lock(id string, shared, create bool) (*entry, error) {
	for {
		c.mu.Lock()
		e := c.entries[id]
		if e == nil && create {
			if len(c.entries) >= c.config.MaxIDs {
				c.mu.Unlock()
				c.Logger.Warn("transactional id refused: the node has its maximum of them", "transactional_id", id, "ids", c.config.MaxIDs)
				return nil, kerr.PolicyViolation
			}
			e = newEntry(id, Unused())
			c.entries[id] = e
		}
		c.mu.Unlock()
		if e == nil {
			return nil, nil
		}
		if shared {
			e.mu.RLock()
		} else {
			e.mu.Lock()
		}
		if !e.gone {
			return e, nil
		}
		e.unlock(shared)
	}
}

func (e *entry) unlock(shared bool) {
	if shared {
		e.mu.RUnlock()
	} else {
		e.mu.Unlock()
	}
}

// change lets f decide on a step of transactional id id, and takes it: when change returns without an error it is on the disk. It returns the
// producer that is then the id's. INVALID_PRODUCER_ID_MAPPING if there is no such id, unless create makes it.
func (c *Coordinator) change(ctx context.Context, id string, create bool, f func(t *Txn, now time.Time) (Step, error)) (Producer, error) {
	nobody := Producer{ID: none, Epoch: none}
	if err := checkID(id); err != nil {
		return nobody, err
	}
	e, err := c.lock(id, false, create)
	if err != nil {
		return nobody, err
	}
	if e == nil {
		return nobody, kerr.InvalidProducerIDMapping
	}
	defer e.mu.Unlock()
	step, err := f(&e.txn, c.Clock.Now())
	if err == nil {
		err = c.take(ctx, e, step)
	}
	if e.txn.ProducerID == none {
		c.forget(e) // nothing was kept of it
	}
	if err != nil {
		return nobody, err
	}
	return Producer{e.txn.ProducerID, e.txn.Epoch}, nil
}

// take makes a step e's, durably. The end of ctx does not end it: what has become of it would not be known. The caller holds e's lock.
func (c *Coordinator) take(ctx context.Context, e *entry, step Step) error {
	if !step.Save {
		return nil
	}
	if err := c.makeRoom(e, &step.Next); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if step.Next.ProducerID == fresh {
		id, err := c.Log.NewProducerID(ctx)
		if err != nil {
			return err
		}
		step.Next.ProducerID = id
	}
	value, err := step.Next.Encode()
	if err != nil {
		return err
	}
	change := state.Change{Key: state.Key{Kind: kind, ID: e.id}, If: state.Any, Value: value}
	if step.End == nil {
		_, err = c.Store.Apply(ctx, change)
	} else {
		err = c.end(ctx, e, step.End, change)
	}
	if err != nil {
		return err
	}
	before := e.txn
	e.txn = step.Next
	c.settle(e, before)
	return nil
}

// makeRoom refuses what next would take beyond the bounds.
func (c *Coordinator) makeRoom(e *entry, next *Txn) error {
	bytes := next.Bytes()
	c.mu.Lock()
	defer c.mu.Unlock()
	if bytes > e.bytes && (bytes > c.config.MaxTransactionBytes || c.bytes-e.bytes+bytes > c.config.MaxBytes) {
		c.Logger.Warn("transaction refused: its partitions and offsets take too much memory", "transactional_id", e.id, "bytes", bytes, "all", c.bytes)
		return kerr.PolicyViolation
	}
	return nil
}

// settle accounts for what has become of e, which was before until now.
func (c *Coordinator) settle(e *entry, before Txn) {
	bytes, at := e.txn.Bytes(), e.txn.Deadline()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes += bytes - e.bytes
	e.bytes = bytes
	for o := range before.Offsets {
		if c.staged[o.Group][o.Shard]--; c.staged[o.Group][o.Shard] == 0 {
			delete(c.staged[o.Group], o.Shard)
		}
		if len(c.staged[o.Group]) == 0 {
			delete(c.staged, o.Group)
		}
	}
	for o := range e.txn.Offsets {
		if c.staged[o.Group] == nil {
			c.staged[o.Group] = map[stream.Shard]int{}
		}
		c.staged[o.Group][o.Shard]++
	}
	c.open.Set(&e.deadline, at)
}

// forget takes e out of the coordinator. The caller holds its lock.
func (c *Coordinator) forget(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[e.id] == e {
		delete(c.entries, e.id)
	}
	e.gone = true
}
