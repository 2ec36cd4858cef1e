package msk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kafka"
	"github.com/freshet/freshet/internal/state"
)

// configuration is the document of a configuration, under owner and id.
type configuration struct {
	ARN           string
	Name          string
	Description   string
	KafkaVersions []string
	Created       time.Time
	Revisions     []revision // that of number n at n-1
}

// revision is the content of a configuration from a moment on. It never changes.
type revision struct {
	Description string
	Created     time.Time
	Properties  []byte // as they were sent: a server.properties file
}

// The bounds of a configuration's parts, as MSK's documentation gives them.
const (
	maxConfigurationName = 64
	maxPropertiesBytes   = 64 << 10
)

func (s *Service) createConfiguration(ctx context.Context, call *aws.Call, in *api.CreateConfigurationRequest) (*api.CreateConfigurationResponse, error) {
	if len(*in.Name) > maxConfigurationName || !namePattern.MatchString(*in.Name) {
		return nil, badRequest("name", "The configuration name must have 1 to %d letters, digits and hyphens, and begin with a letter or digit.", maxConfigurationName)
	}
	for _, version := range in.KafkaVersions {
		if err := checkKafkaVersion("kafkaVersions", version); err != nil {
			return nil, err
		}
	}
	if err := checkProperties(in.ServerProperties); err != nil {
		return nil, err
	}
	s.change.Lock()
	defer s.change.Unlock()
	all, err := s.configurations.list(ctx, ownerOf(call))
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(all, func(c *configuration) bool { return c.Name == *in.Name }) {
		return nil, errNameTaken("name")
	}
	if len(all) >= s.config.MaxConfigurations {
		return nil, badRequest("", "An account can have %d configurations.", s.config.MaxConfigurations)
	}
	id, err := s.names.id()
	if err != nil {
		return nil, err
	}
	c := &configuration{
		ARN: makeARN(call, configurationType, *in.Name, id), Name: *in.Name, Description: value(in.Description, ""), KafkaVersions: in.KafkaVersions, Created: s.now(),
		Revisions: []revision{{Description: value(in.Description, ""), Created: s.now(), Properties: in.ServerProperties}},
	}
	if err := s.configurations.save(ctx, ownerOf(call)+id, c, state.Absent); err != nil {
		return nil, err
	}
	s.logger.Info("msk configuration created", "configuration", c.ARN)
	return &api.CreateConfigurationResponse{
		Arn: &c.ARN, CreationTime: &c.Created, LatestRevision: c.describeRevision(1), Name: &c.Name, State: new(api.ConfigurationStateActive),
	}, nil
}

// findConfiguration returns the caller's configuration with an ARN, and its document's version.
func (s *Service) findConfiguration(ctx context.Context, call *aws.Call, arn string) (*configuration, int64, error) {
	r, ok := parseARN(arn)
	if !ok || r.kind != configurationType || len(r.parts) != 2 {
		return nil, 0, badRequest("arn", "Invalid Configuration ARN.")
	}
	if r.account != call.Account || r.region != call.Region {
		return nil, 0, errNoConfiguration
	}
	c, version, err := s.configurations.get(ctx, configurationID(r))
	if errors.Is(err, state.ErrNotFound) || err == nil && c.ARN != arn {
		return nil, 0, errNoConfiguration
	}
	return c, version, err
}

func configurationID(r ref) string { return owner(r.account, r.region) + r.parts[1] }

// errNoConfiguration is no NotFoundException at MSK, and Terraform knows it by the text.
var errNoConfiguration = badRequest("arn", "Configuration ARN does not exist.")

// describeRevision returns what answers say of revision n.
func (c *configuration) describeRevision(n int64) *api.ConfigurationRevision {
	r := &c.Revisions[n-1]
	out := &api.ConfigurationRevision{CreationTime: &r.Created, Revision: &n}
	if r.Description != "" {
		out.Description = &r.Description
	}
	return out
}

func (c *configuration) latest() int64 { return int64(len(c.Revisions)) }

func (s *Service) describeConfiguration(ctx context.Context, call *aws.Call, in *api.DescribeConfigurationRequest) (*api.DescribeConfigurationResponse, error) {
	c, _, err := s.findConfiguration(ctx, call, *in.Arn)
	if err != nil {
		return nil, err
	}
	return &api.DescribeConfigurationResponse{
		Arn: &c.ARN, CreationTime: &c.Created, Description: &c.Description, KafkaVersions: present(c.KafkaVersions),
		LatestRevision: c.describeRevision(c.latest()), Name: &c.Name, State: new(api.ConfigurationStateActive),
	}, nil
}

// present returns a list that is answered even if it is empty.
func present[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func (s *Service) describeConfigurationRevision(
	ctx context.Context, call *aws.Call, in *api.DescribeConfigurationRevisionRequest,
) (*api.DescribeConfigurationRevisionResponse, error) {
	c, _, err := s.findConfiguration(ctx, call, *in.Arn)
	if err != nil {
		return nil, err
	}
	if *in.Revision < 1 || *in.Revision > c.latest() {
		return nil, notFound("revision", "The configuration has no revision %d.", *in.Revision)
	}
	about := c.describeRevision(*in.Revision)
	return &api.DescribeConfigurationRevisionResponse{
		Arn: &c.ARN, CreationTime: about.CreationTime, Description: about.Description, Revision: about.Revision, ServerProperties: c.Revisions[*in.Revision-1].Properties,
	}, nil
}

func (s *Service) listConfigurations(ctx context.Context, call *aws.Call, in *api.ListConfigurationsRequest) (*api.ListConfigurationsResponse, error) {
	all, err := s.configurations.list(ctx, ownerOf(call))
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b *configuration) int { return strings.Compare(a.ARN, b.ARN) })
	some, next, err := page(all, func(c **configuration) string { return (*c).ARN }, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &api.ListConfigurationsResponse{Configurations: []api.Configuration{}, NextToken: next}
	for _, c := range some {
		out.Configurations = append(out.Configurations, api.Configuration{
			Arn: &c.ARN, CreationTime: &c.Created, Description: &c.Description, KafkaVersions: present(c.KafkaVersions),
			LatestRevision: c.describeRevision(c.latest()), Name: &c.Name, State: new(api.ConfigurationStateActive),
		})
	}
	return out, nil
}

func (s *Service) listConfigurationRevisions(
	ctx context.Context, call *aws.Call, in *api.ListConfigurationRevisionsRequest,
) (*api.ListConfigurationRevisionsResponse, error) {
	c, _, err := s.findConfiguration(ctx, call, *in.Arn)
	if err != nil {
		return nil, err
	}
	all := make([]api.ConfigurationRevision, len(c.Revisions))
	for i := range all {
		all[i] = *c.describeRevision(int64(i) + 1)
	}
	key := func(r *api.ConfigurationRevision) string { return fmt.Sprintf("%09d", *r.Revision) }
	some, next, err := page(all, key, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &api.ListConfigurationRevisionsResponse{Revisions: some, NextToken: next}, nil
}

// updateConfiguration makes a new revision. Clusters keep the revision that they have.
func (s *Service) updateConfiguration(ctx context.Context, call *aws.Call, in *api.UpdateConfigurationRequest) (*api.UpdateConfigurationResponse, error) {
	if err := checkProperties(in.ServerProperties); err != nil {
		return nil, err
	}
	s.change.Lock()
	defer s.change.Unlock()
	c, version, err := s.findConfiguration(ctx, call, *in.Arn)
	if err != nil {
		return nil, err
	}
	if len(c.Revisions) >= s.config.MaxRevisions {
		return nil, badRequest("arn", "A configuration can have %d revisions.", s.config.MaxRevisions)
	}
	c.Revisions = append(c.Revisions, revision{Description: value(in.Description, ""), Created: s.now(), Properties: in.ServerProperties})
	r, _ := parseARN(c.ARN)
	if err := s.configurations.save(ctx, configurationID(r), c, version); err != nil {
		return nil, err
	}
	return &api.UpdateConfigurationResponse{Arn: &c.ARN, LatestRevision: c.describeRevision(c.latest())}, nil
}

func (s *Service) deleteConfiguration(ctx context.Context, call *aws.Call, in *api.DeleteConfigurationRequest) (*api.DeleteConfigurationResponse, error) {
	s.change.Lock()
	defer s.change.Unlock()
	c, _, err := s.findConfiguration(ctx, call, *in.Arn)
	if err != nil {
		return nil, err
	}
	users, err := s.ownClusters(ctx, call, func(k *cluster) bool {
		return k.Provisioned != nil && value(k.Provisioned.CurrentBrokerSoftwareInfo.ConfigurationArn, "") == c.ARN
	})
	if err != nil {
		return nil, err
	}
	if len(users) > 0 {
		return nil, badRequest("arn", "Configuration is in use by one or more clusters. Dissociate the configuration from the clusters.")
	}
	r, _ := parseARN(c.ARN)
	if _, err := s.state.Apply(ctx, s.configurations.remove(configurationID(r))); err != nil {
		return nil, stored(err)
	}
	s.logger.Info("msk configuration deleted", "configuration", c.ARN)
	return &api.DeleteConfigurationResponse{Arn: &c.ARN, State: new(api.ConfigurationStateDeleting)}, nil
}
