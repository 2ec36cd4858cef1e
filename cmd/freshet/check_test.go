package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// output runs a command line in this process and returns its exit code and what it printed.
func output(args ...string) (int, string) {
	var out strings.Builder
	return run(args, &out, &out), out.String()
}

// TestCheckNamesDamage kills a node, finds its directory sound, flips one byte of a record and wants it found.
func TestCheckNamesDamage(t *testing.T) {
	data := t.TempDir()
	node := startChild(t, data)
	producer := node.kafkaClient(t, kgo.AllowAutoTopicCreation())
	const records = 100
	for i := range records {
		record := &kgo.Record{Topic: "t", Key: []byte("key"), Value: fmt.Appendf(nil, "value number %d", i)}
		if err := producer.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if code, said := output("check", data); code != exitLocked {
		t.Errorf("while the node runs: exit code %d, %s", code, said)
	}
	node.kill(t)

	code, said := output("check", data)
	if code != exitOK || !strings.Contains(said, ": sound\n") || !strings.Contains(said, "1 with 1 shards") {
		t.Fatalf("after kill: exit code %d, %s", code, said)
	}
	if err := os.WriteFile(filepath.Join(data, "log", "notes.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said = output("check", data); code != exitOK || !strings.Contains(said, ": sound\n") || !strings.Contains(said, "stray        "+filepath.Join("log", "notes.txt")) {
		t.Fatalf("with a file that is not the log's: exit code %d, %s", code, said)
	}
	code, said = output("dump", data, "--stream", "t", "--shard", "0", "--from", "7", "--limit", "1", "--records")
	at := regexp.MustCompile(`^log/(\S+) .*\n +batch t/0 offset=7\.\.7 byte=(\d+) size=(\d+) .*\n +record offset=7 .* key="key" value="value number 7"`).FindStringSubmatch(said)
	if code != exitOK || at == nil {
		t.Fatalf("dump: exit code %d, %s", code, said)
	}
	flip(t, filepath.Join(data, "log", at[1]), at[2], at[3])

	code, said = output("check", data)
	if code != exitDamaged || !strings.Contains(said, "DAMAGED") || !strings.Contains(said, at[1]+" byte "+at[2]) {
		t.Errorf("flipped bit in %s at batch %s: exit code %d, %s", at[1], at[2], code, said)
	}
	code, said = output("check", "--json", data)
	var found checked
	if err := json.Unmarshal([]byte(strings.SplitAfter(said, "\n")[0]), &found); err != nil || code != exitDamaged || found.Sound || len(found.Damage) == 0 {
		t.Errorf("as JSON: exit code %d, %v, %s", code, err, said)
	}
	if code, said := output("dump", data); code != exitDamaged {
		t.Errorf("dump: exit code %d, %s", code, said)
	}
	if code, said := runFreshet(t, "--data", data, "--kafka", "127.0.0.1:0", "--aws", "127.0.0.1:0"); code != exitDamaged || !strings.Contains(said, at[1]) {
		t.Errorf("serve: exit code %d, %s", code, said)
	}
}

// flip changes one bit at the end of the batch at byte at of size bytes.
func flip(t *testing.T, path, at, size string) {
	t.Helper()
	begin, err := strconv.Atoi(at)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(size)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[begin+n-1] ^= 4
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
