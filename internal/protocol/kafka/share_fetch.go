package kafka

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/acl"
	"github.com/freshet/freshet/internal/govern/quota"
	"github.com/freshet/freshet/internal/protocol/kafka/share"
	"github.com/freshet/freshet/internal/protocol/kafka/wire"
	"github.com/freshet/freshet/internal/stream"
)

// shareCode returns the code of an error of share groups, which come from their coordinator and from the log.
func (s *Server) shareCode(err error) int16 {
	var known *kerr.Error
	if errors.As(err, &known) {
		return known.Code
	}
	return code(err)
}

// shareFetch gives a member of a share group records and takes its acknowledgements (KIP-932), v2 with renewals of locks (KIP-1222) and a choice of
// how strictly max_records is meant (KIP-1206).
func (s *Server) shareFetch(ctx context.Context, c *Client, r *wire.Request) (wire.Answer, error) {
	req := &kmsg.ShareFetchRequest{Version: r.Version}
	if err := r.Decode(ctx, req); err != nil {
		return nil, fmt.Errorf("ShareFetch v%d: %w", r.Version, err)
	}
	a := &shareFetched{server: s}
	a.begin(c, r)
	f, err := s.readShareFetch(ctx, c, req, a)
	if err == nil {
		if c.take(quota.ConsumerBytes, 0) > 0 { // who has had too much is told what became of its acknowledgements, and given nothing
			f.Wish.Records, f.MaxWait = 0, 0
		}
		began := c.waitBegins()
		watched, stop := c.conn.WatchPeer(ctx)
		a.fetched, err = s.shares.Fetch(watched, f)
		stop()
		c.waits(began)
		c.take(quota.ConsumerBytes, float64(a.fetched.Bytes()))
	}
	if hungUp(ctx, err) {
		return nil, fmt.Errorf("ShareFetch v%d: %w", r.Version, err)
	}
	if errors.Is(err, kerr.GroupIDNotFound) && len(a.rows) > 0 {
		return a, nil // that there is no such group is told to whom may read of the topics
	}
	if err != nil {
		a.rows, a.code, a.message = nil, s.shareCode(err), errorMessage(err)
		return a, nil
	}
	a.lock = a.fetched.Lock
	for i := range a.fetched.Shards {
		row := &a.fetched.Shards[i]
		s.logFailure(ctx, row.Err, c, "ShareFetch", row.Shard, -1)
		a.rows = append(a.rows, *row)
	}
	slices.SortStableFunc(a.rows, func(x, y share.Answered) int { return slices.Compare(x.Shard.Stream[:], y.Shard.Stream[:]) })
	return a, nil
}

// readShareFetch checks a request and finds its partitions; those that there are not are answered in a's rows.
func (s *Server) readShareFetch(ctx context.Context, c *Client, req *kmsg.ShareFetchRequest, a *shareFetched) (*share.Fetch, error) {
	f := &share.Fetch{
		MaxWait:  time.Duration(max(0, req.MaxWaitMillis)) * time.Millisecond,
		MinBytes: int(req.MinBytes), MaxBytes: int(c.mostFetched(int64(min(req.MaxBytes, s.cfg.MaxFetchBytes)))),
		Wish: share.Wish{Records: int(req.MaxRecords), Whole: req.ShareAcquireMode == batchOptimized},
	}
	if f.Wish.Whole {
		f.Wish.Piece = int(max(0, req.BatchSize))
	}
	if req.ShareAcquireMode != batchOptimized && req.ShareAcquireMode != recordLimit {
		return nil, refuse(kerr.InvalidRequest, "Unknown share acquire mode %d", req.ShareAcquireMode)
	}
	if req.IsRenewAck && (req.MaxBytes != 0 || req.MinBytes != 0 || req.MaxRecords != 0 || req.MaxWaitMillis != 0) {
		return nil, refuse(kerr.InvalidRequest, "A request that renews locks fetches nothing: its bounds must be 0.")
	}
	var err error
	if !c.require(acl.Read, acl.Group, value(req.GroupID)) {
		return nil, errGroupDenied
	}
	if f.Request, err = s.readShareRequest(c, req.GroupID, req.MemberID, req.ShareSessionEpoch, req.IsRenewAck); err != nil {
		return nil, err
	}
	for i := range req.Topics {
		t := &req.Topics[i]
		st, err := s.topicByID(ctx, t.TopicID)
		if err == nil && !c.require(acl.Read, acl.Topic, string(st.Name)) {
			err = errTopicDenied
		}
		for j := range t.Partitions {
			p := &t.Partitions[j]
			f.Shards = s.askShare(f.Shards, st, err, t.TopicID, p.Partition, shareAcks(len(p.AcknowledgementBatches), func(i int) share.Ack {
				b := &p.AcknowledgementBatches[i]
				return shareAck(b.FirstOffset, b.LastOffset, b.AcknowledgeTypes)
			}), &a.rows)
		}
	}
	if s.authorizer != nil {
		f.Check = func(at stream.Shard) error {
			if !c.readsTopic(ctx, at.Stream) {
				return errTopicDenied
			}
			return nil
		}
	}
	for i := range req.ForgottenTopicsData {
		t := &req.ForgottenTopicsData[i]
		for _, p := range t.Partitions {
			f.Forget = append(f.Forget, stream.Shard{Stream: t.TopicID, Index: p})
		}
	}
	return f, nil
}

// The acquire modes of ShareFetch v2.
const (
	batchOptimized = 0
	recordLimit    = 1
)

// maxShareMember is the longest member id that Kafka takes from share consumers: that of a UUID.
const maxShareMember = 36

// readShareRequest checks who asks.
func (s *Server) readShareRequest(c *Client, group, member *string, epoch int32, renew bool) (share.Request, error) {
	if group == nil || member == nil || *member == "" || len(*member) > maxShareMember {
		return share.Request{}, refuse(kerr.InvalidRequest, "A share group and a member id of 1 to %d characters are needed.", maxShareMember)
	}
	return share.Request{Group: *group, Member: *member, Owner: c, Epoch: epoch, Renew: renew}, nil
}

// askShare adds a partition to what is asked for, or to rows if there is none.
func (s *Server) askShare(asked []share.Asked, st *stream.Stream, err error, id stream.ID, partition int32, acks []share.Ack, rows *[]share.Answered) []share.Asked {
	if err == nil {
		_, err = shard(st, partition)
	}
	at := stream.Shard{Stream: id, Index: partition}
	if err == nil {
		return append(asked, share.Asked{Shard: at, Acks: acks})
	}
	row := share.Answered{Shard: at, Err: err}
	if len(acks) > 0 {
		row.AckErr = err
	}
	*rows = append(*rows, row)
	return asked
}

func shareAcks(n int, ack func(i int) share.Ack) []share.Ack {
	acks := make([]share.Ack, n)
	for i := range acks {
		acks[i] = ack(i)
	}
	return acks
}

func shareAck(first, last int64, types []int8) share.Ack {
	a := share.Ack{First: stream.Offset(first), Last: stream.Offset(last), Kinds: make([]share.Kind, len(types))}
	for i, t := range types {
		a.Kinds[i] = share.Kind(t)
	}
	return a
}

// shareFetched is the answer to a ShareFetch. It is encoded by hand, so that records go from the log's memory to the network without being copied.
type shareFetched struct {
	observed
	server         *Server
	throttleMillis int32
	code           int16
	message        *string
	lock           time.Duration
	fetched        share.Fetched
	rows           []share.Answered // those of one topic together
}

// Ready implements wire.Answer: the records are there, or there are none.
func (a *shareFetched) Ready() <-chan struct{} { return nil }

// Done implements wire.Answer: the records are the log's again.
func (a *shareFetched) Done(written int, err error) {
	failed := a.code
	for i := range a.rows {
		if r := &a.rows[i]; failed == 0 {
			failed = cmp.Or(a.server.shareCode(r.Err), a.server.shareCode(r.AckErr))
		}
	}
	a.fetched.Release()
	a.end(written, failed, err)
}

// Encode writes throttle i32, error i16, message, lock i32, topics of id and partitions, endpoints, tags; and per partition index i32, error i16,
// message, acknowledge error i16, message, leader i32, its epoch i32 and tags, records, acquired of first i64, last i64, deliveries i16, tags; tags.
func (a *shareFetched) Encode(f *wire.Frame) error {
	f.Buf = binary.BigEndian.AppendUint32(f.Buf, uint32(a.throttleMillis))
	f.Buf = binary.BigEndian.AppendUint16(f.Buf, uint16(a.code))
	f.Buf = appendNullableText(f.Buf, a.message, true)
	f.Buf = binary.BigEndian.AppendUint32(f.Buf, uint32(a.lock.Milliseconds()))
	f.Buf = appendLength(f.Buf, a.topics(), true)
	for from := 0; from < len(a.rows); {
		to := a.sameTopic(from)
		f.Buf = append(f.Buf, a.rows[from].Shard.Stream[:]...)
		f.Buf = appendLength(f.Buf, to-from, true)
		for ; from < to; from++ {
			a.encodeRow(f, &a.rows[from])
		}
		f.Buf = append(f.Buf, 0)
	}
	f.Buf = append(f.Buf, 1, 0) // no endpoints of other leaders, no tags
	return nil
}

// throttle implements throttled.
func (a *shareFetched) throttle(wait time.Duration) { a.throttleMillis = throttleMillis(wait) }

// topics returns how many runs of rows of the same topic there are.
func (a *shareFetched) topics() int {
	n := 0
	for from := 0; from < len(a.rows); from = a.sameTopic(from) {
		n++
	}
	return n
}

func (a *shareFetched) sameTopic(from int) int {
	to := from + 1
	for to < len(a.rows) && a.rows[to].Shard.Stream == a.rows[from].Shard.Stream {
		to++
	}
	return to
}

func (a *shareFetched) encodeRow(f *wire.Frame, r *share.Answered) {
	f.Buf = binary.BigEndian.AppendUint32(f.Buf, uint32(r.Shard.Index))
	f.Buf = binary.BigEndian.AppendUint16(f.Buf, uint16(a.server.shareCode(r.Err)))
	f.Buf = appendNullableText(f.Buf, errorMessage(r.Err), true)
	f.Buf = binary.BigEndian.AppendUint16(f.Buf, uint16(a.server.shareCode(r.AckErr)))
	f.Buf = appendNullableText(f.Buf, errorMessage(r.AckErr), true)
	f.Buf = append(f.Buf, 0, 0, 0, 0, 0, 0, 0, 0, 0) // no other leader
	size := 0
	for _, b := range r.Batches {
		size += len(b)
	}
	f.Buf = appendLength(f.Buf, size, true)
	for _, b := range r.Batches {
		f.Attach(b)
	}
	f.Buf = appendLength(f.Buf, len(r.Taken), true)
	for _, t := range r.Taken {
		f.Buf = binary.BigEndian.AppendUint64(f.Buf, uint64(t.First))
		f.Buf = binary.BigEndian.AppendUint64(f.Buf, uint64(t.Last))
		f.Buf = binary.BigEndian.AppendUint16(f.Buf, uint16(t.Deliveries))
		f.Buf = append(f.Buf, 0)
	}
	f.Buf = append(f.Buf, 0)
}
