package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/batch"
)

// cleanPatience is how long both sides may take to compact what they were sent: every 15 s each looks for what is dirty.
const cleanPatience = 90 * time.Second

// compacting writes the same batches of keys to topics of both sides.
type compacting struct {
	p      *pair
	topics []topic
	at     int64 // the next batch's timestamp
}

// compaction compares what both cleaners leave of the same keys, batch by batch and record by record: keys written again and again, in every codec, and
// deleted, by idempotent producers too.
func compaction(p *pair) error {
	c := &compacting{p: p, at: firstTimestamp}
	for _, name := range []string{"compacted-kept", "compacted-gone"} {
		configs := map[string]string{"cleanup.policy": "compact", "segment.ms": "5", "min.cleanable.dirty.ratio": "0.001"}
		if name == "compacted-gone" {
			configs["delete.retention.ms"] = "0"
		}
		c.topics = append(c.topics, topic{name: name, partitions: 1, replicas: 1, configs: configs})
	}
	if err := p.create(c.topics...); err != nil {
		return err
	}
	for round := range 3 {
		for i := range 30 {
			c.write(batch.Codec(i%5), round*30+i)
		}
		c.write(batch.None, -1)
		if err := c.cleaned(); err != nil {
			return err
		}
	}
	for _, t := range c.topics {
		for _, ts := range []int64{-1, -2, -3, firstTimestamp, firstTimestamp + 155, firstTimestamp + 700} {
			p.each(fmt.Sprintf("offset for %d in %s", ts-firstTimestamp, t.name), func(s *side, v int16) kmsg.Request {
				return offsetFor(t.name, ts)
			})
		}
	}
	return nil
}

// offsetFor asks for the offset of a time, or of what a negative one stands for.
func offsetFor(name string, at int64) kmsg.Request {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	t := kmsg.NewListOffsetsRequestTopic()
	part := kmsg.NewListOffsetsRequestTopicPartition()
	part.Timestamp, part.CurrentLeaderEpoch = at, -1
	t.Topic, t.Partitions = name, append(t.Partitions, part)
	req.Topics = append(req.Topics, t)
	return req
}

// write sends a batch of eight records to each topic: of 40 keys those that n falls upon, each fifth of them deleted. n < 0 is a key of its own.
func (c *compacting) write(codec batch.Codec, n int) {
	var w batch.Builder
	for i := range 8 {
		key, value := fmt.Appendf(nil, "key-%d", (n*7+i*i*3)%40), fmt.Appendf(nil, "value-%d-%d", n, i)
		if n < 0 {
			key = []byte("rest")
		} else if (n+i)%5 == 4 {
			value = nil
		}
		w.Add(c.at+int64(i), key, value)
	}
	c.at += 10
	b, err := batch.Recode(nil, w.Finish(anyone), codec, 0, 0)
	if err != nil {
		panic(err) // it was built a line above
	}
	for _, t := range c.topics {
		c.p.newestOf("write "+t.name, func(s *side) kmsg.Request {
			return producing(s, c.p.newest(kmsg.NewPtrProduceRequest()), t.name, 0, -1, b)
		})
	}
}

// cleaned waits until both sides have compacted all that they may, and compares what is left. Tombstones whose time is over go with a later run only, and a
// run needs something to do: another batch is written until then.
func (c *compacting) cleaned() error {
	for deadline := time.Now().Add(cleanPatience); ; {
		for range 20 {
			equal := true
			for _, t := range c.topics {
				lines, err := c.both(t.name)
				if err != nil {
					return err
				}
				equal = equal && len(compare(lines)) == 0 && whole(lines[0]) < 4
			}
			if equal || time.Now().After(deadline) {
				return c.report()
			}
			time.Sleep(time.Second)
		}
		c.write(batch.None, -1)
	}
}

// report notes what differs.
func (c *compacting) report() error {
	for _, t := range c.topics {
		lines, err := c.both(t.name)
		if err != nil {
			return err
		}
		c.p.report.add("compaction/"+t.name, "records", compare(lines))
	}
	return nil
}

// both reads a topic of both sides.
func (c *compacting) both(name string) (lines [2][]line, err error) {
	for i, s := range c.p.sides() {
		if lines[i], err = c.stored(s, name); err != nil {
			return lines, err
		}
	}
	return lines, nil
}

// whole returns how many batches have all the records that they were written with.
func whole(lines []line) (n int) {
	for _, l := range lines {
		if l.path == "whole" {
			_, _ = fmt.Sscan(l.value, &n)
		}
	}
	return n
}

// stored reads a topic from its start to its end, as lines about its batches and its records.
func (c *compacting) stored(s *side, name string) (lines []line, err error) {
	v := c.p.newest(kmsg.NewPtrFetchRequest())
	whole := 0
	for offset := int64(0); ; {
		a := s.ask(v, fetchRequest(s, v, 0, 1<<20, fetching{name, 0, offset, 1 << 20, -1}))
		resp, ok := a.response.(*kmsg.FetchResponse)
		if !ok || len(resp.Topics) == 0 || resp.Topics[0].Partitions[0].ErrorCode != 0 {
			return nil, fmt.Errorf("fetch %s from %s: %s %+v", name, s.name, a.failed, resp)
		}
		part := &resp.Topics[0].Partitions[0]
		if len(part.RecordBatches) == 0 {
			return append(lines, line{"end", fmt.Sprint(offset == part.HighWatermark)}, line{"whole", fmt.Sprint(whole)}), nil
		}
		for b := part.RecordBatches; len(b) > 0; {
			h, err := batch.Parse(b)
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", s.name, name, err)
			}
			if lines, err = describeBatch(lines, slices.Clone(b[:h.Length])); err != nil {
				return nil, fmt.Errorf("%s, %s: %w", s.name, name, err)
			}
			if h.Records == h.LastOffsetDelta+1 {
				whole++
			}
			offset, b = h.LastOffset()+1, b[h.Length:]
		}
	}
}

// describeBatch appends lines about a batch. Which batches are emptied, and when a tombstone was first met, depends on when a cleaner ran.
func describeBatch(lines []line, b []byte) ([]line, error) {
	h, err := batch.VerifyStored(b)
	if err != nil || h.Records == 0 {
		return lines, err
	}
	lines = append(lines, line{
		fmt.Sprintf("batch %d", h.BaseOffset),
		fmt.Sprintf("to %d, %d records, %s, latest %d", h.LastOffset(), h.Records, h.Attributes.Codec(), h.MaxTimestamp-firstTimestamp),
	})
	return lines, batch.Records(b, 0, func(r *batch.Record) bool {
		lines = append(lines, line{fmt.Sprintf("record %d", r.Offset), fmt.Sprintf("at %d %q = %q %v", r.Timestamp-firstTimestamp, r.Key, r.Value, r.Value == nil)})
		return true
	})
}
