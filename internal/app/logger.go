package app

import (
	"io"
	"log/slog"
	"math"
)

// NewLogger returns the logger that c asks for, writing to w. c must be valid. A node that is given it can change its levels while it runs.
func NewLogger(c Config, w io.Writer) *slog.Logger {
	c = c.withDefaults()
	options := &slog.HandlerOptions{Level: slog.Level(math.MinInt)} // Loggers hold back
	if c.LogFormat == "json" {
		return slog.New(newLoggers(c.level()).handler(slog.NewJSONHandler(w, options)))
	}
	return slog.New(newLoggers(c.level()).handler(slog.NewTextHandler(w, options)))
}

// level returns LogLevel, which must be valid.
func (c *Config) level() (level slog.Level) {
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		panic(err) // Validate has checked it
	}
	return level
}

// leveled returns the handler of a logger as one whose levels can be changed: they begin at root where it is not NewLogger's.
func leveled(logger *slog.Logger, root slog.Level) *leveledHandler {
	if h, ok := logger.Handler().(*leveledHandler); ok {
		return h
	}
	return newLoggers(root).handler(logger.Handler())
}
