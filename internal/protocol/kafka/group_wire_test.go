package kafka_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka"
	"github.com/freshet/freshet/internal/protocol/kafka/group"
	"github.com/freshet/freshet/internal/stream"
)

// raw is a connection that speaks in exactly the version asked for.
type raw struct {
	t    testing.TB
	conn net.Conn
	id   int32
}

func (n *node) raw(t testing.TB) *raw {
	t.Helper()
	conn, err := net.Dial("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &raw{t: t, conn: conn}
}

// ask sends a request in a version and reads the answer.
func ask[R kmsg.Response](r *raw, version int16, req kmsg.Request) R {
	r.t.Helper()
	req.SetVersion(version)
	r.id++
	if _, err := r.conn.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("raw")).AppendRequest(nil, req, r.id)); err != nil {
		r.t.Fatal(err)
	}
	var head [8]byte
	if _, err := io.ReadFull(r.conn, head[:]); err != nil {
		r.t.Fatalf("%T v%d: %v", req, version, err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:4])-4)
	if _, err := io.ReadFull(r.conn, body); err != nil {
		r.t.Fatal(err)
	}
	resp := req.ResponseKind()
	if resp.IsFlexible() {
		body = body[1:] // no tagged fields in the header
	}
	if err := resp.ReadFrom(body); err != nil {
		r.t.Fatalf("%T v%d: %v", req, version, err)
	}
	return resp.(R)
}

func joinRequest(id, member string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.ProtocolType = id, member, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 10_000, 20_000
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Topics = []string{"t"}
	req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: meta.AppendTo(nil)}}
	return req
}

func noDelay(c *kafka.Config) { c.Groups = group.Config{InitialDelay: -1} }

// TestGroupLifeInEveryVersion walks one member through its life in each version of each request.
func TestGroupLifeInEveryVersion(t *testing.T) {
	n := start(t, noDelay)
	topic := n.create(t, "t", 2, nil)
	for v := range int16(11) {
		t.Run(fmt.Sprintf("v%d", v), func(t *testing.T) {
			r := n.raw(t)
			id := fmt.Sprintf("g%d", v)
			join := ask[*kmsg.JoinGroupResponse](r, min(v, 9), joinRequest(id, ""))
			if v >= 4 {
				code(t, "first join", join.ErrorCode, kerr.MemberIDRequired)
				if join.Generation != -1 || !strings.HasPrefix(join.MemberID, "raw-") {
					t.Fatalf("%+v", join)
				}
				join = ask[*kmsg.JoinGroupResponse](r, min(v, 9), joinRequest(id, join.MemberID))
			}
			code(t, "join", join.ErrorCode, nil)
			if join.Generation != 1 || join.LeaderID != join.MemberID || len(join.Members) != 1 || *join.Protocol != "range" {
				t.Fatalf("%+v", join)
			}

			sync := kmsg.NewPtrSyncGroupRequest()
			sync.Group, sync.Generation, sync.MemberID = id, 1, join.MemberID
			sync.ProtocolType, sync.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
			sync.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: join.MemberID, MemberAssignment: []byte("mine")}}
			synced := ask[*kmsg.SyncGroupResponse](r, min(v, 5), sync)
			code(t, "sync", synced.ErrorCode, nil)
			if string(synced.MemberAssignment) != "mine" {
				t.Fatalf("%+v", synced)
			}

			beat := kmsg.NewPtrHeartbeatRequest()
			beat.Group, beat.Generation, beat.MemberID = id, 1, join.MemberID
			code(t, "heartbeat", ask[*kmsg.HeartbeatResponse](r, min(v, 4), beat).ErrorCode, nil)
			beat.Generation = 7
			code(t, "stale heartbeat", ask[*kmsg.HeartbeatResponse](r, min(v, 4), beat).ErrorCode, kerr.IllegalGeneration)

			commitAndFetch(t, r, v, id, join.MemberID, topic)
			describeAndList(t, r, min(v, 6), id, join.MemberID)
			leave(t, r, min(v, 5), id, join.MemberID)

			del := kmsg.NewPtrDeleteGroupsRequest()
			del.Groups = []string{id, "none"}
			deleted := ask[*kmsg.DeleteGroupsResponse](r, min(v, 2), del)
			code(t, "delete", deleted.Groups[0].ErrorCode, nil)
			code(t, "delete nothing", deleted.Groups[1].ErrorCode, kerr.GroupIDNotFound)
		})
	}
}

func code(t *testing.T, what string, got int16, want *kerr.Error) {
	t.Helper()
	wanted := int16(0)
	if want != nil {
		wanted = want.Code
	}
	if got != wanted {
		t.Fatalf("%s: got error %d (%v), want %d", what, got, kerr.ErrorForCode(got), wanted)
	}
}

func commitAndFetch(t *testing.T, r *raw, v int16, id, member string, topic *stream.Stream) {
	t.Helper()
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Group, commit.Generation, commit.MemberID = id, 1, member
	if v == 0 {
		commit.Group = id + "-simple" // v0 knows no members
	}
	parts := []kmsg.OffsetCommitRequestTopicPartition{
		{Partition: 0, Offset: 5, LeaderEpoch: 0, Metadata: kmsg.StringPtr("note")},
		{Partition: 1, Offset: 6, Metadata: kmsg.StringPtr(strings.Repeat("m", 4097))},
		{Partition: 2, Offset: 7},
	}
	commit.Topics = []kmsg.OffsetCommitRequestTopic{
		{Topic: "t", TopicID: topic.ID, Partitions: parts},
		{Topic: "nowhere", TopicID: [16]byte{9}, Partitions: parts[:1]},
	}
	committed := ask[*kmsg.OffsetCommitResponse](r, v, commit)
	unknown := kerr.UnknownTopicOrPartition
	if v >= 10 {
		unknown = kerr.UnknownTopicID
	}
	for i, want := range []*kerr.Error{nil, kerr.OffsetMetadataTooLarge, kerr.UnknownTopicOrPartition} {
		code(t, fmt.Sprintf("commit %d", i), committed.Topics[0].Partitions[i].ErrorCode, want)
	}
	code(t, "commit nowhere", committed.Topics[1].Partitions[0].ErrorCode, unknown)

	if v < 8 {
		fetch := kmsg.NewPtrOffsetFetchRequest()
		fetch.Group = commit.Group
		fetch.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0, 1}}, {Topic: "nowhere", Partitions: []int32{0}}}
		got := ask[*kmsg.OffsetFetchResponse](r, v, fetch)
		p := got.Topics[0].Partitions
		if p[0].Offset != 5 || *p[0].Metadata != "note" || p[1].Offset != -1 || got.Topics[1].Partitions[0].Offset != -1 {
			t.Fatalf("%+v", got)
		}
		if v >= 2 {
			fetch.Topics = nil
			got = ask[*kmsg.OffsetFetchResponse](r, v, fetch)
			if len(got.Topics) != 1 || len(got.Topics[0].Partitions) != 1 || got.Topics[0].Partitions[0].Offset != 5 {
				t.Fatalf("all topics: %+v", got)
			}
		}
		return
	}
	fetch := kmsg.NewPtrOffsetFetchRequest()
	fetch.RequireStable = true
	one, all := kmsg.NewOffsetFetchRequestGroup(), kmsg.NewOffsetFetchRequestGroup()
	one.Group, all.Group = id, id
	one.Topics = []kmsg.OffsetFetchRequestGroupTopic{
		{Topic: "t", TopicID: topic.ID, Partitions: []int32{0, 1}}, {Topic: "nowhere", TopicID: [16]byte{9}, Partitions: []int32{0}},
	}
	none := kmsg.NewOffsetFetchRequestGroup()
	none.Group = "none"
	fetch.Groups = []kmsg.OffsetFetchRequestGroup{one, all, none}
	got := ask[*kmsg.OffsetFetchResponse](r, v, fetch).Groups
	p := got[0].Topics[0].Partitions
	if p[0].Offset != 5 || *p[0].Metadata != "note" || p[1].Offset != -1 || got[0].Topics[1].Partitions[0].Offset != -1 {
		t.Fatalf("%+v", got[0])
	}
	if v >= 10 {
		code(t, "fetch unknown id", got[0].Topics[1].Partitions[0].ErrorCode, kerr.UnknownTopicID)
	}
	if len(got[1].Topics) != 1 || got[1].Topics[0].Partitions[0].Offset != 5 || len(got[2].Topics) != 0 {
		t.Fatalf("all topics: %+v", got[1:])
	}
}

func describeAndList(t *testing.T, r *raw, v int16, id, member string) {
	t.Helper()
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups, req.IncludeAuthorizedOperations = []string{id, "none"}, true
	got := ask[*kmsg.DescribeGroupsResponse](r, v, req).Groups
	g := got[0]
	if g.State != "Stable" || g.ProtocolType != "consumer" || g.Protocol != "range" || len(g.Members) != 1 ||
		g.Members[0].MemberID != member || g.Members[0].ClientHost != "/127.0.0.1" || string(g.Members[0].MemberAssignment) != "mine" {
		t.Fatalf("%+v", g)
	}
	if v >= 3 && g.AuthorizedOperations <= 0 {
		t.Fatalf("operations %d", g.AuthorizedOperations)
	}
	if got[1].State != "Dead" {
		t.Fatalf("%+v", got[1])
	}
	if v >= 6 {
		code(t, "describe nothing", got[1].ErrorCode, kerr.GroupIDNotFound)
	} else {
		code(t, "describe nothing", got[1].ErrorCode, nil)
	}

	list := kmsg.NewPtrListGroupsRequest()
	list.StatesFilter, list.TypesFilter = []string{"stable"}, []string{"Classic"}
	listed := ask[*kmsg.ListGroupsResponse](r, min(v, 5), list)
	found := false
	for _, g := range listed.Groups {
		found = found || g.Group == id && g.ProtocolType == "consumer"
		if v >= 4 && g.GroupState != "Stable" {
			t.Fatalf("not asked for: %+v", g)
		}
	}
	if !found {
		t.Fatalf("%s is not listed: %+v", id, listed)
	}
	if v >= 5 {
		list.TypesFilter = []string{"share"}
		if others := ask[*kmsg.ListGroupsResponse](r, 5, list); len(others.Groups) != 0 {
			t.Fatalf("share groups: %+v", others)
		}
	}
}

func leave(t *testing.T, r *raw, v int16, id, member string) {
	t.Helper()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = id, member
	req.Members = []kmsg.LeaveGroupRequestMember{{MemberID: member}, {MemberID: "x"}, {InstanceID: kmsg.StringPtr("i")}}
	left := ask[*kmsg.LeaveGroupResponse](r, v, req)
	code(t, "leave", left.ErrorCode, nil)
	if v < 3 {
		code(t, "leave again", ask[*kmsg.LeaveGroupResponse](r, v, req).ErrorCode, kerr.UnknownMemberID)
		return
	}
	for i, want := range []*kerr.Error{nil, kerr.UnknownMemberID, kerr.UnknownMemberID} {
		code(t, fmt.Sprintf("leave %d", i), left.Members[i].ErrorCode, want)
	}
}

func TestFindCoordinator(t *testing.T) {
	n := start(t)
	r := n.raw(t)
	for v := range int16(7) {
		for kind, want := range map[int8]*kerr.Error{0: nil, 1: nil, 2: kerr.InvalidRequest, 3: kerr.InvalidRequest} {
			req := kmsg.NewPtrFindCoordinatorRequest()
			req.CoordinatorKey, req.CoordinatorKeys, req.CoordinatorType = "g", []string{"g", "h"}, kind
			resp := ask[*kmsg.FindCoordinatorResponse](r, v, req)
			got := kmsg.FindCoordinatorResponseCoordinator{Key: "g", ErrorCode: resp.ErrorCode, NodeID: resp.NodeID, Host: resp.Host, Port: resp.Port}
			if v >= 4 {
				if len(resp.Coordinators) != 2 {
					t.Fatalf("%+v", resp)
				}
				got = resp.Coordinators[0]
			}
			if v == 0 {
				want = nil // it only knows groups
			}
			code(t, fmt.Sprintf("type %d, v%d", kind, v), got.ErrorCode, want)
			if want == nil && (got.NodeID != 1 || net.JoinHostPort(got.Host, fmt.Sprint(got.Port)) != n.addr) {
				t.Fatalf("%+v", got)
			}
		}
	}
}

// TestUnknownGroupsAndMissingProtocols checks the errors that depend on a request's version.
func TestUnknownGroupsAndMissingProtocols(t *testing.T) {
	t.Parallel()
	n := start(t, noDelay)
	st := n.create(t, "t", 1, nil)
	r := n.raw(t)
	for v := range int16(11) {
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Group, req.MemberID, req.Generation = "none", "m", 3
		req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", TopicID: st.ID, Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 5}}}}
		want := kerr.IllegalGeneration
		switch {
		case v == 0:
			want = nil // knows no generations
		case v >= 9:
			want = kerr.GroupIDNotFound
		}
		code(t, fmt.Sprintf("OffsetCommit v%d", v), ask[*kmsg.OffsetCommitResponse](r, v, req).Topics[0].Partitions[0].ErrorCode, want)
		if v == 0 { // made the group
			del := kmsg.NewPtrDeleteGroupsRequest()
			del.Groups = []string{"none"}
			code(t, "DeleteGroups", ask[*kmsg.DeleteGroupsResponse](r, 2, del).Groups[0].ErrorCode, nil)
		}
	}
	for v, want := range map[int16]*kerr.Error{4: kerr.UnknownMemberID, 5: kerr.InconsistentGroupProtocol} {
		req := kmsg.NewPtrSyncGroupRequest()
		req.Group, req.MemberID = "none", "m"
		code(t, fmt.Sprintf("SyncGroup v%d", v), ask[*kmsg.SyncGroupResponse](r, v, req).ErrorCode, want)
	}
	code(t, "OffsetDelete", ask[*kmsg.OffsetDeleteResponse](r, 0, kmsg.NewPtrOffsetDeleteRequest()).ErrorCode, kerr.InvalidGroupID)
}

func TestOffsetDelete(t *testing.T) {
	n := start(t, noDelay)
	n.create(t, "t", 2, nil)
	r := n.raw(t)
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Group = "g"
	commit.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Partition: 0, Offset: 5}}}}
	code(t, "commit", ask[*kmsg.OffsetCommitResponse](r, 8, commit).Topics[0].Partitions[0].ErrorCode, nil)

	del := kmsg.NewPtrOffsetDeleteRequest()
	del.Group = "none"
	parts := []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}, {Partition: 9}}
	del.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: "t", Partitions: parts}, {Topic: "nowhere", Partitions: parts[:1]}}
	code(t, "no group", ask[*kmsg.OffsetDeleteResponse](r, 0, del).ErrorCode, kerr.GroupIDNotFound)
	del.Group = "g"
	got := ask[*kmsg.OffsetDeleteResponse](r, 0, del)
	code(t, "group", got.ErrorCode, nil)
	code(t, "partition 0", got.Topics[0].Partitions[0].ErrorCode, nil)
	code(t, "partition 9", got.Topics[0].Partitions[1].ErrorCode, kerr.UnknownTopicOrPartition)
	code(t, "topic nowhere", got.Topics[1].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition)

	fetch := kmsg.NewPtrOffsetFetchRequest()
	fetch.Group = "g"
	if all := ask[*kmsg.OffsetFetchResponse](r, 5, fetch); len(all.Topics) != 0 {
		t.Fatalf("%+v", all)
	}
}
