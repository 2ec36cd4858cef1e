package app_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	firehosetypes "github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/clock/clocktest"
)

// TestClockIsSet sets the wall clock of a running node an hour forward and back: sessions and transactions neither end at once nor live an hour longer, what
// is to be delivered comes in time, and a node that is started on an earlier time goes on.
func TestClockIsSet(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for sessions to end")
	}
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			t.Parallel()
			s := &stepRig{t: t, clock: clocktest.NewStepped(), data: t.TempDir()}
			s.start()
			s.deliverTo("before")
			member, gone := s.member("stays"), s.member("goes")
			patient, forgotten := s.transaction("patient", 60*time.Second), s.transaction("forgotten", 3*time.Second)
			began := time.Now()

			s.clock.Step(by)

			gone.client.Close() // static: it does not leave
			s.until(5*time.Second, "the forgotten transaction is aborted", func() bool { return s.openTransactions() == 1 })
			if err := patient.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
				t.Errorf("commit what was begun before: %v", err)
			}
			forgotten.Close()
			s.until(5*time.Second, "what is delivered every second is delivered", func() bool { return s.delivered("before") })
			s.until(session+5*time.Second-time.Since(began), "the session that ends has ended", func() bool { return member.partitions.Load() == stepPartitions })
			wait(t.Context(), session)
			if n := member.lost.Load(); n != 0 {
				t.Errorf("the session that is kept alive has ended %d times", n)
			}

			if err := s.node.stop(); err != nil {
				t.Fatal(err)
			}
			s.clock.Step(-2 * time.Hour)
			s.start()
			s.transaction("patient", 60*time.Second).Close()
			s.deliverTo("after")
			s.until(5*time.Second, "what is delivered every second is delivered after a restart", func() bool { return s.delivered("after") })
		})
	}
}

const (
	session        = 6 * time.Second // the shortest that may be
	stepPartitions = 2
)

type stepRig struct {
	t     *testing.T
	clock *clocktest.Stepped
	data  string
	node  running
}

func (s *stepRig) start() {
	s.t.Helper()
	s.node = start(s.t, app.Config{Data: s.data}, app.Deps{Clock: s.clock})
	if _, err := kadm.NewClient(kafkaClient(s.t, s.node)).CreateTopic(s.t.Context(), stepPartitions, 1, nil, "events"); err != nil {
		s.t.Logf("create topic: %v", err) // it is there after a restart
	}
}

func (s *stepRig) until(limit time.Duration, what string, so func() bool) {
	s.t.Helper()
	began := time.Now()
	clocktest.Eventually(s.t, what, so)
	if took := time.Since(began); took > limit {
		s.t.Errorf("%s: after %s, not within %s", what, took, limit)
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// stepMember is a static member of a group, and how many partitions it has.
type stepMember struct {
	client           *kgo.Client
	partitions, lost atomic.Int64
}

func (s *stepRig) member(name string) *stepMember {
	s.t.Helper()
	m := &stepMember{}
	count := func(sign int64) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, all map[string][]int32) {
			m.partitions.Add(sign * int64(len(all["events"])))
		}
	}
	var err error
	m.client, err = kgo.NewClient(kgo.SeedBrokers(s.node.Addresses().Kafka), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("events"), kgo.InstanceID(name),
		kgo.SessionTimeout(session), kgo.HeartbeatInterval(500*time.Millisecond), kgo.RebalanceTimeout(session), kgo.OnPartitionsAssigned(count(1)), kgo.OnPartitionsRevoked(count(-1)),
		kgo.OnPartitionsLost(func(ctx context.Context, c *kgo.Client, all map[string][]int32) {
			m.lost.Add(1)
			count(-1)(ctx, c, all)
		}))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(m.client.Close)
	go func() {
		for !m.client.PollFetches(s.t.Context()).IsClientClosed() && s.t.Context().Err() == nil {
		}
	}()
	clocktest.Eventually(s.t, "the member has partitions", func() bool { return m.partitions.Load() > 0 })
	return m
}

// transaction begins one, and writes a record to it.
func (s *stepRig) transaction(id string, timeout time.Duration) *kgo.Client {
	s.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.node.Addresses().Kafka), kgo.TransactionalID(id), kgo.TransactionTimeout(timeout), kgo.DefaultProduceTopic("events"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(client.Close)
	if err := client.BeginTransaction(); err != nil {
		s.t.Fatal(err)
	}
	// The client's clock is set as the node's: a record may be no more than an hour ahead.
	if err := client.ProduceSync(s.t.Context(), &kgo.Record{Value: []byte(id), Timestamp: s.clock.Now()}).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
	return client
}

// openTransactions returns how many there are.
func (s *stepRig) openTransactions() (n int) {
	all, err := kadm.NewClient(kafkaClient(s.t, s.node)).ListTransactions(s.t.Context(), nil, []string{"Ongoing"})
	if err != nil {
		s.t.Fatal(err)
	}
	return len(all)
}

// deliverTo has a record delivered that is a second old.
func (s *stepRig) deliverTo(name string) {
	s.t.Helper()
	client := firehoseClient(s.node)
	_, err := client.CreateDeliveryStream(s.t.Context(), &firehose.CreateDeliveryStreamInput{
		DeliveryStreamName: aws.String(name), DeliveryStreamType: firehosetypes.DeliveryStreamTypeDirectPut,
		ExtendedS3DestinationConfiguration: &firehosetypes.ExtendedS3DestinationConfiguration{
			BucketARN: aws.String("arn:aws:s3:::" + name), RoleARN: aws.String("arn:aws:iam::000000000000:role/r"),
			BufferingHints: &firehosetypes.BufferingHints{IntervalInSeconds: aws.Int32(1), SizeInMBs: aws.Int32(1)},
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = client.PutRecord(s.t.Context(), &firehose.PutRecordInput{DeliveryStreamName: &name, Record: &firehosetypes.Record{Data: []byte("x\n")}})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *stepRig) delivered(name string) bool {
	s.t.Helper()
	keys, err := filepath.Glob(filepath.Join(app.ObjectsDir(s.data), name, "*/*/*/*/*"))
	if err != nil {
		s.t.Fatal(fmt.Errorf("objects: %w", err))
	}
	return len(keys) > 0
}
