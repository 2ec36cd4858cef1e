package kafka_test

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet/freshet/internal/stream"
)

func TestInternalStreamsAreNoTopics(t *testing.T) {
	n := start(t)
	ctx := t.Context()
	own, err := n.log.Create(ctx, stream.Spec{Name: "own", Shards: 1, Labels: map[string]string{stream.LabelInternal: "test"}})
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(n.addr), kgo.UnknownTopicRetries(1), kgo.AllowAutoTopicCreation())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)

	topics, err := admin.ListTopicsWithInternal(ctx)
	if err != nil || slices.Contains(topics.Names(), "own") {
		t.Errorf("topics %v, error %v: the node's own stream is listed", topics.Names(), err)
	}
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: "own", Value: []byte("x")}).FirstErr(); err == nil {
		t.Error("a client could produce into the node's own stream")
	}
	if deleted, err := admin.DeleteTopics(ctx, "own"); err != nil || deleted["own"].Err != kerr.UnknownTopicOrPartition {
		t.Errorf("delete: %v, %v; want UNKNOWN_TOPIC_OR_PARTITION", deleted["own"].Err, err)
	}
	if created, err := admin.CreateTopics(ctx, 1, 1, nil, "own"); err != nil || created["own"].Err != kerr.TopicAlreadyExists {
		t.Errorf("create: %v, %v; want TOPIC_ALREADY_EXISTS", created["own"].Err, err)
	}
	if created, err := admin.ValidateCreateTopics(ctx, 1, 1, nil, "own"); err != nil || created["own"].Err != kerr.TopicAlreadyExists {
		t.Errorf("validate creation: %v, %v; want TOPIC_ALREADY_EXISTS", created["own"].Err, err)
	}
	if b, err := n.log.Bounds(ctx, own.Shard(0)); err != nil || b.End != 0 {
		t.Errorf("the stream has bounds %+v, error %v; want it untouched", b, err)
	}
}
