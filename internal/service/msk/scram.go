package msk

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kafka"
	"github.com/freshet/freshet/internal/state"
)

// Secrets is where users' names and passwords are.
type Secrets interface {
	// Secret returns the secret of an ARN, which an account has in a region. ErrNoSecret if there is none that can be read.
	Secret(ctx context.Context, account, region, arn string) (Secret, error)
}

// Secret is a secret as MSK wants them.
type Secret struct {
	Name   string
	KMSKey string // "" is AWS's own
	Text   string // JSON with username and password
}

// ErrNoSecret says that there is no such secret, or that it is to be deleted.
var ErrNoSecret = errors.New("no such secret")

// The bounds of SCRAM secrets, MSK's.
const (
	maxBatch   = 10
	maxSecrets = 1000 // of a cluster
)

// secretPrefix begins the name of each secret that MSK takes.
const secretPrefix = "AmazonMSK_"

// The codes of secrets that were left out of a batch.
const (
	invalidSecret  = "InvalidSecretArn"
	tooManySecrets = "TooManySecrets"
)

// user reads a secret, or says why it cannot be used.
func (s *Service) user(ctx context.Context, c *cluster, arn string) (name, password string, refusal *api.UnprocessedScramSecret, err error) {
	refuse := func(message string) (string, string, *api.UnprocessedScramSecret, error) {
		return "", "", unprocessed(arn, invalidSecret, message), nil
	}
	r, _ := parseARN(c.ARN)
	found, err := s.secrets.Secret(ctx, r.account, r.region, arn)
	switch {
	case errors.Is(err, ErrNoSecret):
		return refuse("Amazon MSK wasn't able to access the provided secret.")
	case err != nil:
		return "", "", nil, err
	case !strings.HasPrefix(found.Name, secretPrefix):
		return refuse("The provided secret arn cannot be used with Amazon MSK. Secret names must have the prefix '" + secretPrefix + "'")
	case found.KMSKey == "" || strings.HasSuffix(found.KMSKey, "alias/aws/secretsmanager"):
		return refuse("The provided secret is encrypted with the default key. Amazon MSK takes secrets that have a customer managed key.")
	}
	var content struct{ Username, Password string }
	if json.Unmarshal([]byte(found.Text), &content) != nil || content.Username == "" || content.Password == "" {
		return refuse("The provided secret is not valid: it must be a JSON object with username and password.")
	}
	return content.Username, content.Password, nil, nil
}

func checkBatch(arns []string) error {
	if len(arns) == 0 || len(arns) > maxBatch {
		return badRequest("secretArnList", "The list of secrets must have 1 to %d ARNs, not %d.", maxBatch, len(arns))
	}
	return nil
}

// editSecrets has edit change the secrets of a cluster, one after the other, and makes the cluster's users those of the secrets that it has then. It
// returns the secrets that edit refused. edit adds the users whose passwords are to be set.
func (s *Service) editSecrets(
	ctx context.Context, call *aws.Call, cluster string, secrets []string, edit func(c *cluster, secret string, users map[string]string) (*api.UnprocessedScramSecret, error),
) ([]api.UnprocessedScramSecret, error) {
	if err := checkBatch(secrets); err != nil {
		return nil, err
	}
	s.change.Lock()
	defer s.change.Unlock()
	c, version, err := s.findProvisioned(ctx, call, cluster)
	if err != nil {
		return nil, err
	}
	next, users, refused := c.clone(), map[string]string{}, []api.UnprocessedScramSecret{}
	if next.Secrets == nil {
		next.Secrets = map[string]string{}
	}
	for _, secret := range secrets {
		refusal, err := edit(next, secret, users)
		if err != nil {
			return nil, err
		}
		if refusal != nil {
			refused = append(refused, *refusal)
		}
	}
	if err := s.setUsers(ctx, c, next, users); err != nil {
		return nil, err
	}
	return refused, s.clusters.save(ctx, next.key(), next, version)
}

// batchAssociate makes users of the secrets that can be used. One that is associated already is read anew.
func (s *Service) batchAssociate(
	ctx context.Context, call *aws.Call, in *api.BatchAssociateScramSecretRequest,
) (*api.BatchAssociateScramSecretResponse, error) {
	refused, err := s.editSecrets(ctx, call, *in.ClusterArn, in.SecretArnList, func(c *cluster, arn string, users map[string]string) (*api.UnprocessedScramSecret, error) {
		name, password, refusal, err := s.user(ctx, c, arn)
		if err != nil || refusal != nil {
			return refusal, err
		}
		if _, there := c.Secrets[arn]; !there && len(c.Secrets) >= maxSecrets {
			return unprocessed(arn, tooManySecrets, "The cluster has as many secrets as it can have."), nil
		}
		c.Secrets[arn], users[name] = name, password
		return nil, nil //nolint:nilnil // nothing is refused
	})
	if err != nil {
		return nil, err
	}
	return &api.BatchAssociateScramSecretResponse{ClusterArn: in.ClusterArn, UnprocessedScramSecrets: refused}, nil
}

func unprocessed(arn, code, message string) *api.UnprocessedScramSecret {
	return &api.UnprocessedScramSecret{SecretArn: &arn, ErrorCode: &code, ErrorMessage: &message}
}

// setUsers gives a cluster the passwords of users, and takes those away that no secret has any more.
func (s *Service) setUsers(ctx context.Context, old, next *cluster, users map[string]string) error {
	kept := slices.Collect(maps.Values(next.Secrets))
	var gone []string
	for _, name := range old.Secrets {
		if name != "" && !slices.Contains(kept, name) {
			gone = append(gone, name)
		}
	}
	return s.plane.SetUsers(ctx, next.Namespace, users, gone)
}

func (s *Service) batchDisassociate(
	ctx context.Context, call *aws.Call, in *api.BatchDisassociateScramSecretRequest,
) (*api.BatchDisassociateScramSecretResponse, error) {
	refused, err := s.editSecrets(ctx, call, *in.ClusterArn, in.SecretArnList, func(c *cluster, arn string, _ map[string]string) (*api.UnprocessedScramSecret, error) {
		if _, there := c.Secrets[arn]; !there {
			return unprocessed(arn, invalidSecret, "The provided secret is not associated with the cluster."), nil
		}
		delete(c.Secrets, arn)
		return nil, nil //nolint:nilnil // nothing is refused
	})
	if err != nil {
		return nil, err
	}
	return &api.BatchDisassociateScramSecretResponse{ClusterArn: in.ClusterArn, UnprocessedScramSecrets: refused}, nil
}

func (s *Service) listScramSecrets(ctx context.Context, call *aws.Call, in *api.ListScramSecretsRequest) (*api.ListScramSecretsResponse, error) {
	c, _, err := s.findProvisioned(ctx, call, *in.ClusterArn)
	if err != nil {
		return nil, err
	}
	some, next, err := page(slices.Sorted(maps.Keys(c.Secrets)), func(arn *string) string { return *arn }, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &api.ListScramSecretsResponse{SecretArnList: present(some), NextToken: next}, nil
}

// SecretChanged has the clusters that a secret is associated with read it anew: its user has the new password, or cannot connect any more if the
// secret cannot be used. It is called after each change of a secret.
func (s *Service) SecretChanged(ctx context.Context, arn string) {
	s.change.Lock()
	defer s.change.Unlock()
	all, err := s.clusters.list(ctx, "")
	if err != nil {
		s.logger.Error("clusters of a secret are not known", "secret", arn, "error", err)
		return
	}
	for _, c := range all {
		if _, there := c.Secrets[arn]; !there || c.Deleting {
			continue
		}
		if err := s.readAgain(ctx, c, arn); err != nil {
			s.logger.Error("secret of a cluster is not read", "cluster", c.ARN, "secret", arn, "error", err)
		}
	}
}

func (s *Service) readAgain(ctx context.Context, c *cluster, arn string) error {
	name, password, refusal, err := s.user(ctx, c, arn)
	if err != nil {
		return err
	}
	next := c.clone()
	users := map[string]string{name: password}
	if refusal != nil {
		s.logger.Warn("secret of a cluster cannot be used any more", "cluster", c.ARN, "secret", arn, "reason", *refusal.ErrorMessage)
		name, users = "", nil
	}
	next.Secrets[arn] = name
	if err := s.setUsers(ctx, c, next, users); err != nil {
		return err
	}
	return s.clusters.save(ctx, next.key(), next, state.Any)
}
