// Package clocktest is the acceptance suite of clock.Clock, and waits in tests that run on real time, for what another process or goroutine brings
// about: Clock is the one, Eventually the other.
//
// Eventually is the last resort: a test that can move the clock itself uses clock.Virtual or testing/synctest, one that can be told uses a channel.
package clocktest

import (
	"testing"
	"time"
)

// Patience is how long Eventually waits before it fails the test.
const Patience = 30 * time.Second

// The pause between two looks grows, so that what comes soon is seen soon and what is dear to look at is not looked at all the time.
const (
	shortestPause = time.Millisecond
	longestPause  = 50 * time.Millisecond
)

// Eventually returns once is does, which it asks on the test's own goroutine; else it ends the test and says what was not reached.
func Eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	pause := shortestPause
	for end := time.Now().Add(Patience); !is(); pause = min(2*pause, longestPause) {
		if time.Now().After(end) {
			t.Fatalf("not reached within %s: %s", Patience, what)
		}
		time.Sleep(pause)
	}
}
