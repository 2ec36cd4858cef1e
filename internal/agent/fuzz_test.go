package agent

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzMarks reads checkpoints: as they are, and as the entries of one whose sum is right. What is accepted is read again as it is written.
func FuzzMarks(f *testing.F) {
	entries := []byte(`[{"path":"/var/log/a","head":3,"hash":"ba7816bf","offset":12,"updated":"2026-11-21T00:00:00Z"}]`)
	f.Add(entries)
	f.Add([]byte(`[null]`))
	f.Add([]byte(`[{"head":-1}]`))
	f.Add(checkpointOf(f, entries))
	f.Fuzz(func(t *testing.T, value []byte) {
		_, _ = readMarks(value)
		if !json.Valid(value) {
			return
		}
		marks, err := readMarks(checkpointOf(t, value))
		if err != nil {
			return
		}
		for _, m := range marks {
			m.knows(value)
		}
		kept, err := json.Marshal(marks)
		if err != nil {
			t.Fatal(err)
		}
		again, err := readMarks(checkpointOf(t, kept))
		if written, e := json.Marshal(again); err != nil || e != nil || !bytes.Equal(written, kept) {
			t.Fatalf("%s is read again as %s: %v, %v", kept, written, err, e)
		}
	})
}

// checkpointOf returns a checkpoint with these entries.
func checkpointOf(t testing.TB, entries []byte) []byte {
	t.Helper()
	var files bytes.Buffer
	if err := json.Compact(&files, entries); err != nil {
		t.Fatal(err)
	}
	value, err := json.Marshal(checkpointFile{checkpointVersion, hashOf(files.Bytes()), entries})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// FuzzJSON: what is sent is the line, and an object.
func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"user":"a","n":1}`))
	f.Add([]byte(`{"user":{"user":"a"},"user":null}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, line []byte) {
		data, key, err := jsonFormat{key: "user"}.record(line)
		if err != nil {
			return
		}
		var object map[string]any
		if !bytes.Equal(data, line) || json.Unmarshal(data, &object) != nil {
			t.Fatalf("%q makes %q", line, data)
		}
		if clipped := []rune(clipKey(key)); len(clipped) > maxKeyChars {
			t.Fatalf("a key of %d characters", len(clipped))
		}
	})
}

// FuzzCSV: a row makes an object with a member for each name of the header.
func FuzzCSV(f *testing.F) {
	f.Add([]byte("a,b"), []byte(`1,"2, and ""3"""`))
	f.Add([]byte("\xef\xbb\xbfa"), []byte("\"x\ny\""))
	f.Add([]byte(""), []byte("\xff,"))
	f.Fuzz(func(t *testing.T, header, row []byte) {
		format := &csvFormat{key: "a"}
		_, _, _ = format.record(header)
		data, _, err := format.record(row)
		if err != nil {
			return
		}
		var object map[string]string
		if err := json.Unmarshal(data, &object); err != nil {
			t.Fatalf("%q under %q makes %q: %s", row, header, data, err)
		}
		if len(object) != len(format.header) {
			t.Fatalf("%q under %q makes %q", row, header, data)
		}
	})
}
