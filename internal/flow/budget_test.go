package flow

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/klauspost/compress/gzip"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/memlog"
)

// gzipped returns the batch b as a producer that compresses would send it.
func gzipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(b[batch.HeaderSize:]); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	b = append(slices.Clone(b[:batch.HeaderSize]), packed.Bytes()...)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-batch.Prefix))
	b[22] |= byte(batch.Gzip)
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// However many flows read, few compressed batches are open at a time; who waits for one is let go when its flow ends.
func TestFewCompressedBatchesAreOpenAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memlog.New(clock.Real(), rand.NewChaCha8([32]byte{1}))
		defer l.Close()
		st, err := l.Create(t.Context(), stream.Spec{Name: "s", Shards: 1})
		if err != nil {
			t.Fatal(err)
		}
		var b batch.Builder
		b.Add(0, nil, []byte("value"))
		if _, err := l.Append(t.Context(), []stream.Append{{Shard: st.Shard(0), Batch: gzipped(t, b.Finish(batch.NoProducer))}}).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		var visiting, visited atomic.Int32
		release := make(chan struct{})
		ctx, cancel := context.WithCancelCause(t.Context())
		s := source{log: l, budget: NewBudget(DefaultBudget)}
		const readers = maxOpen + 3
		results := make(chan error, readers)
		for range readers {
			go func() {
				_, _, err := s.read(ctx, st.Shard(0), 0, 1, func(*Record, *batch.Header) error {
					visiting.Add(1)
					<-release
					visited.Add(1)
					return nil
				})
				results <- err
			}()
		}
		synctest.Wait()
		if n := visiting.Load(); n != maxOpen {
			t.Errorf("%d batches are open", n)
		}
		ended := errors.New("ended")
		cancel(ended)
		for range readers - maxOpen {
			if err := <-results; !errors.Is(err, ended) {
				t.Errorf("one that waits ends with %v", err)
			}
		}
		close(release)
		for range maxOpen {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if visited.Load() != maxOpen {
			t.Errorf("%d were read", visited.Load())
		}
	})
}
