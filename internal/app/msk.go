package app

import (
	"context"
	"errors"

	"github.com/freshet/freshet/internal/service/msk"
	"github.com/freshet/freshet/internal/service/secrets"
)

// openMSK makes the control plane of clusters and the secrets beside it, and has the clusters that there are listen.
func (n *Node) openMSK(ctx context.Context) (err error) {
	if n.clusters, err = newClusters(n); err != nil {
		return err
	}
	n.secrets = secrets.New(secrets.Config{}, secrets.Dependencies{
		State: n.engine.State(), Clock: n.deps.Clock, Random: n.deps.Random, Logger: n.logger.With(partKey, "secrets"),
		Changed: func(ctx context.Context, arn string) { n.msk.SecretChanged(ctx, arn) },
	})
	n.msk = msk.New(msk.Config{}, msk.Dependencies{
		State: n.engine.State(), Plane: n.clusters, Secrets: clusterSecrets{n.secrets}, Clock: n.deps.Clock, Random: n.deps.Random,
		Logger: n.logger.With(partKey, "msk"),
	})
	return n.msk.Start(ctx)
}

// clusterSecrets are the secrets as clusters see them.
type clusterSecrets struct{ of *secrets.Service }

// Secret implements msk.Secrets.
func (s clusterSecrets) Secret(ctx context.Context, account, region, arn string) (msk.Secret, error) {
	found, err := s.of.Value(ctx, account, region, arn)
	if errors.Is(err, secrets.ErrNotFound) {
		return msk.Secret{}, errors.Join(msk.ErrNoSecret, err)
	}
	return msk.Secret{Name: found.Name, KMSKey: found.KMSKey, Text: found.Text}, err
}
