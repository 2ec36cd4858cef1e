package kit

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/freshet/freshet/tests/process"
)

// Kafka is an installed Apache Kafka: its command line tools, which judge any server, and the server itself, the benchmarks' peer.
type Kafka struct {
	jars   string
	log4j  string
	Heap   string // of a server, 1g as Kafka's own script has it
	Broker *process.Process
}

// toolClasses are the programs by the names of Kafka's bin directory.
var toolClasses = map[string]string{
	"configs":            "kafka.admin.ConfigCommand",
	"console-consumer":   "org.apache.kafka.tools.consumer.ConsoleConsumer",
	"console-producer":   "org.apache.kafka.tools.ConsoleProducer",
	"consumer-groups":    "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
	"consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
	"delete-records":     "org.apache.kafka.tools.DeleteRecordsCommand",
	"end-to-end-latency": "org.apache.kafka.tools.EndToEndLatency",
	"get-offsets":        "org.apache.kafka.tools.GetOffsetShell",
	"log-dirs":           "org.apache.kafka.tools.LogDirsCommand",
	"producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
	"topics":             "org.apache.kafka.tools.TopicCommand",
}

// InstallKafka fetches the server and its tools in the version that tests/kit/kafka/pom.xml pins.
func InstallKafka(ctx context.Context) (*Kafka, error) {
	root, err := process.ModuleRoot()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(root, "tests", "kit", "kafka")
	jars, err := Maven(ctx, "kafka", filepath.Join(dir, "pom.xml"))
	if err != nil {
		return nil, err
	}
	return &Kafka{jars: jars, log4j: filepath.Join(dir, "log4j2.properties"), Heap: "1g"}, nil
}

// java returns the JVM's arguments as Kafka's scripts give them. G1 is named because a JVM that sees two cores would pick another collector.
func (k *Kafka) java(heap string, more ...string) []string {
	return append([]string{
		"-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent",
		"-Djava.awt.headless=true", "-Dlog4j2.configurationFile=" + k.log4j, "-Xmx" + heap, "-cp", filepath.Join(k.jars, "*"),
	}, more...)
}

// Tool returns the command of one of Kafka's programs.
func (k *Kafka) Tool(ctx context.Context, name string, args ...string) *exec.Cmd {
	class, ok := toolClasses[name]
	if !ok {
		panic("no tool of Kafka's is named " + name)
	}
	return exec.CommandContext(ctx, "java", append(k.java("512m", class), args...)...)
}

// ToolScript writes a program that runs Kafka's tools by name, for clients that are shell scripts: `script topics --list ...`.
func (k *Kafka) ToolScript(path string) error {
	var b strings.Builder
	b.WriteString("#!/usr/bin/env bash\nset -eu\ncase $1 in\n")
	for name, class := range toolClasses {
		fmt.Fprintf(&b, "  %s) class=%s ;;\n", name, class)
	}
	b.WriteString("  *) echo \"no tool is named $1\" >&2; exit 2 ;;\nesac\nshift\nexec java")
	for _, a := range k.java("512m") {
		fmt.Fprintf(&b, " '%s'", a)
	}
	// A quick compile is enough for a program that runs for a second.
	b.WriteString(" -XX:TieredStopAtLevel=1 \"$class\" \"$@\"\n")
	return os.WriteFile(path, []byte(b.String()), 0o755)
}

// Start formats a one-node cluster in dir unless it has data, runs it on address, and returns the time until it served. Its settings are
// Kafka's defaults with one replica; durable adds an fsync before every acknowledgement.
func (k *Kafka) Start(ctx context.Context, dir, address string, durable bool) (time.Duration, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	properties := filepath.Join(dir, "server.properties")
	controller, err := process.FreeAddresses(1)
	if err != nil {
		return 0, err
	}
	// A cluster that was formatted keeps its controller's address: it is in the quorum's own log.
	if kept, err := os.ReadFile(filepath.Join(dir, "controller")); err == nil {
		controller[0] = string(kept)
	} else if err := os.WriteFile(filepath.Join(dir, "controller"), []byte(controller[0]), 0o644); err != nil {
		return 0, err
	}
	if err := os.WriteFile(properties, []byte(kafkaProperties(dir, address, controller[0], durable)), 0o644); err != nil {
		return 0, err
	}
	if _, err := os.Stat(filepath.Join(dir, "data", "meta.properties")); err != nil {
		var id [16]byte
		rand.Read(id[:])
		id[0] &= 0x7f // no leading dash, which the tool would take for a flag
		format := exec.CommandContext(ctx, "java", append(k.java("256m", "kafka.tools.StorageTool", "format"), "--config", properties,
			"--standalone", "--cluster-id", base64.RawURLEncoding.EncodeToString(id[:]))...)
		if out, err := format.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("format Kafka: %w\n%s", err, out)
		}
	}
	began := time.Now()
	k.Broker, err = process.Start(process.Command{
		Name: "kafka", Path: "java", Log: filepath.Join(dir, "server.log"),
		Args: k.java(k.Heap, "-Xms"+k.Heap, "kafka.Kafka", properties),
	})
	if err != nil {
		return 0, err
	}
	if err := k.waitServing(ctx, address); err != nil {
		k.Broker.Kill()
		return 0, err
	}
	return time.Since(began), nil
}

// waitServing waits until the broker listens: Kafka opens the client port only when it is unfenced and serves.
func (k *Kafka) waitServing(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, fmt.Errorf("kafka does not listen on %s", address))
	defer cancel()
	return k.Broker.WaitTCP(ctx, address)
}

func kafkaProperties(dir, address, controller string, durable bool) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		panic(err) // an address that this program made
	}
	text := `process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:` + port + `,CONTROLLER://` + controller + `
advertised.listeners=PLAINTEXT://127.0.0.1:` + port + `,CONTROLLER://` + controller + `
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=` + controller + `
log.dirs=` + filepath.Join(dir, "data") + `
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
`
	if durable {
		text += "log.flush.interval.messages=1\n"
	}
	return text
}
