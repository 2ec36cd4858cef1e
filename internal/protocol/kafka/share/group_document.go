package share

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// groupDocument is what is kept of a group. Assignments are not: they follow from the rest.
type groupDocument struct {
	Key     string           `json:"key"` // by which its windows' documents are known: a group that is made again has another
	Epoch   int32            `json:"epoch"`
	Members []memberDocument `json:"members,omitempty"`
}

type memberDocument struct {
	ID       string        `json:"id"`
	Client   string        `json:"client"`
	Host     string        `json:"host"`
	Rack     string        `json:"rack,omitempty"`
	Session  time.Duration `json:"session"`
	Topics   []string      `json:"topics"`
	Epoch    int32         `json:"epoch"`
	Previous int32         `json:"previous"`
}

func (g *Group) encode(key string) ([]byte, error) {
	d := groupDocument{Key: key, Epoch: g.epoch}
	for _, m := range g.ordered() {
		d.Members = append(d.Members, memberDocument{m.id, m.client, m.host, m.rack, m.session, m.topics, m.epoch, m.previous})
	}
	b, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encode share group: %w", err)
	}
	return b, nil
}

func (g *Group) ordered() []*member {
	all := make([]*member, 0, len(g.members))
	for _, m := range g.members {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *member) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	return all
}

// decodeGroup returns the group that encode has written, and its key. Members' sessions begin anew: the node was away, not they. Its topics
// are to be set; as everybody may be assigned something else then, its epoch is a new one.
func decodeGroup(value []byte, now time.Time) (g *Group, key string, err error) {
	var d groupDocument
	if err = json.Unmarshal(value, &d); err != nil {
		return nil, "", fmt.Errorf("decode share group: %w", err)
	}
	if d.Key == "" {
		return nil, "", fmt.Errorf("decode share group: it has no key")
	}
	g = NewGroup()
	g.epoch, g.changed = d.Epoch, false
	for _, md := range d.Members {
		if md.ID == "" || md.Session <= 0 || g.members[md.ID] != nil {
			return nil, "", fmt.Errorf("decode share group: member %q has session %v, or is there twice", md.ID, md.Session)
		}
		if md.Topics == nil {
			md.Topics = []string{}
		}
		m := &member{
			id: md.ID, client: md.Client, host: md.Host, rack: md.Rack, session: md.Session, topics: slices.Compact(slices.Sorted(slices.Values(md.Topics))),
			expires: now.Add(md.Session), epoch: md.Epoch, previous: md.Previous,
		}
		g.members[m.id] = m
		g.bytes += m.bytes()
	}
	if g.targetEpoch = g.epoch; len(g.members) > 0 {
		g.bump()
	}
	return g, d.Key, nil
}
