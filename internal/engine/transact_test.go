package engine

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// TestTransact: batches and documents happen together, or nothing happens and the error says why.
func TestTransact(t *testing.T) {
	ctx := context.Background()
	e := mustOpen(t, tiny(vfs.NewMem()))
	closing(t, e)
	s, err := e.Create(ctx, stream.Spec{Name: "s", Shards: 2, Config: stream.Config{MaxBatchBytes: 4 * kib}})
	must(t, err)
	numbered := func(sequence int32) []byte {
		var b batch.Builder
		b.Add(epoch.UnixMilli(), nil, []byte("x"))
		return append([]byte(nil), b.Finish(batch.Producer{ID: 1, Sequence: sequence})...)
	}
	document := func(version int64) []state.Change {
		return []state.Change{{Key: state.Key{Kind: "k", ID: "d"}, If: version, Value: []byte("v")}}
	}
	two := []stream.Append{{Shard: s.Shard(0), Batch: numbered(0)}, {Shard: s.Shard(1), Batch: batchOf(kib)}}
	r, versions, err := e.Transact(ctx, two, nil, document(state.Absent))
	if err != nil || r[0].Base != 0 || r[1].Base != 0 || versions[0] != 1 {
		t.Fatalf("%+v, %v, %v", r, versions, err)
	}
	refused := []struct {
		name    string
		entry   stream.Append
		version int64
		err     error
	}{
		{"document at another version", stream.Append{Shard: s.Shard(0), Batch: numbered(1)}, 7, state.ErrConflict},
		{"sequence out of order", stream.Append{Shard: s.Shard(0), Batch: numbered(5)}, 1, stream.ErrOutOfOrder},
		{"batch repeated", stream.Append{Shard: s.Shard(0), Batch: numbered(0)}, 1, stream.ErrStale},
		{"batch too large", stream.Append{Shard: s.Shard(0), Batch: batchOf(5 * kib)}, 1, stream.ErrTooLarge},
		{"shard unknown", stream.Append{Shard: s.Shard(2), Batch: numbered(1)}, 1, stream.ErrNotFound},
	}
	for _, row := range refused {
		t.Run(row.name, func(t *testing.T) {
			_, _, err := e.Transact(ctx, []stream.Append{{Shard: s.Shard(1), Batch: batchOf(kib)}, row.entry}, nil, document(row.version))
			if !errors.Is(err, row.err) {
				t.Errorf("%v, want %v", err, row.err)
			}
			for i := range int32(2) {
				if b, err := e.Bounds(ctx, s.Shard(i)); err != nil || b.End != 1 {
					t.Errorf("shard %d: %+v, %v", i, b, err)
				}
			}
			if d, err := e.State().Get(ctx, state.Key{Kind: "k", ID: "d"}); err != nil || d.Version != 1 {
				t.Errorf("document: %+v, %v", d, err)
			}
		})
	}
	if _, _, err := e.Transact(ctx, []stream.Append{{Shard: s.Shard(0), Batch: numbered(1)}}, nil, document(1)); err != nil {
		t.Errorf("what was refused has left something behind: %v", err)
	}
}

// TestTailServesFromMemory: what was just appended is read without a file, and the memory for it keeps to its budget.
func TestTailServesFromMemory(t *testing.T) {
	ctx := context.Background()
	c := tiny(vfs.NewMem())
	c.TailBytes = 256 * kib
	e := mustOpen(t, c)
	closing(t, e)
	s, err := e.Create(ctx, stream.Spec{Name: "s", Shards: 3})
	must(t, err)
	next := map[stream.Shard]stream.Offset{}
	for i := range 300 {
		shard := s.Shard(int32(i % 3))
		testAppend(t, e, shard, batchOf(3*kib))
		chunk, err := e.Read(ctx, shard, next[shard], mib)
		must(t, err)
		if len(chunk.Batches) != 1 {
			t.Fatalf("%d batches", len(chunk.Batches))
		}
		next[shard] = chunk.Bounds.End
		chunk.Release()
		if held := e.Stats(false).TailBytes; held > c.TailBytes {
			t.Fatalf("the tail holds %d bytes, its budget is %d", held, c.TailBytes)
		}
	}
	if st := e.Stats(false); st.ColdReads != 0 || st.Files < 5 {
		t.Errorf("%d reads from %d files", st.ColdReads, st.Files)
	}
	if chunk, err := e.Read(ctx, s.Shard(0), 0, kib); err != nil || len(chunk.Batches) != 1 || e.Stats(false).ColdReads != 1 {
		t.Errorf("old batches come from files: %d, %v, %d reads", len(chunk.Batches), err, e.Stats(false).ColdReads)
	}
}

// TestIdleShardsCostNoFiles: ten thousand of them are one line in the log.
func TestIdleShardsCostNoFiles(t *testing.T) {
	c := tiny(vfs.NewMem())
	e := mustOpen(t, c)
	s, err := e.Create(context.Background(), stream.Spec{Name: "idle", Shards: 10_000})
	must(t, err)
	must(t, e.Close())
	e = mustOpen(t, c)
	closing(t, e)
	testAppend(t, e, s.Shard(9_999), batchOf(kib))
	if st := e.Stats(true); st.Files != 1 || st.FileBytes > 64*kib || len(st.Shards) != 10_000 {
		t.Errorf("%d files of %d bytes for %d shards", st.Files, st.FileBytes, len(st.Shards))
	}
}

// TestValidateNamesEveryFault: all at once, each with what it may be.
func TestValidateNamesEveryFault(t *testing.T) {
	err := Config{FileBytes: 1, GroupBytes: 1 << 40, RewriteDead: -1}.Validate()
	for _, want := range []string{"Dir", "FileBytes", "GroupBytes", "RewriteDead"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	if err := (Config{Dir: "d"}).Validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
}
