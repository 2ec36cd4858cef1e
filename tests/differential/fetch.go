package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetching is one partition of a Fetch request.
type fetching struct {
	topic     string
	partition int32
	offset    int64
	maxBytes  int32
	epoch     int32
}

func fetchRequest(s *side, v int16, minBytes, maxBytes int32, wanted ...fetching) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 100, minBytes, maxBytes
	req.SessionEpoch = -1
	for _, w := range wanted {
		t := kmsg.NewFetchRequestTopic()
		t.Topic = w.topic
		if v >= 13 {
			if t.TopicID = s.topicID(w.topic); t.TopicID == [16]byte{} {
				t.TopicID = [16]byte{0xee}
			}
		}
		part := kmsg.NewFetchRequestTopicPartition()
		part.Partition, part.FetchOffset, part.PartitionMaxBytes, part.CurrentLeaderEpoch = w.partition, w.offset, w.maxBytes, w.epoch
		t.Partitions = append(t.Partitions, part)
		req.Topics = append(req.Topics, t)
	}
	return req
}

// fill produces batches of 1, 2, 3... records into partition 0 of a topic.
func (p *pair) fill(topic string, batches int) {
	for i := range batches {
		p.newestOf(fmt.Sprint("fill ", topic), func(s *side) kmsg.Request {
			return producing(s, p.newest(kmsg.NewPtrProduceRequest()), topic, 0, -1, batchOf(i+1, anyone))
		})
	}
}

func fetch(p *pair) error {
	if err := p.create(topic{name: "fetched", partitions: 2, replicas: 1}, topic{name: "empty", partitions: 1, replicas: 1}); err != nil {
		return err
	}
	p.fill("fetched", 5) // offsets 0..14
	const much = 1 << 20
	for _, row := range []struct {
		step          string
		min, max      int32
		topic         string
		part          int32
		offset        int64
		partitionMost int32
		epoch         int32
	}{
		{"all", 1, much, "fetched", 0, 0, much, -1},
		{"inside a batch", 1, much, "fetched", 0, 4, much, -1},
		{"one byte", 1, much, "fetched", 0, 0, 1, -1},
		{"one byte in all", 1, 1, "fetched", 0, 3, much, -1},
		{"no bytes", 0, 0, "fetched", 0, 0, 0, -1},
		{"the end", 1, much, "fetched", 0, 15, much, -1},
		{"the end, no waiting", 0, much, "fetched", 0, 15, much, -1},
		{"beyond the end", 1, much, "fetched", 0, 16, much, -1},
		{"a negative offset", 1, much, "fetched", 0, -1, much, -1},
		{"the current epoch", 1, much, "fetched", 0, 0, much, 0},
		{"a later epoch", 1, much, "fetched", 0, 0, much, 5},
		{"an empty partition", 1, much, "fetched", 1, 0, much, -1},
		{"no such partition", 1, much, "fetched", 7, 0, much, -1},
		{"no such topic", 1, much, "never-was", 0, 0, much, -1},
	} {
		p.each(row.step, func(s *side, v int16) kmsg.Request {
			return fetchRequest(s, v, row.min, row.max, fetching{row.topic, row.part, row.offset, row.partitionMost, row.epoch})
		})
	}
	p.each("several", func(s *side, v int16) kmsg.Request {
		return fetchRequest(s, v, 1, much, fetching{"empty", 0, 0, much, -1}, fetching{"fetched", 0, 6, 200, -1}, fetching{"fetched", 1, 0, much, -1})
	})
	p.each("nothing", func(s *side, v int16) kmsg.Request { return fetchRequest(s, v, 1, much) })
	p.each("committed only", func(s *side, v int16) kmsg.Request {
		req := fetchRequest(s, v, 1, much, fetching{"fetched", 0, 0, much, -1})
		req.IsolationLevel = 1
		return req
	})
	return nil
}

func fetchSessions(p *pair) error {
	if err := p.create(topic{name: "watched", partitions: 1, replicas: 1}, topic{name: "also", partitions: 1, replicas: 1}); err != nil {
		return err
	}
	p.fill("watched", 3)
	for v := int16(7); v <= p.newest(kmsg.NewPtrFetchRequest()); v++ {
		step := func(name string, id func(*side) int32, epoch int32, wanted ...fetching) [2]kmsg.Response {
			return p.ask(name, v, func(s *side) kmsg.Request {
				req := fetchRequest(s, v, 0, 1<<20, wanted...)
				req.SessionID, req.SessionEpoch = id(s), epoch
				return req
			})
		}
		none := func(*side) int32 { return 0 }
		own := func(s *side) int32 { return recall[int32](s, "session") }
		resp := step("opened", none, 0, fetching{"watched", 0, 0, 1 << 20, -1}, fetching{"also", 0, 0, 1 << 20, -1})
		for i, s := range p.sides() {
			r, ok := resp[i].(*kmsg.FetchResponse)
			if !ok {
				return fmt.Errorf("%s: no session", s.name)
			}
			s.seen["session"] = r.SessionID
		}
		step("nothing new", own, 1)
		step("moved", own, 2, fetching{"watched", 0, 3, 1 << 20, -1})
		step("an epoch again", own, 2)
		step("a wrong epoch", own, 9)
		step("an unknown session", func(*side) int32 { return 12345 }, 1)
		step("closed", own, -1)
		step("after closing", own, 3)
	}
	return nil
}

// listing is a ListOffsets request for one partition.
func listing(s *side, topic string, partition int32, at int64, epoch int32) *kmsg.ListOffsetsRequest {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	part := kmsg.NewListOffsetsRequestTopicPartition()
	part.Partition, part.Timestamp, part.CurrentLeaderEpoch = partition, at, epoch
	t.Partitions = append(t.Partitions, part)
	req.Topics = append(req.Topics, t)
	return req
}

func listOffsets(p *pair) error {
	if err := p.create(topic{name: "listed", partitions: 2, replicas: 1}); err != nil {
		return err
	}
	p.fill("listed", 4)
	for _, at := range []int64{-1, -2, -3, -4, -5, -6, -7, 0, firstTimestamp, firstTimestamp + 1, firstTimestamp + 2500, firstTimestamp + 3000, firstTimestamp + 3001} {
		for partition := range int32(2) {
			p.each(fmt.Sprintf("at %s of partition %d", moment(at), partition), func(s *side, _ int16) kmsg.Request { return listing(s, "listed", partition, at, -1) })
		}
	}
	p.each("no such partition", func(s *side, _ int16) kmsg.Request { return listing(s, "listed", 5, -1, -1) })
	p.each("no such topic", func(s *side, _ int16) kmsg.Request { return listing(s, "never-was", 0, -1, -1) })
	p.each("a later epoch", func(s *side, _ int16) kmsg.Request { return listing(s, "listed", 0, -1, 4) })
	p.each("committed only", func(s *side, _ int16) kmsg.Request {
		req := listing(s, "listed", 0, -1, -1)
		req.IsolationLevel = 1
		return req
	})
	p.each("twice", func(s *side, _ int16) kmsg.Request {
		req := listing(s, "listed", 0, -1, -1)
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, req.Topics[0].Partitions[0])
		return req
	})
	return nil
}

// moment names a timestamp by its distance from the first record's.
func moment(at int64) string {
	if at <= 0 {
		return fmt.Sprint(at)
	}
	return fmt.Sprint("first + ", at-firstTimestamp)
}

func leaderEpochs(p *pair) error {
	if err := p.create(topic{name: "led", partitions: 1, replicas: 1}); err != nil {
		return err
	}
	p.fill("led", 2)
	for _, row := range []struct {
		topic          string
		partition      int32
		current, asked int32
	}{
		{"led", 0, -1, 0}, {"led", 0, 0, 0}, {"led", 0, 3, 0}, {"led", 0, -1, 3}, {"led", 0, -1, -1}, {"led", 8, -1, 0}, {"never-was", 0, -1, 0},
	} {
		p.each(fmt.Sprintf("%v", row), func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrOffsetForLeaderEpochRequest()
			req.ReplicaID = -1
			part := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
			part.Partition, part.CurrentLeaderEpoch, part.LeaderEpoch = row.partition, row.current, row.asked
			req.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: row.topic, Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{part}}}
			return req
		})
	}
	return nil
}

func deleteRecords(p *pair) error {
	if err := p.create(topic{name: "trimmed", partitions: 1, replicas: 1}); err != nil {
		return err
	}
	p.fill("trimmed", 6)
	for _, v := range p.versions(kmsg.NewPtrDeleteRecordsRequest()) {
		p.ask("no partitions", v, same(func() kmsg.Request {
			req := kmsg.NewPtrDeleteRecordsRequest()
			req.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: "trimmed"}, {Topic: "never-was"}}
			return req
		}))
		for _, row := range []struct {
			topic     string
			partition int32
			offset    int64
		}{
			{"trimmed", 0, 2 + int64(v)*3}, {"trimmed", 0, 0}, {"trimmed", 0, 1000}, {"trimmed", 0, -2}, {"trimmed", 6, 1}, {"never-was", 0, 1},
		} {
			p.ask(fmt.Sprintf("%v", row), v, same(func() kmsg.Request {
				req := kmsg.NewPtrDeleteRecordsRequest()
				req.TimeoutMillis = 5000
				part := kmsg.NewDeleteRecordsRequestTopicPartition()
				part.Partition, part.Offset = row.partition, row.offset
				req.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: row.topic, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{part}}}
				return req
			}))
		}
		for _, offset := range []int64{0, 2, 3, 8, 9, 20, 21} {
			p.newestOf(fmt.Sprint("then fetched from ", offset), func(s *side) kmsg.Request {
				return fetchRequest(s, p.newest(kmsg.NewPtrFetchRequest()), 0, 1<<20, fetching{"trimmed", 0, offset, 1 << 20, -1})
			})
		}
		p.newestOf("earliest", func(s *side) kmsg.Request { return listing(s, "trimmed", 0, -2, -1) })
	}
	p.newestOf("all", same(func() kmsg.Request {
		req := kmsg.NewPtrDeleteRecordsRequest()
		req.TimeoutMillis = 5000
		part := kmsg.NewDeleteRecordsRequestTopicPartition()
		part.Offset = -1
		req.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: "trimmed", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{part}}}
		return req
	}))
	return nil
}
