package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/protocol/kafka/refusal"
	"github.com/freshet/freshet/internal/stream"
)

// Join refuses: members of a streams group speak no other protocol.
func (m *StreamsMachine) Join(_ time.Time, to Token, j Join) {
	m.reply(Reply{To: to, Err: kerr.InconsistentGroupProtocol, Join: Joined{Member: j.Member, Generation: -1}})
}

// Sync refuses: no member asks so.
func (m *StreamsMachine) Sync(_ time.Time, to Token, _ Sync) {
	m.reply(Reply{To: to, Err: kerr.UnknownMemberID})
}

// Heartbeat refuses: no member says so that it lives.
func (m *StreamsMachine) Heartbeat(_ time.Time, to Token, _ Heartbeat) {
	m.reply(Reply{To: to, Err: kerr.UnknownMemberID})
}

// Leave refuses: members leave by a heartbeat of theirs.
func (m *StreamsMachine) Leave(_ time.Time, leaving []Leave) []error {
	errs := make([]error, len(leaving))
	for i := range errs {
		errs[i] = kerr.UnknownMemberID
	}
	return errs
}

// MayCommit returns nil if offsets of the shards may be committed by who asks, and why not otherwise. A member whose epoch is an older one may
// still commit what its active tasks have read since then.
func (m *StreamsMachine) MayCommit(_ time.Time, c Commit, cursors []stream.Cursor) error {
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
		return m.unknown(c.Member)
	case !c.Transactional && !c.Epochs:
		return refusal.New(kerr.UnsupportedVersion, "OffsetCommit version 9 or above must be used by members using the streams group protocol")
	case c.Generation == mem.epoch:
		return nil
	case c.Generation > mem.epoch:
		return kerr.StaleMemberEpoch
	}
	for _, cur := range cursors {
		since, has := m.readsSince(mem, cur.Shard)
		if !has || c.Generation < since {
			return kerr.StaleMemberEpoch
		}
	}
	return nil
}

// readsSince returns since which epoch a member has an active task that reads a shard.
func (m *StreamsMachine) readsSince(mem *streamer, shard stream.Shard) (epoch int32, ok bool) {
	topic := m.topics.Name(shard.Stream)
	for t, since := range mem.started {
		if t.Partition != shard.Index {
			continue
		}
		for _, name := range m.topicsOf(t) {
			if name == topic {
				return since, true
			}
		}
	}
	return 0, false
}

// MayFetch returns nil if who asks may read committed offsets, and why not otherwise. Who names no member always may.
func (m *StreamsMachine) MayFetch(member *string, epoch int32) error {
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
		return m.unknown(id)
	case epoch != mem.epoch:
		return kerr.StaleMemberEpoch
	}
	return nil
}

// readTopics returns the topics that members read, whose offsets must stay.
func (m *StreamsMachine) readTopics() (map[string]bool, error) {
	if m.dead {
		return nil, kerr.GroupIDNotFound
	}
	topics := map[string]bool{}
	if m.topology == nil || len(m.members) == 0 {
		return topics, nil
	}
	for i := range m.topology.Subtopologies {
		for _, name := range m.topology.Subtopologies[i].Reads() {
			topics[name] = true
		}
	}
	return topics, nil
}

// reader returns what tells whether members may read a topic.
func (m *StreamsMachine) reader() func(topic string) bool {
	topics, err := m.readTopics()
	return func(topic string) bool { return err == nil && topics[topic] }
}

// expired says whether cur, an offset in a topic that members read or not, has outlived its retention.
func (m *StreamsMachine) expired(now time.Time, cur stream.Cursor, read bool) bool {
	return !read && !m.dead && outlived(&m.config, now, cur, m.since, len(m.members) == 0)
}
