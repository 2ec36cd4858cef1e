package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet/freshet/interop/go/judge"
)

var txTopic = judge.Prefix + "tx"

func transactional() (*kgo.Client, error) {
	return newClient(kgo.TransactionalID(judge.Prefix+"tx"), kgo.DefaultProduceTopic(txTopic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
}

// write begins a transaction with five records of a label. The last are sent when the first is acknowledged: until then franz-go 1.22 may not have told the
// part of it that ends transactions which partitions are in this one, and a first transaction that ends before that is aborted without an error.
func write(ctx context.Context, c *kgo.Client, label string) error {
	if err := c.BeginTransaction(); err != nil {
		return err
	}
	var all []*kgo.Record
	for i := range 5 {
		all = append(all, &kgo.Record{Partition: int32(i % 2), Value: fmt.Appendf(nil, "%s%d", label, i)})
	}
	return errors.Join(c.ProduceSync(ctx, all[:1]...).FirstErr(), c.ProduceSync(ctx, all[1:]...).FirstErr())
}

// committed returns what is read of the topic up to its end, in order of text.
func committed(ctx context.Context, admin *kadm.Client) (string, error) {
	ends, err := admin.ListEndOffsets(ctx, txTopic)
	if err != nil {
		return "", err
	}
	c, err := newClient(kgo.ConsumeTopics(txTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return "", err
	}
	defer c.Close()
	var got []string
	for left := 2; left > 0; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return "", err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				got = append(got, string(r.Value))
			}
			if end, _ := ends.Lookup(txTopic, r.Partition); r.Offset == end.Offset-1 {
				left--
			}
		})
	}
	slices.Sort(got)
	return strings.Join(got, " "), nil
}

// transactions commits, aborts, commits offsets in a transaction, and fences a producer by its successor.
func transactions(ctx context.Context, admin *kadm.Client) (string, error) {
	if _, err := admin.CreateTopic(ctx, 2, 1, nil, txTopic); err != nil {
		return "", err
	}
	first, err := transactional()
	if err != nil {
		return "", err
	}
	defer first.Close()
	err = errors.Join(write(ctx, first, "a"), first.EndTransaction(ctx, kgo.TryCommit), write(ctx, first, "b"), first.EndTransaction(ctx, kgo.TryAbort))
	if err != nil {
		return "", err
	}
	got, err := committed(ctx, admin)
	if err := errors.Join(err, judge.Expect(got, "a0 a1 a2 a3 a4", "after a commit and an abort")); err != nil {
		return "", err
	}
	if err := transform(ctx, admin); err != nil {
		return "", err
	}
	if err := write(ctx, first, "lost"); !errors.Is(err, kerr.InvalidProducerEpoch) && !errors.Is(err, kerr.ProducerFenced) {
		return "", judge.Expect(err, error(kerr.ProducerFenced), "refusal of a fenced producer")
	}
	got, err = committed(ctx, admin)
	if err := errors.Join(err, judge.Expect(got, "a0 a1 a2 a3 a4 c0 c1 c2 c3 c4", "in the end")); err != nil {
		return "", err
	}
	_, err = admin.DeleteTopics(ctx, txTopic)
	return "", err
}

// transform reads the topic in a group and commits what it has read with what it writes.
func transform(ctx context.Context, admin *kadm.Client) error {
	group := judge.Prefix + "tx-group"
	s, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(judge.Kafka), kgo.TransactionalID(judge.Prefix+"tx"), kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(txTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.DefaultProduceTopic(txTopic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer s.Close()
	read := 0
	for read < 5 {
		fetches := s.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		read += fetches.NumRecords()
	}
	if err := write(ctx, s.Client(), "c"); err != nil {
		return err
	}
	committed, err := s.End(ctx, kgo.TryCommit)
	if err := errors.Join(err, judge.Expect(committed, true, "the session has committed")); err != nil {
		return err
	}
	offsets, err := admin.FetchOffsets(ctx, group)
	if err != nil {
		return err
	}
	sum := int64(0)
	offsets.Each(func(o kadm.OffsetResponse) { sum += o.At })
	if sum < 5 {
		return judge.Expect(sum, 5, "offsets of the transaction")
	}
	return nil
}
