package group

import (
	"encoding/binary"
	"slices"
)

// embedded is the metadata of a member of the protocol type "consumer", as far as the group's coordinator needs it:
//
//	version i16 | topics [string] | user data bytes | v1: owned [topic string, partitions [i32]] | v2: generation i32 | v3: rack string
type embedded struct {
	version int16
	topics  []string
	owned   []namedPartitions // before v1: none
	rack    string
}

// namedPartitions are some of a topic, by name.
type namedPartitions struct {
	topic      string
	partitions []int32
}

// cursor reads what a client sent. It takes no more memory than there are bytes, whatever the client says there is.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.bad = true
		c.b = nil
		return nil
	}
	taken := c.b[:n]
	c.b = c.b[n:]
	return taken
}

func (c *cursor) int16() int16 {
	if b := c.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b)) //nolint:gosec // as it was sent
	}
	return 0
}

func (c *cursor) int32() int32 {
	if b := c.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b)) //nolint:gosec // as it was sent
	}
	return 0
}

func (c *cursor) string() string { return string(c.take(int(c.int16()))) }

// count reads how many elements of at least so many bytes follow.
func (c *cursor) count(least int) int {
	n := int(c.int32())
	if n < 0 || n > len(c.b)/least {
		c.bad = true
		return 0
	}
	return n
}

// userData skips bytes, null or not, and returns how many there were.
func (c *cursor) userData() int {
	n := int(c.int32())
	if n < 0 {
		return 0
	}
	return len(c.take(n))
}

func (c *cursor) topics() []namedPartitions {
	var all []namedPartitions
	for range c.count(6) {
		t := namedPartitions{topic: c.string()}
		for range c.count(4) {
			t.partitions = append(t.partitions, c.int32())
		}
		all = append(all, t)
	}
	return all
}

// decodeEmbedded reads a member's metadata; ok is false if it is malformed. Newer versions than 3 add to the end.
func decodeEmbedded(b []byte) (e embedded, ok bool) {
	c := &cursor{b: b}
	e.version = c.int16()
	for range c.count(2) {
		e.topics = append(e.topics, c.string())
	}
	c.userData()
	if e.version >= 1 {
		e.owned = c.topics()
	}
	if e.version >= 2 {
		c.int32()
	}
	if e.version >= 3 {
		if n := c.int16(); n >= 0 {
			e.rack = string(c.take(int(n)))
		}
	}
	return e, !c.bad && e.version >= 0
}

// decodeGiven reads a member's assignment: version i16 | [topic string, partitions [i32]] | user data bytes. custom says that there is user data,
// which only the assignor that wrote it understands. Nothing at all is an empty assignment.
func decodeGiven(b []byte) (given []namedPartitions, custom, ok bool) {
	if len(b) == 0 {
		return nil, false, true
	}
	c := &cursor{b: b}
	version := c.int16()
	given = c.topics()
	custom = c.userData() > 0
	return given, custom, !c.bad && version >= 0
}

// appendGiven encodes an assignment for a member whose metadata has a version.
func appendGiven(version int16, given []namedPartitions) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(min(version, 3))) //nolint:gosec // not negative
	b = binary.BigEndian.AppendUint32(b, uint32(len(given)))         //nolint:gosec // in memory
	for _, t := range given {
		b = binary.BigEndian.AppendUint16(b, uint16(len(t.topic))) //nolint:gosec // a topic's name
		b = append(b, t.topic...)
		b = binary.BigEndian.AppendUint32(b, uint32(len(t.partitions))) //nolint:gosec // in memory
		for _, p := range t.partitions {
			b = binary.BigEndian.AppendUint32(b, uint32(p)) //nolint:gosec // as is
		}
	}
	return binary.BigEndian.AppendUint32(b, ^uint32(0)) // no user data
}

// named returns an assignment by topics' names, in their order; topics that are gone are left out.
func (t *Topics) named(h holding) []namedPartitions {
	var all []namedPartitions
	for id, list := range h {
		name := t.Name(id)
		if name == "" {
			continue
		}
		p := namedPartitions{topic: name}
		for _, x := range list {
			p.partitions = append(p.partitions, x.partition)
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b namedPartitions) int {
		if a.topic < b.topic {
			return -1
		}
		return 1
	})
	return all
}

// identified returns partitions by topics' ids; what does not exist is left out.
func (t *Topics) identified(all []namedPartitions) []Partitions {
	owned := []Partitions{}
	for _, n := range all {
		st := t.byName[n.topic]
		if st == nil {
			continue
		}
		p := Partitions{Topic: st.ID}
		for _, i := range n.partitions {
			if i >= 0 && i < st.Shards {
				p.Indexes = append(p.Indexes, i)
			}
		}
		slices.Sort(p.Indexes)
		p.Indexes = slices.Compact(p.Indexes)
		if len(p.Indexes) > 0 {
			owned = append(owned, p)
		}
	}
	return owned
}
