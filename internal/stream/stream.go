// Package stream is the contract of the log: streams cut into shards, each an ordered sequence of record batches. Log is what a node
// stores its streams in; Stream, Shard, Offset and Append are its nouns.
//
// The contract is defined by the weaker facts of an Apache Kafka cluster, so that both the embedded engine and such a cluster can keep
// it: offsets only grow but may have gaps, there is no conditional append, and the single writer of a sequence is fenced by producer id
// and epoch. The unit everywhere is the Kafka record batch v2 (package batch): a log checks a batch's header, never its records, and looks into them
// only to find a time, or to compact a stream that asks for it.
//
// It refuses to know topics, sequence numbers, consumer groups or clients: protocols translate those at their edge.
package stream

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"time"
)

// Name names a stream: 1..249 characters of [a-zA-Z0-9._-], neither "." nor "..".
type Name string

// Check returns ErrInvalid with a reason if n cannot name a stream.
func (n Name) Check() error {
	if n == "" || n == "." || n == ".." || len(n) > 249 {
		return fmt.Errorf("%w: stream name %q must have 1 to 249 characters and be neither \".\" nor \"..\"", ErrInvalid, string(n))
	}
	for _, c := range []byte(n) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-' {
			continue
		}
		return fmt.Errorf("%w: stream name %q may only have letters, digits, '.', '_' and '-'", ErrInvalid, string(n))
	}
	return nil
}

// ID identifies one life of a stream: a random version-4 UUID, given at creation and never reused. The zero ID means none.
type ID [16]byte

// NewID draws an ID from random.
func NewID(random io.Reader) (ID, error) {
	if random == nil {
		random = rand.Reader
	}
	var id ID
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return ID{}, fmt.Errorf("draw stream id: %w", err)
	}
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id, nil
}

// IsZero says whether id identifies nothing.
func (id ID) IsZero() bool { return id == ID{} }

// String returns the 32 hexadecimal digits of id.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads what String writes.
func ParseID(s string) (ID, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(ID{}) {
		return ID{}, fmt.Errorf("%w: stream id %q is not 32 hexadecimal digits", ErrInvalid, s)
	}
	return ID(b), nil
}

// Offset is a record's position in its shard; the first is 0. Offsets grow strictly, but not always by one.
type Offset int64

// Shard addresses one ordered sequence of a stream; indexes run from 0.
type Shard struct {
	Stream ID
	Index  int32
}

// TimestampType says whose clock the records of a stream carry.
type TimestampType int8

// The two timestamp types, with the values they have in a batch's attributes.
const (
	CreateTime    TimestampType = 0 // the producer's; the batch is stored as it came
	LogAppendTime TimestampType = 1 // the log's, put into the batch header as it is appended
)

// Durability says what an acknowledged append has survived.
type Durability int8

const (
	// Fsync, the default: the bytes are on the disk, and no reader sees them before.
	Fsync Durability = iota
	// OS: the bytes are with the operating system: they survive a crash of the process, not a power cut. Apache Kafka's promise.
	OS
)

// Config is what the log itself enforces for a stream. The zero value of each field means its default.
type Config struct {
	Retention      time.Duration // age after which batches may go, since their latest timestamp but no longer than in the log; 0 = 7 days, < 0 = unlimited
	RetentionBytes int64         // bytes a shard keeps; 0 or < 0 = unlimited
	KeepAll        bool          // batches go neither by age nor by size, whatever Retention and RetentionBytes say
	MaxBatchBytes  int32         // largest batch accepted, at most MostBatchBytes; 0 = DefaultMaxBatchBytes
	Timestamps     TimestampType
	// TimestampBefore and TimestampAfter bound how far a producer's timestamps may lie behind and ahead of the log's clock; 0 = no bound.
	TimestampBefore time.Duration
	TimestampAfter  time.Duration
	Durability      Durability
	Compaction      Compaction
	Tier            Tier `json:",omitzero"`
}

// Tier is how the older part of a stream moves to objects, where there is a log that does that (package tier). A log that does not keeps the settings.
// What Config.Retention and Config.RetentionBytes take is gone from both places; segments are as large and old as Compaction says. The zero value of
// each field means its default.
type Tier struct {
	On             bool          // not together with Compaction.On
	NoCopy         bool          // nothing more is copied; what was stays readable
	Retention      time.Duration // age after which what was copied goes locally; 0 = as Config.Retention, < 0 = unlimited
	RetentionBytes int64         // bytes that a shard keeps locally; 0 = as Config.RetentionBytes, < 0 = unlimited
}

// Compaction is how a stream keeps of the records with the same key the last one only. Retention applies beside it, unless Config.KeepAll. The zero
// value of each field means its default, which is Kafka's; what is to be nothing or never is negative.
//
// The newest part of a shard is left alone, as users of Kafka know it: what would lie in its active segment, were the shard cut into segments of so
// many bytes and such an age, each begun by the batch that does not fit the one before (package compaction).
type Compaction struct {
	On              bool
	DeleteRetention time.Duration // how long a record without value, which deletes its key, stays once it was compacted; 0 = a day
	MinDirty        float64       // share of the bytes that may be compacted and were not yet, above which it is done; 0 = a half
	MinLag          time.Duration // how long a record is left alone at least, by its timestamp
	MaxLag          time.Duration // how long one is left alone at most, whatever MinDirty says; 0 = no bound
	SegmentBytes    int64         // 0 = 1 GiB
	SegmentAge      time.Duration // 0 = 7 days
	SegmentJitter   time.Duration // by up to so much a segment is younger
}

// The defaults of Compaction.
const (
	DefaultDeleteRetention = 24 * time.Hour
	DefaultMinDirty        = 0.5
	DefaultSegmentBytes    = 1 << 30
	DefaultSegmentAge      = 7 * 24 * time.Hour
)

// The defaults of Config.
const (
	DefaultRetention     = 7 * 24 * time.Hour
	DefaultMaxBatchBytes = 1<<20 + 12 // as Kafka's max.message.bytes
)

// MostBatchBytes bounds Config.MaxBatchBytes.
const MostBatchBytes = 256 << 20

// Stream describes a stream. A *Stream handed out is an immutable snapshot: never written to, by anyone.
type Stream struct {
	ID      ID
	Name    Name
	Shards  int32 // shards 0..Shards-1 exist; the number only grows
	Config  Config
	Labels  map[string]string // what protocols keep beside the stream; the log stores it and gives it no meaning
	Created time.Time
}

// LabelInternal marks a stream that the node keeps for itself, with the name of the service it belongs to as its value.
const LabelInternal = "freshet.internal"

// LabelKinesis is the label of a stream that was made through Kinesis, which keeps its settings in it: of such a stream no record goes for its key's sake.
const LabelKinesis = "kinesis"

// Internal says that a stream is the node's own: protocols neither list it, nor let clients read, write, change or delete it. The
// one exception is in package kafka/offsets.
func (s *Stream) Internal() bool { return s.Labels[LabelInternal] != "" }

// Shard returns the address of shard i.
func (s *Stream) Shard(i int32) Shard { return Shard{Stream: s.ID, Index: i} }

// Spec is what it takes to create a stream.
type Spec struct {
	Name   Name
	Shards int32 // >= 1
	Config Config
	Labels map[string]string
}

// Change alters a stream; nil fields stay as they are.
type Change struct {
	Shards *int32 // may only grow
	Config *Config
	Labels map[string]string // replaces all labels if not nil
}

// Extent says where the parts of a shard are that may be tiered.
type Extent struct {
	Local      Offset // first offset of the local part
	LocalBytes int64  // of its batches
	Tiered     Offset // offset behind what is in objects, -1 if nothing is
	Bytes      int64  // of the batches in objects
}

// Bounds are the limits of a shard at one moment.
type Bounds struct {
	Start Offset // first readable offset
	End   Offset // the offset after the last readable one: the next record's, if there are no gaps
	// LastStable is the first readable offset from which on something may belong to an open transaction, or End.
	LastStable Offset
	// Epoch is the shard's current leader epoch: it grows whenever the end might not be what a reader saw before, after an unclean stop.
	Epoch int32
	Bytes int64 // stored bytes of the shard's live batches, headers included
	// Compactions counts how often compaction has put other batches in the place of those that there were, since the log was opened. Batches and
	// aborted transactions that were read one after the other belong together if it has not moved meanwhile (package committed).
	Compactions int64
}
