package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// scenario is one conversation with both sides.
type scenario struct {
	name string
	run  func(*pair) error
}

// stage is what is asked of the same two servers.
type stage struct {
	name      string
	kafka     string   // more lines of Kafka's settings
	freshet   []string // more arguments of freshet
	scenarios []scenario
}

// stages run one after the other, each with new servers.
var stages = []stage{
	{name: "open", scenarios: open},
	{
		name:      "guarded",
		kafka:     "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\nsuper.users=User:ANONYMOUS\n",
		freshet:   []string{"--kafka-acls", "on", "--kafka-super-users", "User:ANONYMOUS"},
		scenarios: guarded,
	},
}

// guarded are conversations with servers that hold clients to ACLs. Who makes them is the super user ANONYMOUS, through the listener without SASL.
var guarded = []scenario{
	{"rules", rules},
	{"rights", rights},
	{"rights of tokens", tokenRights},
	{"quotas", quotas},
	{"credentials", credentials},
}

// open are conversations with servers on which everybody may do everything. They run in this order: the first ones look at servers that hold nothing yet.
var open = []scenario{
	{"versions", apiVersions},
	{"cluster", cluster},
	{"create topics", createTopics},
	{"metadata", metadata},
	{"partitions", partitions},
	{"configs", describeConfigs},
	{"alter configs", alterConfigs},
	{"broker configs", brokers},
	{"broker loggers", loggers},
	{"produce", produce},
	{"idempotence", idempotence},
	{"fetch", fetch},
	{"fetch sessions", fetchSessions},
	{"list offsets", listOffsets},
	{"leader epochs", leaderEpochs},
	{"committed", committed},
	{"transactions", transactions},
	{"delete records", deleteRecords},
	{"compaction", compaction},
	{"compression", compression},
	{"groups", groups},
	{"group faults", groupFaults},
	{"crowds", crowds},
	{"consumers", consumers},
	{"consumer faults", consumerFaults},
	{"migration", migration},
	{"applications", applications},
	{"application faults", applicationFaults},
	{"offsets", offsets},
	{"offsets topic", offsetsTopic},
	{"queues", queues},
	{"administration", administration},
	{"telemetry", telemetry},
	{"tokens", tokens},
	{"random", random},
	{"delete topics", deleteTopics},
}

// pair asks both sides the same.
type pair struct {
	options
	kafka, freshet *side
	report         *report
	scenario       string
	step           string // what distinguishes requests of one kind within a scenario
}

func (p *pair) sides() []*side { return []*side{p.kafka, p.freshet} }

func (p *pair) begin(name string) {
	p.scenario, p.step = name, ""
	for _, s := range p.sides() {
		s.seen = map[string]any{}
	}
}

// versions are those of a request that both sides serve, ascending; none if one does not serve it.
func (p *pair) versions(req kmsg.Request) []int16 {
	k, ok := p.kafka.versions[req.Key()]
	f, both := p.freshet.versions[req.Key()]
	if !ok || !both {
		return nil
	}
	var all []int16
	for v := max(k.MinVersion, f.MinVersion); v <= min(k.MaxVersion, f.MaxVersion, req.MaxVersion()); v++ {
		all = append(all, v)
	}
	return all
}

// newest is the highest version that both sides serve.
func (p *pair) newest(req kmsg.Request) int16 {
	all := p.versions(req)
	if len(all) == 0 {
		panic("no common version of " + kmsg.NameForKey(req.Key()))
	}
	return all[len(all)-1]
}

// each compares the answers in every version that both sides serve.
func (p *pair) each(step string, build func(s *side, version int16) kmsg.Request) {
	for _, v := range p.versions(build(p.kafka, 0)) {
		p.ask(step, v, func(s *side) kmsg.Request { return build(s, v) })
	}
}

// ask compares the answers to one request and returns them, Kafka's first; nil stands for none.
func (p *pair) ask(step string, version int16, build func(*side) kmsg.Request) [2]kmsg.Response {
	responses, name, differences := p.exchange(version, build)
	p.report.add(p.scenario+"/"+step, name, differences)
	return responses
}

// settled is ask of what Kafka's broker hears of a moment after a change was answered.
func (p *pair) settled(step string, build func(*side) kmsg.Request) {
	p.settle(step, func() (string, []difference) {
		_, name, differences := p.exchange(p.newest(build(p.kafka)), build)
		return name, differences
	})
}

// settle compares again until all that differs is explained or time is up.
func (p *pair) settle(step string, exchange func() (request string, differences []difference)) {
	deadline := time.Now().Add(10 * time.Second)
	for {
		name, differences := exchange()
		if explained(p.scenario+"/"+step, name, differences) || time.Now().After(deadline) {
			p.report.add(p.scenario+"/"+step, name, differences)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// exchange asks both and says how the answers differ.
func (p *pair) exchange(version int16, build func(*side) kmsg.Request) (responses [2]kmsg.Response, request string, differences []difference) {
	var lines [2][]line
	for i, s := range p.sides() {
		req := build(s)
		request = fmt.Sprintf("%s v%d", kmsg.NameForKey(req.Key()), version)
		a := s.ask(version, req)
		responses[i] = a.response
		if a.response == nil {
			lines[i] = []line{{"", a.failed}}
		} else {
			lines[i] = flatten(s, a.response)
		}
	}
	return responses, request, compare(lines)
}

// newestOf is ask in the newest common version.
func (p *pair) newestOf(step string, build func(*side) kmsg.Request) [2]kmsg.Response {
	return p.ask(step, p.newest(build(p.kafka)), build)
}

// same is a request that is the same for both sides. It is built once for each, because asking sets its version.
func same(build func() kmsg.Request) func(*side) kmsg.Request {
	return func(*side) kmsg.Request { return build() }
}

// remember keeps a value of each side's answer under a name.
func remember[R kmsg.Response, V any](p *pair, name string, responses [2]kmsg.Response, pick func(R) V) error {
	for i, s := range p.sides() {
		r, ok := responses[i].(R)
		if !ok {
			return fmt.Errorf("%s: %s has no answer to remember: %T", name, s.name, responses[i])
		}
		s.seen[name] = pick(r)
	}
	return nil
}

// recall returns what remember kept.
func recall[V any](s *side, name string) V {
	v, _ := s.seen[name].(V)
	return v
}

// compare says how two answers differ, path by path.
func compare(lines [2][]line) (differences []difference) {
	values := [2]map[string]string{{}, {}}
	var paths []string
	for i := range lines {
		for _, l := range lines[i] {
			if _, ok := values[1-i][l.path]; !ok || i == 0 {
				paths = append(paths, l.path)
			}
			values[i][l.path] = l.value
		}
	}
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		k, inKafka := values[0][path]
		f, inFreshet := values[1][path]
		if k == f && inKafka == inFreshet || !inKafka && absentAbove(values[0], path) || !inFreshet && absentAbove(values[1], path) {
			continue
		}
		if !inKafka {
			k = "(absent)"
		}
		if !inFreshet {
			f = "(absent)"
		}
		differences = append(differences, difference{path: path, kafka: k, freshet: f})
	}
	return differences
}

// absentAbove says that the element of a list that a path is in is absent itself.
func absentAbove(values map[string]string, path string) bool {
	for i := len(path) - 2; i > 0; i-- {
		if path[i] != ']' {
			continue
		}
		if _, ok := values[path[:i+1]]; !ok {
			return true
		}
	}
	return false
}

// shorten keeps a value readable in a report.
func shorten(s string) string {
	s = strings.ReplaceAll(s, "\n", "\\n")
	if len(s) > 160 {
		return s[:160] + "..."
	}
	return s
}
