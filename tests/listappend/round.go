package listappend

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet/freshet/tests/process"
)

// Round is three topics with the clients that write transactions to them, through any number of faults of the node.
type Round struct {
	node    *process.Node
	name    string
	history History

	mu  sync.Mutex
	fed int // numbers written to the input
	err error

	stopFeed, stop context.CancelFunc
	feeding, works sync.WaitGroup
}

// StartRound makes the topics and sets the clients to work.
func StartRound(ctx context.Context, node *process.Node, random *rand.Rand, number int) (*Round, error) {
	r := &Round{node: node, name: fmt.Sprintf("round-%d", number)}
	client, err := kgo.NewClient(r.options()...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	created, err := kadm.NewClient(client).CreateTopics(ctx, partitions, 1, nil, r.name, r.name+"-in", r.name+"-out")
	if err == nil {
		err = created.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("create topics: %w", err)
	}
	feed, stopFeed := context.WithCancel(ctx)
	work, stop := context.WithCancel(ctx)
	r.stopFeed, r.stop = stopFeed, stop
	fork := func() *rand.Rand { return rand.New(rand.NewPCG(random.Uint64(), random.Uint64())) }
	r.feeding.Go(func() { r.feed(feed) })
	for i := range 4 {
		mine := fork()
		r.works.Go(func() { r.work(work, "tx"+strconv.Itoa(i), i%2 == 0, mine) })
	}
	// Another process now and then takes a transactional id that is in use.
	usurper := fork()
	r.works.Go(func() { r.work(work, "tx0", true, usurper) })
	for i := range 2 {
		mine := fork()
		r.works.Go(func() { r.transform(work, "loop"+strconv.Itoa(i), mine) })
	}
	readers := fork()
	r.works.Go(func() {
		for work.Err() == nil {
			r.readAll(work, readers, nil)
			wait(work, time.Duration(readers.IntN(300))*time.Millisecond)
		}
	})
	return r, nil
}

// wait returns after a while, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (r *Round) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = errors.Join(r.err, err)
}

// Finish stops the clients, waits until no transaction is open, and returns what the history was made of and what is wrong with it.
func (r *Round) Finish(ctx context.Context) (Counts, []string, error) {
	r.stopFeed()
	r.feeding.Wait()
	if err := r.copied(ctx); err != nil {
		return Counts{}, nil, err
	}
	r.stop()
	r.works.Wait()
	if r.err != nil {
		return Counts{}, nil, r.err
	}
	final := map[int32][]string{}
	for p := range int32(partitions) {
		read, err := r.settled(ctx, p)
		if err != nil {
			return Counts{}, nil, fmt.Errorf("read partition %d in the end: %w", p, err)
		}
		final[p] = read.Words
	}
	counts, wrong := Check(r.history.transactions, r.history.reads, final)
	return counts, append(wrong, r.checkCopies(ctx)...), nil
}

// settled reads a partition when all its transactions have ended, by their time at the latest.
func (r *Round) settled(ctx context.Context, partition int32) (Read, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	client, err := kgo.NewClient(r.options()...)
	if err != nil {
		return Read{}, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	for {
		ends, err := admin.ListEndOffsets(ctx, r.name)
		stable, err2 := admin.ListCommittedOffsets(ctx, r.name)
		if err := errors.Join(err, err2); err != nil {
			return Read{}, err
		}
		end, _ := ends.Lookup(r.name, partition)
		last, _ := stable.Lookup(r.name, partition)
		if end.Offset == last.Offset {
			return r.read(ctx, partition)
		}
		wait(ctx, 200*time.Millisecond)
	}
}

// copied waits until the loop has committed all of its input.
func (r *Round) copied(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	client, err := kgo.NewClient(r.options()...)
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	for {
		lag, err := admin.Lag(ctx, r.name)
		if err != nil {
			return fmt.Errorf("lag of the loop: %w", err)
		}
		if g := lag[r.name]; g.Error() == nil && len(g.Lag[r.name+"-in"]) == partitions && g.Lag.Total() == 0 {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the loop has not come to its end: %d left", lag[r.name].Lag.Total())
		}
		wait(ctx, 200*time.Millisecond)
	}
}

// checkCopies wants every number of the input in the output, once.
func (r *Round) checkCopies(ctx context.Context) (wrong []string) {
	times := map[string]int{}
	out := &Round{node: r.node, name: r.name + "-out"}
	for p := range int32(partitions) {
		read, err := out.settled(ctx, p)
		if err != nil {
			return []string{fmt.Sprintf("read the output: %v", err)}
		}
		for _, w := range read.Words {
			times[w]++
		}
	}
	for n := range r.fed {
		if got := times[strconv.Itoa(n)]; got != 1 {
			wrong = append(wrong, fmt.Sprintf("input %d is in the output %d times", n, got))
		}
	}
	slices.Sort(wrong)
	return wrong
}
