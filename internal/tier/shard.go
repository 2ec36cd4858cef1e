package tier

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// shard is what is known of one shard's objects.
type shard struct {
	id   stream.Shard
	view atomic.Pointer[view] // what readers go by; never nil

	work sync.Mutex // held while a segment is copied, or objects are deleted; before mu

	mu      sync.Mutex // guards the fields below, and is held while documents are changed
	head    head
	version int64 // of the head document, 0 = there is none
	unsure  bool  // a change failed: the documents may have it or not, and are read again before the next

	// What copying remembers, guarded by work.
	failures int           // in a row
	after    int64         // when it may be tried again, milliseconds
	asked    stream.Offset // the base for which first holds
	first    int64         // when the first batch there grows old from, milliseconds; 0 = not known
	again    int64         // bytes not copied from which it is worth trying again, after there was less to copy than it seemed
}

// view is the segments of a shard at a moment. It is not written to.
type view struct {
	start    stream.Offset
	segments []segment // ascending, one behind the other; start is in the first
	upto     []int64   // bytes of the segments up to each, it included
	epochs   []epochStart
}

func newShard(id stream.Shard) *shard {
	s := &shard{id: id, asked: -1}
	s.view.Store(&view{})
	return s
}

// end returns the offset behind the segments.
func (v *view) end() stream.Offset {
	if n := len(v.segments); n > 0 {
		return v.segments[n-1].End
	}
	return v.start
}

// at returns the number of the segment that holds an offset, len(v.segments) if none does.
func (v *view) at(offset stream.Offset) int {
	return sort.Search(len(v.segments), func(i int) bool { return v.segments[i].End > offset })
}

// covers says whether something before an offset, where the local log begins, is readable in the segments.
func (v *view) covers(local stream.Offset) bool {
	return len(v.segments) > 0 && v.start < local && v.end() >= local
}

// below returns the bytes of the segments that end at an offset or before, and above those of the others.
func (v *view) below(local stream.Offset) (below, above int64) {
	n := len(v.segments)
	if n == 0 {
		return 0, 0
	}
	if i := v.at(local); i > 0 {
		below = v.upto[i-1]
	}
	return below, v.upto[n-1] - below
}

// uncopied returns the bytes of the local log, of those bounds, that are in no segment, about.
func (v *view) uncopied(b *stream.Bounds) int64 {
	_, copied := v.below(b.Start)
	return max(b.Bytes-copied, 0)
}

// amend makes the local log's bounds those of the whole shard.
func (v *view) amend(b *stream.Bounds) {
	if v.covers(b.Start) {
		below, _ := v.below(b.Start)
		b.Start, b.Bytes = v.start, b.Bytes+below
	}
}

// has says whether a segment is still there.
func (v *view) has(number int64) bool {
	i := sort.Search(len(v.segments), func(i int) bool { return v.segments[i].Number >= number })
	return i < len(v.segments) && v.segments[i].Number == number
}

// load takes over the documents of a shard: its head is d. The caller holds mu, or is alone.
func (s *shard) load(ctx context.Context, l *Log, d state.Document) error {
	h, err := decodeHead(d.Value)
	if err != nil {
		return fmt.Errorf("document %s/%s: %w", d.Kind, d.ID, err)
	}
	var all []segment
	for _, p := range h.Pages {
		document, err := l.state.Get(ctx, p.key(s.id))
		if err != nil {
			return err
		}
		part, err := decodePage(document.Value)
		if err != nil {
			return fmt.Errorf("document %s/%s: %w", document.Kind, document.ID, err)
		}
		all = append(all, part...)
	}
	for len(all) > 0 && all[0].Number < h.First { // of a page that has others, too
		all = all[1:]
	}
	all = append(all, h.Segments...)
	if err = checkAll(&h, all); err != nil {
		return fmt.Errorf("document %s/%s: %w", d.Kind, d.ID, err)
	}
	s.head, s.version, s.unsure = h, d.Version, false
	s.publish(all)
	return nil
}

// publish makes segments those that readers find, with the rest out of the head. The caller holds mu.
func (s *shard) publish(segments []segment) {
	v := &view{start: s.head.Start, segments: segments, epochs: s.head.Epochs, upto: make([]int64, len(segments))}
	sum := int64(0)
	for i := range segments {
		sum += segments[i].Bytes
		v.upto[i] = sum
	}
	s.view.Store(v)
}

// settle reads the documents again if it is not known what they say. The caller holds mu.
func (s *shard) settle(ctx context.Context, l *Log) error {
	if !s.unsure {
		return nil
	}
	found, err := l.state.List(ctx, headKind, headID(s.id))
	if err != nil {
		return err
	}
	for _, d := range found {
		if d.ID == headID(s.id) { // not one of which it is the beginning
			return s.load(ctx, l, d)
		}
	}
	s.head, s.version, s.unsure = head{}, 0, false
	s.publish(nil)
	return nil
}

// save stores a head, with changes of other documents, and makes segments what readers find. The caller holds mu, and s.unsure is not set.
func (s *shard) save(ctx context.Context, l *Log, h head, segments []segment, changes ...state.Change) error {
	return s.saveThen(ctx, l, h, segments, nil, changes...)
}

// saveThen is save with something to do between storing and readers' finding it.
func (s *shard) saveThen(ctx context.Context, l *Log, h head, segments []segment, then func() error, changes ...state.Change) error {
	for len(h.Pages) > 0 && h.Pages[0].Last < h.First {
		changes = append(changes, state.Change{Key: h.Pages[0].key(s.id), If: state.Any, Delete: true, Frees: true})
		h.Pages = h.Pages[1:]
	}
	for len(h.Segments) > 0 && h.Segments[0].Number < h.First {
		h.Segments = h.Segments[1:]
	}
	for len(h.Epochs) > 1 && h.Epochs[1].Start <= h.Start {
		h.Epochs = h.Epochs[1:]
	}
	if len(segments) == 0 {
		h.Epochs = nil
	}
	key := state.Key{Kind: headKind, ID: headID(s.id)}
	changes = append(changes, state.Change{Key: key, If: s.version, Value: encode(&h), Frees: true})
	versions, err := l.state.Apply(ctx, changes...)
	if err != nil {
		s.unsure = true
		return fmt.Errorf("store what is in objects of shard %d of stream %s: %w", s.id.Index, s.id.Stream, err)
	}
	s.head, s.version = h, versions[len(versions)-1]
	if then != nil {
		err = then()
	}
	s.publish(segments)
	return err
}

// advance moves the first readable offset to start, and gives up the segments that end there or before. The caller holds mu; then is called before
// readers find it.
func (s *shard) advance(ctx context.Context, l *Log, start stream.Offset, then func() error) error {
	h, v := s.head.clone(), s.view.Load()
	h.Start = start
	kept := v.segments[v.at(start):]
	switch {
	case len(kept) > 0 && kept[0].Base <= start:
		h.First = kept[0].Number
	default:
		kept = nil
		h.First = h.Next
		if h.Pending != nil {
			h.First = h.Pending.Number
		}
	}
	return s.saveThen(ctx, l, h, kept, then)
}

// add appends a segment that is durable in its object, with the leader epochs that it knows.
func (s *shard) add(ctx context.Context, l *Log, g segment, epochs []epochStart) error {
	h, v := s.head.clone(), s.view.Load()
	h.Pending = nil
	if len(v.segments) == 0 {
		h.First, h.Start, h.Epochs = g.Number, max(h.Start, g.Base), nil
	}
	for _, e := range epochs {
		if n := len(h.Epochs); n == 0 || h.Epochs[n-1].Epoch < e.Epoch {
			h.Epochs = append(h.Epochs, epochStart{e.Epoch, max(e.Start, g.Base)})
		}
	}
	h.Segments = append(h.Segments, g)
	segments := append(slices.Clip(v.segments), g)
	var changes []state.Change
	if n := len(h.Segments) / 2; len(h.Segments) > l.cfg.headSegments {
		p := page{First: h.Segments[0].Number, Last: h.Segments[n-1].Number}
		changes = append(changes, state.Change{Key: p.key(s.id), If: state.Absent, Value: encode(h.Segments[:n]), Frees: true})
		h.Pages, h.Segments = append(h.Pages, p), slices.Clone(h.Segments[n:])
	}
	return s.save(ctx, l, h, segments, changes...)
}

// forget gives up all segments of a shard whose stream is not tiered any more.
func (l *Log) forget(ctx context.Context, s *shard) error {
	b, err := l.Log.Bounds(ctx, s.id)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.settle(ctx, l); err != nil {
		return err
	}
	v := s.view.Load()
	if len(v.segments) == 0 && s.head.Pending == nil {
		return nil
	}
	h := s.head.clone()
	h.Start, h.First, h.Pending = b.Start, h.Next, nil
	err = s.save(ctx, l, h, nil)
	if v.covers(b.Start) {
		l.moved(s.id)
	}
	return err
}
