package app

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
)

const (
	// partKey is the attribute that tells the parts of a node apart in its log: with it slog.Logger.With makes the part's logger.
	partKey    = "part"
	rootLogger = "root" // the name of the one that no part has
)

// Loggers are the levels of a node's loggers: of the root, and of each part that writes with its name in partKey. A part's is the root's until it is
// given its own. All methods are safe for concurrent use.
type Loggers struct {
	root *loggerLevel

	mu  sync.Mutex
	all map[string]*loggerLevel // a dozen
}

// loggerLevel is the least important level that a logger writes.
type loggerLevel struct {
	of  *loggerLevel // whose holds without its own; nil = the root, which has one
	own atomic.Int64 // a slog.Level, or inherited
}

const inherited = math.MinInt64

func newLoggers(root slog.Level) *Loggers {
	l := &Loggers{root: &loggerLevel{}}
	l.root.own.Store(int64(root))
	l.all = map[string]*loggerLevel{rootLogger: l.root}
	return l
}

func (l *loggerLevel) level() slog.Level {
	if own := l.own.Load(); own != inherited {
		return slog.Level(own)
	}
	return l.of.level()
}

// Levels returns what holds for each logger, by name.
func (l *Loggers) Levels() map[string]slog.Level {
	l.mu.Lock()
	defer l.mu.Unlock()
	levels := make(map[string]slog.Level, len(l.all))
	for name, of := range l.all {
		levels[name] = of.level()
	}
	return levels
}

// SetLevel gives a logger, one of Levels, a level of its own; nil takes a part's away. It holds at once.
func (l *Loggers) SetLevel(name string, level *slog.Level) {
	own := int64(inherited)
	if level != nil {
		own = int64(*level)
	}
	l.part(name).own.Store(own)
}

// part returns the level of a part, which has none of its own if it is new.
func (l *Loggers) part(name string) *loggerLevel {
	l.mu.Lock()
	defer l.mu.Unlock()
	part := l.all[name]
	if part == nil {
		part = &loggerLevel{of: l.root}
		part.own.Store(inherited)
		l.all[name] = part
	}
	return part
}

// handler returns a slog.Handler that holds back what is below the levels; what to itself holds back stays so.
func (l *Loggers) handler(to slog.Handler) *leveledHandler { return &leveledHandler{to, l, l.root} }

// leveledHandler is a slog.Handler.
type leveledHandler struct {
	to      slog.Handler
	loggers *Loggers
	least   *loggerLevel
}

// Enabled implements slog.Handler.
func (h *leveledHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= h.least.level() && h.to.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (h *leveledHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	least := h.least
	for _, a := range attrs {
		if a.Key == partKey {
			least = h.loggers.part(a.Value.String())
		}
	}
	return &leveledHandler{h.to.WithAttrs(attrs), h.loggers, least}
}

// WithGroup implements slog.Handler.
func (h *leveledHandler) WithGroup(name string) slog.Handler {
	return &leveledHandler{h.to.WithGroup(name), h.loggers, h.least}
}

// Handle implements slog.Handler.
func (h *leveledHandler) Handle(ctx context.Context, r slog.Record) error { return h.to.Handle(ctx, r) }
