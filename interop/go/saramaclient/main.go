// Command saramaclient judges with sarama.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/freshet/freshet/interop/go/judge"
)

var (
	mainTopic, timeTopic, largeTopic = judge.Prefix + "main", judge.Prefix + "time", judge.Prefix + "large"

	codecs = []sarama.CompressionCodec{
		sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD,
	}
)

func main() {
	admin, err := sarama.NewClusterAdmin([]string{judge.Kafka}, config())
	if err != nil {
		panic(err)
	}
	defer admin.Close()
	judge.Run("codecs", func() (string, error) { return produceCodecs(admin) })
	judge.Run("group", group)
	judge.Run("resume", resume)
	judge.Run("time", func() (string, error) { return times(admin) })
	judge.Run("large", func() (string, error) { return large(admin) })
	judge.Run("transactions", func() (string, error) { return transactions(admin) })
	judge.Run("errors", func() (string, error) { return refusals(admin) })
	judge.Run("topics", func() (string, error) { return topics(admin) })
	if judge.In == "" {
		return
	}
	judge.Run("from-kinesis", func() (string, error) {
		got, err := consume(judge.In, judge.Prefix+"in", len(judge.CrossRecords()))
		if err != nil {
			return "", err
		}
		return judge.Crossed(got)
	})
	if err := produce(config(), judge.Out, judge.CrossRecords()); err != nil {
		panic(err)
	}
}

func config() *sarama.Config {
	c := sarama.NewConfig()
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Enable = false
	return c
}

func send(c *sarama.Config, messages []*sarama.ProducerMessage) error {
	producer, err := sarama.NewSyncProducer([]string{judge.Kafka}, c)
	if err != nil {
		return err
	}
	return errors.Join(producer.SendMessages(messages), producer.Close())
}

func produce(c *sarama.Config, topic string, records []judge.Record) error {
	var messages []*sarama.ProducerMessage
	for _, r := range records {
		messages = append(messages, &sarama.ProducerMessage{
			Topic: topic, Key: sarama.StringEncoder(r.Key), Value: sarama.StringEncoder(r.Value),
		})
	}
	return send(c, messages)
}

// reader is a group member that stops after count records.
type reader struct {
	count   int
	records chan judge.Record
}

func (r *reader) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (r *reader) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (r *reader) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case m, ok := <-claim.Messages():
			if !ok {
				return nil
			}
			s.MarkMessage(m, "")
			r.records <- judge.Record{Key: string(m.Key), Value: string(m.Value)}
		case <-s.Context().Done():
			s.Commit()
			return nil
		}
	}
}

func consume(topic, name string, count int) ([]judge.Record, error) {
	group, err := sarama.NewConsumerGroup([]string{judge.Kafka}, name, config())
	if err != nil {
		return nil, err
	}
	defer group.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r := &reader{count: count, records: make(chan judge.Record, count+1000)}
	done := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			if err := group.Consume(ctx, []string{topic}, r); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	var got []judge.Record
	for len(got) < count {
		select {
		case record := <-r.records:
			got = append(got, record)
		case err := <-done:
			return got, fmt.Errorf("%d records instead of %d: %w", len(got), count, errors.Join(err, ctx.Err()))
		}
	}
	cancel()
	return got, <-done
}

func labels() (names []string) {
	for _, c := range codecs {
		names = append(names, c.String())
	}
	return names
}

func produceCodecs(admin sarama.ClusterAdmin) (string, error) {
	if err := admin.CreateTopic(mainTopic, &sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 1}, false); err != nil {
		return "", err
	}
	for _, codec := range codecs {
		c := config()
		c.Producer.Compression = codec
		if err := produce(c, mainTopic, judge.Labelled(codec.String())); err != nil {
			return "", fmt.Errorf("%s: %w", codec, err)
		}
	}
	return strings.Join(labels(), " "), nil
}

func group() (string, error) {
	got, err := consume(mainTopic, judge.Prefix+"group", judge.Count*len(codecs))
	if err != nil {
		return "", err
	}
	return "", judge.InOrder(got, labels()...)
}

func resume() (string, error) {
	c := config()
	c.Producer.Idempotent, c.Net.MaxOpenRequests = true, 1
	if err := produce(c, mainTopic, judge.Labelled("later")); err != nil {
		return "", err
	}
	got, err := consume(mainTopic, judge.Prefix+"group", judge.Count)
	if err != nil {
		return "", err
	}
	return "", judge.InOrder(got, "later")
}

func times(admin sarama.ClusterAdmin) (string, error) {
	if err := admin.CreateTopic(timeTopic, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false); err != nil {
		return "", err
	}
	base := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	var messages []*sarama.ProducerMessage
	for i := range 10 {
		messages = append(messages, &sarama.ProducerMessage{
			Topic: timeTopic, Value: sarama.ByteEncoder{byte(i)}, Timestamp: base.Add(time.Duration(i) * time.Second),
		})
	}
	if err := send(config(), messages); err != nil {
		return "", err
	}
	client, err := sarama.NewClient([]string{judge.Kafka}, config())
	if err != nil {
		return "", err
	}
	defer client.Close()
	for _, at := range []struct{ milliseconds, want int64 }{{-1, 0}, {3000, 3}, {3001, 4}} {
		got, err := client.GetOffset(timeTopic, 0, base.UnixMilli()+at.milliseconds)
		if err == nil {
			err = judge.Expect(got, at.want, fmt.Sprintf("offset at %d ms", at.milliseconds))
		}
		if err != nil {
			return "", err
		}
	}
	return "", nil
}

func large(admin sarama.ClusterAdmin) (string, error) {
	if err := admin.CreateTopic(largeTopic, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false); err != nil {
		return "", err
	}
	value := judge.Random(1_000_000)
	if err := produce(config(), largeTopic, []judge.Record{{Value: string(value)}}); err != nil {
		return "", err
	}
	got, err := consume(largeTopic, judge.Prefix+"large", 1)
	if err != nil {
		return "", err
	}
	return "", judge.Expect(bytes.Equal([]byte(got[0].Value), value), true, "the bytes come back")
}

func refusals(admin sarama.ClusterAdmin) (string, error) {
	c := config()
	c.Producer.MaxMessageBytes = 8_000_000
	c.Producer.Retry.Max = 0
	err := produce(c, largeTopic, []judge.Record{{Value: string(judge.Random(3_000_000))}})
	var refused sarama.ProducerErrors
	if !errors.As(err, &refused) || !errors.Is(refused[0].Err, sarama.ErrMessageSizeTooLarge) {
		return "", fmt.Errorf("refusal of a record of 3 MB: %w", err)
	}
	err = admin.CreateTopic(mainTopic, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false)
	if !errors.Is(err, sarama.ErrTopicAlreadyExists) {
		return "", fmt.Errorf("refusal of a second creation: %w", err)
	}
	return "", nil
}

func topics(admin sarama.ClusterAdmin) (string, error) {
	listed, err := admin.ListTopics()
	if err != nil {
		return "", err
	}
	if err := judge.Expect(listed[mainTopic].NumPartitions, 3, "partitions"); err != nil {
		return "", err
	}
	for _, t := range []string{mainTopic, timeTopic, largeTopic} {
		if err := admin.DeleteTopic(t); err != nil {
			return "", err
		}
	}
	if listed, err = admin.ListTopics(); err != nil {
		return "", err
	}
	_, left := listed[mainTopic]
	return "", judge.Expect(left, false, "listed after its deletion")
}
