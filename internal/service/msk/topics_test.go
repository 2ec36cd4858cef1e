package msk

import (
	"encoding/base64"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/kafka"
	"github.com/aws/aws-sdk-go-v2/service/kafka/types"
)

func encoded(text string) *string { return new(base64.StdEncoding.EncodeToString([]byte(text))) }

// The calls of aws_msk_topic: create, describe until it is active, update, delete, describe until it is gone.
func TestTopicsLiveAndDie(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	c := r.created(seed("a"))
	created := ok[*sdk.CreateTopicOutput](t)(r.CreateTopic(ctx, &sdk.CreateTopicInput{
		ClusterArn: c.ClusterArn, TopicName: new("orders"), PartitionCount: new(int32(2)), ReplicationFactor: new(int32(3)),
		Configs: encoded(`{"retention.ms":1000,"cleanup.policy":"delete","preallocate":true}`),
	}))
	if want := strings.Replace(*c.ClusterArn, ":cluster/", ":topic/", 1) + "/orders"; *created.TopicArn != want || *created.TopicName != "orders" || created.Status != types.TopicStateCreating {
		t.Errorf("%+v", created)
	}
	describe := func() *sdk.DescribeTopicOutput {
		t.Helper()
		return ok[*sdk.DescribeTopicOutput](t)(r.DescribeTopic(ctx, &sdk.DescribeTopicInput{ClusterArn: c.ClusterArn, TopicName: new("orders")}))
	}
	if d := describe(); d.Status != types.TopicStateActive || *d.PartitionCount != 2 || *d.ReplicationFactor != 3 || *d.TopicArn != *created.TopicArn ||
		*d.Configs != *encoded(`{"cleanup.policy":"delete","preallocate":"true","retention.ms":"1000"}`) {
		t.Errorf("%+v %s", d, *d.Configs)
	}
	update := func(in *sdk.UpdateTopicInput) error {
		in.ClusterArn, in.TopicName = c.ClusterArn, new("orders")
		out, err := r.UpdateTopic(ctx, in)
		if err == nil && (out.Status != types.TopicStateUpdating || *out.TopicArn != *created.TopicArn) {
			t.Errorf("%+v", out)
		}
		return err
	}
	if err := update(&sdk.UpdateTopicInput{Configs: encoded(`{"retention.ms":"2000"}`)}); err != nil {
		t.Error(err)
	}
	if err := update(&sdk.UpdateTopicInput{PartitionCount: new(int32(101))}); err != nil {
		t.Error(err)
	}
	if d := describe(); *d.PartitionCount != 101 || *d.Configs != *encoded(`{"cleanup.policy":"delete","preallocate":"true","retention.ms":"2000"}`) {
		t.Errorf("%+v", d)
	}
	partitions := 0
	for pages := sdk.NewDescribeTopicPartitionsPaginator(r, &sdk.DescribeTopicPartitionsInput{ClusterArn: c.ClusterArn, TopicName: new("orders")}); pages.HasMorePages(); {
		partitions += len(ok[*sdk.DescribeTopicPartitionsOutput](t)(pages.NextPage(ctx)).Partitions)
	}
	if partitions != 101 {
		t.Errorf("%d partitions", partitions)
	}
	refusedWith(t, update(&sdk.UpdateTopicInput{}), "BadRequestException", "", "either configs or partitionCount")
	refusedWith(t, update(&sdk.UpdateTopicInput{Configs: encoded("{}"), PartitionCount: new(int32(9))}), "BadRequestException", "", "either configs or partitionCount")
	refusedWith(t, update(&sdk.UpdateTopicInput{PartitionCount: new(int32(101))}), "BadRequestException", "partitionCount", "greater than the current one, 101")
	for _, wrong := range []string{"?", *encoded("[]"), *encoded(`{"a":null}`), *encoded(`{"a":[1]}`), *encoded(`{"a":{}}`), *encoded(strings.Repeat(" ", 64<<10) + "{}")} {
		refusedWith(t, update(&sdk.UpdateTopicInput{Configs: &wrong}), "BadRequestException", "configs", "configuration")
	}
	deleted := ok[*sdk.DeleteTopicOutput](t)(r.DeleteTopic(ctx, &sdk.DeleteTopicInput{ClusterArn: c.ClusterArn, TopicName: new("orders")}))
	if deleted.Status != types.TopicStateDeleting {
		t.Errorf("%+v", deleted)
	}
	_, err := r.DescribeTopic(ctx, &sdk.DescribeTopicInput{ClusterArn: c.ClusterArn, TopicName: new("orders")})
	refusedWith(t, err, "NotFoundException", "topicName", "does not exist")
	_, err = r.DeleteTopic(ctx, &sdk.DeleteTopicInput{ClusterArn: c.ClusterArn, TopicName: new("orders")})
	refusedWith(t, err, "NotFoundException", "topicName", "does not exist")
}

func TestTopicsAreListedAndWrongOnesRefused(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	c := r.created(seed("a"))
	create := func(name string, factor int32, configs string) error {
		_, err := r.CreateTopic(ctx, &sdk.CreateTopicInput{
			ClusterArn: c.ClusterArn, TopicName: &name, PartitionCount: new(int32(1)), ReplicationFactor: &factor, Configs: encoded(configs),
		})
		return err
	}
	for _, name := range []string{"b", "a1", "a2"} {
		if err := create(name, 2, "{}"); err != nil {
			t.Fatal(err)
		}
	}
	refusedWith(t, create("b", 2, "{}"), "TopicExistsException", "topicName", "there is one")
	refusedWith(t, create("c", 4, "{}"), "BadRequestException", "replicationFactor", "number of brokers, 3")
	refusedWith(t, create("c", 1, `{"wrong":"1"}`), "BadRequestException", "configs", "Unknown topic config name: wrong")
	// A client deletes one and makes another of the name: what was asked of the first is not said of the second.
	for _, topics := range r.plane.topics {
		delete(topics, "a1")
		other := *topics["a2"]
		other.Topic, other.TopicID = new("a1"), [16]byte{255}
		topics["a1"] = &other
		delete(topics, "b")
	}
	if err := create("d", 3, "{}"); err != nil {
		t.Fatal(err)
	}
	noted, err := r.service.topics.list(ctx, "")
	if err != nil || len(noted) != 2 {
		t.Errorf("%d topics are noted, %v", len(noted), err)
	}
	var names []string
	for pages := sdk.NewListTopicsPaginator(r, &sdk.ListTopicsInput{ClusterArn: c.ClusterArn, MaxResults: new(int32(1)), TopicNameFilter: new("a")}); pages.HasMorePages(); {
		for _, topic := range ok[*sdk.ListTopicsOutput](t)(pages.NextPage(ctx)).Topics {
			names = append(names, *topic.TopicName)
			if want := map[string]int32{"a1": 1, "a2": 2}[*topic.TopicName]; *topic.ReplicationFactor != want || *topic.PartitionCount != 1 || *topic.OutOfSyncReplicaCount != 0 {
				t.Errorf("%+v", topic)
			}
		}
	}
	if strings.Join(names, " ") != "a1 a2" {
		t.Error(names)
	}
	if _, err := r.DeleteCluster(ctx, &sdk.DeleteClusterInput{ClusterArn: c.ClusterArn}); err != nil {
		t.Error(err)
	}
	if noted, err := r.service.topics.list(ctx, ""); err != nil || len(noted) != 0 {
		t.Errorf("%d topics are noted, %v", len(noted), err)
	}
}

func FuzzConfigs(f *testing.F) {
	f.Add(*encoded(`{"retention.ms":1000,"a":"b","c":true}`))
	f.Add("e30=")
	f.Fuzz(func(t *testing.T, text string) {
		configs, err := readConfigs(text)
		if (err == nil) == (configs == nil) {
			t.Errorf("%v, %v", configs, err)
		}
	})
}
