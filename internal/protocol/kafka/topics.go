package kafka

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/stream"
)

// topic finds a topic by name.
func (s *Server) topic(ctx context.Context, name string) (*stream.Stream, error) {
	return s.log.Stream(ctx, stream.Name(name))
}

// checkTopicName refuses what cannot name a topic: what cannot name a stream, in Kafka's words.
func checkTopicName(name string) error {
	const longest = 249
	reason := ""
	switch {
	case stream.Name(name).Check() == nil:
		return nil
	case name == "":
		reason = "the empty string is not allowed"
	case name == "." || name == "..":
		reason = fmt.Sprintf("'%s' is not allowed", name)
	case utf8.RuneCountInString(name) > longest:
		reason = fmt.Sprintf("the length of '%s' is longer than the max allowed length %d", name, longest)
	default:
		reason = fmt.Sprintf("'%s' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'", name)
	}
	return refuse(kerr.InvalidTopicException, "Topic name is invalid: %s", reason)
}

// topicKey is how a request names a topic: by its name or by its id.
type topicKey struct {
	name string
	id   stream.ID
}

// errTopicTwice answers, once, a topic that a request names more than once: what is asked for it may differ, so none of it is done.
var errTopicTwice = refuse(kerr.InvalidRequest, "Duplicate topic name.")

// repeated returns the keys that more than one element of all has.
func repeated[T any, K comparable](all []T, key func(*T) K) map[K]bool {
	seen := make(map[K]bool, len(all)) // with true from the second time on
	for i := range all {
		k := key(&all[i])
		_, before := seen[k]
		seen[k] = before
	}
	return seen
}

var errUnknownTopicID = refuse(kerr.UnknownTopicID, "%s", kerr.UnknownTopicID.Description)

// topicByID finds a topic by id, with the error that Kafka has for that.
func (s *Server) topicByID(ctx context.Context, id stream.ID) (*stream.Stream, error) {
	st, err := s.log.StreamByID(ctx, id)
	if errors.Is(err, stream.ErrNotFound) {
		return nil, errUnknownTopicID
	}
	return st, err
}

// shard returns the address of a partition.
func shard(st *stream.Stream, partition int32) (stream.Shard, error) {
	if partition < 0 || partition >= st.Shards {
		return stream.Shard{}, refuse(kerr.UnknownTopicOrPartition, "topic %s has the partitions 0 to %d, not %d", st.Name, st.Shards-1, partition)
	}
	return st.Shard(partition), nil
}

// checkIsolation refuses what is neither read_uncommitted nor read_committed: Apache Kafka fails over it, and answers UNKNOWN_SERVER_ERROR.
func checkIsolation(level int8) error {
	if level < 0 || level > 1 {
		return refuse(kerr.UnknownServerError, "Unknown isolation level %d", level)
	}
	return nil
}

// checkLeaderEpoch compares the leader epoch that a client believes in, -1 for none, with the partition's (KIP-320).
func checkLeaderEpoch(believed, current int32) error {
	switch {
	case believed == -1 || believed == current:
		return nil
	case believed < current:
		return refuse(kerr.FencedLeaderEpoch, "leader epoch is %d, not %d any more", current, believed)
	}
	return refuse(kerr.UnknownLeaderEpoch, "leader epoch is %d, not yet %d", current, believed)
}

// epochAt returns the leader epoch that wrote the record at offset: the first one whose end lies beyond it.
func (s *Server) epochAt(ctx context.Context, shard stream.Shard, offset stream.Offset, current int32) int32 {
	epoch := current
	for epoch > 0 {
		earlier, end, err := s.log.EpochEnd(ctx, shard, epoch-1)
		if err != nil || earlier < 0 || end <= offset {
			break
		}
		epoch = earlier
	}
	return epoch
}

// compacted says whether the topic's cleanup.policy asks for compaction, for which every record needs a key.
func compacted(st *stream.Stream) bool {
	return st.Config.Compaction.On
}
