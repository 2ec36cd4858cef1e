package msk

import (
	"context"
	"errors"
	"maps"
	"strings"
	"unicode/utf8"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kafka"
)

// The bounds of tags, of all AWS services.
const (
	maxTags     = 50
	maxTagKey   = 128
	maxTagValue = 256
)

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return badRequest("tags", "A resource can have %d tags, not %d.", maxTags, len(tags))
	}
	for key, value := range tags {
		switch n := utf8.RuneCountInString(key); {
		case n < 1 || n > maxTagKey || utf8.RuneCountInString(value) > maxTagValue:
			return badRequest("tags", "A tag's key must have 1 to %d characters, and its value up to %d.", maxTagKey, maxTagValue)
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			return badRequest("tags", "A tag's key must not begin with aws:.")
		}
	}
	return nil
}

// findTagged returns the cluster that an ARN in a tag request is of: nothing else has tags.
func (s *Service) findTagged(ctx context.Context, call *aws.Call, arn string) (*cluster, int64, error) {
	c, version, err := s.findCluster(ctx, call, arn)
	if fault, ok := errors.AsType[*aws.Error](err); ok {
		renamed := *fault
		renamed.Fields = map[string]string{"invalidParameter": "resourceArn"}
		return nil, 0, &renamed
	}
	return c, version, err
}

// retag changes the tags of a cluster. The cluster's version stays.
func (s *Service) retag(ctx context.Context, call *aws.Call, arn string, change func(tags map[string]string) error) error {
	s.change.Lock()
	defer s.change.Unlock()
	c, version, err := s.findTagged(ctx, call, arn)
	if err != nil {
		return err
	}
	c = c.clone()
	if c.Tags == nil {
		c.Tags = map[string]string{}
	}
	if err := change(c.Tags); err != nil {
		return err
	}
	return s.clusters.save(ctx, c.key(), c, version)
}

func (s *Service) tagResource(ctx context.Context, call *aws.Call, in *api.TagResourceRequest) (*aws.None, error) {
	return &aws.None{}, s.retag(ctx, call, *in.ResourceArn, func(tags map[string]string) error {
		maps.Copy(tags, in.Tags)
		return checkTags(tags)
	})
}

func (s *Service) untagResource(ctx context.Context, call *aws.Call, in *api.UntagResourceRequest) (*aws.None, error) {
	return &aws.None{}, s.retag(ctx, call, *in.ResourceArn, func(tags map[string]string) error {
		for _, key := range in.TagKeys {
			delete(tags, key)
		}
		return nil
	})
}

func (s *Service) listTagsForResource(ctx context.Context, call *aws.Call, in *api.ListTagsForResourceRequest) (*api.ListTagsForResourceResponse, error) {
	c, _, err := s.findTagged(ctx, call, *in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return &api.ListTagsForResourceResponse{Tags: c.tags()}, nil
}
