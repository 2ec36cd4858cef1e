package engine

import (
	"errors"
	"fmt"
	"testing"

	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// TestStateErrorsAreOfTheStateContract: who keeps state knows nothing of the log, and who knows it may still ask.
func TestStateErrorsAreOfTheStateContract(t *testing.T) {
	for of, want := range map[error]error{
		stream.ErrClosed: state.ErrClosed, stream.ErrTooLarge: state.ErrTooLarge, stream.ErrFull: state.ErrFull, stream.ErrUnavailable: state.ErrUnavailable,
	} {
		if err := stateError(fmt.Errorf("why: %w", of)); !errors.Is(err, want) || !errors.Is(err, of) {
			t.Errorf("%v becomes %v", of, err)
		}
	}
	if err := stateError(errInjected); err != errInjected {
		t.Errorf("another error becomes %v", err)
	}
}
