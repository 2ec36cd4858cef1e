package txn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"go.uber.org/goleak"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/internal/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// begin makes a producer of id with a transaction that has written a word to each of the shards.
func (r *rig) begin(id string, shards ...string) Producer {
	r.t.Helper()
	p, err := r.Init(context.Background(), id, time.Minute, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, s := range shards {
		r.write(id, p, s, id)
	}
	return p
}

func (r *rig) write(id string, p Producer, shard, word string) {
	r.t.Helper()
	hold, errs := r.Write(id, []Batch{{Producer: p, Shard: shardOf(shard)}}, true)
	defer hold.Release()
	if errs[0] != nil {
		r.t.Fatal(errs[0])
	}
	r.log.append(shardOf(shard), p, word)
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func TestWhatCannotBeIsRefused(t *testing.T) {
	ctx := context.Background()
	r := newRig(t, Config{MaxTimeout: time.Minute})
	for _, id := range []string{"", strings.Repeat("x", MaxIDBytes+1), "\xff"} {
		_, err := r.Init(ctx, id, time.Minute, nil)
		wantError(t, "init", err, kerr.InvalidRequest)
		_, err = r.Describe(id)
		wantError(t, "describe", err, kerr.InvalidRequest)
	}
	for _, timeout := range []time.Duration{0, -1, time.Minute + 1} {
		_, err := r.Init(ctx, "x", timeout, nil)
		wantError(t, "init", err, kerr.InvalidTransactionTimeout)
	}
	_, err := r.Describe("x")
	wantError(t, "describe", err, kerr.TransactionalIDNotFound)
	wantError(t, "add", r.Add(ctx, "x", Producer{1, 0}, nil), kerr.InvalidProducerIDMapping)
	_, err = r.Verify("x", Producer{1, 0}, nil)
	wantError(t, "verify", err, kerr.InvalidProducerIDMapping)
	hold, errs := r.Write("x", []Batch{{Producer: Producer{1, 0}, Shard: shardOf("0")}}, true)
	hold.Release()
	wantError(t, "write", errs[0], kerr.InvalidProducerIDMapping)
	wantError(t, "group", r.AddGroup(ctx, "x", Producer{1, 0}, "\xff"), kerr.InvalidGroupID)
}

// TestAFailedLogChangesNothing: the same request does it all once the log works again.
func TestAFailedLogChangesNothing(t *testing.T) {
	ctx := context.Background()
	r := newRig(t, Config{})
	p := r.begin("x", "0", "1")
	r.log.fails = errFake
	_, err := r.EndTxn(ctx, "x", p, true, true)
	wantError(t, "end", err, errFake)
	if words := r.log.words(shardOf("0"), "open"); len(words) != 1 {
		t.Errorf("open: %v", words)
	}
	next, err := r.EndTxn(ctx, "x", p, true, true)
	if err != nil || next != (Producer{p.ID, p.Epoch + 1}) {
		t.Fatal(next, err)
	}
	if words := r.log.words(shardOf("1"), "commit"); !slices.Equal(words, []string{"x"}) {
		t.Errorf("committed: %v", words)
	}
}

// TestWhatWasDeletedHoldsNoTransactionUp: neither a topic, nor one that has seen a newer epoch of the producer.
func TestWhatWasDeletedHoldsNoTransactionUp(t *testing.T) {
	ctx := context.Background()
	r := newRig(t, Config{})
	p := r.begin("x", "0", "1")
	other := stream.Shard{Stream: stream.ID{9}}
	cursors := []stream.Cursor{{Shard: other, Next: 5}, {Shard: shardOf("0"), Next: 7}, {Shard: shardOf("99"), Next: 7}}
	if err := r.Stage(ctx, "x", p, "g", cursors, true, anyone); err != nil {
		t.Fatal(err)
	}
	if err := r.Add(ctx, "x", p, []stream.Shard{other}); err != nil {
		t.Fatal(err)
	}
	r.log.append(shardOf("1"), Producer{p.ID, p.Epoch + 5}, "someone else's")
	if _, err := r.EndTxn(ctx, "x", p, true, true); err != nil {
		t.Fatal(err)
	}
	if words := r.log.words(shardOf("0"), "commit"); len(words) != 1 {
		t.Errorf("committed: %v", words)
	}
	if got := r.log.cursors["group/g"]; len(got) != 1 || got[shardOf("0")] != 7 {
		t.Errorf("offsets: %v", got)
	}
}

// TestTimeAborts: Run ends a transaction whose time is over, tries again when the log fails, and forgets ids that nobody uses.
func TestTimeAborts(t *testing.T) { synctest.Test(t, timeAborts) }

func timeAborts(t *testing.T) {
	r := newRig(t, Config{})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	state := func(id string) State {
		x, err := r.Describe(id)
		if err != nil {
			return State(err.Error())
		}
		return x.State
	}
	r.begin("x", "0")
	synctest.Wait() // Run waits for the deadline
	r.clock.Advance(59 * time.Second)
	if s := state("x"); s != Ongoing {
		t.Errorf("before its time is over: %s", s)
	}
	r.clock.Advance(time.Second)
	clocktest.Eventually(t, "the transaction is aborted", func() bool { return state("x") == CompleteAbort })
	if words := r.log.words(shardOf("0"), "abort"); len(words) != 1 {
		t.Errorf("aborted: %v", words)
	}
	r.clock.Advance(DefaultExpiration - time.Second)
	if s := state("x"); s != CompleteAbort {
		t.Errorf("a second before it expires: %s", s)
	}
	clocktest.Eventually(t, "the id is forgotten", func() bool {
		r.clock.Advance(DefaultExpirationCheck)
		return state("x") == State(kerr.TransactionalIDNotFound.Error())
	})
	r.restart(Config{})
	if list := r.List(); len(list) != 0 {
		t.Errorf("after a restart there is %v again", list)
	}
}

// TestAClockThatWasSetBackDoesNotHoldATransactionOpen: after a restart on an earlier time a transaction has its timeout from then on, not an hour more.
func TestAClockThatWasSetBackDoesNotHoldATransactionOpen(t *testing.T) {
	r := newRig(t, Config{})
	if err := r.Add(t.Context(), "x", r.begin("x"), []stream.Shard{shardOf("0")}); err != nil {
		t.Fatal(err)
	}
	r.clock = clock.NewVirtual(r.clock.Now().Add(-time.Hour))
	r.restart(Config{})
	r.clock.Advance(time.Minute)
	r.AbortDue(context.Background())
	if x, err := r.Describe("x"); err != nil || x.State != CompleteAbort {
		t.Errorf("%v after its timeout, %v", x.State, err)
	}
}

func TestAnAbortThatFailsIsTriedAgain(t *testing.T) {
	ctx := context.Background()
	r := newRig(t, Config{})
	r.begin("x", "0")
	r.clock.Advance(time.Minute)
	r.log.fails = errFake
	r.AbortDue(ctx)
	if x, err := r.Describe("x"); err != nil || x.State != Ongoing {
		t.Errorf("%v, %v", x.State, err)
	}
	r.AbortDue(ctx)
	if x, err := r.Describe("x"); err != nil || x.State != Ongoing {
		t.Errorf("at once: %v, %v", x.State, err)
	}
	r.clock.Advance(retryDelay)
	r.AbortDue(ctx)
	if x, err := r.Describe("x"); err != nil || x.State != CompleteAbort {
		t.Errorf("%v, %v", x.State, err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	ctx := context.Background()
	r := newRig(t, Config{MaxIDs: 2, MaxTransactionBytes: 1000, MaxBytes: 1500})
	a, b := r.begin("a"), r.begin("b")
	_, err := r.Init(ctx, "c", time.Minute, nil)
	wantError(t, "a third id", err, kerr.PolicyViolation)
	large := []stream.Cursor{{Shard: shardOf("0"), Metadata: strings.Repeat("m", 600)}}
	if err := r.Stage(ctx, "a", a, "g", large, true, anyone); err != nil {
		t.Fatal(err)
	}
	wantError(t, "more than all may take", r.Stage(ctx, "b", b, "g", large, true, anyone), kerr.PolicyViolation)
	var many []Batch
	for i := range 40 {
		many = append(many, Batch{Producer: a, Shard: shardOf(fmt.Sprint(i))})
	}
	hold, errs := r.Write("a", many, true)
	hold.Release()
	wantError(t, "more than one may take", errs[0], kerr.PolicyViolation)
	if _, err := r.EndTxn(ctx, "a", a, false, true); err != nil {
		t.Fatal(err)
	}
	if err := r.Stage(ctx, "b", b, "g", large, true, anyone); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
	if r.bytes != r.entries["b"].txn.Bytes() {
		t.Errorf("%d bytes are accounted for, b takes %d", r.bytes, r.entries["b"].txn.Bytes())
	}
}

// TestDroppedOffsetsAreNotCommitted: those of a group that was deleted, or of one shard.
func TestDroppedOffsetsAreNotCommitted(t *testing.T) {
	ctx := context.Background()
	r := newRig(t, Config{})
	p := r.begin("x")
	for _, g := range []string{"g", "h"} {
		if err := r.Stage(ctx, "x", p, g, []stream.Cursor{{Shard: shardOf("0"), Next: 5}, {Shard: shardOf("1"), Next: 6}}, true, anyone); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.DropOffsets(ctx, "g", []stream.Shard{shardOf("0")}); err != nil {
		t.Fatal(err)
	}
	if err := r.DropOffsets(ctx, "h", nil); err != nil {
		t.Fatal(err)
	}
	if g, h := r.Staged("g"), r.Staged("h"); len(g) != 1 || !g[shardOf("1")] || h != nil {
		t.Errorf("staged: %v, %v", g, h)
	}
	r.restart(Config{})
	if _, err := r.EndTxn(ctx, "x", p, true, true); err != nil {
		t.Fatal(err)
	}
	if g, h := r.log.cursors["group/g"], r.log.cursors["group/h"]; len(g) != 1 || g[shardOf("1")] != 6 || h != nil {
		t.Errorf("committed: %v, %v", g, h)
	}
}

// TestAMarkerWaitsForTheBatchesBefore: a transaction does not end between the look at it and the append.
func TestAMarkerWaitsForTheBatchesBefore(t *testing.T) {
	r := newRig(t, Config{})
	p := r.begin("x", "0")
	for _, shard := range []string{"0", "1"} { // one that is in the transaction, and one that comes in
		hold, errs := r.Write("x", []Batch{{Producer: p, Shard: shardOf(shard)}}, true)
		if errs[0] != nil {
			t.Fatal(errs[0])
		}
		if e := r.entries["x"]; e.mu.TryLock() {
			t.Errorf("shard %s: nothing keeps the transaction from ending", shard)
			e.mu.Unlock()
		}
		hold.Release()
	}
	if e := r.entries["x"]; !e.mu.TryLock() {
		t.Error("something keeps the transaction from ending")
	} else {
		e.mu.Unlock()
	}
}

func TestConfigNamesWhatCannotWork(t *testing.T) {
	err := Config{MaxTimeout: -1, RestoreGrace: -1, Expiration: -1, ExpirationCheck: -1, MaxIDs: -1, MaxTransactionBytes: 8 << 20}.Validate()
	for _, want := range []string{"timeout bound", "grace", "expiration -", "check -", "transactional ids", "memory"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %q", err, want)
		}
	}
	if err := (Config{}).Validate(); err != nil {
		t.Error(err)
	}
}
