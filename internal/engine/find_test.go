package engine

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// TestSearchesAreBounded: looking for a time decompresses batches, so only some may do that at once; the others wait, and may give up.
func TestSearchesAreBounded(t *testing.T) {
	e := mustOpen(t, tiny(vfs.NewMem()))
	closing(t, e)
	s, err := e.Create(t.Context(), stream.Spec{Name: "s", Shards: 1})
	must(t, err)
	testAppend(t, e, s.Shard(0), batchOf(kib))
	for range maxSearches {
		e.searching <- struct{}{}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errInjected)
	if _, _, _, err := e.OffsetAt(ctx, s.Shard(0), epoch); !errors.Is(err, errInjected) {
		t.Errorf("one search too many: %v", err)
	}
	for range maxSearches {
		<-e.searching
	}
	if at, when, ok, err := e.OffsetAt(t.Context(), s.Shard(0), epoch.Add(-time.Hour)); err != nil || !ok || at != 0 || !when.Equal(epoch) {
		t.Errorf("offset %d, %v, %v, %v", at, when, ok, err)
	}
}

// TestReadWhileClosing: a reader that is at work when the log is closed is told so.
func TestReadWhileClosing(t *testing.T) {
	reading, goOn := make(chan struct{}), make(chan struct{})
	var armed atomic.Bool
	c := aheadConfig(vfs.Fault(vfs.NewMem(), func(call *vfs.Call) error {
		if call.Op == vfs.OpRead && armed.CompareAndSwap(true, false) {
			close(reading)
			<-goOn
		}
		return nil
	}))
	c.FileBytes = 64 * kib
	e, s := cold(t, c, 1, 100)
	armed.Store(true)
	read := make(chan error, 1)
	go func() {
		chunk, err := e.Read(context.Background(), s.Shard(0), 0, mib)
		chunk.Release()
		read <- err
	}()
	<-reading
	must(t, e.Close())
	close(goOn)
	if err := <-read; err != nil && !errors.Is(err, stream.ErrClosed) {
		t.Errorf("a read across a close: %v", err)
	}
}
