package main

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/batch"
)

// initProducer begins a producer of a transactional id on both sides, and remembers its id and epoch under that name. Kafka makes its coordinator of
// transactions when it is first asked for.
func (p *pair) initProducer(id string) error {
	for _, s := range p.sides() {
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
			find := kmsg.NewPtrFindCoordinatorRequest()
			find.CoordinatorKeys, find.CoordinatorType = []string{id}, 1
			s.ask(4, find)
			req := kmsg.NewPtrInitProducerIDRequest()
			req.TransactionalID, req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = &id, 60_000, -1, -1
			r, ok := s.ask(4, req).response.(*kmsg.InitProducerIDResponse)
			if ok && r.ErrorCode == 0 {
				s.seen[id], s.seen[id+" epoch"] = r.ProducerID, r.ProducerEpoch
				s.symbols[fmt.Sprint("producer ", r.ProducerID)] = "producer of " + id
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("%s has no coordinator of transactions: %+v", s.name, r)
			}
		}
	}
	return nil
}

// The versions of clients before KIP-890: they add partitions themselves, and keep their epoch.
const (
	addV1     = 3
	produceV1 = 11
	endV1     = 4
)

// within produces n records to partition 0 of a topic in the transaction of an id.
func (p *pair) within(id, topic string, sequence int32, n int) {
	p.ask(fmt.Sprintf("add %s to the transaction of %s", topic, id), addV1, func(s *side) kmsg.Request {
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch = id, recall[int64](s, id), recall[int16](s, id+" epoch")
		req.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: topic, Partitions: []int32{0}}}
		return req
	})
	p.ask(fmt.Sprintf("produce %d from %d within %s", n, sequence, id), produceV1, func(s *side) kmsg.Request {
		b := batchOf(n, batch.Producer{ID: recall[int64](s, id), Epoch: recall[int16](s, id+" epoch"), Sequence: sequence})
		req := producing(s, produceV1, topic, 0, -1, edited(b, func(b []byte) { b[22] |= 1 << 4 }))
		req.TransactionID = &id
		return req
	})
}

// end ends the transaction of an id, and waits until its marker is there: Kafka answers before.
func (p *pair) end(id, topic string, commit bool) {
	p.ask(fmt.Sprintf("end %s, commit %v", id, commit), endV1, func(s *side) kmsg.Request {
		req := kmsg.NewPtrEndTxnRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = id, recall[int64](s, id), recall[int16](s, id+" epoch"), commit
		return req
	})
	p.settled(fmt.Sprintf("%s has ended", id), func(*side) kmsg.Request { return producersIn(topic, 0) })
}

func producersIn(topic string, partitions ...int32) *kmsg.DescribeProducersRequest {
	req := kmsg.NewPtrDescribeProducersRequest()
	req.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: topic, Partitions: partitions}}
	return req
}

// committed compares what who reads committed is told while transactions are open, and once they are decided.
func committed(p *pair) error {
	if err := p.create(topic{name: "decided", partitions: 1, replicas: 1}); err != nil {
		return err
	}
	for _, id := range []string{"first", "second"} {
		if err := p.initProducer(id); err != nil {
			return err
		}
	}
	p.fill("decided", 1) // 0
	p.within("first", "decided", 0, 2)
	p.within("second", "decided", 0, 1)
	p.fill("decided", 1)
	p.readBoth("both open")
	p.end("second", "decided", false)
	p.readBoth("the second aborted")
	p.end("first", "decided", false)
	p.readBoth("both aborted")
	p.within("first", "decided", 2, 1)
	p.fill("decided", 1)
	p.readBoth("the first open again")
	p.end("first", "decided", true)
	p.readBoth("the first committed")
	p.each("partition that is not there", func(*side, int16) kmsg.Request { return producersIn("decided", 0, 4) })
	p.each("topic that is not there", func(*side, int16) kmsg.Request { return producersIn("never-was", 0) })
	p.each("no name of a topic", func(*side, int16) kmsg.Request { return producersIn("a/b", 0) })
	return nil
}

// readBoth reads the topic in both isolation levels, from everywhere and at every time, in every version.
func (p *pair) readBoth(when string) {
	for level := range int8(2) {
		for offset := int64(0); offset <= 11; offset++ {
			p.each(fmt.Sprintf("%s: level %d from %d", when, level, offset), func(s *side, v int16) kmsg.Request {
				req := fetchRequest(s, v, 0, 1<<20, fetching{"decided", 0, offset, 1 << 20, -1})
				req.IsolationLevel = level
				return req
			})
		}
		for _, at := range []int64{-1, -2, firstTimestamp, firstTimestamp + 1, firstTimestamp + 1000, firstTimestamp + 1001} {
			p.each(fmt.Sprintf("%s: level %d at %s", when, level, moment(at)), func(s *side, _ int16) kmsg.Request {
				req := listing(s, "decided", 0, at, -1)
				req.IsolationLevel = level
				return req
			})
		}
	}
}
