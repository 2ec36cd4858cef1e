package listappend

import (
	"context"
	"flag"
	"math/rand/v2"
	"os/exec"
	"testing"
	"time"

	"github.com/freshet/freshet/tests/process"
)

var (
	faults = flag.Int("faults", 2, "how often to kill or pause the node")
	seed   = flag.Uint64("seed", 0, "seed of the run; 0 = a new one")
)

// faultsPerRound is how many faults a round's topics live through before they are judged: readers read all of them again and again.
const faultsPerRound = 6

// TestTransactions kills and pauses the node at random moments under transactions of many clients.
func TestTransactions(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the real binary for half a minute")
	}
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("-seed %d -faults %d", *seed, *faults)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute+time.Duration(*faults)*time.Minute)
	defer cancel()
	dir := t.TempDir()
	binary, err := process.Build(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	node, err := process.NewNode(binary, dir)
	if err != nil {
		t.Fatal(err)
	}
	start(ctx, t, node)
	defer func() {
		if t.Failed() {
			t.Logf("the node's last words:\n%s", node.Process().Tail(4000))
		}
		node.Kill()
	}()
	random := rand.New(rand.NewPCG(*seed, 0))
	var total Counts
	for left, number := *faults, 0; left > 0 && !t.Failed(); number++ {
		n := min(left, faultsPerRound)
		left -= n
		total.add(playRound(ctx, t, node, random, number, n))
	}
	if err := node.Stop(); err != nil {
		t.Errorf("stop in order: %v", err)
	}
	if out, err := exec.CommandContext(ctx, binary, "check", node.Data).CombinedOutput(); err != nil {
		t.Errorf("freshet check: %v\n%s", err, out)
	}
	t.Logf("%d faults: %+v", *faults, total)
}

// playRound runs one round through its faults, and judges it.
func playRound(ctx context.Context, t *testing.T, node *process.Node, random *rand.Rand, number, faults int) Counts {
	t.Helper()
	round, err := StartRound(ctx, node, random, number)
	if err != nil {
		t.Fatal(err)
	}
	for range faults {
		wait(ctx, time.Duration(300+random.IntN(2000))*time.Millisecond) // how long the load runs: the fault must hit it anywhere
		if random.IntN(3) == 0 {
			pause(ctx, t, node, time.Duration(200+random.IntN(3000))*time.Millisecond)
			continue
		}
		node.Kill()
		start(ctx, t, node)
	}
	wait(ctx, time.Second)
	counts, wrong, err := round.Finish(ctx)
	if err != nil {
		t.Fatalf("round %d: %v", number, err)
	}
	for _, w := range wrong {
		t.Errorf("round %d: %s", number, w)
	}
	if counts.Committed == 0 || counts.Aborted == 0 || counts.Reads == 0 || round.fed == 0 {
		t.Errorf("round %d did nothing", number)
	}
	t.Logf("round %d: %+v, %d copied", number, counts, round.fed)
	return counts
}

func start(ctx context.Context, t *testing.T, node *process.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if _, err := node.Start(ctx); err != nil {
		t.Fatal(err)
	}
}
