package firehose

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/flow"
	api "github.com/freshet/freshet/internal/protocol/aws/model/firehose"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// supervisor runs one runner for each delivery stream there is. Its own goroutine owns the map; runners tell it by ended.
type supervisor struct {
	*Service
	runners map[string]*runner
	ended   chan string
	wait    sync.WaitGroup
}

func newSupervisor(s *Service) *supervisor {
	return &supervisor{Service: s, runners: map[string]*runner{}, ended: make(chan string)}
}

// run watches the documents. Watching begins before the list is read, so that no change falls between.
func (v *supervisor) run(ctx context.Context) error {
	changed := v.state.Watch(ctx, kind)
	if err := v.sweep(ctx); err != nil {
		return err
	}
	docs, err := v.state.List(ctx, kind, "")
	if err != nil {
		return fmt.Errorf("list delivery streams: %w", err)
	}
	for _, doc := range docs {
		v.notify(ctx, doc.ID)
	}
	for changed != nil {
		select {
		case name, open := <-changed:
			if !open {
				changed = nil // ctx has ended, or the store has closed
				break
			}
			v.notify(ctx, name)
		case name := <-v.ended:
			v.replace(ctx, name)
		}
	}
	go func() {
		v.wait.Wait()
		close(v.ended)
	}()
	for range v.ended {
	}
	return nil
}

// notify tells the runner of a delivery stream that its document changed, or starts one.
func (v *supervisor) notify(ctx context.Context, name string) {
	if r := v.runners[name]; r != nil {
		select {
		case r.changed <- struct{}{}:
		default: // it has yet to look at an earlier change
		}
		return
	}
	r := &runner{Service: v.Service, name: name, changed: make(chan struct{}, 1)}
	v.runners[name] = r
	v.wait.Go(func() {
		r.run(ctx)
		v.ended <- name
	})
}

// replace takes an ended runner away, and starts another if the name was given again meanwhile.
func (v *supervisor) replace(ctx context.Context, name string) {
	delete(v.runners, name)
	if _, err := v.load(ctx, name); err == nil && ctx.Err() == nil {
		v.notify(ctx, name)
	}
}

// runner delivers one delivery stream, under whatever its document says, until it is removed.
type runner struct {
	*Service
	name    string
	changed chan struct{} // the document changed; room for one
	stopped time.Duration // how long the last flow took to stop: a deletion that follows has so much less
}

func (r *runner) run(ctx context.Context) {
	for ctx.Err() == nil {
		d, err := r.load(ctx, r.name)
		if errors.Is(err, state.ErrNotFound) {
			return
		}
		if err == nil {
			err = r.serve(ctx, d)
		}
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.Is(err, stream.ErrClosed), errors.Is(err, state.ErrClosed):
			r.logger.Error("delivery stream ended", "delivery_stream", r.name, "error", err)
			return
		default:
			r.logger.Warn("delivery stream interrupted, will go on", "delivery_stream", r.name, "error", err)
			_ = clock.Sleep(ctx, r.clock, r.config.SourceRetry)
		}
	}
}

// serve does what the document asks for, until it changes or ctx ends.
func (r *runner) serve(ctx context.Context, d *delivery) error {
	if d.Status == api.DeliveryStreamStatusDeleting {
		return r.end(ctx, d)
	}
	source, err := r.openSource(ctx, d)
	if errors.Is(err, stream.ErrNotFound) {
		return r.await(ctx)
	}
	if err != nil {
		return err
	}
	if err := r.place(ctx, d, source); err != nil {
		return err
	}
	f, err := r.newFlow(d, source)
	if err != nil {
		return err
	}
	return r.deliver(ctx, d, f)
}

// await waits until a Kinesis stream that is gone may be there again, or the document changes.
func (r *runner) await(ctx context.Context) error {
	t := r.clock.NewTimer(r.config.SourceRetry)
	defer t.Stop()
	select {
	case <-t.C():
	case <-r.changed:
	case <-ctx.Done():
	}
	return nil
}

// newFlow returns the flow of a delivery stream as it is configured now.
func (r *runner) newFlow(d *delivery, source *stream.Stream) (*flow.Flow, error) {
	l, err := compile(d)
	if err != nil {
		return nil, err
	}
	random, err := r.newRandom()
	if err != nil {
		return nil, err
	}
	c := flow.Config{
		Name: flowName(d.Name), Stream: source.ID, Owner: r.config.Node, Limits: l.limits, Retry: r.config.Retry, Label: l.label,
	}
	if d.Kinesis != nil {
		c.Transform = deaggregate
	} else {
		c.Delivered = r.trim
	}
	m := r.meters.of(d.Name)
	f, err := flow.New(c, flow.Deps{
		Log: r.log, State: r.state, Clock: r.clock, Random: random, Budget: r.budget, Logger: r.logger,
	}, &sink{service: r.Service, meter: m})
	if err != nil {
		return nil, err
	}
	m.flow.Store(f)
	return f, nil
}

// trim takes what is delivered out of the internal stream: nobody else reads it.
func (r *runner) trim(ctx context.Context, b *flow.Batch) {
	for _, part := range b.Ranges {
		if _, err := r.log.Trim(ctx, part.Shard, part.To); err != nil {
			r.logger.Warn("delivered records stay until they expire", "delivery_stream", r.name, "error", err)
		}
	}
}

// deliver runs a flow until the document asks for something else or ctx ends. The flow is then stopped softly, and hard if it has not
// ended within DrainTimeout: what it has taken is still in the log, and the next flow delivers it.
func (r *runner) deliver(ctx context.Context, d *delivery, f *flow.Flow) error {
	running, kill := context.WithCancelCause(context.WithoutCancel(ctx))
	defer kill(nil)
	ended := make(chan error, 1)
	go func() { ended <- f.Run(running) }()
	if err, over := r.follow(ctx, d, ended); over {
		return err
	}
	f.Stop()
	began := r.clock.Now()
	defer func() { r.stopped = r.clock.Now().Sub(began) }()
	t := r.clock.NewTimer(r.config.DrainTimeout)
	defer t.Stop()
	var err error
	select {
	case err = <-ended:
	case <-t.C():
		kill(errDrain)
		err = <-ended
	}
	if err != nil {
		r.logger.Warn("stopped with records to deliver", "delivery_stream", r.name, "error", err)
	}
	return nil
}

// end removes a DELETING delivery stream once what is left is delivered or DrainTimeout has passed, but not if the service stops meanwhile.
func (r *runner) end(ctx context.Context, d *delivery) error {
	err := r.drain(ctx, d)
	switch {
	case ctx.Err() != nil:
		return err
	case err != nil:
		r.logger.Warn("delivery stream deleted with records to deliver", "delivery_stream", r.name, "error", err)
	}
	return r.remove(ctx, d)
}

// drain delivers what is left of a DELETING delivery stream, also of one whose deletion a crash has interrupted, within DrainTimeout of the flow's stop.
func (r *runner) drain(ctx context.Context, d *delivery) error {
	limit := r.config.DrainTimeout - r.stopped
	r.stopped = 0
	source, err := r.findSource(ctx, d)
	if errors.Is(err, stream.ErrNotFound) || errors.Is(err, errForeign) {
		return nil
	}
	if err == nil {
		err = r.place(ctx, d, source)
	}
	if err != nil {
		return err
	}
	f, err := r.newFlow(d, source)
	if err != nil {
		return err
	}
	f.Finish()
	ctx, cancel := clock.WithTimeout(ctx, r.clock, limit, errDrain)
	defer cancel()
	return f.Run(ctx)
}

// Flush lets the delivery streams that read a stream write all that there is of it, within DrainTimeout. It is for a stream that is about to be
// deleted.
func (s *Service) Flush(ctx context.Context, id stream.ID) {
	ctx, cancel := clock.WithTimeout(ctx, s.clock, s.config.DrainTimeout, errDrain)
	defer cancel()
	var flows sync.WaitGroup
	for name, m := range s.meters.all() {
		if f := m.flow.Load(); f != nil && f.Source() == id {
			flows.Go(func() {
				if err := f.Drain(ctx); err != nil {
					s.logger.Warn("a stream is deleted before its records are delivered", "delivery_stream", name, "error", err)
				}
			})
		}
	}
	flows.Wait()
}

var errDrain = errors.New("not drained in time")

// follow waits until the flow has ended, which over says, or is to be stopped.
func (r *runner) follow(ctx context.Context, d *delivery, ended <-chan error) (err error, over bool) {
	for {
		select {
		case err := <-ended:
			if errors.Is(err, flow.ErrSourceGone) {
				r.logger.Warn("source stream was deleted", "delivery_stream", r.name)
				return nil, true
			}
			return err, true
		case <-ctx.Done():
			return nil, false
		case <-r.changed:
		}
		next, err := r.load(ctx, r.name)
		if err != nil || next.Version != d.Version || next.Status != d.Status || next.Created != d.Created {
			return nil, false
		}
	}
}
