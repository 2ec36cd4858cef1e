package app_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kafka/types"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet/freshet/internal/app"
)

// A transaction in a cluster commits records and the group's offset there, and nothing elsewhere; the node outside has one of the same names.
func TestClustersHaveTransactionsOfTheirOwn(t *testing.T) {
	n := start(t, app.Config{Data: t.TempDir(), MSKPorts: "0"}, app.Deps{})
	plain, _ := brokers(t, n, newCluster(t, n, "first", types.ClientBrokerTlsPlaintext))
	outside := clusterClient(t, n.Addresses().Kafka, nil, kgo.TransactionalID("tx"), kgo.DefaultProduceTopic("in"))
	for _, address := range []string{plain, n.Addresses().Kafka} {
		if _, err := kadm.NewClient(clusterClient(t, address, nil)).CreateTopic(t.Context(), 1, -1, nil, "in"); err != nil {
			t.Fatal(err)
		}
	}
	produce(t, clusterClient(t, plain, nil), "in", "a")
	if err := outside.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	produce(t, outside, "in", "open")
	session, err := kgo.NewGroupTransactSession(append(ofGroup("in"), kgo.SeedBrokers(strings.Split(plain, ",")...), kgo.TransactionalID("tx"))...)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := session.PollFetches(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	if err := session.Begin(); err != nil {
		t.Fatal(err)
	}
	produce(t, session.Client(), "in", "b")
	if committed, err := session.End(ctx, kgo.TryCommit); err != nil || !committed {
		t.Fatal(committed, err)
	}
	for address, want := range map[string]int64{plain: 1, n.Addresses().Kafka: -1} {
		offsets, err := kadm.NewClient(clusterClient(t, address, nil)).FetchOffsetsForTopics(t.Context(), "g", "in")
		if err != nil {
			t.Fatal(err)
		}
		if o, _ := offsets.Lookup("in", 0); o.At != want {
			t.Errorf("%s: offset %d, want %d", address, o.At, want)
		}
	}
	if err := outside.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Error(err)
	}
}
