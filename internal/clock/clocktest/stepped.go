package clocktest

import (
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/freshet/freshet/internal/clock"
)

// Stepped is the operating system's clock, set by Step as an administrator or a time server sets it: the wall clock jumps, while the monotonic clock, which
// timers and the differences of its times follow, goes on. Make one with NewStepped. It is safe for concurrent use.
type Stepped struct {
	clock.Clock
	seconds atomic.Int64
}

// NewStepped returns a clock that was not set yet.
func NewStepped() *Stepped { return &Stepped{Clock: clock.Real()} }

// Step sets the wall clock forward, or back, by whole seconds.
func (s *Stepped) Step(d time.Duration) { s.seconds.Add(int64(d / time.Second)) }

// Now implements clock.Clock.
func (s *Stepped) Now() time.Time { return setWall(s.Clock.Now(), s.seconds.Load()) }

// setWall moves the wall clock's part of a time, and leaves the monotonic one. Package time has no way to do that: its own Add moves both. The layout is
// that of time.Time with a monotonic reading, the seconds in 33 bits above the 30 of nanoseconds; TestStepped sees whether that is still so.
func setWall(t time.Time, seconds int64) time.Time {
	const nanosecondBits = 30
	*(*uint64)(unsafe.Pointer(&t)) += uint64(seconds) << nanosecondBits
	return t
}
