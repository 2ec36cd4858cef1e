package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// beatEvery is how often classic members beat.
const beatEvery = time.Second

// again says that a code asks for a new try: a rebalance began, or the coordinator is not ready.
func again(code int16) bool {
	err := kerr.TypedErrorForCode(code)
	return err != nil && (err.Retriable || code == kerr.RebalanceInProgress.Code || code == kerr.IllegalGeneration.Code)
}

// classicMember joins and beats until its connection or ctx ends.
func classicMember(ctx context.Context, m *member) error {
	for ctx.Err() == nil {
		generation, err := m.join(ctx)
		if err != nil {
			return err
		}
		for code := int16(0); code == 0; {
			if generation < 0 {
				break
			}
			wait(ctx, beatEvery)
			if ctx.Err() != nil {
				return m.leaveClassic()
			}
			m.step("heartbeat")
			req := kmsg.NewPtrHeartbeatRequest()
			req.Group, req.Generation, req.MemberID = m.group, generation, m.id
			resp, err := ask[*kmsg.HeartbeatResponse](m.conn, 4, req)
			if err != nil {
				return err
			}
			if code = resp.ErrorCode; code != 0 {
				if m.believe(-1, nil); !again(code) {
					m.id = ""
				}
			}
		}
	}
	return nil
}

// join joins and syncs once. It returns the generation, or -1 if that is to be tried again.
func (m *member) join(ctx context.Context) (int32, error) {
	m.step("join")
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.ProtocolType = m.group, m.id, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = int32(m.session.Milliseconds()), 30_000
	req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "own", Metadata: []byte(m.topic)}}
	joined, err := ask[*kmsg.JoinGroupResponse](m.conn, 9, req)
	if err != nil {
		return -1, err
	}
	switch code := joined.ErrorCode; {
	case code == kerr.MemberIDRequired.Code:
		m.id = joined.MemberID
		return -1, nil
	case code != 0:
		if !again(code) {
			m.id = ""
		}
		wait(ctx, 20*time.Millisecond)
		return -1, nil
	}
	m.step("sync")
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Group, sync.Generation, sync.MemberID, sync.ProtocolType, sync.Protocol = m.group, joined.Generation, m.id, joined.ProtocolType, joined.Protocol
	for i, other := range joined.Members {
		var mine []int32
		for p := i; p < m.partitions; p += len(joined.Members) {
			mine = append(mine, int32(p))
		}
		sync.GroupAssignment = append(sync.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: other.MemberID, MemberAssignment: appendPartitions(nil, mine)})
	}
	synced, err := ask[*kmsg.SyncGroupResponse](m.conn, 5, sync)
	if err != nil {
		return -1, err
	}
	if synced.ErrorCode != 0 {
		if !again(synced.ErrorCode) {
			m.id = ""
		}
		return -1, nil
	}
	m.mu.Lock()
	m.size = len(joined.Members)
	m.mu.Unlock()
	m.believe(joined.Generation, readPartitions(synced.MemberAssignment))
	return joined.Generation, nil
}

func (m *member) leaveClassic() error {
	if !m.leaving.Load() {
		return nil
	}
	m.step("leave")
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = m.group
	one := kmsg.NewLeaveGroupRequestMember()
	one.MemberID = m.id
	req.Members = append(req.Members, one)
	_, err := ask[*kmsg.LeaveGroupResponse](m.conn, 5, req)
	return err
}

// newMemberID returns an id as consumers of KIP-848 choose theirs.
func newMemberID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// consumerMember beats as a consumer of KIP-848 does, until its connection or ctx ends. What it is to give back it gives back at once.
func consumerMember(ctx context.Context, m *member) error {
	if m.id == "" {
		m.id = newMemberID()
	}
	epoch, owned, every, changed := int32(0), []kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic(nil), time.Second, true
	for {
		m.step("reconcile")
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Group, req.MemberID, req.MemberEpoch = m.group, m.id, epoch
		req.RebalanceTimeoutMillis = -1
		if epoch == 0 {
			req.RebalanceTimeoutMillis, req.SubscribedTopicNames = 30_000, []string{m.topic}
		}
		if epoch == 0 || changed {
			req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
			for _, t := range owned {
				req.Topics = append(req.Topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: t.TopicID, Partitions: t.Partitions})
			}
		}
		resp, err := ask[*kmsg.ConsumerGroupHeartbeatResponse](m.conn, 1, req)
		if err != nil {
			return err
		}
		changed = false
		switch resp.ErrorCode {
		case 0:
			epoch, every = resp.MemberEpoch, time.Duration(resp.HeartbeatIntervalMillis)*time.Millisecond
			if resp.Assignment != nil {
				owned, changed = resp.Assignment.Topics, true
			}
			m.believe(epoch, partitionsOf(owned))
		case kerr.FencedMemberEpoch.Code, kerr.UnknownMemberID.Code:
			epoch, owned, changed = 0, nil, true
			m.believe(-1, nil)
		default:
			if !again(resp.ErrorCode) {
				return fmt.Errorf("heartbeat: %w", kerr.ErrorForCode(resp.ErrorCode))
			}
		}
		if !changed {
			wait(ctx, every)
		}
		if ctx.Err() != nil {
			return m.leaveConsumers()
		}
	}
}

func partitionsOf(topics []kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic) (all []int32) {
	for _, t := range topics {
		all = append(all, t.Partitions...)
	}
	return all
}

func (m *member) leaveConsumers() error {
	if !m.leaving.Load() {
		return nil
	}
	m.step("leave")
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch, req.RebalanceTimeoutMillis = m.group, m.id, -1, -1
	_, err := ask[*kmsg.ConsumerGroupHeartbeatResponse](m.conn, 1, req)
	return err
}
