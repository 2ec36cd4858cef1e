package share

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/stream"
)

// topicOf returns a topic whose id is its name's first letter.
func topicOf(name string, shards int32) Topic { return Topic{ID: stream.ID{name[0]}, Shards: shards} }

func topicsOf(sizes map[string]int32) map[string]Topic {
	topics := map[string]Topic{}
	for name, n := range sizes {
		topics[name] = topicOf(name, n)
	}
	return topics
}

func shards(set map[stream.Shard]bool) string {
	var b strings.Builder
	for _, s := range sortedShards(set) {
		fmt.Fprintf(&b, "%c%d", s.Stream[0], s.Index)
	}
	return b.String()
}

// lineup reads "a:x,y=x0x1 b:x": subscribers, what they subscribe to, and what they had.
func lineup(text string) []*subscriber {
	var all []*subscriber
	for _, word := range strings.Fields(text) {
		word, had, _ := strings.Cut(word, "=")
		id, topics, _ := strings.Cut(word, ":")
		m := &subscriber{id: id, topics: strings.Split(topics, ","), shards: map[stream.Shard]bool{}}
		for ; had != ""; had = had[2:] {
			m.shards[stream.Shard{Stream: stream.ID{had[0]}, Index: int32(had[1] - '0')}] = true
		}
		all = append(all, m)
	}
	return all
}

func TestAssign(t *testing.T) {
	for name, c := range map[string]struct {
		members string
		topics  map[string]int32
		want    string
	}{
		"one has all":                     {"a:x", map[string]int32{"x": 3}, "a=x0x1x2"},
		"shards are divided":              {"a:x b:x", map[string]int32{"x": 4}, "a=x0x2 b=x1x3"},
		"more members than shards":        {"a:x b:x c:x", map[string]int32{"x": 1}, "a=x0 b=x0 c=x0"},
		"every member has some":           {"a:x b:x c:x", map[string]int32{"x": 2}, "a=x0x1 b=x0 c=x1"},
		"what one has stays":              {"a:x=x1x3 b:x=x0x2", map[string]int32{"x": 4}, "a=x1x3 b=x0x2"},
		"a newcomer gets its part":        {"a:x=x0x1x2x3 b:x", map[string]int32{"x": 4}, "a=x0x1 b=x2x3"},
		"what a leaver had is taken over": {"a:x=x0x1 c:x=x4", map[string]int32{"x": 5}, "a=x0x1x3 c=x2x4"},
		"nobody has what is not its":      {"a:x b:y", map[string]int32{"x": 2, "y": 1}, "a=x0x1 b=y0"},
		"who reads both helps":            {"a:x b:x,y c:y", map[string]int32{"x": 2, "y": 2}, "a=x0 b=x1y1 c=y0"},
		"a topic is gone":                 {"a:x,y=x0y0", map[string]int32{"y": 1}, "a=y0"},
		"no topic at all":                 {"a:x", nil, "a="},
	} {
		all := lineup(c.members)
		assign(all, topicsOf(c.topics))
		var got []string
		for _, m := range all {
			got = append(got, m.id+"="+shards(m.shards))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}

// TestAssignKeepsItsPromises: each shard that somebody wants has somebody, each subscriber of something has something, loads of those who subscribe
// to the same are even, and assigning again changes nothing.
func TestAssignKeepsItsPromises(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 7))
		topics := map[string]Topic{}
		for _, name := range strings.Split("tuvwxyz", "")[:1+random.IntN(7)] {
			topics[name] = topicOf(name, int32(1+random.IntN(12)))
		}
		names := slices.Sorted(maps.Keys(topics))
		one := seed%3 == 0 // all subscribe to the same
		var all []*subscriber
		for i := range 1 + random.IntN(30) {
			m := &subscriber{id: fmt.Sprintf("m%02d", i), topics: names}
			if !one {
				m.topics = names[random.IntN(len(names)):]
			}
			all = append(all, m)
		}
		for range 3 { // the second and third time with what they had, as members come and go
			assign(all, topics)
			checkAssignment(t, seed, all, topics, one)
			before := fmt.Sprint(lineupOf(all))
			assign(all, topics)
			if after := fmt.Sprint(lineupOf(all)); after != before && one && len(all) <= 5 {
				t.Fatalf("seed %d: %s\nbecame %s", seed, before, after)
			}
			if random.IntN(2) == 0 && len(all) > 1 {
				all = all[1:]
			} else {
				all = append(all, &subscriber{id: fmt.Sprintf("n%d", random.IntN(1e9)), topics: names})
			}
		}
	}
}

func lineupOf(all []*subscriber) []string {
	var got []string
	for _, m := range all {
		got = append(got, m.id+"="+shards(m.shards))
	}
	return got
}

func checkAssignment(t *testing.T, seed uint64, all []*subscriber, topics map[string]Topic, one bool) {
	t.Helper()
	held := map[stream.Shard]int{}
	least, most := 1<<30, 0
	for _, m := range all {
		if len(m.shards) == 0 {
			t.Fatalf("seed %d: %s has nothing: %v", seed, m.id, lineupOf(all))
		}
		least, most = min(least, len(m.shards)), max(most, len(m.shards))
		for s := range m.shards {
			held[s]++
			if name := string(s.Stream[0]); !slices.Contains(m.topics, name) || s.Index >= topics[name].Shards {
				t.Fatalf("seed %d: %s of %v has %v", seed, m.id, m.topics, s)
			}
		}
	}
	if one && most-least > 1 {
		t.Fatalf("seed %d: one has %d, another %d: %v", seed, least, most, lineupOf(all))
	}
	for name, topic := range topics {
		for i := range topic.Shards {
			if held[stream.Shard{Stream: topic.ID, Index: i}] == 0 && slices.ContainsFunc(all, func(m *subscriber) bool { return slices.Contains(m.topics, name) }) {
				t.Fatalf("seed %d: nobody has %s%d: %v", seed, name, i, lineupOf(all))
			}
		}
	}
}

// play sends a beat to a group as the coordinator does, and tells what comes back.
func play(g *Group, now time.Time, topics map[string]Topic, b Beat) string {
	b.Session = 45 * time.Second
	if err := g.Check(&b); err != nil {
		return err.(*kerr.Error).Message
	}
	if err := g.Admit(&b, 3, 2000); err != nil {
		return err.(*kerr.Error).Message
	}
	g.Subscribe(now, &b)
	g.SetTopics(topics)
	g.Assign(now, 0)
	told := g.Tell(&b)
	if !told.Told {
		return fmt.Sprintf("epoch %d", told.Epoch)
	}
	set := map[stream.Shard]bool{}
	for _, s := range told.Assignment {
		set[s] = true
	}
	return fmt.Sprintf("epoch %d: %s", told.Epoch, shards(set))
}

func TestGroup(t *testing.T) {
	g := NewGroup()
	topics := topicsOf(map[string]int32{"x": 2})
	rack := "r1"
	long := strings.Repeat("x", 2000)
	for i, c := range []struct {
		beat Beat
		want string
	}{
		{Beat{Member: "a", Epoch: 1}, "UNKNOWN_MEMBER_ID"},
		{Beat{Member: "a", Topics: []string{"x", "x", "nope"}}, "epoch 1: x0x1"},
		{Beat{Member: "a", Epoch: 1}, "epoch 1"},
		{Beat{Member: "b", Topics: []string{"x"}, Rack: &rack}, "epoch 2: x1"},
		{Beat{Member: "a", Epoch: 1}, "epoch 2: x0"},
		{Beat{Member: "a", Epoch: 1}, "epoch 2: x0"}, // it has not had the answer
		{Beat{Member: "a", Epoch: 2}, "epoch 2"},
		{Beat{Member: "a", Epoch: 3}, "FENCED_MEMBER_EPOCH"},
		{Beat{Member: "a", Epoch: 2, Topics: []string{"nope"}}, "epoch 3: "},
		{Beat{Member: "b", Epoch: 2}, "epoch 3: x0x1"},
		{Beat{Member: "b", Topics: []string{"x"}}, "epoch 3: x0x1"}, // it begins anew
		{Beat{Member: "c", Topics: []string{long}}, "GROUP_MAX_SIZE_REACHED"},
		{Beat{Member: "c", Topics: []string{"x"}}, "epoch 4: x1"},
		{Beat{Member: "d", Topics: []string{"x"}}, "GROUP_MAX_SIZE_REACHED"},
		{Beat{Member: "c", Epoch: 4, Topics: []string{"x"}}, "epoch 4: x1"},
	} {
		if got := play(g, epoch, topics, c.beat); got != c.want {
			t.Errorf("%d: %+v: %s, want %s", i, c.beat, got, c.want)
		}
	}
	if names := g.Names(); !slices.Equal(names, []string{"nope", "x"}) {
		t.Errorf("topics %v", names)
	}
	topics = topicsOf(map[string]int32{"x": 3})
	if got, want := play(g, epoch, topics, Beat{Member: "c", Epoch: 4}), "epoch 5: x1"; got != want {
		t.Errorf("a topic grew: %s, want %s", got, want)
	}
	if got, want := play(g, epoch.Add(time.Second), topics, Beat{Member: "c", Epoch: 5}), "epoch 5"; got != want {
		t.Errorf("nothing happened: %s, want %s", got, want)
	}
	if d := g.Deadline(); !d.Equal(epoch.Add(45 * time.Second)) {
		t.Errorf("deadline %v", d)
	}
	if gone := g.Expired(epoch.Add(45 * time.Second)); !slices.Equal(gone, []string{"a", "b"}) {
		t.Errorf("expired: %v", gone)
	}
}

func TestGroupIsAssignedOnceInAnInterval(t *testing.T) {
	g := NewGroup()
	topics := topicsOf(map[string]int32{"x": 4})
	const every = 10 * time.Second
	for i, step := range []struct {
		at     time.Duration // since epoch
		change func()
		want   string
	}{
		{0, func() { g.Subscribe(epoch, &Beat{Member: "a", Topics: []string{"x"}}); g.SetTopics(topics) }, "wait 0s for 1 of 1: a=x0x1x2x3"},
		{4 * time.Second, func() { g.Subscribe(epoch, &Beat{Member: "b", Topics: []string{"x"}}) }, "wait 6s for 1 of 2: a=x0x1x2x3 b="},
		{9 * time.Second, func() { g.SetTopics(topicsOf(map[string]int32{"x": 5})) }, "wait 1s for 1 of 2: a=x0x1x2x3 b="},
		{10 * time.Second, func() {}, "wait 0s for 2 of 2: a=x0x1x2 b=x3x4"},
		{11 * time.Second, func() {}, "wait 0s for 2 of 2: a=x0x1x2 b=x3x4"},
		{12 * time.Second, func() { g.SetTopics(topics) }, "wait 8s for 2 of 3: a=x0x1x2 b=x3x4"},
		{-time.Hour, func() {}, "wait 0s for 3 of 3: a=x0x1 b=x2x3"}, // the clock was set back
		{time.Second - time.Hour, func() { g.Remove("a") }, "wait 9s for 3 of 4: b=x2x3"},
		{every - time.Hour, func() {}, "wait 0s for 4 of 4: b=x0x1x2x3"},
	} {
		step.change()
		wait := g.Assign(epoch.Add(step.at), every)
		got := fmt.Sprintf("wait %v for %d of %d:", wait, g.targetEpoch, g.epoch)
		for _, m := range g.ordered() {
			got += " " + m.id + "=" + shards(m.target)
		}
		if got != step.want {
			t.Errorf("%d: %s, want %s", i, got, step.want)
		}
	}
}

// What is kept of a group says who its members are, but for their assignments: they follow.
func TestGroupDocument(t *testing.T) {
	g := NewGroup()
	topics := topicsOf(map[string]int32{"x": 2})
	rack := "r"
	play(g, epoch, topics, Beat{Member: "a", Client: "c", Host: "h", Topics: []string{"x", "y"}, Rack: &rack})
	play(g, epoch, topics, Beat{Member: "b", Topics: []string{"x"}})
	kept, err := g.encode("key")
	if err != nil {
		t.Fatal(err)
	}
	later := epoch.Add(time.Hour)
	r, key, err := decodeGroup(kept, later)
	if err != nil || key != "key" || r.Bytes() != g.Bytes() || r.State() != Stable {
		t.Fatalf("%+v %q %v", r, key, err)
	}
	r.SetTopics(topics)
	if got, want := play(r, later, topics, Beat{Member: "a", Epoch: 1}), "epoch 3: x0"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if d := r.Deadline(); !d.Equal(later.Add(45 * time.Second)) {
		t.Errorf("deadline %v", d)
	}
	r.Remove("a")
	r.Remove("b")
	if r.Bytes() != 0 || r.State() != Empty {
		t.Errorf("%d bytes in a group that is %s", r.Bytes(), r.State())
	}
	for _, wrong := range []string{
		``, `{}`, `{"key":"k","members":[{"id":"","session":1}]}`, `{"key":"k","members":[{"id":"a","session":0}]}`,
		`{"key":"k","members":[{"id":"a","session":1},{"id":"a","session":1}]}`,
	} {
		if _, _, err := decodeGroup([]byte(wrong), later); err == nil {
			t.Errorf("%s: taken", wrong)
		}
	}
}

func FuzzDecodeGroup(f *testing.F) {
	g := NewGroup()
	play(g, epoch, nil, Beat{Member: "a", Topics: []string{"x", "y"}})
	kept, _ := g.encode("key")
	f.Add(kept)
	f.Fuzz(func(t *testing.T, b []byte) {
		g, key, err := decodeGroup(b, epoch)
		if err != nil {
			return
		}
		kept, err := g.encode(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err = decodeGroup(kept, epoch); err != nil && !errors.Is(err, kerr.UnknownMemberID) {
			t.Fatalf("%s: %v", kept, err)
		}
	})
}
