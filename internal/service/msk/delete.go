package msk

import (
	"context"
	"fmt"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kafka"
	"github.com/freshet/freshet/internal/state"
)

func (s *Service) deleteCluster(ctx context.Context, call *aws.Call, in *api.DeleteClusterRequest) (*api.DeleteClusterResponse, error) {
	s.change.Lock()
	defer s.change.Unlock()
	c, version, err := s.findCluster(ctx, call, *in.ClusterArn)
	if err != nil {
		return nil, err
	}
	if in.CurrentVersion != nil && *in.CurrentVersion != c.Version {
		return nil, errStale
	}
	c.Deleting = true
	if err := s.clusters.save(ctx, c.key(), c, version); err != nil {
		return nil, err
	}
	if err := s.remove(ctx, c); err != nil {
		return nil, err
	}
	s.logger.Info("msk cluster deleted", "cluster", c.ARN)
	return &api.DeleteClusterResponse{ClusterArn: &c.ARN, State: new(api.ClusterStateDeleting)}, nil
}

// remove ends a cluster whose document says that it is being deleted. Whatever fails, another call or start goes on.
func (s *Service) remove(ctx context.Context, c *cluster) error {
	if err := s.plane.Drop(ctx, c.Namespace); err != nil {
		return fmt.Errorf("remove cluster %s: %w", c.ARN, err)
	}
	changes := []state.Change{s.clusters.remove(c.key())}
	operations, err := s.operations.list(ctx, c.key()+"/")
	if err != nil {
		return err
	}
	for _, o := range operations {
		changes = append(changes, s.operations.remove(c.key()+"/"+o.key()))
	}
	topics, err := s.topics.list(ctx, topicKey(c, ""))
	if err != nil {
		return err
	}
	for _, t := range topics {
		changes = append(changes, s.topics.remove(topicKey(c, t.Name)))
	}
	_, err = s.state.Apply(ctx, changes...)
	return stored(err)
}

// Start has the plane serve the clusters that there are, and goes on with deletions that were not finished. A cluster that cannot have its ports
// again gets others.
func (s *Service) Start(ctx context.Context) error {
	s.change.Lock()
	defer s.change.Unlock()
	all, err := s.clusters.list(ctx, "")
	if err != nil {
		return fmt.Errorf("start msk: %w", err)
	}
	for _, c := range all {
		if c.Deleting {
			if err := s.remove(ctx, c); err != nil {
				return err
			}
			continue
		}
		before := fmt.Sprint(c.Ports)
		if err := s.open(ctx, c); err != nil {
			return fmt.Errorf("start cluster %s: %w", c.ARN, err)
		}
		if fmt.Sprint(c.Ports) == before {
			continue
		}
		s.logger.Warn("msk cluster has other ports", "cluster", c.ARN, "before", before, "now", fmt.Sprint(c.Ports))
		if err := s.clusters.save(ctx, c.key(), c, state.Any); err != nil {
			return err
		}
	}
	return nil
}
