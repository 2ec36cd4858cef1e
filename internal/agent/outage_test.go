package agent

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// TestFilesRotatedDuringAnOutageAreSent rotates a file several times while the endpoint takes nothing: each file is at the followed path for a
// while, but is away from it when the outage ends.
func TestFilesRotatedDuringAnOutageAreSent(t *testing.T) {
	inBubble(t, nil, func(b *bench) {
		b.write("app.log", "before\n")
		b.start()
		b.expect("before")
		b.stream.failFor(5 * time.Minute)
		want := []string{"before"}
		for i := range 4 {
			line := fmt.Sprintf("file %d", i)
			b.write("app.log", line+"\n")
			want = append(want, line)
			time.Sleep(time.Minute)
			b.rename("app.log", fmt.Sprintf("rotated.%d", i))
		}
		b.write("app.log", "after\n")
		time.Sleep(2 * time.Minute)
		b.expect(append(want, "after")...)
		b.halt()
	})
}

// TestFilesOpenAreBounded rotates more files during an outage than may be followed.
func TestFilesOpenAreBounded(t *testing.T) {
	inBubble(t, func(c *Config) { c.MaxFiles = 2 }, func(b *bench) {
		b.start()
		b.stream.failFor(5 * time.Minute)
		for i := range 4 {
			b.write("app.log", fmt.Sprintf("file %d\n", i))
			time.Sleep(time.Minute)
			if n := b.agent.Stats().Files; n > 2 {
				t.Fatalf("%d files are open", n)
			}
			b.rename("app.log", fmt.Sprintf("rotated.%d", i))
		}
		b.write("app.log", "after\n")
		time.Sleep(2 * time.Minute)
		b.expect("file 0", "file 1", "after")
		b.halt()
	})
}

// failFor fails requests for a while.
func (s *stream) failFor(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	up := time.Now().Add(d)
	s.fail = func(int) error {
		if time.Now().Before(up) {
			return errors.New("connection refused")
		}
		return nil
	}
}
