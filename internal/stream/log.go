package stream

import (
	"context"
	"sync"
	"time"
)

// Log stores streams. All methods are safe for concurrent use; those that take a context may block on disk or network, and give up with
// the context's cause. The acceptance suite of every implementation is in package streamtest.
type Log interface {
	// Create makes a stream, readable and durable when it returns. ErrExists, ErrInvalid, ErrTooMany.
	Create(ctx context.Context, spec Spec) (*Stream, error)
	// Alter changes a stream and returns it as it then is. ErrNotFound, ErrInvalid (shards cannot shrink), ErrTooMany.
	Alter(ctx context.Context, id ID, change Change) (*Stream, error)
	// Delete removes a stream with all its records and cursors. ErrNotFound.
	Delete(ctx context.Context, id ID) error
	// Stream finds a stream by name, StreamByID by id. ErrNotFound. Both are cheap enough for every request.
	Stream(ctx context.Context, name Name) (*Stream, error)
	StreamByID(ctx context.Context, id ID) (*Stream, error)
	// Streams lists all streams by name. The slice is the caller's.
	Streams(ctx context.Context) ([]*Stream, error)
	// Revision returns a number that is another one whenever a stream was created, altered or deleted since. It costs no more than reading a
	// variable: who keeps what follows from the streams that there are asks each time whether that still holds.
	Revision() uint64

	// Append hands batches to the log and returns at once; the ticket is done when every accepted one is durable (Config.Durability) and
	// readable. Batches for one shard keep the order of the calls, also of calls from one goroutine without waiting. The log copies
	// what it needs: the bytes are the caller's again when Append returns. Each entry is accepted or refused alone; the accepted
	// ones of a call survive a crash together or not at all where the log can do that (the embedded engine does, a Kafka cluster does not).
	//
	// A transactional batch begins its producer's transaction in the shard if none is open there. Only a transaction marker ends it, and Append
	// refuses those: who may write them is the implementation's affair.
	Append(ctx context.Context, entries []Append) *Ticket

	// Read returns whole batches of a shard from the one that holds from on, up to maxBytes, the first one whatever its size. It does not
	// wait: an empty chunk says that there is no batch from there to Bounds.End. ErrOutOfRange outside [Start, End], with Bounds filled in
	// the chunk even then. A *CorruptError is of the first batch: what is before damage is returned.
	Read(ctx context.Context, shard Shard, from Offset, maxBytes int) (Chunk, error)
	// Bounds returns the limits of a shard. ErrNotFound.
	Bounds(ctx context.Context, shard Shard) (Bounds, error)
	// OffsetAt returns the first record with a timestamp of t or later, and that timestamp; ok is false if there is none.
	OffsetAt(ctx context.Context, shard Shard, t time.Time) (at Offset, timestamp time.Time, ok bool, err error)
	// Latest returns the record with the largest timestamp, the first of them; ok is false if the shard is empty.
	Latest(ctx context.Context, shard Shard) (at Offset, timestamp time.Time, ok bool, err error)
	// EpochEnd returns the largest leader epoch <= epoch that the shard knows, and the offset where the next epoch began (End for the
	// current one). An epoch before all that it knows any more ended, as far as anyone can tell, where the first of them begins. Epoch -1 and
	// offset -1 mean that there is none, as for epoch -1 and one after the current (KIP-101, KIP-320; Kafka's
	// LeaderEpochFileCache.endOffsetFor).
	EpochEnd(ctx context.Context, shard Shard, epoch int32) (int32, Offset, error)
	// Aborted returns the aborted transactions of which something lies in [from, to), ordered by First: records of their producers from First to Last
	// are not to be delivered. Those that are still open are not among them: they begin at LastStable or later. The slice is the caller's.
	Aborted(ctx context.Context, shard Shard, from, to Offset) ([]Aborted, error)
	// Producers returns what the shard remembers of producers, ordered by id, what is not durable yet included. The slice is the caller's.
	Producers(ctx context.Context, shard Shard) ([]Producer, error)
	// Trim makes before the first readable offset, and returns the start as it then is; it never moves back. before = -1 means the end.
	// ErrOutOfRange beyond the end. It may go into and beyond open transactions, which stay open.
	Trim(ctx context.Context, shard Shard, before Offset) (Offset, error)
	// Watch returns a watcher on no shards.
	Watch() Watcher

	// NewProducerID returns a producer id that was never given out before, also across restarts.
	NewProducerID(ctx context.Context) (int64, error)

	Cursors
}

// Cursors remember how far named readers have come: per owner and shard, the next offset to read.
type Cursors interface {
	// Commit stores cursors, all of them together, durable when it returns. A cursor of a shard that does not exist fails the call with ErrNotFound.
	Commit(ctx context.Context, owner string, cursors []Cursor) error
	// Committed returns the owner's cursors, ordered by stream id and shard; none is not an error.
	Committed(ctx context.Context, owner string) ([]Cursor, error)
	// Forget removes the owner's cursors on shards, or all of them if shards is nil.
	Forget(ctx context.Context, owner string, shards []Shard) error
	// Owners lists everyone with a cursor whose name begins with prefix, in order.
	Owners(ctx context.Context, prefix string) ([]string, error)
}

// Cursor is one reader's position in one shard.
type Cursor struct {
	Shard     Shard
	Next      Offset // the next offset to read
	Epoch     int32  // leader epoch of the last record read, or -1
	Metadata  string // the owner's remark
	Committed time.Time
	// Retention overrides how long the cursor outlives its owner's last sign of life; 0 = the owner's default. Kept, not enforced, by the log.
	Retention time.Duration
}

// Append is one batch for one shard. The batch is a complete record batch v2; the log assigns its base offset and leader epoch, and for
// LogAppendTime its timestamp, in its own copy.
type Append struct {
	Shard Shard
	Batch []byte
}

// Appended is what became of one Append.
type Appended struct {
	Base      Offset    // offset of the first record
	Start     Offset    // the shard's first readable offset
	Time      time.Time // when the log took it, if its stream has LogAppendTime; else zero
	Duplicate bool      // an idempotent producer's repeat of a batch the log has: Base is the old one
	// Err is ErrNotFound, ErrInvalid, ErrTooLarge, ErrTimestamp, ErrFenced, ErrOutOfOrder, ErrStale, ErrTransaction (a batch outside of the transaction
	// that its producer has open here), ErrCoordinator, ErrTooMany (open transactions), ErrFull, ErrClosed; or a *batch.Error.
	Err error
}

// Ticket is the receipt of an Append call.
type Ticket struct {
	done    chan struct{}
	results []Appended
	revise  func([]Appended)
	revised sync.Once
}

// NewTicket returns a ticket for n entries; only a Log makes one. Whoever calls it fills Results, then calls Finish once.
func NewTicket(n int) *Ticket {
	return &Ticket{done: make(chan struct{}), results: make([]Appended, n)}
}

// Done is closed when the results are final.
func (t *Ticket) Done() <-chan struct{} { return t.done }

// Results returns one result per entry of the call, in its order; valid after Done.
func (t *Ticket) Results() []Appended {
	if t.revise != nil {
		t.revised.Do(func() { t.revise(t.results) })
	}
	return t.results
}

// Revise has f change the results before their first reader sees them; only a Log on a Log does that, before it hands the ticket on.
func (t *Ticket) Revise(f func([]Appended)) { t.revise = f }

// Finish makes the results final.
func (t *Ticket) Finish() { close(t.done) }

// Wait returns the results when they are final. If ctx ends first it returns its cause: the append goes on all the same.
func (t *Ticket) Wait(ctx context.Context) ([]Appended, error) {
	select {
	case <-t.done:
		return t.Results(), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Chunk is what one Read found. Batches must not be written to, and not be read after Release.
type Chunk struct {
	Bounds  Bounds
	Batches [][]byte // one whole record batch each, ascending; the first may begin before the offset asked for

	release func()
}

// NewChunk returns a chunk whose memory goes back through release, which may be nil; only a Log makes one.
func NewChunk(bounds Bounds, batches [][]byte, release func()) Chunk {
	return Chunk{Bounds: bounds, Batches: batches, release: release}
}

// Release gives the chunk's memory back. Calling it on an empty chunk, or twice on the same variable, does nothing.
func (c *Chunk) Release() {
	if c.release != nil {
		c.release()
		c.release = nil
	}
	c.Batches = nil
}

// Bytes returns the size of the chunk's batches.
func (c *Chunk) Bytes() int {
	n := 0
	for _, b := range c.Batches {
		n += len(b)
	}
	return n
}

// Watcher collects the shards whose bounds have moved, as epoll collects descriptors: a reader of many shards waits without asking each.
// A shard is reported once per Take however often it moved; a shard just added is reported at once, so that no append between a Read
// and Add is missed. Deleting a stream reports its shards. Safe for concurrent use.
type Watcher interface {
	Add(shards ...Shard)
	Remove(shards ...Shard)
	// Ready has a value when Take has something to return.
	Ready() <-chan struct{}
	// Take appends the shards that moved since the last Take to into and returns it.
	Take(into []Shard) []Shard
	// Close ends the watching; Ready never fires again.
	Close()
}
