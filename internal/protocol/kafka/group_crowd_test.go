package kafka_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka"
)

// TestCrowdInOneClassicGroup joins 2,000 consumers over as many connections, 50 of which are given a member id and never come back with it
// (librdkafka#5569): nobody waits for them, and everybody is in one generation soon.
func TestCrowdInOneClassicGroup(t *testing.T) {
	if testing.Short() {
		t.Skip("2,000 connections")
	}
	const consumers, ghosts = 2000, 50
	n := start(t, func(c *kafka.Config) { c.Groups.InitialDelay = 300 * time.Millisecond })
	began := time.Now()
	var generations sync.Map
	var late atomic.Int32
	var wg sync.WaitGroup
	for i := range consumers {
		r := n.raw(t)
		wg.Go(func() {
			first := ask[*kmsg.JoinGroupResponse](r, 9, crowdJoin(""))
			if first.ErrorCode != kerr.MemberIDRequired.Code {
				t.Errorf("consumer %d: error %d", i, first.ErrorCode)
				return
			}
			if i%(consumers/ghosts) == 0 {
				return
			}
			for {
				join := ask[*kmsg.JoinGroupResponse](r, 9, crowdJoin(first.MemberID))
				if join.ErrorCode != 0 {
					t.Errorf("consumer %d: error %d", i, join.ErrorCode)
					return
				}
				sync := kmsg.NewPtrSyncGroupRequest()
				sync.Group, sync.Generation, sync.MemberID = "crowd", join.Generation, first.MemberID
				sync.ProtocolType, sync.Protocol = join.ProtocolType, join.Protocol
				for _, m := range join.Members {
					sync.GroupAssignment = append(sync.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: m.MemberID, MemberAssignment: []byte(m.MemberID)})
				}
				synced := ask[*kmsg.SyncGroupResponse](r, 5, sync)
				if synced.ErrorCode == kerr.RebalanceInProgress.Code {
					late.Add(1) // somebody came after this generation began
					continue
				}
				if synced.ErrorCode != 0 || string(synced.MemberAssignment) != first.MemberID {
					t.Errorf("consumer %d: error %d, assignment %q", i, synced.ErrorCode, synced.MemberAssignment)
				}
				generations.Store(first.MemberID, join.Generation)
				return
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	members := 0
	generations.Range(func(any, any) bool { members++; return true })
	if members != consumers-ghosts {
		t.Fatalf("%d members", members)
	}
	if took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	t.Logf("%d consumers after %v, %d asked twice", members, took, late.Load())
}

func crowdJoin(member string) *kmsg.JoinGroupRequest {
	req := joinRequest("crowd", member)
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 45_000, 45_000
	req.Reason = kmsg.StringPtr(fmt.Sprintf("one of %d", 2000))
	return req
}
