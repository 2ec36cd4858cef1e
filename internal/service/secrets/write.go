package secrets

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/secretsmanager"
	"github.com/freshet/freshet/internal/state"
)

var namePattern = regexp.MustCompile(`^[0-9A-Za-z/_+=.@-]+$`)

func invalidParameter(format string, args ...any) *aws.Error {
	return aws.Errorf(api.ErrInvalidParameter, format, args...)
}

func (s *Service) createSecret(ctx context.Context, call *aws.Call, in *api.CreateSecretRequest) (*api.CreateSecretResponse, error) {
	if !namePattern.MatchString(*in.Name) {
		return nil, invalidParameter("Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
	}
	v, err := s.newVersion(in.ClientRequestToken, in.SecretString, in.SecretBinary, true)
	if err != nil {
		return nil, err
	}
	tags, err := addTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	s.change.Lock()
	defer s.change.Unlock()
	made := &secret{
		Name: *in.Name, Description: value(in.Description, ""), KMSKey: value(in.KmsKeyId, ""), Type: value(in.Type, ""), Tags: tags, Created: s.now(), Changed: s.now(),
		revision: state.Absent,
	}
	if old, err := s.replaceable(ctx, call, made, v); old != nil || err != nil {
		return old, err
	}
	suffix, err := s.suffix()
	if err != nil {
		return nil, err
	}
	made.ARN = aws.MakeARN("secretsmanager", call.Region, call.Account, "secret:"+*in.Name+"-"+suffix)
	out := &api.CreateSecretResponse{ARN: &made.ARN, Name: &made.Name}
	if v != nil {
		made.Versions = []version{*v}
		made.label(v.ID, current)
		out.VersionId = &v.ID
	}
	if err := s.save(ctx, made); err != nil {
		return nil, err
	}
	s.logger.Info("secret created", "secret", made.ARN)
	return out, nil
}

// replaceable looks at what is there under the name of a new secret: nothing, or what has been deleted, whose document is replaced; a repeat of the
// request that made it, which is answered again; or something else, which is an error.
func (s *Service) replaceable(ctx context.Context, call *aws.Call, made *secret, v *version) (*api.CreateSecretResponse, error) {
	doc, err := s.state.Get(ctx, state.Key{Kind: kind, ID: documentID(call.Account, call.Region, made.Name)})
	if errors.Is(err, state.ErrNotFound) {
		all, err := s.all(ctx, call)
		if err == nil && len(all) >= s.config.MaxSecrets {
			err = aws.Errorf(api.ErrLimitExceeded, "An account can have %d secrets in a region.", s.config.MaxSecrets)
		}
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	old, err := s.load(doc)
	switch {
	case errors.Is(err, state.ErrNotFound):
		made.revision = doc.Version
		return nil, nil //nolint:nilnil // nothing is to be answered again
	case err != nil:
		return nil, err
	case !old.Deletion.IsZero():
		return nil, aws.Errorf(api.ErrInvalidRequest, "You can't create this secret because a secret with this name is already scheduled for deletion.")
	}
	if v != nil {
		if same := old.version(v.ID, ""); same != nil && same.equals(v) {
			return &api.CreateSecretResponse{ARN: &old.ARN, Name: &old.Name, VersionId: &v.ID}, nil
		}
	}
	return nil, aws.Errorf(api.ErrResourceExists, "The operation failed because the secret %s already exists.", made.Name)
}

// newVersion makes a version of what a request carries, nil if that is nothing and may be.
func (s *Service) newVersion(token, text *string, data []byte, mayLack bool) (*version, error) {
	switch {
	case text != nil && data != nil:
		return nil, invalidParameter("You can't specify both a binary secret value and a string secret value in the same request.")
	case text == nil && data == nil && mayLack:
		return nil, nil //nolint:nilnil // there is no value
	case text == nil && data == nil:
		return nil, invalidParameter("You must provide either SecretString or SecretBinary.")
	}
	id, err := s.token(token)
	return &version{ID: id, Text: text, Bytes: data, Created: s.now()}, err
}

// equals says that a request has been repeated.
func (v *version) equals(other *version) bool {
	return bytes.Equal(v.Bytes, other.Bytes) && value(v.Text, "") == value(other.Text, "")
}

// add puts a version into a secret under labels. It says whether anything has changed: a repeat changes nothing.
func (s *secret) add(v *version, stages []string) (bool, error) {
	if old := s.version(v.ID, ""); old != nil {
		if old.equals(v) {
			return false, nil
		}
		return false, aws.Errorf(api.ErrResourceExists, "You can't use ClientRequestToken %s because that value is already in use for a version of secret %s.", v.ID, s.ARN)
	}
	first := s.version("", current) == nil
	s.Versions = append(s.Versions, *v)
	for _, stage := range stages {
		s.label(v.ID, stage)
	}
	if first {
		s.label(v.ID, current)
	}
	s.forget()
	s.Changed = v.Created
	return true, nil
}

func (s *Service) putSecretValue(ctx context.Context, call *aws.Call, in *api.PutSecretValueRequest) (*api.PutSecretValueResponse, error) {
	v, err := s.newVersion(in.ClientRequestToken, in.SecretString, in.SecretBinary, false)
	if err != nil {
		return nil, err
	}
	stages := in.VersionStages
	if stages == nil {
		stages = []string{current}
	}
	found, err := s.alter(ctx, call, *in.SecretId, func(found *secret) (bool, error) { return found.add(v, stages) })
	if err != nil {
		return nil, err
	}
	return &api.PutSecretValueResponse{ARN: &found.ARN, Name: &found.Name, VersionId: &v.ID, VersionStages: found.version(v.ID, "").Stages}, nil
}

// alter changes a secret that is not to be deleted, and tells of it if its current value may be another. change says whether there is anything to store.
func (s *Service) alter(ctx context.Context, call *aws.Call, id string, change func(found *secret) (bool, error)) (*secret, error) {
	s.change.Lock()
	defer s.change.Unlock()
	found, err := s.usable(ctx, call, id)
	if err != nil {
		return nil, err
	}
	changed, err := change(found)
	if err != nil || !changed {
		return found, err
	}
	if err := s.save(ctx, found); err != nil {
		return nil, err
	}
	s.changed(ctx, found.ARN)
	return found, nil
}

func (s *Service) updateSecret(ctx context.Context, call *aws.Call, in *api.UpdateSecretRequest) (*api.UpdateSecretResponse, error) {
	v, err := s.newVersion(in.ClientRequestToken, in.SecretString, in.SecretBinary, true)
	if err != nil {
		return nil, err
	}
	found, err := s.alter(ctx, call, *in.SecretId, func(found *secret) (bool, error) {
		found.Description, found.KMSKey = value(in.Description, found.Description), value(in.KmsKeyId, found.KMSKey)
		found.Type, found.Changed = value(in.Type, found.Type), s.now()
		if v == nil {
			return true, nil
		}
		_, err := found.add(v, []string{current})
		return true, err
	})
	if err != nil {
		return nil, err
	}
	out := &api.UpdateSecretResponse{ARN: &found.ARN, Name: &found.Name}
	if v != nil {
		out.VersionId = &v.ID
	}
	return out, nil
}

func (s *Service) updateSecretVersionStage(ctx context.Context, call *aws.Call, in *api.UpdateSecretVersionStageRequest) (*api.UpdateSecretVersionStageResponse, error) {
	found, err := s.alter(ctx, call, *in.SecretId, func(found *secret) (bool, error) { return true, found.move(in) })
	if err != nil {
		return nil, err
	}
	return &api.UpdateSecretVersionStageResponse{ARN: &found.ARN, Name: &found.Name}, nil
}

// move takes a label from one version and gives it to another.
func (s *secret) move(in *api.UpdateSecretVersionStageRequest) error {
	stage, from := *in.VersionStage, value(in.RemoveFromVersionId, "")
	if to := value(in.MoveToVersionId, ""); to != "" && s.version(to, "") == nil {
		return aws.Errorf(api.ErrResourceNotFound, "Secrets Manager can't find the specified secret version.")
	}
	holder := s.version("", stage)
	switch {
	case from == "" && in.MoveToVersionId == nil:
		return invalidParameter("You must specify RemoveFromVersionId, MoveToVersionId or both.")
	case from != "" && (holder == nil || holder.ID != from):
		return invalidParameter("The staging label %s isn't attached to version %s of the secret.", stage, from)
	case from == "" && holder != nil && holder.ID != *in.MoveToVersionId:
		return invalidParameter("The parameter RemoveFromVersionId can't be empty. Staging label %s is currently attached to version %s, so you must explicitly reference that version in RemoveFromVersionId.", stage, holder.ID)
	case in.MoveToVersionId == nil && stage == current:
		return invalidParameter("You can't remove the staging label %s: move it to another version.", current)
	case in.MoveToVersionId == nil:
		holder.Stages = without(holder.Stages, stage)
		return nil
	}
	s.label(*in.MoveToVersionId, stage)
	return nil
}

// The days that a deleted secret can be restored in.
const (
	minWindow     = 7
	maxWindow     = 30
	defaultWindow = 30
)

func (s *Service) deleteSecret(ctx context.Context, call *aws.Call, in *api.DeleteSecretRequest) (*api.DeleteSecretResponse, error) {
	forced, window := value(in.ForceDeleteWithoutRecovery, false), value(in.RecoveryWindowInDays, defaultWindow)
	switch {
	case forced && in.RecoveryWindowInDays != nil:
		return nil, invalidParameter("You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
	case window < minWindow || window > maxWindow:
		return nil, invalidParameter("The RecoveryWindowInDays value must be between %d and %d days (inclusive).", minWindow, maxWindow)
	}
	s.change.Lock()
	defer s.change.Unlock()
	find := s.usable
	if forced {
		find = s.find // also what is marked already
	}
	found, err := find(ctx, call, *in.SecretId)
	if err != nil {
		return nil, err
	}
	if found.Deletion = s.now().Add(time.Duration(window) * 24 * time.Hour); forced {
		found.Deletion = s.now()
		_, err = s.state.Apply(ctx, state.Change{Key: state.Key{Kind: kind, ID: found.id()}, If: found.revision, Delete: true})
	} else {
		err = s.save(ctx, found)
	}
	if err != nil {
		return nil, err
	}
	s.logger.Info("secret deleted", "secret", found.ARN, "forced", forced)
	s.changed(ctx, found.ARN)
	return &api.DeleteSecretResponse{ARN: &found.ARN, Name: &found.Name, DeletionDate: &found.Deletion}, nil
}

func (s *Service) restoreSecret(ctx context.Context, call *aws.Call, in *api.RestoreSecretRequest) (*api.RestoreSecretResponse, error) {
	s.change.Lock()
	defer s.change.Unlock()
	found, err := s.find(ctx, call, *in.SecretId)
	if err != nil {
		return nil, err
	}
	found.Deletion = time.Time{}
	if err := s.save(ctx, found); err != nil {
		return nil, err
	}
	s.changed(ctx, found.ARN)
	return &api.RestoreSecretResponse{ARN: &found.ARN, Name: &found.Name}, nil
}

// maxTags is how many tags a secret may have.
const maxTags = 50

// addTags returns old with tags put over it.
func addTags(old map[string]string, tags []api.Tag) (map[string]string, error) {
	next := map[string]string{}
	for key, v := range old {
		next[key] = v
	}
	for _, t := range tags {
		if t.Key == nil || strings.HasPrefix(*t.Key, "aws:") {
			return nil, invalidParameter("A tag has a key, and it does not begin with aws:.")
		}
		next[*t.Key] = value(t.Value, "")
	}
	if len(next) > maxTags {
		return nil, invalidParameter("A secret can have %d tags, not %d.", maxTags, len(next))
	}
	return next, nil
}

func (s *Service) tagResource(ctx context.Context, call *aws.Call, in *api.TagResourceRequest) (*aws.None, error) {
	_, err := s.alter(ctx, call, *in.SecretId, func(found *secret) (_ bool, err error) {
		found.Tags, err = addTags(found.Tags, in.Tags)
		return true, err
	})
	return &aws.None{}, err
}

func (s *Service) untagResource(ctx context.Context, call *aws.Call, in *api.UntagResourceRequest) (*aws.None, error) {
	_, err := s.alter(ctx, call, *in.SecretId, func(found *secret) (bool, error) {
		for key := range found.Tags {
			if slices.Contains(in.TagKeys, key) {
				delete(found.Tags, key)
			}
		}
		return true, nil
	})
	return &aws.None{}, err
}
