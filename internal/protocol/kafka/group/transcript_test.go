package group

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var update = flag.Bool("update", false, "write the transcripts in testdata anew")

// TestTranscripts plays the requests of testdata/*.txt to a machine. A line "> verb ..." is what the machine is told; the lines below it are
// what it wants done, and how it then stands. The first word after join, sync, heartbeat is the token of who waits for the answer.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := replay(t, string(want))
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

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			from := max(0, i-6)
			return strings.Join(g[from:min(len(g), i+6)], "\n") + "\nwant\n" + strings.Join(w[from:min(len(w), i+6)], "\n")
		}
	}
	return "fewer lines than wanted"
}

// replay returns script with what the machine answers instead of what the script says it does.
func replay(t *testing.T, script string) string {
	p := &player{t: t, now: time.Unix(1_000_000, 0), config: Config{InitialDelay: -1}.WithDefaults()}
	p.machine = NewMachine("g", p.config, p.now)
	var out strings.Builder
	for _, line := range strings.Split(strings.TrimRight(script, "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, "> "):
			fmt.Fprintln(&out, line)
			out.WriteString(p.play(strings.Fields(line[2:])))
		case line == "" || strings.HasPrefix(line, "#"):
			fmt.Fprintln(&out, line)
		}
	}
	return out.String()
}

type player struct {
	t       *testing.T
	now     time.Time
	config  Config
	machine *Machine
	saved   *Document
}

// arguments are the words "key=value" of a command.
type arguments map[string]string

func (a arguments) duration(key string, def time.Duration) time.Duration {
	if d, err := time.ParseDuration(a[key]); err == nil {
		return d
	}
	return def
}

func (a arguments) generation() int32 {
	n, err := strconv.Atoi(a["generation"])
	if err != nil {
		return -1
	}
	return int32(n) //nolint:gosec // a test's small number
}

func (p *player) play(words []string) string {
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
		p.config = Config{InitialDelay: -1}.WithDefaults()
		p.config.InitialDelay = args.duration("delay", p.config.InitialDelay)
		if n, err := strconv.Atoi(args["members"]); err == nil {
			p.config.MaxMembers = n
		}
		if n, err := strconv.ParseInt(args["bytes"], 10, 64); err == nil {
			p.config.MaxGroupBytes = n
		}
		p.machine = NewMachine("g", p.config, p.now)
	case "join":
		p.machine.Join(p.now, token, p.joinOf(args))
	case "sync":
		p.machine.Sync(p.now, token, syncOf(args))
	case "heartbeat":
		p.machine.Heartbeat(p.now, token, Heartbeat{Member: args["member"], Instance: args["instance"], Generation: args.generation()})
	case "commit":
		err := p.machine.MayCommit(p.now, Commit{Member: args["member"], Instance: args["instance"], Generation: args.generation()}, nil)
		direct = "commit: " + codeOf(err) + "\n"
	case "leave":
		for _, err := range p.machine.Leave(p.now, []Leave{{Member: args["member"], Instance: args["instance"], Reason: args["reason"]}}) {
			direct += "left: " + codeOf(err) + "\n"
		}
	case "cancel":
		p.machine.Cancel(p.now, token)
	case "wait":
		direct = p.wait(args.duration("for", 0))
	case "kill":
		p.machine.Kill(p.now)
	case "restart":
		p.restart()
	default:
		p.t.Fatalf("unknown command %q", words[0])
	}
	return direct + p.outcome()
}

func (p *player) wait(d time.Duration) string { return wait(&p.now, d, p.machine, p.outcome) }

// wait moves the time, and ticks at each deadline on the way. It returns what comes of that.
func wait(now *time.Time, d time.Duration, m interface {
	Deadline() time.Time
	Tick(now time.Time)
}, outcome func() string,
) string {
	var out strings.Builder
	end := now.Add(d)
	for {
		next := m.Deadline()
		if next.IsZero() || next.After(end) {
			*now = end
			return out.String()
		}
		fmt.Fprintf(&out, "after %v:\n", next.Sub(*now))
		if next.After(*now) {
			*now = next
		}
		m.Tick(*now)
		out.WriteString(outcome())
	}
}

func (p *player) restart() {
	if p.saved == nil {
		p.machine = NewMachine("g", p.config, p.now)
		return
	}
	value, err := p.saved.Encode()
	if err != nil {
		p.t.Fatal(err)
	}
	doc, err := DecodeDocument(value)
	if err != nil {
		p.t.Fatal(err)
	}
	p.machine = Restore("g", p.config, p.now, doc)
}

// joinOf reads protocols as "range(a,b)+sticky(a)": names with the topics of a consumer's subscription, or "raw:bytes".
func (p *player) joinOf(args arguments) Join {
	j := Join{
		Member: args["member"], Instance: args["instance"], Candidate: args["candidate"], Reason: args["reason"],
		Client: "client", Connection: args["connection"],
		Session: args.duration("session", 10*time.Second), Rebalance: args.duration("rebalance", time.Minute),
		ProtocolType: consumerType,
	}
	if v, err := strconv.Atoi(args["v"]); err == nil {
		j.NeedsID, j.SkipsAssignment = v >= 4, v >= 9
	}
	if typ, ok := args["type"]; ok {
		j.ProtocolType = typ
	}
	protocols := "range(t)"
	if s, ok := args["protocols"]; ok {
		protocols = s
	}
	for _, s := range strings.FieldsFunc(protocols, func(r rune) bool { return r == '+' }) {
		if name, raw, ok := strings.Cut(s, ":"); ok {
			j.Protocols = append(j.Protocols, Protocol{Name: name, Metadata: []byte(raw)})
			continue
		}
		name, topics, _ := strings.Cut(strings.TrimSuffix(s, ")"), "(")
		j.Protocols = append(j.Protocols, Protocol{Name: name, Metadata: subscription(strings.Split(topics, ",")...)})
	}
	return j
}

func subscription(topics ...string) []byte {
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Topics = topics
	return meta.AppendTo(nil)
}

func syncOf(args arguments) Sync {
	s := Sync{
		Member: args["member"], Instance: args["instance"], Generation: args.generation(),
		ProtocolType: args["type"], Protocol: args["protocol"],
	}
	if all := args["assign"]; all != "" {
		s.Assignments = map[string][]byte{}
		for _, a := range strings.Split(all, ",") {
			member, assignment, _ := strings.Cut(a, ":")
			s.Assignments[member] = []byte(assignment)
		}
	}
	return s
}

func codeOf(err error) string {
	var known *kerr.Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &known):
		return fmt.Sprintf("%d %s", known.Code, known.Message)
	}
	return err.Error()
}

// outcome tells what the machine wants done, and its state as "[Stable 3: a* b]" with the leader starred.
func (p *player) outcome() string {
	var b strings.Builder
	out := p.machine.Ready()
	if out.Save != nil {
		p.saved = out.Save
		fmt.Fprintf(&b, "keep %s, generation %d, %d members\n", out.Save.State, out.Save.Generation, len(out.Save.Members))
	}
	for _, e := range out.Events {
		fmt.Fprintf(&b, "log: %s: %s\n", e.What, e.Reason)
	}
	for _, r := range out.Replies {
		fmt.Fprintf(&b, "%d <- %s\n", r.To, describeReply(r))
	}
	m := p.machine
	fmt.Fprintf(&b, "[%s %d:", m.state, m.generation)
	for _, mem := range m.ordered() {
		star := ""
		if mem.id == m.leader {
			star = "*"
		}
		fmt.Fprintf(&b, " %s%s", mem.id, star)
	}
	if n := len(m.pending); n > 0 {
		fmt.Fprintf(&b, " +%d pending", n)
	}
	b.WriteString("]\n")
	return b.String()
}

func describeReply(r Reply) string {
	j := r.Join
	switch {
	case r.Err != nil && j.Member != "":
		return codeOf(r.Err) + ", member " + j.Member
	case r.Err != nil:
		return codeOf(r.Err)
	case j.Member != "":
		s := fmt.Sprintf("joined %d as %s, protocol %s, leader %s", j.Generation, j.Member, j.Protocol, j.Leader)
		if j.SkipAssignment {
			s += ", skips assignment"
		}
		if len(j.Members) > 0 {
			s += ", to assign:"
		}
		for _, f := range j.Members {
			s += " " + f.Member
			if f.Instance != "" {
				s += "(" + f.Instance + ")"
			}
		}
		return s
	case r.Sync.Protocol != "":
		return fmt.Sprintf("assigned %q, protocol %s", r.Sync.Assignment, r.Sync.Protocol)
	}
	return "ok"
}
