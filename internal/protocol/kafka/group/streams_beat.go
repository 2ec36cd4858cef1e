package group

import (
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/protocol/kafka/group/tasks"
	"github.com/freshet/freshet/internal/protocol/kafka/group/topology"
	"github.com/freshet/freshet/internal/protocol/kafka/refusal"
)

// StreamsBeat is a heartbeat of KIP-1071: it joins a group, says what has changed, acknowledges, and leaves. What is nil or zero is as it was.
type StreamsBeat struct {
	Member    string
	Epoch     int32  // of the member; 0 joins, -1 leaves
	Endpoints int32  // epoch of the endpoints that the member knows
	Client    string // client id
	Host      string // where it connects from
	Rack      *string
	Process   *string
	Rebalance time.Duration      // how long the member may take to give tasks up
	Topology  *topology.Topology // of one that joins; kept, not copied
	Owned     *tasks.Assignment  // what the member still has
	Endpoint  *Endpoint
	Tags      []Tag
	Shutdown  bool // all members are to end
}

// StreamsBeaten answers a StreamsBeat. Nothing in it must be written to.
type StreamsBeaten struct {
	Member     string
	Epoch      int32
	Interval   time.Duration // until the next heartbeat; 0 for one that left
	Status     []StreamsStatus
	Assigned   bool // Assignment is what the member has from now on; else that is as before
	Assignment tasks.Assignment
	Missing    []topology.Topic // to be created before the application can run

	EndpointsEpoch int32
	EndpointsTold  bool // Endpoints are told, for the member knows others
	Endpoints      []EndpointTasks
}

// StreamsStatus is what a member is told of the application.
type StreamsStatus struct {
	Code   int8
	Detail string
}

// The codes of statuses, those beside topology.Problem.
const (
	statusStaleTopology = 0
	statusShutdown      = 4
	statusDelayed       = 5
)

// Beat answers at once.
func (m *StreamsMachine) Beat(now time.Time, to Token, b StreamsBeat) {
	var done StreamsBeaten
	var err error
	switch {
	case m.dead:
		err = kerr.CoordinatorNotAvailable
	case b.Epoch == left:
		done, err = m.leaveBeat(now, b)
	default:
		done, err = m.beat(now, b)
	}
	m.reply(Reply{To: to, Err: err, Streams: done})
}

func (m *StreamsMachine) leaveBeat(now time.Time, b StreamsBeat) (StreamsBeaten, error) {
	mem := m.members[b.Member]
	if mem == nil {
		return StreamsBeaten{}, m.unknown(b.Member)
	}
	if b.Shutdown {
		m.end(mem)
	}
	m.remove(now, "it left", mem)
	return StreamsBeaten{Member: b.Member, Epoch: left}, nil
}

// end notes that a member wants all of them to end.
func (m *StreamsMachine) end(mem *streamer) {
	if m.shutdown == "" {
		m.shutdown, m.dirty = mem.id, true
		m.event("shutdown requested", mem.id, "")
	}
}

func (m *StreamsMachine) beat(now time.Time, b StreamsBeat) (StreamsBeaten, error) {
	mem := m.members[b.Member]
	if mem == nil && b.Epoch != joining {
		return StreamsBeaten{}, m.unknown(b.Member)
	}
	if err := mem.checkEpoch(b); err != nil {
		return StreamsBeaten{}, err
	}
	if mem == nil && len(m.members) >= m.config.MaxStreamsMembers {
		return StreamsBeaten{}, refusal.New(kerr.GroupMaxSizeReached, "The streams group has reached its maximum capacity of %d members.", m.config.MaxStreamsMembers)
	}
	if err := m.takeTopology(mem, b); err != nil {
		return StreamsBeaten{}, err
	}
	if mem == nil {
		mem = m.join(now, b)
	}
	m.describe(mem, b)
	if b.Shutdown {
		m.end(mem)
	}
	m.retarget(now)
	before, missed := mem.assigned, mem.epoch != b.Epoch // the last answer
	m.reconcile(now, mem, b.Owned)
	m.touch(now, mem)

	done := StreamsBeaten{
		Member: mem.id, Epoch: mem.epoch, Status: m.status(mem), EndpointsEpoch: m.endpoints,
		Interval: m.settings.interval(m.hurries(mem), len(m.members)), Missing: m.configured.Missing,
	}
	unheard := b.Owned != nil && !b.Owned.Equal(mem.assigned) // perhaps of an answer that did not come with another epoch
	if b.Epoch == joining || missed || unheard || !mem.assigned.Equal(before) {
		done.Assigned, done.Assignment = true, mem.assigned
	}
	if b.Endpoints != m.endpoints {
		done.EndpointsTold, done.Endpoints = true, m.endpointTasks()
	}
	return done, nil
}

// checkEpoch refuses a member that is not where the group led it. One step behind is fine as long as it has nothing that it was not given:
// the answer with the next epoch was lost.
func (mem *streamer) checkEpoch(b StreamsBeat) error {
	fenced := func(what string) error {
		return refusal.New(kerr.FencedMemberEpoch, "The streams group member has a %s member epoch (%d) than the one known by the group coordinator (%d). "+
			"The member must abandon all its partitions and rejoin.", what, b.Epoch, mem.epoch)
	}
	switch {
	case mem == nil || b.Epoch == joining || b.Epoch == mem.epoch:
		return nil
	case b.Epoch > mem.epoch:
		return fenced("greater")
	case b.Epoch == mem.previous && b.Owned != nil && within(b.Owned.Active, mem.assigned.Active) && within(b.Owned.Standby, mem.assigned.Standby):
		return nil
	}
	return fenced("smaller")
}

// within says whether all of a are in b.
func within(a, b tasks.Set) bool {
	for t := range a.All() {
		if !b.Has(t) {
			return false
		}
	}
	return true
}

// takeTopology makes what the first member says the application does the group's, and refuses members of another application, and who would take too much.
func (m *StreamsMachine) takeTopology(mem *streamer, b StreamsBeat) error {
	fresh := m.topology == nil && b.Topology != nil
	if !fresh && b.Topology != nil && b.Topology.Epoch >= m.topology.Epoch && !b.Topology.Equal(m.topology) {
		return refusal.New(kerr.InvalidRequest, "Topology updates are not supported yet.")
	}
	was := mem
	if was == nil {
		was = &streamer{}
	}
	grows := was.saying(b).bytes() - was.bytes()
	configured := m.configured
	if fresh {
		var err error
		if configured, err = topology.Configure(b.Topology, m.partitions); err != nil {
			return err
		}
		grows += applicationBytes(b.Topology, configured)
	}
	if grows > 0 && m.Bytes()+grows > m.room {
		m.event("join refused", b.Member, "the members would exceed the group's memory bound")
		return refusal.New(kerr.GroupMaxSizeReached, "The members of the group would take more memory than they may.")
	}
	if fresh {
		m.topology, m.configured, m.dirty = b.Topology, configured, true
	}
	return nil
}

// join makes a new member. The first one of a group waits a while for others.
func (m *StreamsMachine) join(now time.Time, b StreamsBeat) *streamer {
	if len(m.members) == 0 && m.settings.Delay > 0 {
		m.delayedUntil = now.Add(m.settings.Delay)
	}
	m.order++
	mem := &streamer{id: b.Member, order: m.order, epoch: m.targetEpoch, started: map[tasks.ID]int32{}}
	m.insert(mem)
	m.event("member joins", mem.id, "")
	m.bump("member " + mem.id + " joined")
	return mem
}

// describe takes over what a member says of itself. Whatever may matter for the assignment makes that outdated.
func (m *StreamsMachine) describe(mem *streamer, b StreamsBeat) {
	was := *mem
	*mem = *mem.saying(b)
	moved := !sameEndpoint(mem.endpoint, was.endpoint)
	if moved {
		m.endpoints++
	}
	anew := moved || mem.rack != was.rack || mem.process != was.process || mem.topologyEpoch != was.topologyEpoch || !slices.Equal(mem.tags, was.tags)
	if anew && m.changed[mem.id] != mem { // a new member has made it outdated already
		m.bump("member " + mem.id + " says something else of itself")
	}
	if anew || mem.client != was.client || mem.host != was.host || mem.rebalance != was.rebalance {
		m.changed[mem.id] = mem
		m.moved = true
	}
}

// saying returns the member as it says that it is.
func (mem streamer) saying(b StreamsBeat) *streamer {
	mem.id, mem.client, mem.host = b.Member, b.Client, b.Host
	if b.Rack != nil {
		mem.rack = *b.Rack
	}
	if b.Process != nil {
		mem.process = *b.Process
	}
	if b.Rebalance > 0 {
		mem.rebalance = b.Rebalance
	}
	if b.Topology != nil {
		mem.topologyEpoch = b.Topology.Epoch
	}
	if b.Tags != nil {
		mem.tags = b.Tags
	}
	if b.Endpoint != nil {
		mem.endpoint = b.Endpoint
	}
	return &mem
}

func sameEndpoint(a, b *Endpoint) bool { return a == b || a != nil && b != nil && *a == *b }

// status tells a member what is the matter with the application.
func (m *StreamsMachine) status(mem *streamer) []StreamsStatus {
	var all []StreamsStatus
	add := func(code int8, detail string) { all = append(all, StreamsStatus{code, detail}) }
	if mem.topologyEpoch < m.topology.Epoch {
		add(statusStaleTopology, fmt.Sprintf("The member's topology epoch %d is behind the group's topology epoch %d.", mem.topologyEpoch, m.topology.Epoch))
	}
	switch {
	case !m.delayedUntil.IsZero():
		add(statusDelayed, "Assignment delayed due to the configured initial rebalance delay.")
	case m.epoch > m.targetEpoch:
		add(statusDelayed, "Assignment delayed due to the configured assignment interval.")
	}
	if m.configured.Problem != 0 {
		add(int8(m.configured.Problem), m.configured.Detail)
	}
	if m.shutdown != "" {
		add(statusShutdown, fmt.Sprintf("Streams group member %s encountered a fatal error and requested a shutdown for the entire application.", m.shutdown))
	}
	return all
}

// hurries says whether the member is to come back sooner than it is set to: it waits for something that may be there by then.
func (m *StreamsMachine) hurries(mem *streamer) bool {
	return mem.phase == waiting || mem.epoch < m.epoch || m.configured.Problem == topology.MissingInternal
}
