package engine

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/stream/producers"
	"github.com/freshet/freshet/internal/vfs"
)

// Config is what an engine needs to know. The zero value of each field but Dir means its default.
type Config struct {
	Dir    string       // made if it is not there
	FS     vfs.FS       // default vfs.OS()
	Clock  clock.Clock  // default clock.Real()
	Random io.Reader    // default crypto/rand
	Logger *slog.Logger // default slog.DiscardHandler

	// TailBytes bounds the memory that keeps the newest part of the log for readers at its end.
	TailBytes int64
	// PinnedBytes bounds the memory that the tail has let go and that readers hold: beyond it they are given copies. What they held of the tail before
	// may come on top.
	PinnedBytes int64
	// IndexBytes bounds the memory for the indexes of finished files.
	IndexBytes int64
	// AheadBytes bounds the memory for what is read from files before it is asked for, and stays for others who read the same, in parts of ReadBytes. Each
	// may have the rest of one batch more.
	AheadBytes int64
	// FileBytes is the size at which a log file is finished; MaxExtents the number of batches at which it is, whatever its size.
	FileBytes  int64
	MaxExtents int
	// GroupBytes bounds what one group commit writes, unless a single call is larger. Beyond it Append waits.
	GroupBytes int64
	// MaxUnitBytes bounds one call of Append or Transact.
	MaxUnitBytes int64
	// AllocateBytes is how much disk space is reserved at a time, ahead of the writer; a quarter more is left to what frees space when the disk is
	// full, and as much is kept for the next file. ZeroBytes is how much of it is written with zeros while
	// the writer is slow, because overwriting is twice as fast to sync as extending. ZeroBytes < 0 = never.
	AllocateBytes int64
	ZeroBytes     int64
	// ReadBytes bounds one read from a file.
	ReadBytes int64
	// RetentionInterval is how often old batches are looked for, silent producers and what nobody reads any more.
	RetentionInterval time.Duration
	// SpaceInterval is how often a full disk is asked for space.
	SpaceInterval time.Duration
	// RewriteDead is the share of dead bytes from which a file is written anew without them, 0..1; >= 1 never, then only wholly dead files go.
	RewriteDead float64
	// CompactInterval is how often shards are looked for that are to be compacted, CompactRate how many bytes a second that reads and writes at most
	// (< 0 = no bound), CompactMemory how many bytes it takes to remember keys: with more keys a shard is compacted in several passes.
	CompactInterval time.Duration
	CompactRate     int64
	CompactMemory   int64
	// MaxShards bounds the shards of all streams: each costs memory, and a place in every checkpoint, as long as it is there.
	MaxShards int
	// ProducerExpiration is how long a silent idempotent producer is remembered, MaxProducers how many per shard.
	ProducerExpiration time.Duration
	MaxProducers       int
}

const (
	kib = 1 << 10
	mib = 1 << 20
)

func orDefault[T int | int64 | float64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

func (c *Config) setDefaults() {
	if c.FS == nil {
		c.FS = vfs.OS()
	}
	if c.Clock == nil {
		c.Clock = clock.Real()
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	orDefault(&c.TailBytes, 64*mib)
	orDefault(&c.PinnedBytes, 64*mib)
	orDefault(&c.IndexBytes, 32*mib)
	orDefault(&c.AheadBytes, 32*mib)
	orDefault(&c.FileBytes, 256*mib)
	orDefault(&c.MaxExtents, 1<<19)
	orDefault(&c.GroupBytes, 4*mib)
	orDefault(&c.MaxUnitBytes, 256*mib)
	orDefault(&c.AllocateBytes, 16*mib)
	orDefault(&c.ZeroBytes, 4*mib)
	orDefault(&c.ReadBytes, 1*mib)
	orDefault(&c.RetentionInterval, 30*time.Second)
	orDefault(&c.SpaceInterval, time.Second)
	orDefault(&c.RewriteDead, 0.5)
	orDefault(&c.CompactInterval, 15*time.Second)
	orDefault(&c.CompactRate, 64*mib)
	orDefault(&c.CompactMemory, 64*mib)
	orDefault(&c.MaxShards, 200_000)
	orDefault(&c.ProducerExpiration, producers.DefaultExpiration)
	orDefault(&c.MaxProducers, producers.DefaultMaxProducers)
}

// Validate names every field that cannot be, with what it may be.
func (c Config) Validate() error {
	c.setDefaults()
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("Dir: name the directory to keep the log in"))
	}
	between := func(name string, v, least, most int64) {
		if v < least || v > most {
			errs = append(errs, fmt.Errorf("%s: %d is not between %d and %d", name, v, least, most))
		}
	}
	between("TailBytes", c.TailBytes, 1, 1<<40)
	between("PinnedBytes", c.PinnedBytes, 1, 1<<40)
	between("IndexBytes", c.IndexBytes, 1, 1<<40)
	between("AheadBytes", c.AheadBytes, 1, 1<<40)
	between("FileBytes", c.FileBytes, 4*kib, 2<<30)
	between("MaxExtents", int64(c.MaxExtents), 1, 1<<24)
	between("GroupBytes", c.GroupBytes, kib, 64*mib)
	between("MaxUnitBytes", c.MaxUnitBytes, c.GroupBytes, 512*mib)
	between("AllocateBytes", c.AllocateBytes, kib, 2<<30)
	between("ZeroBytes", c.ZeroBytes, -1<<62, 2<<30)
	between("ReadBytes", c.ReadBytes, kib, 64*mib)
	between("RetentionInterval", int64(c.RetentionInterval), int64(time.Millisecond), 1<<62)
	between("SpaceInterval", int64(c.SpaceInterval), int64(time.Millisecond), 1<<62)
	between("CompactInterval", int64(c.CompactInterval), int64(time.Millisecond), 1<<62)
	between("CompactRate", c.CompactRate, -1<<62, 1<<62)
	between("CompactMemory", c.CompactMemory, kib, 1<<40)
	between("MaxShards", int64(c.MaxShards), 1, 1<<30)
	between("MaxProducers", int64(c.MaxProducers), 1, 1<<30)
	if c.RewriteDead < 0 {
		errs = append(errs, fmt.Errorf("RewriteDead: %v is negative", c.RewriteDead))
	}
	if c.ProducerExpiration < 0 {
		errs = append(errs, fmt.Errorf("ProducerExpiration: %v is negative", c.ProducerExpiration))
	}
	if len(errs) > 0 {
		return fmt.Errorf("engine configuration: %w", errors.Join(errs...))
	}
	return nil
}
