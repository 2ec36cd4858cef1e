package agent

import (
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
