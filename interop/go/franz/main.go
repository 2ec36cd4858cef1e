// Command franz judges with franz-go, which speaks the newest version of everything.
package main

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet/freshet/interop/go/judge"
)

var (
	mainTopic, timeTopic, largeTopic = judge.Prefix + "main", judge.Prefix + "time", judge.Prefix + "large"

	codecs = map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(),
		"zstd": kgo.ZstdCompression(),
	}
	names = []string{"none", "gzip", "snappy", "lz4", "zstd"}
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	client, err := newClient()
	if err != nil {
		panic(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	for _, s := range []struct {
		name string
		run  func(context.Context, *kadm.Client) (string, error)
	}{
		{"codecs", produceCodecs},
		{"group", group},
		{"resume", resume},
		{"time", times},
		{"large", large},
		{"transactions", transactions},
		{"errors", refusals},
		{"topics", topics},
	} {
		judge.Run(s.name, func() (string, error) { return s.run(ctx, admin) })
	}
	if judge.In == "" {
		return
	}
	judge.Run("from-kinesis", func() (string, error) {
		got, err := consume(ctx, judge.In, judge.Prefix+"in", len(judge.CrossRecords()))
		if err != nil {
			return "", err
		}
		return judge.Crossed(got)
	})
	if err := produce(ctx, judge.Out, judge.CrossRecords()); err != nil {
		panic(err)
	}
}

func newClient(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(opts, kgo.SeedBrokers(judge.Kafka))...)
}

func produce(ctx context.Context, topic string, records []judge.Record, opts ...kgo.Opt) error {
	client, err := newClient(opts...)
	if err != nil {
		return err
	}
	defer client.Close()
	var all []*kgo.Record
	for _, r := range records {
		all = append(all, &kgo.Record{Topic: topic, Key: []byte(r.Key), Value: []byte(r.Value)})
	}
	return client.ProduceSync(ctx, all...).FirstErr()
}

func consume(ctx context.Context, topic, group string, count int) ([]judge.Record, error) {
	client, err := newClient(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var got []judge.Record
	waiting, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for len(got) < count {
		fetches := client.PollFetches(waiting)
		if err := fetches.Err(); err != nil {
			return got, err
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, judge.Record{Key: string(r.Key), Value: string(r.Value)}) })
	}
	return got, client.CommitUncommittedOffsets(ctx)
}

func produceCodecs(ctx context.Context, admin *kadm.Client) (string, error) {
	if _, err := admin.CreateTopic(ctx, 3, 1, nil, mainTopic); err != nil {
		return "", err
	}
	for _, name := range names {
		if err := produce(ctx, mainTopic, judge.Labelled(name), kgo.ProducerBatchCompression(codecs[name])); err != nil {
			return "", err
		}
	}
	return strings.Join(names, " "), nil
}

func group(ctx context.Context, _ *kadm.Client) (string, error) {
	got, err := consume(ctx, mainTopic, judge.Prefix+"group", judge.Count*len(names))
	if err != nil {
		return "", err
	}
	return "", judge.InOrder(got, names...)
}

func resume(ctx context.Context, admin *kadm.Client) (string, error) {
	if err := produce(ctx, mainTopic, judge.Labelled("later")); err != nil {
		return "", err
	}
	got, err := consume(ctx, mainTopic, judge.Prefix+"group", judge.Count)
	if err != nil {
		return "", err
	}
	if err := judge.InOrder(got, "later"); err != nil {
		return "", err
	}
	lag, err := admin.Lag(ctx, judge.Prefix+"group")
	if err != nil {
		return "", err
	}
	return "", judge.Expect(lag[judge.Prefix+"group"].Lag.Total(), 0, "lag after the last commit")
}

func times(ctx context.Context, admin *kadm.Client) (string, error) {
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, timeTopic); err != nil {
		return "", err
	}
	client, err := newClient()
	if err != nil {
		return "", err
	}
	defer client.Close()
	base := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	for i := range 10 {
		r := &kgo.Record{Topic: timeTopic, Value: []byte{byte(i)}, Timestamp: base.Add(time.Duration(i) * time.Second)}
		if err := client.ProduceSync(ctx, r).FirstErr(); err != nil {
			return "", err
		}
	}
	for _, c := range []struct {
		after time.Duration
		want  int64
	}{{-time.Millisecond, 0}, {3 * time.Second, 3}, {3001 * time.Millisecond, 4}} {
		offsets, err := admin.ListOffsetsAfterMilli(ctx, base.Add(c.after).UnixMilli(), timeTopic)
		if err != nil {
			return "", err
		}
		at, _ := offsets.Lookup(timeTopic, 0)
		if err := errors.Join(at.Err, judge.Expect(at.Offset, c.want, "offset at "+c.after.String())); err != nil {
			return "", err
		}
	}
	return "", nil
}

func large(ctx context.Context, admin *kadm.Client) (string, error) {
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, largeTopic); err != nil {
		return "", err
	}
	value := judge.Random(1_000_000)
	if err := produce(ctx, largeTopic, []judge.Record{{Value: string(value)}}, kgo.ProducerBatchMaxBytes(1<<20)); err != nil {
		return "", err
	}
	got, err := consume(ctx, largeTopic, judge.Prefix+"large", 1)
	if err != nil {
		return "", err
	}
	return "", judge.Expect(bytes.Equal([]byte(got[0].Value), value), true, "the bytes come back")
}

func refusals(ctx context.Context, admin *kadm.Client) (string, error) {
	tooLarge := []judge.Record{{Value: string(judge.Random(3_000_000))}}
	err := produce(ctx, largeTopic, tooLarge, kgo.ProducerBatchMaxBytes(8_000_000))
	if !errors.Is(err, kerr.MessageTooLarge) {
		return "", judge.Expect(err, error(kerr.MessageTooLarge), "refusal of a record of 3 MB")
	}
	_, err = admin.CreateTopic(ctx, 1, 1, nil, mainTopic)
	if !errors.Is(err, kerr.TopicAlreadyExists) {
		return "", judge.Expect(err, error(kerr.TopicAlreadyExists), "refusal of a second creation")
	}
	return "", nil
}

func topics(ctx context.Context, admin *kadm.Client) (string, error) {
	listed, err := admin.ListTopics(ctx, mainTopic)
	if err != nil {
		return "", err
	}
	if err := judge.Expect(len(listed[mainTopic].Partitions), 3, "partitions"); err != nil {
		return "", err
	}
	deleted, err := admin.DeleteTopics(ctx, mainTopic, timeTopic, largeTopic)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		return "", err
	}
	left, err := admin.ListTopics(ctx)
	if err != nil {
		return "", err
	}
	return "", judge.Expect(slices.Contains(left.Names(), mainTopic), false, "listed after its deletion")
}
