package group

import (
	"slices"

	"github.com/freshet/freshet/internal/stream"
)

// Topics are the topics that there are as of one revision of the log. They are not written to.
type Topics struct {
	names  []string // in order; patterns find these: not the topic that the node writes itself
	byName map[string]*stream.Stream
	byID   map[stream.ID]*stream.Stream
}

// NewTopics returns all as Topics.
func NewTopics(all []*stream.Stream) *Topics {
	t := &Topics{
		names:  make([]string, 0, len(all)),
		byName: make(map[string]*stream.Stream, len(all)),
		byID:   make(map[stream.ID]*stream.Stream, len(all)),
	}
	for _, s := range all {
		if !s.Internal() {
			t.names = append(t.names, string(s.Name))
		}
		t.byName[string(s.Name)], t.byID[s.ID] = s, s
	}
	slices.Sort(t.names)
	return t
}

// Name returns a topic's name, "" if there is none with that id.
func (t *Topics) Name(id stream.ID) string {
	if s := t.byID[id]; s != nil {
		return string(s.Name)
	}
	return ""
}
