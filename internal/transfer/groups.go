package transfer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// groupsState is what is known of the source's groups, guarded by its own lock.
type groupsState struct {
	mu     sync.Mutex
	listed map[string]kadm.Offsets // at the source
	shares []string                // groups that have no offsets to copy
	all    map[string]*groupState
}

// groupState is one group on its way.
type groupState struct {
	copied  map[partitionName]int64 // the target's offsets that were written
	ahead   int                     // partitions of which the target's offset is behind the source's by now
	waiting int                     // partitions of which not all is copied that the group has read
	others  int                     // partitions of topics that are not transferred
	notes   []string
	err     error
}

type partitionName struct {
	topic     string
	partition int32
}

// listGroups reads the offsets that groups have at the source: once, unless the transfer follows.
func (t *Transfer) listGroups(ctx context.Context) error {
	g := &t.groups
	g.mu.Lock()
	defer g.mu.Unlock()
	if !t.cfg.Groups || g.listed != nil && !t.cfg.Follow {
		return nil
	}
	listed, err := t.source.admin.ListGroups(ctx)
	if err != nil {
		return fmt.Errorf("list groups of the %s: %w", t.source.name, err)
	}
	// Brokers before 4.1 have no such groups, and refuse the question.
	shares, err := t.source.admin.ListGroupsByType(ctx, []string{"share"})
	g.shares = nil
	if err == nil {
		g.shares = shares.Groups()
	}
	names := slices.DeleteFunc(listed.Groups(), func(name string) bool { return slices.Contains(g.shares, name) })
	all := map[string]kadm.Offsets{}
	if len(names) > 0 {
		for name, fetched := range t.source.admin.FetchManyOffsets(ctx, names...) {
			if errors.Is(fetched.Err, kerr.GroupIDNotFound) {
				continue // it was deleted meanwhile
			}
			if fetched.Err != nil {
				return fmt.Errorf("read offsets of group %s at the %s: %w", name, t.source.name, fetched.Err)
			}
			all[name] = fetched.Fetched.Offsets()
		}
	}
	g.listed = all
	return nil
}

// followGroups copies the offsets that groups have by now.
func (t *Transfer) followGroups(ctx context.Context) error {
	if err := t.listGroups(ctx); err != nil {
		return err
	}
	return t.copyGroups(ctx)
}

// moving is a group's offset that is to be translated.
type moving struct {
	group  string
	at     partitionName
	offset kadm.Offset
	end    int64 // the target's next offset
	translation
}

// copyGroups translates the offsets of groups, and commits those at the target that are not behind what it has.
func (t *Transfer) copyGroups(ctx context.Context) error {
	g := &t.groups
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all == nil {
		g.all = map[string]*groupState{}
	}
	byPlace := map[runsKey][]*moving{}
	byGroup := map[string][]*moving{}
	for name, committed := range g.listed {
		state := g.all[name]
		if state == nil {
			state = &groupState{copied: map[partitionName]int64{}}
			g.all[name] = state
		}
		state.others, state.waiting, state.ahead, state.notes, state.err = 0, 0, 0, nil, nil
		committed.Each(func(o kadm.Offset) {
			if m, key := t.moving(name, o, state); m != nil {
				byPlace[key] = append(byPlace[key], m)
				byGroup[name] = append(byGroup[name], m)
			}
		})
	}
	if len(byGroup) == 0 {
		return nil
	}
	if err := t.ledger.translate(ctx, byPlace); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(byGroup)) {
		if err := t.commitGroup(ctx, name, byGroup[name], g.all[name]); err != nil {
			return err
		}
	}
	return nil
}

// translate lets each offset see the runs of its partition.
func (l *ledger) translate(ctx context.Context, all map[runsKey][]*moving) error {
	_, err := l.read(ctx, func(e *entry) {
		for _, m := range all[runsKey{e.TargetID, e.Partition}] {
			for _, r := range e.Runs {
				m.see(run{r[0], r[1]})
			}
		}
	})
	return err
}

// moving returns what to translate of a group's offset, nil if nothing is to be yet.
func (t *Transfer) moving(group string, o kadm.Offset, state *groupState) (*moving, runsKey) {
	if o.At < 0 {
		return nil, runsKey{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	tp := t.topics[o.Topic]
	copied, known := t.copied[o.Topic][o.Partition]
	switch {
	case tp == nil || !known || tp.failed():
		state.others++
		return nil, runsKey{}
	case o.At > copied && copied < t.until[o.Topic][o.Partition]:
		state.waiting++
		return nil, runsKey{}
	case o.At > copied && t.cfg.Follow:
		state.waiting++ // behind an open transaction, which will be decided
		return nil, runsKey{}
	case o.At > copied:
		state.notes = append(state.notes, fmt.Sprintf("it has read up to offset %d of partition %d of %s, where a transaction is open since %d: it will read what that has written again",
			o.At, o.Partition, o.Topic, copied))
	}
	m := &moving{group: group, at: partitionName{o.Topic, o.Partition}, offset: o, end: t.placed[o.Topic][o.Partition], translation: translation{wanted: o.At}}
	return m, runsKey{tp.targetID.String(), o.Partition}
}

// commitGroup commits a group's offsets at the target. A group that has members there, or is further on, is left.
func (t *Transfer) commitGroup(ctx context.Context, name string, all []*moving, state *groupState) error {
	present, err := t.target.admin.FetchOffsets(ctx, name)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		if authorization(err) {
			state.err = err
			return nil
		}
		return fmt.Errorf("read offsets of group %s at the %s: %w", name, t.target.name, err)
	}
	var commit kadm.Offsets
	for _, m := range all {
		to := m.translation.offset(m.end)
		was, has := present.Lookup(m.at.topic, m.at.partition)
		switch {
		case has && was.At > to:
			state.ahead++
		case has && was.At == to:
			state.copied[m.at] = to
		default:
			commit.AddOffset(m.at.topic, m.at.partition, to, -1)
			o := commit[m.at.topic][m.at.partition]
			o.Metadata = m.offset.Metadata
			commit[m.at.topic][m.at.partition] = o
		}
	}
	if len(commit) == 0 {
		return nil
	}
	answers, err := t.target.admin.CommitOffsets(ctx, name, commit)
	if err == nil {
		err = answers.Error()
	}
	switch {
	case errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.IllegalGeneration), errors.Is(err, kerr.FencedMemberEpoch), errors.Is(err, kerr.StaleMemberEpoch), errors.Is(err, kerr.RebalanceInProgress):
		state.err = errors.New("it has members at the target: its offsets there are theirs")
		return nil
	case err != nil && (authorization(err) || !kerr.IsRetriable(err) && isAnswer(err)):
		state.err = fmt.Errorf("commit its offsets at the target: %w", err)
		return nil
	case err != nil:
		return fmt.Errorf("commit offsets of group %s at the %s: %w", name, t.target.name, err)
	}
	commit.Each(func(o kadm.Offset) { state.copied[partitionName{o.Topic, o.Partition}] = o.At })
	return nil
}

func authorization(err error) bool { return errors.Is(err, kerr.GroupAuthorizationFailed) }

// isAnswer says whether a broker has said so, and not the network.
func isAnswer(err error) bool {
	var answered *kerr.Error
	return errors.As(err, &answered)
}
