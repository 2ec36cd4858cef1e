package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/stream"
)

// MayCommit returns nil if offsets of the shards may be committed by who asks, and why not otherwise. A member whose epoch is an older one may
// still commit what it has had since then.
func (m *ConsumerMachine) MayCommit(_ time.Time, c Commit, cursors []stream.Cursor) error {
	return m.mayCommit(c, cursors, ConsumerType, func(mem *consumer, shard stream.Shard) (int32, bool) {
		h, ok := mem.assigned.find(shard)
		if !ok {
			h, ok = mem.revoking.find(shard)
		}
		return h.epoch, ok
	})
}

// stale is the answer to an epoch that is not the member's, in the words of its protocol.
func (mem *consumer) stale() error {
	if mem.classic != nil {
		return kerr.IllegalGeneration
	}
	return kerr.StaleMemberEpoch
}

// readTopics returns the topics that members read, whose offsets must stay.
func (m *ConsumerMachine) readTopics() (map[string]bool, error) {
	if m.dead {
		return nil, kerr.GroupIDNotFound
	}
	topics := map[string]bool{}
	for _, s := range m.interests {
		for _, names := range [][]string{s.names, s.topics} {
			for _, name := range names {
				topics[name] = true
			}
		}
	}
	return topics, nil
}

// reader returns what tells whether members may read a topic.
func (m *ConsumerMachine) reader() func(topic string) bool {
	topics, err := m.readTopics()
	return func(topic string) bool { return err == nil && topics[topic] }
}
