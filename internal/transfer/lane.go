package transfer

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// lane copies some partitions: while one round is written the next is read.
type lane struct {
	transfer *Transfer
	parts    []*partition
	makers   map[*partition]*rebatcher
	turn     int // which partition is asked for first, as the first ones get all the bytes
}

// round is what one fetch brought, of as many partitions as it did.
type round []*chunk

func (t *Transfer) newLane(parts []*partition) *lane {
	l := &lane{transfer: t, parts: parts, makers: map[*partition]*rebatcher{}}
	for _, p := range parts {
		l.makers[p] = &rebatcher{part: p, next: p.next, target: p.at, run: p.run}
	}
	return l
}

// copy reads until soft ends, or everything is read that was to be, and writes all that was read.
func (l *lane) copy(soft, hard context.Context) error {
	both, hard := errgroup.WithContext(hard)
	reading, stop := context.WithCancel(soft)
	defer stop()
	defer context.AfterFunc(hard, stop)()
	rounds := make(chan round) // closed by the reader
	both.Go(func() error {
		defer close(rounds)
		return l.read(reading, rounds)
	})
	both.Go(func() error {
		defer stop()
		for r := range rounds {
			if err := l.transfer.write(hard, r); err != nil {
				return err
			}
		}
		return nil
	})
	return both.Wait()
}

func (l *lane) read(ctx context.Context, rounds chan<- round) error {
	for {
		all := l.wanted()
		if len(all) == 0 {
			return nil
		}
		got, err := l.transfer.source.fetch(ctx, all)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		var r round
		for _, w := range all {
			p := got[w.part]
			if p == nil {
				continue
			}
			c, err := l.makers[w.part].fetched(p)
			if err != nil {
				return &topicError{w.topic, err}
			}
			l.transfer.seen(w.part, p.LastStableOffset)
			if c.next > w.from {
				r = append(r, c)
			}
		}
		if len(r) == 0 {
			continue
		}
		select {
		case rounds <- r:
		case <-ctx.Done():
			return nil
		}
	}
}

// wanted are the partitions to read from next, each time beginning with another.
func (l *lane) wanted() []wanted {
	var all []wanted
	for i := range l.parts {
		p := l.parts[(l.turn+i)%len(l.parts)]
		if next := l.makers[p].next; l.transfer.cfg.Follow || next < p.until {
			all = append(all, wanted{address: p.source, from: next, part: p})
		}
	}
	l.turn++
	return all
}

// write plans the runs of a round, and then places its batches: the first of each partition in one request, then the second, and so on.
func (t *Transfer) write(ctx context.Context, r round) error {
	var planned []entry
	for _, c := range r {
		planned = append(planned, runsEntries(c.part.topic.name, c.part.target.id.String(), c.part.number, c.runs)...)
	}
	if err := t.ledger.write(ctx, planned...); err != nil {
		return err
	}
	for depth := 0; ; depth++ {
		var all []placement
		for _, c := range r {
			if depth < len(c.pieces) {
				all = append(all, placement{c.part.target, c.pieces[depth]})
			}
		}
		if len(all) == 0 {
			break
		}
		if err := t.target.place(ctx, t.producer, all); err != nil {
			return err
		}
		for _, p := range all {
			t.moved.Add(p.records)
		}
	}
	for _, c := range r {
		t.arrived(c)
	}
	return nil
}

// arrived counts what is at the target.
func (t *Transfer) arrived(c *chunk) {
	tp := c.part.topic
	tp.bytes.Add(c.bytes)
	for _, r := range c.runs {
		if r.source != r.target {
			t.ledger.shift(tp.targetID.String())
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.copied[tp.name][c.part.number] = c.next
	t.placed[tp.name][c.part.number] += c.records
}

// seen takes down where a partition of the source ends by now.
func (t *Transfer) seen(p *partition, stable int64) {
	if !t.cfg.Follow {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.until[p.topic.name][p.number] = stable
}
