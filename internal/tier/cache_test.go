package tier

import (
	"testing"
	"time"

	"github.com/freshet/freshet/internal/stream"
)

// TestWhoReadsOnFindsItsBlock: more readers than the cache has room for with all that they have read cause one Get for each block all the same.
func TestWhoReadsOnFindsItsBlock(t *testing.T) {
	const readers, blocks, batches = 6, 8, 4 // blocks of a segment, and batches of a block
	cfg := plainConfig()
	cfg.BlockBytes, cfg.CacheBytes, cfg.AheadParts, cfg.keepAll = batches*int(batchBytes), (readers+4)*batches*batchBytes, 1, true
	r := newRig(t, cfg)
	st := r.tiered(func(c *stream.Config) {
		c.Compaction.SegmentBytes = blocks * batches * batchBytes
		c.Tier.Retention = 1
	})
	r.put(st, (readers+1)*blocks*batches)
	r.clock.Advance(time.Second)
	for range 3 {
		r.log.Work(t.Context())
	}
	if x := r.extent(st); x.Local < readers*blocks*batches {
		t.Fatalf("%+v", x)
	}
	for n := stream.Offset(0); n < blocks*batches; n += batches / 2 {
		for i := range stream.Offset(readers) {
			from := i*blocks*batches + n
			c, err := r.log.Read(t.Context(), st.Shard(0), from, int(batchBytes)*batches/2)
			must(t, err)
			if len(c.Batches) != batches/2 {
				t.Fatalf("%d batches from %d", len(c.Batches), from)
			}
			c.Release()
			r.log.loads.Wait() // of what is read ahead
		}
	}
	r.log.loads.Wait()
	// What a reader of the last block has read ahead is the index and the first block of the next segment, which another has read long ago.
	if gets, most := r.log.Stats().Gets, int64(readers*(blocks+1)+readers*2); gets > most {
		t.Errorf("%d parts were read, of %d that there are", gets, readers*(blocks+1))
	}
}

// TestReadersHoldNoMoreThanTheCacheHas: what is held counts to the budget; who comes then is given copies, and no block is held.
func TestReadersHoldNoMoreThanTheCacheHas(t *testing.T) {
	cfg := plainConfig()
	cfg.BlockBytes, cfg.CacheBytes, cfg.AheadParts, cfg.keepAll = int(batchBytes), 8*batchBytes, 1, true
	r := newRig(t, cfg)
	st := r.tiered(func(c *stream.Config) { c.Compaction.SegmentBytes = 40 * batchBytes; c.Tier.Retention = 1 })
	r.put(st, 82)
	r.clock.Advance(time.Second)
	for range 3 {
		r.log.Work(t.Context())
	}
	var chunks []stream.Chunk
	for from := range stream.Offset(40) {
		c, err := r.log.Read(t.Context(), st.Shard(0), from, 1)
		must(t, err)
		chunks = append(chunks, c)
		r.log.loads.Wait()
		if s := r.log.Stats(); s.CacheBytes > cfg.CacheBytes || s.PinnedBytes > cfg.CacheBytes/2+batchBytes {
			t.Fatalf("after %d reads that are not done: %d bytes, %d of them held", from+1, s.CacheBytes, s.PinnedBytes)
		}
	}
	for _, c := range chunks {
		c.Release()
	}
	if s := r.log.Stats(); s.PinnedBytes != 0 || s.CacheBytes == 0 || s.CacheBytes > cfg.CacheBytes {
		t.Fatalf("after all are done: %d bytes, %d of them held", s.CacheBytes, s.PinnedBytes)
	}
}
