package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/stream"
)

// Heartbeat is a member's sign of life.
type Heartbeat struct {
	Member     string
	Instance   string
	Generation int32
}

// Heartbeat answers at once: with nil, REBALANCE_IN_PROGRESS if the member has to join again, or why it is none.
func (m *Machine) Heartbeat(now time.Time, to Token, h Heartbeat) {
	mem, err := m.current(h.Member, h.Instance, h.Generation)
	if err == nil {
		mem.touch(now)
		if m.state == PreparingRebalance {
			err = kerr.RebalanceInProgress
		}
	}
	if err != nil {
		m.reply(Reply{To: to, Err: err})
		return
	}
	m.reply(Reply{To: to})
}

// Commit says who wants to commit offsets.
type Commit struct {
	Member     string
	Instance   string
	Generation int32 // or member epoch; -1 with no member: a reader that is no member
	// Transactional: the offsets are part of a transaction, whose producer was checked and may name no member.
	Transactional bool
	// Epochs: the client knows member epochs, as every member of KIP-848 has to (OffsetCommit version 9 and up).
	Epochs bool
}

// MayCommit returns nil if offsets of the group may be committed by who asks, and why not otherwise. For a member it is a sign of life.
func (m *Machine) MayCommit(now time.Time, c Commit, _ []stream.Cursor) error {
	if m.state == Dead {
		return kerr.CoordinatorNotAvailable
	}
	if c.Transactional && c.Generation < 0 && c.Member == "" && c.Instance == "" {
		return nil
	}
	if c.Generation < 0 && m.state == Empty {
		return nil
	}
	if c.Generation < 0 && c.Member == "" && c.Instance == "" {
		return kerr.UnknownMemberID // offsets of a group with members belong to its members
	}
	mem, err := m.current(c.Member, c.Instance, c.Generation)
	if err != nil {
		return err
	}
	if m.state == CompletingRebalance && !c.Transactional {
		return kerr.RebalanceInProgress
	}
	mem.touch(now)
	return nil
}
