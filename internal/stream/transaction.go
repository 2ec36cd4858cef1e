package stream

import "time"

// Aborted is an aborted transaction of a producer in a shard: its first record's offset, and that of the marker that ended it.
type Aborted struct {
	ProducerID  int64
	First, Last Offset
}

// Producer is what a shard remembers of a producer.
type Producer struct {
	ID            int64
	Epoch         int16
	LastSequence  int32     // of its last record under this epoch, -1 = none
	LastTimestamp time.Time // when the log took its last batch, or the last marker
	// CoordinatorEpoch is that of the last marker of one of its transactions, -1 before the first.
	CoordinatorEpoch int32
	TransactionFirst Offset // first offset of its open transaction, -1 = none
}

// OwnedCursors are cursors of one owner.
type OwnedCursors struct {
	Owner   string
	Cursors []Cursor
}
