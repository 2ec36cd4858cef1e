package app_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	awsiam "github.com/twmb/franz-go/pkg/sasl/aws"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/clock/clocktest"
)

// TestRightsComeFromListsAndPolicies has users with passwords held to access control lists, and a user with an access key to a policy.
func TestRightsComeFromListsAndPolicies(t *testing.T) {
	policy := filepath.Join(t.TempDir(), "policy.json")
	const text = `{"Version": "2012-10-17", "Statement": {
		"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:user/alice"},
		"Action": ["kafka-cluster:Connect", "kafka-cluster:DescribeTopic", "kafka-cluster:WriteData", "kafka-cluster:WriteDataIdempotently"],
		"Resource": ["arn:aws:kafka:*:*:cluster/freshet/*", "arn:aws:kafka:*:*:topic/freshet/*/orders"]}}`
	if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_REGION", "eu-west-1")
	n := start(t, app.Config{
		KafkaListeners: []string{"SASL_PLAINTEXT://127.0.0.1:0"}, KafkaSASLMechanisms: []string{"SASL_PLAINTEXT:AWS_MSK_IAM+PLAIN"},
		KafkaUsers: []string{"admin:admin-secret", "bob:bob-secret"}, AccessKeys: []string{"AKIDALICE:secret1", "AKIDROOT:secret2"}, AccessKeyUsers: []string{"AKIDALICE:alice"},
		KafkaACLs: app.ACLsOn, KafkaSuperUsers: "User:admin", KafkaPolicies: policy,
	}, app.Deps{})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	user := func(name string) *kgo.Client {
		return clientAt(t, n, "SASL_PLAINTEXT", kgo.SASL(plain.Auth{User: name, Pass: name + "-secret"}.AsMechanism()))
	}
	key := func(id, secret string) *kgo.Client {
		return clientAt(t, n, "SASL_PLAINTEXT", kgo.SASL(awsiam.Auth{AccessKey: id, SecretKey: secret}.AsManagedStreamingIAMMechanism()))
	}
	admin := kadm.NewClient(user("admin"))
	if created, err := admin.CreateTopics(ctx, 1, 1, nil, "orders", "other"); err != nil || created.Error() != nil {
		t.Fatal(err, created)
	}
	if created, err := admin.CreateACLs(ctx, kadm.NewACLs().Topics("other").Allow("User:bob").AllowHosts().Operations(kadm.OpWrite).ResourcePatternType(kadm.ACLPatternLiteral)); err != nil || created[0].Err != nil {
		t.Fatal(err, created)
	}
	for _, row := range []struct {
		who   string
		c     *kgo.Client
		topic string
		want  error
	}{
		{"bob", user("bob"), "other", nil},
		{"bob", user("bob"), "orders", kerr.TopicAuthorizationFailed},
		{"alice", key("AKIDALICE", "secret1"), "orders", nil},
		{"alice", key("AKIDALICE", "secret1"), "other", kerr.TopicAuthorizationFailed},
		{"the root, without a policy", key("AKIDROOT", "secret2"), "orders", kerr.TopicAuthorizationFailed},
	} {
		if err := row.c.ProduceSync(ctx, &kgo.Record{Topic: row.topic, Value: []byte("v")}).FirstErr(); !errors.Is(err, row.want) {
			t.Errorf("%s writes to %s: %v, want %v", row.who, row.topic, err, row.want)
		}
	}
	if seen, err := kadm.NewClient(key("AKIDALICE", "secret1")).ListTopics(ctx); err != nil || len(seen) != 1 || !seen.Has("orders") {
		t.Errorf("alice sees %v, %v", seen.Names(), err)
	}
}

// TestAnAlteredPolicyCountsWithoutARestart alters the policy of a client that stays connected, and spoils it.
func TestAnAlteredPolicyCountsWithoutARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.json")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	allow := func(actions string) string {
		return `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": "*", "Resource": "*", "Action": ["kafka-cluster:Connect", "kafka-cluster:DescribeTopic"` + actions + `]}}`
	}
	write(allow(""))
	t.Setenv("AWS_REGION", "eu-west-1")
	n := start(t, app.Config{
		KafkaListeners: []string{"SASL_PLAINTEXT://127.0.0.1:0"}, KafkaSASLMechanisms: []string{"SASL_PLAINTEXT:AWS_MSK_IAM"}, AccessKeys: []string{"AKIDALICE:secret1"},
		KafkaPolicies: path,
	}, app.Deps{})
	if _, err := kadm.NewClient(kafkaClient(t, n)).CreateTopic(t.Context(), 1, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	alice := clientAt(t, n, "SASL_PLAINTEXT", kgo.SASL(awsiam.Auth{AccessKey: "AKIDALICE", SecretKey: "secret1"}.AsManagedStreamingIAMMechanism()), kgo.DisableIdempotentWrite())
	becomes := func(what string, want error) {
		t.Helper()
		clocktest.Eventually(t, what, func() bool {
			return errors.Is(alice.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: []byte("v")}).FirstErr(), want)
		})
	}
	figures := func(want ...string) {
		t.Helper()
		_, page := get(t, n.Addresses().AWS+"/metrics")
		for _, line := range want {
			if !strings.Contains(page, "\n"+line+"\n") {
				t.Errorf("the metrics have no %q", line)
			}
		}
	}
	becomes("alice may not write", kerr.TopicAuthorizationFailed)
	write(allow(`, "kafka-cluster:WriteData"`))
	becomes("alice may write", nil)
	figures("freshet_file_reads_total 1", "freshet_files_stale 0")
	write("{")
	clocktest.Eventually(t, "the policy is spoiled, and what it was stays in force", func() bool {
		becomes("alice may write", nil)
		_, page := get(t, n.Addresses().AWS+"/metrics")
		return strings.Contains(page, "freshet_files_stale 1")
	})
	figures("freshet_file_read_failures_total 1")
	write(allow(""))
	becomes("alice may not write any more", kerr.TopicAuthorizationFailed)
}

// TestWhoWaitsIsOnTheMetricsPage has a client, whose id no page could hold, produce more than it may.
func TestWhoWaitsIsOnTheMetricsPage(t *testing.T) {
	n := start(t, app.Config{}, app.Deps{})
	client := clientAt(t, n, "PLAINTEXT", kgo.ClientID("a\"b\xff\n"), kgo.ProducerBatchMaxBytes(1<<20))
	set := []kadm.AlterClientQuotaEntry{{Entity: kadm.ClientQuotaEntity{{Type: "client-id"}}, Ops: []kadm.AlterClientQuotaOp{{Key: "producer_byte_rate", Value: 1000}}}}
	if got, err := kadm.NewClient(client).AlterClientQuotas(t.Context(), set); err != nil || got[0].Err != nil {
		t.Fatal(err, got)
	}
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: make([]byte, 600_000)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	_, page := get(t, n.Addresses().AWS+"/metrics")
	labels := `{address="",client="a\"b�\n",quota="producer_byte_rate",user=""} `
	for _, name := range []string{"throttled_seconds_total", "throttles_total", "rate", "limit"} {
		_, value, found := strings.Cut(page, "\nfreshet_kafka_quota_"+name+labels)
		value, _, _ = strings.Cut(value, "\n")
		if number, err := strconv.ParseFloat(value, 64); !found || err != nil || number <= 0 {
			t.Errorf("%s is %q", name, value)
		}
	}
	if !strings.Contains(page, "\nfreshet_kafka_quota_meters 1\n") {
		t.Error("one client is measured, and the page does not say so")
	}
}

// TestQuotasOutliveTheNode sets a quota, restarts the node and finds it.
func TestQuotasOutliveTheNode(t *testing.T) {
	data := t.TempDir()
	name := "u"
	entity := kadm.ClientQuotaEntity{{Type: "user", Name: &name}}
	for _, first := range []bool{true, false} {
		t.Run("", func(t *testing.T) {
			n := start(t, app.Config{Data: data}, app.Deps{})
			admin := kadm.NewClient(kafkaClient(t, n))
			if first {
				set := []kadm.AlterClientQuotaEntry{{Entity: entity, Ops: []kadm.AlterClientQuotaOp{{Key: "producer_byte_rate", Value: 1000}}}}
				if got, err := admin.AlterClientQuotas(t.Context(), set); err != nil || got[0].Err != nil {
					t.Fatal(err, got)
				}
			}
			got, err := admin.DescribeClientQuotas(t.Context(), false, nil)
			if err != nil || len(got) != 1 || len(got[0].Values) != 1 || got[0].Values[0].Value != 1000 {
				t.Errorf("%v, %+v", err, got)
			}
		})
	}
}
