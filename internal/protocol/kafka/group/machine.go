package group

import "time"

// State is where a group stands. The values are the names that ListGroups and DescribeGroups show.
type State string

// The states of a classic group.
//
//	         first join                 all joined, or join deadline
//	Empty ───────────────▶ PreparingRebalance ───────────────▶ CompletingRebalance
//	  ▲                      ▲      │  no member left            │  leader's sync
//	  └──────────────────────┼──────┘                            ▼
//	                         └──── join, leave, expiry ─────── Stable
const (
	Empty               State = "Empty"
	PreparingRebalance  State = "PreparingRebalance"
	CompletingRebalance State = "CompletingRebalance"
	Stable              State = "Stable"
	Dead                State = "Dead" // being deleted
)

// consumerType is the protocol type whose metadata decodeTopics reads.
const consumerType = "consumer"

// Token names a caller that waits for an answer. The zero Token means nobody.
type Token uint64

// Machine is one classic group. It is not safe for concurrent use.
type Machine struct {
	id     string
	config Config
	room   int64 // bytes that the members may take, at most config.MaxGroupBytes

	state        State
	since        time.Time // when state was entered
	generation   int32
	protocolType string
	protocol     string // chosen for this generation; "" while there is none
	leader       string // member id, or ""

	members map[string]*member // by member id
	static  map[string]string  // instance id → member id
	pending map[string]pending // member ids given out and not yet joined with
	order   uint64             // of the last join or id given out: members are listed by it

	// While PreparingRebalance: when it ends whoever is missing. initial means that it began with an empty group and waits that long in any
	// case; fresh that a member came since joinBy was set; joinCap is how far newcomers can move it.
	joinBy  time.Time
	joinCap time.Time
	initial bool
	fresh   bool
	syncBy  time.Time // after a rebalance: when members that have not asked for their assignment are removed

	out   Output
	dirty bool // the document has changed since Ready last returned it
	moved bool // Bytes or Deadline may have changed since Ready was last called, beyond signs of life
}

type member struct {
	id, instance, client, host string
	session, rebalance         time.Duration
	protocols                  []Protocol
	assignment                 []byte
	order                      uint64

	expires  time.Time // end of the session, unless the member waits for an answer
	joined   bool      // wants to be in the coming generation
	syncDue  bool      // was told of this generation and has not asked for its assignment
	join     Token     // waits for the rebalance
	sync     Token     // waits for the leader's assignment
	nameless bool      // learns its id only from the answer to its join
}

type pending struct {
	expires            time.Time
	order              uint64
	client, connection string
}

// Protocol is one way of assigning that a member supports, with what it tells the leader. Metadata is opaque and must not be written to.
type Protocol struct {
	Name     string
	Metadata []byte
}

// Output is what a machine wants done: first Save or Documents kept, then Replies sent.
type Output struct {
	Replies []Reply
	Save    *Document // nil: nothing has changed that must survive
	// Documents is the same of a group whose members have documents of their own.
	Documents *Documents
	Events    []Event
	// Moved says that Bytes or Deadline may have changed. After mere signs of life it is false: they only move the deadline away.
	Moved bool
}

// Reply answers a waiting caller: Err, or else the part for its kind of request.
type Reply struct {
	To   Token
	Err  error // a *kerr.Error
	Join Joined
	Sync Synced
	Beat ConsumerBeaten
	// Streams is the part for a StreamsBeat.
	Streams StreamsBeaten
}

// Event is worth a log line.
type Event struct {
	What   string // "rebalance begins", "generation complete", "member removed", "becomes empty", ...
	Member string // the member it is about, or ""
	Reason string
}

// NewMachine returns an empty group.
func NewMachine(id string, config Config, now time.Time) *Machine {
	return &Machine{
		id: id, config: config, room: config.MaxGroupBytes, state: Empty, since: now,
		members: map[string]*member{}, static: map[string]string{}, pending: map[string]pending{},
	}
}

// State returns where the group stands.
func (m *Machine) State() State { return m.state }

// SetRoom says how many bytes the members may take now: fewer than Config.MaxGroupBytes when other groups have taken them.
func (m *Machine) SetRoom(bytes int64) { m.room = min(bytes, m.config.MaxGroupBytes) }

// Ready returns what has accumulated since the last call.
func (m *Machine) Ready() Output {
	out := m.out
	out.Moved = m.moved
	m.out, m.moved = Output{}, false
	if m.dirty {
		doc := m.document()
		out.Save = &doc
		m.dirty = false
	}
	return out
}

// Idle says whether the machine can be forgotten without anyone noticing: nobody is in it or about to be, and it never had a generation.
func (m *Machine) Idle() bool {
	return m.state == Empty && m.generation == 0 && len(m.members) == 0 && len(m.pending) == 0
}

// Kill makes the group refuse everything from now on. It must be empty.
func (m *Machine) Kill(now time.Time) {
	clear(m.pending)
	m.enter(Dead, now)
}

// Revive takes Kill back.
func (m *Machine) Revive(now time.Time) { m.enter(Empty, now) }

func (m *Machine) enter(s State, now time.Time) { m.state, m.since, m.moved = s, now, true }

func (m *Machine) reply(r Reply) {
	if r.To != 0 {
		m.out.Replies = append(m.out.Replies, r)
	}
}

func (m *Machine) event(what, member, reason string) {
	m.out.Events = append(m.out.Events, Event{What: what, Member: member, Reason: reason})
}

// Bytes returns what the members take: names, protocols and assignments.
func (m *Machine) Bytes() int64 {
	var n int64
	for _, mem := range m.members {
		n += mem.bytes()
	}
	return n
}

func (mem *member) bytes() int64 {
	return protocolBytes(mem.protocols) + int64(len(mem.assignment)+len(mem.id)+len(mem.instance)+len(mem.client)+len(mem.host))
}

func protocolBytes(protocols []Protocol) int64 {
	var n int64
	for _, p := range protocols {
		n += int64(len(p.Name) + len(p.Metadata))
	}
	return n
}

// touch starts the member's session anew.
func (mem *member) touch(now time.Time) { mem.expires = now.Add(mem.session) }

// waiting says whether an answer is owed to the member: then its silence is ours.
func (mem *member) waiting() bool { return mem.join != 0 || mem.sync != 0 }

func (mem *member) metadata(protocol string) []byte {
	for _, p := range mem.protocols {
		if p.Name == protocol {
			return p.Metadata
		}
	}
	return nil
}

// topics returns what the member subscribes to under protocol; ok is false if its metadata cannot be read.
func (mem *member) topics(protocol string) (topics []string, ok bool) {
	return decodeTopics(mem.metadata(protocol))
}

// decodeTopics reads the topics at the head of a consumer's metadata: version i16, then an array (i32) of strings (i16 length). What follows is
// the assignor's affair.
func decodeTopics(b []byte) (topics []string, ok bool) {
	c := &cursor{b: b}
	c.int16()
	for range c.count(2) {
		topics = append(topics, c.string())
	}
	if c.bad {
		return nil, false
	}
	return topics, true
}

// Subscribed returns the topics that members of a consumer group subscribe to; known is false if that cannot be told.
func (m *Machine) Subscribed() (topics map[string]bool, known bool) {
	if m.protocolType != consumerType || m.protocol == "" {
		return nil, false
	}
	topics = map[string]bool{}
	for _, mem := range m.members {
		names, ok := mem.topics(m.protocol)
		if !ok {
			return nil, false
		}
		for _, n := range names {
			topics[n] = true
		}
	}
	return topics, true
}
