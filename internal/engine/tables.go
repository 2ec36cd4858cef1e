package engine

import (
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// maxShards bounds the shards of one stream, whatever Config.MaxShards allows.
const maxShards = 1 << 20

// tables is what the log knows, batches apart. Only changes alter it. Guarded by Engine.view.
type tables struct {
	streams       map[stream.ID]*stream.Stream
	revision      uint64 // of streams: how often it was changed
	names         map[stream.Name]*stream.Stream
	shards        map[stream.Shard]*shard
	documents     map[string]map[string]*document // by kind and id
	cursors       map[string]map[stream.Shard]stream.Cursor
	epoch         int32
	producerIDs   int64               // all below are given out or reserved
	compacted     map[uint64]*logFile // by number; Engine.compacted
	lastCompacted uint64              // the largest number of a compacted file that a change has named
	maxProducers  int
}

func newTables(maxProducers int) tables {
	return tables{
		streams:      map[stream.ID]*stream.Stream{},
		names:        map[stream.Name]*stream.Stream{},
		shards:       map[stream.Shard]*shard{},
		documents:    map[string]map[string]*document{},
		cursors:      map[string]map[stream.Shard]stream.Cursor{},
		maxProducers: maxProducers,
	}
}

func (t *tables) putStream(s *stream.Stream) {
	from := int32(0)
	if old := t.streams[s.ID]; old != nil {
		from = old.Shards
		delete(t.names, old.Name)
	}
	t.streams[s.ID] = s
	t.names[s.Name] = s
	t.revision++
	for i := range s.Shards {
		id := s.Shard(i)
		if i < from {
			t.shards[id].stream = s
			continue
		}
		t.shards[id] = &shard{id: id, stream: s}
	}
}

func (t *tables) deleteStream(id stream.ID) {
	s := t.streams[id]
	if s == nil {
		return
	}
	delete(t.streams, id)
	delete(t.names, s.Name)
	t.revision++
	for i := range s.Shards {
		sh := t.shards[s.Shard(i)]
		delete(t.shards, sh.id)
		sh.stream = nil
		t.bury(sh.spans)
		sh.spans = nil
		sh.notify()
	}
	for owner, cursors := range t.cursors {
		for at := range cursors {
			if at.Stream == id {
				delete(cursors, at)
			}
		}
		if len(cursors) == 0 {
			delete(t.cursors, owner)
		}
	}
}

// bury counts the batches of dead spans and their bytes.
func (t *tables) bury(dead []*span) {
	for _, s := range dead {
		s.file.live -= s.Bytes - s.gone
		s.file.dead += int(s.Count)
	}
}

func (t *tables) putDocument(d *document) {
	kind := t.documents[d.key.Kind]
	switch {
	case d.version == 0:
		delete(kind, d.key.ID)
	case kind == nil:
		t.documents[d.key.Kind] = map[string]*document{d.key.ID: d}
	default:
		kind[d.key.ID] = d
	}
}

func (d *document) public() state.Document {
	return state.Document{Key: d.key, Version: d.version, Value: d.value}
}

func (t *tables) putCursors(owner string, cursors []stream.Cursor) {
	of := t.cursors[owner]
	if of == nil {
		of = map[stream.Shard]stream.Cursor{}
		t.cursors[owner] = of
	}
	for _, c := range cursors {
		if t.shards[c.Shard] != nil { // else its stream was deleted by a change just before
			of[c.Shard] = c
		}
	}
	if len(of) == 0 {
		delete(t.cursors, owner)
	}
}

func (t *tables) forgetCursors(c *forgetting) {
	if c.all {
		delete(t.cursors, c.owner)
		return
	}
	of := t.cursors[c.owner]
	for _, s := range c.shards {
		delete(of, s)
	}
	if len(of) == 0 {
		delete(t.cursors, c.owner)
	}
}
