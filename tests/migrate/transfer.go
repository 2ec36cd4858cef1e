package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet/freshet/tests/process"
)

// patience bounds how long one transfer may take, kills included.
const patience = 5 * time.Minute

// transfer starts the program.
func (r *rig) transfer(verb, kafka string, more ...string) (*process.Process, error) {
	local := "--to"
	if verb == "export" {
		local = "--from"
	}
	r.runs++
	return process.Start(process.Command{
		Name: verb, Path: r.binary, Log: filepath.Join(r.dir, fmt.Sprintf("transfer-%d.log", r.runs)),
		Args: append([]string{verb, "kafka://" + kafka, local, "kafka://" + r.node.Kafka, "--groups", "--topics", topicsPattern}, more...),
	})
}

// transferWithKills runs a transfer until it succeeds. Transfer, node and Kafka are killed in turn at random moments.
func (r *rig) transferWithKills(ctx context.Context, k *kafka, verb string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not through after %s", patience))
	defer cancel()
	p, err := r.transfer(verb, k.address)
	if err != nil {
		return err
	}
	defer func() { p.Kill() }()
	killed := map[string]int{}
	for n := 0; ; {
		wait := time.After(time.Duration(100+r.rnd.IntN(900)) * time.Millisecond)
		if n >= r.kills {
			wait = nil
		}
		select {
		case <-p.Done():
			if n < r.kills && p.Err() == nil {
				fmt.Printf("%s was through after %d of %d kills\n", verb, n, r.kills)
			}
			if p.Err() != nil {
				return fmt.Errorf("%w\n%s", p.Err(), p.Tail(4000))
			}
			fmt.Printf("%s: killed %v; the last run said:\n%s", verb, killed, p.Tail(3000))
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%w\n%s", context.Cause(ctx), p.Tail(4000))
		case <-wait:
		}
		who := victim(k, n)
		n++
		killed[who]++
		if p, err = r.kill(ctx, who, p, k, verb); err != nil {
			return err
		}
	}
}

// victim says who is killed as the n-th: each of the three in turn, but not a Kafka that is somebody else's.
func victim(k *kafka, n int) string {
	who := []string{"transfer", "node", "Kafka"}[n%3]
	if k.Broker == nil && who == "Kafka" {
		who = "transfer"
	}
	return who
}

// kill ends one of the three without warning and starts it again.
func (r *rig) kill(ctx context.Context, who string, p *process.Process, k *kafka, verb string, more ...string) (*process.Process, error) {
	var err error
	switch who {
	case "node":
		r.node.Kill()
		_, err = r.node.Start(ctx)
	case "Kafka":
		k.Broker.Kill()
		err = k.restart(ctx)
	default:
		p.Kill()
		return r.transfer(verb, k.address, more...)
	}
	if err != nil {
		return p, err
	}
	select {
	case <-p.Done(): // it ends at once if one side is not there when it begins
		if strings.Contains(p.Tail(1000), "freshet: reach the ") {
			return r.transfer(verb, k.address, more...)
		}
	default:
	}
	return p, nil
}

// follow imports while the source is written to, and is stopped as soon as the last record is written.
func (r *rig) follow(ctx context.Context, k *kafka, open *kgo.Client) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not through after %s", patience))
	defer cancel()
	p, err := r.transfer("import", k.address, "--follow")
	if err != nil {
		return err
	}
	defer func() { p.Kill() }()
	written := make(chan error, 1)
	go func() { written <- writeOn(ctx, k.address, open, r.rnd.Uint64()) }()
	for n := range r.kills {
		if err := pause(ctx, time.Duration(300+r.rnd.IntN(1200))*time.Millisecond); err != nil {
			return err
		}
		if p, err = r.kill(ctx, victim(k, n), p, k, "import", "--follow"); err != nil {
			return err
		}
	}
	if err := <-written; err != nil {
		return fmt.Errorf("write on: %w", err)
	}
	// What the source has now is copied before it ends.
	if err := p.Stop(time.Minute); err != nil {
		return fmt.Errorf("%w\n%s", err, p.Tail(4000))
	}
	fmt.Printf("follow said:\n%s", p.Tail(2500))
	return nil
}
