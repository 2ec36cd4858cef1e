package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
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

func TestObjectVerbsSayWhatIsWrong(t *testing.T) {
	data := t.TempDir()
	bucket := filepath.Join(data, "objects", "lake")
	if err := os.MkdirAll(bucket, 0o700); err != nil {
		t.Fatal(err)
	}
	var whole bytes.Buffer
	z := gzip.NewWriter(&whole)
	if _, err := z.Write(bytes.Repeat([]byte("a line\n"), 10)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	sum, header := bytes.Clone(whole.Bytes()), bytes.Clone(whole.Bytes())
	sum[len(sum)-8] ^= 1
	header[3] |= 2 // a sum of the header, which it has not
	for name, content := range map[string][]byte{
		"whole.gz": whole.Bytes(), "cut.gz": whole.Bytes()[:whole.Len()-9], "sum.gz": sum, "header.gz": header, "plain": []byte("a line\n"),
	} {
		if err := os.WriteFile(filepath.Join(bucket, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for line, want := range map[string]struct {
		code int
		said string
	}{
		"ls":                                   {exitOK, "lake/\n"},
		"ls lake/cut":                          {exitOK, "lake/cut.gz\n"},
		"ls pond":                              {exitNotFound, "object not found: none is called pond or begins so"},
		"ls lake/river":                        {exitNotFound, "object not found: none is called lake/river or begins so"},
		"ls --json s3://pond/":                 {exitNotFound, "object not found"},
		"ls Lake":                              {exitUsage, "lower-case"},
		"cat lake":                             {exitUsage, `"lake" has no key: give BUCKET/KEY`},
		"cat lake/":                            {exitUsage, `"lake/" has no key`},
		"cat lake/plain Lake/plain":            {exitUsage, "lower-case"},
		"cat lake/none":                        {exitNotFound, "object not found"},
		"cat -z lake/plain lake/whole.gz":      {exitOK, "a line\n"},
		"cat lake/cut.gz lake/sum.gz":          {exitOK, ""},
		"cat -z lake/whole.gz lake/cut.gz":     {exitDamaged, fmt.Sprintf("corrupt at lake/cut.gz byte %d: unexpected EOF", whole.Len()-9)},
		"cat -z lake/sum.gz":                   {exitDamaged, fmt.Sprintf("corrupt at lake/sum.gz byte %d: gzip: invalid checksum", whole.Len())},
		"cat -z lake/header.gz lake/header.gz": {exitDamaged, "corrupt at lake/header.gz byte 12: gzip: invalid header"},
	} {
		code, said := output(append(strings.Fields(line), "--data", data)...)
		if code != want.code || !strings.Contains(said, want.said) {
			t.Errorf("%s: exit code %d, want %d, %q", line, code, want.code, said)
		}
		if want.code == exitUsage && strings.Contains(said, "a line") {
			t.Errorf("%s writes objects before it says what is wrong", line)
		}
	}
}
