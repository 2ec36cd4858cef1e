package transfer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Progress is how far a transfer is.
type Progress struct {
	Records int64 // placed in this run
	Bytes   int64
	Offsets int64 // of the source, behind this run's beginning, that are copied or are nothing to copy
	Total   int64 // and that are to be; of a transfer that follows, by now
}

// Progress may be called at any time.
func (t *Transfer) Progress() Progress {
	var p Progress
	for _, tp := range t.sorted() {
		p.Bytes += tp.bytes.Load()
		p.Records += t.recordsOf(tp)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, parts := range t.begun {
		for n, from := range parts {
			p.Offsets += t.copied[name][n] - from
			p.Total += max(t.until[name][n], t.copied[name][n]) - from
		}
	}
	return p
}

func (t *Transfer) recordsOf(tp *topic) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := int64(0)
	for p, from := range t.first[tp.name] {
		n += t.placed[tp.name][p] - from
	}
	return n
}

// Report is what a transfer has done, or would do.
type Report struct {
	Topics []TopicReport `json:"topics"`
	Groups []GroupReport `json:"groups,omitempty"`
}

// TopicReport is what has become of a topic.
type TopicReport struct {
	Topic       string   `json:"topic"`
	Partitions  int32    `json:"partitions"`
	Action      string   `json:"action,omitempty"`
	Records     int64    `json:"records"` // placed in this run; of a plan, offsets to copy
	Bytes       int64    `json:"bytes"`
	SameOffsets bool     `json:"same_offsets"` // all records have the offsets that they have at the source
	Notes       []string `json:"notes,omitempty"`
	Error       string   `json:"error,omitempty"`
}

// GroupReport is what has become of a group's offsets.
type GroupReport struct {
	Group      string   `json:"group"`
	Partitions int      `json:"partitions"` // of which the target has the offset
	Notes      []string `json:"notes,omitempty"`
	Error      string   `json:"error,omitempty"`
}

// Report says what has been done so far.
func (t *Transfer) Report() Report {
	var r Report
	for _, tp := range t.sorted() {
		if tp.name == "" || t.ledger != nil && tp.name == t.ledger.topic {
			continue
		}
		records := t.recordsOf(tp)
		tp.mu.Lock()
		one := TopicReport{
			Topic: tp.name, Partitions: tp.partitions, Action: tp.action, Records: records, Bytes: tp.bytes.Load(),
			Notes: slices.Clone(tp.notes),
		}
		if tp.err != nil {
			one.Error = tp.err.Error()
		}
		one.SameOffsets = t.ledger.same(tp.targetID.String())
		tp.mu.Unlock()
		r.Topics = append(r.Topics, one)
	}
	r.Groups = t.groupReports()
	return r
}

func (t *Transfer) groupReports() []GroupReport {
	g := &t.groups
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []GroupReport
	for _, name := range slices.Sorted(maps.Keys(g.all)) {
		s := g.all[name]
		one := GroupReport{Group: name, Partitions: len(s.copied), Notes: slices.Clone(s.notes)}
		if s.ahead > 0 {
			one.Notes = append(one.Notes, fmt.Sprintf("%d partitions are left: it has read further at the target", s.ahead))
		}
		if s.waiting > 0 {
			one.Notes = append(one.Notes, fmt.Sprintf("%d partitions wait: it has read further at the source than is copied", s.waiting))
		}
		if s.others > 0 {
			one.Notes = append(one.Notes, fmt.Sprintf("%d partitions are of topics that are not transferred", s.others))
		}
		if s.err != nil {
			one.Error = s.err.Error()
		}
		all = append(all, one)
	}
	for _, name := range g.shares {
		all = append(all, GroupReport{Group: name, Notes: []string{"share groups are not copied: reset its offsets at the target"}})
	}
	return all
}

// finish copies what comes last: the offsets of groups, and the settings of topics that are whole.
func (t *Transfer) finish(ctx context.Context) error {
	if err := t.checkOpen(ctx); err != nil {
		return err
	}
	for _, tp := range t.active() {
		if tp.made && tp.prepared {
			if err := tp.settle(ctx, t.target); err != nil {
				if own := (*topicError)(nil); !errors.As(err, &own) {
					return err
				}
				tp.note("%v", err)
			}
		}
		if err := tp.compare(ctx, t.target); err != nil {
			return err
		}
	}
	if t.cfg.Groups {
		if err := t.copyGroups(ctx); err != nil {
			return err
		}
	}
	return nil
}

// incomplete is ErrIncomplete if something was left out.
func (t *Transfer) incomplete() error {
	r := t.Report()
	if slices.ContainsFunc(r.Topics, func(r TopicReport) bool { return r.Error != "" }) ||
		slices.ContainsFunc(r.Groups, func(r GroupReport) bool { return r.Error != "" }) {
		return ErrIncomplete
	}
	return nil
}

// checkOpen notes where an open transaction kept records from being copied.
func (t *Transfer) checkOpen(ctx context.Context) error {
	var names []string
	for _, tp := range t.active() {
		names = append(names, tp.name)
	}
	ends, err := t.source.ends(ctx, names)
	if err != nil {
		return err
	}
	stable, err := t.source.stable(ctx, names)
	if err != nil {
		return err
	}
	for _, tp := range t.active() {
		for n := range tp.partitions {
			if end, open := ends[tp.name][n], stable[tp.name][n]; open < end {
				tp.note("partition %d: what is behind offset %d is not copied, where a transaction is open at the source (%d offsets)", n, open, end-open)
			}
		}
	}
	return nil
}

// Plan says what Run would do, and changes nothing.
func (t *Transfer) Plan(ctx context.Context) (Report, error) {
	if err := t.open(ctx, true); err != nil {
		return Report{}, err
	}
	if t.ledger != nil {
		if err := t.ledger.load(ctx, func(runsKey, run) {}); err != nil {
			return Report{}, err
		}
	}
	if err := t.look(ctx); err != nil {
		return Report{}, err
	}
	var names []string
	for _, tp := range t.active() {
		if err := t.chooseSettings(ctx, tp); err != nil {
			return Report{}, err
		}
		names = append(names, tp.name)
	}
	starts, err := t.source.starts(ctx, names)
	if err != nil {
		return Report{}, err
	}
	ends, err := t.source.stable(ctx, names)
	if err != nil {
		return Report{}, err
	}
	r := t.Report()
	for i := range r.Topics {
		one := &r.Topics[i]
		one.SameOffsets = one.Action != ActionAppend
		for p, end := range ends[one.Topic] {
			one.Records += end - starts[one.Topic][p]
			one.SameOffsets = one.SameOffsets && starts[one.Topic][p] == 0
		}
	}
	return r, t.planGroups(ctx, &r)
}

// planGroups adds the groups whose offsets would be copied.
func (t *Transfer) planGroups(ctx context.Context, r *Report) error {
	if err := t.listGroups(ctx); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(t.groups.listed)) {
		n := 0
		for topic, parts := range t.groups.listed[name] {
			if t.cfg.pattern.MatchString(topic) {
				n += len(parts)
			}
		}
		r.Groups = append(r.Groups, GroupReport{Group: name, Partitions: n})
	}
	r.Groups = append(r.Groups, t.groupReports()...)
	return nil
}

// same says whether all records of a topic of the target have the offsets that they have at the source.
func (l *ledger) same(targetID string) bool {
	if l == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.shifted[targetID]
}
