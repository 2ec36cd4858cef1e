package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A key may have any characters; in the table each object has one line, and its key one column.
func TestLsShowsKeysOnOneLine(t *testing.T) {
	data := t.TempDir()
	bucket := filepath.Join(data, "objects", "lake")
	if err := os.MkdirAll(bucket, 0o700); err != nil {
		t.Fatal(err)
	}
	keys := []string{"plain é ok", "a%09tab", "a%0Aline%1B[31m", "%22quoted%22"} // as file names
	for _, name := range keys {
		if err := os.WriteFile(filepath.Join(bucket, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, said := output("ls", "--data", data, "lake")
	lines := strings.Split(strings.TrimSuffix(said, "\n"), "\n")
	if code != exitOK || len(lines) != len(keys) {
		t.Fatalf("exit code %d, %q", code, said)
	}
	for _, want := range []string{"lake/plain é ok", `"lake/a\ttab"`, `"lake/a\nline\x1b[31m"`, `lake/"quoted"`} {
		if !strings.Contains(said, "  "+want+"\n") {
			t.Errorf("no %s in\n%s", want, said)
		}
	}
	if strings.ContainsAny(said, "\t\x1b") {
		t.Errorf("%q has characters that steer a terminal", said)
	}
}
