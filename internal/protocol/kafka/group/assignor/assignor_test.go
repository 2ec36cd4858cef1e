package assignor

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/stream"
)

func id(n int) stream.ID {
	var id stream.ID
	id[14], id[15] = byte(n>>8), byte(n)
	return id
}

// scenario is a group of testdata/kafka.txt with what Kafka's assignors gave its members.
type scenario struct {
	text    string
	topics  map[int]int32
	members []Member
	ranges  map[string]string // by member
	sizes   []int             // of uniform
	lost    int
}

func scenarios(t *testing.T) []scenario {
	t.Helper()
	data, err := os.ReadFile("testdata/kafka.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []scenario
	for block := range strings.SplitSeq(strings.TrimSpace(string(data)), "\n\n") {
		if strings.HasPrefix(block, "#") {
			continue
		}
		s := scenario{text: block, topics: map[int]int32{}, ranges: map[string]string{}}
		for line := range strings.SplitSeq(block, "\n") {
			s.read(t, strings.Fields(line))
		}
		all = append(all, s)
	}
	return all
}

func (s *scenario) read(t *testing.T, words []string) {
	t.Helper()
	switch words[0] {
	case "topics":
		for _, w := range words[1:] {
			topic, partitions, _ := strings.Cut(w, "=")
			s.topics[number(t, topic)] = int32(number(t, partitions)) //nolint:gosec // small
		}
	case "m":
		m := Member{ID: words[1], Subscription: &Subscription{}, Before: Assignment{}}
		if words[2] != "-" {
			m.Instance = words[2]
		}
		for _, w := range list(words[3], ",") {
			n := number(t, w)
			m.Subscription.Topics = append(m.Subscription.Topics, Topic{ID: id(n), Partitions: s.topics[n]})
		}
		for _, w := range list(words[4], ";") {
			topic, partitions, _ := strings.Cut(w, ":")
			for _, p := range list(partitions, ",") {
				at := id(number(t, topic))
				m.Before[at] = append(m.Before[at], int32(number(t, p))) //nolint:gosec // small
			}
		}
		s.members = append(s.members, m)
	case "range":
		s.ranges[words[1]] = words[2]
	case "uniform":
		for _, w := range list(words[1], ",") {
			s.sizes = append(s.sizes, number(t, w))
		}
		s.lost = number(t, words[3])
	}
}

func list(s, separator string) []string {
	if s == "-" {
		return nil
	}
	return strings.Split(s, separator)
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func show(a Assignment) string {
	var topics []string
	for at, partitions := range a {
		var s []string
		for _, p := range partitions {
			s = append(s, fmt.Sprint(p))
		}
		topics = append(topics, fmt.Sprintf("%d:%s", int(at[14])<<8|int(at[15]), strings.Join(s, ",")))
	}
	if len(topics) == 0 {
		return "-"
	}
	slices.Sort(topics)
	return strings.Join(topics, ";")
}

// lost counts what members had and have no more.
func lost(members []Member, now []Assignment) int {
	n := 0
	for i, m := range members {
		for at, partitions := range m.Before {
			for _, p := range partitions {
				if !slices.Contains(now[i][at], p) {
					n++
				}
			}
		}
	}
	return n
}

func sizes(all []Assignment) []int {
	var n []int
	for _, a := range all {
		n = append(n, a.Len())
	}
	return n
}

// TestRangeIsKafkas asserts that each member is given the very partitions that Apache Kafka gives it.
func TestRangeIsKafkas(t *testing.T) {
	for _, s := range scenarios(t) {
		check(t, s.text, s.members, Range(s.members))
		for i, got := range Range(s.members) {
			if want := s.ranges[s.members[i].ID]; show(got) != want {
				t.Errorf("%s\n%s is given %s, want %s", s.text, s.members[i].ID, show(got), want)
			}
		}
	}
}

// TestUniformIsAsEvenAsKafkas asserts that members have as many partitions as with Apache Kafka, and lose no more of what they had. Which member
// has how many is not Kafka's promise: it goes through members as their ids are hashed.
func TestUniformIsAsEvenAsKafkas(t *testing.T) {
	for _, s := range scenarios(t) {
		all := Uniform(s.members)
		check(t, s.text, s.members, all)
		got, want := sizes(all), slices.Clone(s.sizes)
		slices.Sort(got)
		slices.Sort(want)
		if n := lost(s.members, all); !slices.Equal(got, want) || n > s.lost {
			t.Errorf("%s\nsizes %v, lost %d; Kafka's sizes %v, lost %d", s.text, got, n, want, s.lost)
		}
	}
}

// check asserts that each partition of each subscribed topic has one owner, who subscribes to it.
func check(t *testing.T, text string, members []Member, all []Assignment) {
	t.Helper()
	owner := map[string]int{}
	want := map[stream.ID]int32{}
	for i, a := range all {
		for _, topic := range members[i].Subscription.Topics {
			want[topic.ID] = topic.Partitions
		}
		for at, partitions := range a {
			subscribed := slices.ContainsFunc(members[i].Subscription.Topics, func(s Topic) bool { return s.ID == at })
			if !subscribed || len(partitions) == 0 || !slices.IsSorted(partitions) {
				t.Fatalf("%s\nmember %d is given %v of %v", text, i, partitions, at)
			}
			for _, p := range partitions {
				key := fmt.Sprintf("%v/%d", at, p)
				if o, ok := owner[key]; ok {
					t.Fatalf("%s\n%s is given to %d and %d", text, key, o, i)
				}
				owner[key] = i
			}
		}
	}
	total := 0
	for _, n := range want {
		total += int(n)
	}
	if len(owner) != total {
		t.Fatalf("%s\n%d of %d partitions have an owner", text, len(owner), total)
	}
}

// TestAssignmentsSettle changes groups at random: every partition always has one owner, members with the same topics differ by one partition at
// most, and assigning again without a change changes nothing.
func TestAssignmentsSettle(t *testing.T) {
	const seed = 848
	r := rand.New(rand.NewPCG(seed, 0))
	subscriptions := []*Subscription{{}, {}}
	for n := range 5 {
		topic := Topic{ID: id(n), Partitions: 1 + r.Int32N(40)}
		subscriptions[0].Topics = append(subscriptions[0].Topics, topic)
		if n%2 == 0 {
			subscriptions[1].Topics = append(subscriptions[1].Topics, topic)
		}
	}
	for _, name := range Names() {
		for _, kinds := range []int{1, 2} {
			var members []Member
			for step := range 300 {
				if len(members) == 0 || r.IntN(3) > 0 && len(members) < 30 {
					m := Member{ID: fmt.Sprint("m", step), Subscription: subscriptions[r.IntN(kinds)]}
					members = slices.Insert(members, r.IntN(len(members)+1), m)
				} else {
					i := r.IntN(len(members))
					members = slices.Delete(members, i, i+1)
				}
				if len(members) == 0 || kinds == 2 && !slices.ContainsFunc(members, func(m Member) bool { return m.Subscription == subscriptions[0] }) {
					continue
				}
				text := fmt.Sprintf("%s, seed %d, step %d", name, seed, step)
				all := ByName(name)(members)
				check(t, text, members, all)
				for i := range members {
					members[i].Before = all[i]
				}
				if n := sizes(all); name == Default && kinds == 1 && slices.Max(n)-slices.Min(n) > 1 {
					t.Fatalf("%s: sizes %v", text, n)
				}
				for i, again := range ByName(name)(members) {
					if !again.Equal(all[i]) || len(again) > 0 && show(again) != show(all[i]) {
						t.Fatalf("%s: %s was given %s and then %s", text, members[i].ID, show(all[i]), show(again))
					}
				}
			}
		}
	}
}

// TestUniformMovesOnlyWhatItMust asserts that a newcomer takes its share and nobody else gains or loses.
func TestUniformMovesOnlyWhatItMust(t *testing.T) {
	all := &Subscription{Topics: []Topic{{id(1), 10}, {id(2), 7}}}
	var members []Member
	for i := range 6 {
		members = append(members, Member{ID: fmt.Sprint(9 - i), Subscription: all})
		given := Uniform(members)
		if n := lost(members, given); n != 17/len(members) && i > 0 {
			t.Errorf("%d members: %d partitions moved, want %d", len(members), n, 17/len(members))
		}
		for j := range members {
			members[j].Before = given[j]
		}
	}
	if all := Uniform(nil); all != nil {
		t.Errorf("nobody is given %v", all)
	}
}

func BenchmarkJoin(b *testing.B) {
	for _, row := range []struct {
		name    string
		members int
		mixed   bool
	}{{"500 members", 500, false}, {"2000 members", 2000, false}, {"2000 members of two kinds", 2000, true}} {
		b.Run(row.name+", 10000 partitions", func(b *testing.B) {
			subscriptions := []*Subscription{{}, {}}
			for n := range 100 {
				topic := Topic{ID: id(n), Partitions: 100}
				subscriptions[0].Topics = append(subscriptions[0].Topics, topic)
				if n < 50 {
					subscriptions[1].Topics = append(subscriptions[1].Topics, topic)
				}
			}
			var members []Member
			for i := range row.members {
				s := subscriptions[0]
				if row.mixed && i%2 == 1 {
					s = subscriptions[1]
				}
				members = append(members, Member{ID: fmt.Sprint(i), Subscription: s})
			}
			before := Uniform(members[1:])
			for i := range before {
				members[i+1].Before = before[i]
			}
			slices.SortFunc(members, func(x, y Member) int { return cmp.Compare(x.ID, y.ID) })
			for b.Loop() {
				Uniform(members)
			}
		})
	}
}
