// Command faults does to the real binary what goes wrong where it runs, measures what that costs, and judges what is left:
//
//	go run ./tests/faults [-seed N] [-times N] [-run PATTERN]
//
// Each scenario has a node of its own. It fails if something acknowledged is lost, something unacknowledged is half there, a client that did nothing
// wrong has to wait too long, the node takes more memory than it may, or does not come back by itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/freshet/freshet/tests/process"
)

// scenario is one kind of fault.
type scenario struct {
	name string
	run  func(context.Context, *rig) error
}

var scenarios = []scenario{
	{"stalled readers", stalledReaders},
	{"storm", storm},
	{"storm and rebalances", stormAndRebalances},
	{"classic crowd", classicCrowd},
	{"consumer crowd", consumerCrowd},
	{"transactions", transactionSteps},
	{"rebalances", rebalanceKills},
	{"queue", queueKills},
	{"compaction", compactionKills},
	{"few files", fewFiles},
	{"tier: memory", tierMemory},
	{"tier: S3", tierInS3},
}

// maxResident is what the node may hold in memory, whatever is done to it, as in tests/hostile.
const maxResident = 480 << 20

// rig is what a scenario works with.
type rig struct {
	dir    string // of this scenario
	binary string
	random *rand.Rand
	times  int // how often what is random is tried
	nodes  []*process.Node
}

func main() { process.Main("faults", run) }

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("faults", flag.ContinueOnError)
	seed := flags.Uint64("seed", uint64(time.Now().UnixNano()), "of what is random")
	times := flags.Int("times", 10, "how often each step is tried with another moment of the fault")
	only := flags.String("run", "", "run the scenarios whose name matches this `pattern`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	matching, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "freshet-faults-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary, err := process.Build(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Println("seed", *seed)
	var failed error
	for i, s := range scenarios {
		if !matching.MatchString(s.name) {
			continue
		}
		r := &rig{dir: filepath.Join(dir, strconv.Itoa(i)), binary: binary, random: rand.New(rand.NewPCG(*seed, uint64(i))), times: *times}
		began := time.Now()
		if err := r.play(ctx, s.run); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.name, err))
			fmt.Printf("FAILS %s: %v\n", s.name, err)
		}
		fmt.Printf("%s: %s\n", s.name, time.Since(began).Round(time.Second))
	}
	return failed
}

// play runs a scenario and ends its nodes.
func (r *rig) play(ctx context.Context, scenario func(context.Context, *rig) error) error {
	if err := os.Mkdir(r.dir, 0o755); err != nil {
		return err
	}
	err := scenario(ctx, r)
	for _, n := range r.nodes {
		if err != nil && n.Process() != nil {
			fmt.Printf("the node's last words:\n%s\n", n.Process().Tail(3000))
		}
		err = errors.Join(err, n.Stop())
	}
	return err
}

// node makes a node, and starts it.
func (r *rig) node(ctx context.Context, args ...string) (*process.Node, error) {
	dir := filepath.Join(r.dir, strconv.Itoa(len(r.nodes)))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	n, err := process.NewNode(r.binary, dir)
	if err != nil {
		return nil, err
	}
	n.Args = args
	_, err = n.Start(ctx)
	if err == nil {
		r.nodes = append(r.nodes, n)
	}
	return n, err
}

// maxKillDelay is how long after a request was sent the node is killed at most: a commit takes about a millisecond.
const maxKillDelay = 4 * time.Millisecond

// killDelay draws one, a short one rather: what is interesting is over soon.
func (r *rig) killDelay() time.Duration {
	u := r.random.Float64()
	return time.Duration(u * u * u * float64(maxKillDelay))
}

// say prints a finding of a scenario.
func say(format string, args ...any) { fmt.Printf("  "+format+"\n", args...) }

// memory prints what a node holds, and fails if that is too much.
func memory(n *process.Node, when string) error {
	u, err := n.Process().Usage()
	if err != nil {
		return err
	}
	say("%s: %d MiB resident, %d at most, %s of processor time", when, u.Resident>>20, u.Peak>>20, u.CPU)
	if u.Peak > maxResident {
		return fmt.Errorf("%d MiB resident, more than %d", u.Peak>>20, maxResident>>20)
	}
	return nil
}
