// Command migrate moves a real Apache Kafka into the real binary with `freshet import`, and on into another Apache Kafka with `freshet export`,
// and compares every record and every group's offset:
//
//	go run ./tests/migrate [-seed N] [-kills N] [-records N] [-source ADDRESS]
//
// The source has transactions (committed, aborted, one open), compacted, trimmed and log-stamped topics, every codec, records without key, value or
// both. Importer, node and Kafka are killed in turn in the middle. Then the import follows a source that is being written to, and they are killed again.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/freshet/freshet/tests/kit"
	"github.com/freshet/freshet/tests/process"
)

// rig is what the parts of the run work with.
type rig struct {
	dir     string
	binary  string
	node    *process.Node
	kafkas  []*kafka
	rnd     *rand.Rand
	kills   int
	records int
	runs    int // of the transfer, for the names of their logs
}

// kafka is one Apache Kafka.
type kafka struct {
	*kit.Kafka
	dir, address string
}

func main() { process.Main("migrate", run) }

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("migrate", flag.ContinueOnError)
	seed := flags.Uint64("seed", uint64(time.Now().UnixNano()), "of what is random")
	kills := flags.Int("kills", 6, "how often a process is killed in each part")
	running := flags.String("source", "", "`address` of an Apache Kafka that runs already: it is not killed, and nothing is exported")
	records := flags.Int("records", 60_000, "how many records each large topic has")
	if err := flags.Parse(args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "freshet-migrate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Println("seed", *seed)
	r := &rig{dir: dir, rnd: rand.New(rand.NewPCG(*seed, 0)), kills: *kills, records: *records}
	if r.binary, err = process.Build(ctx, dir); err != nil {
		return err
	}
	if r.node, err = process.NewNode(r.binary, dir); err != nil {
		return err
	}
	if _, err := r.node.Start(ctx); err != nil {
		return err
	}
	defer func() { r.node.Kill() }()
	defer func() {
		for _, k := range r.kafkas {
			k.Broker.Kill()
		}
	}()
	if *running != "" {
		peer, err := kit.InstallKafka(ctx)
		if err != nil {
			return err
		}
		return r.migrate(ctx, &kafka{Kafka: peer, address: *running})
	}
	source, err := r.startKafka(ctx)
	if err != nil {
		return err
	}
	return r.migrate(ctx, source)
}

// startKafka runs another Apache Kafka, which compacts soon.
func (r *rig) startKafka(ctx context.Context) (*kafka, error) {
	peer, err := kit.InstallKafka(ctx)
	if err != nil {
		return nil, err
	}
	peer.Heap = "512m"
	// A Kafka that is killed has again what was deleted since its last checkpoint of where logs start: it makes one each minute else.
	peer.Settings = "group.initial.rebalance.delay.ms=0\nlog.cleaner.backoff.ms=300\nlog.initial.task.delay.ms=100\nlog.flush.start.offset.checkpoint.interval.ms=100\n"
	addresses, err := process.FreeAddresses(1)
	if err != nil {
		return nil, err
	}
	k := &kafka{Kafka: peer, dir: filepath.Join(r.dir, fmt.Sprint("kafka-", len(r.kafkas))), address: addresses[0]}
	_, err = peer.Start(ctx, k.dir, k.address, false)
	if err == nil {
		r.kafkas = append(r.kafkas, k)
	}
	return k, err
}

// restart brings a Kafka back after it was killed.
func (k *kafka) restart(ctx context.Context) error {
	_, err := k.Start(ctx, k.dir, k.address, false)
	return err
}

func (r *rig) migrate(ctx context.Context, source *kafka) error {
	open, err := fill(ctx, r, source)
	if err != nil {
		return fmt.Errorf("fill the source: %w", err)
	}
	defer open.Close()
	steps := []struct {
		what string
		do   func() error
	}{
		{"import with kills", func() error { return r.transferWithKills(ctx, source, "import") }},
		{"compare the import", func() error { return compare(ctx, source.address, r.node.Kafka) }},
		{"compare groups", func() error { return compareGroups(ctx, source.address, r.node.Kafka) }},
		{"follow a source that is written to", func() error { return r.follow(ctx, source, open) }},
		{"compare what was followed", func() error { return compare(ctx, source.address, r.node.Kafka) }},
		{"compare groups that were followed", func() error { return compareGroups(ctx, source.address, r.node.Kafka) }},
		{"compare settings", func() error { return compareSettings(ctx, source.address, r.node.Kafka) }},
	}
	for _, s := range steps {
		began := time.Now()
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
		fmt.Printf("%s: good, %s\n", s.what, time.Since(began).Round(time.Millisecond))
	}
	if source.Broker == nil {
		return nil
	}
	return r.export(ctx, source)
}

// export moves the node's topics into another Kafka; the first one is not needed any more.
func (r *rig) export(ctx context.Context, source *kafka) error {
	source.Broker.Kill()
	target, err := r.startKafka(ctx)
	if err != nil {
		return err
	}
	if err := r.transferWithKills(ctx, target, "export"); err != nil {
		return fmt.Errorf("export with kills: %w", err)
	}
	if err := compare(ctx, r.node.Kafka, target.address); err != nil {
		return fmt.Errorf("compare the export: %w", err)
	}
	if err := compareGroups(ctx, r.node.Kafka, target.address); err != nil {
		return fmt.Errorf("compare exported groups: %w", err)
	}
	fmt.Println("export with kills: good")
	return nil
}
