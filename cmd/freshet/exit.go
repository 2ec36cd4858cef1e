package main

import (
	"errors"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/object"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/transfer"
	"github.com/freshet/freshet/internal/vfs"
)

// The exit codes.
const (
	exitOK       = 0
	exitFailed   = 1 // anything else
	exitUsage    = 2 // the command line or the configuration is wrong
	exitDamaged  = 3 // stored bytes are not what was written
	exitLocked   = 4 // another process has the data directory, or the agent's checkpoint
	exitStorage  = 5 // the disk failed: what was acknowledged is safe, the node must be started again
	exitNotFound = 6 // the named object, stream or shard does not exist
)

// usageError is a command line that cannot be parsed.
type usageError struct{ error }

// Unwrap returns the parser's error.
func (e *usageError) Unwrap() error { return e.error }

// errDamaged ends a check that found damage, which has been printed.
var errDamaged = errors.New("the data directory is damaged")

// exitCode is the one place that maps errors to exit codes.
func exitCode(err error) int {
	var (
		usage   *usageError
		config  *app.ConfigError
		clients *transfer.ConfigError
		corrupt *stream.CorruptError
		storage *app.StorageError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage), errors.As(err, &config), errors.As(err, &clients):
		return exitUsage
	case errors.As(err, &corrupt), errors.Is(err, errDamaged):
		return exitDamaged
	case errors.Is(err, vfs.ErrLocked):
		return exitLocked
	case errors.As(err, &storage):
		return exitStorage
	case errors.Is(err, object.ErrNotFound), errors.Is(err, stream.ErrNotFound):
		return exitNotFound
	}
	return exitFailed
}
