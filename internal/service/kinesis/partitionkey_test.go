package kinesis

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPartitionKeyForms(t *testing.T) {
	for _, test := range []struct {
		key  []byte
		want string
	}{
		{nil, "kafka:null"},
		{[]byte{}, "kafka:empty"},
		{[]byte("user-1"), "user-1"},
		{[]byte("\x00\n\""), "\x00\n\""},
		{[]byte{0, 0, 0, 0xff}, "kafka:hex:000000ff"},
		{[]byte(strings.Repeat("x", 256)), strings.Repeat("x", 256)},
		{[]byte(strings.Repeat("\xff", 123)), "kafka:hex:" + strings.Repeat("ff", 123)},
		{[]byte(strings.Repeat("\xff", 124)), "kafka:sha256:49400dd2502410d5b6c7222a4261c8dbfa17c8b96b1faf91df4f586761841d76"},
	} {
		got := string(appendPartitionKey(nil, test.key))
		if got != test.want {
			t.Errorf("%x: got %s, want %s", test.key, got, test.want)
		}
	}
}

func FuzzPartitionKey(f *testing.F) {
	f.Add([]byte("a"))
	f.Add([]byte{0xff})
	f.Add([]byte(strings.Repeat("é", 300)))
	f.Fuzz(func(t *testing.T, key []byte) {
		shown := appendPartitionKey(nil, key)
		if n := utf8.RuneCount(shown); !utf8.Valid(shown) || n < 1 || n > maxPartitionKey {
			t.Errorf("%x is shown as %q", key, shown)
		}
	})
}
