package stream

import "time"

// Upkeep is what a log may take to keep itself in order.
type Upkeep struct {
	CompactInterval    time.Duration // between two looks for shards to compact; > 0
	CompactRate        int64         // bytes a second that compaction reads and writes; < 0 = no bound
	CompactMemory      int64         // bytes for the keys of a shard that is compacted; with more keys it is done in several passes
	ProducerExpiration time.Duration // how long a silent idempotent producer is remembered
}

// Upkeeper is a log whose upkeep can be changed while it runs. Its methods are safe for concurrent use.
type Upkeeper interface {
	Upkeep() Upkeep
	// SetUpkeep makes another hold from now on: within moments, also for what is going on.
	SetUpkeep(u Upkeep)
}
