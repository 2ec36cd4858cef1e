package secrets

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/secretsmanager"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// Config bounds the service. Zero values mean the defaults.
type Config struct {
	MaxSecrets int // of an account in a region
}

// DefaultMaxSecrets is how many secrets an account can have in a region.
const DefaultMaxSecrets = 10_000

// Dependencies are what the service stands on; all are required.
type Dependencies struct {
	State  state.Store
	Clock  clock.Clock
	Random io.Reader
	Logger *slog.Logger
	// Changed, if set, is told of each secret whose current value has changed or that is to be deleted, after it is stored.
	Changed func(ctx context.Context, arn string)
}

// Service serves the API. Its methods are safe for concurrent use.
type Service struct {
	config  Config
	state   state.Store
	clock   clock.Clock
	random  io.Reader
	logger  *slog.Logger
	changed func(ctx context.Context, arn string)

	change sync.Mutex // serialises changes: each reads and writes a document
}

// New returns the service.
func New(config Config, deps Dependencies) *Service {
	config.MaxSecrets = cmp.Or(config.MaxSecrets, DefaultMaxSecrets)
	if deps.Changed == nil {
		deps.Changed = func(context.Context, string) {}
	}
	return &Service{config: config, state: deps.State, clock: deps.Clock, random: deps.Random, logger: deps.Logger, changed: deps.Changed}
}

// API lists what is served.
func (s *Service) API() aws.Service {
	return aws.Service{
		Model:   api.Model,
		Ledger:  Ledger,
		Refused: refused,
		Operations: []aws.Operation{
			aws.Handle("CreateSecret", s.createSecret),
			aws.Handle("DeleteSecret", s.deleteSecret),
			aws.Handle("DescribeSecret", s.describeSecret),
			aws.Handle("GetResourcePolicy", s.getResourcePolicy),
			aws.Handle("GetSecretValue", s.getSecretValue),
			aws.Handle("ListSecretVersionIds", s.listSecretVersionIDs),
			aws.Handle("ListSecrets", s.listSecrets),
			aws.Handle("PutSecretValue", s.putSecretValue),
			aws.Handle("RestoreSecret", s.restoreSecret),
			aws.Handle("TagResource", s.tagResource),
			aws.Handle("UntagResource", s.untagResource),
			aws.Handle("UpdateSecret", s.updateSecret),
			aws.Handle("UpdateSecretVersionStage", s.updateSecretVersionStage),
		},
	}
}

// Secret is what another service of the node may know of a secret.
type Secret struct {
	Name   string
	KMSKey string // "" is AWS's own
	Text   string // the current value; "" if it is binary, or there is none
}

// ErrNotFound says that there is no such secret, or that it is to be deleted.
var ErrNotFound = errors.New("secret not found")

// Value returns the secret of an ARN to another service, which acts for the account and region that the secret is of. ErrNotFound.
func (s *Service) Value(ctx context.Context, account, region, arn string) (Secret, error) {
	found, err := s.usable(ctx, &aws.Call{Account: account, Region: region}, arn)
	if fault, ok := errors.AsType[*aws.Error](err); ok {
		return Secret{}, fmt.Errorf("%w: %s: %s", ErrNotFound, arn, fault.Message)
	}
	if err != nil {
		return Secret{}, err
	}
	out := Secret{Name: found.Name, KMSKey: found.KMSKey}
	if v := found.version("", current); v != nil {
		out.Text = value(v.Text, "")
	}
	return out, nil
}

// now is the clock in the milliseconds of the protocol.
func (s *Service) now() time.Time { return s.clock.Now().UTC().Truncate(time.Millisecond) }

// suffix draws what a secret's ARN ends in.
func (s *Service) suffix() (string, error) {
	const letters, length = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789AB", 6
	var b [length]byte
	if _, err := io.ReadFull(s.random, b[:]); err != nil {
		return "", fmt.Errorf("draw a secret's suffix: %w", err)
	}
	for i := range b {
		b[i] = letters[b[i]%64]
	}
	return string(b[:]), nil
}

// token returns the id of a new version: the client's, or one that is drawn.
func (s *Service) token(asked *string) (string, error) {
	if asked != nil {
		return *asked, nil
	}
	id, err := stream.NewID(s.random)
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]), err
}

// value is what an absent member stands for.
func value[T any](p *T, absent T) T {
	if p == nil {
		return absent
	}
	return *p
}

// optional leaves empty text out of an answer.
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// moment leaves a time that has not come out of an answer.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
