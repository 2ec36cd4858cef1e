package app_test

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kafka"
	"github.com/aws/aws-sdk-go-v2/service/kafka/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	awsiam "github.com/twmb/franz-go/pkg/sasl/aws"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/tlsca"
	"github.com/freshet/freshet/internal/tlsfiles/tlstest"
)

func mskClient(n running) *kafka.Client {
	return kafka.New(kafka.Options{
		Region: "eu-west-1", BaseEndpoint: aws.String(n.Addresses().AWS), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "hunter2", ""),
		HTTPClient:  &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	})
}

// newCluster makes a cluster of three brokers and returns its ARN.
func newCluster(t *testing.T, n running, name string, protected types.ClientBroker, change ...func(*kafka.CreateClusterInput)) string {
	t.Helper()
	in := &kafka.CreateClusterInput{
		ClusterName: &name, KafkaVersion: new("3.6.0"), NumberOfBrokerNodes: new(int32(3)),
		BrokerNodeGroupInfo: &types.BrokerNodeGroupInfo{InstanceType: new("kafka.m5.large"), ClientSubnets: []string{"a", "b", "c"}},
		EncryptionInfo:      &types.EncryptionInfo{EncryptionInTransit: &types.EncryptionInTransit{ClientBroker: protected}},
	}
	for _, f := range change {
		f(in)
	}
	out, err := mskClient(n).CreateCluster(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return *out.ClusterArn
}

// brokers returns a cluster's bootstrap strings.
func brokers(t *testing.T, n running, arn string) (plain, secure string) {
	t.Helper()
	out, err := mskClient(n).GetBootstrapBrokers(t.Context(), &kafka.GetBootstrapBrokersInput{ClusterArn: &arn})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(out.BootstrapBrokerString), aws.ToString(out.BootstrapBrokerStringTls)
}

// clusterClient returns a client of a cluster, with the trust of the node's authority where roots of it are given.
func clusterClient(t *testing.T, addresses string, roots *tls.Config, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	opts = append(opts, kgo.SeedBrokers(strings.Split(addresses, ",")...), kgo.RetryTimeout(20*time.Second), kgo.MetadataMinAge(10*time.Millisecond))
	if roots != nil {
		opts = append(opts, kgo.DialTLSConfig(roots))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// trust returns what trusts the authority of a data directory.
func trust(t *testing.T, data string) *tls.Config {
	t.Helper()
	authority, err := os.ReadFile(filepath.Join(app.AuthorityDir(data), tlsca.CertificateFile))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{RootCAs: tlstest.Pool(t, authority), ServerName: "localhost"}
}

func topicNames(t *testing.T, c *kgo.Client) []string {
	t.Helper()
	all, err := kadm.NewClient(c).ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all.Names()
}

func produce(t *testing.T, c *kgo.Client, topic, value string) {
	t.Helper()
	if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// next returns the value of the next record of a consumer.
func next(t *testing.T, c *kgo.Client) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	fetches := c.PollRecords(ctx, 1)
	if err := fetches.Err(); err != nil {
		t.Fatal(err)
	}
	value := string(fetches.Records()[0].Value)
	if err := c.CommitUncommittedOffsets(ctx); err != nil {
		t.Fatal(err)
	}
	return value
}

func ofGroup(topic string) []kgo.Opt {
	return []kgo.Opt{kgo.ConsumerGroup("g"), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}
}

// Two clusters and the node's own listener have a topic and a group of one name each, and do not see each other's.
func TestClustersAreApart(t *testing.T) {
	data := t.TempDir()
	n := start(t, app.Config{Data: data, MSKPorts: "0"}, app.Deps{})
	first, second := newCluster(t, n, "first", types.ClientBrokerTls), newCluster(t, n, "second", types.ClientBrokerTlsPlaintext)
	_, secure := brokers(t, n, first)
	plain, both := brokers(t, n, second)
	roots := trust(t, data)
	for _, addresses := range []string{secure, plain, both} {
		if got := strings.Split(addresses, ","); len(got) != 3 || got[0] == got[1] {
			t.Errorf("bootstrap brokers %s", addresses)
		}
	}
	for i, place := range []struct {
		addresses string
		roots     *tls.Config
	}{{secure, roots}, {plain, nil}, {n.Addresses().Kafka, nil}} {
		admin := kadm.NewClient(clusterClient(t, place.addresses, place.roots))
		if _, err := admin.CreateTopic(t.Context(), 2, -1, nil, "orders"); err != nil {
			t.Fatal(err)
		}
		for broker, address := range strings.Split(place.addresses, ",") { // each of them serves
			produce(t, clusterClient(t, address, place.roots), "orders", fmt.Sprint(i, broker))
		}
		consumer := clusterClient(t, place.addresses, place.roots, ofGroup("orders")...)
		for range strings.Split(place.addresses, ",") {
			if value := next(t, consumer); !strings.HasPrefix(value, fmt.Sprint(i)) {
				t.Errorf("place %d has the record %s", i, value)
			}
		}
		consumer.Close()
		if got := topicNames(t, clusterClient(t, place.addresses, place.roots)); !slices.Equal(got, []string{"orders"}) {
			t.Errorf("place %d has the topics %v", i, got)
		}
	}
	if got := topicNames(t, clusterClient(t, both, roots)); !slices.Equal(got, []string{"orders"}) {
		t.Errorf("the second listener has the topics %v", got)
	}
	streams, err := kinesisClient(n).ListStreams(t.Context(), &kinesis.ListStreamsInput{})
	if err != nil || !slices.Equal(streams.StreamNames, []string{"orders"}) {
		t.Errorf("streams %v, %v", streams, err)
	}
}

// After a restart clusters are where they were, with their topics and the positions of their groups; a deleted one leaves nothing behind.
func TestClustersOutliveTheNodeAndNotTheirDeletion(t *testing.T) {
	data := t.TempDir()
	n := start(t, app.Config{Data: data, MSKPorts: "0"}, app.Deps{})
	kept, gone := newCluster(t, n, "kept", types.ClientBrokerPlaintext), newCluster(t, n, "gone", types.ClientBrokerPlaintext)
	before, _ := brokers(t, n, kept)
	for _, arn := range []string{kept, gone} {
		addresses, _ := brokers(t, n, arn)
		client := clusterClient(t, addresses, nil)
		if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, -1, nil, "orders"); err != nil {
			t.Fatal(err)
		}
		produce(t, client, "orders", "one")
		produce(t, client, "orders", "two")
		consumer := clusterClient(t, addresses, nil, ofGroup("orders")...)
		if got := next(t, consumer); got != "one" {
			t.Errorf("record %s", got)
		}
		consumer.Close()
		client.Close()
	}
	if _, err := mskClient(n).DeleteCluster(t.Context(), &kafka.DeleteClusterInput{ClusterArn: &gone}); err != nil {
		t.Fatal(err)
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	n = start(t, app.Config{Data: data, MSKPorts: "0"}, app.Deps{})
	if after, _ := brokers(t, n, kept); after != before {
		t.Errorf("the cluster was at %s, and is at %s", before, after)
	}
	consumer := clusterClient(t, before, nil, ofGroup("orders")...)
	if got := next(t, consumer); got != "two" {
		t.Errorf("record %s", got)
	}
	consumer.Close()
	again := newCluster(t, n, "gone", types.ClientBrokerPlaintext)
	addresses, _ := brokers(t, n, again)
	if got := topicNames(t, clusterClient(t, addresses, nil)); len(got) != 0 {
		t.Errorf("a new cluster has the topics %v", got)
	}
}

// A configuration's properties are the broker's, for topics that are there already too, and change with the configuration.
func TestConfigurationsApplyToClusters(t *testing.T) {
	ctx := t.Context()
	n := start(t, app.Config{MSKPorts: "0"}, app.Deps{})
	msk := mskClient(n)
	made, err := msk.CreateConfiguration(ctx, &kafka.CreateConfigurationInput{
		Name: new("c"), ServerProperties: []byte("auto.create.topics.enable=true\nnum.partitions=5\nlog.retention.hours=2\nmessage.max.bytes=2000\nlog.cleanup.policy=compact\n"),
	})
	if err != nil {
		t.Fatal(err)
	}
	arn := newCluster(t, n, "a", types.ClientBrokerPlaintext)
	addresses, _ := brokers(t, n, arn)
	client := clusterClient(t, addresses, nil, kgo.AllowAutoTopicCreation(), kgo.RecordDeliveryTimeout(time.Second), kgo.UnknownTopicRetries(1))
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: "auto", Value: []byte("x")}).FirstErr(); err == nil {
		t.Error("MSK's default is that topics are not created by themselves")
	}
	if _, err := kadm.NewClient(client).CreateTopic(ctx, 1, -1, map[string]*string{"max.message.bytes": new("3000")}, "old"); err != nil {
		t.Fatal(err)
	}
	about, err := msk.DescribeCluster(ctx, &kafka.DescribeClusterInput{ClusterArn: &arn})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := msk.UpdateClusterConfiguration(ctx, &kafka.UpdateClusterConfigurationInput{
		ClusterArn: &arn, CurrentVersion: about.ClusterInfo.CurrentVersion, ConfigurationInfo: &types.ConfigurationInfo{Arn: made.Arn, Revision: new(int64(1))},
	}); err != nil {
		t.Fatal(err)
	}
	client = clusterClient(t, addresses, nil, kgo.AllowAutoTopicCreation())
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: "auto", Key: []byte("k"), Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	admin := kadm.NewClient(client)
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: "old", Value: []byte("x")}).FirstErr(); !errors.Is(err, kerr.InvalidRecord) {
		t.Errorf("a record without a key is taken where the broker compacts: %v", err)
	}
	topics, err := admin.ListTopics(ctx)
	if err != nil || len(topics["auto"].Partitions) != 5 {
		t.Errorf("%v, %v", topics["auto"], err)
	}
	for topic, want := range map[string]string{
		"auto": "retention.ms=7200000 max.message.bytes=2000 ", "old": "retention.ms=7200000 max.message.bytes=3000 set",
	} {
		configs, err := admin.DescribeTopicConfigs(ctx, topic)
		if err != nil {
			t.Fatal(err)
		}
		values := map[string]kadm.Config{}
		for _, c := range configs[0].Configs {
			values[c.Key] = c
		}
		got := fmt.Sprintf("retention.ms=%s max.message.bytes=%s ", *values["retention.ms"].Value, *values["max.message.bytes"].Value)
		if values["max.message.bytes"].Source.String() == "DYNAMIC_TOPIC_CONFIG" {
			got += "set"
		}
		// As Apache Kafka has it, log.retention.hours is no synonym of log.retention.ms unless that is set, too.
		if got != want || values["retention.ms"].Source.String() != "DEFAULT_CONFIG" || values["cleanup.policy"].Source.String() != "STATIC_BROKER_CONFIG" {
			t.Errorf("%s has %s, retention.ms from %s, cleanup.policy from %s", topic, got, values["retention.ms"].Source, values["cleanup.policy"].Source)
		}
	}
}

func TestTopicsOfClustersThroughTheAPI(t *testing.T) {
	ctx := t.Context()
	n := start(t, app.Config{MSKPorts: "0"}, app.Deps{})
	msk, arn := mskClient(n), newCluster(t, n, "a", types.ClientBrokerPlaintext)
	addresses, _ := brokers(t, n, arn)
	if _, err := msk.CreateTopic(ctx, &kafka.CreateTopicInput{
		ClusterArn: &arn, TopicName: new("orders"), PartitionCount: new(int32(2)), ReplicationFactor: new(int32(3)),
		Configs: new(base64.StdEncoding.EncodeToString([]byte(`{"retention.ms":"60000"}`))),
	}); err != nil {
		t.Fatal(err)
	}
	if got := topicNames(t, clusterClient(t, addresses, nil)); !slices.Equal(got, []string{"orders"}) {
		t.Errorf("topics %v", got)
	}
	if _, err := msk.UpdateTopic(ctx, &kafka.UpdateTopicInput{ClusterArn: &arn, TopicName: new("orders"), PartitionCount: new(int32(4))}); err != nil {
		t.Error(err)
	}
	if _, err := msk.UpdateTopic(ctx, &kafka.UpdateTopicInput{
		ClusterArn: &arn, TopicName: new("orders"), Configs: new(base64.StdEncoding.EncodeToString([]byte(`{"cleanup.policy":"compact"}`))),
	}); err != nil {
		t.Error(err)
	}
	about, err := msk.DescribeTopic(ctx, &kafka.DescribeTopicInput{ClusterArn: &arn, TopicName: new("orders")})
	if err != nil {
		t.Fatal(err)
	}
	configs, err := base64.StdEncoding.DecodeString(*about.Configs)
	if err != nil || string(configs) != `{"cleanup.policy":"compact","retention.ms":"60000"}` || *about.PartitionCount != 4 || *about.ReplicationFactor != 3 {
		t.Errorf("%+v %s, %v", about, configs, err)
	}
	partitions, err := msk.DescribeTopicPartitions(ctx, &kafka.DescribeTopicPartitionsInput{ClusterArn: &arn, TopicName: new("orders")})
	if err != nil || len(partitions.Partitions) != 4 || *partitions.Partitions[3].Leader != 1 {
		t.Errorf("%+v, %v", partitions, err)
	}
	for name, in := range map[string]*kafka.CreateTopicInput{
		"TopicExistsException": {TopicName: new("orders"), PartitionCount: new(int32(1))},
		"name is invalid":      {TopicName: new("a b"), PartitionCount: new(int32(1))},
		"Excessively large":    {TopicName: new("b"), PartitionCount: new(int32(1_000_000))},
	} {
		in.ClusterArn, in.ReplicationFactor = &arn, new(int32(1))
		if _, err := msk.CreateTopic(ctx, in); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := msk.DeleteTopic(ctx, &kafka.DeleteTopicInput{ClusterArn: &arn, TopicName: new("orders")}); err != nil {
		t.Error(err)
	}
	if got := topicNames(t, clusterClient(t, addresses, nil)); len(got) != 0 {
		t.Errorf("topics %v", got)
	}
}

// A port of the range that is taken is passed by; when none is left, the cluster is refused and the message names the setting.
func TestClustersHaveAFewPorts(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	ports := fmt.Sprintf("%d-%d", port, port)
	n := start(t, app.Config{MSKPorts: ports}, app.Deps{})
	_, err = mskClient(n).CreateCluster(t.Context(), &kafka.CreateClusterInput{
		ClusterName: new("a"), KafkaVersion: new("3.6.0"), NumberOfBrokerNodes: new(int32(2)),
		BrokerNodeGroupInfo: &types.BrokerNodeGroupInfo{InstanceType: new("kafka.m5.large"), ClientSubnets: []string{"a", "b"}},
	})
	if err == nil || !strings.Contains(err.Error(), "no port is free of "+ports+" (--msk-ports). Delete a cluster") {
		t.Error(err)
	}
	for _, wrong := range []string{"x", "0-5", "5-4", "1-1001", "9192", "70000-70001"} {
		if err := (app.Config{MSKPorts: wrong}).Validate(); err == nil || !strings.Contains(err.Error(), "msk-ports") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

// A cluster's clients have the passwords of associated secrets, and new ones as soon as the secret has.
func TestClientsOfClustersHavePasswords(t *testing.T) {
	ctx, data := t.Context(), t.TempDir()
	n := start(t, app.Config{Data: data, MSKPorts: "0"}, app.Deps{})
	msk := mskClient(n)
	store := secretsmanager.New(secretsmanager.Options{
		Region: "eu-west-1", BaseEndpoint: aws.String(n.Addresses().AWS), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "hunter2", ""),
		HTTPClient:  &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	})
	arn := newCluster(t, n, "a", types.ClientBrokerTls, func(in *kafka.CreateClusterInput) {
		in.ClientAuthentication = &types.ClientAuthentication{Sasl: &types.Sasl{Scram: &types.Scram{Enabled: new(true)}}}
	})
	secret, err := store.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
		Name: new("AmazonMSK_alice"), KmsKeyId: new("alias/mine"), SecretString: new(`{"username":"alice","password":"first"}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	done, err := msk.BatchAssociateScramSecret(ctx, &kafka.BatchAssociateScramSecretInput{ClusterArn: &arn, SecretArnList: []string{*secret.ARN}})
	if err != nil || len(done.UnprocessedScramSecrets) != 0 {
		t.Fatal(done, err)
	}
	out, err := msk.GetBootstrapBrokers(ctx, &kafka.GetBootstrapBrokersInput{ClusterArn: &arn})
	if err != nil || out.BootstrapBrokerStringTls != nil {
		t.Fatal(out, err)
	}
	roots := trust(t, data)
	ping := func(password string) error {
		client := clusterClient(t, *out.BootstrapBrokerStringSaslScram, roots, kgo.SASL(scram.Auth{User: "alice", Pass: password}.AsSha512Mechanism()), kgo.RetryTimeout(time.Second))
		defer client.Close()
		return client.Ping(ctx)
	}
	if err := ping("first"); err != nil {
		t.Error(err)
	}
	if _, err := store.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: secret.ARN, SecretString: new(`{"username":"alice","password":"second"}`)}); err != nil {
		t.Fatal(err)
	}
	if err := ping("second"); err != nil {
		t.Error(err)
	}
	if err := ping("first"); err == nil {
		t.Error("the old password is still good")
	}
	if _, err := msk.RebootBroker(ctx, &kafka.RebootBrokerInput{ClusterArn: &arn, BrokerIds: []string{"1"}}); err != nil {
		t.Error(err)
	}
	if err := ping("second"); err != nil {
		t.Error(err)
	}
	if _, err := msk.BatchDisassociateScramSecret(ctx, &kafka.BatchDisassociateScramSecretInput{ClusterArn: &arn, SecretArnList: []string{*secret.ARN}}); err != nil {
		t.Error(err)
	}
	if err := ping("second"); err == nil {
		t.Error("a user of no secret is let in")
	}
}

// Clients of a cluster with IAM, and of a serverless one, sign with the node's access keys.
func TestClientsOfClustersSign(t *testing.T) {
	ctx, data := t.Context(), t.TempDir()
	n := start(t, app.Config{Data: data, MSKPorts: "0", Auth: app.AuthVerify, AccessKeys: []string{"AKID:hunter2"}}, app.Deps{})
	t.Setenv("AWS_REGION", "eu-west-1")
	msk := mskClient(n)
	made, err := msk.CreateClusterV2(ctx, &kafka.CreateClusterV2Input{ClusterName: new("serverless"), Serverless: &types.ServerlessRequest{
		VpcConfigs:           []types.VpcConfig{{SubnetIds: []string{"a", "b"}}},
		ClientAuthentication: &types.ServerlessClientAuthentication{Sasl: &types.ServerlessSasl{Iam: &types.Iam{Enabled: new(true)}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	provisioned := newCluster(t, n, "provisioned", types.ClientBrokerTls, func(in *kafka.CreateClusterInput) {
		in.ClientAuthentication = &types.ClientAuthentication{Sasl: &types.Sasl{Iam: &types.Iam{Enabled: new(true)}}}
	})
	for _, arn := range []string{*made.ClusterArn, provisioned} {
		out, err := msk.GetBootstrapBrokers(ctx, &kafka.GetBootstrapBrokersInput{ClusterArn: &arn})
		if err != nil || out.BootstrapBrokerStringTls != nil {
			t.Fatal(out, err)
		}
		signing := func(secret string) *kgo.Client {
			return clusterClient(t, *out.BootstrapBrokerStringSaslIam, trust(t, data), kgo.SASL(awsiam.Auth{AccessKey: "AKID", SecretKey: secret}.AsManagedStreamingIAMMechanism()), kgo.RetryTimeout(time.Second))
		}
		client := signing("hunter2")
		if _, err := kadm.NewClient(client).CreateTopic(ctx, 1, -1, nil, "orders"); err != nil {
			t.Fatal(err)
		}
		produce(t, client, "orders", "one")
		if err := signing("other").Ping(ctx); err == nil {
			t.Error("a client is let in whose secret is wrong")
		}
	}
}

// Clients of a cluster with authorities show a certificate, whose name is who they are.
func TestClientsOfClustersShowCertificates(t *testing.T) {
	ctx, data := t.Context(), t.TempDir()
	const arn = "arn:aws:acm-pca:us-east-1:000000000000:certificate-authority/0f8fad5b-d9cb-469f-a165-70867728950e"
	certificate, key := tlstest.Pair(t, pkix.Name{CommonName: "alice", Organization: []string{"orders"}}, time.Now())
	stranger, strange := tlstest.Pair(t, pkix.Name{CommonName: "mallory"}, time.Now())
	file := filepath.Join(t.TempDir(), "clients.pem")
	if err := os.WriteFile(file, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	n := start(t, app.Config{Data: data, MSKPorts: "0", MSKAuthorities: []string{arn + "=" + file}}, app.Deps{})
	made := newCluster(t, n, "certified", types.ClientBrokerTls, func(in *kafka.CreateClusterInput) {
		in.ClientAuthentication = &types.ClientAuthentication{Tls: &types.Tls{CertificateAuthorityArnList: []string{arn}, Enabled: new(true)}}
	})
	out, err := mskClient(n).GetBootstrapBrokers(ctx, &kafka.GetBootstrapBrokersInput{ClusterArn: &made})
	if err != nil {
		t.Fatal(err)
	}
	client := func(certificates ...tls.Certificate) *kgo.Client {
		config := trust(t, data)
		config.Certificates = certificates
		return clusterClient(t, *out.BootstrapBrokerStringTls, config, kgo.RetryTimeout(time.Second))
	}
	alice := client(tlstest.Keys(t, certificate, key))
	if _, err := kadm.NewClient(alice).CreateTopic(ctx, 1, -1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	produce(t, alice, "orders", "one")
	if err := client().Ping(ctx); err == nil {
		t.Error("a client without a certificate is let in")
	}
	if err := client(tlstest.Keys(t, stranger, strange)).Ping(ctx); err == nil {
		t.Error("a client is let in whose certificate nobody knows has signed")
	}
	rules := kadm.NewACLs().Topics("orders").ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpWrite).Deny("User:CN=alice,O=orders").DenyHosts("*")
	if _, err := kadm.NewClient(alice).CreateACLs(ctx, rules); err != nil {
		t.Fatal(err)
	}
	err = client(tlstest.Keys(t, certificate, key)).ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("two")}).FirstErr()
	if !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("alice writes where that is denied to the name in her certificate: %v", err)
	}
}

// TestWrongAuthoritiesAreRefused: each setting with what is wrong about it.
func TestWrongAuthoritiesAreRefused(t *testing.T) {
	const arn = "arn:aws:acm-pca:us-east-1:000000000000:certificate-authority/1"
	for _, row := range []struct {
		settings []string
		wrong    string
	}{
		{[]string{"clients.pem"}, "does not begin with the ARN"},
		{[]string{"arn:aws:kafka:us-east-1:000000000000:cluster/x=clusters_test.go"}, "does not begin with the ARN"},
		{[]string{arn + "=nowhere.pem"}, "nowhere.pem"},
		{[]string{arn + "=clusters_test.go", arn + "=clusters_test.go"}, "twice"},
	} {
		if err := (app.Config{MSKAuthorities: row.settings}).Validate(); err == nil || !strings.Contains(err.Error(), row.wrong) {
			t.Errorf("%q: %v", row.settings, err)
		}
	}
}
