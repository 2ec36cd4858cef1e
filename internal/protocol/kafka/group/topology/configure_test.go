package topology

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

func own(name string, partitions int32) Topic { return Topic{Name: name, Partitions: partitions} }

// TestConfigure: what Apache Kafka 4.3.1 answers for the same topologies, in its words.
func TestConfigure(t *testing.T) {
	topics := map[string]int32{"in": 4, "in3": 3, "wide": 7, "huge": MaxTasks}
	existing := func(name string) (int32, bool) { n, ok := topics[name]; return n, ok }
	read := func(id string, sources ...string) Subtopology { return Subtopology{ID: id, Sources: sources} }
	with := func(s Subtopology, change func(*Subtopology)) Subtopology { change(&s); return s }
	const unused = "Failed to compute number of partitions for all repartition topics, because a repartition source topic is never used as a sink topic."
	const loop = "Failed to compute number of partitions for all repartition topics. There may be loops in the topology that cannot be resolved."
	for _, row := range []struct {
		name    string
		subs    []Subtopology
		problem Problem
		detail  string
		tasks   []int32
		missing []Topic
		invalid string
	}{
		{name: "nothing to do"},
		{name: "a source", subs: []Subtopology{read("0", "in")}, tasks: []int32{4}},
		{name: "the widest source counts", subs: []Subtopology{read("0", "in", "wide")}, tasks: []int32{7}},
		{
			name: "too many tasks", subs: []Subtopology{read("0", "huge"), read("1", "in")},
			invalid: "The application has 50004 tasks, of which 50000 are allowed.",
		},
		{name: "missing sources", subs: []Subtopology{read("0", "no", "in", "na")}, problem: MissingSources, detail: "Source topics na, no are missing."},
		{
			name: "repartition", subs: []Subtopology{
				with(read("0", "in"), func(s *Subtopology) { s.Sinks = []string{"rep"} }),
				{ID: "1", RepartitionSources: []Topic{own("rep", 0)}, Changelogs: []Topic{own("log", 0)}},
			},
			problem: MissingInternal, detail: "Internal topics are missing: log, rep", missing: []Topic{own("log", 4), own("rep", 4)},
		},
		{
			name: "repartition by its own number", subs: []Subtopology{{ID: "1", RepartitionSources: []Topic{own("rep", 5)}}},
			problem: MissingInternal, detail: "Internal topics are missing: rep", missing: []Topic{own("rep", 5)},
		},
		{name: "repartition that nobody writes", subs: []Subtopology{{ID: "1", RepartitionSources: []Topic{own("rep", 0)}}}, invalid: unused},
		{
			name: "loop", subs: []Subtopology{
				{ID: "0", Sinks: []string{"a"}, RepartitionSources: []Topic{own("b", 0)}}, {ID: "1", Sinks: []string{"b"}, RepartitionSources: []Topic{own("a", 0)}},
			}, invalid: loop,
		},
		{
			name: "not copartitioned", subs: []Subtopology{with(read("0", "in", "in3"), func(s *Subtopology) { s.Copartitioned = [][]string{{"in", "in3"}} })},
			problem: IncorrectlyPartitioned, detail: "Following topics do not have the same number of partitions: [{in=4, in3=3}]",
		},
		{
			name: "copartitioned with a repartition topic", subs: []Subtopology{
				with(read("0", "wide"), func(s *Subtopology) { s.Sinks = []string{"rep"} }),
				with(read("1", "in3"), func(s *Subtopology) {
					s.RepartitionSources, s.Copartitioned = []Topic{own("rep", 0)}, [][]string{{"in3", "rep"}}
				}),
			},
			problem: MissingInternal, detail: "Internal topics are missing: rep", missing: []Topic{own("rep", 3)},
		},
		{
			name: "a changelog with other partitions", subs: []Subtopology{with(read("0", "in"), func(s *Subtopology) { s.Changelogs = []Topic{own("in3", 0)} })},
			problem: IncorrectlyPartitioned, detail: "Existing topic in3 has different number of partitions: expected 4, found 3",
		},
		{
			name: "a source that is its own changelog", subs: []Subtopology{with(read("0", "in", "wide"), func(s *Subtopology) { s.Changelogs = []Topic{own("in", 0)} })},
			tasks: []int32{7},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, err := Configure(&Topology{Subtopologies: row.subs}, existing)
			if row.invalid != "" {
				if !errors.Is(err, kerr.StreamsInvalidTopology) || err.Error() != row.invalid {
					t.Fatalf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var counts []int32
			for _, tasks := range c.Tasks {
				counts = append(counts, tasks.Count)
			}
			same := func(a, b Topic) bool { return a.Name == b.Name && a.Partitions == b.Partitions }
			if c.Problem != row.problem || c.Detail != row.detail || !slices.Equal(counts, row.tasks) || !slices.EqualFunc(c.Missing, row.missing, same) {
				t.Errorf("problem %d, %q, tasks %v, missing %v", c.Problem, c.Detail, counts, c.Missing)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	valid := func(name string) bool { return !strings.Contains(name, " ") }
	internal := func(name string) bool { return name == "__consumer_offsets" }
	ok := Subtopology{ID: "0", Sources: []string{"in"}}
	for want, top := range map[string]Topology{
		"":                                     {Subtopologies: []Subtopology{ok}},
		"The topology's epoch -1 is negative.": {Epoch: -1},
		"There are two subtopologies 0.":       {Subtopologies: []Subtopology{ok, ok}},
		"No source topics found for subtopology 1":                                                   {Subtopologies: []Subtopology{ok, {ID: "1"}}},
		"Topic names a b,c d are not valid topic names.":                                             {Subtopologies: []Subtopology{{ID: "1", Sources: []string{"c d"}, Changelogs: []Topic{own("a b", 0)}}}},
		"Topic log is to have -3 partitions and 0 replicas.":                                         {Subtopologies: []Subtopology{{ID: "1", Sources: []string{"in"}, Changelogs: []Topic{own("log", -3)}}}},
		"Use of Kafka internal topics __consumer_offsets in a Kafka Streams topology is prohibited.": {Subtopologies: []Subtopology{{ID: "1", Sources: []string{"__consumer_offsets"}}}},
	} {
		err := top.Validate(valid, internal)
		if want == "" && err != nil || want != "" && (!errors.Is(err, kerr.StreamsInvalidTopology) || err.Error() != want) {
			t.Errorf("%v instead of %q", err, want)
		}
	}
}

// TestOrderHasNoMeaning: members of one application may list its topics in any order.
func TestOrderHasNoMeaning(t *testing.T) {
	a := Topology{Subtopologies: []Subtopology{
		{ID: "1", Sources: []string{"b", "a"}, Changelogs: []Topic{{Name: "y"}, {Name: "x", Configs: []Config{{"k", "1"}, {"j", "2"}}}}, Copartitioned: [][]string{{"b", "a"}}},
		{ID: "0", Sources: []string{"c"}},
	}}
	b := Topology{Subtopologies: []Subtopology{
		{ID: "0", Sources: []string{"c"}},
		{ID: "1", Sources: []string{"a", "b"}, Changelogs: []Topic{{Name: "x", Configs: []Config{{"j", "2"}, {"k", "1"}}}, {Name: "y"}}, Copartitioned: [][]string{{"a", "b"}}},
	}}
	a.Normalize()
	b.Normalize()
	if !a.Equal(&b) || a.Bytes() != b.Bytes() || a.Bytes() == 0 {
		t.Errorf("%+v is not %+v", a, b)
	}
	b.Subtopologies[1].Changelogs[0].Configs[0].Value = "3"
	if a.Equal(&b) {
		t.Error("another config is the same")
	}
}

// FuzzConfigure: whatever a client says that an application does, Configure comes to an end, and gives tasks only to what can run.
func FuzzConfigure(f *testing.F) {
	f.Add([]byte(`{"subtopologies":[{"id":"0","sources":["in"],"sinks":["rep"]},{"id":"1","repartitionSources":[{"name":"rep"}],"changelogs":[{"name":"log"}],"copartitioned":[["rep"]]}]}`))
	f.Add([]byte(`{"subtopologies":[{"id":"0","sources":["rep"],"sinks":["rep"],"repartitionSources":[{"name":"rep"}]}]}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		var top Topology
		if json.Unmarshal(value, &top) != nil {
			return
		}
		top.Normalize()
		if !top.Equal(&top) || top.Validate(func(string) bool { return true }, func(string) bool { return false }) != nil {
			return
		}
		c, err := Configure(&top, func(name string) (int32, bool) { return int32(len(name)), len(name)%2 == 0 })
		if err != nil {
			return
		}
		if c.Problem != 0 && len(c.Tasks) > 0 || c.Problem == 0 && len(c.Tasks) != len(top.Subtopologies) {
			t.Errorf("problem %d with tasks of %d of %d subtopologies", c.Problem, len(c.Tasks), len(top.Subtopologies))
		}
		for _, tasks := range c.Tasks {
			if tasks.Count < 0 {
				t.Errorf("%d tasks", tasks.Count)
			}
		}
	})
}
