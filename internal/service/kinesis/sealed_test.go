package kinesis

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/state/memstate"
	"github.com/freshet/freshet/internal/stream"
)

func testSealer(t testing.TB) *sealer {
	t.Helper()
	s, err := newSealer(t.Context(), memstate.New(clock.NewVirtual(rigStart)), seeded())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The form is that of real iterators: 152 to 280 bytes in steps of 16, after eight bytes that are 1.
func TestIteratorForm(t *testing.T) {
	s := testSealer(t)
	for _, name := range []string{"a", strings.Repeat("n", maxNameLen)} {
		it := iterator{shard: stream.Shard{Stream: stream.ID{1, 2}, Index: 3}, next: 1 << 40, name: stream.Name(name)}
		token := s.sealIterator(rigStart, it)
		raw, err := base64.StdEncoding.DecodeString(token)
		if err != nil || len(raw) < 152 || len(raw) > 280 || len(raw)%16 != 8 || string(raw[:8]) != "\x00\x00\x00\x00\x00\x00\x00\x01" {
			t.Errorf("%d bytes: %x, %v", len(raw), raw, err)
		}
		for _, form := range []string{token, `"` + token + `"`} {
			issued, back, err := s.openIterator(form)
			if err != nil || back != it || !issued.Equal(rigStart) {
				t.Errorf("got %+v issued %s, %v", back, issued, err)
			}
		}
		if s.sealIterator(rigStart, it) == token {
			t.Error("two iterators are equal")
		}
		if _, _, err := s.open(shardsToken, token); err == nil {
			t.Error("an iterator was taken for a NextToken")
		}
	}
}

func TestChangedIteratorIsRefused(t *testing.T) {
	s := testSealer(t)
	token := s.sealIterator(rigStart, iterator{next: 5, name: "s"})
	raw, _ := base64.StdEncoding.DecodeString(token)
	for i := range raw {
		raw[i] ^= 1
		if _, _, err := s.openIterator(base64.StdEncoding.EncodeToString(raw)); err == nil {
			t.Errorf("a change of byte %d was not noticed", i)
		}
		raw[i] ^= 1
	}
}

func FuzzOpenIterator(f *testing.F) {
	s := testSealer(f)
	valid := s.sealIterator(time.UnixMilli(1), iterator{next: 5, name: "s"})
	f.Add(valid)
	f.Add(valid[:15] + "\n" + valid[15:])
	f.Add(`"`)
	f.Add(base64.StdEncoding.EncodeToString(make([]byte, 200)))
	f.Fuzz(func(t *testing.T, token string) {
		if _, _, err := s.openIterator(token); err == nil && strings.Trim(token, `"`) != valid {
			t.Errorf("%q was accepted", token)
		}
	})
}

func FuzzTokenBody(f *testing.F) {
	f.Add([]byte{3, 'a', 'b', 'c', 0, 0, 0, 0, 0, 0, 0, 9})
	f.Fuzz(func(t *testing.T, raw []byte) {
		b := tokenBody(raw)
		if s := b.text(); len(s) > len(raw) {
			t.Error("longer than what it came from")
		}
		b.number()
		_ = b.text()
	})
}
