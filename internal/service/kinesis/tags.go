package kinesis

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
)

const (
	// maxTags is how many tags a resource can have.
	maxTags = 50
	// defaultTagLimit is the page of ListTagsForStream, and its maximum.
	defaultTagLimit = 50
)

var tagText = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@%]*$`)

// checkTags says whether tags can be added to, and others removed from, those that resource, e.g. "stream clicks", has.
func checkTags(resource string, has, added map[string]string, removed []string) error {
	if err := checkTagText("remove tags from "+resource, removed); err != nil {
		return err
	}
	if err := checkTagText("add tags to "+resource, slices.AppendSeq(slices.Collect(maps.Keys(added)), maps.Values(added))); err != nil {
		return err
	}
	count := len(has)
	for key := range added {
		if strings.HasPrefix(strings.ToLower(key), "aws:") {
			return invalidArgument("Failed to add tags to %s because tag keys that begin with aws: are reserved.", resource)
		}
		if _, ok := has[key]; !ok {
			count++
		}
	}
	if count > maxTags {
		return invalidArgument("Failed to add tags to %s because a given stream cannot have more than %d tags associated with it.", resource, maxTags)
	}
	return nil
}

// checkTagText checks the characters of keys and values. The percent sign is AWS's oddity: its first check names it as valid, its second refuses it.
func checkTagText(action string, texts []string) error {
	for _, text := range texts {
		if !tagText.MatchString(text) {
			return invalidArgument("Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - %% @ :.")
		}
	}
	for _, text := range texts {
		if strings.Contains(text, "%") {
			return invalidArgument("Failed to %s because some tags contained illegal characters. "+
				"The allowed characters are Unicode letters, white-spaces, '_',',','/','=','+','-','@',':'.", action)
		}
	}
	return nil
}

// edited returns tags with some added and some removed; tags itself stays as it is.
func edited(tags, added map[string]string, removed []string) map[string]string {
	tags = maps.Clone(tags)
	if tags == nil {
		tags = map[string]string{}
	}
	maps.Copy(tags, added)
	for _, key := range removed {
		delete(tags, key)
	}
	return tags
}

// listed returns tags by key.
func listedTags(tags map[string]string) []api.Tag {
	list := make([]api.Tag, 0, len(tags))
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, api.Tag{Key: new(key), Value: new(tags[key])})
	}
	return list
}

// tagStream adds and removes tags of a stream.
func (s *Service) tagStream(ctx context.Context, call *aws.Call, v view, added map[string]string, removed []string) (*aws.None, error) {
	err := s.change(ctx, v.Stream, func(next *settings) error {
		if err := checkTags("stream "+string(v.Name)+" under account "+call.Account, next.Tags, added, removed); err != nil {
			return err
		}
		next.Tags = edited(next.Tags, added, removed)
		return nil
	})
	return &aws.None{}, failure(call, v.Name, err)
}

func (s *Service) addTagsToStream(ctx context.Context, call *aws.Call, in *api.AddTagsToStreamInput) (*aws.None, error) {
	v, err := s.resolve(ctx, call, in.StreamName, in.StreamARN)
	if err != nil {
		return nil, err
	}
	return s.tagStream(ctx, call, v, in.Tags, nil)
}

func (s *Service) removeTagsFromStream(ctx context.Context, call *aws.Call, in *api.RemoveTagsFromStreamInput) (*aws.None, error) {
	v, err := s.resolve(ctx, call, in.StreamName, in.StreamARN)
	if err != nil {
		return nil, err
	}
	return s.tagStream(ctx, call, v, nil, in.TagKeys)
}

func (s *Service) listTagsForStream(ctx context.Context, call *aws.Call, in *api.ListTagsForStreamInput) (*api.ListTagsForStreamOutput, error) {
	v, err := s.resolve(ctx, call, in.StreamName, in.StreamARN)
	if err != nil {
		return nil, err
	}
	tags := slices.DeleteFunc(listedTags(v.settings.Tags), func(t api.Tag) bool { return *t.Key <= value(in.ExclusiveStartTagKey, "") })
	limit := min(int(value(in.Limit, defaultTagLimit)), len(tags))
	return &api.ListTagsForStreamOutput{Tags: tags[:limit], HasMoreTags: new(limit < len(tags))}, nil
}

// taggedResource finds what a ResourceARN names: a stream, or a consumer of it.
func (s *Service) taggedResource(ctx context.Context, call *aws.Call, arn string) (view, *consumer, error) {
	if strings.Contains(arn, "/consumer/") {
		return s.findConsumer(ctx, call, &arn, nil, nil)
	}
	if _, resource := splitARN(arn); !strings.HasPrefix(resource, "stream/") {
		return view{}, nil, aws.Errorf(api.ErrResourceNotFound, "Resource %s not found.", arn)
	}
	v, err := s.resolve(ctx, call, nil, &arn)
	return v, nil, err
}

func (s *Service) tagResource(ctx context.Context, call *aws.Call, in *api.TagResourceInput) (*aws.None, error) {
	return s.retag(ctx, call, *in.ResourceARN, in.Tags, nil)
}

func (s *Service) untagResource(ctx context.Context, call *aws.Call, in *api.UntagResourceInput) (*aws.None, error) {
	return s.retag(ctx, call, *in.ResourceARN, nil, in.TagKeys)
}

func (s *Service) retag(ctx context.Context, call *aws.Call, arn string, added map[string]string, removed []string) (*aws.None, error) {
	v, c, err := s.taggedResource(ctx, call, arn)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return s.tagStream(ctx, call, v, added, removed)
	}
	return s.tagConsumer(ctx, call, arn, added, removed)
}

func (s *Service) listTagsForResource(ctx context.Context, call *aws.Call, in *api.ListTagsForResourceInput) (*api.ListTagsForResourceOutput, error) {
	v, c, err := s.taggedResource(ctx, call, *in.ResourceARN)
	if err != nil {
		return nil, err
	}
	if c != nil {
		return &api.ListTagsForResourceOutput{Tags: listedTags(c.Tags)}, nil
	}
	return &api.ListTagsForResourceOutput{Tags: listedTags(v.settings.Tags)}, nil
}
