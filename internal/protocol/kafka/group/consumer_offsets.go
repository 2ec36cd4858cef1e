package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/protocol/kafka/refusal"
	"github.com/freshet/freshet/internal/stream"
)

// MayCommit returns nil if offsets of the shards may be committed by who asks, and why not otherwise. A member whose epoch is an older one may
// still commit what it has had since then.
func (m *ConsumerMachine) MayCommit(_ time.Time, c Commit, cursors []stream.Cursor) error {
	switch {
	case m.dead:
		return kerr.CoordinatorNotAvailable
	case c.Generation < 0 && len(m.members) == 0:
		return nil
	case c.Transactional && c.Generation < 0 && c.Member == "" && c.Instance == "":
		return nil // whose transaction it is was checked elsewhere
	}
	mem := m.members[c.Member]
	switch {
	case mem == nil:
		return refusal.New(kerr.UnknownMemberID, "Member %s is not a member of group %s.", c.Member, m.id)
	case mem.classic == nil && !c.Transactional && !c.Epochs:
		return refusal.New(kerr.UnsupportedVersion, "OffsetCommit version 9 or above must be used by members using the consumer group protocol")
	case c.Generation == mem.epoch:
		return nil
	case c.Generation > mem.epoch:
		return mem.stale()
	}
	for _, cur := range cursors {
		h, ok := mem.assigned.find(cur.Shard)
		if !ok {
			h, ok = mem.revoking.find(cur.Shard)
		}
		if !ok || c.Generation < h.epoch {
			return mem.stale()
		}
	}
	return nil
}

// stale is the answer to an epoch that is not the member's, in the words of its protocol.
func (mem *consumer) stale() error {
	if mem.classic != nil {
		return kerr.IllegalGeneration
	}
	return kerr.StaleMemberEpoch
}

// MayFetch returns nil if who asks may read committed offsets, and why not otherwise. Who names no member always may.
func (m *ConsumerMachine) MayFetch(member *string, epoch int32) error {
	if member == nil && epoch < 0 {
		return nil
	}
	id := ""
	if member != nil {
		id = *member
	}
	mem := m.members[id]
	switch {
	case mem == nil:
		return refusal.New(kerr.UnknownMemberID, "Member %s is not a member of group %s.", id, m.id)
	case epoch != mem.epoch:
		return mem.stale()
	}
	return nil
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

// expired says whether cur, an offset in a topic that members read or not, has outlived its retention.
func (m *ConsumerMachine) expired(now time.Time, cur stream.Cursor, read bool) bool {
	return !read && !m.dead && outlived(&m.config, now, cur, m.since, len(m.members) == 0)
}

// outlived says whether cur, an offset that nobody reads from, is older than it may be: counted from its commit, or from when the group became empty.
func outlived(config *Config, now time.Time, cur stream.Cursor, since time.Time, empty bool) bool {
	retention, from := cur.Retention, cur.Committed
	if retention == 0 {
		retention = config.OffsetsRetention
	}
	if empty && since.After(from) {
		from = since
	}
	return now.Sub(from) >= retention
}
