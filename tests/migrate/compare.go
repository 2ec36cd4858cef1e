package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// place is a partition by name.
type place struct {
	topic     string
	partition int32
}

// record is what is compared of one.
type record struct {
	offset int64
	sum    [sha256.Size]byte // of time, key, value and headers
}

// contents are all records of partitions, in order.
type contents map[place][]record

func (c contents) total() int {
	n := 0
	for _, records := range c {
		n += len(records)
	}
	return n
}

// digest tells nil from empty.
func digest(r *kgo.Record) [sha256.Size]byte {
	var b []byte
	field := func(f []byte) {
		n := int64(len(f))
		if f == nil {
			n = -1
		}
		b = binary.BigEndian.AppendUint64(b, uint64(n))
		b = append(b, f...)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(r.Timestamp.UnixMilli()))
	field(r.Key)
	field(r.Value)
	for _, h := range r.Headers {
		field([]byte(h.Key))
		field(h.Value)
	}
	return sha256.Sum256(b)
}

// read returns all records of topics, up to where they are decided.
func read(ctx context.Context, address string, level kgo.IsolationLevel, topics ...string) (contents, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not read within %s", patience))
	defer cancel()
	probe, err := kgo.NewClient(kgo.SeedBrokers(address))
	if err != nil {
		return nil, err
	}
	defer probe.Close()
	ends, err := kadm.NewClient(probe).ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return nil, err
	}
	starts, err := kadm.NewClient(probe).ListStartOffsets(ctx, topics...)
	if err != nil {
		return nil, err
	}
	from, open, all := map[string]map[int32]kgo.Offset{}, map[place]int64{}, contents{}
	ends.Each(func(o kadm.ListedOffset) {
		start, _ := starts.Lookup(o.Topic, o.Partition)
		all[place{o.Topic, o.Partition}] = nil
		if start.Offset >= o.Offset {
			return
		}
		if from[o.Topic] == nil {
			from[o.Topic] = map[int32]kgo.Offset{}
		}
		from[o.Topic][o.Partition] = kgo.NewOffset().AtStart()
		open[place{o.Topic, o.Partition}] = o.Offset
	})
	if len(open) == 0 {
		return all, nil
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(level), kgo.KeepControlRecords())
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	for len(open) > 0 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%w: %v are left", context.Cause(ctx), open)
		}
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			p := place{r.Topic, r.Partition}
			end, wanted := open[p]
			if wanted && r.Offset < end && !r.Attrs.IsControl() {
				all[p] = append(all[p], record{r.Offset, digest(r)})
			}
			if r.Offset >= end-1 {
				delete(open, p)
			}
		})
	}
	return all, nil
}

func topicNames() []string {
	var names []string
	for _, t := range sourceTopics {
		names = append(names, t.name)
	}
	return names
}

// compare wants every committed record of one side on the other, once, in order, the same, and nothing else there, whoever reads.
func compare(ctx context.Context, source, target string) error {
	want, err := read(ctx, source, kgo.ReadCommitted(), topicNames()...)
	if err != nil {
		return fmt.Errorf("read the source: %w", err)
	}
	got, err := read(ctx, target, kgo.ReadUncommitted(), topicNames()...)
	if err != nil {
		return fmt.Errorf("read the target: %w", err)
	}
	if len(want) != len(got) {
		return fmt.Errorf("the source has %d partitions, the target %d", len(want), len(got))
	}
	same := 0
	for p, records := range want {
		if len(records) != len(got[p]) {
			return fmt.Errorf("%v: the source has %d records, the target %d", p, len(records), len(got[p]))
		}
		for i, r := range records {
			if r.sum != got[p][i].sum {
				return fmt.Errorf("%v: record %d (offset %d, here %d) is another", p, i, r.offset, got[p][i].offset)
			}
			if r.offset == got[p][i].offset {
				same++
			}
		}
		if p.topic == "m-plain" && len(records) > 0 && records[len(records)-1].offset != got[p][len(records)-1].offset {
			return fmt.Errorf("%v has other offsets, though it has no gap", p)
		}
	}
	fmt.Printf("%d records in %d partitions are the same, %d with the same offset\n", want.total(), len(want), same)
	return nil
}

// compareGroups wants each group to go on with the very record it would have gone on with at the source.
func compareGroups(ctx context.Context, source, target string) error {
	want, err := read(ctx, source, kgo.ReadCommitted(), topicNames()...)
	if err != nil {
		return err
	}
	got, err := read(ctx, target, kgo.ReadUncommitted(), topicNames()...)
	if err != nil {
		return err
	}
	at, err := groupOffsets(ctx, source)
	if err != nil {
		return err
	}
	here, err := groupOffsets(ctx, target)
	if err != nil {
		return err
	}
	moved, n := 0, 0
	for _, g := range slices.Sorted(maps.Keys(at)) {
		for _, o := range at[g].Sorted() {
			p := place{o.Topic, o.Partition}
			to, has := here[g].Lookup(o.Topic, o.Partition)
			if !has {
				return fmt.Errorf("group %s has no offset in %v at the target", g, p)
			}
			if was, is := behind(want[p], o.At), behind(got[p], to.At); was != is {
				return fmt.Errorf("group %s goes on in %v with record %d at the source (offset %d), and with %d here (offset %d)", g, p, was, o.At, is, to.At)
			}
			if to.Metadata != o.Metadata {
				return fmt.Errorf("group %s has in %v the metadata %q, here %q", g, p, o.Metadata, to.Metadata)
			}
			n++
			if to.At != o.At {
				moved++
			}
		}
	}
	fmt.Printf("%d groups go on where they were: %d offsets, %d of them translated\n", len(at), n, moved)
	if n == 0 {
		return fmt.Errorf("no offset was there to compare")
	}
	return nil
}

// behind returns the index of the first record at or behind an offset.
func behind(records []record, offset int64) int {
	return sort.Search(len(records), func(i int) bool { return records[i].offset >= offset })
}

func groupOffsets(ctx context.Context, address string) (map[string]kadm.OffsetResponses, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(address))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	listed, err := admin.ListGroups(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]kadm.OffsetResponses{}
	for g, fetched := range admin.FetchManyOffsets(ctx, listed.Groups()...) {
		if fetched.Err != nil {
			return nil, fetched.Err
		}
		all[g] = fetched.Fetched
	}
	return all, nil
}

// compareSettings wants the settings that the topics were made with.
func compareSettings(ctx context.Context, source, target string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(target))
	if err != nil {
		return err
	}
	defer cl.Close()
	described, err := kadm.NewClient(cl).DescribeTopicConfigs(ctx, topicNames()...)
	if err != nil {
		return err
	}
	for _, t := range sourceTopics {
		of, err := described.On(t.name, nil)
		if err != nil {
			return err
		}
		for _, c := range of.Configs {
			own := c.Source.String() == "DYNAMIC_TOPIC_CONFIG"
			want, set := t.settings[c.Key]
			if c.Key == "min.insync.replicas" {
				set = false
			}
			if set != own || set && c.MaybeValue() != want {
				return fmt.Errorf("%s: %s is %q (set: %v), and was %q (set: %v)", t.name, c.Key, c.MaybeValue(), own, want, set)
			}
		}
	}
	return nil
}
