package stream

import (
	"errors"
	"fmt"
)

// The errors a caller can decide by. Implementations wrap them with what the caller does not know.
var (
	ErrInvalid     = errors.New("invalid")
	ErrNotFound    = errors.New("not found")
	ErrExists      = errors.New("already exists")
	ErrTooMany     = errors.New("too many shards")
	ErrOutOfRange  = errors.New("offset out of range")
	ErrTooLarge    = errors.New("batch too large")
	ErrTimestamp   = errors.New("timestamp out of bounds")
	ErrFenced      = errors.New("producer epoch fenced")
	ErrOutOfOrder  = errors.New("producer sequence out of order")
	ErrStale       = errors.New("producer sequence older than remembered")
	ErrTransaction = errors.New("producer has an open transaction")
	ErrCoordinator = errors.New("transaction coordinator epoch fenced")
	ErrFull        = errors.New("disk full")
	ErrClosed      = errors.New("log closed")
	ErrUnavailable = errors.New("log unavailable")
)

// CorruptError says where stored bytes are not what was written. Damaged bytes are never served.
type CorruptError struct {
	File   string
	Byte   int64
	Reason string
}

// Error names file and byte, where `freshet check` and a hex editor find them.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("corrupt at %s byte %d: %s", e.File, e.Byte, e.Reason)
}
