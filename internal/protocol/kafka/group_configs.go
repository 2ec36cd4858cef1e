package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/brokerconfig"
	"github.com/freshet/freshet/internal/protocol/kafka/group"
	"github.com/freshet/freshet/internal/protocol/kafka/groupconfig"
)

// consumerBounds are the defaults and bounds of consumer groups' configs.
func consumerBounds(c group.Config) groupconfig.Consumer {
	c = c.WithDefaults()
	return groupconfig.Consumer{
		Session: c.ConsumerSession, MinSession: c.MinConsumerSession, MaxSession: c.MaxConsumerSession,
		Interval: c.ConsumerInterval, MinInterval: c.MinConsumerInterval, MaxInterval: c.MaxConsumerInterval,
		AssignEvery: c.AssignEvery, MaxAssignEvery: c.MaxAssignEvery,
	}
}

// streamsBounds are the defaults and bounds of streams groups' configs.
func streamsBounds(c group.Config) groupconfig.Streams {
	c = c.WithDefaults()
	return groupconfig.Streams{
		Consumer: groupconfig.Consumer{
			Session: c.StreamsSession, MinSession: c.MinStreamsSession, MaxSession: c.MaxStreamsSession,
			Interval: c.StreamsInterval, MinInterval: c.MinStreamsInterval, MaxInterval: c.MaxStreamsInterval,
			AssignEvery: c.AssignStreamsEvery, MaxAssignEvery: c.MaxAssignStreams,
		},
		Delay: max(0, c.StreamsDelay), Standbys: c.Standbys, MaxStandbys: c.MaxStandbys,
	}
}

// shareBounds are the defaults and bounds of share groups' configs.
func shareBounds(c *Config) groupconfig.Share {
	b, d := c.ShareBounds.WithDefaults(), c.Shares.WithDefaults().Defaults
	b.Session, b.Interval, b.Lock, b.Deliveries, b.Locks = d.Session, d.Heartbeat, d.Lock, int(d.Deliveries), d.Locks
	return b
}

// consumerSettings returns what holds for a consumer group.
func (s *Server) consumerSettings(id string) group.Settings {
	return s.heartbeatSettings("consumer", id)
}

// streamsSettings returns what holds for a streams group.
func (s *Server) streamsSettings(id string) group.Settings {
	settings := s.heartbeatSettings("streams", id)
	settings.Delay = s.configs.Duration(id, "streams.initial.rebalance.delay.ms")
	settings.Standbys = s.configs.Int(id, "streams.num.standby.replicas")
	return settings
}

// heartbeatSettings returns what all kinds of groups have whose members hear by heartbeats what they have.
func (s *Server) heartbeatSettings(kind, id string) group.Settings {
	settings := group.Settings{
		Session:     s.configs.Duration(id, kind+".session.timeout.ms"),
		Interval:    s.configs.Duration(id, kind+".heartbeat.interval.ms"),
		AssignEvery: s.broker.Duration("group." + kind + ".assignment.interval.ms"),
	}
	own := s.configs.Set(id)
	if _, set := own[kind+".assignment.interval.ms"]; set {
		settings.AssignEvery = s.configs.Duration(id, kind+".assignment.interval.ms")
	}
	if _, set := own[kind+".heartbeat.interval.ms"]; set {
		settings.Brisk = settings.Interval
	}
	return settings
}

// groupConfigs returns the configs of a group, whether there is one of that name or not.
func (s *Server) groupConfigs(name string) []configRow {
	set := s.configs.Set(name)
	var rows []configRow
	for _, t := range s.configs.Settings() {
		row := kmsg.NewDescribeConfigsResponseResourceConfig()
		value, own := set[t.Key]
		synonyms := s.groupSynonyms(&t)
		if !own {
			value = synonyms[0].Value
		}
		row.Name, row.Value, row.ConfigType, row.Documentation = t.Key, &value, t.Type, &t.Doc
		row.Source = sourceOf(synonyms)
		if own {
			row.Source = kmsg.ConfigSourceGroupConfig
			row.ConfigSynonyms = append(row.ConfigSynonyms, synonym(t.Key, value, kmsg.ConfigSourceGroupConfig))
		}
		row.IsDefault = row.Source == kmsg.ConfigSourceDefaultConfig
		for _, of := range synonyms {
			row.ConfigSynonyms = append(row.ConfigSynonyms, synonym(of.Key, of.Value, of.Source))
		}
		rows = append(rows, row)
	}
	return rows
}

// groupSynonyms returns where a group has a config from that it has not set: the broker, or else its default.
func (s *Server) groupSynonyms(t *groupconfig.Setting) []brokerconfig.Synonym {
	if all := s.broker.Synonyms(t.Broker); len(all) > 0 {
		return all
	}
	return []brokerconfig.Synonym{{Key: t.Broker, Value: t.Default, Source: kmsg.ConfigSourceDefaultConfig}}
}

// replaceGroup makes configs all that a group has set.
func (s *Server) replaceGroup(ctx context.Context, c *Client, name string, validateOnly bool, configs []kmsg.AlterConfigsRequestResourceConfig) error {
	var changes []groupconfig.Change
	for key := range s.configs.Set(name) {
		changes = append(changes, groupconfig.Change{Key: key})
	}
	again := repeated(configs, func(c *kmsg.AlterConfigsRequestResourceConfig) string { return c.Name })
	for i := range configs {
		switch config := &configs[i]; {
		case again[config.Name]:
			return errConfigTwice(config.Name)
		case config.Value == nil:
			return refuse(kerr.InvalidRequest, "Null value not supported for : %s", config.Name)
		default:
			changes = append(changes, groupconfig.Change{Key: config.Name, Value: config.Value})
		}
	}
	return s.changeGroup(ctx, c, name, validateOnly, changes)
}

// alterGroup makes the changes that are named to what a group has set.
func (s *Server) alterGroup(ctx context.Context, c *Client, name string, validateOnly bool, configs []kmsg.IncrementalAlterConfigsRequestResourceConfig) error {
	var changes []groupconfig.Change
	again := repeated(configs, func(c *kmsg.IncrementalAlterConfigsRequestResourceConfig) string { return c.Name })
	for i := range configs {
		switch config := &configs[i]; {
		case again[config.Name]:
			return errConfigTwice(config.Name)
		case config.Op < kmsg.IncrementalAlterConfigOpSet || config.Op > kmsg.IncrementalAlterConfigOpSubtract:
			return refuse(kerr.InvalidRequest, "operation %d on %s is unknown", config.Op, config.Name)
		case config.Op == kmsg.IncrementalAlterConfigOpDelete:
			changes = append(changes, groupconfig.Change{Key: config.Name})
		case config.Value == nil:
			return refuse(kerr.InvalidRequest, "Null value not supported for : %s", config.Name)
		case config.Op != kmsg.IncrementalAlterConfigOpSet:
			return refuse(kerr.InvalidConfig, "Can't %s to key %s because its type is not LIST.", config.Op, config.Name)
		default:
			changes = append(changes, groupconfig.Change{Key: config.Name, Value: config.Value})
		}
	}
	return s.changeGroup(ctx, c, name, validateOnly, changes)
}

func (s *Server) changeGroup(ctx context.Context, c *Client, name string, validateOnly bool, changes []groupconfig.Change) error {
	err := s.configs.Alter(ctx, name, changes, validateOnly)
	if err == nil && !validateOnly {
		s.logger.Info("group altered", "group", name, "changes", len(changes), "peer", c.Addr, "client", c.ID)
	}
	return err
}
