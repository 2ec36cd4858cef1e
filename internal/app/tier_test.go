package app_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/clock/clocktest"
)

// tieredTopic makes a topic whose segments go to objects, with records of 10 KiB that are 4 MiB together.
func tieredTopic(t *testing.T, n running, name string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(n.Addresses().Kafka), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	value := func(s string) *string { return &s }
	_, err = kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, map[string]*string{
		"remote.storage.enable": value("true"), "segment.bytes": value("1048576"), "local.retention.ms": value("1"),
	}, name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 400 {
		record := &kgo.Record{Topic: name, Value: bytes.Repeat(fmt.Appendf(nil, "%08d", i), 10<<10/8)}
		if err := client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// alterTopic changes a config, which has the tier look at all topics.
func alterTopic(t *testing.T, client *kgo.Client, name, key, value string) error {
	t.Helper()
	answers, err := kadm.NewClient(client).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: key, Value: &value}}, name)
	if err != nil {
		t.Fatal(err)
	}
	return answers[0].Err
}

// offsetAt asks for an offset by one of the times with a meaning of their own.
func offsetAt(t *testing.T, client *kgo.Client, name string, ask int64) int64 {
	t.Helper()
	answers, err := kadm.NewClient(client).ListOffsetsAfterMilli(t.Context(), ask, name)
	if err != nil {
		t.Fatal(err)
	}
	o, _ := answers.Lookup(name, 0)
	if o.Err != nil {
		t.Fatal(o.Err)
	}
	return o.Offset
}

// consume reads so many records of a topic from its start: each has its number in it.
func consume(t *testing.T, n running, name string, records int) {
	t.Helper()
	consumer, err := kgo.NewClient(kgo.SeedBrokers(n.Addresses().Kafka), kgo.ConsumeTopics(name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	for i := 0; i < records; {
		fetches := consumer.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if want := fmt.Sprintf("%08d", i); r.Offset != int64(i) || string(r.Value[:8]) != want || len(r.Value) != 10<<10 {
				t.Fatalf("record %d at offset %d is %.8s of %d bytes", i, r.Offset, r.Value, len(r.Value))
			}
			i++
		})
	}
}

func segmentsIn(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "tier/*/*/*/*.segment"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestOlderSegmentsAreReadFromTheTier: what the log has lost is read from there, also after a restart; it goes with the topic.
func TestOlderSegmentsAreReadFromTheTier(t *testing.T) {
	config := app.Config{Data: t.TempDir(), Tier: t.TempDir()}
	node := start(t, config, app.Deps{})
	client := kafkaClient(t, node)
	tieredTopic(t, node, "t")
	if err := alterTopic(t, client, "t", "local.retention.ms", "2"); err != nil {
		t.Fatal(err)
	}
	const earliest, earliestLocal, latestTiered = -2, -4, -5
	clocktest.Eventually(t, "the log loses segments", func() bool { return offsetAt(t, client, "t", earliestLocal) > 300 })
	local := offsetAt(t, client, "t", earliestLocal)
	if start, tiered := offsetAt(t, client, "t", earliest), offsetAt(t, client, "t", latestTiered); start != 0 || tiered != local-1 {
		t.Errorf("it begins with %d, objects end with %d, the log begins with %d", start, tiered, local)
	}
	if found := segmentsIn(t, config.Tier); len(found) != 3 {
		t.Errorf("segments: %v", found)
	}
	consume(t, node, "t", 400)
	if _, page := get(t, node.Addresses().AWS+"/metrics"); !strings.Contains(page, "freshet_tier_copied_segments_total 3") {
		t.Error("the metrics do not say what was copied")
	}
	client.Close()
	if err := node.stop(); err != nil {
		t.Fatal(err)
	}
	var wrong *app.ConfigError
	if _, err := app.Start(t.Context(), app.Config{Data: config.Data, Kafka: "127.0.0.1:0", AWS: "127.0.0.1:0"}, app.Deps{}); !errors.As(err, &wrong) || wrong.Key != "tier" {
		t.Errorf("start without the tier: %v", err)
	}

	node = start(t, config, app.Deps{})
	client = kafkaClient(t, node)
	consume(t, node, "t", 400)
	if _, err := kadm.NewClient(client).DeleteTopic(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	clocktest.Eventually(t, "the objects go with the topic", func() bool { return len(segmentsIn(t, config.Tier)) == 0 })
}

// TestTiersAreRefusedWithoutOne: in Kafka's words.
func TestTiersAreRefusedWithoutOne(t *testing.T) {
	node := start(t, app.Config{}, app.Deps{})
	client := kafkaClient(t, node)
	on := "true"
	answer, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, map[string]*string{"remote.storage.enable": &on}, "t")
	if err == nil || !strings.Contains(answer.ErrMessage, "Tiered Storage functionality is disabled in the broker.") {
		t.Errorf("create: %v, %q", err, answer.ErrMessage)
	}
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "u", Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := alterTopic(t, client, "u", "remote.storage.enable", "true"); err == nil {
		t.Error("a topic was altered to be tiered")
	}
}

// TestTierIsMadeWhenItIsNeeded: nothing is written there before.
func TestTierIsMadeWhenItIsNeeded(t *testing.T) {
	place := filepath.Join(t.TempDir(), "not", "there")
	node := start(t, app.Config{Tier: place}, app.Deps{})
	if err := kafkaClient(t, node).ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(place); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the place of the tier: %v", err)
	}
}

func TestTheTierHasADirectoryOfItsOwn(t *testing.T) {
	data := t.TempDir()
	c := app.Config{Data: data, Tier: app.ObjectsDir(data), Kafka: "127.0.0.1:0", AWS: "127.0.0.1:0"}
	var wrong *app.ConfigError
	if _, err := app.Start(t.Context(), c, app.Deps{}); !errors.As(err, &wrong) || wrong.Key != "tier" {
		t.Errorf("start: %v", err)
	}
}
