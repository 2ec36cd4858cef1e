package secrets

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/secretsmanager"
	"github.com/freshet/freshet/internal/state"
)

// kind is of the documents, one for each secret.
const kind = "secret"

// secret is the document of a secret.
type secret struct {
	ARN         string
	Name        string
	Description string
	KMSKey      string
	Type        string
	Tags        map[string]string
	Created     time.Time
	Changed     time.Time
	Accessed    time.Time // the day of the last read; zero = never
	Deletion    time.Time // when it may be deleted; zero = it is not to be
	Versions    []version // the oldest first

	revision int64 // of the document; state.Absent for a new one
}

// version is a value that a secret has or had.
type version struct {
	ID      string
	Stages  []string
	Text    *string
	Bytes   []byte
	Created time.Time
}

// The staging labels that Secrets Manager moves itself.
const (
	current  = "AWSCURRENT"
	previous = "AWSPREVIOUS"
)

// maxDeprecated is how many versions without a label are kept of a secret.
const maxDeprecated = 20

// documentID returns the id of a name's document. Names can be longer than ids.
func documentID(account, region, name string) string {
	id := account + "/" + region + "/" + name
	if len(id) <= state.MaxID {
		return id
	}
	digest := sha256.Sum256([]byte(name))
	return account + "/" + region + "#" + hex.EncodeToString(digest[:])
}

func (s *secret) id() string {
	parts := strings.SplitN(s.ARN, ":", 6)
	return documentID(parts[4], parts[3], s.Name)
}

// load returns a document as a secret, or state.ErrNotFound if it is none any more: the time of its deletion has come.
func (s *Service) load(doc state.Document) (*secret, error) {
	v := &secret{revision: doc.Version}
	if err := json.Unmarshal(doc.Value, v); err != nil {
		return nil, fmt.Errorf("secret %s: %w", doc.ID, err)
	}
	if !v.Deletion.IsZero() && !v.Deletion.After(s.clock.Now()) {
		return nil, state.ErrNotFound
	}
	return v, nil
}

// byName returns the secret of a name. state.ErrNotFound.
func (s *Service) byName(ctx context.Context, account, region, name string) (*secret, error) {
	doc, err := s.state.Get(ctx, state.Key{Kind: kind, ID: documentID(account, region, name)})
	if err != nil {
		return nil, err
	}
	found, err := s.load(doc)
	if err == nil && found.Name != name {
		return nil, state.ErrNotFound
	}
	return found, err
}

// suffixLength is that of what a secret's ARN has behind its name: a hyphen and six characters.
const suffixLength = 7

// find returns the secret that an id means: a name, an ARN, or an ARN without the characters at its end.
func (s *Service) find(ctx context.Context, call *aws.Call, id string) (*secret, error) {
	account, region, name, isARN := call.Account, call.Region, id, false
	if parts := strings.SplitN(id, ":", 7); len(parts) == 7 && parts[0] == "arn" && parts[2] == "secretsmanager" && parts[5] == "secret" {
		region, account, name, isARN = parts[3], parts[4], parts[6], true
		if account != call.Account || region != call.Region {
			return nil, errNoSecret
		}
	}
	names := []string{name}
	if i := len(name) - suffixLength; isARN && i > 0 && name[i] == '-' {
		names = []string{name[:i], name} // whole, or without the suffix
	}
	for i, candidate := range names {
		found, err := s.byName(ctx, account, region, candidate)
		switch {
		case errors.Is(err, state.ErrNotFound):
			continue
		case err != nil:
			return nil, err
		case len(names) == 2 && i == 0 && found.ARN != id:
			continue
		}
		return found, nil
	}
	return nil, errNoSecret
}

var errNoSecret = aws.Errorf(api.ErrResourceNotFound, "Secrets Manager can't find the specified secret.")

// usable is find for what cannot be done to a secret that is to be deleted.
func (s *Service) usable(ctx context.Context, call *aws.Call, id string) (*secret, error) {
	found, err := s.find(ctx, call, id)
	if err == nil && !found.Deletion.IsZero() {
		return nil, aws.Errorf(api.ErrInvalidRequest, "You can't perform this operation on the secret because it was marked for deletion.")
	}
	return found, err
}

// save stores a secret that is new or was changed.
func (s *Service) save(ctx context.Context, v *secret) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = s.state.Apply(ctx, state.Change{Key: state.Key{Kind: kind, ID: v.id()}, If: v.revision, Value: raw})
	return err
}

// all returns the caller's secrets, in the order of their ARNs.
func (s *Service) all(ctx context.Context, call *aws.Call) ([]*secret, error) {
	var all []*secret
	for _, separator := range []string{"/", "#"} { // see documentID
		docs, err := s.state.List(ctx, kind, call.Account+"/"+call.Region+separator)
		if err != nil {
			return nil, err
		}
		for _, doc := range docs {
			found, err := s.load(doc)
			if errors.Is(err, state.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			all = append(all, found)
		}
	}
	slices.SortFunc(all, func(a, b *secret) int { return cmp.Compare(a.ARN, b.ARN) })
	return all, nil
}

// version returns the version of an id and label, "" for any, or nil.
func (s *secret) version(id, stage string) *version {
	for i := range s.Versions {
		v := &s.Versions[i]
		if (id == "" || v.ID == id) && (stage == "" || slices.Contains(v.Stages, stage)) {
			return v
		}
	}
	return nil
}

// label gives a label to a version, and takes it from the one that has it. The version that was current becomes the previous one.
func (s *secret) label(id, stage string) {
	if old := s.version("", stage); old != nil {
		if old.ID == id {
			return
		}
		old.Stages = without(old.Stages, stage)
		if stage == current {
			s.label(old.ID, previous)
		}
	}
	v := s.version(id, "")
	if v.Stages = append(v.Stages, stage); stage == current {
		v.Stages = without(v.Stages, previous)
	}
}

func without(stages []string, stage string) []string {
	return slices.DeleteFunc(stages, func(s string) bool { return s == stage })
}

// forget drops the oldest versions without a label beyond those that are kept.
func (s *secret) forget() {
	deprecated := 0
	for i := len(s.Versions) - 1; i >= 0; i-- {
		if len(s.Versions[i].Stages) > 0 {
			continue
		}
		if deprecated++; deprecated > maxDeprecated {
			s.Versions = slices.Delete(s.Versions, i, i+1)
		}
	}
}

// stages returns the labels of the versions that have some, by version.
func (s *secret) stages() map[string][]string {
	all := map[string][]string{}
	for _, v := range s.Versions {
		if len(v.Stages) > 0 {
			all[v.ID] = v.Stages
		}
	}
	return all
}
