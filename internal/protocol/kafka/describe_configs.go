package kafka

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/group"
	"github.com/freshet/freshet/internal/protocol/kafka/wire"
	"github.com/freshet/freshet/internal/stream"
)

// describeConfigs returns the configs of topics and of the broker. v1 tells where a value comes from (KIP-226), v3 its type and documentation.
// Groups, client metrics and the broker's loggers can be asked for and have no configs.
func (s *Server) describeConfigs(ctx context.Context, _ *Client, req *kmsg.DescribeConfigsRequest) *kmsg.DescribeConfigsResponse {
	resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
	for i := range req.Resources {
		asked := &req.Resources[i]
		r := kmsg.NewDescribeConfigsResponseResource()
		r.ResourceType, r.ResourceName = asked.ResourceType, asked.ResourceName
		configs, err := s.resourceConfigs(ctx, asked)
		r.ErrorCode, r.ErrorMessage = code(err), errorMessage(err)
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

// unsetAtBroker are the broker configs that have no value in Apache Kafka, as a coarser one has it: log.retention.hours for log.retention.ms. What
// they would be the default of has a default of its own.
var unsetAtBroker = []string{"log.flush.interval.ms", "log.retention.ms", "log.roll.jitter.ms", "log.roll.ms"}

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
		return topicConfigs(st), nil
	case kmsg.ConfigResourceTypeBroker:
		return s.brokerConfigs(asked.ResourceName)
	case kmsg.ConfigResourceTypeBrokerLogger:
		if asked.ResourceName == "" {
			return nil, refuse(kerr.InvalidRequest, "Broker id must not be empty")
		}
		return nil, s.checkBrokerName(asked.ResourceName)
	case kmsg.ConfigResourceTypeGroupConfig:
		if asked.ResourceName == "" {
			return nil, refuse(kerr.InvalidRequest, "Group name must not be empty")
		}
		return nil, nil
	case kmsg.ConfigResourceTypeClientMetrics:
		if asked.ResourceName == "" {
			return nil, refuse(kerr.InvalidRequest, "Client metrics subscription name must not be empty")
		}
		return nil, nil
	}
	return nil, refuse(kerr.InvalidRequest, "resources of type %d have no configs here", asked.ResourceType)
}

func topicConfigs(st *stream.Stream) []configRow {
	rows := make([]configRow, 0, len(topicSettings))
	for i := range topicSettings {
		t := &topicSettings[i]
		value, set := t.value(st)
		row := kmsg.NewDescribeConfigsResponseResourceConfig()
		row.Name, row.Value, row.ConfigType, row.Documentation = t.Key, &value, t.Type, &t.Doc
		row.Source, row.IsDefault = kmsg.ConfigSourceDefaultConfig, true
		if set {
			row.Source, row.IsDefault = kmsg.ConfigSourceDynamicTopicConfig, false
			row.ConfigSynonyms = append(row.ConfigSynonyms, synonym(t.Key, value, kmsg.ConfigSourceDynamicTopicConfig))
		}
		if t.Broker != "" && !slices.Contains(unsetAtBroker, t.Broker) {
			row.ConfigSynonyms = append(row.ConfigSynonyms, synonym(t.Broker, t.Default, kmsg.ConfigSourceDefaultConfig))
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

// brokerConfigs returns what the broker of a name is set to: what administration tools look for, read-only, as it is set when the server
// starts. The name "" asks for what is set for all brokers at run time: nothing.
func (s *Server) brokerConfigs(name string) ([]configRow, error) {
	if name == "" {
		return nil, nil
	}
	if err := s.checkBrokerName(name); err != nil {
		return nil, err
	}
	const (
		boolean = kmsg.ConfigTypeBoolean
		text    = kmsg.ConfigTypeString
		list    = kmsg.ConfigTypeList
		integer = kmsg.ConfigTypeInt
		long    = kmsg.ConfigTypeLong

		none = "" // no default: it is set in any case
	)
	itoa, g := strconv.Itoa, s.groups.Config()
	id := itoa(int(s.cfg.NodeID))
	rows := []configRow{
		brokerRow("advertised.listeners", list, "PLAINTEXT://"+s.host+":"+itoa(int(s.port)), none, "The address that clients are told to connect to."),
		brokerRow("auto.create.topics.enable", boolean, strconv.FormatBool(s.cfg.AutoCreateTopics), "true", "Whether asking for a topic's metadata creates it."),
		brokerRow("broker.id", integer, id, "-1", "The broker's id."),
		brokerRow("connections.max.idle.ms", long, millis(s.wire.IdleTimeout()), millis(wire.DefaultIdleTimeout), "How long a connection may be idle."),
		brokerRow("default.replication.factor", integer, "1", "1", "Replicas of topics that do not ask for a number."),
		brokerRow("delete.topic.enable", boolean, "true", "true", "Whether topics can be deleted."),
		brokerRow("fetch.max.bytes", integer, itoa(int(s.cfg.MaxFetchBytes)), itoa(DefaultMaxFetchBytes), "The most that one Fetch returns."),
		brokerRow("group.initial.rebalance.delay.ms", integer, millis(max(0, g.InitialDelay)), millis(group.DefaultInitialDelay),
			"How long the first rebalance of an empty group waits for more members."),
		brokerRow("group.max.session.timeout.ms", integer, millis(g.MaxSession), millis(group.DefaultMaxSession), "The longest session timeout that a member may ask for."),
		brokerRow("group.max.size", integer, itoa(g.MaxMembers), itoa(group.DefaultMaxMembers), "The most members of a group."),
		brokerRow("group.min.session.timeout.ms", integer, millis(g.MinSession), millis(group.DefaultMinSession), "The shortest session timeout that a member may ask for."),
		brokerRow("inter.broker.protocol.version", text, "4.2", "4.2", "The Kafka release whose requests are served."),
		brokerRow("log.dirs", list, s.cfg.DataDir, none, "Where the log is."),
		brokerRow("log.retention.hours", integer, hours(stream.DefaultRetention), hours(stream.DefaultRetention), "How long topics keep records that say nothing else."),
		brokerRow("max.incremental.fetch.session.cache.slots", integer, itoa(s.cfg.MaxFetchSessions), itoa(DefaultMaxFetchSessions),
			"How many fetch sessions are remembered."),
		brokerRow("node.id", integer, id, none, "The broker's id."),
		brokerRow("num.partitions", integer, itoa(int(s.cfg.DefaultPartitions)), "1", "Partitions of topics that do not ask for a number."),
		brokerRow("offset.metadata.max.bytes", integer, itoa(g.MaxMetadataBytes), itoa(group.DefaultMaxMetadataBytes), "The longest remark beside a committed offset."),
		brokerRow("offsets.retention.minutes", integer, minutes(g.OffsetsRetention), minutes(group.DefaultOffsetsRetention), "How long the offsets of an empty group are kept."),
		brokerRow("process.roles", list, "broker,controller", none, "What the node is."),
		brokerRow("socket.request.max.bytes", integer, itoa(s.wire.MaxRequestBytes()), itoa(wire.DefaultMaxRequestBytes), "The largest request that is read."),
	}
	for i := range topicSettings {
		t := &topicSettings[i]
		if t.Broker == "" || t.Broker == "freshet.durability" {
			continue
		}
		row := brokerRow(t.Broker, t.Type, t.Default, t.Default, t.Doc)
		if slices.Contains(unsetAtBroker, t.Broker) {
			row.Value, row.ConfigSynonyms = nil, nil
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b configRow) int { return strings.Compare(a.Name, b.Name) })
	return rows, nil
}

// checkBrokerName checks that a resource is this broker, by its id.
func (s *Server) checkBrokerName(name string) error {
	if id, err := strconv.ParseInt(name, 10, 32); err != nil || int32(id) != s.cfg.NodeID {
		return refuse(kerr.InvalidRequest, "there is one broker, %d, not %q", s.cfg.NodeID, name)
	}
	return nil
}

// brokerRow makes a row of a config that is at its default, or else has been set when the server started.
func brokerRow(name string, kind kmsg.ConfigType, value, def, doc string) configRow {
	row := kmsg.NewDescribeConfigsResponseResourceConfig()
	row.Name, row.Value, row.ConfigType, row.Documentation = name, &value, kind, &doc
	row.Source, row.IsDefault, row.ReadOnly = kmsg.ConfigSourceDefaultConfig, true, true
	if value != def {
		row.Source, row.IsDefault = kmsg.ConfigSourceStaticBrokerConfig, false
		row.ConfigSynonyms = append(row.ConfigSynonyms, synonym(name, value, kmsg.ConfigSourceStaticBrokerConfig))
	}
	if def != "" {
		row.ConfigSynonyms = append(row.ConfigSynonyms, synonym(name, def, kmsg.ConfigSourceDefaultConfig))
	}
	return row
}

func hours(d time.Duration) string { return strconv.Itoa(int(d.Hours())) }

func minutes(d time.Duration) string { return strconv.Itoa(int(d.Minutes())) }
