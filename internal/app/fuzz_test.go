package app

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzReadFile: what is read of a file without a word is of the kind that its setting wants.
func FuzzReadFile(f *testing.F) {
	f.Add([]byte("data: d\naccess-keys: [a:b, c:d]\ntail-memory: 3MiB\n"))
	f.Add([]byte("kafka: {host: x}\nportt: 1\n"))
	f.Add([]byte("a: &a [x]\nb: *a\n---\nc: 1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "freshet.yaml")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		values, err := ReadFile(path)
		if err != nil {
			return
		}
		for name, value := range values {
			if remedy := mistyped(name, value); value == "" || remedy != "" {
				t.Fatalf("%s is %q, but: %s", name, value, remedy)
			}
		}
	})
}

// FuzzSize: a size that is read is written as one that means the same.
func FuzzSize(f *testing.F) {
	f.Add("64MiB")
	f.Add(" 1 kb")
	f.Add("-0B")
	f.Add("4611686018427387904")
	f.Fuzz(func(t *testing.T, text string) {
		var size, again Size
		if size.UnmarshalText([]byte(text)) != nil {
			return
		}
		if err := again.UnmarshalText([]byte(size.String())); size < 0 || err != nil || again != size {
			t.Fatalf("%q is %d, written as %q: %d, %v", text, size, size, again, err)
		}
	})
}
