package kafka

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/brokerconfig"
)

// openBrokerConfigs loads what was set of the broker's configs.
func (s *Server) openBrokerConfigs(ctx context.Context) (err error) {
	settings := BrokerSettings()
	for i := range settings {
		if t := &settings[i]; s.cfg.Upkeep == nil && slices.Contains(upkeepKeys, t.Key) {
			t.Effect, t.Doc = brokerconfig.Refused, "it is the node's, which this cluster is part of"
		}
	}
	s.broker, err = brokerconfig.Open(ctx, s.cfg.State, settings, s.cfg.static(), s.checkTogether)
	return err
}

// applyBrokerConfigs makes the broker's configs hold as they are now.
func (s *Server) applyBrokerConfigs(ctx context.Context) error {
	s.applyConnections()
	s.applyUpkeep()
	return s.applyTopicDefaults(ctx)
}

// brokerLevel says whom the name of a BROKER resource is about: this broker, or all of them if it is empty.
func (s *Server) brokerLevel(name string) (brokerconfig.Level, error) {
	if name == "" {
		return brokerconfig.Cluster, nil
	}
	return brokerconfig.Broker, s.checkBrokerName(name)
}

// checkBrokerName checks that a resource is this broker, by its id.
func (s *Server) checkBrokerName(name string) error {
	switch id, err := strconv.ParseInt(name, 10, 32); {
	case err != nil:
		return refuse(kerr.InvalidRequest, "Node id must be an integer, but it is: %s", name)
	case int32(id) != s.cfg.NodeID:
		return refuse(kerr.InvalidRequest, "Unexpected broker id, expected %d, but received %s", s.cfg.NodeID, name)
	}
	return nil
}

// replaceBroker makes configs all that is set of a broker, or of all brokers, at run time.
func (s *Server) replaceBroker(ctx context.Context, c *Client, name string, validateOnly bool, configs []kmsg.AlterConfigsRequestResourceConfig) error {
	changes := make([]brokerconfig.Change, 0, len(configs))
	for _, config := range configs {
		changes = append(changes, brokerconfig.Change{Key: config.Name, Value: config.Value})
	}
	return s.changeBroker(ctx, c, name, changes, true, validateOnly)
}

// alterBroker makes the changes that are named to what is set of a broker, or of all brokers.
func (s *Server) alterBroker(ctx context.Context, c *Client, name string, validateOnly bool, configs []kmsg.IncrementalAlterConfigsRequestResourceConfig) error {
	changes := make([]brokerconfig.Change, 0, len(configs))
	for _, config := range configs {
		changes = append(changes, brokerconfig.Change{Key: config.Name, Op: config.Op, Value: config.Value})
	}
	return s.changeBroker(ctx, c, name, changes, false, validateOnly)
}

// changeBroker changes what is set, and makes it hold before it returns. If that fails what is set stays, and holds after the next change or start.
func (s *Server) changeBroker(ctx context.Context, c *Client, name string, changes []brokerconfig.Change, replace, validateOnly bool) error {
	level, err := s.brokerLevel(name)
	if err != nil {
		return err
	}
	s.alteringBroker.Lock()
	defer s.alteringBroker.Unlock()
	if _, err = s.broker.Alter(ctx, level, changes, replace, validateOnly); err != nil || validateOnly {
		return err
	}
	keys := make([]string, 0, len(changes))
	for _, change := range changes {
		keys = append(keys, change.Key)
	}
	s.logger.Info("broker altered", "level", string(level), "configs", strings.Join(keys, ","), "peer", c.Addr, "client", c.ID)
	return s.applyBrokerConfigs(ctx)
}

// threadKeys are configs that Kafka lets grow to twice, and shrink to half, at a time.
var threadKeys = []string{"background.threads", "num.io.threads", "num.network.threads", "num.recovery.threads.per.data.dir", "num.replica.fetchers", "log.cleaner.threads"}

// checkTogether refuses configs that are good alone, and not with the others or after what was before.
func (s *Server) checkTogether(before, after brokerconfig.Lookup) error {
	value := func(of brokerconfig.Lookup, key string) int64 {
		v, _ := of(key)
		return number(v)
	}
	for _, key := range threadKeys {
		switch was, is := value(before, key), value(after, key); {
		case is < was/2 || is == 0:
			return brokerconfig.Refuse("Dynamic thread count update validation failed for %s=%d, value should be at least half the current value %d", key, is, was)
		case is > 2*was:
			return brokerconfig.Refuse("Dynamic thread count update validation failed for %s=%d, value should not be greater than double the current value %d", key, is, was)
		}
	}
	for _, kind := range []string{"consumer", "streams"} {
		interval, most := "group."+kind+".assignment.interval.ms", "group."+kind+".max.assignment.interval.ms"
		if value(after, interval) > value(after, most) {
			return brokerconfig.Refuse("%s must be less than or equal to %s", interval, most)
		}
	}
	const least, longest = "log.cleaner.min.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms"
	if low, high := value(after, least), value(after, longest); low > high {
		return brokerconfig.Refuse("conflict between broker config setting %s (%d) > %s (%d)", least, low, longest, high)
	}
	const memory = "log.cleaner.dedupe.buffer.size"
	if value(after, memory)/max(1, value(after, "log.cleaner.threads")) <= 1<<20 {
		return brokerconfig.Refuse("requirement failed: %s must be at least 1MB per cleaner thread.", memory)
	}
	return s.checkConnections(before, after)
}

// brokerConfigs returns the configs of the broker of a name, or what is set for all brokers at run time if the name is empty.
func (s *Server) brokerConfigs(name string) ([]configRow, error) {
	level, err := s.brokerLevel(name)
	if err != nil {
		return nil, err
	}
	var rows []configRow
	for i := range s.broker.Settings() {
		t := &s.broker.Settings()[i]
		synonyms := s.broker.Synonyms(t.Key)
		if level == brokerconfig.Cluster {
			synonyms = slices.DeleteFunc(synonyms, func(of brokerconfig.Synonym) bool { return of.Source != kmsg.ConfigSourceDynamicDefaultBrokerConfig })
		}
		if t.Effect == brokerconfig.Refused || len(synonyms) == 0 && (t.Unlisted || level == brokerconfig.Cluster) {
			continue
		}
		rows = append(rows, brokerRow(t, synonyms))
	}
	if level == brokerconfig.Broker {
		rows = append(rows, s.listenerRows()...)
		slices.SortFunc(rows, func(a, b configRow) int { return strings.Compare(a.Name, b.Name) })
	}
	return rows, nil
}

// brokerRow makes a row of a config; of the values that it has or would have the first one holds.
func brokerRow(t *brokerconfig.Setting, synonyms []brokerconfig.Synonym) configRow {
	row := kmsg.NewDescribeConfigsResponseResourceConfig()
	row.Name, row.ConfigType, row.Documentation = t.Key, t.Type, &t.Doc
	row.ReadOnly, row.IsSensitive = t.ReadOnly(), t.Sensitive()
	row.Source = sourceOf(synonyms)
	row.IsDefault = row.Source == kmsg.ConfigSourceDefaultConfig
	for _, of := range synonyms {
		row.ConfigSynonyms = append(row.ConfigSynonyms, synonym(of.Key, of.Value, of.Source))
	}
	if len(synonyms) > 0 {
		row.Value = row.ConfigSynonyms[0].Value
	}
	return row
}

// sourceOf returns where a config has its value from.
func sourceOf(synonyms []brokerconfig.Synonym) kmsg.ConfigSource {
	if len(synonyms) == 0 {
		return kmsg.ConfigSourceDefaultConfig
	}
	return synonyms[0].Source
}

// givenRow makes a row of a config that has been set when the server started, and of which there is no setting; def is "" if there is no default.
func givenRow(name string, kind kmsg.ConfigType, value, def, doc string) configRow {
	var synonyms []brokerconfig.Synonym
	if value != def {
		synonyms = append(synonyms, brokerconfig.Synonym{Key: name, Value: value, Source: kmsg.ConfigSourceStaticBrokerConfig})
	}
	if def != "" {
		synonyms = append(synonyms, brokerconfig.Synonym{Key: name, Value: def, Source: kmsg.ConfigSourceDefaultConfig})
	}
	return brokerRow(&brokerconfig.Setting{Key: name, Type: kind, Doc: doc}, synonyms)
}

// upkeepKeys are the configs of the log's upkeep that the node has once.
var upkeepKeys = []string{"log.cleaner.backoff.ms", "log.cleaner.dedupe.buffer.size", "log.cleaner.io.max.bytes.per.second", "producer.id.expiration.ms"}

// applyUpkeep hands what is set about the log's upkeep to the log.
func (s *Server) applyUpkeep() {
	if s.cfg.Upkeep == nil {
		return
	}
	u := s.cfg.Upkeep.Upkeep()
	u.CompactInterval = max(leastCleanerBackoff, s.broker.Duration("log.cleaner.backoff.ms"))
	u.CompactMemory = min(mostCleanerMemory, s.broker.Int("log.cleaner.dedupe.buffer.size"))
	u.ProducerExpiration = s.broker.Duration("producer.id.expiration.ms")
	rate, _ := s.broker.Value("log.cleaner.io.max.bytes.per.second")
	u.CompactRate = -1
	if perSecond, err := strconv.ParseFloat(rate, 64); err == nil && perSecond < math.MaxInt64 {
		u.CompactRate = max(1, int64(perSecond))
	}
	if u != s.cfg.Upkeep.Upkeep() {
		s.cfg.Upkeep.SetUpkeep(u)
	}
}
