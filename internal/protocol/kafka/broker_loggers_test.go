package kafka_test

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka"
)

// fakeLoggers are a root and parts that may have levels of their own.
type fakeLoggers struct {
	mu   sync.Mutex
	root slog.Level
	own  map[string]*slog.Level
}

func (l *fakeLoggers) Levels() map[string]slog.Level {
	l.mu.Lock()
	defer l.mu.Unlock()
	levels := map[string]slog.Level{"root": l.root}
	for name, own := range l.own {
		if levels[name] = l.root; own != nil {
			levels[name] = *own
		}
	}
	return levels
}

func (l *fakeLoggers) SetLevel(name string, level *slog.Level) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if name == "root" {
		l.root = *level
	} else {
		l.own[name] = level
	}
}

const brokerLogger = kmsg.ConfigResourceTypeBrokerLogger

// describeLoggers returns the levels of a broker's loggers, those named or all, as name=level.
func describeLoggers(t *testing.T, r *raw, broker string, names ...string) (levels []string, err error) {
	t.Helper()
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: brokerLogger, ResourceName: broker, ConfigNames: names}}
	got := ask[*kmsg.DescribeConfigsResponse](r, 4, req).Resources[0]
	for _, c := range got.Configs {
		if c.Source != kmsg.ConfigSourceDynamicBrokerLoggerConfig || c.ReadOnly || c.IsSensitive || c.IsDefault || len(c.ConfigSynonyms) > 0 {
			t.Errorf("logger %+v", c)
		}
		levels = append(levels, c.Name+"="+*c.Value)
	}
	return levels, kerr.ErrorForCode(got.ErrorCode)
}

func loggerChange(name string, op kmsg.IncrementalAlterConfigOp, level ...string) kmsg.IncrementalAlterConfigsRequestResourceConfig {
	c := kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: name, Op: op}
	if len(level) > 0 {
		c.Value = &level[0]
	}
	return c
}

func alterLoggers(r *raw, broker string, validateOnly bool, changes ...kmsg.IncrementalAlterConfigsRequestResourceConfig) (code int16, message string) {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.ValidateOnly = validateOnly
	req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: brokerLogger, ResourceName: broker, Configs: changes}}
	got := ask[*kmsg.IncrementalAlterConfigsResponse](r, 1, req).Resources[0]
	if got.ErrorMessage != nil {
		message = *got.ErrorMessage
	}
	return got.ErrorCode, message
}

func TestBrokerLoggersAreSetAndGivenBack(t *testing.T) {
	t.Parallel()
	const (
		set    = kmsg.IncrementalAlterConfigOpSet
		remove = kmsg.IncrementalAlterConfigOpDelete
	)
	r := start(t, func(c *kafka.Config) { c.Loggers = &fakeLoggers{own: map[string]*slog.Level{"kafka": nil, "log": nil}} }).raw(t)
	type changes = []kmsg.IncrementalAlterConfigsRequestResourceConfig
	for _, step := range []struct {
		changes      changes
		validateOnly bool
		want         string
	}{
		{nil, false, "kafka=INFO log=INFO root=INFO"},
		{changes{loggerChange("kafka", set, "DEBUG")}, true, "kafka=INFO log=INFO root=INFO"},
		{changes{loggerChange("kafka", set, "TRACE"), loggerChange("root", set, "WARN")}, false, "kafka=TRACE log=WARN root=WARN"},
		{changes{loggerChange("log", set, "FATAL"), loggerChange("kafka", set, "DEBUG")}, false, "kafka=DEBUG log=FATAL root=WARN"},
		{changes{loggerChange("log", remove), loggerChange("kafka", remove, "anything")}, false, "kafka=WARN log=WARN root=WARN"},
		{changes{loggerChange("root", set, "ERROR")}, false, "kafka=ERROR log=ERROR root=ERROR"},
	} {
		if code, message := alterLoggers(r, "1", step.validateOnly, step.changes...); code != 0 || message != "" {
			t.Errorf("%v: error %d, %s", step.changes, code, message)
		}
		if got, err := describeLoggers(t, r, "1"); strings.Join(got, " ") != step.want || err != nil {
			t.Errorf("after %v: %v, %v, want %s", step.changes, got, err, step.want)
		}
	}
	if got, err := describeLoggers(t, r, "1", "log", "other"); !slices.Equal(got, []string{"log=ERROR"}) || err != nil {
		t.Errorf("asked for two names: %v, %v", got, err)
	}
}

// TestBrokerLoggersAreRefused has the errors and messages of Apache Kafka 4.3.1.
func TestBrokerLoggersAreRefused(t *testing.T) {
	t.Parallel()
	loggers := &fakeLoggers{own: map[string]*slog.Level{"kafka": nil}}
	before := loggers.Levels()
	r := start(t, func(c *kafka.Config) { c.Loggers = loggers }).raw(t)
	const (
		set    = kmsg.IncrementalAlterConfigOpSet
		levels = " as it is not a supported log level. Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN"
	)
	good := loggerChange("kafka", set, "DEBUG")
	for _, row := range []struct {
		broker  string
		change  kmsg.IncrementalAlterConfigsRequestResourceConfig
		want    *kerr.Error
		message string
	}{
		{"1", loggerChange("root", set, "debug"), kerr.InvalidConfig, "Cannot set the log level of root to debug" + levels},
		{"1", loggerChange("root", set, "OFF"), kerr.InvalidConfig, "Cannot set the log level of root to OFF" + levels},
		{"1", loggerChange("root", set, ""), kerr.InvalidConfig, "Cannot set the log level of root to " + levels},
		{"1", loggerChange("nope", set, "BOGUS"), kerr.InvalidConfig, "Logger nope does not exist!"},
		{"1", loggerChange("nope", kmsg.IncrementalAlterConfigOpDelete), kerr.InvalidConfig, "Logger nope does not exist!"},
		{"1", loggerChange("root", kmsg.IncrementalAlterConfigOpDelete), kerr.InvalidRequest, "Removing the log level of the root logger is not allowed"},
		{"1", loggerChange("root", kmsg.IncrementalAlterConfigOpAppend, "INFO"), kerr.InvalidRequest, "APPEND operation is not allowed for the BROKER_LOGGER resource"},
		{"1", loggerChange("nope", kmsg.IncrementalAlterConfigOpSubtract, "INFO"), kerr.InvalidRequest, "SUBTRACT operation is not allowed for the BROKER_LOGGER resource"},
		{"1", loggerChange("root", 9, "INFO"), kerr.InvalidRequest, "operation 9 on root is unknown"},
		{"1", loggerChange("root", set), kerr.InvalidRequest, "Null value not supported for : root"},
		{"1", good, kerr.InvalidRequest, "Error due to duplicate config keys"},
		{"", loggerChange("root", set, "INFO"), kerr.InvalidRequest, "Node id must be an integer, but it is: "},
		{"x", loggerChange("root", set, "INFO"), kerr.InvalidRequest, "Node id must be an integer, but it is: x"},
		{"7", loggerChange("root", set, "INFO"), kerr.InvalidRequest, "Unexpected node id. Expected 1, but received 7"},
	} {
		code, message := alterLoggers(r, row.broker, false, good, row.change)
		if code != row.want.Code || message != row.message {
			t.Errorf("broker %q, %+v: %v, %s, want %v, %s", row.broker, row.change, kerr.ErrorForCode(code), message, row.want, row.message)
		}
	}
	if after := loggers.Levels(); !maps.Equal(after, before) {
		t.Errorf("levels are %v after refusals, were %v", after, before)
	}
	for _, broker := range []string{"", "x", "7"} {
		if got, err := describeLoggers(t, r, broker); err != kerr.InvalidRequest || len(got) > 0 {
			t.Errorf("loggers of broker %q: %v, %v", broker, got, err)
		}
	}
	req := kmsg.NewPtrAlterConfigsRequest()
	req.Resources = []kmsg.AlterConfigsRequestResource{{ResourceType: brokerLogger, ResourceName: "1"}}
	if got := ask[*kmsg.AlterConfigsResponse](r, 2, req).Resources[0]; got.ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("all loggers replaced: %+v", got)
	}
}

func TestBrokerWithoutLoggers(t *testing.T) {
	t.Parallel()
	r := start(t).raw(t)
	if got, err := describeLoggers(t, r, "1"); len(got) > 0 || err != nil {
		t.Errorf("loggers %v, %v", got, err)
	}
	code, message := alterLoggers(r, "1", false, loggerChange("root", kmsg.IncrementalAlterConfigOpSet, "INFO"))
	if code != kerr.InvalidConfig.Code || message != "Logger root does not exist!" {
		t.Errorf("altered: %d, %s", code, message)
	}
	list := kmsg.NewPtrListConfigResourcesRequest()
	for _, types := range [][]int8{nil, {int8(brokerLogger)}} {
		list.ResourceTypes = types
		all := ask[*kmsg.ListConfigResourcesResponse](r, 1, list).ConfigResources
		if !slices.ContainsFunc(all, func(c kmsg.ListConfigResourcesResponseConfigResource) bool {
			return c.Type == int8(brokerLogger) && c.Name == "1"
		}) {
			t.Errorf("resources of types %v: %+v", types, all)
		}
	}
}
