package share

import (
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/stream"
)

// session is what a member reads, so that its requests need only say what changes. The hot subs may have something to take, in the order in which
// it is their turn; the others had nothing, and become hot when something happens to their windows.
type session struct {
	group   *groupEntry
	member  string
	owner   any   // the connection it came over
	epoch   int32 // the next request's
	subs    map[stream.Shard]*sub
	hot     []*sub
	waiting []chan struct{} // of fetches that wait; each has room for one value
	gone    bool
}

// sub is one shard in a session.
type sub struct {
	session *session
	window  *windowEntry
	hot     bool
	looked  uint64 // windowEntry.news when it was last looked at
	pass    uint64 // the look that it was last part of
}

// The session epochs that say something else.
const (
	openEpoch  = 0
	closeEpoch = -1
)

// openLocked begins a session, ending the one that the member has. SHARE_SESSION_LIMIT_REACHED.
func (c *Coordinator) openLocked(g *groupEntry, member string, owner any) (*session, error) {
	c.closeLocked(g, member)
	if c.sessions >= c.config.MaxSessions {
		c.Logger.Warn("share session refused: the node has its maximum of them", "group", g.id, "member", member, "sessions", c.sessions)
		return nil, kerr.ShareSessionLimitReached
	}
	s := &session{group: g, member: member, owner: owner, epoch: 1, subs: map[stream.Shard]*sub{}}
	g.sessions[member] = s
	if c.owners[owner] == nil {
		c.owners[owner] = map[*session]bool{}
	}
	c.owners[owner][s] = true
	c.sessions++
	return s, nil
}

// continueLocked finds the session of a request and counts it. SHARE_SESSION_NOT_FOUND, INVALID_SHARE_SESSION_EPOCH.
func (c *Coordinator) continueLocked(g *groupEntry, member string, epoch int32) (*session, error) {
	s := g.sessions[member]
	switch {
	case s == nil:
		return nil, kerr.ShareSessionNotFound
	case epoch == closeEpoch:
		return s, nil
	case s.epoch != epoch:
		return nil, kerr.InvalidShareSessionEpoch
	case s.epoch == math.MaxInt32:
		s.epoch = 1
	default:
		s.epoch++
	}
	return s, nil
}

// closeLocked ends a member's session, if it has one, and gives its records to others: it may have seen them, so that the delivery counts.
func (c *Coordinator) closeLocked(g *groupEntry, member string) {
	s := g.sessions[member]
	if s == nil {
		return
	}
	delete(g.sessions, member)
	s.gone = true
	delete(c.owners[s.owner], s)
	if len(c.owners[s.owner]) == 0 {
		delete(c.owners, s.owner)
	}
	c.sessions--
	for _, sub := range s.subs {
		s.dropLocked(c, sub)
	}
	s.wakeAll()
	for _, w := range g.windows {
		if !w.Holds(member) {
			continue
		}
		w.SetLimits(c.settings(g.id).Limits)
		w.Release(member)
		c.newsLocked(w)
		c.settleLocked(w)
	}
}

// addLocked brings a window into the session. SHARE_SESSION_LIMIT_REACHED.
func (s *session) addLocked(c *Coordinator, w *windowEntry) error {
	if s.subs[w.shard] != nil {
		return nil
	}
	if c.subscribed >= c.config.MaxSubscribed {
		c.Logger.Warn("share session refused: the node has its maximum of shards in them", "group", s.group.id, "member", s.member, "shards", c.subscribed)
		return kerr.ShareSessionLimitReached
	}
	c.subscribed++
	p := &sub{session: s, window: w}
	s.subs[w.shard] = p
	if w.subs = append(w.subs, p); len(w.subs) == 1 {
		if c.byShard[w.shard] = append(c.byShard[w.shard], w); len(c.byShard[w.shard]) == 1 {
			c.watcher.Add(w.shard)
		}
	}
	p.heat()
	return nil
}

// dropLocked takes a window out of the session.
func (s *session) dropLocked(c *Coordinator, p *sub) {
	w := p.window
	delete(s.subs, w.shard)
	c.subscribed--
	p.cool()
	w.subs = slices.DeleteFunc(w.subs, func(o *sub) bool { return o == p })
	if len(w.subs) > 0 {
		return
	}
	if left := slices.DeleteFunc(c.byShard[w.shard], func(o *windowEntry) bool { return o == w }); len(left) > 0 {
		c.byShard[w.shard] = left
		return
	}
	delete(c.byShard, w.shard)
	c.watcher.Remove(w.shard)
}

func (p *sub) heat() {
	if !p.hot {
		p.hot = true
		p.session.hot = append(p.session.hot, p)
	}
}

func (p *sub) cool() {
	if p.hot {
		p.hot = false
		p.session.hot = slices.DeleteFunc(p.session.hot, func(o *sub) bool { return o == p })
	}
}

func (s *session) wakeAll() {
	for _, w := range s.waiting {
		signal(w)
	}
}

// newsLocked says that somebody may acquire records of w who could not before.
func (c *Coordinator) newsLocked(w *windowEntry) {
	w.news++
	w.asked = false
	for _, p := range w.subs {
		p.heat()
	}
	c.callLocked(w)
}

// callLocked wakes the next session that waits for records of w and has not looked since there was news, if there is anything to look for.
// One at a time: when it has taken what it wants, it calls the next.
func (c *Coordinator) callLocked(w *windowEntry) {
	if w.busy || !w.ready() {
		return
	}
	for i := range w.subs {
		p := w.subs[(w.turn+i)%len(w.subs)]
		if p.hot && p.looked < w.news && len(p.session.waiting) > 0 {
			w.turn = (w.turn + i + 1) % len(w.subs)
			p.session.wakeAll()
			return
		}
	}
}

// ready says whether there may be something to acquire.
func (w *windowEntry) ready() bool {
	at, ok := w.Next()
	return ok && (!w.asked || at < w.upTo)
}

// Disconnect ends the sessions that came over a connection. What their members had is given to others.
func (c *Coordinator) Disconnect(owner any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range c.owners[owner] {
		c.closeLocked(s.group, s.member)
	}
}
