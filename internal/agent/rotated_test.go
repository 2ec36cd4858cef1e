package agent

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// compress does what gzip does to a file.
func (b *bench) compress(name string) {
	b.t.Helper()
	text, err := os.ReadFile(b.path(name))
	if err == nil {
		err = errors.Join(os.WriteFile(b.path(name+".gz"), gzipped(b.t, text), 0o600), os.Remove(b.path(name)))
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func gzipped(t testing.TB, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write(text)
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

const lostFile = "file is not found again"

func TestFileThatWasCompressedMeanwhileIsReadToItsEnd(t *testing.T) {
	for _, row := range []struct {
		name, format, begin, more string
		want                      []string
	}{
		{"line", "line", "1\n", "2\n3\nrest", []string{"1", "2", "3", "new", "rest"}},
		{"csv", "csv", "n\n1\n", "2\n", []string{`{"n":"1"}`, `{"n":"2"}`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			inBubble(t, func(c *Config) { c.Format = row.format }, func(b *bench) {
				b.write("app.log", row.begin)
				b.start()
				b.settle()
				b.halt()
				b.write("app.log", row.more)
				b.rename("app.log", "app.log.1")
				b.compress("app.log.1")
				b.write("app.log", "new\n")
				for range 2 { // the second time all of it is known to be sent
					b.start()
					time.Sleep(20 * time.Second)
					b.expect(row.want...)
					b.halt()
				}
				if n := b.logged("path=" + b.path("app.log.1.gz")); n != 1 {
					b.t.Errorf("the compressed file was opened %d times", n)
				}
				if n := b.logged(lostFile); n != 0 {
					b.t.Errorf("reported %d times", n)
				}
			})
		})
	}
}

// TestCopyThatWasCompressedAtOnceIsRead: before the agent saw that the file was cut.
func TestCopyThatWasCompressedAtOnceIsRead(t *testing.T) {
	inBubble(t, nil, func(b *bench) {
		b.write("app.log", "1\nhalf-")
		b.start()
		b.expect("1")
		time.Sleep(100 * time.Millisecond) // between two looks
		b.write("app.log", "rest\n2\n")
		b.copyTruncate("app.log", "app.log.1")
		b.compress("app.log.1")
		b.expect("1", "half-rest", "2")
		b.halt()
	})
}

// TestFileThatIsNotFoundAgainIsReported: once, whatever became of it, and only if something of it may be missing.
func TestFileThatIsNotFoundAgainIsReported(t *testing.T) {
	for _, row := range []struct {
		name string
		do   func(b *bench) error
		want int
	}{
		{"removed", func(b *bench) error { return os.Remove(b.path("app.log")) }, 1},
		{"renamed to another place", func(b *bench) error { return os.Rename(b.path("app.log"), b.path("old")) }, 1},
		{"cut", func(b *bench) error { return os.Truncate(b.path("app.log"), 0) }, 1},
		{"compressed otherwise", func(b *bench) error { return os.Rename(b.path("app.log"), b.path("app.log.1.xz")) }, 1},
		{"damaged", func(b *bench) error {
			z := gzipped(b.t, []byte("1\n2\n"))
			return errors.Join(os.Remove(b.path("app.log")), os.WriteFile(b.path("app.log.1.gz"), z[:len(z)-1], 0o600))
		}, 1},
		{"renamed", func(b *bench) error { return os.Rename(b.path("app.log"), b.path("app.log.1")) }, 0},
		{"as it was", func(*bench) error { return nil }, 0},
		{"not there yet", func(b *bench) error { return os.Rename(b.path("app.log"), b.path("app.log.1")) }, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			inBubble(t, nil, func(b *bench) {
				b.write("app.log", "1\n")
				b.start()
				b.expect("1")
				b.halt()
				if err := row.do(b); err != nil {
					t.Fatal(err)
				}
				if row.name != "not there yet" {
					b.write("app.log", "new\n")
				}
				for range 2 {
					b.start()
					time.Sleep(20 * time.Second)
					b.halt()
				}
				if n := b.logged(lostFile); n != row.want {
					t.Errorf("reported %d times, want %d\n%s", n, row.want, &b.log.text)
				}
			})
		})
	}
	t.Run("rotated and sent, then removed", func(t *testing.T) {
		inBubble(t, nil, func(b *bench) {
			b.write("app.log", "1\n")
			b.start()
			b.settle()
			b.rename("app.log", "app.log.1")
			b.write("app.log", "2\n")
			time.Sleep(20 * time.Second)
			b.copyTruncate("app.log", "app.log.2")
			b.write("app.log", "3\n")
			time.Sleep(20 * time.Second)
			b.halt()
			if err := errors.Join(os.Remove(b.path("app.log.1")), os.Remove(b.path("app.log.2"))); err != nil {
				t.Fatal(err)
			}
			b.start()
			b.expect("1", "2", "3")
			b.halt()
			if n := b.logged(lostFile); n != 0 {
				t.Errorf("reported %d times", n)
			}
		})
	})
}

// FuzzGzipSource reads a compressed text in any order as the text itself.
func FuzzGzipSource(f *testing.F) {
	f.Add([]byte("text"), uint16(0), uint16(4))
	f.Add(bytes.Repeat([]byte("many lines\n"), 1000), uint16(5000), uint16(2000))
	f.Fuzz(func(t *testing.T, text []byte, first, second uint16) {
		name := t.TempDir() + "/text.gz"
		if err := os.WriteFile(name, gzipped(t, text), 0o600); err != nil {
			t.Fatal(err)
		}
		z, err := openSource(name)
		if err != nil {
			t.Fatal(err)
		}
		info, err := z.Stat()
		if err != nil || info.Size() != int64(len(text)) {
			t.Fatalf("%d bytes of %d, %v", info.Size(), len(text), err)
		}
		want := strings.NewReader(string(text))
		for _, off := range []uint16{first, second, 0, first} {
			got, expected := make([]byte, 2000), make([]byte, 2000)
			n, err := z.ReadAt(got, int64(off))
			m, wanted := want.ReadAt(expected, int64(off))
			if n != m || !bytes.Equal(got, expected) || errors.Is(err, io.EOF) != errors.Is(wanted, io.EOF) && n < len(got) {
				t.Fatalf("at %d: %d bytes, %v; want %d, %v", off, n, err, m, wanted)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
