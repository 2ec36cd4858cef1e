// Command differential asks freshet and an Apache Kafka the same, in every version of every request that both serve, and compares the decoded answers.
//
//	go run ./tests/differential [-run PATTERN] [-seed N] [-random N]
//
// A scenario is a conversation: its requests are built for each side from what that side answered before (topic ids, member ids, producer ids), and values
// that must differ from side to side are compared by the order in which they first appeared (package file tree.go). What may differ all the same is listed
// with its reason in allowed.go; every other difference fails the run, and so does an entry of that list that explains nothing any more.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/freshet/freshet/tests/kit"
	"github.com/freshet/freshet/tests/process"
)

func main() { process.Main("differential", run) }

// options are the command line.
type options struct {
	only   *regexp.Regexp
	seed   uint64
	random int
}

func parse(args []string) (options, error) {
	o := options{}
	flags := flag.NewFlagSet("differential", flag.ContinueOnError)
	only := flags.String("run", "", "run the scenarios whose name matches this `pattern`")
	flags.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of the random requests")
	flags.IntVar(&o.random, "random", 20, "random requests of each version of each request that changes nothing")
	err := flags.Parse(args)
	if err == nil {
		o.only, err = regexp.Compile(*only)
	}
	return o, err
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "freshet-differential-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p := &pair{report: newReport(), options: o}
	fmt.Printf("seed %d\n", o.seed)
	whole := true
	for _, stage := range stages {
		all, err := p.runStage(ctx, filepath.Join(dir, stage.name), stage)
		if err != nil {
			return errors.Join(err, p.report.finish(os.Stdout, false))
		}
		whole = whole && all
	}
	return p.report.finish(os.Stdout, whole)
}

// runStage runs the scenarios of a stage that were asked for, on servers of its own. all says that they were all of them.
func (p *pair) runStage(ctx context.Context, dir string, st stage) (all bool, err error) {
	chosen := slices.DeleteFunc(slices.Clone(st.scenarios), func(s scenario) bool { return !p.only.MatchString(s.name) })
	all = len(chosen) == len(st.scenarios)
	if len(chosen) == 0 {
		return all, nil
	}
	stop, err := p.startBoth(ctx, dir, st)
	defer stop()
	if err != nil {
		return all, err
	}
	for _, s := range chosen {
		began := time.Now()
		p.begin(s.name)
		if err := p.runScenario(ctx, s); err != nil {
			return all, fmt.Errorf("scenario %s: %w", s.name, err)
		}
		fmt.Printf("%-16s %5.1f s, %d answers so far\n", s.name, time.Since(began).Seconds(), p.report.compared)
	}
	return all, nil
}

// runScenario runs a scenario until it is done or, when ctx ends, asks for the next time.
func (p *pair) runScenario(ctx context.Context, s scenario) error {
	for _, side := range p.sides() {
		side.ctx = ctx
	}
	done := make(chan error, 1)
	go func() {
		defer close(done)
		done <- s.run(p)
	}()
	err, ended := <-done
	if !ended {
		return context.Cause(ctx)
	}
	return err
}

// startBoth starts Kafka, then freshet with the settings that make them comparable: the real number of replicas is insisted on.
func (p *pair) startBoth(ctx context.Context, dir string, st stage) (stop func(), err error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return func() {}, err
	}
	var stops []func()
	stop = func() {
		for _, f := range stops {
			f()
		}
	}
	peer, err := kit.InstallKafka(ctx)
	if err != nil {
		return stop, err
	}
	root, err := process.ModuleRoot()
	if err != nil {
		return stop, err
	}
	if err := peer.Compile(ctx, "java-receiver", filepath.Join(root, "tests", "differential", "java", "Receiver.java")); err != nil {
		return stop, err
	}
	addresses, err := process.FreeAddresses(3)
	if err != nil {
		return stop, err
	}
	peer.Settings = "group.initial.rebalance.delay.ms=0\nlog.cleaner.backoff.ms=1000\nmetric.reporters=Receiver\ndelegation.token.secret.key=secret\n" + st.kafka
	peer.SASL, peer.Users = addresses[1], users
	if _, err := peer.Start(ctx, filepath.Join(dir, "kafka"), addresses[0], false); err != nil {
		return stop, err
	}
	stops = append(stops, func() { peer.Broker.Kill() })
	binary, err := process.Build(ctx, dir)
	if err != nil {
		return stop, err
	}
	node, err := process.NewNode(binary, dir)
	if err != nil {
		return stop, err
	}
	node.Args = []string{
		"--no-accept-any-rf", "--kafka-listeners", "SASL_PLAINTEXT://" + addresses[2], "--kafka-sasl-mechanisms", "SASL_PLAINTEXT:PLAIN+SCRAM-SHA-256",
	}
	node.Args = append(node.Args, st.freshet...)
	for name, password := range users {
		node.Args = append(node.Args, "--kafka-users", name+":"+password)
	}
	if _, err := node.Start(ctx); err != nil {
		return stop, err
	}
	stops = append(stops, func() { node.Kill() })
	p.kafka, p.freshet = newSide("kafka", addresses[0], addresses[1]), newSide("freshet", node.Kafka, addresses[2])
	stops = append(stops, p.kafka.close, p.freshet.close)
	return stop, errors.Join(p.kafka.negotiate(), p.freshet.negotiate(), p.kafka.warmUp(ctx), p.freshet.warmUp(ctx))
}
