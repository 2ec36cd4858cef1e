package kinesis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"

	api "github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// settings is what Kinesis keeps about a stream beside what the log does. A stream is born with them in its label settingsLabel, so that one
// write creates both; from the first change on, the document of kind settingsKind with the stream's id is what counts. A stream that
// Kafka created has neither, and the defaults.
type settings struct {
	Mode         api.StreamMode                 `json:"mode"`
	Distribution api.RecordDistributionStrategy `json:"distribution"`
	MaxRecordKiB int32                          `json:"maxRecordKiB"`
	WarmMiBps    int32                          `json:"warmMiBps,omitempty"`
	Tags         map[string]string              `json:"tags,omitempty"`
	// NumbersFrom is the least second that shards' sequence numbers were made in, if it is not that of the stream: see former.
	NumbersFrom int64 `json:"numbersFrom,omitempty"`
	// Shards is the shard map once it is more than the even division of the key space; nil until then.
	Shards []shardSetting `json:"shards,omitempty"`
}

// shardSetting is one shard of a stream that was resharded. Its place in the list is its index in the log.
type shardSetting struct {
	First    string        `json:"first"` // hash keys, decimal
	Last     string        `json:"last"`
	Parent   *int32        `json:"parent,omitempty"`
	Adjacent *int32        `json:"adjacent,omitempty"`
	Created  int64         `json:"created"`          // milliseconds since 1970
	Closed   int64         `json:"closed,omitempty"` // milliseconds since 1970, 0 = open
	End      stream.Offset `json:"end,omitempty"`    // the log's end of a closed shard when it was closed
}

const (
	settingsLabel = stream.LabelKinesis
	settingsKind  = "kinesis-stream"
	// defaultMaxRecordKiB is AWS's, and the least that MaxRecordSizeInKiB can say.
	defaultMaxRecordKiB = 1024
	// maxCachedSettings bounds how many streams' settings are kept decoded.
	maxCachedSettings = 10_000
)

func defaultSettings() settings {
	return settings{
		Mode:         api.StreamModeProvisioned,
		Distribution: api.RecordDistributionStrategyUserPartitionKey,
		MaxRecordKiB: defaultMaxRecordKiB,
	}
}

func settingsKey(id stream.ID) state.Key { return state.Key{Kind: settingsKind, ID: id.String()} }

// view is a stream as Kinesis sees it at one moment. It is immutable.
type view struct {
	*stream.Stream
	version  int64 // of the settings document, 0 = there is none
	settings *settings
	shards   *shardMap
}

// settingsCache keeps settings decoded, by stream and version: State is asked for every request, and decoded only after a change.
type settingsCache struct {
	mu    sync.RWMutex
	views map[stream.ID]view
}

// view joins a stream with its settings.
func (s *Service) view(ctx context.Context, st *stream.Stream) (view, error) {
	document, err := s.state.Get(ctx, settingsKey(st.ID))
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		return view{}, fmt.Errorf("read settings of stream %s: %w", st.Name, err)
	}
	s.settings.mu.RLock()
	v, ok := s.settings.views[st.ID]
	s.settings.mu.RUnlock()
	if ok && v.version == document.Version && v.Shards == st.Shards {
		v.Stream = st
		return v, nil
	}
	v = view{Stream: st, version: document.Version}
	text := document.Value
	if document.Version == 0 {
		text = []byte(st.Labels[settingsLabel])
	}
	decoded := defaultSettings()
	if len(text) > 0 {
		if err := json.Unmarshal(text, &decoded); err != nil {
			return view{}, fmt.Errorf("decode settings of stream %s: %w", st.Name, err)
		}
	}
	v.settings = &decoded
	if v.shards, err = newShardMap(st, decoded.Shards, decoded.NumbersFrom); err != nil {
		return view{}, fmt.Errorf("shard map of stream %s: %w", st.Name, err)
	}
	s.settings.put(v)
	return v, nil
}

func (c *settingsCache) put(v view) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.views == nil || len(c.views) >= maxCachedSettings {
		c.views = map[stream.ID]view{}
	}
	c.views[v.ID] = v
}

func (c *settingsCache) forget(id stream.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.views, id)
}

// change applies edit to the settings of a stream, again with what others made of them where they were faster. edit gets a copy that it
// may write to.
func (s *Service) change(ctx context.Context, of *stream.Stream, edit func(*settings) error) error {
	_, err := state.Update(ctx, s.state, func() (view, error) { return s.view(ctx, of) }, func(v view) (state.Change, error) {
		next := *v.settings
		next.Tags = maps.Clone(next.Tags)
		if err := edit(&next); err != nil {
			return state.Change{}, err
		}
		text, err := json.Marshal(next)
		if err != nil {
			return state.Change{}, fmt.Errorf("encode settings of stream %s: %w", v.Name, err)
		}
		return state.Change{Key: settingsKey(v.ID), If: v.version, Value: text}, nil
	})
	return err
}

// sweep deletes the documents of streams that are no more: a stream may be deleted through Kafka, or a crash may come between.
func (s *Service) sweep(ctx context.Context) error {
	for _, kind := range []string{settingsKind, consumerKind} {
		documents, err := s.state.List(ctx, kind, "")
		if err != nil {
			return err
		}
		for _, d := range documents {
			if len(d.ID) >= streamIDLen {
				id, err := stream.ParseID(d.ID[:streamIDLen])
				if err == nil {
					_, err = s.log.StreamByID(ctx, id)
				}
				if !errors.Is(err, stream.ErrNotFound) {
					continue
				}
			}
			if _, err := s.state.Apply(ctx, state.Change{Key: d.Key, If: state.Any, Delete: true}); err != nil {
				return err
			}
		}
	}
	return nil
}

// streamIDLen is the length of a stream id as text, with which the documents' ids begin.
const streamIDLen = 32
