package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/internal/tlsca"
	"github.com/freshet/freshet/internal/transfer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster is a node, as clients have it.
type cluster struct {
	t       *testing.T
	address string
	secured string // of a listener with TLS, if it has one
	admin   *kadm.Client
}

// startCluster runs a node in this process.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	return startWith(t, app.Config{Data: t.TempDir()})
}

func startWith(t *testing.T, cfg app.Config) *cluster {
	t.Helper()
	cfg.Kafka, cfg.AWS = "127.0.0.1:0", "127.0.0.1:0"
	node, err := app.Start(t.Context(), cfg, app.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- node.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	c := &cluster{t: t, address: node.Addresses().Kafka}
	for _, l := range node.Addresses().Listeners {
		if l.Name != "PLAINTEXT" {
			c.secured = l.Address
		}
	}
	c.admin = kadm.NewClient(c.dial())
	return c
}

func (c *cluster) dial(more ...kgo.Opt) *kgo.Client {
	c.t.Helper()
	cl, err := kgo.NewClient(append(more, kgo.SeedBrokers(c.address), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(20*time.Millisecond))...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(cl.Close)
	return cl
}

func (c *cluster) create(topic string, partitions int32, settings map[string]string) {
	c.t.Helper()
	set := map[string]*string{}
	for k, v := range settings {
		set[k] = &v
	}
	if _, err := c.admin.CreateTopic(c.t.Context(), partitions, 1, set, topic); err != nil {
		c.t.Fatal(err)
	}
}

// write produces values into a partition.
func (c *cluster) write(topic string, partition int32, values ...string) {
	c.t.Helper()
	cl := c.dial() // which knows of no earlier topic of the name
	defer cl.Close()
	for _, v := range values {
		r := &kgo.Record{Topic: topic, Partition: partition, Key: []byte(v), Value: []byte(v), Timestamp: time.UnixMilli(1_600_000_000_000)}
		if err := cl.ProduceSync(c.t.Context(), r).FirstErr(); err != nil {
			c.t.Fatal(err)
		}
	}
}

// transact writes values in a transaction each, and ends it.
func (c *cluster) transact(topic string, commit bool, values ...string) {
	c.t.Helper()
	cl := c.dial(kgo.TransactionalID("writer"))
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		c.t.Fatal(err)
	}
	for _, v := range values {
		if err := cl.ProduceSync(c.t.Context(), &kgo.Record{Topic: topic, Value: []byte(v)}).FirstErr(); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := cl.EndTransaction(c.t.Context(), kgo.TransactionEndTry(commit)); err != nil {
		c.t.Fatal(err)
	}
}

// read returns what a partition has, whether decided or not.
func (c *cluster) read(topic string, partition int32) []string {
	c.t.Helper()
	ends, err := c.admin.ListEndOffsets(c.t.Context(), topic)
	if err != nil {
		c.t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, partition)
	cl := c.dial(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}), kgo.KeepControlRecords())
	defer cl.Close()
	var all []string
	for at := int64(0); at < end.Offset; {
		for _, r := range cl.PollFetches(c.t.Context()).Records() {
			if !r.Attrs.IsControl() {
				all = append(all, string(r.Value))
			}
			at = r.Offset + 1
		}
	}
	return all
}

// move runs a transfer of one cluster into another.
func move(t *testing.T, from, to *cluster, cfg transfer.Config) (transfer.Report, error) {
	t.Helper()
	tr := newTransfer(t, from, to, cfg)
	defer tr.Close()
	err := tr.Run(t.Context())
	return tr.Report(), err
}

func newTransfer(t *testing.T, from, to *cluster, cfg transfer.Config) *transfer.Transfer {
	t.Helper()
	cfg.Source.Address, cfg.Target.Address = from.address, to.address
	tr, err := transfer.New(t.Context(), cfg, transfer.Deps{Clock: clock.Real(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func numbered(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(prefix, i)
	}
	return all
}

// TestTransferCopiesOnce: records, settings and times; what is run again copies what is new; and back again.
func TestTransferCopiesOnce(t *testing.T) {
	from, to := startCluster(t), startCluster(t)
	from.create("orders", 3, map[string]string{"retention.ms": "7200000", "cleanup.policy": "compact,delete", "max.message.bytes": "500000"})
	want := [3][]string{}
	for p := range want {
		want[p] = numbered(fmt.Sprintf("p%d-", p), 20*p)
		from.write("orders", int32(p), want[p]...)
	}
	from.create("others", 1, nil)
	check := func(c *cluster) {
		t.Helper()
		for p := range want {
			if got := c.read("orders", int32(p)); !slices.Equal(got, want[p]) {
				t.Fatalf("partition %d has %q", p, got)
			}
		}
	}
	r, err := move(t, from, to, transfer.Config{Topics: "ord.*"})
	if err != nil || len(r.Topics) != 1 || r.Topics[0].Records != 60 || !r.Topics[0].SameOffsets {
		t.Fatalf("report %+v, %v", r, err)
	}
	from.write("orders", 0, "late")
	want[0] = append(want[0], "late")
	if r, err = move(t, from, to, transfer.Config{Topics: "ord.*"}); err != nil || r.Topics[0].Records != 1 || r.Topics[0].Action != transfer.ActionGoOn {
		t.Fatalf("the second time: report %+v, %v", r, err)
	}
	described, err := to.admin.DescribeTopicConfigs(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for _, c := range described[0].Configs {
		if c.Source.String() == "DYNAMIC_TOPIC_CONFIG" {
			settings[c.Key] = c.MaybeValue()
		}
	}
	if len(settings) != 3 || settings["retention.ms"] != "7200000" || settings["cleanup.policy"] != "compact,delete" || settings["max.message.bytes"] != "500000" {
		t.Errorf("settings %v", settings)
	}
	third := startCluster(t)
	if r, err = move(t, to, third, transfer.Config{}); err != nil || len(r.Topics) != 1 || r.Topics[0].Records != 61 {
		t.Fatalf("onwards: report %+v, %v", r, err)
	}
	check(to)
	check(third)
}

// TestTransferTranslatesOffsetsOfGroups: behind markers and aborted records, and inside of them.
func TestTransferTranslatesOffsetsOfGroups(t *testing.T) {
	from, to := startCluster(t), startCluster(t)
	from.create("paid", 1, nil)
	from.transact("paid", true, "a", "b")         // 0, 1, marker 2
	from.transact("paid", false, "x", "y")        // 3, 4, marker 5
	from.transact("paid", true, "c")              // 6, marker 7
	from.write("paid", 0, "d")                    // 8
	want := []int64{0, 1, 2, 2, 2, 2, 2, 3, 3, 4} // of the source's offsets, in order
	for at := range want {
		offsets := kadm.Offsets{}
		offsets.Add(kadm.Offset{Topic: "paid", At: int64(at), LeaderEpoch: -1, Metadata: "mine"})
		if err := from.admin.CommitAllOffsets(t.Context(), fmt.Sprint("g", at), offsets); err != nil {
			t.Fatal(err)
		}
	}
	r, err := move(t, from, to, transfer.Config{Groups: true})
	if err != nil || len(r.Groups) != len(want) || r.Topics[0].SameOffsets {
		t.Fatalf("report %+v, %v", r, err)
	}
	if got := to.read("paid", 0); !slices.Equal(got, []string{"a", "b", "c", "d"}) {
		t.Fatalf("records %q", got)
	}
	for at, offset := range want {
		fetched, err := to.admin.FetchOffsets(t.Context(), fmt.Sprint("g", at))
		if err != nil {
			t.Fatal(err)
		}
		if o, is := fetched.Lookup("paid", 0); !is || o.At != offset || o.Metadata != "mine" {
			t.Errorf("offset %d became %d (%q), want %d", at, o.At, o.Metadata, offset)
		}
	}
	// A group that has read on here stays where it is.
	ahead := kadm.Offsets{}
	ahead.AddOffset("paid", 0, 3, -1)
	if err := to.admin.CommitAllOffsets(t.Context(), "g1", ahead); err != nil {
		t.Fatal(err)
	}
	if r, err = move(t, from, to, transfer.Config{Groups: true}); err != nil {
		t.Fatal(err)
	}
	fetched, err := to.admin.FetchOffsets(t.Context(), "g1")
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := fetched.Lookup("paid", 0); o.At != 3 || len(r.Groups[1].Notes) != 1 {
		t.Errorf("the group was set back to %d; %+v", o.At, r.Groups[1])
	}
}

// left returns why a topic was left, and fails the test if it was not, or others were.
func left(t *testing.T, r transfer.Report, err error, topic string) string {
	t.Helper()
	if !errors.Is(err, transfer.ErrIncomplete) {
		t.Fatalf("it ended with %v", err)
	}
	why := ""
	for _, one := range r.Topics {
		if (one.Error != "") != (one.Topic == topic) {
			t.Errorf("topic %s: %q", one.Topic, one.Error)
		}
		why += one.Error
	}
	return why
}

// TestTransferLeavesTopicsOfOthers: with records of others, with more partitions, made anew at the source, written to at the target since. Other
// topics are copied all the same.
func TestTransferLeavesTopicsOfOthers(t *testing.T) {
	for name, row := range map[string]struct {
		before, after func(from, to *cluster) // the first transfer
		want          string
	}{
		"records of others": {func(_, to *cluster) { to.create("t", 1, nil); to.write("t", 0, "other") }, nil, "1 records that were not copied from here"},
		"more partitions":   {func(_, to *cluster) { to.create("t", 2, nil) }, nil, "2 partitions"},
		"made anew": {nil, func(from, _ *cluster) {
			if _, err := from.admin.DeleteTopics(from.t.Context(), "t"); err != nil {
				from.t.Fatal(err)
			}
			from.create("t", 1, nil)
			from.write("t", 0, "new")
		}, "made anew at the source"},
		"written to": {nil, func(_, to *cluster) { to.write("t", 0, "other") }, "others have written"},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := startCluster(t), startCluster(t)
			from.create("t", 1, nil)
			from.create("fine", 1, nil)
			from.write("t", 0, "a", "b")
			if row.before != nil {
				row.before(from, to)
			}
			var have []string
			if row.after != nil {
				if _, err := move(t, from, to, transfer.Config{}); err != nil {
					t.Fatal(err)
				}
				row.after(from, to)
			}
			have = to.read("t", 0)
			from.write("fine", 0, "f")
			from.write("t", 0, "c")
			r, err := move(t, from, to, transfer.Config{})
			if why := left(t, r, err, "t"); !strings.Contains(why, row.want) {
				t.Errorf("left because %q", why)
			}
			if got := to.read("t", 0); !slices.Equal(got, have) {
				t.Errorf("it has %q now, had %q", got, have)
			}
			if got := to.read("fine", 0); !slices.Equal(got, []string{"f"}) {
				t.Errorf("the other topic has %q", got)
			}
		})
	}
}

// TestTransferAppends: behind records of others if it is told so, and goes on there.
func TestTransferAppends(t *testing.T) {
	from, to := startCluster(t), startCluster(t)
	from.create("t", 1, nil)
	to.create("t", 1, nil)
	from.write("t", 0, "a", "b")
	to.write("t", 0, "x")
	for _, want := range []string{"x a b", "x a b c"} {
		if _, err := move(t, from, to, transfer.Config{Append: true}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(to.read("t", 0), " "); got != want {
			t.Errorf("it has %q, want %q", got, want)
		}
		from.write("t", 0, "c")
	}
}

// TestTransferFollows: new records, partitions and topics, and ends with what there is when it is told to.
func TestTransferFollows(t *testing.T) {
	from, to := startCluster(t), startCluster(t)
	from.create("t", 1, nil)
	from.write("t", 0, "a")
	tr := newTransfer(t, from, to, transfer.Config{Follow: true, Groups: true})
	defer tr.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- tr.Run(ctx) }()
	arrived := func(n int64) {
		t.Helper()
		clocktest.Eventually(t, fmt.Sprint(n, " records"), func() bool { return tr.Progress().Records == n })
	}
	arrived(1)
	from.write("t", 0, "b")
	arrived(2)
	if _, err := from.admin.CreatePartitions(t.Context(), 1, "t"); err != nil {
		t.Fatal(err)
	}
	from.create("later", 1, nil)
	from.write("t", 1, "c")
	from.write("later", 0, "d")
	arrived(4)
	from.write("later", 0, "e")
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := slices.Concat(to.read("t", 0), to.read("t", 1), to.read("later", 0)); !slices.Equal(got, []string{"a", "b", "c", "d", "e"}) {
		t.Errorf("records %q", got)
	}
}

// TestOneOfTwoTransfersEnds: two at a time copy nothing twice, and the one that began first ends, or both come through.
func TestOneOfTwoTransfersEnds(t *testing.T) {
	from, to := startCluster(t), startCluster(t)
	from.create("t", 1, nil)
	want := numbered("r", 200)
	from.write("t", 0, want[:100]...)
	var both sync.WaitGroup
	var errs [2]error
	var reports [2]func() transfer.Report
	var stops [2]context.CancelFunc
	for i := range errs {
		tr := newTransfer(t, from, to, transfer.Config{Follow: true})
		defer tr.Close()
		var ctx context.Context
		ctx, stops[i] = context.WithCancel(t.Context())
		defer stops[i]()
		reports[i] = tr.Report
		both.Go(func() { errs[i] = tr.Run(ctx) })
		if i == 0 {
			clocktest.Eventually(t, "some records", func() bool { return tr.Progress().Records > 0 })
		}
	}
	from.write("t", 0, want[100:]...)
	clocktest.Eventually(t, "all records", func() bool {
		ends, err := to.admin.ListEndOffsets(t.Context(), "t")
		end, _ := ends.Lookup("t", 0)
		return err == nil && end.Offset >= int64(len(want))
	})
	stops[0]()
	stops[1]()
	both.Wait()
	if errs[1] != nil || errs[0] != nil && !strings.Contains(errs[0].Error(), "another transfer") {
		t.Errorf("the first ended with %v, the second with %v: %+v and %+v", errs[0], errs[1], reports[0]().Topics, reports[1]().Topics)
	}
	if got := to.read("t", 0); !slices.Equal(got, want) {
		t.Errorf("%d records: %q", len(got), got)
	}
}

// TestPlanChangesNothing: a dry run says what would be done, at a target that stays as it is.
func TestPlanChangesNothing(t *testing.T) {
	from, to := startCluster(t), startCluster(t)
	from.create("t", 2, nil)
	from.write("t", 1, "a", "b")
	tr := newTransfer(t, from, to, transfer.Config{Groups: true})
	defer tr.Close()
	r, err := tr.Plan(t.Context())
	if err != nil || len(r.Topics) != 1 || r.Topics[0].Action != transfer.ActionMake || r.Topics[0].Records != 2 || !r.Topics[0].SameOffsets {
		t.Fatalf("plan %+v, %v", r, err)
	}
	if topics, err := to.admin.ListTopics(t.Context()); err != nil || len(topics) != 0 {
		t.Errorf("topics %v, %v", topics.Names(), err)
	}
}

// TestTransferRefusesWhatCannotBe: the same cluster on both sides, and settings that contradict each other.
func TestTransferRefusesWhatCannotBe(t *testing.T) {
	c := startCluster(t)
	tr := newTransfer(t, c, c, transfer.Config{})
	defer tr.Close()
	var wrong *transfer.ConfigError
	if err := tr.Run(t.Context()); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "same cluster") {
		t.Errorf("into itself: %v", err)
	}
	for want, cfg := range map[string]transfer.Config{
		"topics":              {Topics: "("},
		"lanes":               {Parallel: 1000},
		"needs a SASL":        {Source: transfer.Cluster{Protocol: "SASL_SSL"}},
		"none of PLAINTEXT":   {Source: transfer.Cluster{Protocol: "TLS"}},
		"has no TLS":          {Source: transfer.Cluster{Protocol: "PLAINTEXT", CAFile: "ca.pem"}},
		"does not log in":     {Target: transfer.Cluster{User: "ann"}},
		"user and a password": {Source: transfer.Cluster{Mechanism: "PLAIN"}},
		"none of PLAIN":       {Source: transfer.Cluster{Mechanism: "GSSAPI", User: "ann", PasswordFile: "transfer_test.go"}},
		"needs its key":       {Source: transfer.Cluster{CertFile: "cert.pem"}},
		"no certificate":      {Source: transfer.Cluster{CAFile: "transfer_test.go"}},
	} {
		cfg.Source.Address, cfg.Target.Address = c.address, c.address
		tr, err := transfer.New(t.Context(), cfg, transfer.Deps{Clock: clock.Real(), Logger: slog.New(slog.DiscardHandler)})
		if err == nil {
			tr.Close()
		}
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestTransferLogsIn: over TLS, by password and by AWS's keys, as a cluster wants it.
func TestTransferLogsIn(t *testing.T) {
	data := t.TempDir()
	from := startWith(t, app.Config{
		Data: data, KafkaListeners: []string{"SASL_SSL://127.0.0.1:0"}, KafkaUsers: []string{"alice:hunter2"}, AccessKeys: []string{"AKID:secret"},
		KafkaSASLMechanisms: []string{"SASL_SSL:PLAIN+SCRAM-SHA-256+SCRAM-SHA-512+AWS_MSK_IAM"},
	})
	to := startCluster(t)
	from.create("t", 1, nil)
	from.write("t", 0, "a")
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "AKID")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_REGION", "eu-west-1")
	authority := filepath.Join(app.AuthorityDir(data), tlsca.CertificateFile)
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "AWS_MSK_IAM"} {
		source := transfer.Cluster{Address: from.secured, Mechanism: mechanism, CAFile: authority}
		if mechanism != "AWS_MSK_IAM" {
			source.User, source.PasswordFile = "alice", password
		}
		tr, err := transfer.New(t.Context(), transfer.Config{Source: source, Target: transfer.Cluster{Address: to.address}},
			transfer.Deps{Clock: clock.Real(), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Errorf("%s: %v", mechanism, err)
			continue
		}
		if err := tr.Run(t.Context()); err != nil {
			t.Errorf("%s: %v", mechanism, err)
		}
		tr.Close()
	}
	if got := to.read("t", 0); !slices.Equal(got, []string{"a"}) {
		t.Errorf("records %q", got)
	}
	wrong := transfer.Cluster{Address: from.secured, Mechanism: "PLAIN", CAFile: authority, User: "bob", PasswordFile: password}
	if _, err := transfer.New(t.Context(), transfer.Config{Source: wrong, Target: transfer.Cluster{Address: to.address}}, transfer.Deps{Clock: clock.Real()}); err == nil {
		t.Error("a wrong user is let in")
	}
}

// untilFirst returns as soon as a record is copied: it looks more often than clocktest.Eventually, whose pauses are as long as the whole copying.
func untilFirst(tr *transfer.Transfer) {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for tr.Progress().Records == 0 {
		<-look.C
	}
}

// TestTransferEndsWithAllThatWasThere: one that follows and is told to end first copies what the source has by then.
func TestTransferEndsWithAllThatWasThere(t *testing.T) {
	from, to := startCluster(t), startCluster(t)
	from.create("t", 1, nil)
	want := numbered(strings.Repeat("v", 400_000), 40) // in ten rounds
	from.write("t", 0, want...)
	tr := newTransfer(t, from, to, transfer.Config{Follow: true})
	defer tr.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- tr.Run(ctx) }()
	untilFirst(tr)
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := to.read("t", 0); !slices.Equal(got, want) {
		t.Errorf("%d of %d records", len(got), len(want))
	}
}

// TestTransferIsInterrupted: one that does not follow keeps what it has copied, says so, and goes on when it is run again.
func TestTransferIsInterrupted(t *testing.T) {
	from, to := startCluster(t), startCluster(t)
	from.create("t", 1, nil)
	want := numbered(strings.Repeat("v", 400_000), 40)
	from.write("t", 0, want...)
	tr := newTransfer(t, from, to, transfer.Config{})
	defer tr.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- tr.Run(ctx) }()
	untilFirst(tr)
	stop()
	err, some := <-ended, tr.Progress().Records
	if some < int64(len(want)) && !errors.Is(err, transfer.ErrInterrupted) {
		t.Errorf("it ended with %v after %d records", err, some)
	}
	r, err := move(t, from, to, transfer.Config{})
	if err != nil || r.Topics[0].Records != int64(len(want))-some {
		t.Errorf("the second time %+v, %v, after %d records", r, err, some)
	}
	if got := to.read("t", 0); !slices.Equal(got, want) {
		t.Errorf("%d of %d records", len(got), len(want))
	}
}
