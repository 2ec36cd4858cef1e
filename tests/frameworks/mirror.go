package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet/freshet/tests/kit"
	"github.com/freshet/freshet/tests/process"
)

const (
	mirroredTopic, mirroredGroup = "orders", "billing"
	mirroredRecords              = 3000
	committedOffset              = 400 // of partition 0
)

// mirror runs MirrorMaker 2 from an Apache Kafka, with transactions in it, to the node: every committed record arrives, in the order of its partition,
// with key, value and header, topic configs are taken over, and a group's offset is translated. MirrorMaker and node are killed meanwhile.
func mirror(ctx context.Context, r *rig) error {
	peer, source, err := startSource(ctx, r)
	if err != nil {
		return err
	}
	defer func() { peer.Broker.Kill() }()
	want, err := fillSource(ctx, source)
	if err != nil {
		return err
	}
	maker, err := mirrorMaker(ctx, r, source)
	if err != nil {
		return err
	}
	p, err := process.Start(maker)
	if err != nil {
		return err
	}
	defer func() { p.Kill() }()
	for range min(2, r.kills) {
		select {
		case <-time.After(time.Duration(10+r.rnd.IntN(10)) * time.Second):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		fmt.Println("kill -9 of MirrorMaker and node")
		p.Kill()
		if r.node != nil {
			r.node.Kill()
			if _, err := r.node.Start(ctx); err != nil {
				return err
			}
		}
		if p, err = process.Start(maker); err != nil {
			return err
		}
	}
	if err := judgeMirror(ctx, r, p, want); err != nil {
		return err
	}
	return judgeMirroredOffset(ctx, r, p)
}

func startSource(ctx context.Context, r *rig) (*kit.Kafka, string, error) {
	peer, err := kit.InstallKafka(ctx)
	if err != nil {
		return nil, "", err
	}
	peer.Settings = "group.initial.rebalance.delay.ms=0\n"
	addresses, err := process.FreeAddresses(1)
	if err != nil {
		return nil, "", err
	}
	_, err = peer.Start(ctx, filepath.Join(r.dir, "kafka"), addresses[0], false)
	return peer, addresses[0], err
}

// fillSource writes records of which every fifth lot is aborted, and commits an offset. It returns what is committed, by partition.
func fillSource(ctx context.Context, address string) (map[int32][]string, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.TransactionalID("orders"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	if _, err := admin.CreateTopic(ctx, 3, 1, map[string]*string{"retention.ms": kadm.StringPtr("-1"), "max.message.bytes": kadm.StringPtr("2000000")}, mirroredTopic); err != nil {
		return nil, err
	}
	want := map[int32][]string{}
	for lot := range mirroredRecords / 100 {
		if err := cl.BeginTransaction(); err != nil {
			return nil, err
		}
		commits := kgo.TransactionEndTry(lot%5 != 4)
		for i := range 100 {
			record := &kgo.Record{
				Topic: mirroredTopic, Partition: int32(i % 3), Key: fmt.Append(nil, lot), Value: fmt.Appendf(nil, "order %d of lot %d", i, lot),
				Headers: []kgo.RecordHeader{{Key: "lot", Value: fmt.Append(nil, lot)}},
			}
			cl.Produce(ctx, record, nil)
			if commits == kgo.TryCommit {
				want[record.Partition] = append(want[record.Partition], string(record.Value))
			}
		}
		if err := cl.Flush(ctx); err != nil {
			return nil, err
		}
		if err := cl.EndTransaction(ctx, commits); err != nil {
			return nil, err
		}
	}
	offsets := kadm.Offsets{}
	offsets.AddOffset(mirroredTopic, 0, committedOffset, -1)
	return want, admin.CommitAllOffsets(ctx, mirroredGroup, offsets)
}

func mirrorMaker(ctx context.Context, r *rig, source string) (process.Command, error) {
	jars, err := connectJars(ctx)
	if err != nil {
		return process.Command{}, err
	}
	properties := filepath.Join(r.dir, "mirror.properties")
	text := strings.Join([]string{
		"clusters=source,target", "source.bootstrap.servers=" + source, "target.bootstrap.servers=" + r.kafka,
		"source->target.enabled=true", "target->source.enabled=false", "source->target.topics=" + mirroredTopic, "source->target.groups=" + mirroredGroup,
		"replication.factor=1", "checkpoints.topic.replication.factor=1", "heartbeats.topic.replication.factor=1", "offset-syncs.topic.replication.factor=1",
		"config.storage.replication.factor=1", "offset.storage.replication.factor=1", "status.storage.replication.factor=1",
		"source.consumer.isolation.level=read_committed", "sync.group.offsets.enabled=true", "sync.group.offsets.interval.seconds=1",
		"emit.checkpoints.interval.seconds=1", "refresh.topics.interval.seconds=2", "refresh.groups.interval.seconds=2", "offset.lag.max=0",
		"replication.policy.class=org.apache.kafka.connect.mirror.IdentityReplicationPolicy", "target.exactly.once.source.support=enabled",
		"offset.flush.interval.ms=500", "dedicated.mode.enable.internal.rest=false",
	}, "\n")
	if err := os.WriteFile(properties, []byte(text+"\n"), 0o644); err != nil {
		return process.Command{}, err
	}
	return process.Command{
		Name: "MirrorMaker", Path: "java", Log: filepath.Join(r.dir, "mirror.log"),
		Args: []string{
			"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m", "-Djava.io.tmpdir=" + r.dir, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", filepath.Join(jars, "*"),
			"org.apache.kafka.connect.mirror.MirrorMaker", properties,
		},
	}, nil
}

// judgeMirror wants the committed records of every partition, once and in order, and the topic's configs.
func judgeMirror(ctx context.Context, r *rig, maker *process.Process, want map[int32][]string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the mirror is not complete after %s", patience))
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.kafka), kgo.ConsumeTopics(mirroredTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.MetadataMinAge(time.Second), kgo.MetadataMaxAge(2*time.Second))
	if err != nil {
		return err
	}
	defer cl.Close()
	total := 0
	for _, records := range want {
		total += len(records)
	}
	got := map[int32]int{}
	for read := 0; read < total; {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %d of %d records; %s", context.Cause(ctx), read, total, maker.Tail(4000))
		}
		for _, record := range fetches.Records() {
			n := got[record.Partition]
			if n >= len(want[record.Partition]) || string(record.Value) != want[record.Partition][n] || len(record.Headers) != 1 {
				return fmt.Errorf("record %d of partition %d is %q with %d headers", n, record.Partition, record.Value, len(record.Headers))
			}
			got[record.Partition]++
			read++
		}
	}
	configs, err := kadm.NewClient(cl).DescribeTopicConfigs(ctx, mirroredTopic)
	if err != nil {
		return err
	}
	for _, c := range configs[0].Configs {
		if expected, ok := map[string]string{"retention.ms": "-1", "max.message.bytes": "2000000"}[c.Key]; ok && c.MaybeValue() != expected {
			return fmt.Errorf("%s is %s, not %s", c.Key, c.MaybeValue(), expected)
		}
	}
	fmt.Printf("mirror: %d committed records in order, each once, across %d kills\n", total, min(2, r.kills))
	return nil
}

// judgeMirroredOffset wants the group's offset translated: the source has markers and aborted records that the mirror lacks, so that it is less here.
func judgeMirroredOffset(ctx context.Context, r *rig, maker *process.Process) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.kafka))
	if err != nil {
		return err
	}
	defer cl.Close()
	for deadline := time.Now().Add(patience); ; time.Sleep(500 * time.Millisecond) {
		offsets, err := kadm.NewClient(cl).FetchOffsets(ctx, mirroredGroup)
		if err != nil {
			return err
		}
		if at, ok := offsets.Lookup(mirroredTopic, 0); ok && at.At > 0 && at.At <= committedOffset {
			fmt.Printf("group: offset %d of the source is %d here\n", committedOffset, at.At)
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the group's offset is not there: %+v; %s", offsets, maker.Tail(4000))
		}
	}
}
