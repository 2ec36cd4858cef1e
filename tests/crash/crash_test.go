package crash

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/tests/process"
)

var (
	kills = flag.Int("kills", 4, "how often to kill the node")
	seed  = flag.Uint64("seed", 0, "seed of the run; 0 = a new one")
)

// killsPerRound is how many crashes a round's streams live through before they are verified a last time, stopped and deleted. It bounds what a
// verification, which reads everything, has to read.
const killsPerRound = 8

// TestKill kills the node at random moments under load.
func TestKill(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("-seed %d -kills %d", *seed, *kills)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute+time.Duration(*kills)*20*time.Second)
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
	random := rand.New(rand.NewPCG(*seed, 0))
	start(ctx, t, node)
	defer func() {
		if t.Failed() {
			t.Logf("the node's last words:\n%s", node.Process().Tail(4000))
		}
		node.Kill()
	}()
	var slowest time.Duration
	records := 0
	for left, round := *kills, 0; left > 0; round++ {
		n := min(left, killsPerRound)
		left -= n
		took, count := playRound(ctx, t, node, random, round, n)
		slowest, records = max(slowest, took), records+count
	}
	if err := node.Stop(); err != nil {
		t.Errorf("stop in order: %v", err)
	}
	if out, err := exec.CommandContext(ctx, binary, "check", node.Data).CombinedOutput(); err != nil {
		t.Errorf("freshet check: %v\n%s", err, out)
	}
	t.Logf("%d kills, %d acknowledged records verified after each, slowest start %s", *kills, records, slowest)
}

// playRound runs one round through its crashes and returns the slowest restart and how many records were acknowledged.
func playRound(ctx context.Context, t *testing.T, node *process.Node, random *rand.Rand, number, kills int) (slowest time.Duration, records int) {
	t.Helper()
	round, err := StartRound(ctx, node, random.Uint64(), number)
	if err != nil {
		t.Fatalf("start round %d: %v", number, err)
	}
	defer round.Stop()
	for kill := range kills {
		pause(ctx, time.Duration(200+random.IntN(1300))*time.Millisecond) // how long the load runs: the kill must hit it anywhere
		var marks Marks
		clocktest.Eventually(t, fmt.Sprintf("round %d: both protocols acknowledge something", number), func() bool {
			if err := round.kafka.Err(); err != nil {
				t.Fatalf("round %d: %v", number, err)
			}
			marks = round.Marks()
			return len(marks.Kafka) > 0 && len(marks.Kinesis) > 0
		})
		node.Kill()
		slowest = max(slowest, start(ctx, t, node))
		verify(ctx, t, round, marks, fmt.Sprintf("round %d, kill %d", number, kill))
	}
	round.Stop()
	marks := round.Marks()
	verify(ctx, t, round, marks, fmt.Sprintf("round %d, at rest", number))
	if len(marks.Commits) == 0 {
		t.Errorf("round %d: nothing was ever committed", number)
	}
	if err := round.Delete(ctx); err != nil {
		t.Fatalf("delete the streams of round %d: %v", number, err)
	}
	return slowest, len(marks.Kafka) + len(marks.Kinesis)
}

func start(ctx context.Context, t *testing.T, node *process.Node) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	took, err := node.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return took
}

func verify(ctx context.Context, t *testing.T, round *Round, marks Marks, when string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := round.Verify(ctx, marks); err != nil {
		t.Fatalf("%s: %v", when, err)
	}
}
