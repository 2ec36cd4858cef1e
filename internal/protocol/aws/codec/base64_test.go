package codec

import (
	"bytes"
	"encoding/base64"
	"testing"
)

// FuzzBase64 holds blobs against the standard library, at every place in a chunk, and looks at the bytes around them.
func FuzzBase64(f *testing.F) {
	f.Add([]byte("hello"), "aGVsbG8=", 3)
	f.Add(bytes.Repeat([]byte{0xff}, 100), "////", 0)
	f.Add([]byte{}, "aGVsbG9=", 1000)
	f.Add([]byte("x"), "aGVs\nbG8=", 64)
	f.Fuzz(func(t *testing.T, blob []byte, text string, offset int) {
		encoded := string(appendBase64([]byte("before"), blob))
		if want := "before" + base64.StdEncoding.EncodeToString(blob); encoded != want {
			t.Fatalf("%x: %s, want %s", blob, encoded, want)
		}
		var s slab
		neighbours := [][]byte{append(s.take(offset&1023), make([]byte, offset&1023)...)}
		for _, text := range []string{encoded[len("before"):], text} {
			want, library := base64.StdEncoding.Strict().DecodeString(text)
			got, err := s.base64(text)
			if (err == nil) != (library == nil && !bytes.ContainsAny([]byte(text), "\r\n")) || err == nil && !bytes.Equal(got, want) {
				t.Fatalf("%q: %x, %v, want %x, %v", text, got, err, want, library)
			}
			neighbours = append(neighbours, got)
		}
		if !bytes.Equal(neighbours[0], make([]byte, offset&1023)) || !bytes.Equal(neighbours[1], blob) {
			t.Fatalf("%x %q: a neighbour was overwritten", blob, text)
		}
	})
}
