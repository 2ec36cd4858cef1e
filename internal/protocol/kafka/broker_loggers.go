package kafka

import (
	"log/slog"
	"maps"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Loggers are those of the node, by name, with the least important level that each writes. They are not kept: a start begins with its own (KIP-412).
type Loggers interface {
	Levels() map[string]slog.Level
	// SetLevel gives a logger, one of Levels, a level of its own; with nil it has that of the root again.
	SetLevel(name string, level *slog.Level)
}

const rootLogger = "root" // of Loggers; it always has a level of its own

// loggerLevels are the levels that Kafka knows. Nothing is logged below DEBUG or above ERROR: TRACE is as good as DEBUG, and FATAL silences.
var loggerLevels = []struct {
	name  string
	level slog.Level
}{
	{"TRACE", slog.LevelDebug - 4},
	{"DEBUG", slog.LevelDebug},
	{"INFO", slog.LevelInfo},
	{"WARN", slog.LevelWarn},
	{"ERROR", slog.LevelError},
	{"FATAL", slog.LevelError + 4},
}

// levelName returns the least of Kafka's levels that is written, or the highest if none is.
func levelName(level slog.Level) string {
	for _, l := range loggerLevels {
		if l.level >= level {
			return l.name
		}
	}
	return loggerLevels[len(loggerLevels)-1].name
}

// levelOf returns the level of a name. INVALID_CONFIG.
func levelOf(logger, name string) (slog.Level, error) {
	for _, l := range loggerLevels {
		if l.name == name {
			return l.level, nil
		}
	}
	return 0, refuse(kerr.InvalidConfig, "Cannot set the log level of %s to %s as it is not a supported log level. "+
		"Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN", logger, name)
}

// levels returns the levels of all loggers.
func (s *Server) levels() map[string]slog.Level {
	if s.cfg.Loggers == nil {
		return nil
	}
	return s.cfg.Loggers.Levels()
}

// loggerConfigs returns the loggers of the broker of a name, and their levels.
func (s *Server) loggerConfigs(broker string) ([]configRow, error) {
	switch id, err := strconv.ParseInt(broker, 10, 32); {
	case broker == "":
		return nil, refuse(kerr.InvalidRequest, "Broker id must not be empty")
	case err != nil:
		return nil, refuse(kerr.InvalidRequest, "Broker id must be an integer, but it is: %s", broker)
	case int32(id) != s.cfg.NodeID:
		return nil, refuse(kerr.InvalidRequest, "Unexpected broker id, expected %d but received %s", s.cfg.NodeID, broker)
	}
	levels := s.levels()
	rows := make([]configRow, 0, len(levels))
	for _, name := range slices.Sorted(maps.Keys(levels)) {
		row := kmsg.NewDescribeConfigsResponseResourceConfig()
		level, noDoc := levelName(levels[name]), ""
		row.Name, row.Value, row.Documentation, row.Source = name, &level, &noDoc, kmsg.ConfigSourceDynamicBrokerLoggerConfig
		rows = append(rows, row)
	}
	return rows, nil
}

// alterLoggers sets levels of the loggers of the broker of a name, or none if one of the changes is wrong.
func (s *Server) alterLoggers(c *Client, broker string, validateOnly bool, configs []kmsg.IncrementalAlterConfigsRequestResourceConfig) error {
	switch id, err := strconv.ParseInt(broker, 10, 32); {
	case err != nil:
		return refuse(kerr.InvalidRequest, "Node id must be an integer, but it is: %s", broker)
	case int32(id) != s.cfg.NodeID:
		return refuse(kerr.InvalidRequest, "Unexpected node id. Expected %d, but received %s", s.cfg.NodeID, broker)
	}
	again := repeated(configs, func(c *kmsg.IncrementalAlterConfigsRequestResourceConfig) string { return c.Name })
	known := s.levels()
	changes := make(map[string]*slog.Level, len(configs))
	for i := range configs {
		if again[configs[i].Name] {
			return refuse(kerr.InvalidRequest, "Error due to duplicate config keys")
		}
		level, err := loggerChange(known, &configs[i])
		if err != nil {
			return err
		}
		changes[configs[i].Name] = level
	}
	if validateOnly {
		return nil
	}
	for name, level := range changes {
		s.cfg.Loggers.SetLevel(name, level)
		s.logger.Info("logger altered", "logger", name, "level", levelName(s.levels()[name]), "peer", c.Addr, "client", c.ID)
	}
	return nil
}

// loggerChange returns the level that a logger, one of known, is to have: nil for the root's.
func loggerChange(known map[string]slog.Level, config *kmsg.IncrementalAlterConfigsRequestResourceConfig) (*slog.Level, error) {
	_, there := known[config.Name]
	deletes := config.Op == kmsg.IncrementalAlterConfigOpDelete
	switch {
	case config.Op < kmsg.IncrementalAlterConfigOpSet || config.Op > kmsg.IncrementalAlterConfigOpSubtract:
		return nil, refuse(kerr.InvalidRequest, "operation %d on %s is unknown", config.Op, config.Name)
	case config.Value == nil && !deletes:
		return nil, refuse(kerr.InvalidRequest, "Null value not supported for : %s", config.Name)
	case config.Op == kmsg.IncrementalAlterConfigOpAppend || config.Op == kmsg.IncrementalAlterConfigOpSubtract:
		return nil, refuse(kerr.InvalidRequest, "%s operation is not allowed for the BROKER_LOGGER resource", config.Op)
	case !there:
		return nil, refuse(kerr.InvalidConfig, "Logger %s does not exist!", config.Name)
	case deletes && config.Name == rootLogger:
		return nil, refuse(kerr.InvalidRequest, "Removing the log level of the root logger is not allowed")
	case deletes:
		return nil, nil
	}
	level, err := levelOf(config.Name, *config.Value)
	return &level, err
}
