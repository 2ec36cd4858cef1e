package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/freshet/freshet/internal/state"
)

// errLeaseLost ends the work of a session: someone else may run the flow from now on.
var errLeaseLost = errors.New("lease lost")

func leaseName(flow string) string { return "flow/" + flow }

// acquire waits for the lease. It returns nil without error if the flow is stopped first.
func (f *Flow) acquire(ctx context.Context) (*state.Lease, error) {
	for !f.stopping() {
		lease, err := f.deps.State.Acquire(ctx, leaseName(f.config.Name), f.config.Owner, f.config.Lease)
		if err == nil {
			return &lease, nil
		}
		if !errors.Is(err, state.ErrHeld) {
			return nil, fmt.Errorf("take lease: %w", err)
		}
		f.setWaiting(0, false) // what waits is the holder's to deliver, and to tell
		t := f.deps.Clock.NewTimer(f.config.Lease / 3)
		select {
		case <-t.C():
		case <-f.stop:
		case <-ctx.Done():
			t.Stop()
			return nil, context.Cause(ctx)
		}
		t.Stop()
	}
	return nil, nil
}

// keep runs work while it renews the lease at a third of its life, and gives it up afterwards. A lost lease ends work's context.
func (f *Flow) keep(ctx context.Context, lease state.Lease, work func(context.Context) error) error {
	working, cancel := context.WithCancelCause(ctx)
	renewed := make(chan state.Lease, 1)
	go func() {
		lease := lease
		err := f.renew(working, &lease)
		if err != nil {
			cancel(err)
		}
		renewed <- lease
	}()
	err := work(working)
	lost := context.Cause(working)
	cancel(context.Canceled)
	last := <-renewed
	if errors.Is(lost, errLeaseLost) {
		return lost
	}
	// The lease is given up also when ctx has ended: nobody should wait for a worker that is gone.
	if e := f.deps.State.Release(context.WithoutCancel(ctx), last); e != nil {
		f.deps.Logger.Warn("lease not released, it will expire", "error", e)
	}
	return err
}

// renew extends the lease until ctx ends, and returns errLeaseLost when it is another's or was not renewed in time.
func (f *Flow) renew(ctx context.Context, lease *state.Lease) error {
	tick := f.deps.Clock.NewTicker(max(f.config.Lease/3, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C():
		}
		next, err := f.deps.State.Renew(ctx, *lease, f.config.Lease)
		switch {
		case err == nil:
			*lease = next
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, state.ErrLost):
			return fmt.Errorf("%w: %w", errLeaseLost, err)
		case !f.deps.Clock.Now().Before(lease.Expires):
			return fmt.Errorf("%w: not renewed in time: %w", errLeaseLost, err)
		}
	}
}
