package engine

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// unpacked returns a disk with the files of an archive in testdata, and the archive's file "content".
func unpacked(t *testing.T, name, dir string) (*vfs.Mem, string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	must(t, err)
	z, err := gzip.NewReader(bytes.NewReader(b))
	must(t, err)
	disk, content := vfs.NewMem(), ""
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return disk, content
		}
		must(t, err)
		b, err := io.ReadAll(r)
		must(t, err)
		if h.Name == "content" {
			content = string(b)
			continue
		}
		path := filepath.Join(dir, h.Name)
		must(t, vfs.MkdirAll(disk, filepath.Dir(path)))
		f, err := disk.Create(path)
		must(t, err)
		_, err = f.WriteAt(b, 0)
		must(t, errors.Join(err, f.Sync(), f.Close()))
	}
}

// batchLines are the lines of what content returns that are of batches.
func batchLines(content string) string {
	var b strings.Builder
	for line := range strings.Lines(content) {
		if strings.HasPrefix(line, "{") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// TestLogFromBeforeTransactions: a log that was written before there were transactions, and not closed, opens with all that is in it: files that were
// finished, written anew and being written, checkpoints, documents, cursors and producers. Then it takes transactions.
func TestLogFromBeforeTransactions(t *testing.T) {
	ctx := context.Background()
	c := tiny(nil)
	disk, want := unpacked(t, "before-transactions.tar.gz", c.Dir)
	c.FS = disk
	if r, err := Check(disk, c.Dir); err != nil || len(r.Damage) > 0 {
		t.Fatalf("check: %+v, %v", r, err)
	}
	e := mustOpen(t, c)
	var shards []stream.Shard
	for _, name := range []stream.Name{"s0", "s1"} {
		s, err := e.Stream(ctx, name)
		must(t, err)
		shards = append(shards, s.Shard(0), s.Shard(1))
	}
	got, err := content(t, e, shards)
	must(t, err)
	if got, want := batchLines(got), batchLines(want); got != want || strings.Count(want, "\n") < 90 {
		t.Errorf("%d batches, want %d", strings.Count(got, "\n"), strings.Count(want, "\n"))
	}
	documents, err := e.State().List(ctx, "k", "")
	must(t, err)
	cursors, err := e.Committed(ctx, "me")
	if err != nil || len(documents) != 5 || len(cursors) != 1 || cursors[0].Next != 89 {
		t.Errorf("documents %v, cursors %v, %v", documents, cursors, err)
	}
	producers, err := e.Producers(ctx, shards[0])
	if err != nil || len(producers) != 1 || producers[0].ID != 3 || producers[0].LastSequence != 5 || producers[0].TransactionFirst != -1 || producers[0].CoordinatorEpoch != -1 {
		t.Errorf("producers %+v, %v", producers, err)
	}
	var b batch.Builder
	b.Add(epoch.UnixMilli(), nil, []byte("x"))
	if r := testAppend(t, e, shards[0], b.Finish(batch.Producer{ID: 3, Epoch: 1, Sequence: 2})); !r.Duplicate {
		t.Errorf("a repeat of what was taken before: %+v", r)
	}
	end, err := e.Bounds(ctx, shards[0])
	must(t, err)
	abortedIn(t, e, shards[0], 77)
	must(t, e.Close())
	e = mustOpen(t, c)
	closing(t, e)
	aborted, err := e.Aborted(ctx, shards[0], 0, end.End+2)
	if err != nil || len(aborted) != 1 || aborted[0] != (stream.Aborted{ProducerID: 77, First: end.End, Last: end.End + 1}) {
		t.Errorf("aborted %v, %v", aborted, err)
	}
}
