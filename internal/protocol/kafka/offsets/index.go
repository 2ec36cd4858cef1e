package offsets

import (
	"context"
	"errors"
	"hash/fnv"
	"slices"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
)

// index is what the topic says: of each group, by key, a hash of the last value. In memory it takes about 220 bytes for a committed offset.
type index map[string]map[string]uint64

// unknown is the hash of no value: it is not known what the topic says of the key.
const unknown = 0

func hash(value []byte) uint64 {
	h := fnv.New64a()
	h.Write(value) //nolint:errcheck // it never fails
	return max(h.Sum64(), unknown+1)
}

// set keeps what the topic says of a key from now on; a nil value is a tombstone.
func (x index) set(group, key string, value []byte) {
	keys := x[group]
	if value == nil {
		delete(keys, key)
		if len(keys) == 0 {
			delete(x, group)
		}
		return
	}
	if keys == nil {
		keys = map[string]uint64{}
		x[group] = keys
	}
	keys[key] = hash(value)
}

// doubt keeps that the topic may say something of a key.
func (x index) doubt(group, key string) {
	if x[group] == nil {
		x[group] = map[string]uint64{}
	}
	x[group][key] = unknown
}

// says says whether the topic says just that.
func (x index) says(group string, r record) bool { return x[group][string(r.key)] == hash(r.value) }

// gone returns the keys of a group of which the topic says something, in order, without those that are valid.
func (x index) gone(group string, valid map[string]bool) []string {
	var keys []string
	for key := range x[group] {
		if !valid[key] {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// readBytes is how much of a partition is read at a time.
const readBytes = 1 << 20

// readIndex reads all of the topic. Of what is behind damage it is not known what the topic says: it is said again.
func readIndex(ctx context.Context, log Log, topic *stream.Stream, damaged func(stream.Shard, error)) (index, error) {
	x := index{}
	for i := range topic.Shards {
		shard := topic.Shard(i)
		bounds, err := log.Bounds(ctx, shard)
		if err != nil {
			return nil, err
		}
		for at := bounds.Start; at < bounds.End; {
			chunk, err := log.Read(ctx, shard, at, readBytes)
			if errors.Is(err, stream.ErrOutOfRange) && chunk.Bounds.Start > at {
				at = chunk.Bounds.Start // compacted or trimmed since
				continue
			}
			if corrupt := (*stream.CorruptError)(nil); errors.As(err, &corrupt) {
				damaged(shard, err)
				break
			}
			if err != nil {
				return nil, err
			}
			if len(chunk.Batches) == 0 {
				break
			}
			at = x.add(chunk.Batches)
			chunk.Release()
		}
	}
	return x, nil
}

// add takes in what batches say, and returns the offset behind them. What cannot be read is passed over: the log has checked what is written here.
func (x index) add(batches [][]byte) (next stream.Offset) {
	for _, b := range batches {
		h, err := batch.Parse(b)
		if err != nil {
			panic("offsets: the log returns what is no batch: " + err.Error())
		}
		next = stream.Offset(h.LastOffset()) + 1
		_ = batch.Records(b, 0, func(r *batch.Record) bool {
			if group, _, ok := groupOf(r.Key); ok {
				x.set(group, string(r.Key), r.Value)
			}
			return true
		})
	}
	return next
}
