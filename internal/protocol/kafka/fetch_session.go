package kafka

import (
	"encoding/binary"
	"io"
	"math"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/stream"
)

// fetchSessions remembers what consumers read (KIP-227), so that a request need only say what has changed and an answer only what is new. There
// is room for max sessions of maxSessionParts partitions in all; who gets none has to ask for everything each time.
type fetchSessions struct {
	max   int
	clock clock.Clock

	mu     sync.Mutex
	random io.Reader               // guarded by mu
	byID   map[int32]*fetchSession // guarded by mu
	parts  int                     // guarded by mu: partitions of all sessions
}

// fetchSession is the memory of one consumer.
type fetchSession struct {
	id     int32
	set    *fetchSet
	owner  *Client
	byName bool // its requests name topics; since v13 they have ids
	begun  bool // the full answer was given

	// Guarded by fetchSessions.mu:
	epoch int32 // the next request's
	busy  bool  // a request is being served, which has set to itself
	gone  bool  // not in byID any more; whoever ends last closes the set
	used  time.Time
	parts int
}

const (
	// maxSessionParts bounds the partitions remembered in all sessions.
	maxSessionParts = 250_000
	// evictAfter is how long a session must have been unused to make room for any other (min.incremental.fetch.session.eviction.ms).
	evictAfter = 2 * time.Minute
)

const (
	finalEpoch   = -1 // ends a session, or has none
	initialEpoch = 0  // begins one
)

func newFetchSessions(limit int, c clock.Clock, random io.Reader) *fetchSessions {
	return &fetchSessions{max: limit, clock: c, random: random, byID: map[int32]*fetchSession{}}
}

// begin returns the partitions that a request is about, and the session if there is one. end must be called with both.
func (f *fetchSessions) begin(log stream.Log, c *Client, req *kmsg.FetchRequest) (*fetchSet, *fetchSession, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	epoch := req.SessionEpoch
	if req.Version < 7 {
		epoch = finalEpoch
	}
	if epoch == finalEpoch || epoch == initialEpoch {
		if old := f.byID[req.SessionID]; old != nil && old.owner == c {
			f.removeLocked(old)
		}
		set := newFetchSet(log)
		set.update(req)
		if epoch == finalEpoch || len(set.parts) == 0 {
			return set, nil, nil
		}
		return set, f.createLocked(c, req, set), nil
	}
	s := f.byID[req.SessionID]
	switch {
	case s == nil || s.owner != c:
		return nil, nil, refuse(kerr.FetchSessionIDNotFound, "fetch session %d is not known", req.SessionID)
	case s.busy || s.epoch != epoch:
		return nil, nil, refuse(kerr.InvalidFetchSessionEpoch, "fetch session %d is at epoch %d, not %d", s.id, s.epoch, epoch)
	case s.byName != (req.Version < 13):
		return nil, nil, refuse(kerr.FetchSessionTopicIDError, "fetch session %d names topics otherwise", s.id)
	}
	if f.parts+countParts(req) > maxSessionParts {
		f.removeLocked(s)
		return nil, nil, refuse(kerr.FetchSessionIDNotFound, "fetch session %d has no room for more partitions", s.id)
	}
	s.set.update(req)
	s.set.forget(req)
	f.parts += len(s.set.parts) - s.parts
	s.parts = len(s.set.parts)
	if s.parts == 0 { // nothing to remember any more
		f.removeLocked(s)
		return newFetchSet(log), nil, nil
	}
	s.busy, s.used = true, f.clock.Now()
	s.epoch = nextEpoch(s.epoch)
	return s.set, s, nil
}

func countParts(req *kmsg.FetchRequest) int {
	n := 0
	for i := range req.Topics {
		n += len(req.Topics[i].Partitions)
	}
	return n
}

// nextEpoch counts 1 to 2^31-1 and around.
func nextEpoch(epoch int32) int32 {
	if epoch == math.MaxInt32 {
		return 1
	}
	return epoch + 1
}

// createLocked makes a session, or none if there is no room.
func (f *fetchSessions) createLocked(c *Client, req *kmsg.FetchRequest, set *fetchSet) *fetchSession {
	now, n := f.clock.Now(), len(set.parts)
	for len(f.byID) >= f.max || f.parts+n > maxSessionParts {
		victim := f.victimLocked(now, n)
		if victim == nil {
			return nil
		}
		f.removeLocked(victim)
	}
	s := &fetchSession{set: set, owner: c, byName: req.Version < 13, epoch: 1, busy: true, used: now, parts: n}
	var b [4]byte
	for s.id == 0 || f.byID[s.id] != nil {
		if _, err := io.ReadFull(f.random, b[:]); err != nil {
			return nil
		}
		s.id = int32(binary.BigEndian.Uint32(b[:]) & math.MaxInt32)
	}
	f.byID[s.id] = s
	f.parts += n
	set.watch()
	return s
}

// victimLocked returns who has to make room for a session of n partitions: the one unused for longest if that is long enough, or else the smallest
// that is smaller.
func (f *fetchSessions) victimLocked(now time.Time, n int) *fetchSession {
	var oldest, smallest *fetchSession
	for _, s := range f.byID {
		if s.busy {
			continue
		}
		if oldest == nil || s.used.Before(oldest.used) {
			oldest = s
		}
		if smallest == nil || s.parts < smallest.parts {
			smallest = s
		}
	}
	switch {
	case oldest != nil && now.Sub(oldest.used) > evictAfter:
		return oldest
	case smallest != nil && smallest.parts < n:
		return smallest
	}
	return nil
}

func (f *fetchSessions) removeLocked(s *fetchSession) {
	delete(f.byID, s.id)
	f.parts -= s.parts
	s.gone = true
	if !s.busy {
		s.set.close()
	}
}

// end ends what begin began.
func (f *fetchSessions) end(s *fetchSession, set *fetchSet) {
	if s == nil {
		set.close()
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s.busy = false
	if s.gone {
		set.close()
	}
}

// forgetNew forgets a session that has told nothing yet: its client is not told of it either. end must still be called.
func (f *fetchSessions) forgetNew(s *fetchSession) {
	if s == nil || s.begun {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !s.gone {
		f.removeLocked(s)
	}
}

// drop ends the sessions of a client that is gone.
func (f *fetchSessions) drop(c *Client) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.byID {
		if s.owner == c {
			f.removeLocked(s)
		}
	}
}

// FetchSessions returns how many fetch sessions are remembered, and how many partitions they have together.
func (s *Server) FetchSessions() (sessions, partitions int) {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	return len(s.sessions.byID), s.sessions.parts
}
