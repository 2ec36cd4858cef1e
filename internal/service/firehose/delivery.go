package firehose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/firehose"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

const (
	// kind is that of the documents that describe delivery streams; their id is the name.
	kind = "delivery-stream"
	// internalPrefix begins the names of the streams that hold what was put directly.
	internalPrefix = "__firehose."
	// internalOwner is the value of stream.LabelInternal on them.
	internalOwner = "firehose"
	// destinationID is the one destination's. AWS numbers them; there is never more than one.
	destinationID = "destinationId-000000000001"
	// maxCached bounds how many documents are kept decoded.
	maxCached = 10_000
)

// delivery is a delivery stream's document.
type delivery struct {
	Name    string                   `json:"name"`
	Type    api.DeliveryStreamType   `json:"type"`
	Status  api.DeliveryStreamStatus `json:"status"`
	Version int64                    `json:"version"`           // of the destination's configuration, from 1
	Created int64                    `json:"created"`           // milliseconds since 1970
	Updated int64                    `json:"updated,omitempty"` // of the last UpdateDestination
	Kinesis *kinesisSource           `json:"kinesis,omitempty"`
	Hint    *int32                   `json:"hint,omitempty"` // ThroughputHintInMBs
	// Destination may have been given as S3DestinationConfiguration, an older part of this.
	Destination api.ExtendedS3DestinationConfiguration `json:"destination"`
	Tags        map[string]string                      `json:"tags,omitempty"`

	revision int64 // the document's version
}

type kinesisSource struct {
	ARN     string `json:"arn"`
	RoleARN string `json:"role"`
	Started int64  `json:"started"` // milliseconds since 1970
	// Stream is the life of the stream that there was then, and Start the first offset to deliver of each of its shards.
	Stream string          `json:"stream"`
	Start  []stream.Offset `json:"start"`
}

// source returns the name of the log's stream that is delivered.
func (d *delivery) source() stream.Name {
	if d.Kinesis != nil {
		return kinesisName(d.Kinesis.ARN)
	}
	return stream.Name(internalPrefix + d.Name)
}

// kinesisName returns the name at the end of a stream's ARN.
func kinesisName(arn string) stream.Name {
	return stream.Name(arn[strings.LastIndexByte(arn, '/')+1:])
}

// flowName is that of the delivery stream's flow.
func flowName(name string) string { return "firehose/" + name }

// cache keeps documents decoded, by version: State is asked for every request, and decoded only after a change.
type cache struct {
	mu    sync.Mutex
	known map[string]*delivery
}

// load returns a delivery stream, not to be written to. state.ErrNotFound.
func (s *Service) load(ctx context.Context, name string) (*delivery, error) {
	doc, err := s.state.Get(ctx, state.Key{Kind: kind, ID: name})
	if err != nil {
		return nil, fmt.Errorf("read delivery stream %s: %w", name, err)
	}
	s.cache.mu.Lock()
	d := s.cache.known[name]
	s.cache.mu.Unlock()
	if d != nil && d.revision == doc.Version {
		return d, nil
	}
	if d, err = decode(doc); err != nil {
		return nil, err
	}
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	if s.cache.known == nil || len(s.cache.known) >= maxCached {
		s.cache.known = map[string]*delivery{}
	}
	s.cache.known[name] = d
	return d, nil
}

func (s *Service) forget(name string) {
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	delete(s.cache.known, name)
}

func decode(doc state.Document) (*delivery, error) {
	d := &delivery{revision: doc.Version}
	if err := json.Unmarshal(doc.Value, d); err != nil {
		return nil, fmt.Errorf("decode delivery stream %s: %w", doc.ID, err)
	}
	return d, nil
}

// find is load for a request: a missing delivery stream is AWS's error.
func (s *Service) find(ctx context.Context, call *aws.Call, name string) (*delivery, error) {
	d, err := s.load(ctx, name)
	if errors.Is(err, state.ErrNotFound) {
		return nil, notFound(call, name)
	}
	return d, err
}

// written returns the change that writes d if the document is still at d's revision.
func (d *delivery) written() (state.Change, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return state.Change{}, fmt.Errorf("encode delivery stream %s: %w", d.Name, err)
	}
	return state.Change{Key: state.Key{Kind: kind, ID: d.Name}, If: d.revision, Value: text}, nil
}

// save writes d if the document is still at d's revision. state.ErrConflict.
func (s *Service) save(ctx context.Context, d *delivery) error {
	change, err := d.written()
	if err != nil {
		return err
	}
	versions, err := s.state.Apply(ctx, change)
	if err != nil {
		return fmt.Errorf("write delivery stream %s: %w", d.Name, err)
	}
	d.revision = versions[0]
	return nil
}

// change applies edit to a delivery stream, again where others were faster. edit gets a copy, whose parts it must replace, not write to.
func (s *Service) change(ctx context.Context, call *aws.Call, name string, edit func(*delivery) error) error {
	_, err := state.Update(ctx, s.state, func() (*delivery, error) { return s.find(ctx, call, name) }, func(d *delivery) (state.Change, error) {
		next := *d
		if err := edit(&next); err != nil {
			return state.Change{}, err
		}
		return next.written()
	})
	return err
}

// list returns all delivery streams by name.
func (s *Service) list(ctx context.Context) ([]*delivery, error) {
	docs, err := s.state.List(ctx, kind, "")
	if err != nil {
		return nil, fmt.Errorf("list delivery streams: %w", err)
	}
	all := make([]*delivery, len(docs))
	for i, doc := range docs {
		if all[i], err = decode(doc); err != nil {
			return nil, err
		}
	}
	return all, nil
}
