package kit

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet/tests/process"
)

// Kafka is an installed Apache Kafka: its command line tools, which judge any server, and the server itself, the benchmarks' peer.
type Kafka struct {
	jars     string
	log4j    string
	Heap     string            // of a server, 1g as Kafka's own script has it
	Settings string            // more lines of its server.properties
	TLS      string            // the address of a second listener, with TLS; "" = none
	KeyStore string            // its certificate and key, a file in PEM
	SASL     string            // the address of a third listener, with PLAIN and SCRAM-SHA-256; "" = none
	Users    map[string]string // who come in there by PLAIN, and their passwords
	Plugins  string            // a directory of classes that they name
	Broker   *process.Process
}

// toolClasses are the programs by the names of Kafka's bin directory.
var toolClasses = map[string]string{
	"acls":                      "org.apache.kafka.tools.AclCommand",
	"broker-api-versions":       "org.apache.kafka.tools.BrokerApiVersionsCommand",
	"client-metrics":            "org.apache.kafka.tools.ClientMetricsCommand",
	"cluster":                   "org.apache.kafka.tools.ClusterTool",
	"configs":                   "kafka.admin.ConfigCommand",
	"console-consumer":          "org.apache.kafka.tools.consumer.ConsoleConsumer",
	"console-producer":          "org.apache.kafka.tools.ConsoleProducer",
	"console-share-consumer":    "org.apache.kafka.tools.consumer.ConsoleShareConsumer",
	"consumer-groups":           "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
	"consumer-perf-test":        "org.apache.kafka.tools.ConsumerPerformance",
	"delegation-tokens":         "org.apache.kafka.tools.DelegationTokenCommand",
	"delete-records":            "org.apache.kafka.tools.DeleteRecordsCommand",
	"end-to-end-latency":        "org.apache.kafka.tools.EndToEndLatency",
	"features":                  "org.apache.kafka.tools.FeatureCommand",
	"get-offsets":               "org.apache.kafka.tools.GetOffsetShell",
	"groups":                    "org.apache.kafka.tools.GroupsCommand",
	"leader-election":           "org.apache.kafka.tools.LeaderElectionCommand",
	"log-dirs":                  "org.apache.kafka.tools.LogDirsCommand",
	"metadata-quorum":           "org.apache.kafka.tools.MetadataQuorumCommand",
	"producer-perf-test":        "org.apache.kafka.tools.ProducerPerformance",
	"reassign-partitions":       "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
	"replica-verification":      "org.apache.kafka.tools.ReplicaVerificationTool",
	"share-groups":              "org.apache.kafka.tools.consumer.group.ShareGroupCommand",
	"streams-groups":            "org.apache.kafka.tools.streams.StreamsGroupCommand",
	"topics":                    "org.apache.kafka.tools.TopicCommand",
	"transactions":              "org.apache.kafka.tools.TransactionsCommand",
	"verifiable-consumer":       "org.apache.kafka.tools.VerifiableConsumer",
	"verifiable-producer":       "org.apache.kafka.tools.VerifiableProducer",
	"verifiable-share-consumer": "org.apache.kafka.tools.VerifiableShareConsumer",
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
		"-Djava.awt.headless=true", "-Dlog4j2.configurationFile=" + k.log4j, "-Xmx" + heap, "-cp", k.classpath(),
	}, more...)
}

func (k *Kafka) classpath() string {
	path := filepath.Join(k.jars, "*")
	if k.Plugins != "" {
		path += string(os.PathListSeparator) + k.Plugins
	}
	return path
}

// Compile compiles classes that plug into Kafka, and makes them its Plugins.
func (k *Kafka) Compile(ctx context.Context, name string, sources ...string) (err error) {
	k.Plugins, err = Javac(ctx, name, k.jars, sources...)
	return err
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
	if err := os.WriteFile(properties, []byte(k.properties(dir, address, controller[0], durable)+k.Settings), 0o644); err != nil {
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

func (k *Kafka) properties(dir, address, controller string, durable bool) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		panic(err) // an address that this program made
	}
	listeners, keys := "PLAINTEXT://127.0.0.1:"+port+",CONTROLLER://"+controller, ""
	if k.TLS != "" {
		listeners += ",SSL://" + k.TLS
		keys = "ssl.keystore.type=PEM\nssl.keystore.location=" + k.KeyStore + "\n"
	}
	if k.SASL != "" {
		listeners += ",SASL_PLAINTEXT://" + k.SASL
		keys += k.logins()
	}
	text := `process.roles=broker,controller
node.id=1
listeners=` + listeners + `
advertised.listeners=` + listeners + `
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=` + controller + `
log.dirs=` + filepath.Join(dir, "data") + `
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
` + keys
	if durable {
		text += "log.flush.interval.messages=1\n"
	}
	return text
}

// logins are the settings of the listener with SASL.
func (k *Kafka) logins() string {
	const listener, modules = "listener.name.sasl_plaintext.", "org.apache.kafka.common.security."
	var users strings.Builder
	for _, name := range slices.Sorted(maps.Keys(k.Users)) {
		fmt.Fprintf(&users, " user_%s=%q", name, k.Users[name])
	}
	return listener + "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256\n" +
		listener + "plain.sasl.jaas.config=" + modules + "plain.PlainLoginModule required" + users.String() + ";\n" +
		listener + "scram-sha-256.sasl.jaas.config=" + modules + "scram.ScramLoginModule required;\n"
}
