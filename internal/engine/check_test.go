package engine

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// TestCheckNamesStrayFiles: what is among the log files and none of them is named, and no damage.
func TestCheckNamesStrayFiles(t *testing.T) {
	disk, c, _ := filled(t, true)
	for _, name := range []string{"notes.txt", "00000000000000ff.log.bak", "1.log", ".DS_Store", nextName, rewriteTmp, spareName} {
		path := filepath.Join(c.Dir, logDir, name)
		_ = disk.Remove(path) // it may be there
		f, err := disk.Create(path)
		must(t, err)
		must(t, f.Close())
	}
	r, err := Check(disk, c.Dir)
	must(t, err)
	want := []string{filepath.Join(logDir, "00000000000000ff.log.bak"), filepath.Join(logDir, "1.log"), filepath.Join(logDir, "notes.txt")}
	if !slices.Equal(r.Stray, want) || len(r.Damage) > 0 {
		t.Errorf("stray %q, damage %v", r.Stray, r.Damage)
	}
	must(t, mustOpen(t, c).Close())
}

// TestCheckLeaderEpochs: a batch whose leader epoch is not that of its offset is damage, also if all sums fit.
func TestCheckLeaderEpochs(t *testing.T) {
	for _, closed := range []bool{true, false} {
		disk := vfs.NewMem()
		c := tiny(disk)
		e := mustOpen(t, c)
		s, err := e.Create(t.Context(), stream.Spec{Name: "s", Shards: 1})
		must(t, err)
		c.FS = disk.CrashClone(rand.New(rand.NewPCG(1, 1)))
		must(t, e.Close())
		e = mustOpen(t, c) // epoch 1
		for range 3 {
			testAppend(t, e, s.Shard(0), batchOf(kib))
		}
		left := c.FS.(*vfs.Mem).CrashClone(rand.New(rand.NewPCG(1, 1)))
		must(t, e.Close())
		if closed {
			left = c.FS.(*vfs.Mem)
		}
		if r, err := Check(left, c.Dir); err != nil || len(r.Damage) > 0 {
			t.Fatalf("check of the undamaged log: %+v, %v", r, err)
		}
		at := changeLastEpoch(t, left, c.Dir, 0)
		r, err := Check(left, c.Dir)
		if err != nil || len(r.Damage) != 1 || r.Damage[0].Byte != at || !strings.Contains(r.Damage[0].Reason, "leader epoch 0, not 1") {
			t.Errorf("closed %v: check: %+v, %v", closed, r, err)
		}
	}
}

// changeLastEpoch changes the leader epoch of the one batch in the last group of file 1, sums included, and returns where the batch is.
func changeLastEpoch(t *testing.T, disk *vfs.Mem, dir string, epoch int32) int64 {
	t.Helper()
	e := &Engine{cfg: Config{Dir: dir, FS: disk}}
	f, err := e.openFile(format.FileHeader{First: 1, Last: 1})
	must(t, err)
	s, err := newScanner(f)
	must(t, err)
	last := int64(0)
	end, err := e.scanGroups(s, func(_ *format.Group, at int64) error { last = at; return nil })
	must(t, err)
	if end.damaged {
		t.Fatal(end.reason)
	}
	b := make([]byte, s.at-last)
	_, err = f.file.ReadAt(b, last)
	must(t, err)
	h, _ := format.ReadGroupHeader(b, f.ID)
	payload := b[format.GroupHeaderSize:][:h.Payload]
	parsed, err := batch.Parse(payload)
	must(t, err)
	batch.SetBase(payload, parsed.BaseOffset, epoch)
	table := b[format.GroupHeaderSize+int(h.Payload):]
	entry := format.ReadEntry(table)
	entry.Sum = format.PayloadSum(entry.Kind, payload)
	copy(table, entry.Append(nil))
	h.Seal(b)
	_, err = f.file.WriteAt(b, last)
	must(t, err)
	must(t, f.release())
	return last + format.GroupHeaderSize
}

// TestEpochsOfACheckpointAscend: what a checkpoint says of a shard is not believed otherwise.
func TestEpochsOfACheckpointAscend(t *testing.T) {
	for _, c := range []struct {
		epochs []epochStart
		ok     bool
	}{
		{[]epochStart{{1, 2}, {3, 2}, {4, 9}}, true},
		{[]epochStart{{1, 2}, {1, 4}}, false},
		{[]epochStart{{2, 2}, {1, 4}}, false},
		{[]epochStart{{1, 4}, {2, 2}}, false},
	} {
		s := &shardState{end: 10, epochs: c.epochs}
		if _, err := decodeChange(kindShard, s.encode(nil)); (err == nil) != c.ok {
			t.Errorf("epochs %v: %v", c.epochs, err)
		}
	}
}

// TestDamageIsNotTorn: a file is damaged or torn, not both: opening cuts nothing off where something is missing.
func TestDamageIsNotTorn(t *testing.T) {
	disk, c, shards := filled(t, true)
	names, err := disk.List(filepath.Join(c.Dir, logDir))
	must(t, err)
	path := filepath.Join(c.Dir, logDir, names[len(names)-1])
	groups, end := liveGroups(t, disk, path, shards)
	middle := groups[len(groups)/2]
	for what, change := range map[string]func(vfs.File) error{"a flipped bit": flipAt(middle+format.GroupHeaderSize+2, 3), "a truncated file": cutAt((middle + end) / 2)} {
		r, err := Check(copyOf(t, disk, path, change), c.Dir)
		must(t, err)
		if len(r.Damage) == 0 || r.TornFile != "" {
			t.Errorf("%s: damage %v, torn %q at byte %d", what, r.Damage, r.TornFile, r.TornByte)
		}
	}
}
