package sasl

import (
	"crypto/sha256"
	"strings"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/clock"
)

// The attempts that may fail: from one address in the name of one user, and from one address at all, so many at once, and then one more each so
// often. Clients of several users may share an address, as behind a gateway: who mistypes a password does not lock out the others.
const (
	userBurst = 10
	userEach  = 6 * time.Second
	hostBurst = 100
	hostEach  = time.Second
)

// maxTracked bounds of how many addresses and users failed attempts are remembered. Beyond, those that have failed least recently are forgotten.
const maxTracked = 10_000

// Attempts counts those that have failed. Safe for concurrent use.
type Attempts struct {
	clock clock.Clock

	mu     sync.Mutex
	failed map[attempt]*debt // guarded by mu
	count  int64             // guarded by mu: of all that have failed
}

type attempt struct{ host, user string }

// maxName bounds what is remembered of a user's name, which is whatever a client claims: of a longer one it is the digest.
const maxName = 128

func attemptOf(host, user string) attempt {
	if len(user) > maxName {
		digest := sha256.Sum256([]byte(user))
		user = string(digest[:])
	}
	return attempt{host, strings.Clone(user)} // a claim is part of a message, which is not to be kept for it
}

// debt is what failed attempts have cost: it grows with each of them, and is paid off by time.
type debt struct {
	until time.Time // when nothing is owed any more
	last  time.Time
}

// NewAttempts returns a record without failed attempts.
func NewAttempts(c clock.Clock) *Attempts {
	return &Attempts{clock: c, failed: map[attempt]*debt{}}
}

// Wait returns how long an address must wait until it may try to be a user again; 0 = it may. user is "" if it has not said whom it wants to be.
func (a *Attempts) Wait(host, user string) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock.Now()
	wait := a.waitLocked(attempt{host: host}, hostBurst*hostEach, hostEach, now)
	if user != "" {
		wait = max(wait, a.waitLocked(attemptOf(host, user), userBurst*userEach, userEach, now))
	}
	return wait
}

// waitLocked returns when an attempt may be made that costs one each, of a debt of at most limit.
func (a *Attempts) waitLocked(key attempt, limit, each time.Duration, now time.Time) time.Duration {
	d := a.failed[key]
	if d == nil {
		return 0
	}
	return max(0, d.until.Sub(now)+each-limit)
}

// Failed notes that an attempt has failed that was looked at.
func (a *Attempts) Failed(host, user string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.count++
	now := a.clock.Now()
	a.addLocked(attempt{host: host}, hostEach, now)
	if user != "" {
		a.addLocked(attemptOf(host, user), userEach, now)
	}
}

// Refused notes that an attempt was not looked at. It costs nothing: a client that goes on trying with a password that is wrong would else shut out everybody
// at its address, and the right password for hours after it was set.
func (a *Attempts) Refused() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.count++
}

// Count returns how many attempts have failed so far.
func (a *Attempts) Count() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.count
}

func (a *Attempts) addLocked(key attempt, each time.Duration, now time.Time) {
	d := a.failed[key]
	if d == nil {
		if len(a.failed) >= maxTracked {
			a.forgetLocked(now)
		}
		d = &debt{}
		a.failed[key] = d
	}
	if d.until.Before(now) {
		d.until = now
	}
	d.until, d.last = d.until.Add(each), now
}

// forgetLocked makes room: what is paid off goes, and if that is nothing, the one that has failed least recently.
func (a *Attempts) forgetLocked(now time.Time) {
	var oldest attempt
	var last time.Time
	for key, d := range a.failed {
		if !d.until.After(now) {
			delete(a.failed, key)
		} else if last.IsZero() || d.last.Before(last) {
			oldest, last = key, d.last
		}
	}
	if len(a.failed) >= maxTracked {
		delete(a.failed, oldest)
	}
}
