// Package refusal is how a client is refused: Error is Kafka's error, by which it goes, and what is wrong in the case at hand, for whoever reads it.
//
// Whether an answer has room for the reason is not its business.
package refusal

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Error is why a client is not served. errors.As and errors.Is find the kind in it.
type Error struct {
	Kind   *kerr.Error
	Reason string // whole sentences, in Kafka's words where it has them
}

// New returns an Error.
func New(kind *kerr.Error, format string, args ...any) error {
	return &Error{kind, fmt.Sprintf(format, args...)}
}

// Error returns the reason.
func (e *Error) Error() string { return e.Reason }

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }
