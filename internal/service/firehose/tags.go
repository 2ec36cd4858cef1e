package firehose

import (
	"context"
	"maps"
	"slices"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/firehose"
)

// maxTags is how many tags a delivery stream may have, and the page of ListTagsForDeliveryStream.
const maxTags = 50

// addTags returns old with tags put over it.
func addTags(old map[string]string, tags []api.Tag) (map[string]string, error) {
	if len(tags) == 0 {
		return old, nil
	}
	next := maps.Clone(old)
	if next == nil {
		next = map[string]string{}
	}
	for _, t := range tags {
		next[*t.Key] = value(t.Value, "")
	}
	if len(next) > maxTags {
		return nil, aws.Errorf(api.ErrLimitExceeded, "A delivery stream can have %d tags, not %d.", maxTags, len(next))
	}
	return next, nil
}

func (s *Service) tag(ctx context.Context, call *aws.Call, in *api.TagDeliveryStreamInput) (*api.TagDeliveryStreamOutput, error) {
	err := s.change(ctx, call, *in.DeliveryStreamName, func(d *delivery) (err error) {
		d.Tags, err = addTags(d.Tags, in.Tags)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.TagDeliveryStreamOutput{}, nil
}

func (s *Service) untag(ctx context.Context, call *aws.Call, in *api.UntagDeliveryStreamInput) (*api.UntagDeliveryStreamOutput, error) {
	err := s.change(ctx, call, *in.DeliveryStreamName, func(d *delivery) error {
		d.Tags = maps.Clone(d.Tags)
		for _, key := range in.TagKeys {
			delete(d.Tags, key)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.UntagDeliveryStreamOutput{}, nil
}

func (s *Service) listTags(ctx context.Context, call *aws.Call, in *api.ListTagsForDeliveryStreamInput) (*api.ListTagsForDeliveryStreamOutput, error) {
	d, err := s.find(ctx, call, *in.DeliveryStreamName)
	if err != nil {
		return nil, err
	}
	out := &api.ListTagsForDeliveryStreamOutput{Tags: []api.Tag{}, HasMoreTags: new(false)}
	limit, after := int(value(in.Limit, maxTags)), value(in.ExclusiveStartTagKey, "")
	for _, key := range slices.Sorted(maps.Keys(d.Tags)) {
		if key <= after {
			continue
		}
		if len(out.Tags) == limit {
			*out.HasMoreTags = true
			break
		}
		out.Tags = append(out.Tags, api.Tag{Key: &key, Value: new(d.Tags[key])})
	}
	return out, nil
}
