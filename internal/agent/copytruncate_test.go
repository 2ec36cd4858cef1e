package agent

import (
	"os"
	"slices"
	"testing"
	"time"
)

func TestCopiedAndTruncatedTwice(t *testing.T) {
	inBubble(t, all, func(b *bench) {
		b.write("app.log", "1\n2\n")
		b.start()
		b.expect("1", "2")
		b.copyTruncate("app.log", "app.log.1")
		b.write("app.log", "4\n")
		b.settle()
		time.Sleep(60 * time.Second)
		b.rename("app.log.1", "app.log.2")
		b.write("app.log", "5\n")
		b.copyTruncate("app.log", "app.log.1")
		b.write("app.log", "6\n")
		b.settle()
		time.Sleep(60 * time.Second)
		got := b.stream.got()
		slices.Sort(got)
		if want := []string{"1", "2", "4", "5", "6"}; !slices.Equal(got, want) {
			b.t.Errorf("got %q, want %q", got, want)
		}
		b.halt()
	})
}

// TestLineThatACopyHasTheRestOfIsWhole: the file is cut when its last line was read in part, and the rest of it is in the copy.
func TestLineThatACopyHasTheRestOfIsWhole(t *testing.T) {
	for _, row := range []struct {
		name, rest string
		change     func(*Config)
		want       []string
	}{
		{"one name", "rest\n", nil, []string{"complete", "half-rest", "new"}},
		{"pattern", "rest\n", all, []string{"complete", "half-rest", "new"}},
		{"record of joined lines", " 2\n 3\nmore\n", func(c *Config) { c.Multiline = `^\w` }, []string{"complete", "half- 2\n 3", "more", "new"}},
		{"nothing but what was read", "", nil, []string{"complete", "half-", "new"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			inBubble(t, row.change, func(b *bench) {
				b.write("app.log", "complete\nhalf-")
				b.start()
				b.settle()
				time.Sleep(100 * time.Millisecond) // between two looks
				b.write("app.log", row.rest)
				b.copyTruncate("app.log", "app.log.1")
				b.settle()
				b.write("app.log", "new\n")
				time.Sleep(30 * time.Second)
				got := b.stream.got()
				slices.Sort(got) // the new file may be read before the copy is known to have ended
				if !slices.Equal(got, row.want) {
					t.Errorf("got %q, want %q", got, row.want)
				}
				b.halt()
			})
		})
	}
}

// TestLineThatNoCopyHasIsSentAsFarAsItWasRead: also if there is a copy that was made before the line was read.
func TestLineThatNoCopyHasIsSentAsFarAsItWasRead(t *testing.T) {
	inBubble(t, nil, func(b *bench) {
		b.write("app.log", "complete\nhal")
		b.start()
		b.expect("complete")
		b.write("app.log.1", "complete\nhal")
		b.write("app.log", "f")
		b.expect("complete")
		if err := os.Truncate(b.path("app.log"), 0); err != nil {
			t.Fatal(err)
		}
		b.expect("complete", "half")
		b.halt()
	})
}
