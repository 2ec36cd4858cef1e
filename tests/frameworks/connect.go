package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet/freshet/tests/kit"
	"github.com/freshet/freshet/tests/process"
)

const connectTopic, connectLines = "connected", 2000

// connect runs a worker of Kafka Connect in distributed mode with a source that reads a file into a topic, exactly once, and a sink that writes that
// topic into another file. Worker and node are killed meanwhile: the topic has each line once and in order, the other file each at least once.
func connect(ctx context.Context, r *rig) error {
	address, worker, err := connectWorker(ctx, r, "exactly.once.source.support=enabled")
	if err != nil {
		return err
	}
	p, err := process.Start(worker)
	if err != nil {
		return err
	}
	defer func() { p.Kill() }()
	from, to := filepath.Join(r.dir, "from.txt"), filepath.Join(r.dir, "to.txt")
	source, err := os.Create(from)
	if err != nil {
		return err
	}
	defer source.Close()
	connectors := map[string]map[string]string{
		"source": {"connector.class": "FileStreamSource", "tasks.max": "1", "file": from, "topic": connectTopic},
		"sink":   {"connector.class": "FileStreamSink", "tasks.max": "1", "file": to, "topics": connectTopic},
	}
	for name, config := range connectors {
		if err := r.connector(ctx, p, address, name, config); err != nil {
			return err
		}
	}
	for i := range connectLines {
		if _, err := fmt.Fprintf(source, "line %d\n", i); err != nil {
			return err
		}
		if (i+1)%(connectLines/(r.kills+1)) != 0 || i > connectLines*9/10 {
			continue
		}
		time.Sleep(time.Duration(500+r.rnd.IntN(4000)) * time.Millisecond)
		if r.node != nil && r.rnd.IntN(2) == 0 {
			fmt.Println("kill -9 of the node")
			r.node.Kill()
			if _, err := r.node.Start(ctx); err != nil {
				return err
			}
			continue
		}
		fmt.Println("kill -9 of the worker")
		p.Kill()
		if p, err = process.Start(worker); err != nil {
			return err
		}
	}
	if err := judgeConnectTopic(ctx, r, p); err != nil {
		return err
	}
	return judgeConnectFile(ctx, to, p)
}

// connectWorker returns the worker's REST address and its command. More lines of its properties follow.
func connectWorker(ctx context.Context, r *rig, more ...string) (string, process.Command, error) {
	jars, err := connectJars(ctx)
	if err != nil {
		return "", process.Command{}, err
	}
	addresses, err := process.FreeAddresses(1)
	if err != nil {
		return "", process.Command{}, err
	}
	properties := filepath.Join(r.dir, "worker.properties")
	text := strings.Join(append([]string{
		"bootstrap.servers=" + r.kafka, "group.id=connect", "listeners=HTTP://" + addresses[0],
		"config.storage.topic=connect-configs", "offset.storage.topic=connect-offsets", "status.storage.topic=connect-status",
		"config.storage.replication.factor=1", "offset.storage.replication.factor=1", "status.storage.replication.factor=1",
		"key.converter=org.apache.kafka.connect.storage.StringConverter", "value.converter=org.apache.kafka.connect.storage.StringConverter",
		"offset.flush.interval.ms=500", "session.timeout.ms=6000", "heartbeat.interval.ms=2000",
		"plugin.discovery=only_scan", "scheduled.rebalance.max.delay.ms=0",
	}, more...), "\n")
	if err := os.WriteFile(properties, []byte(text+"\n"), 0o644); err != nil {
		return "", process.Command{}, err
	}
	return addresses[0], process.Command{
		Name: "Connect", Path: "java", Log: filepath.Join(r.dir, "connect.log"),
		Args: []string{
			"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m", "-Djava.io.tmpdir=" + r.dir, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", filepath.Join(jars, "*"),
			"org.apache.kafka.connect.cli.ConnectDistributed", properties,
		},
	}, nil
}

func connectJars(ctx context.Context) (string, error) {
	root, err := process.ModuleRoot()
	if err != nil {
		return "", err
	}
	return kit.Maven(ctx, "kafka-connect", filepath.Join(root, "tests", "frameworks", "java", "connect-pom.xml"))
}

// connector creates a connector once the worker serves.
func (r *rig) connector(ctx context.Context, worker *process.Process, address, name string, config map[string]string) error {
	body, err := json.Marshal(config)
	if err != nil {
		return err
	}
	url := fmt.Sprintf("http://%s/connectors/%s/config", address, name)
	for deadline := time.Now().Add(patience); ; time.Sleep(500 * time.Millisecond) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		answer := fmt.Sprint(err)
		if err == nil {
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode < 300 {
				return nil
			}
			answer = resp.Status + " " + string(text)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("connector %s: %s; %s", name, answer, worker.Tail(4000))
		}
	}
}

// judgeConnectTopic wants every line in the topic, once and in order.
func judgeConnectTopic(ctx context.Context, r *rig, worker *process.Process) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the topic is not complete after %s", patience))
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.kafka), kgo.ConsumeTopics(connectTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	defer cl.Close()
	for next := 0; next < connectLines; {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %d of %d lines; %s", context.Cause(ctx), next, connectLines, worker.Tail(4000))
		}
		for _, record := range fetches.Records() {
			if want := fmt.Sprint("line ", next); string(record.Value) != want {
				return fmt.Errorf("offset %d has %q, not %q", record.Offset, record.Value, want)
			}
			next++
		}
	}
	fmt.Printf("source: %d lines exactly once across %d kills\n", connectLines, r.kills)
	return nil
}

// judgeConnectFile wants every line in the sink's file.
func judgeConnectFile(ctx context.Context, path string, worker *process.Process) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(500 * time.Millisecond) {
		text, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		lines, missing := strings.Split(string(text), "\n"), 0
		seen := map[string]bool{}
		for _, line := range lines {
			seen[line] = true
		}
		for i := range connectLines {
			if !seen[fmt.Sprint("line ", i)] {
				missing++
			}
		}
		switch {
		case missing == 0:
			fmt.Printf("sink: %d lines, %d of them again after a kill\n", connectLines, len(lines)-1-connectLines)
			return nil
		case time.Now().After(deadline) || ctx.Err() != nil:
			return fmt.Errorf("the sink lacks %d lines; %s", missing, worker.Tail(4000))
		}
	}
}
