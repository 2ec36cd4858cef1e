package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/tests/process"
)

// A queue is a share group whose members acquire records, and accept, release and reject them, while the node is killed.

const (
	queueTopic      = "queue"
	queueGroup      = "queue"
	queuePartitions = 2
	queueMembers    = 4
	queueLock       = 15 * time.Second // the shortest that a group may have
	queueLimit      = 5                // deliveries of a record, group.share.delivery.count.limit
)

// Kinds of acknowledgements (KIP-932).
const (
	accepts  int8 = 1
	releases int8 = 2
	rejects  int8 = 3
)

// queueJudge holds what the members were told of each record, and what is wrong with it.
type queueJudge struct {
	node  *process.Node
	topic [16]byte
	life  atomic.Int64 // of the node; a new one begins before it is killed

	mu      sync.Mutex
	records map[place]*queued
	wrong   []error
	counts  struct{ Written, Acquired, Accepted, Released, Rejected, Unknown, Refused int }
}

type place struct {
	partition int32
	offset    int64
}

// queued is one record.
type queued struct {
	written bool      // acknowledged to its producer
	settled time.Time // when it was confirmed that somebody accepted or rejected it
	unknown bool      // somebody accepted or rejected it and had no answer
	count   int16     // of deliveries, when it was released last and that was confirmed
	most    int16     // of deliveries that a member was told

	holder *queueMember // nil: nobody
	life   int64        // of the node in which it was acquired
	since  time.Time    // when the request went out that acquired it: the lock began later
	told   time.Time    // when the answer was there
}

// queueMember is one member of the group, in one life of its connection.
type queueMember struct {
	*queueJudge
	conn    *conn
	id      string
	epoch   int32 // of the group, for heartbeats
	session int32
	random  *rand.Rand
	drains  bool // accepts all it gets
}

func (j *queueJudge) complain(format string, args ...any) {
	j.wrong = append(j.wrong, fmt.Errorf(format, args...))
}

func (j *queueJudge) recordLocked(p place) *queued {
	r := j.records[p]
	if r == nil {
		r = &queued{}
		j.records[p] = r
	}
	return r
}

// acquired notes that a member was given records by a request that went out at a moment, in a life of the node.
func (j *queueJudge) acquired(m *queueMember, partition int32, a *kmsg.ShareFetchResponseTopicPartitionAcquiredRecord, sent time.Time, life int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for offset := a.FirstOffset; offset <= a.LastOffset; offset++ {
		p := place{partition, offset}
		r := j.recordLocked(p)
		j.counts.Acquired++
		if !r.settled.IsZero() && r.settled.Before(sent) {
			j.complain("%v is delivered though that it was accepted or rejected was confirmed %s before", p, sent.Sub(r.settled))
		}
		if r.holder != nil && r.holder != m && r.life == life && life == j.life.Load() && r.told.Before(sent) && time.Since(r.since) < queueLock {
			j.complain("%v is delivered to %s, %s after %s got it, in life %d", p, m.id, time.Since(r.since), r.holder.id, life)
		}
		if a.DeliveryCount <= r.count || a.DeliveryCount > queueLimit {
			j.complain("%v is delivered for the %d. time, it was released after the %d.", p, a.DeliveryCount, r.count)
		}
		r.holder, r.life, r.since, r.told = m, life, sent, time.Now()
		r.most = max(r.most, a.DeliveryCount)
	}
}

// acknowledging notes what is about to be asked for, acknowledged what has become of it.
func (j *queueJudge) acknowledging(partition int32, first, last int64, kind int8) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for offset := first; offset <= last; offset++ {
		if r := j.recordLocked(place{partition, offset}); kind == releases {
			r.holder = nil // from now on others may have it
		} else {
			r.unknown = true
		}
	}
}

func (j *queueJudge) acknowledged(m *queueMember, partition int32, a *kmsg.ShareFetchResponseTopicPartitionAcquiredRecord, kind int8, life int64, code int16) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for offset := a.FirstOffset; offset <= a.LastOffset; offset++ {
		r := j.records[place{partition, offset}]
		switch {
		case code != 0:
			j.counts.Refused++
			if r.holder == m && r.life == j.life.Load() && time.Since(r.since) < queueLock {
				j.complain("an acknowledgement of %d@%d is refused to its holder: %v", partition, offset, kerr.ErrorForCode(code))
			}
			continue
		case kind == releases:
			j.counts.Released++
			r.count = max(r.count, a.DeliveryCount)
		default:
			if kind == accepts {
				j.counts.Accepted++
			} else {
				j.counts.Rejected++
			}
			r.settled, r.unknown = time.Now(), false
		}
		if r.holder == m {
			r.holder = nil
		}
	}
}

// gone notes that a member's session ends: what it holds others may have.
func (j *queueJudge) gone(m *queueMember) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range j.records {
		if r.holder == m {
			r.holder = nil
		}
	}
}

// live runs the member, one connection after the other.
func (m *queueMember) live(ctx context.Context) {
	for ctx.Err() == nil {
		c, err := dial(ctx, m.node.Kafka)
		if err == nil {
			m.conn, m.session, m.epoch = c, 0, 0
			err = m.work(ctx)
			m.gone(m)
			c.Close()
		}
		if err != nil {
			wait(ctx, 20*time.Millisecond)
		}
	}
}

// work beats, acquires and acknowledges until something fails.
func (m *queueMember) work(ctx context.Context) error {
	beaten := time.Time{}
	for ctx.Err() == nil {
		if time.Since(beaten) > time.Second {
			if err := m.beat(); err != nil {
				return err
			}
			beaten = time.Now()
		}
		if err := m.fetch(); err != nil {
			return err
		}
		if !m.drains && m.random.IntN(200) == 0 {
			return nil // dies with what it holds
		}
	}
	return nil
}

func (m *queueMember) beat() error {
	req := kmsg.NewPtrShareGroupHeartbeatRequest()
	req.GroupID, req.MemberID, req.MemberEpoch = queueGroup, m.id, m.epoch
	if m.epoch == 0 {
		req.SubscribedTopicNames = []string{queueTopic}
	}
	resp, err := ask[*kmsg.ShareGroupHeartbeatResponse](m.conn, 1, req)
	if err != nil {
		return err
	}
	m.epoch = resp.MemberEpoch
	return kerr.ErrorForCode(resp.ErrorCode)
}

// fetch acquires records of both partitions, and acknowledges most of them.
func (m *queueMember) fetch() error {
	req := kmsg.NewPtrShareFetchRequest()
	group := queueGroup
	req.GroupID, req.MemberID, req.ShareSessionEpoch = &group, &m.id, m.session
	req.MinBytes, req.MaxBytes, req.MaxRecords, req.BatchSize, req.MaxWaitMillis = 1, 1<<20, 20, 20, 200
	if m.session == 0 {
		topic := kmsg.NewShareFetchRequestTopic()
		topic.TopicID = m.topic
		for p := range int32(queuePartitions) {
			topic.Partitions = append(topic.Partitions, kmsg.ShareFetchRequestTopicPartition{Partition: p})
		}
		req.Topics = append(req.Topics, topic)
	}
	life, sent := m.life.Load(), time.Now()
	resp, err := ask[*kmsg.ShareFetchResponse](m.conn, 1, req)
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return err
	}
	m.session++
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			for i := range p.AcquiredRecords {
				m.acquired(m, p.Partition, &p.AcquiredRecords[i], sent, life)
			}
			for i := range p.AcquiredRecords {
				if err := m.settle(p.Partition, p.AcquiredRecords[i], life); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// settle acknowledges what was acquired, in one kind, or a part of it.
func (m *queueMember) settle(partition int32, a kmsg.ShareFetchResponseTopicPartitionAcquiredRecord, life int64) error {
	kind := accepts
	if n := m.random.IntN(20); !m.drains && n < 5 {
		if kind = releases; n == 0 {
			kind = rejects
		}
		a.LastOffset = a.FirstOffset + m.random.Int64N(a.LastOffset-a.FirstOffset+1) // the rest is acknowledged by nobody
	}
	m.acknowledging(partition, a.FirstOffset, a.LastOffset, kind)
	req := kmsg.NewPtrShareAcknowledgeRequest()
	group := queueGroup
	req.GroupID, req.MemberID, req.ShareSessionEpoch = &group, &m.id, m.session
	topic := kmsg.NewShareAcknowledgeRequestTopic()
	topic.TopicID = m.topic
	p := kmsg.NewShareAcknowledgeRequestTopicPartition()
	b := kmsg.NewShareAcknowledgeRequestTopicPartitionAcknowledgementBatch()
	b.FirstOffset, b.LastOffset, b.AcknowledgeTypes = a.FirstOffset, a.LastOffset, []int8{kind}
	p.Partition, p.AcknowledgementBatches = partition, append(p.AcknowledgementBatches, b)
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	resp, err := ask[*kmsg.ShareAcknowledgeResponse](m.conn, 1, req)
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return err
	}
	m.session++
	m.acknowledged(m, partition, &a, kind, life, resp.Topics[0].Partitions[0].ErrorCode)
	return nil
}

// feed writes records until ctx ends.
func (j *queueJudge) feed(ctx context.Context) {
	client, err := kgo.NewClient(kgo.SeedBrokers(j.node.Kafka), kgo.DefaultProduceTopic(queueTopic), kgo.MetadataMinAge(20*time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }))
	if err != nil {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.complain("feed: %w", err)
		return
	}
	defer client.Close()
	for ctx.Err() == nil {
		for range 20 {
			client.Produce(context.WithoutCancel(ctx), kgo.StringRecord("x"), func(r *kgo.Record, err error) {
				j.mu.Lock()
				defer j.mu.Unlock()
				if err != nil {
					j.complain("produce: %w", err)
					return
				}
				j.recordLocked(place{r.Partition, r.Offset}).written = true
				j.counts.Written++
			})
		}
		_ = client.Flush(context.WithoutCancel(ctx)) // each record tells of itself
		wait(ctx, 5*time.Millisecond)
	}
}

// open returns how many records are neither settled, nor may be, nor were delivered as often as they may be.
func (j *queueJudge) open() (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range j.records {
		if r.written && r.settled.IsZero() && !r.unknown && r.most < queueLimit {
			n++
		}
	}
	for _, r := range j.records {
		if r.unknown {
			j.counts.Unknown++
		}
	}
	return n
}

func queueKills(ctx context.Context, r *rig) error {
	node, err := r.node(ctx)
	if err != nil {
		return err
	}
	j := &queueJudge{node: node, records: map[place]*queued{}}
	if err := j.prepare(ctx); err != nil {
		return err
	}
	feeding, stopFeed := context.WithCancel(ctx)
	working, stop := context.WithCancel(ctx)
	defer stop()
	var feed, work sync.WaitGroup
	feed.Go(func() { j.feed(feeding) })
	for range queueMembers {
		m := &queueMember{queueJudge: j, id: newMemberID(), random: rand.New(rand.NewPCG(r.random.Uint64(), 0))}
		work.Go(func() { m.live(working) })
	}
	kills := 4 * r.times
	for range kills {
		wait(ctx, time.Duration(100+r.random.IntN(1500))*time.Millisecond)
		j.life.Add(1)
		node.Kill()
		if _, err := node.Start(ctx); err != nil {
			stopFeed()
			return err
		}
	}
	stopFeed()
	feed.Wait()
	stop()
	work.Wait()
	draining, end := context.WithCancel(ctx)
	m := &queueMember{queueJudge: j, id: newMemberID(), drains: true, random: r.random}
	work.Go(func() { m.live(draining) })
	err = until(ctx, queueLock+patience, "every record is settled", func() (bool, error) {
		j.counts.Unknown = 0
		n := j.open()
		return n == 0, fmt.Errorf("%d are not", n)
	})
	end()
	work.Wait()
	say("%d kills: %+v", kills, j.counts)
	return errors.Join(err, errors.Join(j.wrong[:min(len(j.wrong), 10)]...))
}

// prepare makes topic and group.
func (j *queueJudge) prepare(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(j.node.Kafka))
	if err != nil {
		return err
	}
	defer client.Close()
	created, err := kadm.NewClient(client).CreateTopic(ctx, queuePartitions, 1, nil, queueTopic)
	if err != nil {
		return err
	}
	j.topic = created.ID
	c, err := dial(ctx, j.node.Kafka)
	if err != nil {
		return err
	}
	defer c.Close()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	group := kmsg.NewIncrementalAlterConfigsRequestResource()
	const groups = 32 // the resource type
	group.ResourceType, group.ResourceName = groups, queueGroup
	for name, value := range map[string]string{"share.auto.offset.reset": "earliest", "share.record.lock.duration.ms": "15000"} {
		group.Configs = append(group.Configs, kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: name, Value: &value})
	}
	req.Resources = append(req.Resources, group)
	resp, err := ask[*kmsg.IncrementalAlterConfigsResponse](c, 1, req)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.Resources[0].ErrorCode)
}
