package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/protocol/kafka"
	"github.com/freshet/freshet/internal/protocol/kafka/brokerconfig"
	"github.com/freshet/freshet/internal/state/memstate"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/memlog"
)

// alterBroker sets configs of a broker, or of all if name is empty, and takes back those whose value is "-". It returns the error's code and words.
func alterBroker(t testing.TB, conn *raw, name string, pairs ...string) string {
	t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeBroker, name
	for i := 0; i < len(pairs); i += 2 {
		c := kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: pairs[i], Value: &pairs[i+1]}
		if pairs[i+1] == "-" {
			c.Op, c.Value = kmsg.IncrementalAlterConfigOpDelete, nil
		}
		r.Configs = append(r.Configs, c)
	}
	req.Resources = append(req.Resources, r)
	got := ask[*kmsg.IncrementalAlterConfigsResponse](conn, 1, req).Resources[0]
	if got.ErrorCode == 0 {
		return ""
	}
	words := ""
	if got.ErrorMessage != nil {
		words = *got.ErrorMessage
	}
	return strings.TrimPrefix(kerr.TypedErrorForCode(got.ErrorCode).Message, "INVALID_REQUEST") + words
}

// config returns a resource's config and where it has it from.
func config(t testing.TB, conn *raw, kind kmsg.ConfigResourceType, name, key string) string {
	t.Helper()
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kind, ResourceName: name, ConfigNames: []string{key}}}
	got := ask[*kmsg.DescribeConfigsResponse](conn, 4, req).Resources[0]
	if len(got.Configs) != 1 {
		return fmt.Sprintf("%d configs, error %d", len(got.Configs), got.ErrorCode)
	}
	value := "unset"
	if got.Configs[0].Value != nil {
		value = *got.Configs[0].Value
	}
	return value + " " + got.Configs[0].Source.String()
}

const brokerKind, topicKind, groupKind = kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeGroupConfig

// Topics have what the broker is set to from when it is set, but for what somebody has set for them; and again when that is taken back.
func TestTopicsFollowTheBroker(t *testing.T) {
	n := start(t, func(c *kafka.Config) { c.AcceptAnyRF = false })
	follower, own := n.create(t, "plain", 1, nil), n.create(t, "own", 1, map[string]*string{"retention.ms": new("9000"), "cleanup.policy": new("delete")})
	ctx := t.Context()
	// What another protocol has set of a topic stays, and all of a stream that was made through Kinesis.
	kinesis, err := n.log.Create(ctx, stream.Spec{Name: "kinesis", Shards: 1, Labels: map[string]string{stream.LabelKinesis: "{}"}})
	if err != nil {
		t.Fatal(err)
	}
	foreign := n.create(t, "foreign", 1, nil)
	changed := foreign.Config
	changed.Retention = time.Hour
	if _, err = n.log.Alter(ctx, foreign.ID, stream.Change{Config: &changed}); err != nil {
		t.Fatal(err)
	}
	conn := n.raw(t)
	for _, step := range []struct {
		broker string
		pairs  []string
		want   string // plain's retention.ms and cleanup.policy; own's; foreign's retention.ms
	}{
		{"", []string{"log.retention.ms", "5000"}, "5000 DYNAMIC_DEFAULT_BROKER_CONFIG; delete DEFAULT_CONFIG; 9000 DYNAMIC_TOPIC_CONFIG; 3600000 DYNAMIC_TOPIC_CONFIG"},
		{"1", []string{"log.retention.ms", "6000", "log.cleanup.policy", "delete,compact"}, "6000 DYNAMIC_BROKER_CONFIG; delete,compact DYNAMIC_BROKER_CONFIG; 9000 DYNAMIC_TOPIC_CONFIG; 3600000 DYNAMIC_TOPIC_CONFIG"},
		{"1", []string{"log.retention.ms", "-"}, "5000 DYNAMIC_DEFAULT_BROKER_CONFIG; delete,compact DYNAMIC_BROKER_CONFIG; 9000 DYNAMIC_TOPIC_CONFIG; 3600000 DYNAMIC_TOPIC_CONFIG"},
		{"", []string{"log.retention.ms", "-1"}, "-1 DYNAMIC_DEFAULT_BROKER_CONFIG; delete,compact DYNAMIC_BROKER_CONFIG; 9000 DYNAMIC_TOPIC_CONFIG; 3600000 DYNAMIC_TOPIC_CONFIG"},
		{"", []string{"log.retention.ms", "-"}, "604800000 DEFAULT_CONFIG; delete,compact DYNAMIC_BROKER_CONFIG; 9000 DYNAMIC_TOPIC_CONFIG; 3600000 DYNAMIC_TOPIC_CONFIG"},
	} {
		if err := alterBroker(t, conn, step.broker, step.pairs...); err != "" {
			t.Fatalf("%v: %s", step.pairs, err)
		}
		got := config(t, conn, topicKind, "plain", "retention.ms") + "; " + config(t, conn, topicKind, "plain", "cleanup.policy") + "; " +
			config(t, conn, topicKind, "own", "retention.ms") + "; " + config(t, conn, topicKind, "foreign", "retention.ms")
		if got != step.want {
			t.Errorf("%v:\n got %s\nwant %s", step.pairs, got, step.want)
		}
		if st, err := n.log.StreamByID(ctx, kinesis.ID); err != nil || st.Config != kinesis.Config {
			t.Errorf("%v: the stream of Kinesis has %+v, %v", step.pairs, st.Config, err)
		}
	}
	if st, err := n.log.StreamByID(ctx, follower.ID); err != nil || !st.Config.Compaction.On || st.Config.Retention != 0 {
		t.Errorf("%+v, %v", st, err)
	}
	if st, err := n.log.StreamByID(ctx, own.ID); err != nil || st.Config.Compaction.On {
		t.Errorf("%+v, %v", st, err)
	}
	if late := n.create(t, "late", 1, nil); !late.Config.Compaction.On {
		t.Errorf("a topic made later has %+v", late.Config)
	}
	// What only this server looks at.
	if err := alterBroker(t, conn, "1", "min.insync.replicas", "2", "log.cleanup.policy", "-"); err != "" {
		t.Fatal(err)
	}
	req := produceRequest(follower, sent{0, plain(1)})
	if got := ask[*kmsg.ProduceResponse](conn, 9, req).Topics[0].Partitions[0].ErrorCode; got != kerr.NotEnoughReplicas.Code {
		t.Errorf("acks=all is answered %d with one replica where two are wanted", got)
	}
}

// brokenLog is a log in which topics cannot be altered while it is broken.
type brokenLog struct {
	*memlog.Log
	broken atomic.Bool
}

var errBroken = errors.New("no space")

func (l *brokenLog) Alter(ctx context.Context, id stream.ID, c stream.Change) (*stream.Stream, error) {
	if l.broken.Load() {
		return nil, errBroken
	}
	return l.Log.Alter(ctx, id, c)
}

// What is set is kept before topics follow: where they could not, as the node ended in the middle, they do when it is started again.
func TestTopicsFollowAfterARestart(t *testing.T) {
	store := memstate.New(clock.Real())
	var log *brokenLog
	server := func(properties map[string]string) *kafka.Server {
		t.Helper()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		s, err := kafka.New(t.Context(), kafka.Config{
			Listener: l, Log: log, State: store, Transactor: transactor{log.Log, store}, Clock: clock.Real(), NodeID: 1, Properties: properties,
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	memory := memlog.New(clock.Real(), nil)
	defer memory.Close()
	log = &brokenLog{Log: memory}
	s := server(nil)
	create := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "t", 1, 1
	create.Topics, create.Version = append(create.Topics, topic), 7
	if _, err := s.Request(t.Context(), create); err != nil {
		t.Fatal(err)
	}
	retention := func() time.Duration {
		t.Helper()
		st, err := log.Stream(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		return st.Config.Retention
	}
	alter := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.Configs = brokerKind, []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "log.retention.ms", Value: new("5000")}}
	alter.Resources, alter.Version = append(alter.Resources, r), 1
	log.broken.Store(true)
	resp, err := s.Request(t.Context(), alter)
	if err != nil || resp.(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode == 0 || retention() != 0 {
		t.Errorf("%+v, %v, retention %s", resp, err, retention())
	}
	log.broken.Store(false)
	server(nil)
	if got := retention(); got != 5*time.Second {
		t.Errorf("after a restart the topic keeps records for %s", got)
	}
	server(map[string]string{"log.retention.minutes": "7"})
	if got := retention(); got != 5*time.Second {
		t.Errorf("with minutes beside, the topic keeps records for %s", got)
	}
	alter.Resources[0].Configs[0].Op = kmsg.IncrementalAlterConfigOpDelete
	if _, err := server(map[string]string{"log.retention.minutes": "7"}).Request(t.Context(), alter); err != nil || retention() != 7*time.Minute {
		t.Errorf("%v, the topic keeps records for %s", err, retention())
	}
	server(nil)
	if got := retention(); got != 0 {
		t.Errorf("without the minutes the topic keeps records for %s", got)
	}
}

// upkeeper is a log's upkeep.
type upkeeper struct{ atomic.Pointer[stream.Upkeep] }

func (u *upkeeper) Upkeep() stream.Upkeep     { return *u.Load() }
func (u *upkeeper) SetUpkeep(v stream.Upkeep) { u.Store(&v) }

func TestTheLogsUpkeepIsSet(t *testing.T) {
	begun := stream.Upkeep{CompactInterval: 15 * time.Second, CompactRate: 32 << 20, CompactMemory: 64 << 20, ProducerExpiration: 24 * time.Hour}
	u := &upkeeper{}
	u.SetUpkeep(begun)
	n := start(t, func(c *kafka.Config) { c.Upkeep = u })
	conn := n.raw(t)
	if got := config(t, conn, brokerKind, "1", "log.cleaner.io.max.bytes.per.second"); got != "3.3554432E7 STATIC_BROKER_CONFIG" {
		t.Error(got)
	}
	if err := alterBroker(t, conn, "", "log.cleaner.io.max.bytes.per.second", "1.5e3", "log.cleaner.dedupe.buffer.size", "2000000", "log.cleaner.backoff.ms", "0",
		"producer.id.expiration.ms", "60000"); err != "" {
		t.Fatal(err)
	}
	if got, want := u.Upkeep(), (stream.Upkeep{CompactInterval: 10 * time.Millisecond, CompactRate: 1500, CompactMemory: 2_000_000, ProducerExpiration: time.Minute}); got != want {
		t.Errorf("%+v", got)
	}
	if err := alterBroker(t, conn, "1", "log.cleaner.io.max.bytes.per.second", "1.7976931348623157E308"); err != "" || u.Upkeep().CompactRate != -1 {
		t.Errorf("%s, %+v", err, u.Upkeep())
	}
	if err := alterBroker(t, conn, "1", "log.cleaner.backoff.ms", "9223372036854775807", "log.cleaner.dedupe.buffer.size", "9223372036854775807"); err != "" ||
		u.Upkeep().CompactInterval < 24*time.Hour || u.Upkeep().CompactMemory != 1<<40 {
		t.Errorf("%s, %+v", err, u.Upkeep())
	}
	for _, level := range []string{"", "1"} {
		if err := alterBroker(t, conn, level, "log.cleaner.io.max.bytes.per.second", "-", "log.cleaner.dedupe.buffer.size", "-", "log.cleaner.backoff.ms", "-",
			"producer.id.expiration.ms", "-"); err != "" {
			t.Fatal(err)
		}
	}
	if u.Upkeep() != begun {
		t.Errorf("%+v", u.Upkeep())
	}
	if got := alterBroker(t, start(t).raw(t), "1", "log.cleaner.backoff.ms", "5"); !strings.Contains(got, "it is the node's") {
		t.Error(got)
	}
}

func TestConnectionsAreBoundedByConfigs(t *testing.T) {
	virtual := clock.NewVirtual(time.Unix(1e9, 0))
	n := start(t, func(c *kafka.Config) { c.Clock, c.Limits.MaxConnections = virtual, 50 })
	conn := n.raw(t)
	serves := func() bool {
		t.Helper()
		c, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		req := kmsg.NewPtrApiVersionsRequest()
		if _, err = c.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)); err == nil {
			_, err = c.Read(make([]byte, 4))
		}
		return err == nil
	}
	for _, row := range []struct {
		pairs  []string
		serves bool
	}{
		{[]string{"max.connections", "1"}, false},
		{[]string{"max.connections", "2"}, true},
		{[]string{"max.connections", "-", "max.connections.per.ip", "1"}, false},
		{[]string{"max.connections.per.ip.overrides", "127.0.0.1:2,::1:0"}, true},
		{[]string{"max.connections.per.ip", "0", "max.connections.per.ip.overrides", "127.0.0.1:1"}, false},
		{[]string{"max.connections.per.ip", "-", "max.connections.per.ip.overrides", "-"}, true},
	} {
		if err := alterBroker(t, conn, "1", row.pairs...); err != "" {
			t.Fatal(row.pairs, err)
		}
		eventually(t, "connections that were closed are gone", func() bool { open, _ := n.Connections(); return open == 1 })
		if got := serves(); got != row.serves {
			t.Errorf("%v: another connection is served %v", row.pairs, got)
		}
	}
	for _, row := range [][3]string{
		{"max.connections", "0", "Invalid max.connections 0"},
		{"max.connections", "51", "Invalid max.connections 51: the node can have 50, by its memory and the files that it may open"},
		{"max.connection.creation.rate", "0", "Invalid max.connection.creation.rate 0"},
		{"max.connections.per.ip", "0", "requirement failed: max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property is set."},
		{"max.connections.per.ip.overrides", "host:3", "Error parsing configuration property 'max.connections.per.ip.overrides': \"host\" is no IP address, and names are not resolved"},
	} {
		if got := alterBroker(t, conn, "", row[0], row[1]); got != row[2] {
			t.Errorf("%s=%s: %s", row[0], row[1], got)
		}
	}
	if err := alterBroker(t, conn, "", "max.connection.creation.rate", "1"); err != "" {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 15 { // a window of eleven seconds' worth may come at once
			if !serves() {
				t.Error("a connection that only had to wait is not served")
			}
		}
	}()
	eventually(t, "all were served, in their time", func() bool {
		select {
		case <-done:
			return true
		default:
			virtual.Advance(100 * time.Millisecond)
			return false
		}
	})
	if waited := virtual.Now().Sub(time.Unix(1e9, 0)); waited < 2*time.Second {
		t.Errorf("15 connections at one a second came within %s", waited)
	}
}

func TestBrokerConfigsAreRefusedByName(t *testing.T) {
	n := start(t)
	conn := n.raw(t)
	for _, row := range [][4]string{
		{"1", "num.io.threads", "3", "Dynamic thread count update validation failed for num.io.threads=3, value should be at least half the current value 8"},
		{"1", "num.io.threads", "17", "Dynamic thread count update validation failed for num.io.threads=17, value should not be greater than double the current value 8"},
		{"1", "num.io.threads", "16", ""},
		{"1", "num.partitions", "3", "Cannot update these configs dynamically: [num.partitions]"},
		{"1", "log.retention.ms", "0", "requirement failed: log.retention.ms must be unlimited (-1) or, greater than or equal to 1"},
		{"1", "log.cleaner.min.compaction.lag.ms", "9223372036854775807", ""},
		{"1", "log.cleaner.max.compaction.lag.ms", "10", "conflict between broker config setting log.cleaner.min.compaction.lag.ms (9223372036854775807) > log.cleaner.max.compaction.lag.ms (10)"},
		{"1", "group.consumer.assignment.interval.ms", "15001", "group.consumer.assignment.interval.ms must be less than or equal to group.consumer.max.assignment.interval.ms"},
		{"2", "log.retention.ms", "5", "Unexpected broker id, expected 1, but received 2"},
		{"x", "log.retention.ms", "5", "Node id must be an integer, but it is: x"},
		{"1", "ssl.keystore.location", "/x", "These security configs can be dynamically updated only per-listener using the listener prefix: [ssl.keystore.location]"},
		{"1", "sasl.jaas.config", "secret", "sasl.jaas.config cannot be set here: SASL is set by --kafka-sasl-mechanisms when the node starts; there is no Kerberos and no JAAS"},
	} {
		if got := alterBroker(t, conn, row[0], row[1], row[2]); got != row[3] {
			t.Errorf("%s of %s = %s: %s", row[1], row[0], row[2], got)
		}
	}
	// What a topic says goes with what the broker says.
	n.create(t, "t", 1, nil)
	admin := kadm.NewClient(n.client(t))
	got, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "max.compaction.lag.ms", Value: new("10")}}, "t")
	if err != nil || got[0].Err == nil {
		t.Errorf("%+v, %v", got, err)
	}
}

// A group that has set nothing has what the broker is set to.
func TestGroupsFollowTheBroker(t *testing.T) {
	n := start(t)
	conn := n.raw(t)
	const key = "consumer.assignment.interval.ms"
	if got := config(t, conn, groupKind, "g", key); got != "0 DEFAULT_CONFIG" {
		t.Error(got)
	}
	if err := alterBroker(t, conn, "", "group."+key, "2500"); err != "" {
		t.Fatal(err)
	}
	if got := config(t, conn, groupKind, "g", key); got != "2500 DYNAMIC_DEFAULT_BROKER_CONFIG" {
		t.Error(got)
	}
}

// Every row of the ledger can be kept: its default is good, and it says what it does.
func TestTheLedgerOfBrokerConfigsIsWhole(t *testing.T) {
	for _, s := range kafka.BrokerSettings() {
		if s.Doc == "" || s.Effect == "" {
			t.Errorf("%s says nothing", s.Key)
		}
		if err := s.Check(s.Default); !s.None && s.Effect != brokerconfig.Refused && err != nil {
			t.Errorf("%s is not good as %s: %v", s.Key, s.Default, err)
		}
		if err := kafka.CheckProperty(s.Key, s.Default); s.Effect == brokerconfig.Refused && err == nil {
			t.Errorf("%s can be set when the server starts", s.Key)
		}
	}
}
