package txn

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/stream"
)

// State is where a transactional id stands. The values are the names that ListTransactions and DescribeTransactions show.
type State string

// The states that a transactional id can be in here.
//
//	        first partition or group              EndTxn, time, a new producer
//	Empty ───────────────────────────▶ Ongoing ───────────────────────────────▶ CompleteCommit, CompleteAbort
//	  ▲                                   ▲                                         │            │
//	  └───────────────────────────────────┼───────── InitProducerId ────────────────┘            │
//	                                      └───────── first partition or group ───────────────────┘
const (
	Empty          State = "Empty"
	Ongoing        State = "Ongoing"
	CompleteCommit State = "CompleteCommit"
	CompleteAbort  State = "CompleteAbort"
)

// Known says whether name is a state that Apache Kafka has, whether or not anything can be in it here.
func Known(name string) bool {
	return slices.Contains([]string{
		string(Empty), string(Ongoing), "PrepareCommit", "PrepareAbort", string(CompleteCommit), string(CompleteAbort), "Dead", "PrepareEpochFence",
	}, name)
}

const (
	none = -1 // no producer id, no epoch
	// fresh stands for a producer id that was never given out: whoever takes a Step with it puts one in its place.
	fresh = -2
	// lastEpoch is the highest epoch that a producer is given. One more can be written in markers.
	lastEpoch = math.MaxInt16 - 1
)

// Txn is one transactional id. A Txn that was handed out is not changed any more, but for what Join adds.
type Txn struct {
	State      State
	ProducerID int64
	Epoch      int16
	// PreviousID is the producer id before the present one, whose epochs were used up: a client may still ask in its name. LastEpoch is the epoch
	// before the present one if the same client may know it, -1 otherwise.
	PreviousID int64
	LastEpoch  int16
	Timeout    time.Duration
	Started    time.Time // when the transaction that is open, or was last, began; zero if there was none since the producer began
	Updated    time.Time // when something last happened

	// What the open transaction has touched.
	Shards  map[stream.Shard]struct{}
	Groups  map[string]struct{}
	Offsets map[Offset]stream.Cursor // what the groups will have read if it commits

	spared time.Time // the open transaction's time is not over before; see Reopen
}

// Offset names a group's position in a shard.
type Offset struct {
	Group string
	Shard stream.Shard
}

// Producer is who a client says it is.
type Producer struct {
	ID    int64
	Epoch int16
}

// Step is what comes of a request that is granted.
type Step struct {
	Next Txn
	// Save says that Next has to be kept before the answer leaves; without it nothing has changed.
	Save bool
	// End ends the open transaction of the Txn before this step.
	End *End
}

// End is how a transaction ends: with a marker in each of its shards. Marker.ID and Epoch go into these.
type End struct {
	Commit bool
	Marker Producer
}

// Unused returns a transactional id that nobody has used.
func Unused() Txn {
	return Txn{State: Empty, ProducerID: none, Epoch: none, PreviousID: none, LastEpoch: none}
}

// clone returns a copy that can be changed.
func (t *Txn) clone() Txn {
	n := *t
	n.Shards, n.Groups, n.Offsets = maps.Clone(t.Shards), maps.Clone(t.Groups), maps.Clone(t.Offsets)
	return n
}

// Touched returns the shards of the open transaction in order.
func (t *Txn) Touched() []stream.Shard {
	return slices.SortedFunc(maps.Keys(t.Shards), compareShards)
}

func compareShards(a, b stream.Shard) int {
	if c := slices.Compare(a.Stream[:], b.Stream[:]); c != 0 {
		return c
	}
	return int(a.Index) - int(b.Index)
}

func compareOffsets(a, b Offset) int {
	if c := strings.Compare(a.Group, b.Group); c != 0 {
		return c
	}
	return compareShards(a.Shard, b.Shard)
}

// exhausted says that there is no epoch left to give to a producer.
func (t *Txn) exhausted() bool { return t.Epoch >= lastEpoch }

// begin makes t's transaction an open one, if it is not.
func (t *Txn) begin(now time.Time) {
	if t.State == Ongoing {
		return
	}
	t.State, t.Started, t.PreviousID, t.spared = Ongoing, now, t.ProducerID, time.Time{}
}

// Deadline returns when the open transaction is aborted unless it ends before, or the zero time.
func (t *Txn) Deadline() time.Time {
	if t.State != Ongoing {
		return time.Time{}
	}
	if at := t.Started.Add(t.Timeout); at.After(t.spared) {
		return at
	}
	return t.spared
}
