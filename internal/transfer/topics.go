package transfer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/clock"
)

// What is done with a topic.
const (
	ActionMake   = "make"   // it is not at the target
	ActionFill   = "fill"   // it is, and empty
	ActionGoOn   = "go on"  // it is ours from before
	ActionAppend = "append" // it has other records, and --append was given
)

// topic is one that is transferred. It stays the same through attempts.
type topic struct {
	name       string
	sourceID   kadm.TopicID
	targetID   kadm.TopicID
	partitions int32
	action     string
	settings   settings
	copied     map[string]string // settings to copy, which the target takes
	made       bool              // by us, so that its settings are ours to set
	prepared   bool
	gone       bool // from the source, after all was copied

	bytes atomic.Int64 // placed in this run

	mu    sync.Mutex
	notes []string
	err   error
	taken struct { // the place that turned out to be taken last, and how often
		address
		at    int64
		times int
	}
}

func (t *topic) failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err != nil
}

func (t *topic) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Contains(t.notes, text) {
		t.notes = append(t.notes, text)
	}
}

// wantsTopic says whether a topic of the source is to be transferred. Internal ones are only if they are named in full.
func (c *Config) wantsTopic(d *kadm.TopicDetail) bool {
	if d.IsInternal || strings.HasPrefix(d.Topic, "__") {
		return slices.Contains(strings.Split(c.Topics, "|"), d.Topic)
	}
	return c.pattern.MatchString(d.Topic)
}

// listSource returns the topics to transfer that the source has now.
func (t *Transfer) listSource(ctx context.Context) (kadm.TopicDetails, error) {
	found, err := t.source.admin.Metadata(ctx)
	if err != nil {
		return nil, fmt.Errorf("list topics of the %s: %w", t.source.name, err)
	}
	all := kadm.TopicDetails{}
	for name, d := range found.Topics {
		if !t.cfg.wantsTopic(&d) {
			continue
		}
		if d.Err != nil {
			if kerr.IsRetriable(d.Err) {
				return nil, fmt.Errorf("topic %s of the %s: %w", name, t.source.name, d.Err)
			}
			t.failTopic(name, fmt.Errorf("the source says: %w", d.Err))
			continue
		}
		all[name] = d
	}
	return all, nil
}

// look brings the list of topics up to date with both sides and decides what is done with each. It changes nothing.
func (t *Transfer) look(ctx context.Context) error {
	at, err := t.listSource(ctx)
	if err != nil {
		return err
	}
	t.noteGone(at)
	names := slices.Sorted(maps.Keys(at))
	there, err := t.targetTopics(ctx, names)
	if err != nil {
		return err
	}
	configs, err := sourceSettings(ctx, t.source, names)
	if err != nil {
		return err
	}
	for _, name := range names {
		d := at[name]
		tp := t.topicNamed(name)
		if tp.failed() {
			continue
		}
		if tp.sourceID != (kadm.TopicID{}) && tp.sourceID != d.ID {
			t.failTopic(name, errors.New("it was deleted and made anew at the source meanwhile: what was copied is of the earlier one; delete it at the target and run again"))
			continue
		}
		tp.sourceID, tp.partitions, tp.settings, tp.gone = d.ID, int32(len(d.Partitions)), configs[name], false
		if err := t.decide(ctx, tp, there[name]); err != nil {
			if own := (*topicError)(nil); errors.As(err, &own) {
				t.failTopic(name, own.cause)
				continue
			}
			return err
		}
	}
	return nil
}

// noteGone ends what was being transferred and is no more at the source.
func (t *Transfer) noteGone(at kadm.TopicDetails) {
	for _, tp := range t.sorted() {
		_, is := at[tp.name]
		switch {
		case is || tp.failed() || tp.partitions == 0:
		case t.complete(tp):
			tp.gone = true
			tp.note("it was deleted at the source, after all of it was copied")
		default:
			t.failTopic(tp.name, fmt.Errorf("it was deleted at the source before all was copied: the target has %d records of this run", t.recordsOf(tp)))
		}
	}
}

// targetTopics returns which of the topics the target has.
func (t *Transfer) targetTopics(ctx context.Context, names []string) (kadm.TopicDetails, error) {
	if len(names) == 0 {
		return nil, nil // no names would mean all
	}
	found, err := t.target.admin.Metadata(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("list topics of the %s: %w", t.target.name, err)
	}
	all := kadm.TopicDetails{}
	for name, d := range found.Topics {
		switch {
		case d.Err == nil:
			all[name] = d
		case errors.Is(d.Err, kerr.UnknownTopicOrPartition):
		case kerr.IsRetriable(d.Err):
			return nil, fmt.Errorf("topic %s of the %s: %w", name, t.target.name, d.Err)
		default:
			t.failTopic(name, fmt.Errorf("the target says: %w", d.Err))
		}
	}
	return all, nil
}

// decide says what is done with a topic; a *topicError if it must be left alone.
func (t *Transfer) decide(ctx context.Context, tp *topic, there kadm.TopicDetail) error {
	own, known := t.ledger.owns(tp.name)
	if there.Topic == "" {
		tp.action, tp.made = ActionMake, true
		return nil
	}
	tp.targetID = there.ID
	if extra := len(there.Partitions) - int(tp.partitions); extra > 0 {
		return &topicError{tp.name, fmt.Errorf("the target's has %d partitions, the source's %d: keys would be in other partitions", len(there.Partitions), tp.partitions)}
	}
	if known && !own.making && own.targetID == there.ID.String() {
		tp.action, tp.made = ActionGoOn, own.made
		if own.sourceID != tp.sourceID.String() {
			return &topicError{tp.name, errors.New("it was deleted and made anew at the source: what the target has is of the earlier one; delete it there to have the new one")}
		}
		return nil
	}
	records, err := t.target.records(ctx, tp.name)
	switch {
	case err != nil:
		return err
	case records == 0:
		tp.action, tp.made = ActionFill, known && own.making && own.sourceID == tp.sourceID.String()
	case t.cfg.Append:
		tp.action = ActionAppend
	default:
		return &topicError{tp.name, fmt.Errorf("the target's has %d records that were not copied from here: delete it there, leave it out, or append to it with --append", records)}
	}
	return nil
}

// records returns how many offsets of a topic may have records.
func (s *side) records(ctx context.Context, name string) (int64, error) {
	starts, err := s.starts(ctx, []string{name})
	if err != nil {
		return 0, err
	}
	ends, err := s.ends(ctx, []string{name})
	if err != nil {
		return 0, err
	}
	n := int64(0)
	for p, end := range ends[name] {
		n += end - starts[name][p]
	}
	return n, nil
}

// offsets are those of partitions, by topic.
type offsets map[string]map[int32]int64

func (s *side) starts(ctx context.Context, names []string) (offsets, error) {
	return s.listed(ctx, "beginnings", names, s.admin.ListStartOffsets)
}

func (s *side) ends(ctx context.Context, names []string) (offsets, error) {
	return s.listed(ctx, "ends", names, s.admin.ListEndOffsets)
}

// stable returns where the first open transaction begins, or the end.
func (s *side) stable(ctx context.Context, names []string) (offsets, error) {
	return s.listed(ctx, "last stable offsets", names, s.admin.ListCommittedOffsets)
}

func (s *side) listed(ctx context.Context, what string, names []string, list func(context.Context, ...string) (kadm.ListedOffsets, error)) (offsets, error) {
	if len(names) == 0 {
		return nil, nil
	}
	found, err := list(ctx, names...)
	if err == nil {
		err = found.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("list %s of partitions of the %s: %w", what, s.name, err)
	}
	all := offsets{}
	for name, parts := range found {
		all[name] = map[int32]int64{}
		for p, o := range parts {
			all[name][p] = o.Offset
		}
	}
	return all, nil
}

// mostLooks is how often the target is asked for topics that were made just now.
const mostLooks = 50

// ensure makes what the target lacks of the topics, and makes them ours. What is wrong with one topic alone takes it out.
func (t *Transfer) ensure(ctx context.Context) error {
	if err := t.each(func(tp *topic) error { return t.makeTopic(ctx, tp) }); err != nil {
		return err
	}
	var names []string
	for _, tp := range t.active() {
		names = append(names, tp.name)
	}
	there, err := t.targetTopics(ctx, names)
	for range mostLooks {
		if err != nil {
			return err
		}
		if len(there) == len(names) {
			break
		}
		if err := clock.Sleep(ctx, t.clock, 2*metadataAge); err != nil {
			return err
		}
		there, err = t.targetTopics(ctx, names)
	}
	return t.each(func(tp *topic) error {
		d, is := there[tp.name]
		if !is {
			return fmt.Errorf("topic %s is not at the %s yet: %w", tp.name, t.target.name, errStale)
		}
		tp.targetID = d.ID
		if err := t.addPartitions(ctx, tp, int32(len(d.Partitions))); err != nil {
			return err
		}
		if tp.made && !tp.prepared {
			if err := tp.prepare(ctx, t.target); err != nil {
				return err
			}
		}
		tp.prepared = true
		return t.claim(ctx, tp)
	})
}

// each does something with each topic that is in the transfer, and takes out those with an error of their own.
func (t *Transfer) each(do func(*topic) error) error {
	for _, tp := range t.active() {
		err := do(tp)
		if own := (*topicError)(nil); errors.As(err, &own) {
			t.failTopic(tp.name, own.cause)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// addPartitions gives the target's topic as many as the source's has.
func (t *Transfer) addPartitions(ctx context.Context, tp *topic, has int32) error {
	if has >= tp.partitions {
		return nil
	}
	resp, err := t.target.admin.UpdatePartitions(ctx, int(tp.partitions), tp.name)
	if err == nil {
		err = resp.Error()
	}
	if err != nil {
		return fmt.Errorf("add partitions to topic %s of the %s: %w", tp.name, t.target.name, err)
	}
	tp.note("partitions were added: it has %d instead of %d", tp.partitions, has)
	return nil
}

// claim makes a topic ours, and takes down from where to where its records go if it is not empty.
func (t *Transfer) claim(ctx context.Context, tp *topic) error {
	if own, known := t.ledger.owns(tp.name); known && !own.making && own.targetID == tp.targetID.String() {
		return nil
	}
	starts, err := t.source.starts(ctx, []string{tp.name})
	if err != nil {
		return err
	}
	ends, err := t.target.ends(ctx, []string{tp.name})
	if err != nil {
		return err
	}
	var entries []entry
	for p, end := range ends[tp.name] {
		if start := starts[tp.name][p]; end > 0 {
			entries = append(entries, runsEntries(tp.name, tp.targetID.String(), p, []run{{start, end}})...)
		}
	}
	entries = append(entries, entry{Topic: tp.name, SourceID: tp.sourceID.String(), TargetID: tp.targetID.String(), Made: tp.made})
	return t.ledger.write(ctx, entries...)
}

// chooseSettings finds which of a topic's settings the target takes, and notes the others.
func (t *Transfer) chooseSettings(ctx context.Context, tp *topic) error {
	all, notes := tp.settings.copyable()
	taken, refused, err := accepted(ctx, t.target, tp.name, tp.partitions, t.cfg.Replicas, all)
	if err != nil {
		return err
	}
	for _, n := range notes {
		tp.note("%s", n)
	}
	for _, key := range slices.Sorted(maps.Keys(refused)) {
		tp.note("setting %s=%s is not copied: %s", key, all[key], refused[key])
	}
	tp.copied = taken
	return nil
}

// makeTopic makes a topic that the target does not have, with the settings that it needs while records are copied.
func (t *Transfer) makeTopic(ctx context.Context, tp *topic) error {
	if tp.action == ActionMake || tp.copied == nil {
		if err := t.chooseSettings(ctx, tp); err != nil {
			return err
		}
	}
	if tp.action != ActionMake {
		return nil
	}
	if err := t.ledger.write(ctx, entry{Topic: tp.name, SourceID: tp.sourceID.String(), Making: true}); err != nil {
		return err
	}
	first := maps.Clone(tp.copied)
	maps.Copy(first, whileCopying)
	first, _, err := accepted(ctx, t.target, tp.name, tp.partitions, t.cfg.Replicas, first)
	if err != nil {
		return err
	}
	_, err = t.target.admin.CreateTopic(ctx, tp.partitions, t.cfg.Replicas, pointers(first), tp.name)
	switch {
	case err == nil, errors.Is(err, kerr.TopicAlreadyExists): // a request that was repeated
		return nil
	case kerr.IsRetriable(err):
		return fmt.Errorf("make topic %s at the %s: %w", tp.name, t.target.name, err)
	}
	var answered *kerr.Error
	if errors.As(err, &answered) {
		return &topicError{tp.name, fmt.Errorf("make it at the target: %w", err)}
	}
	return fmt.Errorf("make topic %s at the %s: %w", tp.name, t.target.name, err)
}
