package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/freshet/freshet/interop/go/judge"
)

var txTopic = judge.Prefix + "tx"

func transactional() (sarama.SyncProducer, error) {
	c := config()
	c.Producer.Transaction.ID = judge.Prefix + "tx"
	c.Producer.Idempotent = true
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Net.MaxOpenRequests = 1
	return sarama.NewSyncProducer([]string{judge.Kafka}, c)
}

// write begins a transaction with five records of a label.
func write(p sarama.SyncProducer, label string) error {
	if err := p.BeginTxn(); err != nil {
		return err
	}
	var all []*sarama.ProducerMessage
	for i := range 5 {
		all = append(all, &sarama.ProducerMessage{Topic: txTopic, Partition: int32(i % 2), Value: sarama.StringEncoder(fmt.Sprintf("%s%d", label, i))})
	}
	return p.SendMessages(all)
}

// committed returns what is read of the topic until count records are there, and a moment longer, in order of text.
func committed(count int) (string, error) {
	c := config()
	c.Consumer.IsolationLevel = sarama.ReadCommitted
	consumer, err := sarama.NewConsumer([]string{judge.Kafka}, c)
	if err != nil {
		return "", err
	}
	defer consumer.Close()
	messages := make(chan string)
	stop := make(chan struct{})
	defer close(stop)
	for p := range int32(2) {
		part, err := consumer.ConsumePartition(txTopic, p, sarama.OffsetOldest)
		if err != nil {
			return "", err
		}
		defer part.Close()
		go func() {
			for m := range part.Messages() {
				select {
				case messages <- string(m.Value):
				case <-stop:
					return
				}
			}
		}()
	}
	var got []string
	patience := time.After(20 * time.Second)
	for {
		select {
		case m := <-messages:
			if got = append(got, m); len(got) == count {
				patience = time.After(500 * time.Millisecond) // for what should not come
			}
		case <-patience:
			slices.Sort(got)
			return strings.Join(got, " "), nil
		}
	}
}

// transactions commits, aborts, commits offsets in a transaction, and fences a producer by its successor.
func transactions(admin sarama.ClusterAdmin) (string, error) {
	if err := admin.CreateTopic(txTopic, &sarama.TopicDetail{NumPartitions: 2, ReplicationFactor: 1}, false); err != nil {
		return "", err
	}
	first, err := transactional()
	if err != nil {
		return "", err
	}
	group := judge.Prefix + "tx-group"
	offsets := map[string][]*sarama.PartitionOffsetMetadata{txTopic: {{Partition: 0, Offset: 3}}}
	err = errors.Join(write(first, "a"), first.CommitTxn(), write(first, "b"), first.AbortTxn(),
		write(first, "c"), first.AddOffsetsToTxn(offsets, group), first.CommitTxn())
	if err != nil {
		return "", err
	}
	got, err := committed(10)
	if err := errors.Join(err, judge.Expect(got, "a0 a1 a2 a3 a4 c0 c1 c2 c3 c4", "after two commits and an abort")); err != nil {
		return "", err
	}
	stored, err := admin.ListConsumerGroupOffsets(group, map[string][]int32{txTopic: {0}})
	if err != nil {
		return "", err
	}
	if err := judge.Expect(stored.GetBlock(txTopic, 0).Offset, 3, "offset of the transaction"); err != nil {
		return "", err
	}
	if err := write(first, "d"); err != nil {
		return "", err
	}
	second, err := transactional()
	if err != nil {
		return "", err
	}
	err = first.CommitTxn()
	if !errors.Is(err, sarama.ErrProducerFenced) && !errors.Is(err, sarama.ErrInvalidProducerEpoch) {
		return "", judge.Expect(err, error(sarama.ErrProducerFenced), "refusal of a fenced producer")
	}
	if err := errors.Join(write(second, "e"), second.CommitTxn(), second.Close()); err != nil {
		return "", err
	}
	_ = first.Close() // it is fenced, and says so
	got, err = committed(15)
	return "", errors.Join(err, judge.Expect(got, "a0 a1 a2 a3 a4 c0 c1 c2 c3 c4 e0 e1 e2 e3 e4", "in the end"), admin.DeleteTopic(txTopic))
}
