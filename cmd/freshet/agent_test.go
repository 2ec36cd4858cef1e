package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// arrived waits until a stream, which may not be there yet, has n records in its first shard.
func arrived(t *testing.T, client *kinesis.Client, stream string, n int) bool {
	t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-look.C {
		there, err := client.ListStreams(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(there.StreamNames, stream) && len(kinesisRecords(t, client, stream, 0)) == n {
			return true
		}
	}
	return false
}

// TestAgentFollowsAFileAndCounts runs the agent as users do: it makes the stream, sends what is in a file and what is written to it, and says so.
func TestAgentFollowsAFileAndCounts(t *testing.T) {
	node := startChild(t, t.TempDir())
	dir := t.TempDir()
	path := filepath.Join(dir, "events.json")
	write := func(text string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"user":"ann","n":1}` + "\n" + "no object\n")
	command := exec.Command(os.Args[0], "agent", path, "--stream", "events", "--create", "1", "--format", "json", "--key", "user",
		"--endpoint", node.AWS, "--checkpoint", filepath.Join(dir, "checkpoint"), "--json")
	command.Env = append(os.Environ(), asProgram+"=1")
	var out, log strings.Builder
	command.Stdout, command.Stderr = &out, &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = command.Process.Kill() }() // has ended when all went well
	client := node.kinesisClient()
	if !arrived(t, client, "events", 1) {
		t.Fatalf("what was there has not arrived\n%s", &log)
	}
	write(`{"user":"bob","n":2}` + "\n")
	if !arrived(t, client, "events", 2) {
		t.Fatalf("what was written has not arrived\n%s", &log)
	}
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("the agent ended with %v\n%s", err, &log)
	}
	var counts struct {
		Stream                     string
		Lines, Records, Bad, Bytes int64
	}
	if err := json.Unmarshal([]byte(out.String()), &counts); err != nil || counts.Stream != "events" || counts.Lines != 3 || counts.Records != 2 ||
		counts.Bad != 1 || counts.Bytes != 40 {
		t.Errorf("counts %q, %v", &out, err)
	}
	for line := range strings.Lines(log.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("the log has a line that is no JSON: %s", line)
		}
	}
	if last := kinesisRecords(t, client, "events", 0)[1]; *last.PartitionKey != "bob" {
		t.Errorf("the key is %q", *last.PartitionKey)
	}
}

// TestAgentsDoNotShareACheckpoint: of two agents with one checkpoint each would write its own marks over the other's.
func TestAgentsDoNotShareACheckpoint(t *testing.T) {
	t.Chdir(t.TempDir())
	stopped, stop := context.WithCancel(t.Context())
	stop()
	start := func(checkpoint string) error {
		c := agentCmd{Files: []string{"a.log"}, Stream: "two", Checkpoint: checkpoint, Endpoint: "http://127.0.0.1:1"}
		return c.Run(&terminal{ctx: stopped, stdout: io.Discard, stderr: io.Discard})
	}
	first := agentCmd{Checkpoint: "freshet-agent-two.checkpoint"}
	lock, err := first.lock()
	if err != nil {
		t.Fatal(err)
	}
	if err := start(""); exitCode(err) != exitLocked || !strings.Contains(err.Error(), "--checkpoint") {
		t.Errorf("the second agent ends with %v", err)
	}
	if err := start("other.checkpoint"); err != nil {
		t.Errorf("an agent with its own checkpoint ends with %v", err)
	}
	if err := start("no-such-directory/checkpoint"); exitCode(err) != exitUsage {
		t.Errorf("an agent whose checkpoint cannot be kept ends with %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // each gives the lock up
		if err := start(""); err != nil {
			t.Errorf("an agent after the first has ended: %v", err)
		}
	}
}
