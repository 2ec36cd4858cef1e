package transfer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/freshet/freshet/internal/batch"
)

// partition is one partition in one attempt.
type partition struct {
	topic  *topic
	number int32
	source address
	target address

	next   int64 // the source's offset to read next
	until  int64 // and to end at, if the transfer does not follow
	at     int64 // the target's next offset
	run    run   // in which that is
	joined int   // bytes up to which records are joined
}

// Intervals of a transfer that follows.
const (
	lookInterval  = 5 * time.Second  // for topics and partitions that are new or gone
	groupInterval = 10 * time.Second // of copying the offsets of groups
)

// errChanged ends an attempt that is to be made anew without a mistake.
var errChanged = fmt.Errorf("topics or partitions are new or gone: %w", errStale)

// attempt looks at both sides and copies until all is copied, or something is not as it was thought to be.
func (t *Transfer) attempt(ctx context.Context) error {
	for {
		parts, err := t.plan(ctx)
		if err != nil {
			return err
		}
		if err := t.copyAll(ctx, parts); err != nil {
			return err
		}
		if t.cfg.Follow || ctx.Err() != nil {
			return nil
		}
		same, err := t.unchanged(ctx)
		if err != nil || same {
			return err
		}
	}
}

// plan brings the target's topics to where records can be copied, and returns the partitions with their places.
func (t *Transfer) plan(ctx context.Context) ([]*partition, error) {
	if err := t.ledger.load(ctx, func(runsKey, run) {}); err != nil {
		return nil, err
	}
	if !t.ledger.producers[t.producer] {
		if err := t.ledger.write(ctx, entry{Producer: &t.producer}); err != nil {
			return nil, err
		}
	}
	// Offsets that groups have are asked for before where to end, so that all that they have read is copied.
	if err := t.listGroups(ctx); err != nil {
		return nil, err
	}
	if err := t.look(ctx); err != nil {
		return nil, err
	}
	if err := t.ensure(ctx); err != nil {
		return nil, err
	}
	return t.places(ctx)
}

// places finds where each partition goes on, on both sides.
func (t *Transfer) places(ctx context.Context) ([]*partition, error) {
	names := []string{}
	for _, tp := range t.active() {
		names = append(names, tp.name)
	}
	if len(names) == 0 {
		return nil, nil
	}
	parts, err := t.addresses(ctx, names)
	if err != nil {
		return nil, err
	}
	begin, err := t.target.starts(ctx, names)
	if err != nil {
		return nil, err
	}
	ends, err := t.target.ends(ctx, names)
	if err != nil {
		return nil, err
	}
	// After the target's: another transfer that does not know yet that it is over may copy meanwhile what the source did not have before.
	from, err := t.source.starts(ctx, names)
	if err != nil {
		return nil, err
	}
	stable, err := t.source.stable(ctx, names)
	if err != nil {
		return nil, err
	}
	origins := map[runsKey]*origin{}
	for _, p := range parts {
		p.at = ends[p.topic.name][p.number]
		origins[runsKey{p.target.id.String(), p.number}] = &origin{next: p.at}
	}
	if err := t.ledger.load(ctx, func(k runsKey, r run) {
		if o := origins[k]; o != nil {
			o.see(r)
		}
	}); err != nil {
		return nil, err
	}
	for _, p := range parts {
		p.run = origins[runsKey{p.target.id.String(), p.number}].run
		t.begin(p, from[p.topic.name][p.number], stable[p.topic.name][p.number])
	}
	if err := t.verify(ctx, parts, begin); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(parts, func(p *partition) bool { return p.topic.failed() }), nil
}

// addresses returns the partitions with their leaders on both sides.
func (t *Transfer) addresses(ctx context.Context, names []string) ([]*partition, error) {
	at, err := t.source.admin.Metadata(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("find leaders of the %s: %w", t.source.name, err)
	}
	there, err := t.target.admin.Metadata(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("find leaders of the %s: %w", t.target.name, err)
	}
	sizes, err := t.maxMessage(ctx, names)
	if err != nil {
		return nil, err
	}
	var parts []*partition
	for _, tp := range t.active() {
		s, d := at.Topics[tp.name], there.Topics[tp.name]
		if s.ID != tp.sourceID || d.ID != tp.targetID || len(d.Partitions) < int(tp.partitions) || len(s.Partitions) < int(tp.partitions) {
			return nil, fmt.Errorf("topic %s: %w", tp.name, errStale)
		}
		for n := range tp.partitions {
			from, to := s.Partitions[n], d.Partitions[n]
			if from.Leader < 0 || to.Leader < 0 {
				return nil, fmt.Errorf("partition %d of topic %s has no leader: %w", n, tp.name, errStale)
			}
			parts = append(parts, &partition{
				topic: tp, number: n, joined: min(mostJoined, sizes[tp.name]),
				source: address{tp.name, s.ID, n, from.Leader}, target: address{tp.name, d.ID, n, to.Leader},
			})
		}
	}
	return parts, nil
}

// begin sets where a partition goes on at the source.
func (t *Transfer) begin(p *partition, start, stable int64) {
	name := p.topic.name
	p.next = p.run.sourceOf(p.at)
	if p.next > stable && stable < start { // nothing is there
		stable = start
	}
	if p.next < start {
		if p.at > p.run.target || p.run.source > 0 {
			p.topic.note("partition %d: offsets %d to %d were deleted at the source before they were copied", p.number, p.next, start-1)
		}
		p.next = start
	}
	if p.next > stable {
		t.failTopic(name, fmt.Errorf("partition %d of the source ends at %d, and was copied up to %d: the source has lost records", p.number, stable, p.next))
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, o := range []offsets{t.until, t.copied, t.begun, t.placed, t.first} {
		if o[name] == nil {
			o[name] = map[int32]int64{}
		}
	}
	if _, known := t.until[name][p.number]; !known || t.cfg.Follow {
		t.until[name][p.number] = stable
	}
	if _, known := t.begun[name][p.number]; !known {
		t.begun[name][p.number], t.first[name][p.number] = p.next, p.at
	}
	t.placed[name][p.number] = p.at
	p.until, t.copied[name][p.number] = t.until[name][p.number], p.next
}

// mostVerified is how many partitions are verified at a time.
const mostVerified = 8

// verify sees that the last record of each partition of the target is one of ours, where some must be.
func (t *Transfer) verify(ctx context.Context, parts []*partition, begin offsets) error {
	some, ctx := errgroup.WithContext(ctx)
	some.SetLimit(mostVerified)
	for _, p := range parts {
		if p.at == p.run.target { // nothing was copied since the run was planned
			continue
		}
		some.Go(func() error {
			if begin[p.topic.name][p.number] >= p.at {
				t.failTopic(p.topic.name, fmt.Errorf("partition %d of the target has none of the records any more that were copied, so that it cannot be seen who wrote last: delete the topic there, or leave it out", p.number))
				return nil
			}
			raw, err := t.target.fetchOne(ctx, p.target, p.at-1)
			if err != nil {
				return err
			}
			h, ok := batchOf(raw, p.at-1) // behind it may be what another transfer writes that does not know yet that it is over
			ours := ok && t.ledger.producers[h.ProducerID] && h.ProducerEpoch == producerEpoch && h.BaseSequence == sequence(h.BaseOffset) && h.LastOffset() == p.at-1
			if !ours {
				t.failTopic(p.topic.name, fmt.Errorf("others have written to partition %d of the target since it was copied to", p.number))
			}
			return nil
		})
	}
	return some.Wait()
}

// maxMessage returns the largest batch that each topic of the target takes, in bytes.
func (t *Transfer) maxMessage(ctx context.Context, names []string) (map[string]int, error) {
	described, err := describeTopics(ctx, t.target, names)
	if err != nil {
		return nil, err
	}
	sizes := map[string]int{}
	for _, name := range names {
		sizes[name] = mostJoined
		for _, c := range described[name] {
			var n int
			if c.Key == "max.message.bytes" && c.Value != nil {
				if _, err := fmt.Sscan(*c.Value, &n); err == nil && n > batch.HeaderSize {
					sizes[name] = n - batch.HeaderSize
				}
			}
		}
	}
	return sizes, nil
}

// unchanged says whether the source has the topics and partitions that were planned for.
func (t *Transfer) unchanged(ctx context.Context) (bool, error) {
	at, err := t.listSource(ctx)
	if err != nil {
		return false, err
	}
	for _, tp := range t.active() {
		d, is := at[tp.name]
		if !is && !t.cfg.Follow && t.complete(tp) {
			continue // what there was is copied
		}
		if !is || d.ID != tp.sourceID || int32(len(d.Partitions)) != tp.partitions {
			return false, nil
		}
	}
	for name := range at {
		t.mu.Lock()
		_, known := t.topics[name]
		t.mu.Unlock()
		if !known {
			return false, nil
		}
	}
	return true, nil
}

// complete says whether all is copied of a topic that was to be.
func (t *Transfer) complete(tp *topic) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.until[tp.name]) != int(tp.partitions) {
		return false
	}
	for p, end := range t.until[tp.name] {
		if t.copied[tp.name][p] < end {
			return false
		}
	}
	return true
}

// copyAll runs the lanes. It returns nil when all is copied, or when ctx has ended and what was under way has arrived.
func (t *Transfer) copyAll(ctx context.Context, parts []*partition) error {
	lanes := min(t.cfg.Parallel, len(parts))
	// What was begun is finished after ctx has ended; an error ends everything.
	hard, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	all, hard := errgroup.WithContext(hard)
	soft, stop := context.WithCancelCause(hard)
	defer stop(nil)
	defer context.AfterFunc(ctx, func() { stop(context.Cause(ctx)) })()
	work, working := errgroup.WithContext(hard)
	for i := range lanes {
		var some []*partition
		for j := i; j < len(parts); j += lanes {
			some = append(some, parts[j])
		}
		work.Go(func() error { return t.newLane(some).copy(soft, working) })
	}
	all.Go(func() error {
		defer stop(nil)
		return work.Wait()
	})
	if t.cfg.Follow {
		all.Go(func() error { return t.every(soft, lookInterval, t.watch) })
		if t.cfg.Groups {
			all.Go(func() error { return t.every(soft, groupInterval, t.followGroups) })
		}
		if lanes == 0 {
			all.Go(func() error { <-soft.Done(); return nil })
		}
	}
	return all.Wait()
}

// every calls what until ctx ends.
func (t *Transfer) every(ctx context.Context, interval time.Duration, what func(context.Context) error) error {
	ticker := t.clock.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
		if err := what(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// watch ends the attempt when the source has other topics or partitions.
func (t *Transfer) watch(ctx context.Context) error {
	same, err := t.unchanged(ctx)
	if err == nil && !same {
		err = errChanged
	}
	return err
}
