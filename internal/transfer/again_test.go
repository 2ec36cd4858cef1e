package transfer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/clock"
)

// TestErrorsThatPassAreTriedAgain: for a while, as long as nothing arrives; others end the transfer, or the topic that they are of.
func TestErrorsThatPassAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &Transfer{clock: clock.Real(), logger: slog.New(slog.DiscardHandler), topics: map[string]*topic{}}
		n := 0
		after := func(times int, err error) func(context.Context) error {
			n = 0
			return func(context.Context) error {
				if n++; n <= times {
					return fmt.Errorf("ask: %w", err)
				}
				return nil
			}
		}
		if err := tr.through(t.Context(), after(20, kerr.CoordinatorNotAvailable)); err != nil || n != 21 {
			t.Errorf("%v after %d times", err, n)
		}
		if err := tr.through(t.Context(), after(1000, kerr.CoordinatorNotAvailable)); !errors.Is(err, kerr.CoordinatorNotAvailable) || n > 100 {
			t.Errorf("%v after %d times", err, n)
		}
		if err := tr.through(t.Context(), after(20, kerr.TopicAuthorizationFailed)); !errors.Is(err, kerr.TopicAuthorizationFailed) || n != 1 {
			t.Errorf("%v after %d times", err, n)
		}
		if err := tr.through(t.Context(), after(1, &topicError{"t", errors.New("broken")})); err != nil || !tr.topicNamed("t").failed() || n != 2 {
			t.Errorf("%v after %d times", err, n)
		}
	})
}
