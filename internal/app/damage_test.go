package app_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet/freshet/internal/app"
)

// TestDamageIsToldToConsumersAndInTheLog: a consumer that only asks again and again, and says nothing, does not show that something is lost.
func TestDamageIsToldToConsumersAndInTheLog(t *testing.T) {
	c := app.Config{Data: t.TempDir()}
	node := start(t, c, app.Deps{})
	mark := []byte("bytes that will not be what was written")
	if err := kafkaClient(t, node).ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: mark}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := node.stop(); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	node = start(t, c, app.Deps{Logger: slog.New(slog.NewTextHandler(&log, nil))}) // a start reads the newest file and would refuse to go on
	flipBit(t, filepath.Join(c.Data, "log"), mark)
	reader, err := kgo.NewClient(kgo.SeedBrokers(node.Addresses().Kafka), kgo.ConsumeTopics("t"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepRetryableFetchErrors())
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.PollFetches(t.Context()).Err0(); !errors.Is(err, kerr.CorruptMessage) {
		t.Errorf("a consumer is told %v", err)
	}
	reader.Close()
	offsets, err := kadm.NewClient(kafkaClient(t, node)).ListOffsetsAfterMilli(t.Context(), time.Now().Add(-time.Hour).UnixMilli(), "t")
	if o, ok := offsets.Lookup("t", 0); err != nil || !ok || !errors.Is(o.Err, kerr.CorruptMessage) {
		t.Errorf("a search by time is told %v, %v", err, o.Err)
	}
	if _, metrics := get(t, node.Addresses().AWS+"/metrics"); !strings.Contains(metrics, "\nfreshet_log_corrupt_reads_total ") ||
		strings.Contains(metrics, "\nfreshet_log_corrupt_reads_total 0\n") {
		t.Error("the metrics do not say that reads met damage")
	}
	if err := node.stop(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"api=Fetch topic=t partition=0 offset=0", "api=ListOffsets topic=t partition=0"} {
		if !strings.Contains(log.String(), `level=ERROR msg="kafka read failed" part=kafka `+want) {
			t.Errorf("the log has no line with %q:\n%s", want, log.String())
		}
	}
}

// flipBit damages the one place in the files of a directory where mark stands.
func flipBit(t *testing.T, dir string, mark []byte) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := filepath.Join(dir, f.Name())
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(b, mark); at >= 0 {
			file, err := os.OpenFile(name, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			if _, err := file.WriteAt([]byte{b[at] ^ 4}, int64(at)); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no file in %s has the bytes", dir)
}
