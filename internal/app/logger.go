package app

import (
	"io"
	"log/slog"
)

// NewLogger returns the logger that c asks for, writing to w. c must be valid.
func NewLogger(c Config, w io.Writer) *slog.Logger {
	c = c.withDefaults()
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		panic(err) // Validate has checked it
	}
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
