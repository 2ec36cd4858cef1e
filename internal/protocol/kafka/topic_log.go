package kafka

import (
	"context"
	"fmt"
	"slices"

	"github.com/freshet/freshet/internal/protocol/kafka/offsets"
	"github.com/freshet/freshet/internal/stream"
)

// topicLog is the log as Kafka clients see it: without the streams that the node keeps for itself, but for the topic of committed offsets. Those are found
// neither by name nor by id, so that no request reads, writes, alters or deletes one; their names stay taken.
type topicLog struct{ stream.Log }

// Stream implements stream.Log. The node's own is stream.ErrNotFound.
func (l topicLog) Stream(ctx context.Context, name stream.Name) (*stream.Stream, error) {
	return topicsOnly(l.Log.Stream(ctx, name))
}

// StreamByID implements stream.Log. The node's own is stream.ErrNotFound.
func (l topicLog) StreamByID(ctx context.Context, id stream.ID) (*stream.Stream, error) {
	return topicsOnly(l.Log.StreamByID(ctx, id))
}

// Streams implements stream.Log, without the node's own.
func (l topicLog) Streams(ctx context.Context) ([]*stream.Stream, error) {
	all, err := l.Log.Streams(ctx)
	return slices.DeleteFunc(all, hidden), err
}

func topicsOnly(st *stream.Stream, err error) (*stream.Stream, error) {
	if err == nil && hidden(st) {
		return nil, fmt.Errorf("%w: stream %s", stream.ErrNotFound, st.Name)
	}
	return st, err
}

func hidden(st *stream.Stream) bool { return st.Internal() && !offsets.Is(st) }
