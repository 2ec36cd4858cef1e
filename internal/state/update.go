package state

import (
	"context"
	"errors"
	"fmt"
)

// MaxTries is how often Update tries: more conflicts in a row than that come of a mistake rather than of others' changes.
const MaxTries = 100

// Update applies the change that edit makes of what read returns, and reads again where others were faster. It returns the document's new version.
// What read and edit return as errors ends it; after MaxTries it is ErrConflict.
func Update[T any](ctx context.Context, store Store, read func() (T, error), edit func(T) (Change, error)) (int64, error) {
	for range MaxTries {
		found, err := read()
		if err != nil {
			return 0, err
		}
		change, err := edit(found)
		if err != nil {
			return 0, err
		}
		versions, err := store.Apply(ctx, change)
		if err == nil {
			return versions[0], nil
		}
		if !errors.Is(err, ErrConflict) {
			return 0, err
		}
	}
	return 0, fmt.Errorf("%w: in each of %d tries", ErrConflict, MaxTries)
}
