package group

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/stream"
)

// TestStageRules: members of the present generation stage offsets also while the group rebalances; clients that do not say who they are, always.
func TestStageRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{})
		defer func() { b.stop() }()
		mayStage := func(id string, who Commit) error { return b.c.MayStage(t.Context(), id, who, nil) }
		nobody := Commit{Generation: -1}
		expectErr(t, "of no group, by nobody", mayStage("new", nobody), nil)
		expect(t, "listed", b.listed(), "new//Empty")
		expectErr(t, "of no group, by a member", mayStage("none", Commit{Member: "m", Generation: 1}), kerr.IllegalGeneration)
		expectErr(t, "of a group without name", mayStage("", nobody), kerr.InvalidGroupID)
		j := b.stable("g")
		member := Commit{Member: j.Member, Generation: j.Generation}
		expectErr(t, "by the member", mayStage("g", member), nil)
		expectErr(t, "by nobody", mayStage("g", nobody), nil)
		expectErr(t, "by a stranger", mayStage("g", Commit{Member: "m", Generation: j.Generation}), kerr.UnknownMemberID)
		expectErr(t, "by a stranger without generation", mayStage("g", Commit{Member: "m", Generation: -1}), kerr.UnknownMemberID)
		expectErr(t, "in an old generation", mayStage("g", Commit{Member: j.Member, Generation: j.Generation - 1}), kerr.IllegalGeneration)
		left, err := b.c.Leave(t.Context(), "g", []Leave{{Member: j.Member}})
		expectErr(t, "leave", errors.Join(append(left, err)...), nil)
		expectErr(t, "of an empty group, by who was a member", mayStage("g", member), kerr.UnknownMemberID)
		expectErr(t, "of an empty group, by nobody", mayStage("g", nobody), nil)
	})
}

// TestCommittingHoldsDeletesOff: a group is not deleted while a transaction commits offsets of it, and one that is gone by then comes back.
func TestCommittingHoldsDeletesOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{})
		defer func() { b.stop() }()
		commit := func() error {
			return b.log.Commit(t.Context(), b.c.Owner("g"), []stream.Cursor{{Shard: b.topic.Shard(0), Next: 7, Epoch: -1, Committed: time.Now()}})
		}
		expectErr(t, "commit", b.commit("g", Commit{Generation: -1}, 0, 5), nil)
		err := b.c.Committing([]stream.OwnedCursors{{Owner: b.c.Owner("g")}}, func() error {
			if e := b.c.groups["g"]; e.offsetsMu.TryLock() {
				e.offsetsMu.Unlock()
				t.Error("nothing keeps the group's offsets from being deleted")
			}
			return commit()
		})
		expectErr(t, "committing", err, nil)
		expectErr(t, "delete", b.c.Delete(t.Context(), "g"), nil)
		expect(t, "listed", b.listed(), "")
		expect(t, "offsets", b.offsets("g"), "")

		failed := errors.New("failed")
		expectErr(t, "committing", b.c.Committing([]stream.OwnedCursors{{Owner: b.c.Owner("g")}, {Owner: b.c.Owner("h")}}, func() error { return failed }), failed)
		expectErr(t, "expire", b.c.Expire(t.Context()), nil)
		expect(t, "listed after a failure", b.listed(), "")

		expectErr(t, "committing", b.c.Committing([]stream.OwnedCursors{{Owner: b.c.Owner("g")}}, commit), nil)
		expectErr(t, "heartbeat", b.c.Heartbeat(t.Context(), "g", Heartbeat{Member: "m"}), kerr.UnknownMemberID)
		expect(t, "listed", b.listed(), "g//Empty")
		expect(t, "offsets", b.offsets("g"), "0:7")
		expectErr(t, "expire", b.c.Expire(t.Context()), nil)
		expect(t, "listed after a look for old offsets", b.listed(), "g//Empty")
	})
}
