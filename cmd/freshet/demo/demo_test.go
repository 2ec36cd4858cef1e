package demo

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/internal/app"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// screen is an output that a test looks at.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// TestEventsFlowAndARestartGoesOn runs the demo until events have come through each way and into files, and then once more on what it left.
func TestEventsFlowAndARestartGoesOn(t *testing.T) {
	data := t.TempDir()
	first := runUntil(t, data, func(out string) bool {
		return last(out, machineStream, "files") >= 1 && last(out, accessStream, "files") >= 1
	})
	for _, stream := range []string{machineStream, accessStream} {
		if last(first, stream, "records") == 0 || last(first, stream, "read") == 0 || last(first, stream, "dropped") != 0 {
			t.Fatalf("nothing flowed:\n%s", first)
		}
	}
	for _, paste := range []string{"get-records --shard-iterator", "kcat -C -b 127.0.0.1:", "find " + filepath.Join(data, "objects", bucket)} {
		if !strings.Contains(first, paste) {
			t.Errorf("nothing to paste like %q:\n%s", paste, first)
		}
	}
	written := last(first, machineStream, "records")
	second := runUntil(t, data, func(out string) bool {
		return last(out, machineStream, "read") > 0 && last(out, accessStream, "read") > 0
	})
	// What the first run had read is not read again: at most what came in while it stopped.
	if again := last(second, machineStream, "read") - last(second, machineStream, "records"); again > written/2 {
		t.Errorf("the second run read %d records more than it wrote, after %d of the first:\n%s", again, written, second)
	}
	if last(second, machineStream, "files") < last(first, machineStream, "files") {
		t.Errorf("files are gone:\n%s\n%s", first, second)
	}
}

func runUntil(t *testing.T, data string, done func(out string) bool) string {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 60*time.Second)
	defer stop()
	out := &screen{}
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Config{
			Node: app.Config{Data: data, Kafka: "127.0.0.1:0", AWS: "127.0.0.1:0"}, Out: out,
			Every: 50 * time.Millisecond, Deliver: time.Second,
		})
	}()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for !done(out.String()) {
		select {
		case err := <-ended:
			log, _ := os.ReadFile(filepath.Join(data, "demo", "log"))
			t.Fatalf("ended with %v:\n%s\n%s", err, out, log)
		case <-look.C:
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// last returns the last figure of a stream in plain output, or 0.
func last(out, stream, figure string) int {
	all := regexp.MustCompile(`(?m)^stream=`+stream+` .*\b`+figure+`=(\d+)`).FindAllStringSubmatch(out, -1)
	if len(all) == 0 {
		return 0
	}
	n, err := strconv.Atoi(all[len(all)-1][1])
	if err != nil {
		panic(err)
	}
	return n
}

func TestMeter(t *testing.T) {
	m := newFlowMeter("s", 1)
	now := time.Unix(1000, 0)
	m.reading(now)
	for range 50 {
		m.wrote(100)
	}
	m.got([]byte("no event"), time.Time{})
	m.got([]byte(`{"sent":"1999-01-01T00:00:00Z"}`), time.Now()) // before the demo started
	r := m.reading(now.Add(5 * time.Second))
	if r.perSecond != 10 || r.bytes != 1000 || r.records != 50 || r.read != 2 || r.measured {
		t.Fatalf("%+v", r)
	}
	for i := range 100 {
		m.latencies = append(m.latencies, latency{now.Add(20 * time.Second), time.Duration(100-i) * time.Millisecond})
	}
	if r = m.reading(now.Add(20 * time.Second)); r.p99 != 99*time.Millisecond || !r.measured {
		t.Fatalf("%+v", r)
	}
	if r = m.reading(now.Add(31 * time.Second)); r.measured || len(m.latencies) != 0 {
		t.Fatalf("%+v", r)
	}
}

func TestFilesAreCounted(t *testing.T) {
	root := t.TempDir()
	var f files
	if n := f.count(filepath.Join(root, "none")); n != 0 {
		t.Fatal(n)
	}
	for i := range 5 {
		path := filepath.Join(root, fmt.Sprintf("%d", i%2), "x", fmt.Sprintf("%d", i))
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if n := f.count(root); n != i+1 {
			t.Fatalf("counted %d of %d", n, i+1)
		}
	}
	// Unchanged for a while: from memory.
	old := time.Now().Add(-time.Hour)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return os.Chtimes(path, old, old)
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := f.count(root); n != 5 || f.count(root) != 5 {
		t.Fatalf("counted %d of 5", n)
	}
}

func TestTableIsDrawnInPlace(t *testing.T) {
	out := &screen{}
	d := &demo{cfg: Config{Out: out}}
	d.lost.Add(3)
	rows := []row{{reading{stream: machineStream, shards: 3, p99: 1500 * time.Microsecond, measured: true}, "0 records", 7}, {reading{stream: accessStream}, "0 ms", 0}}
	drawn, err := d.draw(rows, 5*time.Second, 0)
	if err != nil || drawn != 5 {
		t.Fatal(drawn, err)
	}
	if _, err = d.draw(rows, 6*time.Second, drawn); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\x1b[5A", "1.5 ms", "3 dropped", "6s up"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %q", want, out)
		}
	}
}

// TestDeliveredFilesAreShownByThePastedLine runs the line before the first file is there, and then with one.
func TestDeliveredFilesAreShownByThePastedLine(t *testing.T) {
	if _, err := exec.LookPath("gunzip"); err != nil {
		t.Skip("there is no gunzip here")
	}
	d := &demo{at: app.Addresses{Objects: filepath.Join(t.TempDir(), "my objects")}}
	dir := filepath.Join(d.delivered(machineStream), "2026")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(d.welcome(), "  find ")
	line, _, _ = strings.Cut("find "+line, "\n")
	said, err := exec.CommandContext(t.Context(), "sh", "-c", line).CombinedOutput()
	if err != nil || len(said) > 0 {
		t.Errorf("%s, without a file: %v, %s", line, err, said)
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err = w.Write([]byte("an event\n"))
	if err = errors.Join(err, w.Close(), os.WriteFile(filepath.Join(dir, "a.gz"), packed.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	said, err = exec.CommandContext(t.Context(), "sh", "-c", line).CombinedOutput()
	if err != nil || string(said) != "an event\n" {
		t.Errorf("%s: %v, %s", line, err, said)
	}
}
