package kafka

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/stream"
)

// describeConfigs returns the configs of topics, groups, subscriptions of clients' metrics, the broker and its loggers. v1 tells where a value comes from
// (KIP-226), v3 its type and documentation.
func (s *Server) describeConfigs(ctx context.Context, _ *Client, req *kmsg.DescribeConfigsRequest) *kmsg.DescribeConfigsResponse {
	resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
	for i := range req.Resources {
		asked := &req.Resources[i]
		r := kmsg.NewDescribeConfigsResponseResource()
		r.ResourceType, r.ResourceName = asked.ResourceType, asked.ResourceName
		configs, err := s.resourceConfigs(ctx, asked)
		r.ErrorCode, r.ErrorMessage = code(err), messageOrEmpty(err)
		for _, c := range configs {
			if len(asked.ConfigNames) > 0 && !slices.Contains(asked.ConfigNames, c.Name) {
				continue
			}
			if !req.IncludeSynonyms {
				c.ConfigSynonyms = nil
			}
			if !req.IncludeDocumentation {
				c.Documentation = nil
			}
			r.Configs = append(r.Configs, c)
		}
		resp.Resources = append(resp.Resources, r)
	}
	return resp
}

type configRow = kmsg.DescribeConfigsResponseResourceConfig

func (s *Server) resourceConfigs(ctx context.Context, asked *kmsg.DescribeConfigsRequestResource) ([]configRow, error) {
	switch asked.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		if err := checkTopicName(asked.ResourceName); err != nil {
			return nil, err
		}
		st, err := s.topic(ctx, asked.ResourceName)
		if err != nil {
			return nil, err
		}
		return s.topicConfigs(st), nil
	case kmsg.ConfigResourceTypeBroker:
		return s.brokerConfigs(asked.ResourceName)
	case kmsg.ConfigResourceTypeBrokerLogger:
		return s.loggerConfigs(asked.ResourceName)
	case kmsg.ConfigResourceTypeGroupConfig:
		if asked.ResourceName == "" {
			return nil, refuse(kerr.InvalidRequest, "Group name must not be empty")
		}
		return s.groupConfigs(asked.ResourceName), nil
	case kmsg.ConfigResourceTypeClientMetrics:
		if asked.ResourceName == "" {
			return nil, refuse(kerr.InvalidRequest, "Client metrics subscription name must not be empty")
		}
		return s.clientMetricsConfigs(asked.ResourceName), nil
	}
	return nil, refuse(kerr.InvalidRequest, "resources of type %d have no configs here", asked.ResourceType)
}

func (s *Server) topicConfigs(st *stream.Stream) []configRow {
	rows := make([]configRow, 0, len(topicSettings))
	for i := range topicSettings {
		t := &topicSettings[i]
		value, set := s.topicValue(t, st)
		row := kmsg.NewDescribeConfigsResponseResourceConfig()
		row.Name, row.Value, row.ConfigType, row.Documentation = t.Key, &value, t.Type, &t.Doc
		synonyms := s.defaults.Load().synonyms[t.Broker]
		if row.Source = sourceOf(synonyms); set {
			row.Source = kmsg.ConfigSourceDynamicTopicConfig
			row.ConfigSynonyms = append(row.ConfigSynonyms, synonym(t.Key, value, kmsg.ConfigSourceDynamicTopicConfig))
		}
		row.IsDefault = row.Source == kmsg.ConfigSourceDefaultConfig
		for _, of := range synonyms {
			row.ConfigSynonyms = append(row.ConfigSynonyms, synonym(of.Key, of.Value, of.Source))
		}
		rows = append(rows, row)
	}
	return rows
}

func synonym(name, value string, source kmsg.ConfigSource) kmsg.DescribeConfigsResponseResourceConfigConfigSynonym {
	s := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
	s.Name, s.Value, s.Source = name, &value, source
	return s
}
