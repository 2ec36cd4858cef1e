package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

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
	return m.mayCommit(c, cursors, StreamsType, m.readsSince)
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
