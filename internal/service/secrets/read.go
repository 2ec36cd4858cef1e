package secrets

import (
	"cmp"
	"context"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/secretsmanager"
)

func (s *Service) getSecretValue(ctx context.Context, call *aws.Call, in *api.GetSecretValueRequest) (*api.GetSecretValueResponse, error) {
	found, err := s.usable(ctx, call, *in.SecretId)
	if err != nil {
		return nil, err
	}
	id, stage := value(in.VersionId, ""), value(in.VersionStage, "")
	if id == "" && stage == "" {
		stage = current
	}
	v := found.version(id, stage)
	if v == nil {
		what := "staging label: " + stage
		if id != "" {
			what = "VersionId: " + id
		}
		return nil, aws.Errorf(api.ErrResourceNotFound, "Secrets Manager can't find the specified secret value for %s", what)
	}
	if err := s.noteRead(ctx, call, found); err != nil {
		return nil, err
	}
	return &api.GetSecretValueResponse{
		ARN: &found.ARN, Name: &found.Name, VersionId: &v.ID, SecretBinary: v.Bytes, SecretString: v.Text, VersionStages: v.Stages, CreatedDate: &v.Created,
	}, nil
}

// noteRead stores the day on which a secret was read, if it is another than the last.
func (s *Service) noteRead(ctx context.Context, call *aws.Call, read *secret) error {
	day := s.now().Truncate(24 * time.Hour)
	if read.Accessed.Equal(day) {
		return nil
	}
	s.change.Lock()
	defer s.change.Unlock()
	found, err := s.usable(ctx, call, read.ARN) // as it is now
	if err != nil {
		return err
	}
	found.Accessed = day
	return s.save(ctx, found)
}

// tagList returns tags in the order of their keys.
func tagList(tags map[string]string) []api.Tag {
	list := []api.Tag{}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, api.Tag{Key: &key, Value: new(tags[key])})
	}
	return list
}

func (s *Service) describeSecret(ctx context.Context, call *aws.Call, in *api.DescribeSecretRequest) (*api.DescribeSecretResponse, error) {
	found, err := s.find(ctx, call, *in.SecretId)
	if err != nil {
		return nil, err
	}
	return &api.DescribeSecretResponse{
		ARN: &found.ARN, Name: &found.Name, Type: optional(found.Type), Description: optional(found.Description), KmsKeyId: optional(found.KMSKey),
		LastChangedDate: &found.Changed, LastAccessedDate: moment(found.Accessed), DeletedDate: moment(found.Deletion), Tags: tagList(found.Tags),
		VersionIdsToStages: found.stages(), CreatedDate: &found.Created,
	}, nil
}

// getResourcePolicy answers that there is none.
func (s *Service) getResourcePolicy(ctx context.Context, call *aws.Call, in *api.GetResourcePolicyRequest) (*api.GetResourcePolicyResponse, error) {
	found, err := s.find(ctx, call, *in.SecretId)
	if err != nil {
		return nil, err
	}
	return &api.GetResourcePolicyResponse{ARN: &found.ARN, Name: &found.Name}, nil
}

// maxPage is the page size of lists that are asked for no other.
const maxPage = 100

// page returns the part of items that a list call asks for, and the token for what follows, nil at the end. A token is the key of the last item
// before it.
func page[T any](items []T, key func(*T) string, maxResults *int32, token *string) ([]T, *string, error) {
	from := 0
	if token != nil {
		after, err := base64.RawURLEncoding.DecodeString(*token)
		at := slices.IndexFunc(items, func(item T) bool { return key(&item) == string(after) })
		if err != nil || at < 0 {
			return nil, nil, aws.Errorf(api.ErrInvalidNextToken, "The NextToken is not valid.")
		}
		from = at + 1
	}
	to := min(len(items), from+int(value(maxResults, maxPage)))
	if to == len(items) {
		return items[from:], nil, nil
	}
	return items[from:to], new(base64.RawURLEncoding.EncodeToString([]byte(key(&items[to-1])))), nil
}

func (s *Service) listSecrets(ctx context.Context, call *aws.Call, in *api.ListSecretsRequest) (*api.ListSecretsResponse, error) {
	all, err := s.all(ctx, call)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(found *secret) bool {
		return !found.Deletion.IsZero() && !value(in.IncludePlannedDeletion, false) || !found.matches(in.Filters)
	})
	order(all, value(in.SortBy, api.SortByTypeCreatedDate), value(in.SortOrder, api.SortOrderTypeDesc))
	some, next, err := page(all, func(found **secret) string { return (*found).ARN }, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &api.ListSecretsResponse{SecretList: []api.SecretListEntry{}, NextToken: next}
	for _, found := range some {
		out.SecretList = append(out.SecretList, api.SecretListEntry{
			ARN: &found.ARN, Name: &found.Name, Type: optional(found.Type), Description: optional(found.Description), KmsKeyId: optional(found.KMSKey),
			LastChangedDate: &found.Changed, LastAccessedDate: moment(found.Accessed), DeletedDate: moment(found.Deletion), Tags: tagList(found.Tags),
			SecretVersionsToStages: found.stages(), CreatedDate: &found.Created,
		})
	}
	return out, nil
}

// order sorts secrets, those that are equal by their ARNs.
func order(all []*secret, by api.SortByType, direction api.SortOrderType) {
	slices.SortFunc(all, func(a, b *secret) int {
		c := 0
		switch by {
		case api.SortByTypeCreatedDate:
			c = a.Created.Compare(b.Created)
		case api.SortByTypeLastAccessedDate:
			c = a.Accessed.Compare(b.Accessed)
		case api.SortByTypeLastChangedDate:
			c = a.Changed.Compare(b.Changed)
		case api.SortByTypeName:
			c = cmp.Compare(a.Name, b.Name)
		}
		if c = cmp.Or(c, cmp.Compare(a.ARN, b.ARN)); direction == api.SortOrderTypeDesc {
			return -c
		}
		return c
	})
}

// matches says whether a secret passes all filters. One passes if any of its values does; a value with ! in front passes what does not have it.
func (s *secret) matches(filters []api.Filter) bool {
	for _, f := range filters {
		if !slices.ContainsFunc(f.Values, func(wanted string) bool {
			text, not := strings.CutPrefix(wanted, "!")
			return s.has(value(f.Key, api.FilterNameStringTypeAll), text) != not
		}) {
			return false
		}
	}
	return true
}

// has looks for a filter's text where its key says: at the beginning of names and of tags, in which case counts, and in descriptions, in which it
// does not. all looks everywhere. Secrets have neither primary region nor owning service.
func (s *secret) has(key api.FilterNameStringType, text string) bool {
	name := strings.HasPrefix(s.Name, text)
	description := strings.Contains(strings.ToLower(s.Description), strings.ToLower(text))
	tagKey, tagValue := false, false
	for k, v := range s.Tags {
		tagKey, tagValue = tagKey || strings.HasPrefix(k, text), tagValue || strings.HasPrefix(v, text)
	}
	switch key {
	case api.FilterNameStringTypeName:
		return name
	case api.FilterNameStringTypeDescription:
		return description
	case api.FilterNameStringTypeTagKey:
		return tagKey
	case api.FilterNameStringTypeTagValue:
		return tagValue
	case api.FilterNameStringTypeAll:
		return name || description || tagKey || tagValue
	}
	return false
}

func (s *Service) listSecretVersionIDs(ctx context.Context, call *aws.Call, in *api.ListSecretVersionIdsRequest) (*api.ListSecretVersionIdsResponse, error) {
	found, err := s.find(ctx, call, *in.SecretId)
	if err != nil {
		return nil, err
	}
	versions := slices.DeleteFunc(slices.Clone(found.Versions), func(v version) bool { return len(v.Stages) == 0 && !value(in.IncludeDeprecated, false) })
	some, next, err := page(versions, func(v *version) string { return v.ID }, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &api.ListSecretVersionIdsResponse{ARN: &found.ARN, Name: &found.Name, Versions: []api.SecretVersionsListEntry{}, NextToken: next}
	for i := range some {
		v := &some[i]
		out.Versions = append(out.Versions, api.SecretVersionsListEntry{VersionId: &v.ID, VersionStages: v.Stages, CreatedDate: &v.Created})
	}
	return out, nil
}
