package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	"go.uber.org/goleak"

	"github.com/freshet/freshet/internal/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stream is a Kinesis that remembers what it was sent, and refuses as it is told.
type stream struct {
	mu      sync.Mutex
	missing bool
	status  []types.StreamStatus // told one after the other; then ACTIVE
	records []string
	keys    []string
	calls   []int                              // members of each request
	refuse  func(call int, member string) bool // one member
	fail    func(call int) error               // a whole request
	shards  int32
}

func (s *stream) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, _ ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	call := len(s.calls)
	s.calls = append(s.calls, len(in.Records))
	if s.fail != nil {
		if err := s.fail(call); err != nil {
			return nil, err
		}
	}
	out := &kinesis.PutRecordsOutput{}
	for _, r := range in.Records {
		if s.refuse != nil && s.refuse(call, string(r.Data)) {
			out.Records = append(out.Records, types.PutRecordsResultEntry{ErrorCode: aws.String("ProvisionedThroughputExceededException")})
			continue
		}
		s.records = append(s.records, string(r.Data))
		s.keys = append(s.keys, *r.PartitionKey)
		out.Records = append(out.Records, types.PutRecordsResultEntry{SequenceNumber: aws.String("1"), ShardId: aws.String("s")})
	}
	return out, nil
}

func (s *stream) DescribeStreamSummary(context.Context, *kinesis.DescribeStreamSummaryInput, ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.missing {
		return nil, &types.ResourceNotFoundException{}
	}
	status := types.StreamStatusActive
	if len(s.status) > 0 {
		status, s.status = s.status[0], s.status[1:]
	}
	return &kinesis.DescribeStreamSummaryOutput{StreamDescriptionSummary: &types.StreamDescriptionSummary{StreamStatus: status}}, nil
}

func (s *stream) CreateStream(_ context.Context, in *kinesis.CreateStreamInput, _ ...func(*kinesis.Options)) (*kinesis.CreateStreamOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.missing, s.shards = false, *in.ShardCount
	s.status = []types.StreamStatus{types.StreamStatusCreating, types.StreamStatusCreating}
	return &kinesis.CreateStreamOutput{}, nil
}

func (s *stream) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.records)
}

// seen returns the records' keys, and the members of each request.
func (s *stream) seen() (keys []string, calls []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.keys), slices.Clone(s.calls)
}

// bench is a directory, a stream, and an agent that can be stopped and started; it runs in a synctest bubble.
type bench struct {
	t      *testing.T
	dir    string
	stream *stream
	cfg    Config
	agent  *Agent
	log    *logbook
	stop   func() error
}

// logbook keeps what is logged.
type logbook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func newBench(t *testing.T, change func(*Config)) *bench {
	b := &bench{t: t, dir: t.TempDir(), stream: &stream{}, log: &logbook{}}
	b.cfg = Config{Files: []string{b.path("app.log")}, Stream: "s", Checkpoint: b.path("checkpoint")}
	if change != nil {
		change(&b.cfg)
	}
	return b
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) start() {
	b.t.Helper()
	a, err := New(b.cfg, Deps{
		Client: b.stream, Clock: clock.Real(), Random: rand.New(rand.NewPCG(1, 2)), Logger: slog.New(slog.NewTextHandler(b.log, nil)),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.agent = a
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	b.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	stop := b.stop
	b.t.Cleanup(func() { _ = stop() }) // also after a failure
}

// logged returns how often the log, also of agents that were stopped, has text.
func (b *bench) logged(text string) int {
	b.log.mu.Lock()
	defer b.log.mu.Unlock()
	return strings.Count(b.log.text.String(), text)
}

func (b *bench) halt() {
	b.t.Helper()
	if err := b.stop(); err != nil {
		b.t.Fatal(err)
	}
}

// settle lets the agent see what was done to the files.
func (b *bench) settle() { time.Sleep(3 * time.Second) }

func (b *bench) write(name, text string) {
	b.t.Helper()
	f, err := os.OpenFile(b.path(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) rename(from, to string) {
	b.t.Helper()
	if err := os.Rename(b.path(from), b.path(to)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) copyTruncate(from, to string) {
	b.t.Helper()
	text, err := os.ReadFile(b.path(from))
	if err == nil {
		err = errors.Join(os.WriteFile(b.path(to), text, 0o600), os.Truncate(b.path(from), 0))
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) expect(want ...string) {
	b.t.Helper()
	b.settle()
	if got := b.stream.got(); !slices.Equal(got, want) {
		b.t.Fatalf("got %q, want %q", got, want)
	}
}

func inBubble(t *testing.T, change func(*Config), f func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(newBench(t, change)) })
}

func all(c *Config) { c.Files = []string{strings.Replace(c.Files[0], "app.log", "app.log*", 1)} }

func TestLinesAreSentAsTheyAreWritten(t *testing.T) {
	inBubble(t, nil, func(b *bench) {
		b.write("app.log", "one\n\ntwo\r\nthr")
		b.start()
		b.expect("one", "two")
		b.write("app.log", "ee\nfour\n")
		b.expect("one", "two", "three", "four")
		if s := b.agent.Stats(); s.Lines != 5 || s.Records != 4 || s.Files != 1 || s.Bytes != 15 {
			b.t.Fatalf("%+v", s)
		}
		b.halt()
	})
}

func TestFilesAreFoundLater(t *testing.T) {
	inBubble(t, func(c *Config) { c.Files = append(c.Files, strings.Replace(c.Files[0], "app.log", "more-*.log", 1)) }, func(b *bench) {
		b.start()
		b.expect()
		b.write("more-1.log", "a\n")
		b.expect("a")
		b.write("app.log", "b\n")
		b.expect("a", "b")
		b.write("more-2.log.gz", "no line\n")
		b.expect("a", "b")
		b.halt()
	})
}

func TestRenamedFileIsReadToItsEndBeforeTheNew(t *testing.T) {
	for name, change := range map[string]func(*Config){"one name": nil, "pattern": all} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, change, func(b *bench) {
				b.write("app.log", "1\n2\n")
				b.start()
				b.expect("1", "2")
				b.write("app.log", "3\n")
				b.rename("app.log", "app.log.1")
				b.write("app.log.1", "4\n") // the writer has it open still
				b.write("app.log", "5\n")
				b.expect("1", "2", "3", "4", "5")
				b.write("app.log.1", "late without end")
				time.Sleep(20 * time.Second)
				b.write("app.log", "6\n")
				b.expect("1", "2", "3", "4", "5", "late without end", "6")
				b.rename("app.log.1", "app.log.2")
				b.rename("app.log", "app.log.1")
				time.Sleep(30 * time.Second)
				b.write("app.log", "7\n")
				b.expect("1", "2", "3", "4", "5", "late without end", "6", "7")
				b.halt()
			})
		})
	}
}

func TestTruncatedFileBeginsAnew(t *testing.T) {
	inBubble(t, nil, func(b *bench) {
		b.write("app.log", "1\n2\nrest")
		b.start()
		b.expect("1", "2")
		if err := os.Truncate(b.path("app.log"), 0); err != nil {
			b.t.Fatal(err)
		}
		b.expect("1", "2", "rest")
		b.write("app.log", "3\n")
		b.expect("1", "2", "rest", "3")
		// Cut and longer than before when it is looked at again.
		if err := os.WriteFile(b.path("app.log"), []byte("4 is longer than all that was here before\n"), 0o600); err != nil {
			b.t.Fatal(err)
		}
		b.expect("1", "2", "rest", "3", "4 is longer than all that was here before")
		b.halt()
	})
}

func TestCopiedAndTruncatedFileIsNotReadTwice(t *testing.T) {
	for name, change := range map[string]func(*Config){"one name": nil, "pattern": all} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, change, func(b *bench) {
				b.write("app.log", "1\n2\n")
				b.start()
				b.expect("1", "2")
				b.write("app.log", "3\n") // in the copy only, when the agent looks
				b.copyTruncate("app.log", "app.log.1")
				b.write("app.log", "4\n")
				b.settle()
				time.Sleep(30 * time.Second)
				got := b.stream.got()
				slices.Sort(got)
				if want := []string{"1", "2", "3", "4"}; !slices.Equal(got, want) {
					b.t.Fatalf("got %q, want %q", got, want)
				}
				b.halt()
			})
		})
	}
}

func TestRestartGoesOnWhereItStopped(t *testing.T) {
	for name, change := range map[string]func(*Config){"one name": nil, "pattern": all} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, change, func(b *bench) {
				b.write("app.log", "1\n2\npart")
				b.start()
				b.expect("1", "2")
				b.halt()
				b.write("app.log", "ial\n3\n")
				b.start()
				b.expect("1", "2", "partial", "3")
				b.halt()
				// Rotated while nobody looked.
				b.write("app.log", "4\n")
				b.rename("app.log", "app.log.1")
				b.write("app.log", "5\n")
				b.start()
				time.Sleep(20 * time.Second)
				got := b.stream.got()
				if name == "pattern" {
					slices.Sort(got[4:]) // two paths, two lanes
				}
				if want := []string{"1", "2", "partial", "3", "4", "5"}; !slices.Equal(got, want) {
					b.t.Fatalf("got %q, want %q", got, want)
				}
				b.halt()
			})
		})
	}
}

func TestFromEnd(t *testing.T) {
	inBubble(t, func(c *Config) { c.FromEnd = true }, func(b *bench) {
		b.write("app.log", "old\n")
		b.start()
		b.expect()
		b.halt()
		b.write("app.log", "new\n")
		b.start()
		b.expect("new")
		b.rename("app.log", "app.log.1")
		b.write("app.log", "newer\n")
		b.expect("new", "newer")
		b.halt()
	})
}

// TestFromEndIsKeptAtOnce: a crash in the first second does not make the next start begin at the end that the file has then.
func TestFromEndIsKeptAtOnce(t *testing.T) {
	inBubble(t, func(c *Config) { c.FromEnd = true }, func(b *bench) {
		b.write("app.log", "old\n")
		b.start()
		synctest.Wait()
		kept, err := os.ReadFile(b.cfg.Checkpoint)
		if err != nil {
			b.t.Fatal(err)
		}
		b.write("app.log", "new\n")
		b.expect("new")
		b.halt()
		if err = os.WriteFile(b.cfg.Checkpoint, kept, 0o600); err != nil { // as if the crash had been before the next save
			b.t.Fatal(err)
		}
		b.start()
		b.expect("new", "new")
		b.halt()
	})
}

// TestUnreadableFileIsReported: once, and again after it was readable. A closed file stands for one that cannot be read.
func TestUnreadableFileIsReported(t *testing.T) {
	b := newBench(t, nil)
	b.write("app.log", "1\n")
	var logged strings.Builder
	a, err := New(b.cfg, Deps{Client: b.stream, Clock: clock.Real(), Random: rand.New(rand.NewPCG(1, 2)), Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	if err != nil {
		t.Fatal(err)
	}
	l := newLane(a, b.path("app.log"), false)
	l.begin()
	tail := l.tails[0]
	readable := tail.file
	unreadable, err := os.Open(b.path("app.log"))
	if err = errors.Join(err, unreadable.Close()); err != nil {
		t.Fatal(err)
	}
	for _, file := range []source{unreadable, unreadable, readable, unreadable} {
		tail.file = file
		if _, err := l.read(t.Context(), tail); err != nil {
			t.Fatal(err)
		}
	}
	tail.file = readable
	tail.close()
	if n := strings.Count(logged.String(), "file not readable"); n != 2 {
		t.Errorf("reported %d times, want 2:\n%s", n, logged.String())
	}
}

func TestCheckpointMovesOnlyWithAcceptance(t *testing.T) {
	inBubble(t, func(c *Config) { c.BatchRecords = 2 }, func(b *bench) {
		b.write("app.log", "1\n2\n3\n4\n5\n")
		b.stream.fail = func(call int) error {
			if call >= 1 {
				return errors.New("connection refused")
			}
			return nil
		}
		b.start()
		b.expect("1", "2")
		time.Sleep(time.Minute)
		if s := b.agent.Stats(); s.Retried < 5 || s.Records != 2 {
			b.t.Fatalf("%+v", s)
		}
		b.halt() // gives up what is under way
		b.stream.fail = nil
		b.start()
		b.expect("1", "2", "3", "4", "5")
		b.halt()
	})
}

func TestCrashRepeatsAndLosesNothing(t *testing.T) {
	inBubble(t, nil, func(b *bench) {
		b.write("app.log", "1\n2\n")
		b.start()
		b.expect("1", "2")
		kept, err := os.ReadFile(b.cfg.Checkpoint)
		if err != nil {
			b.t.Fatal(err)
		}
		b.write("app.log", "3\n4\n")
		b.expect("1", "2", "3", "4")
		b.halt()
		if err = os.WriteFile(b.cfg.Checkpoint, kept, 0o600); err != nil { // as if the last save had not happened
			b.t.Fatal(err)
		}
		b.start()
		b.expect("1", "2", "3", "4", "3", "4")
		b.halt()
	})
}

func TestOnlyRefusedMembersAreSentAgain(t *testing.T) {
	inBubble(t, nil, func(b *bench) {
		b.stream.refuse = func(call int, member string) bool { return call < 3 && (member == "2" || member == "4") }
		b.write("app.log", "1\n2\n3\n4\n5\n")
		b.start()
		b.settle()
		b.write("app.log", "6\n")
		b.expect("1", "3", "5", "2", "4", "6")
		_, calls := b.stream.seen()
		if want := []int{5, 2, 2, 2, 1}; !slices.Equal(calls, want) {
			b.t.Fatalf("requests of %v members, want %v", calls, want)
		}
		b.halt()
	})
}

func TestBatchesKeepTheirBounds(t *testing.T) {
	inBubble(t, func(c *Config) { c.BatchBytes, c.MaxLineBytes = 2000, 900 }, func(b *bench) {
		for i := range 30 {
			b.write("app.log", fmt.Sprintf("%d %s\n", i, strings.Repeat("x", 300)))
		}
		b.write("app.log", strings.Repeat("y", 901)+"\n"+strings.Repeat("z", 100_000)+"\nend\n")
		b.start()
		b.settle()
		if s := b.agent.Stats(); s.Records != 31 || s.TooLong != 2 {
			b.t.Fatalf("%+v", s)
		}
		_, calls := b.stream.seen()
		for _, n := range calls {
			if n > 7 {
				b.t.Fatalf("requests of %v members", calls)
			}
		}
		b.halt()
	})
	inBubble(t, nil, func(b *bench) {
		for i := range 1200 {
			b.write("app.log", fmt.Sprintf("%d\n", i))
		}
		b.start()
		b.settle()
		_, calls := b.stream.seen()
		if want := []int{500, 500, 200}; !slices.Equal(calls, want) {
			b.t.Fatalf("requests of %v members, want %v", calls, want)
		}
		b.halt()
	})
}

func TestLinesThatBelongTogether(t *testing.T) {
	inBubble(t, func(c *Config) { c.Multiline = `^\d` }, func(b *bench) {
		b.write("app.log", "stray\n1 error\n  at a\n\n  at b\n2 fine\n3 error\n")
		b.start()
		b.settle()
		b.write("app.log", "late line of what was sent after a second\n4 error\n")
		b.expect("stray", "1 error\n  at a\n\n  at b", "2 fine", "3 error", "late line of what was sent after a second", "4 error")
		b.halt()
	})
}

// TestRecordThatComesAsTheLastFallsSilentIsWhole: a turn that ends a silence may read what ends it in truth. Records come at every distance from
// the last one at which the two can meet.
func TestRecordThatComesAsTheLastFallsSilentIsWhole(t *testing.T) {
	inBubble(t, func(c *Config) { c.Multiline = `^start` }, func(b *bench) {
		b.start()
		var want []string
		for i := range 60 {
			b.write("app.log", fmt.Sprintf("start %d\n", i))
			time.Sleep(50 * time.Millisecond)
			b.write("app.log", fmt.Sprintf("  more %d\n", i))
			want = append(want, fmt.Sprintf("start %d\n  more %d", i, i))
			time.Sleep(quiet + time.Duration(i)*7*time.Millisecond)
		}
		b.expect(want...)
		b.halt()
	})
}

// TestLineThatGoesOnAsItsFileEndsIsWhole: the rest of a renamed file's last line comes in the turn that would have ended the file.
func TestLineThatGoesOnAsItsFileEndsIsWhole(t *testing.T) {
	inBubble(t, nil, func(b *bench) {
		b.write("app.log", "1\n")
		b.start()
		b.expect("1")
		time.Sleep(100 * time.Millisecond) // between two looks
		b.rename("app.log", "app.log.1")
		b.write("app.log.1", "ha")
		time.Sleep(5 * time.Second) // the next look is the first after the grace
		b.write("app.log.1", "l")
		b.settle()
		b.write("app.log.1", "f\n")
		b.expect("1", "half")
		b.halt()
	})
}

func TestStreamIsMadeIfAsked(t *testing.T) {
	inBubble(t, func(c *Config) { c.Create = 3 }, func(b *bench) {
		b.stream.missing = true
		b.write("app.log", "1\n")
		b.start()
		b.expect("1")
		b.halt()
		if b.stream.shards != 3 {
			b.t.Fatalf("%d shards", b.stream.shards)
		}
	})
	inBubble(t, nil, func(b *bench) {
		b.stream.missing = true
		b.start()
		b.settle()
		if err := b.stop(); err == nil || !strings.Contains(err.Error(), "does not exist") {
			b.t.Fatal(err)
		}
	})
}

func TestRefusalOfEverythingEndsTheAgent(t *testing.T) {
	inBubble(t, nil, func(b *bench) {
		b.stream.fail = func(int) error { return &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no"} }
		b.write("app.log", "1\n")
		b.start()
		b.settle()
		if err := b.stop(); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
			b.t.Fatal(err)
		}
	})
}

func TestConfigNamesWhatIsWrong(t *testing.T) {
	for want, cfg := range map[string]Config{
		"no files":        {Stream: "s", Checkpoint: "c"},
		"no stream":       {Files: []string{"f"}, Checkpoint: "c"},
		"not a valid":     {Files: []string{"[f"}, Stream: "s", Checkpoint: "c"},
		"must be line":    {Format: "xml"},
		"no fields":       {Key: "k"},
		"no such field":   {Format: "apache", Key: "k"},
		"multiline start": {Multiline: "("},
		"csv knows":       {Multiline: "x", Format: "csv"},
		"batch of 501":    {BatchRecords: 501},
	} {
		if _, err := New(cfg, Deps{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

func TestDamagedCheckpointIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "checkpoint")
	sealed := func(files string) string {
		return fmt.Sprintf(`{"version":2,"sum":%q,"files":%s}`, hashOf([]byte(files)), files)
	}
	for _, text := range []string{
		"", "{", `{"version":2}`, `{"version":1,"files":[]}`, sealed(`[null]`), sealed(`[{"head":5000}]`), `{"version":2,"sum":"","files":[]}`,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := loadCheckpoints(file); err == nil || !strings.Contains(err.Error(), "move it away") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestDamageToACheckpointIsFound flips every bit of a checkpoint, and cuts it at every byte: it is refused, or means what it meant.
func TestDamageToACheckpointIsFound(t *testing.T) {
	file := filepath.Join(t.TempDir(), "checkpoint")
	c, err := loadCheckpoints(file)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c.move(c.begin("access.log"), []byte("first line\n"), 1234, now)
	c.move(c.begin("<other>.log"), []byte("another\n"), 98765, now)
	if err := c.save(now); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	meaning := func(value []byte) (string, error) {
		marks, err := readMarks(value)
		if err != nil {
			return "", err
		}
		text, err := json.Marshal(marks)
		return string(text), err
	}
	want, err := meaning(whole)
	if err != nil || !strings.Contains(want, `"offset":98765`) {
		t.Fatalf("undamaged: %s, %v", want, err)
	}
	for at := range whole {
		for bit := range 8 {
			flipped := slices.Clone(whole)
			flipped[at] ^= 1 << bit
			if got, err := meaning(flipped); err == nil && got != want {
				t.Fatalf("bit %d of byte %d: %s", bit, at, got)
			}
		}
		if got, err := meaning(whole[:at]); err == nil && got != want {
			t.Fatalf("cut at byte %d: %s", at, got)
		}
	}
}

// TestRandomWriter rotates, compresses, copies and truncates files under a restarting agent and a stream that refuses now and then: every line arrives, and
// without a crash in order, but for members that were refused.
func TestRandomWriter(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			change := all
			if seed%2 == 0 {
				change = nil
			}
			inBubble(t, change, func(b *bench) { randomWriter(b, rand.New(rand.NewPCG(seed, 3))) })
		})
	}
}

func randomWriter(b *bench, random *rand.Rand) {
	b.stream.refuse = func(call int, member string) bool { return (call+len(member))%7 == 0 }
	b.start()
	const second = time.Second + time.Microsecond // in the very moment when the agent looks either may come first
	line, rotated := 0, 0
	crashed := false
	// Of a file that gets another name, or another content, before it was looked at once nobody could know that it belongs here, unless the
	// pattern matches that name too.
	look := func() {
		if b.cfg.Files[0] == b.path("app.log") {
			time.Sleep(second)
		}
	}
	b.write("app.log", fmt.Sprintf("line %d\n", line))
	line++
	look()
	for range 200 {
		for range random.IntN(20) {
			b.write("app.log", fmt.Sprintf("line %d\n", line))
			line++
		}
		switch k := random.IntN(40); {
		case k < 2:
			rotated++
			b.rename("app.log", fmt.Sprintf("app.log.%d", rotated))
			b.write("app.log", fmt.Sprintf("line %d\n", line))
			line++
			look()
		case k == 2:
			rotated++
			b.write("app.log", fmt.Sprintf("line %d\n", line))
			line++
			look()
			b.write("app.log", fmt.Sprintf("line %d\n", line)) // in the copy only, for all that the agent saw
			line++
			b.copyTruncate("app.log", fmt.Sprintf("app.log.%d", rotated))
			time.Sleep(second)
		case k == 3:
			b.halt()
			b.start()
		case k == 5:
			look() // what is new has a mark
			b.halt()
			rotated++
			b.write("app.log", fmt.Sprintf("line %d\n", line))
			line++
			name := fmt.Sprintf("app.log.%d", rotated)
			b.rename("app.log", name)
			b.compress(name)
			b.write("app.log", fmt.Sprintf("line %d\n", line))
			line++
			b.start()
			look()
		case k == 4:
			kept, err := os.ReadFile(b.cfg.Checkpoint)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				b.t.Fatal(err)
			}
			b.halt()
			crashed = true
			if len(kept) > 0 {
				if err = os.WriteFile(b.cfg.Checkpoint, kept, 0o600); err != nil {
					b.t.Fatal(err)
				}
			}
			b.start()
		}
		time.Sleep(time.Duration(random.IntN(2000))*time.Millisecond + time.Microsecond)
	}
	time.Sleep(time.Minute)
	b.halt()
	seen := map[string]int{}
	for _, r := range b.stream.got() {
		seen[r]++
	}
	for i := range line {
		n := seen[fmt.Sprintf("line %d", i)]
		if n == 0 || n > 1 && !crashed {
			b.t.Errorf("line %d of %d arrived %d times", i, line, n)
		}
	}
}
