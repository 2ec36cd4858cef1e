package main

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/batch"
)

// batchOf builds a batch of n keyed records whose timestamps ascend by a second.
func batchOf(n int, producer batch.Producer) []byte {
	var b batch.Builder
	for i := range n {
		b.Add(firstTimestamp+int64(i)*1000, fmt.Appendf(nil, "key-%d", i), fmt.Appendf(nil, "value-%d", i))
	}
	return slices.Clone(b.Finish(producer))
}

// firstTimestamp is that of every batch's first record: recent, because retention takes old records at different moments.
var firstTimestamp = time.Now().Add(-time.Hour).UnixMilli()

// anyone is who produces without idempotence.
var anyone = batch.Producer{ID: -1, Epoch: -1, Sequence: -1}

// edited returns a batch with something changed, its checksum made right again.
func edited(b []byte, edit func(b []byte)) []byte {
	b = slices.Clone(b)
	edit(b)
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// producing is a Produce request for one partition.
func producing(s *side, v int16, topic string, partition int32, acks int16, records []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = acks, 5000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	if v >= 13 {
		t.TopicID = s.topicID(topic)
	}
	part := kmsg.NewProduceRequestTopicPartition()
	part.Partition, part.Records = partition, records
	t.Partitions = append(t.Partitions, part)
	req.Topics = append(req.Topics, t)
	return req
}

// sent is one batch that is produced to a topic.
type sent struct {
	step, topic string
	records     []byte
}

// tornOf returns a batch whose checksum is wrong.
func tornOf(b []byte) []byte {
	b = slices.Clone(b)
	b[len(b)-1] ^= 1
	return b
}

// batches are batches with something about them. Kafka does not answer a partition without records (null).
func batches(good []byte) []sent {
	var keyless batch.Builder
	keyless.Add(firstTimestamp, nil, []byte("v"))
	set16 := func(at int, v uint16) func([]byte) { return func(b []byte) { binary.BigEndian.PutUint16(b[at:], v) } }
	set32 := func(at int, v uint32) func([]byte) { return func(b []byte) { binary.BigEndian.PutUint32(b[at:], v) } }
	return []sent{
		{"good", "plain", good},
		{"stamped by the broker", "stamped", good},
		{"with keys", "compacted", good},
		{"without keys", "compacted", slices.Clone(keyless.Finish(anyone))},
		{"too large", "small", batchOf(40, anyone)},
		{"too old", "punctual", good},
		{"in the future", "plain", edited(good, func(b []byte) { binary.BigEndian.PutUint64(b[27:], 1<<45); binary.BigEndian.PutUint64(b[35:], 1<<45) })},
		{"empty", "plain", []byte{}},
		{"half a header", "plain", good[:30]},
		{"cut off", "plain", good[:len(good)-3]},
		{"bytes behind", "littered", append(slices.Clone(good), 1, 2, 3)},
		{"two batches", "plain", append(slices.Clone(good), good...)},
		{"checksum", "plain", tornOf(good)},
		{"magic 1", "plain", edited(good, func(b []byte) { b[16] = 1 })},
		{"magic 3", "plain", edited(good, func(b []byte) { b[16] = 3 })},
		{"control", "plain", edited(good, set16(21, 0x20))},
		{"transactional without a producer", "plain", edited(good, set16(21, 0x10))},
		{"codec 5", "plain", edited(good, set16(21, 5))},
		{"count too small", "plain", edited(good, set32(57, 2))},
		{"count too large", "plain", edited(good, set32(57, 4))},
		{"no records", "plain", edited(good, set32(57, 0))},
		{"negative count", "plain", edited(good, set32(57, 1<<31))},
		{"last offset", "plain", edited(good, set32(23, 7))},
		{"base offset", "plain", edited(good, func(b []byte) { binary.BigEndian.PutUint64(b, 77) })},
	}
}

func produce(p *pair) error {
	topics := []topic{
		{name: "plain", partitions: 1, replicas: 1},
		{name: "stamped", partitions: 1, replicas: 1, configs: map[string]string{"message.timestamp.type": "LogAppendTime"}},
		{name: "compacted", partitions: 1, replicas: 1, configs: map[string]string{"cleanup.policy": "compact"}},
		{name: "littered", partitions: 1, replicas: 1},
		{name: "small", partitions: 1, replicas: 1, configs: map[string]string{"max.message.bytes": "200"}},
		{name: "punctual", partitions: 1, replicas: 1, configs: map[string]string{"message.timestamp.before.max.ms": "1000"}},
	}
	if err := p.create(topics...); err != nil {
		return err
	}
	good := batchOf(3, anyone)
	torn := tornOf(good)
	for _, row := range batches(good) {
		p.each(row.step, func(s *side, v int16) kmsg.Request { return producing(s, v, row.topic, 0, -1, row.records) })
	}
	two := batchOf(2, anyone)
	p.each("a partition twice", func(s *side, v int16) kmsg.Request {
		req := producing(s, v, "plain", 0, -1, good)
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, producing(s, v, "plain", 0, -1, two).Topics[0].Partitions...)
		return req
	})
	p.each("a topic twice", func(s *side, v int16) kmsg.Request {
		req := producing(s, v, "plain", 0, -1, good)
		req.Topics = append(req.Topics, producing(s, v, "plain", 0, -1, two).Topics...)
		return req
	})
	p.each("a partition twice, the second time wrong", func(s *side, v int16) kmsg.Request {
		req := producing(s, v, "plain", 0, -1, good)
		req.Topics = append(req.Topics, producing(s, v, "plain", 0, -1, torn).Topics...)
		return req
	})
	p.each("after what was there twice", func(s *side, v int16) kmsg.Request { return producing(s, v, "plain", 0, -1, good) })
	for _, acks := range []int16{0, 1, 2, -2} {
		p.each(fmt.Sprint("acks ", acks), func(s *side, v int16) kmsg.Request { return producing(s, v, "plain", 0, acks, good) })
	}
	p.each("no such partition", func(s *side, v int16) kmsg.Request { return producing(s, v, "plain", 9, -1, good) })
	p.each("no such topic", func(s *side, v int16) kmsg.Request { return producing(s, v, "never-was", 0, -1, good) })
	p.each("compared after", func(s *side, v int16) kmsg.Request { return listing(s, "plain", 0, -1, -1) })
	return nil
}

// sequenced is a batch of a producer of this side.
func sequenced(s *side, name string, epoch int16, sequence int32, n int) []byte {
	return batchOf(n, batch.Producer{ID: recall[int64](s, name), Epoch: epoch, Sequence: sequence})
}

func idempotence(p *pair) error {
	if err := p.create(topic{name: "sequenced", partitions: 1, replicas: 1}); err != nil {
		return err
	}
	for _, v := range p.versions(kmsg.NewPtrInitProducerIDRequest()) {
		resp := p.ask("a new producer", v, same(func() kmsg.Request { return kmsg.NewPtrInitProducerIDRequest() }))
		if err := remember(p, fmt.Sprint("producer ", v), resp, func(r *kmsg.InitProducerIDResponse) int64 { return r.ProducerID }); err != nil {
			return err
		}
		if v >= 3 {
			p.ask("an old producer", v, func(s *side) kmsg.Request {
				req := kmsg.NewPtrInitProducerIDRequest()
				req.ProducerID, req.ProducerEpoch = recall[int64](s, fmt.Sprint("producer ", v)), 0
				return req
			})
		}
	}
	for _, row := range []struct {
		step     string
		epoch    int16
		sequence int32
		records  int
	}{
		{"first", 0, 0, 3},
		{"second", 0, 3, 3},
		{"repeated", 0, 3, 3},
		{"first repeated", 0, 0, 3},
		{"overlapping", 0, 4, 3},
		{"a gap", 0, 9, 1},
		{"a larger epoch, not from 0", 1, 6, 1},
		{"a larger epoch", 1, 0, 2},
		{"an older epoch", 0, 6, 1},
		{"on", 1, 2, 1},
		{"on again", 1, 3, 1},
		{"and again", 1, 4, 1},
		{"the sixth", 1, 5, 1},
		{"the seventh", 1, 6, 1},
		{"long ago", 1, 0, 2},
		{"negative sequence", 1, -1, 1},
		{"negative epoch", -1, 7, 1},
	} {
		p.newestOf(row.step, func(s *side) kmsg.Request {
			v := p.newest(kmsg.NewPtrProduceRequest())
			return producing(s, v, "sequenced", 0, -1, sequenced(s, "producer 3", row.epoch, row.sequence, row.records))
		})
	}
	p.newestOf("an unknown producer, not from 0", func(s *side) kmsg.Request {
		b := batchOf(1, batch.Producer{ID: 987654, Epoch: 3, Sequence: 5})
		return producing(s, p.newest(kmsg.NewPtrProduceRequest()), "sequenced", 0, -1, b)
	})
	return nil
}
