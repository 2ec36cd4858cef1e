package txn

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/stream"
)

var update = flag.Bool("update", false, "write the transcripts in testdata anew")

// TestTranscripts plays the requests of testdata/*.txt to one transactional id. A line "> verb ..." is what it is told; the lines below it are what
// comes of it, and how it then stands: [state producer/epoch after the epoch before: shards, groups, staged offsets].
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
				t.Errorf("%s has become\n%s", file, got)
			}
		})
	}
}

// replay returns script with what comes of it instead of what the script says does.
func replay(t *testing.T, script string) string {
	p := &player{t: t, now: time.Unix(1_000_000, 0).UTC(), txn: Unused()}
	var out strings.Builder
	for _, line := range strings.Split(strings.TrimRight(script, "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, "> "):
			fmt.Fprintln(&out, line)
			out.WriteString(p.play(strings.Fields(line[2:])))
			out.WriteString(p.standing())
		case line == "" || strings.HasPrefix(line, "#"):
			fmt.Fprintln(&out, line)
		}
	}
	return out.String()
}

type player struct {
	t     *testing.T
	now   time.Time
	ids   int64 // producer ids given out
	txn   Txn
	saved []byte
}

// words are the arguments of a command: key=value, or a single word.
type words []string

func (w words) value(key string) string {
	for _, s := range w {
		if v, ok := strings.CutPrefix(s, key+"="); ok {
			return v
		}
	}
	return ""
}

func (w words) producer(key string) *Producer {
	id, epoch, ok := strings.Cut(w.value(key), "/")
	if !ok {
		return nil
	}
	i, _ := strconv.ParseInt(id, 10, 64)
	e, _ := strconv.ParseInt(epoch, 10, 16)
	return &Producer{ID: i, Epoch: int16(e)}
}

// shards reads shards=0,1 of one stream.
func (w words) shards() []stream.Shard {
	var all []stream.Shard
	for _, s := range strings.FieldsFunc(w.value("shards"), func(r rune) bool { return r == ',' }) {
		all = append(all, shardOf(s))
	}
	return all
}

func shardOf(s string) stream.Shard {
	i, _ := strconv.ParseInt(s, 10, 32)
	return stream.Shard{Stream: stream.ID{1}, Index: int32(i)}
}

// cursors reads offsets=0:5,1:7.
func (w words) cursors() []stream.Cursor {
	var all []stream.Cursor
	for _, s := range strings.FieldsFunc(w.value("offsets"), func(r rune) bool { return r == ',' }) {
		shard, next, _ := strings.Cut(s, ":")
		n, _ := strconv.ParseInt(next, 10, 64)
		all = append(all, stream.Cursor{Shard: shardOf(shard), Next: stream.Offset(n), Epoch: -1})
	}
	return all
}

func (p *player) play(line []string) string {
	w := words(line[1:])
	who := w.producer("as")
	if who == nil {
		who = &Producer{ID: p.txn.ProducerID, Epoch: p.txn.Epoch}
	}
	switch line[0] {
	case "new":
		*p = player{t: p.t, now: p.now, txn: Unused()}
	case "init":
		timeout := time.Minute
		if d, err := time.ParseDuration(w.value("timeout")); err == nil {
			timeout = d
		}
		return p.take(p.txn.Init(p.now, timeout, w.producer("known")))
	case "add":
		return p.take(p.txn.Add(p.now, *who, w.shards()))
	case "produce": // as a client of Produce v12 does
		if err := p.txn.is(*who); err != nil {
			return codeOf(err)
		}
		p.txn.Join(p.now, w.shards())
	case "has":
		return codeOf(p.txn.Has(*who, shardOf(w.value("shard"))))
	case "group":
		return p.take(p.txn.AddGroup(p.now, *who, w.value("group")))
	case "stage":
		return p.take(p.txn.Stage(p.now, *who, w.value("group"), w.cursors(), slices.Contains(w, "implicit")))
	case "drop":
		return p.take(p.txn.DropOffsets(p.now, w.value("group"), w.shards()), nil)
	case "commit", "abort":
		return p.take(p.txn.EndTxn(p.now, *who, line[0] == "commit", slices.Contains(w, "v5")))
	case "wait":
		return p.wait(w)
	case "jump":
		e, _ := strconv.ParseInt(w.value("epoch"), 10, 16)
		p.txn.Epoch = int16(e)
	case "restart":
		p.restart(w)
	default:
		p.t.Fatalf("unknown command %q", line[0])
	}
	return ""
}

// take does what a coordinator does with a step.
func (p *player) take(s Step, err error) string {
	if err != nil {
		return codeOf(err)
	}
	var b strings.Builder
	if s.Next.ProducerID == fresh {
		p.ids++
		s.Next.ProducerID = p.ids * 1000
	}
	if s.End != nil {
		what := "abort"
		if s.End.Commit {
			what = "commit"
		}
		fmt.Fprintf(&b, "markers: %s by %d/%d in", what, s.End.Marker.ID, s.End.Marker.Epoch)
		for _, shard := range p.txn.Touched() {
			fmt.Fprintf(&b, " %d", shard.Index)
		}
		b.WriteString("\n")
	}
	if s.Save {
		if p.saved, err = s.Next.Encode(); err != nil {
			p.t.Fatal(err)
		}
		b.WriteString("keep\n")
	}
	p.txn = s.Next
	return b.String() + codeOf(nil)
}

// wait moves the time, past the end of the transaction's if it is before.
func (p *player) wait(w words) string {
	d, err := time.ParseDuration(w.value("for"))
	if err != nil {
		p.t.Fatal(err)
	}
	end := p.now.Add(d)
	out := ""
	if at := p.txn.Deadline(); !at.IsZero() && !at.After(end) {
		out = fmt.Sprintf("after %v:\n", at.Sub(p.now))
		p.now = at
		out += p.take(p.txn.Expire(p.now), nil)
	}
	p.now = end
	return out
}

// restart forgets what was not kept; shards are those whose log has an open transaction of the producer.
func (p *player) restart(w words) {
	var err error
	if p.txn, err = Decode(p.saved); err != nil {
		p.t.Fatal(err)
	}
	p.txn.Reopen(p.now, w.shards(), 30*time.Second)
}

func codeOf(err error) string {
	var known *kerr.Error
	switch {
	case err == nil:
		return "ok\n"
	case errors.As(err, &known):
		return fmt.Sprintf("%d %s\n", known.Code, known.Message)
	}
	return err.Error() + "\n"
}

func (p *player) standing() string {
	t := &p.txn
	var b strings.Builder
	fmt.Fprintf(&b, "[%s %d/%d after %d:", t.State, t.ProducerID, t.Epoch, t.LastEpoch)
	for _, s := range t.Touched() {
		fmt.Fprintf(&b, " %d", s.Index)
	}
	for _, g := range slices.Sorted(maps.Keys(t.Groups)) {
		fmt.Fprintf(&b, " %s", g)
	}
	for _, o := range slices.SortedFunc(maps.Keys(t.Offsets), compareOffsets) {
		fmt.Fprintf(&b, " %s(%d:%d)", o.Group, o.Shard.Index, t.Offsets[o].Next)
	}
	b.WriteString("]\n")
	return b.String()
}
