package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/freshet/freshet/tests/kit"
)

// protocol is what a client speaks.
type protocol string

const (
	kafkaProtocol  protocol = "kafka"
	awsProtocol    protocol = "aws"
	queueProtocol  protocol = "queue"         // of Kafka, as far as share groups go: few clients have them
	nextProtocol   protocol = "next"          // of Kafka, as far as consumer groups of KIP-848 go
	mskProtocol    protocol = "msk"           // AWS for clusters, and Kafka at the clusters' addresses
	streamedKafka  protocol = "streams"       // of Kafka, as far as streams groups of KIP-1071 go
	metricsOfKafka protocol = "telemetry"     // of Kafka, as far as clients push metrics of their own
	monitored      protocol = "monitor"       // Kafka, as far as tools tell how far groups are behind
	tieredKafka    protocol = "tier"          // of Kafka, as far as older records move to objects
	governedKafka  protocol = "governed"      // Kafka, as far as tools say who may do what and how much
	operatedKafka  protocol = "operated"      // Kafka, as far as tools look after brokers, partitions and groups
	securedKafka   protocol = "kafka-secured" // Kafka, through listeners with TLS and authentication
	s3Protocol     protocol = "s3"            // not the client but a server, into which a node of its own delivers
)

// crosses says whether clients of a protocol are judged by what crosses between Kafka and Kinesis.
func (p protocol) crosses() bool { return p == kafkaProtocol || p == awsProtocol }

// client is one judge.
type client struct {
	name     string // in --only, in file names and in the names of streams
	title    string // in the matrix
	version  string
	protocol protocol
	// prepare installs the client and returns the program to run. errMissing = it cannot be had on this machine.
	prepare func(ctx context.Context, b *bench) (*exec.Cmd, error)
}

var clients = []client{
	{"java-4", "Java kafka-clients", "4.3.1", kafkaProtocol, kafkaClients("4.3.1", "KafkaScenario")},
	{"java-3", "Java kafka-clients", "3.9.2", kafkaProtocol, kafkaClients("3.9.2", "KafkaScenario")},
	{"java-2", "Java kafka-clients", "2.8.2", kafkaProtocol, kafkaClients("2.8.2", "KafkaScenario")},
	{"kafka-tools", "Kafka's own command line tools", "4.3.1", kafkaProtocol, kafkaTools},
	{"kcat", "kcat (librdkafka of Debian)", "1.7.1", kafkaProtocol, kcat},
	{"confluent-python", "confluent-kafka-python", "2.16.1", kafkaProtocol, python("confluent_kafka_client.py")},
	{"franz-go", "franz-go", "1.22.2", kafkaProtocol, golang("./franz")},
	{"sarama", "sarama", "1.61.1", kafkaProtocol, golang("./saramaclient")},
	{"kafka-go", "segmentio/kafka-go", "0.4.51", kafkaProtocol, golang("./kafkago")},
	{"kafkajs", "kafkajs", "2.2.4", kafkaProtocol, node("kafkajs.mjs")},
	{"platformatic", "@platformatic/kafka", "1.35.0", kafkaProtocol, node("platformatic.mjs")},
	{"kafka-python", "kafka-python", "3.0.12", kafkaProtocol, python("kafka_python_client.py")},
	{"aiokafka", "aiokafka", "0.14.0", kafkaProtocol, python("aiokafka_client.py")},
	{"next-java", "Java KafkaConsumer", "4.3.1", nextProtocol, kafkaClients("4.3.1", "ConsumerScenario")},
	{"next-python", "confluent-kafka-python", "2.16.1", nextProtocol, python("consumers_client.py")},
	{"next-tools", "kafka-consumer-groups, kafka-console-consumer", "4.3.1", nextProtocol, withTools(shell("kafka-consumers.sh"))},
	{"share-java", "Java KafkaShareConsumer", "4.3.1", queueProtocol, kafkaClients("4.3.1", "ShareScenario")},
	{"share-tools", "kafka-share-groups, kafka-console-share-consumer", "4.3.1", queueProtocol, withTools(shell("kafka-share.sh"))},
	{"streams-java", "Kafka Streams, group.protocol=streams", "4.3.1", streamedKafka, kafkaStreams},
	{"tier-tools", "kafka-get-offsets, kafka-console-consumer, kafka-delete-records", "4.3.1", tieredKafka, withTools(shell("kafka-tier.sh"))},
	{"govern-tools", "kafka-configs, kafka-acls, kafka-delegation-tokens", "4.3.1", governedKafka, withTools(shell("kafka-govern.sh"))},
	{"operate-tools", "Kafka's tools for operators", "4.3.1", operatedKafka, withTools(shell("kafka-operate.sh"))},
	{"telemetry-java", "Java kafka-clients", "4.3.1", metricsOfKafka, kafkaClients("4.3.1", "TelemetryScenario")},
	{"telemetry-python", "confluent-kafka-python, kafka-client-metrics", "2.16.1", metricsOfKafka, withTools(python("telemetry_client.py"))},
	{"telemetry-go", "franz-go", "1.22.2", metricsOfKafka, golang("./telemetry")},
	{"kafkatop", "kafkatop", "1.16", monitored, monitor("lag_client.py")},
	{"burrow", "Burrow", "1.2.1", monitored, burrow},
	{"lag-exporter", "prometheus-kafka-consumer-group-exporter", "0.5.5", monitored, monitor("exporter_client.py")},
	{"java-secured", "Java kafka-clients, aws-msk-iam-auth 2.4.0", "4.3.1", securedKafka, javaSecured},
	{"confluent-python-secured", "confluent-kafka-python, aws-msk-iam-sasl-signer 1.0.2", "2.16.1", securedKafka, python("security_client.py")},
	{"kafkajs-secured", "kafkajs, aws-msk-iam-sasl-signer-js 1.0.3", "2.2.4", securedKafka, node("security.mjs")},
	{"boto3", "boto3", "1.44.5", awsProtocol, python("boto3_client.py")},
	{"aws-cli", "AWS CLI", "1.46.2", awsProtocol, python("aws_cli_client.py")},
	{"aws-go", "AWS SDK for Go v2, kinesis", "1.56.10", awsProtocol, golang("./awssdk")},
	{"aws-java", "AWS SDK for Java v2, sync (CBOR, HTTP/1.1)", "2.41.0", awsProtocol, awsJava("sync")},
	{"aws-java-async", "AWS SDK for Java v2, async (CBOR, HTTP/2)", "2.41.0", awsProtocol, awsJava("async")},
	{"boto3-msk", "boto3, and confluent-kafka-python at the cluster", "1.44.5", mskProtocol, python("boto3_msk.py")},
	{"aws-cli-msk", "AWS CLI, and Kafka's command line tools at the cluster", "1.46.2", mskProtocol, withTools(python("aws_cli_msk.py"))},
	{"moto", "moto as S3, boto3", "5.2.5", s3Protocol, moto},
	{"aws-js", "AWS SDK for JavaScript v3 (HTTP/2)", "3.1143.0", awsProtocol, node("aws.mjs")},
}

// lightJVM makes short-lived JVMs cheap: no second compiler tier, small heap.
var lightJVM = []string{"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx384m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"}

func kafkaClients(version, class string) func(context.Context, *bench) (*exec.Cmd, error) {
	return func(ctx context.Context, b *bench) (*exec.Cmd, error) {
		dir := filepath.Join(b.root, "interop", "java")
		jars, err := kit.Maven(ctx, "kafka-clients-"+version, filepath.Join(dir, "kafka-pom.xml"), "kafka.version="+version)
		if err != nil {
			return nil, err
		}
		return javaProgram(ctx, "java-"+class, jars, class, dir)
	}
}

func kafkaStreams(ctx context.Context, b *bench) (*exec.Cmd, error) {
	jars, err := kit.Maven(ctx, "kafka-streams", filepath.Join(b.root, "tests", "frameworks", "java", "streams-pom.xml"))
	if err != nil {
		return nil, err
	}
	return javaProgram(ctx, "java-StreamsScenario", jars, "StreamsScenario", filepath.Join(b.root, "interop", "java"))
}

func awsJava(mode string) func(context.Context, *bench) (*exec.Cmd, error) {
	return func(ctx context.Context, b *bench) (*exec.Cmd, error) {
		dir := filepath.Join(b.root, "interop", "java")
		jars, err := kit.Maven(ctx, "aws-java", filepath.Join(dir, "aws-pom.xml"))
		if err != nil {
			return nil, err
		}
		return javaProgram(ctx, "java-aws", jars, "AwsScenario", dir, mode)
	}
}

func javaSecured(ctx context.Context, b *bench) (*exec.Cmd, error) {
	dir := filepath.Join(b.root, "interop", "java")
	jars, err := kit.Maven(ctx, "kafka-security", filepath.Join(dir, "security-pom.xml"))
	if err != nil {
		return nil, err
	}
	return javaProgram(ctx, "java-security", jars, "SecurityScenario", dir)
}

func javaProgram(ctx context.Context, name, jars, class, dir string, args ...string) (*exec.Cmd, error) {
	classes, err := kit.Javac(ctx, name, jars, filepath.Join(dir, class+".java"), filepath.Join(dir, "Report.java"))
	if err != nil {
		return nil, err
	}
	path := classes + string(os.PathListSeparator) + filepath.Join(jars, "*")
	all := append(append([]string{"-cp", path}, lightJVM...), class)
	return exec.CommandContext(ctx, "java", append(all, args...)...), nil
}

func kafkaTools(ctx context.Context, b *bench) (*exec.Cmd, error) {
	tools, err := kit.InstallKafka(ctx)
	if err != nil {
		return nil, err
	}
	script := filepath.Join(b.work, "kafka-tool")
	if err := tools.ToolScript(script); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "bash", filepath.Join(b.root, "interop", "shell", "kafka-tools.sh"))
	cmd.Env = append(os.Environ(), "TOOL="+script)
	return cmd, nil
}

// withTools gives a program Kafka's command line tools, as TOOL.
func withTools(prepare func(context.Context, *bench) (*exec.Cmd, error)) func(context.Context, *bench) (*exec.Cmd, error) {
	return func(ctx context.Context, b *bench) (*exec.Cmd, error) {
		tools, err := kit.InstallKafka(ctx)
		if err != nil {
			return nil, err
		}
		script := filepath.Join(b.work, "kafka-tool-msk")
		if err := tools.ToolScript(script); err != nil {
			return nil, err
		}
		cmd, err := prepare(ctx, b)
		if err == nil {
			cmd.Env = append(cmd.Env, "TOOL="+script)
		}
		return cmd, err
	}
}

func shell(script string) func(context.Context, *bench) (*exec.Cmd, error) {
	return func(ctx context.Context, b *bench) (*exec.Cmd, error) {
		cmd := exec.CommandContext(ctx, "bash", filepath.Join(b.root, "interop", "shell", script))
		cmd.Env = os.Environ()
		return cmd, nil
	}
}

func kcat(ctx context.Context, b *bench) (*exec.Cmd, error) {
	if _, err := exec.LookPath("kcat"); err != nil {
		if os.Geteuid() != 0 {
			return nil, fmt.Errorf("%w: kcat is not installed, and only root can: apt-get install kcat", errMissing)
		}
		if err := aptInstall(ctx, "kcat"); err != nil {
			return nil, fmt.Errorf("%w: %w", errMissing, err)
		}
	}
	return exec.CommandContext(ctx, "bash", filepath.Join(b.root, "interop", "shell", "kcat.sh")), nil
}

// aptInstall installs a Debian package; the lists are fetched only if the machine has none that know it.
func aptInstall(ctx context.Context, name string) error {
	install := func() ([]byte, error) {
		cmd := exec.CommandContext(ctx, "apt-get", "install", "--yes", "--quiet", "--no-install-recommends", name)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		return cmd.CombinedOutput()
	}
	if _, err := install(); err == nil {
		return nil
	}
	if out, err := exec.CommandContext(ctx, "apt-get", "update", "--quiet").CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get update: %w: %.500s", err, out)
	}
	if out, err := install(); err != nil {
		return fmt.Errorf("apt-get install %s: %w: %.500s", name, err, out)
	}
	return nil
}

// monitor is python with the packages of monitors.
func monitor(script string) func(context.Context, *bench) (*exec.Cmd, error) {
	return func(ctx context.Context, b *bench) (*exec.Cmd, error) {
		dir := filepath.Join(b.root, "interop", "python")
		bin, err := kit.Python(ctx, filepath.Join(dir, "monitors.txt"))
		if err != nil {
			return nil, err
		}
		return exec.CommandContext(ctx, filepath.Join(bin, "python"), filepath.Join(dir, script)), nil
	}
}

// burrow is Debian's, unpacked and not installed, which would start it.
func burrow(ctx context.Context, b *bench) (*exec.Cmd, error) {
	dir, err := kit.Debian(ctx, "burrow", "1.2.1*")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMissing, err)
	}
	jars, err := kit.Maven(ctx, "zookeeper", filepath.Join(b.root, "interop", "java", "zookeeper-pom.xml"))
	if err != nil {
		return nil, err
	}
	cmd, err := monitor("burrow_client.py")(ctx, b)
	if err == nil {
		cmd.Env = append(os.Environ(), "BURROW="+filepath.Join(dir, "usr", "bin", "Burrow"), "ZOOKEEPER_JARS="+jars)
	}
	return cmd, err
}

func python(script string) func(context.Context, *bench) (*exec.Cmd, error) {
	return pythonWith("requirements.txt", script)
}

// moto runs nodes of its own, from the binary that is judged.
func moto(ctx context.Context, b *bench) (*exec.Cmd, error) {
	cmd, err := pythonWith("moto-requirements.txt", "s3_client.py")(ctx, b)
	if err == nil {
		cmd.Env = append(cmd.Env, "BINARY="+b.target.binary)
	}
	return cmd, err
}

func pythonWith(requirements, script string) func(context.Context, *bench) (*exec.Cmd, error) {
	return func(ctx context.Context, b *bench) (*exec.Cmd, error) {
		dir := filepath.Join(b.root, "interop", "python")
		bin, err := kit.Python(ctx, filepath.Join(dir, requirements))
		if err != nil {
			return nil, err
		}
		cmd := exec.CommandContext(ctx, filepath.Join(bin, "python"), "-B", filepath.Join(dir, script))
		cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
		return cmd, nil
	}
}

// node copies the scenarios beside the packages, because Node looks for packages next to the importing file only.
func node(script string) func(context.Context, *bench) (*exec.Cmd, error) {
	return func(ctx context.Context, b *bench) (*exec.Cmd, error) {
		source := filepath.Join(b.root, "interop", "node")
		dir, err := kit.Node(ctx, source)
		if err != nil {
			return nil, err
		}
		work, err := os.MkdirTemp(b.work, "node-")
		if err != nil {
			return nil, err
		}
		if err := os.Symlink(filepath.Join(dir, "node_modules"), filepath.Join(work, "node_modules")); err != nil {
			return nil, err
		}
		for _, f := range []string{"report.mjs", script} {
			text, err := os.ReadFile(filepath.Join(source, f))
			if err != nil {
				return nil, err
			}
			if err := os.WriteFile(filepath.Join(work, f), text, 0o644); err != nil {
				return nil, err
			}
		}
		return exec.CommandContext(ctx, "node", filepath.Join(work, script)), nil
	}
}

func golang(command string) func(context.Context, *bench) (*exec.Cmd, error) {
	return func(ctx context.Context, b *bench) (*exec.Cmd, error) {
		binary, err := kit.Go(ctx, filepath.Join(b.root, "interop", "go"), command)
		if err != nil {
			return nil, err
		}
		return exec.CommandContext(ctx, binary), nil
	}
}
