package msk

import (
	"context"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kafka"
)

// kafkaVersions are those that MSK knows, oldest first. A cluster of any of them is served by this node's one broker.
var kafkaVersions = []struct {
	name       string
	deprecated bool
}{
	{"1.1.1", true},
	{"2.1.0", true},
	{"2.2.1", true},
	{"2.3.1", true},
	{"2.4.1", true},
	{"2.4.1.1", true},
	{"2.5.1", true},
	{"2.6.0", true},
	{"2.6.1", true},
	{"2.6.2", true},
	{"2.6.3", true},
	{"2.7.0", true},
	{"2.7.1", true},
	{"2.7.2", true},
	{"2.8.0", true},
	{"2.8.1", true},
	{"2.8.2.tiered", true},
	{"3.1.1", true},
	{"3.2.0", true},
	{"3.3.1", true},
	{"3.3.2", true},
	{"3.4.0", true},
	{"3.5.1", false},
	{"3.6.0", false},
	{"3.6.0.1", false},
	{"3.7.x", false},
	{"3.7.x.kraft", false},
	{"3.8.x", false},
	{"3.8.x.kraft", false},
	{"3.9.x", false},
	{"3.9.x.kraft", false},
	{"4.0.x.kraft", false},
	{"4.1.x.kraft", false},
}

// versionNames lists all versions.
func versionNames() []string {
	all := make([]string, 0, len(kafkaVersions))
	for _, v := range kafkaVersions {
		all = append(all, v.name)
	}
	return all
}

func checkKafkaVersion(member, version string) error {
	if all := versionNames(); !slices.Contains(all, version) {
		return badRequest(member, "Unsupported KafkaVersion [%s]. Valid values: [%s]", version, strings.Join(all, ", "))
	}
	return nil
}

// compatible returns the versions that a cluster of version can be updated to: later ones whose metadata is kept in the same way, as no cluster
// changes between ZooKeeper and KRaft.
func compatible(version string) []string {
	all := versionNames()
	later := slices.Clone(all[slices.Index(all, version)+1:])
	kraft := func(v string) bool { return strings.HasSuffix(v, ".kraft") }
	return slices.DeleteFunc(later, func(v string) bool { return kraft(v) != kraft(version) || v == "2.8.2.tiered" })
}

func (s *Service) listKafkaVersions(_ context.Context, _ *aws.Call, in *api.ListKafkaVersionsRequest) (*api.ListKafkaVersionsResponse, error) {
	all := make([]api.KafkaVersion, 0, len(kafkaVersions))
	for i := range kafkaVersions {
		status := api.KafkaVersionStatusActive
		if kafkaVersions[i].deprecated {
			status = api.KafkaVersionStatusDeprecated
		}
		all = append(all, api.KafkaVersion{Version: &kafkaVersions[i].name, Status: &status})
	}
	some, next, err := page(all, func(v *api.KafkaVersion) string { return *v.Version }, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &api.ListKafkaVersionsResponse{KafkaVersions: some, NextToken: next}, nil
}
