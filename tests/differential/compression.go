package main

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/batch"
)

// compression compares what both make of batches in every codec where a topic has its own, and who may fetch that.
func compression(p *pair) error {
	kinds := []string{"producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"}
	var topics []topic
	for _, kind := range kinds {
		topics = append(topics, topic{name: "in-" + kind, partitions: 1, replicas: 1, configs: map[string]string{"compression.type": kind, "max.message.bytes": "2000"}})
	}
	if err := p.create(topics...); err != nil {
		return err
	}
	for _, t := range topics {
		for codec := range batch.Zstd + 1 {
			for _, records := range []int{3, 150} { // the larger one is too large where it is not compressed
				b, err := batch.Recode(nil, batchOf(records, anyone), codec, 0, 0)
				if err != nil {
					return err
				}
				p.newestOf(fmt.Sprintf("%d records by %s into %s", records, codec, t.name), func(s *side) kmsg.Request {
					return producing(s, p.newest(kmsg.NewPtrProduceRequest()), t.name, 0, -1, b)
				})
			}
		}
		lines, err := (&compacting{p: p}).both(t.name)
		if err != nil {
			return err
		}
		p.report.add("compression/stored in "+t.name, "records", compare(lines))
		end := int64(0)
		for _, l := range lines[0] {
			if strings.HasPrefix(l.path, "record ") {
				end++
			}
		}
		p.each("the end of "+t.name, func(s *side, v int16) kmsg.Request {
			return fetchRequest(s, v, 0, 1<<20, fetching{t.name, 0, end, 1 << 20, -1})
		})
	}
	return nil
}
