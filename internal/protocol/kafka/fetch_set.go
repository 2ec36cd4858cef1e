package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/offsets"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/committed"
)

// fetchSet is the partitions that one consumer reads. The hot ones may have something to read, in the order in which it is their turn; the
// others had nothing, and become hot when the watcher reports them or the consumer moves.
type fetchSet struct {
	log     stream.Log
	parts   map[fetchKey]*fetchPart
	byShard map[stream.Shard]*fetchPart
	hot     []*fetchPart
	watcher stream.Watcher // nil until somebody waits
	moved   []stream.Shard
	taken   []*fetchPart
	granted uint64    // grants.serial when all were looked at
	own     stream.ID // the topic of committed offsets, if that is among them
}

// fetchKey names a partition as the request does: by the topic's name, or since v13 its id.
type fetchKey struct {
	topic     string
	id        stream.ID
	partition int32
}

// fetchPart is what a consumer wants of one partition, and what it was told last.
type fetchPart struct {
	key       fetchKey
	offset    stream.Offset
	maxBytes  int32
	epoch     int32 // the leader epoch it believes in, or -1
	lastEpoch int32 // the epoch of the last record it has, or -1

	shard stream.Shard // zero until the topic was found
	own   bool         // it is of the topic of committed offsets
	name  stream.Name  // what the topic of an id was called when it was found, or ""
	hot   bool
	told  stream.Bounds
	bytes int64         // Bounds.Bytes when it was read last
	end   stream.Offset // Bounds.End then
	slot  int           // 1 + its entry in the answer being made, or 0

	// For who reads committed: Bounds.LastStable then, and how many bytes are known to lie between that and the end.
	stable   stream.Offset
	unstable int

	granted uint64 // grants.serial when the client was found to be allowed to read it
}

// unknownBounds stand for those of a partition of which nothing can be said, or was said yet.
var unknownBounds = stream.Bounds{Start: -1, End: -1, LastStable: -1}

func newFetchSet(log stream.Log) *fetchSet {
	return &fetchSet{log: log, parts: map[fetchKey]*fetchPart{}, byShard: map[stream.Shard]*fetchPart{}}
}

// update adds the partitions of a request, or changes what is wanted of them. All of them are hot then.
func (f *fetchSet) update(req *kmsg.FetchRequest) {
	for t := range req.Topics {
		topic := &req.Topics[t]
		for i := range topic.Partitions {
			from := &topic.Partitions[i]
			key := fetchKey{topic.Topic, topic.TopicID, from.Partition}
			p := f.parts[key]
			if p == nil {
				p = &fetchPart{key: key}
				p.told = unknownBounds
				f.parts[key] = p
			}
			p.offset, p.maxBytes = stream.Offset(from.FetchOffset), from.PartitionMaxBytes
			p.epoch, p.lastEpoch = max(-1, from.CurrentLeaderEpoch), from.LastFetchedEpoch // Fetch alone takes any negative epoch for none
			f.heat(p)
		}
	}
}

// forget removes partitions.
func (f *fetchSet) forget(req *kmsg.FetchRequest) {
	gone := false
	for t := range req.ForgottenTopics {
		topic := &req.ForgottenTopics[t]
		for _, i := range topic.Partitions {
			key := fetchKey{topic.Topic, topic.TopicID, i}
			if p := f.parts[key]; p != nil {
				gone = true
				delete(f.parts, key)
				f.unresolve(p)
			}
		}
	}
	if !gone {
		return
	}
	kept := f.hot[:0]
	for _, p := range f.hot {
		if f.parts[p.key] == p {
			kept = append(kept, p)
		}
	}
	f.hot = kept
}

func (f *fetchSet) heat(p *fetchPart) {
	if !p.hot {
		p.hot = true
		f.hot = append(f.hot, p)
	}
}

// requeue makes the hot ones, in this order: those that were passed over, those not reached, those that had their turn.
func (f *fetchSet) requeue(skipped, rest, served []*fetchPart) {
	if len(skipped) == 0 && len(served) == 0 {
		f.hot = rest
		return
	}
	hot := make([]*fetchPart, 0, len(skipped)+len(rest)+len(served))
	f.hot = append(append(append(hot, skipped...), rest...), served...)
}

// resolve finds the shard of p if it is not known.
func (f *fetchSet) resolve(ctx context.Context, p *fetchPart) error {
	if !p.shard.Stream.IsZero() {
		return nil
	}
	st, err := f.find(ctx, p)
	if err != nil {
		return err
	}
	p.name = st.Name
	if p.own = offsets.Is(st); p.own {
		f.own = st.ID
	}
	if p.shard, err = shard(st, p.key.partition); err != nil {
		return err
	}
	f.byShard[p.shard] = p
	if f.watcher != nil {
		f.watcher.Add(p.shard)
	}
	return nil
}

// find finds the topic of p by its name or id. Where an id is gone that was found before, Kafka remembers the name: it tells a session whether
// there is another topic under it.
func (f *fetchSet) find(ctx context.Context, p *fetchPart) (*stream.Stream, error) {
	if p.key.topic != "" {
		return f.log.Stream(ctx, stream.Name(p.key.topic))
	}
	st, err := f.log.StreamByID(ctx, p.key.id)
	switch {
	case !errors.Is(err, stream.ErrNotFound):
		return st, err
	case p.name == "":
		return nil, errUnknownTopicID
	}
	if _, err = f.log.Stream(ctx, p.name); err == nil {
		err = refuse(kerr.InconsistentTopicID, "topic %s has another id", p.name)
	}
	return nil, err
}

// unresolve forgets p's shard: the topic may have been deleted, and be there again under the same name.
func (f *fetchSet) unresolve(p *fetchPart) {
	if p.shard.Stream.IsZero() {
		return
	}
	delete(f.byShard, p.shard)
	if f.watcher != nil {
		f.watcher.Remove(p.shard)
	}
	p.shard = stream.Shard{}
}

// watch begins to watch all partitions, if it has not.
func (f *fetchSet) watch() {
	if f.watcher != nil {
		return
	}
	f.watcher = f.log.Watch()
	shards := make([]stream.Shard, 0, len(f.byShard))
	for s := range f.byShard {
		shards = append(shards, s)
	}
	f.watcher.Add(shards...)
}

// take heats the partitions that have moved, and returns them until the next call.
func (f *fetchSet) take() []*fetchPart {
	f.taken = f.taken[:0]
	if f.watcher == nil {
		return nil
	}
	f.moved = f.watcher.Take(f.moved[:0])
	for _, s := range f.moved {
		if p := f.byShard[s]; p != nil {
			f.heat(p)
			f.taken = append(f.taken, p)
		}
	}
	return f.taken
}

func (f *fetchSet) close() {
	if f.watcher != nil {
		f.watcher.Close()
	}
}

// read reads p, up to left bytes, or whatever the first batch has if the answer has none yet. more says that p has more to read, or an
// error that it will have again: it stays hot.
func (f *fetching) read(ctx context.Context, p *fetchPart, left int) (e fetchEntry, more bool) {
	e.part = p
	if e.err = f.resolve(ctx, p); e.err != nil {
		return e, true
	}
	if p.own {
		f.server.offsets.Touch(ctx, p.shard.Stream)
	}
	first := f.answer.bytes == 0
	limit := max(1, min(left, int(p.maxBytes)))
	if f.answer.committed {
		e.chunk, e.aborted, e.err = committed.Read(ctx, f.server.log, p.shard, p.offset, limit)
	} else {
		e.chunk, e.err = f.server.log.Read(ctx, p.shard, p.offset, limit)
	}
	p.bytes, p.end = e.chunk.Bounds.Bytes, e.chunk.Bounds.End
	if e.err == nil || errors.Is(e.err, stream.ErrOutOfRange) {
		// Where the consumer believes in another leader, or has records that the log has not, it is told that rather than where it may read.
		if err := f.check(ctx, &e); err != nil || e.diverging {
			e.err = err
		}
	}
	if e.err != nil {
		if errors.Is(e.err, stream.ErrNotFound) {
			f.set.unresolve(p)
		}
		f.server.logFailure(ctx, e.err, f.client, "Fetch", p.shard, p.offset)
		e.chunk.Release()
		return e, true
	}
	end := e.chunk.Bounds.End
	if f.answer.committed {
		end = e.chunk.Bounds.LastStable
		p.stable, p.unstable = end, e.cut(end)
	}
	if !first && e.chunk.Bytes() > limit {
		e.chunk.Release()
	}
	if len(e.chunk.Batches) == 0 {
		e.aborted = nil
	}
	n := e.chunk.Bytes()
	if e.next() < end { // whole batches leave room that counts as filled: there is something for it (Apache Kafka cuts batches)
		n = max(n, limit)
	}
	f.readable += n
	return e, p.offset < end || e.diverging
}

// check compares epochs, and sends away brokers that would follow: v15 has their ids in another place (KIP-903).
func (f *fetching) check(ctx context.Context, e *fetchEntry) error {
	p := e.part
	if err := checkLeaderEpoch(p.epoch, e.chunk.Bounds.Epoch); err != nil {
		return err
	}
	if replica := max(f.req.ReplicaID, f.req.ReplicaState.ID); replica >= 0 {
		return refuse(kerr.NotLeaderForPartition, "broker %d has no replica of a partition", replica)
	}
	if p.lastEpoch >= 0 {
		epoch, end, err := f.server.log.EpochEnd(ctx, p.shard, p.lastEpoch)
		if err != nil {
			return err
		}
		if epoch < 0 {
			return refuse(kerr.OffsetOutOfRange, "the consumer's last record is of leader epoch %d, there is none after %d", p.lastEpoch, e.chunk.Bounds.Epoch)
		}
		if epoch < p.lastEpoch || end < p.offset {
			e.diverging, e.divergingEpoch, e.divergingEnd = true, epoch, end
			e.chunk.Release()
			return nil
		}
	}
	return nil
}

// settled returns how many bytes more than before may be read by who reads committed, of a partition that has grown by so many: none while the last
// stable offset stays, else all that was unstable and has come since. How much of that it is shows when they are read.
func (p *fetchPart) settled(b stream.Bounds, grown int) int {
	n := p.unstable + grown
	if p.unstable = 0; b.LastStable == p.stable {
		p.unstable, n = n, 0
	}
	p.stable = b.LastStable
	return n
}
