package main

import (
	"fmt"
	"runtime"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// waiting are the answers to a request that waits for others, one from each side.
type waiting struct {
	step, request string
	answers       [2]chan answer
}

// send asks both sides on connections of their own, and does not wait for the answers.
func (p *pair) send(step string, version int16, build func(*side) kmsg.Request) *waiting {
	w := &waiting{step: step}
	for i, s := range p.sides() {
		req := build(s)
		w.request = fmt.Sprintf("%s v%d", kmsg.NameForKey(req.Key()), version)
		w.answers[i] = make(chan answer, 1)
		other := *s
		other.conn = nil
		go func() {
			defer close(w.answers[i])
			defer other.close()
			w.answers[i] <- other.ask(version, req)
		}()
	}
	time.Sleep(150 * time.Millisecond) // until it waits
	return w
}

func (p *pair) receive(w *waiting) (responses [2]kmsg.Response) {
	var lines [2][]line
	for i, s := range p.sides() {
		a, ok := <-w.answers[i]
		if !ok {
			runtime.Goexit() // who asked was told to stop: see side.ask
		}
		responses[i] = a.response
		if a.response == nil {
			lines[i] = []line{{"", a.failed}}
		} else {
			lines[i] = flatten(s, a.response)
		}
	}
	p.report.add(p.scenario+"/"+w.step, w.request, compare(lines))
	return responses
}

func joinOf(group, member, instance string, protocols ...string) *kmsg.JoinGroupRequest {
	req := joining(group, member, instance)
	meta := req.Protocols[0].Metadata
	req.Protocols = nil
	for _, name := range protocols {
		req.Protocols = append(req.Protocols, kmsg.JoinGroupRequestProtocol{Name: name, Metadata: meta})
	}
	return req
}

// newcomer gets a member id and remembers it as name.
func (p *pair) newcomer(group, name string, v int16, protocols ...string) error {
	resp := p.ask("asks for an id", v, same(func() kmsg.Request { return joinOf(group, "", "", protocols...) }))
	return remember(p, name, resp, func(r *kmsg.JoinGroupResponse) string { return r.MemberID })
}

func syncOf(group, member string, generation int32, given map[string]string) *kmsg.SyncGroupRequest {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.Generation = group, member, generation
	req.ProtocolType = kmsg.StringPtr("consumer")
	for m, a := range given {
		req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: m, MemberAssignment: []byte(a)})
	}
	return req
}

// crowds lets two members join, wait for each other, assign and leave, and static members take their own place.
func crowds(p *pair) error {
	if err := p.create(topic{name: "grouped", partitions: 2, replicas: 1}); err != nil {
		return err
	}
	for _, v := range []int16{4, 5, 7, 9} {
		if err := p.two(v); err != nil {
			return err
		}
	}
	for _, v := range []int16{5, 7, 9} {
		if err := p.still(v); err != nil {
			return err
		}
	}
	return nil
}

// crowd asks about one group, in the versions that go with one of JoinGroup.
type crowd struct {
	*pair
	group string
	v     int16
}

// who is a member by the name under which its id is remembered; the empty name is nobody.
func who(s *side, name string) string { return recall[string](s, name) }

func (c *crowd) asks(step string, build func(s *side, v int16) kmsg.Request) {
	v := c.upTo(c.v, build(c.kafka, 0))
	c.ask(step, v, func(s *side) kmsg.Request { return build(s, v) })
}

func (c *crowd) describe(step string) {
	c.asks(step, func(*side, int16) kmsg.Request { return describing(c.group) })
}

func (c *crowd) beat(step, name string, generation int32) {
	c.asks(step, func(s *side, _ int16) kmsg.Request { return beating(c.group, who(s, name), generation) })
}

func (c *crowd) commit(step, name string, generation int32) {
	c.asks(step, func(s *side, v int16) kmsg.Request {
		req := committing(s, v, c.group, "grouped", 0, 5, "")
		req.MemberID, req.Generation = who(s, name), generation
		return req
	})
}

// syncs assigns something to members; versions that want to hear the protocol again are for static members.
func (c *crowd) syncs(step, name string, generation int32, given map[string]string) {
	c.ask(step, min(c.v, 4), func(s *side) kmsg.Request {
		all := map[string]string{}
		for m, what := range given {
			all[who(s, m)] = what
		}
		return syncOf(c.group, who(s, name), generation, all)
	})
}

func (c *crowd) joins(step, name string, protocols ...string) {
	c.ask(step, c.v, func(s *side) kmsg.Request { return joinOf(c.group, who(s, name), "", protocols...) })
}

func (c *crowd) joining(step, name string, protocols ...string) *waiting {
	return c.send(step, c.v, func(s *side) kmsg.Request { return joinOf(c.group, who(s, name), "", protocols...) })
}

// two lets a second member join the first.
func (p *pair) two(v int16) error {
	c := &crowd{p, fmt.Sprint("crowd-v", v), v}
	if err := p.newcomer(c.group, "a", v, "sticky", "range"); err != nil {
		return err
	}
	c.joins("first joins", "a", "sticky", "range")
	c.beat("heartbeat before sync", "a", 1)
	c.commit("commit before sync", "a", 1)
	c.syncs("first syncs", "a", 1, map[string]string{"a": "all"})
	c.commit("plain commit to a group with members", "", -1)
	c.commit("commit", "a", 1)
	c.commit("commit of a wrong generation", "a", 2)
	c.commit("commit by generation -1", "a", -1)
	if err := p.newcomer(c.group, "b", v, "sticky", "range", "other"); err != nil {
		return err
	}
	c.describe("one pending")
	c.beat("heartbeat of one pending", "b", 1)
	c.commit("commit of one pending", "b", 1)
	w := c.joining("second joins", "b", "sticky", "range", "other")
	c.describe("rebalancing")
	c.beat("heartbeat while rebalancing", "a", 1)
	c.beat("heartbeat of a waiting one", "b", 1)
	c.commit("commit while rebalancing", "a", 1)
	c.syncs("sync while rebalancing", "a", 1, nil)
	c.joins("first joins again", "a", "sticky", "range")
	p.receive(w)
	c.describe("both joined")
	w = p.send("second waits for its assignment", min(v, 4), func(s *side) kmsg.Request { return syncOf(c.group, who(s, "b"), 2, nil) })
	c.beat("heartbeat before all are assigned", "b", 2)
	c.commit("commit before all are assigned", "b", 2)
	c.commit("commit of the last generation", "b", 1)
	c.syncs("first assigns", "a", 2, map[string]string{"a": "one", "b": "two"})
	p.receive(w)
	c.describe("assigned")
	c.apart()
	return nil
}

// apart lets the two join again and leave.
func (c *crowd) apart() {
	c.joins("a follower joins again", "b", "sticky", "range", "other")
	w := c.joining("the leader joins again", "a", "sticky", "range")
	c.beat("follower is told", "b", 2)
	c.joins("and follows, with others", "b", "sticky")
	c.receive(w)
	c.syncs("assigned again, without the second", "a", 3, map[string]string{"a": "one"})
	c.syncs("second has none", "b", 3, nil)
	c.describe("with one left out")
	c.newestOf("offsets of a subscribed topic deleted", same(func() kmsg.Request {
		req := kmsg.NewPtrOffsetDeleteRequest()
		req.Group = c.group
		req.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: "grouped", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}}}}
		return req
	}))
	w = c.joining("a changed follower joins again", "b", "range")
	c.asks("the leader leaves", func(s *side, v int16) kmsg.Request { return leaving(c.group, who(s, "a"), v) })
	c.receive(w)
	c.describe("second alone")
	c.syncs("second assigns", "b", 4, map[string]string{"b": "all"})
	c.newestOf("members removed", func(s *side) kmsg.Request {
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Group = c.group
		req.Members = []kmsg.LeaveGroupRequestMember{{MemberID: "nobody"}, {MemberID: who(s, "b")}, {InstanceID: kmsg.StringPtr("never")}, {MemberID: who(s, "b")}}
		return req
	})
	c.commit("plain commit to an empty group", "", -1)
	c.commit("commit of a former member", "b", 4)
	c.describe("empty")
}

// static joins as an instance, and remembers the member id as keep.
func (c *crowd) static(step, keep, instance, name string, protocols ...string) error {
	resp := c.ask(step, c.v, func(s *side) kmsg.Request {
		member := who(s, name)
		if name == "nobody" {
			member = name
		}
		return joinOf(c.group, member, instance, protocols...)
	})
	return remember(c.pair, keep, resp, func(r *kmsg.JoinGroupResponse) string { return r.MemberID })
}

// by asks what members ask, as an instance.
func (c *crowd) by(instance, name string, generation int32) {
	c.asks("heartbeat by instance "+instance, func(s *side, _ int16) kmsg.Request {
		req := beating(c.group, who(s, name), generation)
		req.InstanceID = &instance
		return req
	})
	c.asks("commit by instance "+instance, func(s *side, v int16) kmsg.Request {
		req := committing(s, v, c.group, "grouped", 0, 5, "")
		req.MemberID, req.Generation, req.InstanceID = who(s, name), generation, &instance
		return req
	})
	c.asks("sync by instance "+instance, func(s *side, _ int16) kmsg.Request {
		req := syncOf(c.group, who(s, name), generation, map[string]string{who(s, "a"): "all"})
		req.Protocol, req.InstanceID = kmsg.StringPtr("range"), &instance
		return req
	})
}

// still lets a static member come back under another id, and others speak for it.
func (p *pair) still(v int16) error {
	c := &crowd{p, fmt.Sprint("still-v", v), v}
	if err := c.static("unknown member of an instance", "none", "i", "nobody", "range"); err != nil {
		return err
	}
	if err := c.static("joins", "a", "i", "", "range"); err != nil {
		return err
	}
	c.by("i", "a", 1)
	c.by("j", "a", 1)
	c.by("i", "", 1)
	if err := c.static("replaces itself", "b", "i", "", "range"); err != nil {
		return err
	}
	c.describe("replaced")
	c.by("i", "a", 1)
	c.by("i", "b", 1)
	for _, row := range []struct {
		step, instance, name, protocol string
	}{
		{"the old one joins", "i", "a", "range"},
		{"the new one joins again", "i", "b", "range"},
		{"joins without its instance", "", "b", "range"},
		{"another protocol only", "i", "", "other"},
	} {
		if err := c.static(row.step, "last", row.instance, row.name, row.protocol); err != nil {
			return err
		}
		c.by("i", "b", 2)
	}
	c.describe("another protocol")
	for _, row := range [][2]string{{"nobody", "i"}, {"", "never"}, {"", "i"}, {"", "i"}} {
		p.newestOf(fmt.Sprint("leave of ", row), same(func() kmsg.Request {
			req := kmsg.NewPtrLeaveGroupRequest()
			req.Group = c.group
			req.Members = []kmsg.LeaveGroupRequestMember{{MemberID: row[0], InstanceID: &row[1]}}
			return req
		}))
	}
	c.describe("left")
	return nil
}
