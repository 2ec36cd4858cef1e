package txn

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/stream"
)

// TestSimulation lets producers run transactions over a network that loses answers and brings requests late, on a node that fails, dies in
// the middle of ending them and restarts, all on one seed; successors fence them, and zombies go on. When it calms down every transaction is
// whole: what was said to be committed is, what was said to be aborted is not, and of the others all of it or nothing. Group offsets are those of the
// last one that committed.
func TestSimulation(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			s := &simulation{rig: newRig(t, Config{}), random: rand.New(rand.NewPCG(seed, 7))}
			for i := range 8 {
				s.clients = append(s.clients, &client{id: fmt.Sprintf("tx%d", i/2), name: i, bumps: i/2%2 == 0})
			}
			for range 3000 {
				s.step()
			}
			s.check()
		})
	}
}

type simulation struct {
	*rig
	random  *rand.Rand
	clients []*client
	all     []*transaction
	late    []func() // requests that are still on their way
	commits int
	unknown int
}

// client is a producer process. Two share each transactional id: the younger one fences the other.
type client struct {
	id    string
	name  int
	bumps bool // speaks EndTxn v5 and joins implicitly
	who   Producer
	open  *transaction // nil = has to begin one
	ready bool         // has a producer id
}

// transaction is one that a client began.
type transaction struct {
	words   map[stream.Shard][]string
	group   string
	offset  stream.Offset // 0 = none
	outcome string        // what the client was told: "commit", "abort", "" = nothing
	asked   string        // what it asked for last
}

func (s *simulation) step() {
	ctx := context.Background()
	switch k := s.random.IntN(100); {
	case k == 0:
		s.restart(Config{})
	case k == 1:
		s.log.fails = errFake
	case k < 4:
		s.clock.Advance(time.Duration(s.random.IntN(30)) * time.Second)
		s.AbortDue(ctx)
	case k < 8 && len(s.late) > 0:
		i := s.random.IntN(len(s.late))
		late := s.late[i]
		s.late = slices.Delete(s.late, i, i+1)
		late()
	default:
		s.act(s.clients[s.random.IntN(len(s.clients))])
	}
}

func (s *simulation) act(c *client) {
	ctx := context.Background()
	switch {
	case !c.ready:
		who, err := s.Init(ctx, c.id, time.Minute, nil)
		c.ready, c.who, c.open = err == nil && !s.lost(), who, nil
	case c.open == nil:
		c.open = &transaction{words: map[stream.Shard][]string{}}
		s.all = append(s.all, c.open)
	case c.open.asked != "":
		s.finish(c, c.open.asked == "commit")
	default:
		switch k := s.random.IntN(10); {
		case k < 5:
			s.write(c)
		case k < 6:
			s.stage(c)
		case k < 7 && s.random.IntN(4) == 0:
			c.ready, c.open = false, nil // the process dies and starts again
		case len(c.open.words) > 0:
			s.finish(c, s.random.IntN(3) > 0)
		}
	}
}

// lost says whether an answer is.
func (s *simulation) lost() bool { return s.random.IntN(20) == 0 }

func (s *simulation) write(c *client) {
	shard := shardOf(fmt.Sprint(s.random.IntN(4)))
	if !c.bumps {
		if err := s.Add(context.Background(), c.id, c.who, []stream.Shard{shard}); err != nil {
			s.refused(c, err)
			return
		}
	}
	hold, errs := s.Write(c.id, []Batch{{Producer: c.who, Shard: shard}}, c.bumps)
	defer hold.Release()
	if errs[0] != nil {
		s.refused(c, errs[0])
		return
	}
	word := fmt.Sprintf("%s-%d-%d", c.id, len(s.all), s.random.Uint32())
	s.log.append(shard, c.who, word)
	c.open.words[shard] = append(c.open.words[shard], word)
}

func (s *simulation) stage(c *client) {
	ctx := context.Background()
	group := "g" + c.id
	if !c.bumps {
		if err := s.AddGroup(ctx, c.id, c.who, group); err != nil {
			s.refused(c, err)
			return
		}
	}
	next := stream.Offset(len(s.all)*1000 + s.random.IntN(1000))
	if err := s.Stage(ctx, c.id, c.who, group, []stream.Cursor{{Shard: shardOf("0"), Next: next}}, c.bumps, anyone); err != nil {
		s.refused(c, err)
		return
	}
	c.open.group, c.open.offset = group, next
	if !s.Staged(group)[shardOf("0")] {
		s.t.Fatalf("the group's offset is not unstable while %s has one staged", c.id)
	}
}

// finish ends the client's transaction, or asks again how it ended.
func (s *simulation) finish(c *client, commit bool) {
	open := c.open
	open.asked = "abort"
	if commit {
		open.asked = "commit"
	}
	dies := s.random.IntN(40) == 0
	s.log.dies = dies
	asked := c.who
	who, err := s.EndTxn(context.Background(), c.id, asked, commit, c.bumps)
	if dies && !s.log.dies {
		s.restart(Config{}) // before the answer left
		return
	}
	s.log.dies = false
	if c.bumps && s.random.IntN(4) == 0 {
		// The same request is on its way twice: it must not end what comes later.
		s.late = append(s.late, func() { _, _ = s.EndTxn(context.Background(), c.id, asked, commit, true) })
	}
	if s.lost() {
		return
	}
	if err != nil {
		s.refused(c, err)
		return
	}
	open.outcome, c.open = open.asked, nil
	if c.bumps {
		c.who = who
	}
}

// refused does what a client does: it asks again if the node failed, else it begins again as a new producer.
func (s *simulation) refused(c *client, err error) {
	var known *kerr.Error
	switch {
	case !errors.As(err, &known):
	case known == kerr.TransactionAbortable:
		s.t.Fatalf("%s was refused what it may do: %v", c.id, err)
	default:
		c.ready, c.open = false, nil
	}
}

// check ends what is open, and looks at every transaction.
func (s *simulation) check() {
	for _, late := range s.late {
		late()
	}
	s.log.fails = nil
	s.restart(Config{})
	s.clock.Advance(time.Hour)
	s.AbortDue(context.Background())
	where := map[string]string{}
	for i := range int32(4) {
		shard := shardOf(fmt.Sprint(i))
		for _, state := range []string{"commit", "abort", "open"} {
			for _, w := range s.log.words(shard, state) {
				if where[w] != "" {
					s.t.Fatalf("%s is there twice", w)
				}
				where[w] = state
			}
		}
	}
	last := map[string]stream.Offset{}
	for _, x := range s.all {
		how := x.outcome
		for _, words := range x.words {
			for _, w := range words {
				if where[w] == "open" || where[w] == "" {
					s.t.Fatalf("%s is %q, and nobody will end it", w, where[w])
				}
				if how == "" {
					how = where[w]
					s.unknown++
				}
				if where[w] != how {
					s.t.Fatalf("%s is there as %s, others of its transaction as %s; the client was told %q", w, where[w], how, x.outcome)
				}
			}
		}
		if how == "commit" {
			s.commits++
			if x.offset > 0 {
				last[x.group] = x.offset
			}
		}
	}
	for group, want := range last {
		if got := s.log.cursors["group/"+group][shardOf("0")]; got != want {
			s.t.Errorf("offset of %s is %d, the last commit's is %d", group, got, want)
		}
		if s.Staged(group) != nil {
			s.t.Errorf("%s has offsets staged after all have ended", group)
		}
	}
	if s.commits < 30 || s.unknown == 0 {
		s.t.Errorf("%d commits, %d of unknown outcome: the chaos was none", s.commits, s.unknown)
	}
}
