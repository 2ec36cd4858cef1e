// Command kafkago judges with segmentio/kafka-go, which speaks old fixed versions of the protocol.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/freshet/freshet/interop/go/judge"
)

var (
	mainTopic, timeTopic, largeTopic = judge.Prefix + "main", judge.Prefix + "time", judge.Prefix + "large"

	names  = []string{"none", "gzip", "snappy", "lz4", "zstd"} // in the order of the codec's numbers
	client = &kafka.Client{Addr: kafka.TCP(judge.Kafka), Timeout: 20 * time.Second}
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for _, s := range []struct {
		name string
		run  func(context.Context) (string, error)
	}{
		{"codecs", produceCodecs},
		{"group", group},
		{"resume", resume},
		{"time", times},
		{"large", large},
		{"errors", refusals},
		{"topics", topics},
	} {
		judge.Run(s.name, func() (string, error) { return s.run(ctx) })
	}
	judge.None("transactions", "the client has none")
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
	if err := produce(ctx, judge.Out, messages(judge.CrossRecords()), 0); err != nil {
		panic(err)
	}
}

func create(ctx context.Context, topic string, partitions int) error {
	answer, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1}},
	})
	if err != nil {
		return err
	}
	return answer.Errors[topic]
}

func messages(records []judge.Record) []kafka.Message {
	var all []kafka.Message
	for _, r := range records {
		all = append(all, kafka.Message{Key: []byte(r.Key), Value: []byte(r.Value)})
	}
	return all
}

func produce(ctx context.Context, topic string, all []kafka.Message, codec kafka.Compression) error {
	w := &kafka.Writer{
		Addr: kafka.TCP(judge.Kafka), Topic: topic, Balancer: kafka.Murmur2Balancer{}, RequiredAcks: kafka.RequireAll,
		BatchTimeout: 5 * time.Millisecond, BatchBytes: 8_000_000, Compression: codec,
	}
	return errors.Join(w.WriteMessages(ctx, all...), w.Close())
}

func consume(ctx context.Context, topic, group string, count int) ([]judge.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{judge.Kafka}, GroupID: group, Topic: topic, StartOffset: kafka.FirstOffset, MaxWait: 200 * time.Millisecond,
		MaxBytes: 8_000_000,
	})
	defer r.Close()
	var got []judge.Record
	var read []kafka.Message
	for len(got) < count {
		m, err := r.FetchMessage(ctx)
		if err != nil {
			return got, fmt.Errorf("%d records instead of %d: %w", len(got), count, err)
		}
		read = append(read, m)
		got = append(got, judge.Record{Key: string(m.Key), Value: string(m.Value)})
	}
	return got, r.CommitMessages(ctx, read...)
}

func produceCodecs(ctx context.Context) (string, error) {
	if err := create(ctx, mainTopic, 3); err != nil {
		return "", err
	}
	for codec, name := range names {
		if err := produce(ctx, mainTopic, messages(judge.Labelled(name)), kafka.Compression(codec)); err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
	}
	return strings.Join(names, " "), nil
}

func group(ctx context.Context) (string, error) {
	got, err := consume(ctx, mainTopic, judge.Prefix+"group", judge.Count*len(names))
	if err != nil {
		return "", err
	}
	return "", judge.InOrder(got, names...)
}

func resume(ctx context.Context) (string, error) {
	if err := produce(ctx, mainTopic, messages(judge.Labelled("later")), 0); err != nil {
		return "", err
	}
	got, err := consume(ctx, mainTopic, judge.Prefix+"group", judge.Count)
	if err != nil {
		return "", err
	}
	return "", judge.InOrder(got, "later")
}

func times(ctx context.Context) (string, error) {
	if err := create(ctx, timeTopic, 1); err != nil {
		return "", err
	}
	base := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	var all []kafka.Message
	for i := range 10 {
		all = append(all, kafka.Message{Value: []byte{byte(i)}, Time: base.Add(time.Duration(i) * time.Second)})
	}
	if err := produce(ctx, timeTopic, all, 0); err != nil {
		return "", err
	}
	for _, at := range []struct {
		after time.Duration
		want  int64
	}{{-time.Millisecond, 0}, {3 * time.Second, 3}, {3001 * time.Millisecond, 4}} {
		answer, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{
			Topics: map[string][]kafka.OffsetRequest{timeTopic: {kafka.TimeOffsetOf(0, base.Add(at.after))}},
		})
		if err != nil {
			return "", err
		}
		p := answer.Topics[timeTopic][0]
		_, found := p.Offsets[at.want]
		if err := errors.Join(p.Error, judge.Expect(found, true, fmt.Sprintf("offset %d at %s, of %v", at.want, at.after, p.Offsets))); err != nil {
			return "", err
		}
	}
	return "", nil
}

func large(ctx context.Context) (string, error) {
	if err := create(ctx, largeTopic, 1); err != nil {
		return "", err
	}
	value := judge.Random(1_000_000)
	if err := produce(ctx, largeTopic, []kafka.Message{{Value: value}}, 0); err != nil {
		return "", err
	}
	got, err := consume(ctx, largeTopic, judge.Prefix+"large", 1)
	if err != nil {
		return "", err
	}
	return "", judge.Expect(bytes.Equal([]byte(got[0].Value), value), true, "the bytes come back")
}

func refusals(ctx context.Context) (string, error) {
	err := produce(ctx, largeTopic, []kafka.Message{{Value: judge.Random(3_000_000)}}, 0)
	var each kafka.WriteErrors
	if errors.As(err, &each) {
		err = each[0]
	}
	if !errors.Is(err, kafka.MessageSizeTooLarge) {
		return "", fmt.Errorf("refusal of a record of 3 MB: %w", err)
	}
	if err := create(ctx, mainTopic, 1); !errors.Is(err, kafka.TopicAlreadyExists) {
		return "", fmt.Errorf("refusal of a second creation: %w", err)
	}
	return "", nil
}

// topics asks the controller on a plain connection too, as many programs with this library do.
func topics(ctx context.Context) (string, error) {
	conn, err := (&kafka.Dialer{}).DialContext(ctx, "tcp", judge.Kafka)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	partitions, err := conn.ReadPartitions(mainTopic)
	if err == nil {
		err = judge.Expect(len(partitions), 3, "partitions")
	}
	if err != nil {
		return "", err
	}
	controller, err := conn.Controller()
	if err == nil {
		err = judge.Expect(net.JoinHostPort(controller.Host, fmt.Sprint(controller.Port)), judge.Kafka, "controller")
	}
	if err != nil {
		return "", err
	}
	if _, err := client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{mainTopic, timeTopic, largeTopic}}); err != nil {
		return "", err
	}
	all, err := conn.ReadPartitions() // of every topic; client.Metadata would answer from its cache
	if err != nil {
		return "", err
	}
	left := slices.ContainsFunc(all, func(p kafka.Partition) bool { return p.Topic == mainTopic })
	return "", judge.Expect(left, false, "listed after its deletion")
}
