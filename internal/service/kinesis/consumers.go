package kinesis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// maxConsumers bounds the registered consumers of a stream. AWS allows 20.
const maxConsumers = 1000

// consumer is a registered reader of a stream with enhanced fan-out: a document of kind consumerKind under the stream's id and its name. It
// goes with the stream.
type consumer struct {
	Created int64             `json:"created"` // milliseconds since 1970; their seconds are in the ARN
	Tags    map[string]string `json:"tags,omitempty"`

	name    string
	version int64
}

const consumerKind = "kinesis-consumer"

func consumerPrefix(id stream.ID) string { return id.String() + "/" }

func consumerKey(id stream.ID, name string) state.Key {
	return state.Key{Kind: consumerKind, ID: consumerPrefix(id) + name}
}

func decodeConsumer(d state.Document) (*consumer, error) {
	_, name, _ := strings.Cut(d.ID, "/")
	c := &consumer{name: name, version: d.Version}
	if err := json.Unmarshal(d.Value, c); err != nil {
		return nil, fmt.Errorf("decode consumer %s: %w", d.ID, err)
	}
	return c, nil
}

func (c *consumer) arn(call *aws.Call, v view) string {
	return fmt.Sprintf("%s/consumer/%s:%d", v.arn(call), c.name, c.Created/1000)
}

func (c *consumer) created() *time.Time { return new(time.UnixMilli(c.Created)) }

func (c *consumer) describe(call *aws.Call, v view) api.Consumer {
	return api.Consumer{
		ConsumerName: &c.name, ConsumerARN: new(c.arn(call, v)), ConsumerStatus: new(api.ConsumerStatusActive), ConsumerCreationTimestamp: c.created(),
	}
}

// registerConsumer makes the consumer ACTIVE at once: CREATING is never seen.
func (s *Service) registerConsumer(ctx context.Context, call *aws.Call, in *api.RegisterStreamConsumerInput) (*api.RegisterStreamConsumerOutput, error) {
	v, err := s.resolve(ctx, call, nil, in.StreamARN)
	if err != nil {
		return nil, err
	}
	if err := checkTags("consumer "+*in.ConsumerName, nil, in.Tags, nil); err != nil {
		return nil, err
	}
	others, err := s.state.List(ctx, consumerKind, consumerPrefix(v.ID))
	if err != nil {
		return nil, failure(call, v.Name, err)
	}
	if len(others) >= maxConsumers {
		return nil, aws.Errorf(api.ErrLimitExceeded, "Stream %s under account %s already has %d registered consumers.", v.Name, call.Account, len(others))
	}
	c := &consumer{Created: s.now().UnixMilli(), Tags: in.Tags, name: *in.ConsumerName}
	text, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode consumer %s: %w", c.name, err)
	}
	_, err = s.state.Apply(ctx, state.Change{Key: consumerKey(v.ID, c.name), If: state.Absent, Value: text})
	if errors.Is(err, state.ErrConflict) {
		return nil, aws.Errorf(api.ErrResourceInUse, "Consumer %s of stream %s under account %s already exists.", c.name, v.Name, call.Account)
	}
	if err != nil {
		return nil, failure(call, v.Name, err)
	}
	return &api.RegisterStreamConsumerOutput{Consumer: new(c.describe(call, v))}, nil
}

// findConsumer finds a consumer by its ARN, or by its name and its stream's ARN.
func (s *Service) findConsumer(ctx context.Context, call *aws.Call, arn, streamARN, name *string) (view, *consumer, error) {
	var created string
	switch {
	case arn != nil:
		head, tail, ok := strings.Cut(*arn, "/consumer/")
		if !ok {
			return view{}, nil, invalidArgument("ConsumerARN %s does not name a consumer.", *arn)
		}
		named, epoch, _ := strings.Cut(tail, ":")
		if streamARN != nil && *streamARN != head || name != nil && *name != named {
			return view{}, nil, invalidArgument("ConsumerARN %s does not match StreamARN and ConsumerName.", *arn)
		}
		streamARN, name, created = &head, &named, epoch
	case streamARN == nil || name == nil:
		return view{}, nil, invalidArgument("Both streamARN and consumer name must be provided if consumerARN is not provied.") // sic
	}
	v, err := s.resolve(ctx, call, nil, streamARN)
	if err != nil {
		return view{}, nil, err
	}
	missing := aws.Errorf(api.ErrResourceNotFound, "Consumer %s of stream %s under account %s not found.", *name, v.Name, call.Account)
	document, err := s.state.Get(ctx, consumerKey(v.ID, *name))
	if errors.Is(err, state.ErrNotFound) {
		return view{}, nil, missing
	}
	if err != nil {
		return view{}, nil, failure(call, v.Name, err)
	}
	c, err := decodeConsumer(document)
	if err != nil {
		return view{}, nil, err
	}
	if created != "" && created != strconv.FormatInt(c.Created/1000, 10) {
		return view{}, nil, missing // one of the same name that is no more
	}
	return v, c, nil
}

func (s *Service) describeConsumer(ctx context.Context, call *aws.Call, in *api.DescribeStreamConsumerInput) (*api.DescribeStreamConsumerOutput, error) {
	v, c, err := s.findConsumer(ctx, call, in.ConsumerARN, in.StreamARN, in.ConsumerName)
	if err != nil {
		return nil, err
	}
	d := c.describe(call, v)
	return &api.DescribeStreamConsumerOutput{ConsumerDescription: &api.ConsumerDescription{
		ConsumerName: d.ConsumerName, ConsumerARN: d.ConsumerARN, ConsumerStatus: d.ConsumerStatus,
		ConsumerCreationTimestamp: d.ConsumerCreationTimestamp, StreamARN: new(v.arn(call)),
	}}, nil
}

// deregisterConsumer removes a consumer at once; its open subscriptions end with ResourceNotFoundException.
func (s *Service) deregisterConsumer(ctx context.Context, call *aws.Call, in *api.DeregisterStreamConsumerInput) (*aws.None, error) {
	v, c, err := s.findConsumer(ctx, call, in.ConsumerARN, in.StreamARN, in.ConsumerName)
	if err != nil {
		return nil, err
	}
	_, err = s.state.Apply(ctx, state.Change{Key: consumerKey(v.ID, c.name), If: state.Any, Delete: true})
	if err != nil {
		return nil, failure(call, v.Name, err)
	}
	s.subscriptions.endConsumer(v.ID, c.name)
	return &aws.None{}, nil
}

func (s *Service) listConsumers(ctx context.Context, call *aws.Call, in *api.ListStreamConsumersInput) (*api.ListStreamConsumersOutput, error) {
	v, err := s.resolve(ctx, call, nil, in.StreamARN)
	if err != nil {
		return nil, err
	}
	if in.NextToken != nil && in.StreamCreationTimestamp != nil {
		return nil, invalidArgument("NextToken and StreamCreationTimestamp cannot be provided together.")
	}
	if !sameCreation(v, in.StreamCreationTimestamp) {
		return nil, streamNotFound(call, v.Name)
	}
	after := ""
	if in.NextToken != nil {
		body, err := s.openToken(consumersToken, *in.NextToken)
		if err != nil {
			return nil, err
		}
		if id := body.text(); id != string(v.ID[:]) {
			return nil, invalidArgument("Invalid NextToken.")
		}
		after = body.text()
	}
	documents, err := s.state.List(ctx, consumerKind, consumerPrefix(v.ID))
	if err != nil {
		return nil, failure(call, v.Name, err)
	}
	limit := int(value(in.MaxResults, defaultListLimit))
	out := &api.ListStreamConsumersOutput{Consumers: []api.Consumer{}}
	for _, d := range documents {
		c, err := decodeConsumer(d)
		if err != nil {
			return nil, err
		}
		if c.name <= after {
			continue
		}
		if len(out.Consumers) == limit {
			var body tokenBody
			body.addText(string(v.ID[:]))
			body.addText(*out.Consumers[limit-1].ConsumerName)
			out.NextToken = new(s.sealer.seal(consumersToken, s.now(), body))
			break
		}
		out.Consumers = append(out.Consumers, c.describe(call, v))
	}
	return out, nil
}

// tagConsumer adds and removes tags of the consumer with an ARN, again where others were faster.
func (s *Service) tagConsumer(ctx context.Context, call *aws.Call, arn string, added map[string]string, removed []string) (*aws.None, error) {
	type found struct {
		view
		*consumer
	}
	var name stream.Name
	_, err := state.Update(ctx, s.state, func() (found, error) {
		v, c, err := s.findConsumer(ctx, call, &arn, nil, nil)
		return found{v, c}, err
	}, func(f found) (state.Change, error) {
		name = f.view.Name
		c := f.consumer
		if err := checkTags("consumer "+c.name, c.Tags, added, removed); err != nil {
			return state.Change{}, err
		}
		text, err := json.Marshal(consumer{Created: c.Created, Tags: edited(c.Tags, added, removed)})
		if err != nil {
			return state.Change{}, fmt.Errorf("encode consumer %s: %w", c.name, err)
		}
		return state.Change{Key: consumerKey(f.ID, c.name), If: c.version, Value: text}, nil
	})
	return &aws.None{}, failure(call, name, err)
}
