package group

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/protocol/kafka/refusal"
)

// checkID refuses ids that name no group. Members must name one; offsets may be kept under the empty id, as old simple consumers do.
func checkID(id string, emptyToo bool) error {
	if len(id) > MaxIDBytes || id == "" && !emptyToo {
		return kerr.InvalidGroupID
	}
	return nil
}

// Join makes the caller a member of the group's next generation, and waits for that, at most until ctx ends. The Joined of an error has the
// member id to answer with.
func (c *Coordinator) Join(ctx context.Context, id string, j Join) (Joined, error) {
	failed := Joined{Member: j.Member, Generation: -1}
	if err := checkID(id, false); err != nil {
		return failed, err
	}
	if j.Session < c.config.MinSession || j.Session > c.config.MaxSession {
		return failed, kerr.InvalidSessionTimeout
	}
	if j.Rebalance <= 0 {
		j.Rebalance = j.Session
	}
	if j.Member == "" {
		name := j.Instance
		if name == "" {
			name = j.Client
		}
		candidate, err := c.memberID(name)
		if err != nil {
			return failed, err
		}
		j.Candidate = candidate
	}
	r, err := c.ask(ctx, id, j.Member == "", func(e *entry, now time.Time, to Token) {
		m := e.classic(now, c.config)
		m.SetRoom(c.roomLocked(e)) // it may be a new one
		m.Join(now, to, j)
	})
	if errors.Is(err, errNoGroup) {
		err = kerr.UnknownMemberID
	}
	if err != nil && r.Join.Generation == 0 {
		return failed, err
	}
	return r.Join, err
}

// memberID returns an id that no member had before, beginning with name.
func (c *Coordinator) memberID(name string) (string, error) {
	const maxName = 255
	if len(name) > maxName {
		name = name[:maxName]
	}
	var u [16]byte
	c.mu.Lock()
	_, err := io.ReadFull(c.Random, u[:])
	c.mu.Unlock()
	if err != nil {
		return "", fmt.Errorf("draw member id: %w", err)
	}
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return fmt.Sprintf("%s-%x-%x-%x-%x-%x", name, u[:4], u[4:6], u[6:8], u[8:10], u[10:]), nil
}

// Sync waits for the member's assignment, at most until ctx ends. The leader's brings those of all.
func (c *Coordinator) Sync(ctx context.Context, id string, s Sync) (Synced, error) {
	if err := checkID(id, false); err != nil {
		return Synced{}, err
	}
	r, err := c.ask(ctx, id, false, func(e *entry, now time.Time, to Token) { e.machine.Sync(now, to, s) })
	if errors.Is(err, errNoGroup) {
		err = kerr.UnknownMemberID
	}
	return r.Sync, err
}

// Heartbeat is a member's sign of life; REBALANCE_IN_PROGRESS asks it to join again.
func (c *Coordinator) Heartbeat(ctx context.Context, id string, h Heartbeat) error {
	if err := checkID(id, false); err != nil {
		return err
	}
	_, err := c.ask(ctx, id, false, func(e *entry, now time.Time, to Token) { e.machine.Heartbeat(now, to, h) })
	if errors.Is(err, errNoGroup) {
		err = kerr.UnknownMemberID
	}
	return err
}

// ConsumerBeat takes a heartbeat of KIP-848: it makes a group or a member, leads the member a step on, or removes it. A classic group becomes a consumer
// group with it if it may. GROUP_ID_NOT_FOUND and, with words of their own, UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH, UNRELEASED_INSTANCE_ID,
// FENCED_INSTANCE_ID, INVALID_REGULAR_EXPRESSION, GROUP_MAX_SIZE_REACHED.
func (c *Coordinator) ConsumerBeat(ctx context.Context, id string, b ConsumerBeat) (ConsumerBeaten, error) {
	if err := checkID(id, false); err != nil {
		return ConsumerBeaten{}, err
	}
	if b.Member == "" && b.Epoch == joining {
		drawn, err := c.memberID("consumer")
		if err != nil {
			return ConsumerBeaten{}, err
		}
		b.Member = drawn
	}
	topics, err := c.currentTopics(ctx)
	if err != nil {
		return ConsumerBeaten{}, err
	}
	r, err := c.ask(ctx, id, b.Epoch == joining, func(e *entry, now time.Time, to Token) { c.beatLocked(e, now, to, topics, b) })
	if errors.Is(err, errNoGroup) {
		err = refusal.New(kerr.GroupIDNotFound, "Consumer group %s not found.", id)
	}
	return r.Beat, err
}

// StreamsBeat takes a heartbeat of KIP-1071: it makes a group or a member, leads the member a step on, or removes it. A classic group without members
// becomes a streams group with it. GROUP_ID_NOT_FOUND, UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH, STREAMS_INVALID_TOPOLOGY, INVALID_REQUEST for another topology
// than the group's, GROUP_MAX_SIZE_REACHED, with words of their own.
func (c *Coordinator) StreamsBeat(ctx context.Context, id string, b StreamsBeat) (StreamsBeaten, error) {
	if err := checkID(id, false); err != nil {
		return StreamsBeaten{}, err
	}
	topics, err := c.currentTopics(ctx)
	if err != nil {
		return StreamsBeaten{}, err
	}
	r, err := c.ask(ctx, id, b.Epoch == joining, func(e *entry, now time.Time, to Token) { c.streamsBeatLocked(e, now, to, topics, b) })
	if errors.Is(err, errNoGroup) {
		err = refusal.New(kerr.GroupIDNotFound, "Streams group %s not found.", id)
	}
	return r.Streams, err
}

// Leave removes members at once. It returns one error, or nil, for each of them, or one for all.
func (c *Coordinator) Leave(ctx context.Context, id string, leaving []Leave) ([]error, error) {
	if err := checkID(id, false); err != nil {
		return nil, err
	}
	var errs []error
	_, err := c.ask(ctx, id, false, func(e *entry, now time.Time, to Token) {
		errs = e.machine.Leave(now, leaving)
		e.machine.reply(Reply{To: to})
	})
	if errors.Is(err, errNoGroup) {
		errs = make([]error, len(leaving))
		for i := range errs {
			errs[i] = kerr.UnknownMemberID
		}
		err = nil
	}
	return errs, err
}
