// Command frameworks runs programs that others have built on Kafka against the real binary, with crashes, and judges what they leave behind:
//
//	go run ./tests/frameworks [-seed N] [-kills N] streams|streams-group|connect|mirror|flink|registry|debezium|terraform
//
// streams is a word count of Kafka Streams, exactly once, and streams-group the same in two processes by the protocol of KIP-1071; connect copies a file into
// a topic, exactly once, and the topic into another file; mirror is MirrorMaker 2, which copies topics and groups' offsets from an Apache Kafka; flink is a
// windowed aggregation of Flink SQL from topic to topic, exactly once; registry is Apicurio Registry, which keeps schemas in a topic; debezium captures what
// changes in a PostgreSQL; terraform is OpenTofu with the provider of Kafka. Their processes and the node are killed at random moments. -kafka ADDRESS
// judges another server, which is not killed.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/freshet/freshet/tests/process"
)

// suites are the frameworks by name.
var suites = map[string]func(context.Context, *rig) error{
	"streams": streamsClassic, "streams-group": streamsGroup, "connect": connect, "mirror": mirror, "flink": flinkSQL, "registry": registry, "debezium": debezium,
	"terraform": terraform,
}

// rig is what a suite works with.
type rig struct {
	dir   string        // of everything that is kept
	node  *process.Node // nil if another server is judged
	kafka string        // its address
	rnd   *rand.Rand
	kills int
}

// streamsGroups has members of streams groups that were killed be missed after 6 s, as the suites of other groups ask for themselves, and another process
// stand by for each task with state.
const streamsGroups = "group.streams.min.session.timeout.ms=6000,group.streams.session.timeout.ms=6000," +
	"group.streams.min.heartbeat.interval.ms=1000,group.streams.heartbeat.interval.ms=1000,group.streams.num.standby.replicas=1"

func main() { process.Main("frameworks", run) }

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("frameworks", flag.ContinueOnError)
	seed := flags.Uint64("seed", uint64(time.Now().UnixNano()), "of what is random")
	kafka := flags.String("kafka", "", "`address` of another server to judge, which is not killed")
	kills := flags.Int("kills", 6, "how often a process is killed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	suite, ok := suites[flags.Arg(0)]
	if !ok || flags.NArg() != 1 {
		return fmt.Errorf("usage: frameworks [flags] streams|streams-group|connect|mirror|flink|registry|debezium|terraform")
	}
	dir, err := os.MkdirTemp("", "freshet-frameworks-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Println("seed", *seed)
	r := &rig{dir: dir, kafka: *kafka, rnd: rand.New(rand.NewPCG(*seed, 0)), kills: *kills}
	if r.kafka != "" {
		return suite(ctx, r)
	}
	binary, err := process.Build(ctx, dir)
	if err != nil {
		return err
	}
	if r.node, err = process.NewNode(binary, dir); err != nil {
		return err
	}
	r.node.Args = []string{"--kafka-configs", streamsGroups}
	if _, err := r.node.Start(ctx); err != nil {
		return err
	}
	defer r.node.Kill()
	r.kafka = r.node.Kafka
	return suite(ctx, r)
}
