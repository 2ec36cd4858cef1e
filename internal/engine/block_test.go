package engine

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// TestPinnedMemoryIsBounded: readers that keep one small batch of each group do not keep the groups, and what they have stays as it was.
func TestPinnedMemoryIsBounded(t *testing.T) {
	c := tiny(vfs.NewMem())
	c.PinnedBytes = 64 * kib
	e := mustOpen(t, c)
	closing(t, e)
	s, err := e.Create(t.Context(), stream.Spec{Name: "s", Shards: 2})
	must(t, err)
	var chunks []stream.Chunk
	for i := range uint64(100) {
		var b batch.Builder
		b.Add(epoch.UnixMilli(), nil, binary.BigEndian.AppendUint64(nil, i))
		testAppend(t, e, s.Shard(0), b.Finish(batch.NoProducer))
		chunk, err := e.Read(t.Context(), s.Shard(0), stream.Offset(i), 1)
		must(t, err)
		chunks = append(chunks, chunk)
		testAppend(t, e, s.Shard(1), batchOf(12*kib))
	}
	most := c.PinnedBytes + c.TailBytes + 2*int64(e.pool.size)
	if pinned := e.Stats(false).PinnedBytes; pinned < c.PinnedBytes || pinned > most {
		t.Errorf("%d bytes are pinned, %d may be", pinned, most)
	}
	for i, chunk := range chunks {
		value := binary.BigEndian.AppendUint64(nil, uint64(i))
		if len(chunk.Batches) != 1 || !bytes.Contains(chunk.Batches[0], value) {
			t.Errorf("chunk %d is not as it was read", i)
		}
		if _, err := batch.Verify(chunk.Batches[0]); err != nil {
			t.Errorf("chunk %d: %v", i, err)
		}
		chunk.Release()
	}
	if pinned := e.Stats(false).PinnedBytes; pinned != 0 {
		t.Errorf("%d bytes are pinned, and nobody has them", pinned)
	}
}

// TestBlocksOfLargeCallsAreUsedAgain: calls larger than a group, as long as two of those hold them, go into the same few blocks again and again.
func TestBlocksOfLargeCallsAreUsedAgain(t *testing.T) {
	c := tiny(vfs.NewMem())
	e := mustOpen(t, c)
	closing(t, e)
	s, err := e.Create(t.Context(), stream.Spec{Name: "s", Shards: 3})
	must(t, err)
	var entries []stream.Append
	for i := range int32(3) {
		entries = append(entries, stream.Append{Shard: s.Shard(i), Batch: batchOf(int(e.cfg.GroupBytes) / 2)})
	}
	blocks := map[*block]bool{}
	const calls = 100
	for range calls {
		<-e.Append(t.Context(), entries).Done()
		e.mu.Lock()
		blocks[e.open.block] = true
		e.mu.Unlock()
	}
	if most := int(e.cfg.TailBytes)/e.pool.size + freeBlocks + 2; len(blocks) > most {
		t.Errorf("%d calls took %d blocks, %d would do", calls, len(blocks), most)
	}
}
