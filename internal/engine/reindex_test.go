package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// rewritten returns the disk of a closed log and its live shards. Of its finished files the first are written anew, one in several groups; the next
// still has the batches of a deleted stream, also behind its last live one.
func rewritten(t *testing.T) (*vfs.Mem, Config, []stream.Shard) {
	t.Helper()
	disk := vfs.NewMem()
	c := tiny(disk)
	e := mustOpen(t, c)
	keep := halfDead(t, e)
	clocktest.Eventually(t, "files are written anew", func() bool {
		s := e.Stats(false)
		return s.Rewrites > 0 && e.wasteful() == nil
	})
	must(t, e.Close())
	c.RewriteDead = 1 // the file that comes to its end now keeps what is dead in it
	e = mustOpen(t, c)
	more, err := e.Create(context.Background(), stream.Spec{Name: "more", Shards: 2})
	must(t, err)
	shards := append(shardsOf(keep), shardsOf(more)...)
	for i := range 60 {
		testAppend(t, e, shards[i%4], batchOf(3*kib))
		if i%10 == 0 {
			abortedIn(t, e, shards[i%4], int64(1000+i))
		}
	}
	must(t, e.Close())
	return disk, c, shards
}

// indexedFile is a file whose index opening reads, and where that lies.
type indexedFile struct {
	format.FileHeader
	format.Trailer
	spans []format.Span
	path  string
	size  int64
}

// indexedFiles returns the files of a closed log whose indexes opening reads: some are written anew, some not.
func indexedFiles(t *testing.T, disk *vfs.Mem, c Config) (files []indexedFile) {
	t.Helper()
	anew := 0
	e := &Engine{cfg: c}
	e.cfg.FS = readOnly{disk}
	from, err := e.loadCheckpoint()
	must(t, err)
	must(t, e.openFiles(from))
	for _, f := range e.files {
		if f.Last < from.File {
			trailer, spans, err := readFooter(f)
			must(t, err)
			files = append(files, indexedFile{f.FileHeader, trailer, spans, e.logPath(f.name), f.allocated.Load()})
			if f.Generation > 0 {
				anew++
			}
		}
		must(t, f.release())
	}
	if anew == 0 || anew == len(files) {
		t.Fatalf("%d of %d finished files are written anew", anew, len(files))
	}
	return files
}

// copyOf returns a copy of a disk on which everything is synced, with one file changed.
func copyOf(t *testing.T, disk *vfs.Mem, path string, change func(f vfs.File) error) *vfs.Mem {
	t.Helper()
	disk = disk.CrashClone(rand.New(rand.NewPCG(0, 0)))
	f, err := disk.Open(path)
	must(t, err)
	must(t, change(f))
	must(t, f.Sync())
	must(t, f.Close())
	return disk
}

func flipAt(at int64, bit int) func(vfs.File) error {
	return func(f vfs.File) error {
		b := make([]byte, 1)
		if _, err := f.ReadAt(b, at); err != nil {
			return err
		}
		b[0] ^= 1 << bit
		_, err := f.WriteAt(b, at)
		return err
	}
}

func zeroAt(from, to int64) func(vfs.File) error {
	return func(f vfs.File) error {
		_, err := f.WriteAt(make([]byte, to-from), from)
		return err
	}
}

func cutAt(at int64) func(vfs.File) error {
	return func(f vfs.File) error { return f.Truncate(at) }
}

func both(a, b func(vfs.File) error) func(vfs.File) error {
	return func(f vfs.File) error { return errors.Join(a(f), b(f)) }
}

func wholeFile(t *testing.T, disk *vfs.Mem, path string) []byte {
	t.Helper()
	b, err := readWhole(disk, path)
	must(t, err)
	return b
}

// contentOf opens a log, reads everything and closes it again.
func contentOf(t *testing.T, c Config, shards []stream.Shard) (string, error) {
	t.Helper()
	e, err := Open(context.Background(), c)
	if err != nil {
		return "", err
	}
	all, err := content(t, e, shards)
	return all, errors.Join(err, e.Close())
}

// isDamageTo says whether err is damage and names the file.
func isDamageTo(err error, path string) bool {
	var corrupt *stream.CorruptError
	return errors.As(err, &corrupt) && strings.HasSuffix(path, corrupt.File)
}

// TestDamagedIndexIsMadeAgain: whatever happens to directory or trailer of a finished file, written anew or not, its groups give the same index, byte
// for byte if nothing has died since. Check says before that it will be so, the log that it is.
func TestDamagedIndexIsMadeAgain(t *testing.T) {
	disk, c, shards := rewritten(t)
	want, err := contentOf(t, c, shards)
	must(t, err)
	random := chance(t)
	for _, f := range indexedFiles(t, disk, c) {
		changes := map[string]func(vfs.File) error{
			"trailer zeroed":               zeroAt(f.size-format.TrailerSize, f.size),
			"directory zeroed":             zeroAt(f.Directory, f.size-format.TrailerSize),
			"directory and trailer zeroed": zeroAt(f.Directory, f.size),
			"footer zeroed":                zeroAt(f.End, f.size),
			"footer cut off":               cutAt(f.End),
			"zeros behind it":              zeroAt(f.size, f.size+512),
		}
		for at := f.Directory + random.Int64N(5); at < f.size; at += 1 + random.Int64N(8) {
			changes[fmt.Sprint("flip at byte ", at)] = flipAt(at, random.IntN(8))
		}
		for at := f.End + 1 + random.Int64N(10); at < f.size; at += 1 + random.Int64N(50) {
			changes[fmt.Sprint("cut at byte ", at)] = cutAt(at)
		}
		var whole []byte // nil if it has an index of what is dead: that is left out when it is made again
		if !slices.ContainsFunc(f.spans, func(sp format.Span) bool { return !slices.Contains(shards, sp.Shard) }) {
			whole = wholeFile(t, disk, f.path)
		}
		for name, change := range changes {
			testMadeAgain(t, copyOf(t, disk, f.path, change), c, shards, want, whole, f.path)
			if t.Failed() {
				t.Fatalf("%s: %s", f.path, name)
			}
		}
	}
}

func testMadeAgain(t *testing.T, broken *vfs.Mem, c Config, shards []stream.Shard, want string, whole []byte, path string) {
	t.Helper()
	var log bytes.Buffer
	c.FS, c.Logger = broken, slog.New(slog.NewTextHandler(&log, nil))
	report, err := Check(broken, c.Dir)
	must(t, err)
	if len(report.Damage) != 1 || !isDamageTo(report.Damage[0], path) || !strings.Contains(report.Damage[0].Reason, "makes the index again") {
		t.Errorf("check says %v", report.Damage)
	}
	if got, err := contentOf(t, c, shards); err != nil || got != want {
		t.Errorf("reading says %v, %d bytes instead of %d", err, len(got), len(want))
	}
	if name := filepath.Base(path); !strings.Contains(log.String(), "index of a log file is made again") || strings.Count(log.String(), name) != 2 {
		t.Errorf("the log says\n%s", &log)
	}
	if whole != nil && !bytes.Equal(wholeFile(t, broken, path), whole) {
		t.Error("it is another index")
	}
	if report, err := Check(broken, c.Dir); err != nil || len(report.Damage) > 0 {
		t.Errorf("check afterwards: %+v, %v", report, err)
	}
}

// TestDamagedExtents: opening does not read them. Check names the file; reading, if they are a live shard's, makes them again as they were, and names
// the file if its groups are damaged too.
func TestDamagedExtents(t *testing.T) {
	disk, c, shards := rewritten(t)
	want, err := contentOf(t, c, shards)
	must(t, err)
	random := chance(t)
	for _, f := range indexedFiles(t, disk, c) {
		whole := wholeFile(t, disk, f.path)
		for _, sp := range f.spans {
			for at := sp.Position + random.Int64N(10); at < sp.Position+sp.IndexSize(); at += 1 + random.Int64N(30) {
				c.FS = copyOf(t, disk, f.path, flipAt(at, random.IntN(8)))
				report, err := Check(c.FS, c.Dir)
				must(t, err)
				if len(report.Damage) != 1 || !isDamageTo(report.Damage[0], f.path) {
					t.Errorf("%s, flip at byte %d: check says %v", f.path, at, report.Damage)
				}
				live := slices.Contains(shards, sp.Shard)
				var said strings.Builder
				c.Logger = slog.New(slog.NewTextHandler(&said, nil))
				if got, err := contentOf(t, c, shards); err != nil || got != want {
					t.Errorf("%s, flip at byte %d, live %v: reading says %v", f.path, at, live, err)
				}
				if live && (!bytes.Equal(wholeFile(t, c.FS.(*vfs.Mem), f.path), whole) || !strings.Contains(said.String(), "is made again from the file's groups")) {
					t.Errorf("%s, flip at byte %d: the index is not as it was, or nobody says so: %s", f.path, at, said.String())
				}
				c.FS = copyOf(t, disk, f.path, both(flipAt(at, 0), flipAt(format.FirstGroup+format.GroupHeaderSize+8, 0)))
				if _, err := contentOf(t, c, shards); live && !isDamageTo(err, f.path) {
					t.Errorf("%s, flip at byte %d, and in the first group: reading says %v", f.path, at, err)
				}
			}
		}
	}
}

// TestDamagedIndexHidesNoMissingGroup: a file that has lost groups with live batches is refused by name whatever else happened to it, and stays as
// it is. If only dead ones are gone, all is there that can be read.
func TestDamagedIndexHidesNoMissingGroup(t *testing.T) {
	disk, c, shards := rewritten(t)
	want, err := contentOf(t, c, shards)
	must(t, err)
	random := chance(t)
	refused, deadOnly := 0, 0
	for _, f := range indexedFiles(t, disk, c) {
		groups, end := liveGroups(t, disk, f.path, shards)
		last := groups[len(groups)-1]
		noIndex := zeroAt(f.End, f.size)
		changes := map[string]func(vfs.File) error{
			"no groups, no index":             cutAt(format.FirstGroup),
			"last group cut off, no index":    cutAt(last),
			"last group zeroed, no index":     both(zeroAt(last, f.End), noIndex),
			"last group zeroed, no trailer":   both(zeroAt(last, f.End), zeroAt(f.size-format.TrailerSize, f.size)),
			"last group zeroed, no directory": both(zeroAt(last, f.End), zeroAt(f.Directory, f.size-format.TrailerSize)),
			"all groups zeroed, no index":     zeroAt(format.FirstGroup, f.size),
		}
		for i, at := range groups {
			changes[fmt.Sprint("no index, flip in group ", i+1)] = both(flipAt(at+random.Int64N(100), random.IntN(8)), noIndex)
		}
		for at := format.FileHeaderSize + random.Int64N(kib); at < end; at += 1 + random.Int64N(kib) {
			changes[fmt.Sprint("cut at byte ", at)] = cutAt(at)
		}
		for name, change := range changes {
			refused++
			testRefused(t, copyOf(t, disk, f.path, change), c, shards, f.path, name)
		}
		for at := end + random.Int64N(kib); at < f.End; at += 1 + random.Int64N(kib) {
			deadOnly++
			c.FS = copyOf(t, disk, f.path, cutAt(at))
			if got, err := contentOf(t, c, shards); err != nil || got != want {
				t.Errorf("%s, cut at byte %d behind the last live batch: %v, %d bytes instead of %d", f.path, at, err, len(got), len(want))
			}
		}
	}
	if t.Logf("%d refused, %d without a loss", refused, deadOnly); deadOnly == 0 {
		t.Error("no file ends with what is dead")
	}
}

// testRefused opens a log with a broken file: it is refused, check says the same, and the file is as it was.
func testRefused(t *testing.T, disk *vfs.Mem, c Config, shards []stream.Shard, path, what string) {
	t.Helper()
	c.FS = disk
	broken := wholeFile(t, disk, path)
	report, err := Check(disk, c.Dir)
	must(t, err)
	_, err = contentOf(t, c, shards)
	var corrupt *stream.CorruptError
	if !isDamageTo(err, path) || !errors.As(err, &corrupt) {
		t.Errorf("%s: %s: reading says %v", path, what, err)
		return
	}
	if !slices.ContainsFunc(report.Damage, func(d *stream.CorruptError) bool { return *d == *corrupt }) {
		t.Errorf("%s: %s: check says %v, reading %v", path, what, report.Damage, err)
	}
	if !bytes.Equal(wholeFile(t, disk, path), broken) {
		t.Errorf("%s: %s: the file is another", path, what)
	}
}

// liveGroups returns where the groups of a file begin, up to the last one with a batch of these shards, and where that one ends.
func liveGroups(t *testing.T, disk *vfs.Mem, path string, shards []stream.Shard) (at []int64, end int64) {
	t.Helper()
	h, ok := parseFileName(filepath.Base(path))
	if !ok {
		t.Fatal(path)
	}
	e := &Engine{cfg: Config{FS: disk, Dir: filepath.Dir(filepath.Dir(path))}}
	f, err := e.openFile(h)
	must(t, err)
	s, err := newScanner(f)
	must(t, err)
	var all []int64
	_, err = e.scanGroups(s, func(g *format.Group, from int64) error {
		all = append(all, from)
		return g.Each(func(entry format.Entry, _ []byte, _ int) error {
			if entry.Kind == format.KindBatch && slices.Contains(shards, entry.Shard) {
				at, end = all, from+int64(g.Size())
			}
			return nil
		})
	})
	must(t, errors.Join(err, f.release()))
	if len(at) == 0 {
		t.Fatalf("%s has no live batch", path)
	}
	return at, end
}

// TestDeadGroupsMayBeMissing: what no shard refers to any more is no loss. The index has what is left.
func TestDeadGroupsMayBeMissing(t *testing.T) {
	disk, c, shards := rewritten(t)
	files := indexedFiles(t, disk, c)
	e := mustOpen(t, c)
	behind := e.tables.shards[shards[1]].spans[0]
	if behind.file.name != filepath.Base(files[0].path) {
		t.Fatalf("shard %v begins in %s", shards[1], behind.file.name)
	}
	_, err := e.Trim(context.Background(), shards[1], behind.Next)
	must(t, err)
	want, err := content(t, e, shards)
	must(t, err)
	must(t, e.Close())
	groups, _ := liveGroups(t, disk, files[0].path, shards)
	c.FS = copyOf(t, disk, files[0].path, cutAt(groups[len(groups)-1]))
	for range 2 {
		if got, err := contentOf(t, c, shards); err != nil || got != want {
			t.Fatalf("reading says %v, %d bytes instead of %d", err, len(got), len(want))
		}
	}
	if report, err := Check(c.FS, c.Dir); err != nil || len(report.Damage) > 0 {
		t.Errorf("check says %+v, %v", report, err)
	}
}

// TestPowerCutWhileAnIndexIsMadeAgain: the next start has all that it needs.
func TestPowerCutWhileAnIndexIsMadeAgain(t *testing.T) {
	disk, c, shards := rewritten(t)
	want, err := contentOf(t, c, shards)
	must(t, err)
	for _, f := range indexedFiles(t, disk, c) {
		for name, change := range map[string]func(vfs.File) error{
			"footer cut off":                cutAt(f.End),
			"nothing left but the trailer":  zeroAt(f.End, f.size-format.TrailerSize),
			"directory and trailer cut off": cutAt(f.Directory),
		} {
			broken := copyOf(t, disk, f.path, change)
			cuts := cutsOfMaking(t, broken, c, f.path)
			for i, cut := range cuts {
				c.FS = cut
				if got, err := contentOf(t, c, shards); err != nil || got != want {
					t.Fatalf("%s: %s, cut %d of %d: %v, %d bytes instead of %d", f.path, name, i, len(cuts), err, len(got), len(want))
				}
			}
		}
	}
}

// cutsOfMaking opens a log with a damaged index and returns the disk as power cuts at each write and sync of that file can leave it.
func cutsOfMaking(t *testing.T, broken *vfs.Mem, c Config, path string) (cuts []*vfs.Mem) {
	t.Helper()
	c.FS = vfs.Fault(broken, func(call *vfs.Call) error {
		if call.Name == filepath.Base(path) && (call.Op == vfs.OpWrite || call.Op == vfs.OpSync) {
			for seed := range uint64(20) {
				cuts = append(cuts, broken.CrashClone(rand.New(rand.NewPCG(seed, 0))))
			}
		}
		return nil
	})
	must(t, mustOpen(t, c).Close())
	if len(cuts) == 0 {
		t.Fatalf("%s was not written to", path)
	}
	return cuts
}
