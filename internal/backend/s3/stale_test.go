package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/internal/object"
)

// leave has a server keep uploads of some age.
func (s *server) leave(age time.Duration, keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		s.next++
		s.uploads[fmt.Sprintf("upload%d", s.next)] = &pending{bucket: "store", key: key, begun: s.now().Add(-age)}
	}
}

// left returns the keys of the uploads there.
func (s *server) left() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for u := range maps.Values(s.uploads) {
		keys = append(keys, u.key)
	}
	slices.Sort(keys)
	return keys
}

// TestStaleUploadsAreDropped leaves those of others, and those that may be completed, by the server's clock.
func TestStaleUploadsAreDropped(t *testing.T) {
	server, at := newServer(t, false, "store")
	server.ahead = 5 * time.Minute
	const own = "a b/é/"
	var old []string
	for n := range 3*uploadsPage + 7 {
		old = append(old, fmt.Sprintf("%stier/a+b %%/%d", own, n/3)) // up to three of a key
	}
	server.leave(25*time.Hour, old...)
	server.leave(23*time.Hour+50*time.Minute, own+"tier/young")
	server.leave(48*time.Hour, "a b/éx/of another", "of others")
	s := newStore(t, at, nil)
	if n, err := s.DropStale(t.Context(), StaleAfter); n != len(old) || err != nil {
		t.Fatalf("%d of %d uploads dropped, %v", n, len(old), err)
	}
	if left := server.left(); !slices.Equal(left, []string{own + "tier/young", "a b/éx/of another", "of others"}) {
		t.Fatalf("left: %q", left)
	}
	if n, err := s.DropStale(t.Context(), StaleAfter); n != 0 || err != nil {
		t.Fatalf("%d uploads dropped again, %v", n, err)
	}
}

// TestUploadsOfABucketWithoutPrefixStay: nobody knows whose they are.
func TestUploadsOfABucketWithoutPrefixStay(t *testing.T) {
	for name, edit := range map[string]func(*Config){"of all": func(c *Config) { c.Prefix = "" }, "own buckets": ownBuckets} {
		server, at := newServer(t, false, "store")
		server.leave(48*time.Hour, "tier/x")
		if n, err := newStore(t, at, edit).DropStale(t.Context(), StaleAfter); n != 0 || err != nil || len(server.left()) != 1 || len(server.asked) != 0 {
			t.Errorf("%s: %d dropped, %v, asked %q", name, n, err, server.asked)
		}
	}
}

// TestStaleUploadsAreLookedForEachDay: also after a day on which that was refused, as it is to credentials that may not list them.
func TestStaleUploadsAreLookedForEachDay(t *testing.T) {
	server, at := newServer(t, false, "store")
	server.before = func(w http.ResponseWriter, r *http.Request) bool {
		fail(w, r, fault{403, "AccessDenied"})
		return true
	}
	server.leave(48*time.Hour, "a b/é/tier/x")
	c, log := clock.NewVirtual(time.Now()), &lockedBuffer{}
	s := newStore(t, at, func(cfg *Config) { cfg.Clock, cfg.Logger = c, slog.New(slog.NewTextHandler(log, nil)) })
	if _, err := s.DropStale(t.Context(), StaleAfter); !errors.Is(err, object.ErrDenied) {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	clocktest.Eventually(t, "the refusal is logged", func() bool { return strings.Contains(log.String(), "AccessDenied") })
	server.mu.Lock()
	server.before = nil
	server.mu.Unlock()
	clocktest.Eventually(t, "the upload is dropped another day", func() bool {
		c.Advance(staleEvery)
		return len(server.left()) == 0
	})
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
