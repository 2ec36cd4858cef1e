package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/internal/clock"
)

// What clients do wrong is logged, and a client can do wrong thousands of times a second: these bound what that makes of the log.
const (
	limitedFor = 10 * time.Second // from a first line on
	maxLines   = 100              // of one message in that time: a mistake made a few times is seen each time
	maxErrors  = 500              // the same at slog.LevelError, which no client should bring about
	// maxMessages bounds the messages that are told apart. Those beyond it count as one, as long as so many are new.
	maxMessages = 256
)

// LogLimiter lets some lines of each message through in limitedFor and counts the others. When that is over, or with the first line after
// it, a line with that message says in and_more how many there were. Lines below slog.LevelInfo are for those who want to see each: they
// pass. All methods are safe for concurrent use.
type LogLimiter struct {
	to      slog.Handler // without anything that a logger adds: of what was dropped no attribute is true
	clock   clock.Clock
	dropped atomic.Int64

	mu       sync.Mutex
	messages map[message]*lines
	waiting  bool // a goroutine waits for limitedFor to be over
	closed   bool
	close    chan struct{} // closed by Close
	wait     sync.WaitGroup
}

// message is what is limited: a line without its attributes, or the others beyond maxMessages.
type message struct {
	text  string
	level slog.Level
}

const otherMessages = "other messages" // text of those beyond maxMessages

// lines are those of a message within limitedFor.
type lines struct {
	since   time.Time
	passed  int
	dropped int
}

// more is a message, and how many lines of it were dropped.
type more struct {
	message
	dropped int
}

// LimitLog returns a limiter of lines to the handler of a logger.
func LimitLog(to *slog.Logger, c clock.Clock) *LogLimiter {
	return &LogLimiter{to: to.Handler(), clock: c, messages: map[message]*lines{}, close: make(chan struct{})}
}

// Logger returns a logger whose lines are limited, as are those of all loggers made of it: together.
func (l *LogLimiter) Logger() *slog.Logger { return slog.New(&limitedHandler{l.to, l}) }

// Dropped returns how many lines were dropped.
func (l *LogLimiter) Dropped() int64 { return l.dropped.Load() }

// Close says what was dropped and not said yet. Lines after it are not limited.
func (l *LogLimiter) Close() {
	l.mu.Lock()
	said := l.closed
	l.closed = true
	l.mu.Unlock()
	if said {
		return
	}
	close(l.close)
	l.wait.Wait()
	_ = l.say(l.over(true)) // nobody is left to tell
}

// limitedHandler is a slog.Handler.
type limitedHandler struct {
	to      slog.Handler
	limiter *LogLimiter
}

// Enabled implements slog.Handler.
func (h *limitedHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.to.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (h *limitedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &limitedHandler{h.to.WithAttrs(attrs), h.limiter}
}

// WithGroup implements slog.Handler.
func (h *limitedHandler) WithGroup(name string) slog.Handler {
	return &limitedHandler{h.to.WithGroup(name), h.limiter}
}

// Handle implements slog.Handler: it writes the line, after what is due of its message, or drops it.
func (h *limitedHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelInfo {
		return h.to.Handle(ctx, r)
	}
	passes, due := h.limiter.admit(message{r.Message, r.Level})
	err := h.limiter.say(due)
	if passes {
		err = errors.Join(err, h.to.Handle(ctx, r))
	}
	return err
}

// admit counts a line and says whether it passes. due is what must be said before it.
func (l *LogLimiter) admit(m message) (passes bool, due []more) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return true, nil
	}
	now := l.clock.Now()
	seen := l.messages[m]
	if seen == nil && len(l.messages) >= maxMessages {
		due = l.overLocked(now, false)
	}
	if seen == nil && len(l.messages) >= maxMessages {
		m.text = otherMessages // one for each level: few
		seen = l.messages[m]
	}
	if seen != nil && seen.over(now) {
		if seen.dropped > 0 {
			due = append(due, more{m, seen.dropped})
		}
		seen = nil
	}
	if seen == nil {
		seen = &lines{since: now}
		l.messages[m] = seen
	}
	limit := maxLines
	if m.level >= slog.LevelError {
		limit = maxErrors
	}
	if seen.passed < limit {
		seen.passed++
		return true, due
	}
	seen.dropped++
	l.dropped.Add(1)
	if !l.waiting {
		l.waiting = true
		l.wait.Go(l.tell)
	}
	return false, due
}

// over says whether the time of a message's lines has passed. The clock may have been set back.
func (s *lines) over(now time.Time) bool {
	passed := now.Sub(s.since)
	return passed >= limitedFor || passed < 0
}

// tell says what was dropped, again and again, until nothing is left to say.
func (l *LogLimiter) tell() {
	ticker := l.clock.NewTicker(limitedFor)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C():
		case <-l.close:
			return
		}
		_ = l.say(l.over(false)) // where it would be said is what failed
		if l.rest() {
			return
		}
	}
}

// rest ends the waiting if nothing is left to say.
func (l *LogLimiter) rest() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, seen := range l.messages {
		if seen.dropped > 0 {
			return false
		}
	}
	l.waiting = false
	return true
}

func (l *LogLimiter) over(all bool) []more {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.overLocked(l.clock.Now(), all)
}

// overLocked forgets the messages whose time has passed, or all, and returns what was dropped of them.
func (l *LogLimiter) overLocked(now time.Time, all bool) (due []more) {
	for m, seen := range l.messages {
		if !all && !seen.over(now) {
			continue
		}
		delete(l.messages, m)
		if seen.dropped > 0 {
			due = append(due, more{m, seen.dropped})
		}
	}
	return due
}

func (l *LogLimiter) say(due []more) error {
	var errs []error
	for _, m := range due {
		r := slog.NewRecord(l.clock.Now(), m.level, m.text, 0)
		r.AddAttrs(slog.Int("and_more", m.dropped))
		errs = append(errs, l.to.Handle(context.Background(), r))
	}
	return errors.Join(errs...)
}
