package kafka_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka"
	"github.com/freshet/freshet/internal/state/memstate"
)

func TestTheControlPlaneNeedsNoConnection(t *testing.T) {
	n := start(t, func(c *kafka.Config) { c.AutoCreateTopics = false })
	create := kmsg.NewPtrCreateTopicsRequest()
	create.Version = 7
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "t", 2, 1
	create.Topics = append(create.Topics, topic)
	resp, err := n.Request(t.Context(), create)
	if err != nil || resp.GetVersion() != 7 || resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode != 0 {
		t.Errorf("%+v, %v", resp, err)
	}
	metadata := kmsg.NewPtrMetadataRequest()
	metadata.Version = 12
	if resp, err = n.Request(t.Context(), metadata); err != nil || len(resp.(*kmsg.MetadataResponse).Topics[0].Partitions) != 2 {
		t.Errorf("%+v, %v", resp, err)
	}
	for _, wrong := range []kmsg.Request{kmsg.NewPtrProduceRequest(), kmsg.NewPtrFetchRequest(), &kmsg.MetadataRequest{Version: 99}, kmsg.NewPtrControlledShutdownRequest()} {
		if _, err := n.Request(t.Context(), wrong); err == nil {
			t.Errorf("%T v%d was answered", wrong, wrong.GetVersion())
		}
	}
}

// Topics that nobody has set a config for have the broker's, also those that there were before the broker had it; a config that is taken back
// is the broker's again.
func TestTopicsHaveTheBrokersDefaults(t *testing.T) {
	ctx := t.Context()
	old := start(t)
	before := old.create(t, "before", 1, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	store := memstate.New(old.clock)
	server, err := kafka.New(ctx, kafka.Config{
		Listener: l, Log: old.log, State: store, Transactor: transactor{old.log, store}, Clock: old.clock, NodeID: 1,
		Properties: map[string]string{"log.retention.ms": "5000", "message.max.bytes": "999", "log.segment.bytes": "2000000"},
	})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(running) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	n := &node{server, old.log, old.clock, l.Addr().String(), old.reads}
	admin := kadm.NewClient(n.client(t))
	if _, err := admin.CreateTopic(ctx, 1, 1, map[string]*string{"max.message.bytes": new("500")}, "after"); err != nil {
		t.Fatal(err)
	}
	check := func(topic, want string) {
		t.Helper()
		configs, err := admin.DescribeTopicConfigs(ctx, topic)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, c := range configs[0].Configs {
			switch c.Key {
			case "max.message.bytes", "retention.ms", "segment.bytes", "flush.messages":
				got += fmt.Sprintf("%s=%s %s; ", c.Key, *c.Value, c.Source)
			}
		}
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", topic, got, want)
		}
	}
	const rest = "retention.ms=5000 STATIC_BROKER_CONFIG; segment.bytes=2000000 STATIC_BROKER_CONFIG; "
	check("before", "flush.messages=1 DEFAULT_CONFIG; max.message.bytes=999 STATIC_BROKER_CONFIG; "+rest)
	check("after", "flush.messages=1 DEFAULT_CONFIG; max.message.bytes=500 DYNAMIC_TOPIC_CONFIG; "+rest)
	if _, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.DeleteConfig, Name: "max.message.bytes"}}, "after"); err != nil {
		t.Fatal(err)
	}
	check("after", "flush.messages=1 DEFAULT_CONFIG; max.message.bytes=999 STATIC_BROKER_CONFIG; "+rest)
	if st, err := n.log.StreamByID(ctx, before.ID); err != nil || st.Config.Retention != 5*time.Second || st.Config.MaxBatchBytes != 999 {
		t.Errorf("%+v, %v", st, err)
	}
}
