package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/protocol/kafka/refusal"
	"github.com/freshet/freshet/internal/stream"
)

// decided is what groups have in common whose members the node itself tells what they have.
//
// Three things have epochs. The group's grows with whatever may change the assignment. The target's is the group's when the assignor last ran. A member's is
// that of the target it was led to; while it has still to give something up, of the one before.
type decided[M led] struct {
	id       string
	config   Config
	settings Settings
	room     int64 // bytes that the group may take, at most config.MaxGroupBytes
	dead     bool
	since    time.Time // when the group became what State says, as far as Empty and others are concerned

	epoch       int32
	targetEpoch int32
	targetAt    time.Time // zero: not known

	topics  *Topics
	members map[string]M // by member id
	list    []M          // in the order in which they came
	order   uint64

	out     Output
	dirty   bool // the group's document has changed since Ready was last called
	changed map[string]M
	gone    map[string]bool // members whose documents are to be deleted
	moved   bool
}

// led is a member of a decided group.
type led interface {
	at() int32                    // its epoch
	reconciled(target int32) bool // it has all of the target of that epoch
	stale() error                 // the answer to an epoch that is not its own
	knowsEpochs() bool            // its protocol has them
	bytes() int64                 // what it takes
}

func newDecided[M led](id string, config Config, settings Settings, now time.Time, topics *Topics) decided[M] {
	return decided[M]{
		id: id, config: config, settings: settings, room: config.MaxGroupBytes, since: now, topics: topics, epoch: firstEpoch,
		members: map[string]M{}, changed: map[string]M{}, gone: map[string]bool{},
	}
}

// State returns where the group stands.
func (d *decided[M]) State() State {
	switch {
	case d.dead:
		return Dead
	case len(d.members) == 0:
		return Empty
	case d.epoch > d.targetEpoch:
		return Assigning
	}
	for _, mem := range d.list {
		if !mem.reconciled(d.targetEpoch) {
			return Reconciling
		}
	}
	return Stable
}

// Generation returns the group's epoch.
func (d *decided[M]) Generation() int32 { return d.epoch }

// SetRoom says how many bytes the group may take now: fewer than Config.MaxGroupBytes when other groups have taken them.
func (d *decided[M]) SetRoom(bytes int64) { d.room = min(bytes, d.config.MaxGroupBytes) }

// Bytes returns what the members take.
func (d *decided[M]) Bytes() int64 {
	var n int64
	for _, mem := range d.list {
		n += mem.bytes()
	}
	return n
}

// Idle says whether the machine can be forgotten without anyone noticing.
func (d *decided[M]) Idle() bool { return !d.dead && d.epoch == firstEpoch && len(d.members) == 0 }

// Kill makes the group refuse everything from now on. It must be empty.
func (d *decided[M]) Kill(now time.Time) { d.dead, d.since, d.moved = true, now, true }

// Revive takes Kill back.
func (d *decided[M]) Revive(now time.Time) { d.dead, d.since, d.moved = false, now, true }

// Cancel does nothing: nobody waits.
func (d *decided[M]) Cancel(time.Time, Token) {}

func (d *decided[M]) joining() bool { return false }

func (d *decided[M]) size() int { return len(d.members) }

// bump makes the assignment outdated.
func (d *decided[M]) bump(reason string) {
	d.epoch++
	d.dirty, d.moved = true, true
	d.event("assignment outdated", "", reason)
}

func (d *decided[M]) reply(r Reply) {
	if r.To != 0 {
		d.out.Replies = append(d.out.Replies, r)
	}
}

func (d *decided[M]) event(what, member, reason string) {
	d.out.Events = append(d.out.Events, Event{What: what, Member: member, Reason: reason})
}

// ready returns what has accumulated since the last call, with the documents that have changed: that of the group and those of members, of a kind.
func (d *decided[M]) ready(kind string, group func() encoder, member func(M) encoder) Output {
	out := d.out
	out.Moved = d.moved
	if d.dirty || len(d.changed) > 0 || len(d.gone) > 0 {
		docs := &Documents{Kind: kind, Members: map[string]encoder{}}
		if d.dirty {
			docs.Group = group()
		}
		for id, mem := range d.changed {
			docs.Members[id] = member(mem)
		}
		for id := range d.gone {
			docs.Gone = append(docs.Gone, id)
		}
		out.Documents = docs
	}
	d.out, d.moved, d.dirty = Output{}, false, false
	clear(d.changed)
	clear(d.gone)
	return out
}

func (d *decided[M]) unknown(member string) error {
	return refusal.New(kerr.UnknownMemberID, "Member %s is not a member of group %s.", member, d.id)
}

// mayCommit returns nil if offsets of the shards may be committed by who asks, and why not otherwise. A member whose epoch is an older one may still commit
// what it has had since then; since tells the epoch. kind names the group's protocol.
func (d *decided[M]) mayCommit(c Commit, cursors []stream.Cursor, kind string, since func(M, stream.Shard) (int32, bool)) error {
	switch {
	case d.dead:
		return kerr.CoordinatorNotAvailable
	case c.Generation < 0 && len(d.members) == 0:
		return nil
	case c.Transactional && c.Generation < 0 && c.Member == "" && c.Instance == "":
		return nil // whose transaction it is was checked elsewhere
	}
	mem, ok := d.members[c.Member]
	switch {
	case !ok:
		return d.unknown(c.Member)
	case mem.knowsEpochs() && !c.Transactional && !c.Epochs:
		return refusal.New(kerr.UnsupportedVersion, "OffsetCommit version 9 or above must be used by members using the %s group protocol", kind)
	case c.Generation == mem.at():
		return nil
	case c.Generation > mem.at():
		return mem.stale()
	}
	for _, cur := range cursors {
		if epoch, has := since(mem, cur.Shard); !has || c.Generation < epoch {
			return mem.stale()
		}
	}
	return nil
}

// MayFetch returns nil if who asks may read committed offsets, and why not otherwise. Who names no member always may.
func (d *decided[M]) MayFetch(member *string, epoch int32) error {
	if member == nil && epoch < 0 {
		return nil
	}
	id := ""
	if member != nil {
		id = *member
	}
	mem, ok := d.members[id]
	switch {
	case !ok:
		return d.unknown(id)
	case epoch != mem.at():
		return mem.stale()
	}
	return nil
}

// expired says whether cur, an offset in a topic that members read or not, has outlived its retention: counted from its commit, or from when the group
// became empty.
func (d *decided[M]) expired(now time.Time, cur stream.Cursor, read bool) bool {
	if read || d.dead {
		return false
	}
	retention, from := cur.Retention, cur.Committed
	if retention == 0 {
		retention = d.config.OffsetsRetention
	}
	if len(d.members) == 0 && d.since.After(from) {
		from = d.since
	}
	return now.Sub(from) >= retention
}
