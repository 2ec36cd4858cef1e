package group

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/group/assignor"
	"github.com/freshet/freshet/internal/stream"
)

// TestConsumerTranscripts plays the requests of testdata/consumer/*.txt to a ConsumerMachine, as TestTranscripts does to a Machine. After each the group
// stands as "[state epoch/target: member@epoch phase has ← target, ...]".
func TestConsumerTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/consumer/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p := newConsumerPlayer(t)
			var out strings.Builder
			for line := range strings.SplitSeq(strings.TrimRight(string(want), "\n"), "\n") {
				switch {
				case strings.HasPrefix(line, "> "):
					fmt.Fprintln(&out, line)
					out.WriteString(p.play(strings.Fields(line[2:])))
				case line == "" || strings.HasPrefix(line, "#"):
					fmt.Fprintln(&out, line)
				}
			}
			got := out.String()
			if *update {
				if err = os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("%s: got\n%s", file, firstDifference(got, string(want)))
			}
		})
	}
}

type consumerPlayer struct {
	player  // for the commands of the classic protocol
	m       *ConsumerMachine
	shards  map[string]int32
	kept    map[string]ConsumerMemberDocument
	keptAll *ConsumerDocument
}

func newConsumerPlayer(t *testing.T) *consumerPlayer {
	p := &consumerPlayer{shards: map[string]int32{}, kept: map[string]ConsumerMemberDocument{}}
	p.t, p.now, p.config = t, time.Unix(1_000_000, 0), Config{}.WithDefaults()
	p.m = NewConsumerMachine("g", p.config, p.now, p.topics())
	return p
}

func topicID(name string) stream.ID {
	var id stream.ID
	copy(id[:], name)
	return id
}

func (p *consumerPlayer) topics() *Topics {
	var all []*stream.Stream
	for name, n := range p.shards {
		all = append(all, &stream.Stream{ID: topicID(name), Name: stream.Name(name), Shards: n})
	}
	return NewTopics(all)
}

func (p *consumerPlayer) play(words []string) string {
	args := arguments{}
	var token Token
	for i, w := range words[1:] {
		if n, err := strconv.ParseUint(w, 10, 64); err == nil && i == 0 {
			token = Token(n)
			continue
		}
		key, value, _ := strings.Cut(w, "=")
		args[key] = value
	}
	direct := ""
	switch words[0] {
	case "config":
		p.configure(args)
	case "topics":
		for name, n := range args {
			shards, err := strconv.Atoi(n)
			if p.shards[name] = int32(shards); err != nil || shards == 0 { //nolint:gosec // small
				delete(p.shards, name)
			}
		}
		p.m.SetTopics(p.topics())
	case "settings":
		s := p.config.Settings()
		s.AssignEvery = args.duration("every", 0)
		s.Session = args.duration("session", s.Session)
		s.Brisk = args.duration("brisk", 0)
		p.m.SetSettings(s)
	case "beat":
		p.m.Beat(p.now, token, p.beatOf(args))
	case "join":
		j := p.joinOf(args)
		if owned, ok := args["owned"]; ok { // as a cooperative member says it
			meta := kmsg.NewConsumerMemberMetadata()
			meta.Version, meta.Topics = 1, []string{"t"}
			for _, o := range ownedOf(owned) {
				meta.OwnedPartitions = append(meta.OwnedPartitions, kmsg.ConsumerMemberMetadataOwnedPartition{Topic: p.m.topics.Name(o.Topic), Partitions: o.Indexes})
			}
			j.Protocols[0].Metadata = meta.AppendTo(nil)
		}
		p.m.Join(p.now, token, j)
	case "sync":
		p.m.Sync(p.now, token, syncOf(args))
	case "heartbeat":
		p.m.Heartbeat(p.now, token, Heartbeat{Member: args["member"], Instance: args["instance"], Generation: args.generation()})
	case "leave":
		for _, err := range p.m.Leave(p.now, []Leave{{Member: args["member"], Instance: args["instance"], Reason: args["reason"]}}) {
			direct += "left: " + codeOf(err) + "\n"
		}
	case "commit":
		c := Commit{Member: args["member"], Generation: args.generation(), Epochs: args["v"] != "8", Transactional: args["transactional"] != ""}
		var cursors []stream.Cursor
		for _, o := range ownedOf(args["of"]) {
			for _, i := range o.Indexes {
				cursors = append(cursors, stream.Cursor{Shard: stream.Shard{Stream: o.Topic, Index: i}})
			}
		}
		direct = "commit: " + codeOf(p.m.MayCommit(p.now, c, cursors)) + "\n"
	case "fetch":
		member := args["member"]
		direct = "fetch: " + codeOf(p.m.MayFetch(&member, args.generation())) + "\n"
	case "wait":
		direct = p.wait(args.duration("for", 0))
	case "restart":
		p.restart()
	default:
		p.t.Fatalf("unknown command %q", words[0])
	}
	return direct + p.outcome()
}

func (p *consumerPlayer) configure(args arguments) {
	p.config = Config{}.WithDefaults()
	if n, err := strconv.Atoi(args["members"]); err == nil {
		p.config.MaxMembers, p.config.MaxConsumerMembers = n, n
	}
	if n, err := strconv.ParseInt(args["bytes"], 10, 64); err == nil {
		p.config.MaxGroupBytes = n
	}
	if policy, ok := args["migration"]; ok {
		p.config.Migration = Migration(policy)
	}
	p.m = NewConsumerMachine("g", p.config, p.now, p.topics())
}

func (p *consumerPlayer) beatOf(args arguments) ConsumerBeat {
	epoch, err := strconv.Atoi(args["epoch"])
	if err != nil {
		p.t.Fatal(err)
	}
	b := ConsumerBeat{Member: args["member"], Instance: args["instance"], Epoch: int32(epoch), Client: "client", Host: "/host"} //nolint:gosec // small
	b.Rebalance = args.duration("rebalance", 0)
	if epoch == 0 && b.Rebalance == 0 {
		b.Rebalance = time.Minute
	}
	if topics, ok := args["topics"]; ok {
		b.Topics = strings.FieldsFunc(topics, func(r rune) bool { return r == ',' })
	}
	if pattern, ok := args["pattern"]; ok {
		b.Pattern = &pattern
	}
	if name, ok := args["assignor"]; ok {
		b.Assignor = &name
	}
	if owned, ok := args["owned"]; ok || epoch == 0 {
		b.Owned = ownedOf(owned)
	}
	return b
}

// ownedOf reads "a:0,1;b:2".
func ownedOf(s string) []Partitions {
	all := []Partitions{}
	for topic := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ';' }) {
		name, list, _ := strings.Cut(topic, ":")
		p := Partitions{Topic: topicID(name)}
		for i := range strings.SplitSeq(list, ",") {
			n, err := strconv.Atoi(i)
			if err != nil {
				panic(err)
			}
			p.Indexes = append(p.Indexes, int32(n)) //nolint:gosec // small
		}
		all = append(all, p)
	}
	return all
}

func (p *consumerPlayer) wait(d time.Duration) string { return wait(&p.now, d, p.m, p.outcome) }

func (p *consumerPlayer) restart() {
	doc := ConsumerDocument{Type: ConsumerType}
	if p.keptAll != nil {
		doc = *p.keptAll
	}
	p.m = RestoreConsumers("g", p.config, p.config.Settings(), p.now, p.topics(), doc, slices.Collect(maps.Values(p.kept)))
}

func partitionsText(a assignor.Assignment) string {
	var topics []string
	for id, partitions := range a {
		var s []string
		for _, i := range partitions {
			s = append(s, fmt.Sprint(i))
		}
		topics = append(topics, strings.TrimRight(string(id[:]), "\x00")+":"+strings.Join(s, ","))
	}
	slices.Sort(topics)
	if len(topics) == 0 {
		return "-"
	}
	return strings.Join(topics, ";")
}

func (p *consumerPlayer) outcome() string {
	var b strings.Builder
	out := p.m.Ready()
	if d := out.Documents; d != nil {
		p.keep(&b, d)
	}
	for _, e := range out.Events {
		fmt.Fprintf(&b, "log: %s: %s\n", e.What, e.Reason)
	}
	for _, r := range out.Replies {
		fmt.Fprintf(&b, "%d <- %s\n", r.To, p.answer(r))
	}
	if c := p.m.Becomes(); c != nil {
		return b.String() + fmt.Sprintf("now classic: [%s %d: %d members, protocol %s, leader %s]\n", c.state, c.generation, len(c.members), c.protocol, c.leader)
	}
	fmt.Fprintf(&b, "[%s %d/%d:", p.m.State(), p.m.epoch, p.m.targetEpoch)
	for _, mem := range p.m.list {
		fmt.Fprintf(&b, " %s@%d", mem.id, mem.epoch)
		if mem.phase != settled {
			fmt.Fprintf(&b, " %s", mem.phase)
		}
		fmt.Fprintf(&b, " %s", partitionsText(mem.assigned.assignment()))
		if len(mem.revoking) > 0 {
			fmt.Fprintf(&b, " revokes %s", partitionsText(mem.revoking.assignment()))
		}
		if !mem.target.Equal(mem.assigned.assignment()) {
			fmt.Fprintf(&b, " of %s", partitionsText(mem.target))
		}
		b.WriteString(",")
	}
	return strings.TrimSuffix(b.String(), ",") + "]\n"
}

func (p *consumerPlayer) keep(b *strings.Builder, d *Documents) {
	var members []ConsumerMemberDocument
	for _, m := range d.Members {
		members = append(members, m.(ConsumerMemberDocument))
	}
	slices.SortFunc(members, func(a, b ConsumerMemberDocument) int { return cmp.Compare(a.Order, b.Order) })
	var names []string
	for _, m := range members {
		names = append(names, m.ID)
		p.kept[m.ID] = m
	}
	slices.Sort(d.Gone)
	for _, id := range d.Gone {
		names = append(names, "not "+id)
		delete(p.kept, id)
	}
	if d.Group != nil {
		group := d.Group.(ConsumerDocument)
		p.keptAll = &group
		names = append([]string{"group"}, names...)
	}
	fmt.Fprintf(b, "keep %s\n", strings.Join(names, ", "))
}

func (p *consumerPlayer) answer(r Reply) string {
	if r.Beat.Member == "" || r.Err != nil {
		if r.Sync.Protocol != "" {
			given, _, _ := decodeGiven(r.Sync.Assignment)
			return fmt.Sprintf("assigned %v, protocol %s", given, r.Sync.Protocol)
		}
		return describeReply(r)
	}
	s := fmt.Sprintf("%s epoch %d, next in %v", r.Beat.Member, r.Beat.Epoch, r.Beat.Interval)
	if r.Beat.Assigned {
		s += ", reads " + partitionsText(r.Beat.Assignment)
	}
	return s
}
