package kafka

import (
	"context"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/telemetry"
)

// getTelemetrySubscriptions tells a client which metrics of its own to push, and how often (KIP-714).
func (s *Server) getTelemetrySubscriptions(_ context.Context, c *Client, req *kmsg.GetTelemetrySubscriptionsRequest) *kmsg.GetTelemetrySubscriptionsResponse {
	resp := req.ResponseKind().(*kmsg.GetTelemetrySubscriptionsResponse)
	a, err := s.telemetry.Subscribe(c.told(), req.ClientInstanceID)
	if err != nil {
		resp.ErrorCode = code(err)
		return resp
	}
	resp.ClientInstanceID, resp.SubscriptionID = a.ID, a.Subscription
	resp.AcceptedCompressionTypes, resp.DeltaTemporality = telemetry.Codecs, true
	resp.PushIntervalMillis, resp.TelemetryMaxBytes = int32(a.Interval/time.Millisecond), int32(a.MaxBytes)
	resp.RequestedMetrics = a.Metrics
	return resp
}

// pushTelemetry takes what a client pushes of its metrics (KIP-714). The node shows them with its own.
func (s *Server) pushTelemetry(_ context.Context, c *Client, req *kmsg.PushTelemetryRequest) *kmsg.PushTelemetryResponse {
	resp := req.ResponseKind().(*kmsg.PushTelemetryResponse)
	err := s.telemetry.Push(c.told(), &telemetry.Push{
		ID: req.ClientInstanceID, Subscription: req.SubscriptionID, Terminating: req.Terminating, Codec: req.CompressionType, Metrics: req.Metrics,
	})
	if err != nil {
		s.logger.Debug("telemetry refused", "peer", c.Addr, "client", c.ID, "error", err)
	}
	resp.ErrorCode = code(err)
	return resp
}

// told returns what the client says of itself.
func (c *Client) told() *telemetry.Client {
	name, version, _ := strings.Cut(c.Software, " ")
	return &telemetry.Client{
		ClientID: c.ID, Software: name, Version: version, SourceAddress: c.Addr.String(), SourceIP: c.Host(), Connection: c,
	}
}

// clientMetricsConfigs returns the configs of a subscription of clients' metrics, whether there is one of that name or not. Defaults are no synonyms of
// them, as in Apache Kafka.
func (s *Server) clientMetricsConfigs(name string) []configRow {
	set := s.subscriptions.Set(name)
	var rows []configRow
	for i := range telemetry.Settings {
		t := &telemetry.Settings[i]
		row := kmsg.NewDescribeConfigsResponseResourceConfig()
		value, own := set[t.Key]
		if !own {
			value = t.Default
		} else if t.Type == kmsg.ConfigTypeList {
			value = strings.Join(listItems(value), ",") // without the spaces around its items
		}
		row.Name, row.Value, row.ConfigType, row.Documentation = t.Key, &value, t.Type, &t.Doc
		row.Source, row.IsDefault = kmsg.ConfigSourceDefaultConfig, true
		if own {
			row.Source, row.IsDefault = kmsg.ConfigSourceClientMetricsConfig, false
			row.ConfigSynonyms = append(row.ConfigSynonyms, synonym(t.Key, value, kmsg.ConfigSourceClientMetricsConfig))
		}
		rows = append(rows, row)
	}
	return rows
}

// replaceClientMetrics makes configs all that a subscription has set.
func (s *Server) replaceClientMetrics(ctx context.Context, c *Client, name string, validateOnly bool, configs []kmsg.AlterConfigsRequestResourceConfig) error {
	again := repeated(configs, func(c *kmsg.AlterConfigsRequestResourceConfig) string { return c.Name })
	return s.changeClientMetrics(ctx, c, name, validateOnly, func(set map[string]string) error {
		clear(set)
		for i := range configs {
			switch config := &configs[i]; {
			case again[config.Name]:
				return errConfigTwice(config.Name)
			case config.Value == nil:
				return refuse(kerr.InvalidRequest, "Null value not supported for : %s", config.Name)
			default:
				set[config.Name] = *config.Value
			}
		}
		return nil
	})
}

// alterClientMetrics makes the changes that are named to what a subscription has set.
func (s *Server) alterClientMetrics(ctx context.Context, c *Client, name string, validateOnly bool, configs []kmsg.IncrementalAlterConfigsRequestResourceConfig) error {
	again := repeated(configs, func(c *kmsg.IncrementalAlterConfigsRequestResourceConfig) string { return c.Name })
	return s.changeClientMetrics(ctx, c, name, validateOnly, func(set map[string]string) error {
		for i := range configs {
			config := &configs[i]
			if again[config.Name] {
				return errConfigTwice(config.Name)
			}
			if err := changeClientMetric(set, config); err != nil {
				return err
			}
		}
		return nil
	})
}

func changeClientMetric(set map[string]string, c *kmsg.IncrementalAlterConfigsRequestResourceConfig) error {
	switch {
	case c.Op < kmsg.IncrementalAlterConfigOpSet || c.Op > kmsg.IncrementalAlterConfigOpSubtract:
		return refuse(kerr.InvalidRequest, "operation %d on %s is unknown", c.Op, c.Name)
	case c.Op == kmsg.IncrementalAlterConfigOpDelete:
		delete(set, c.Name)
	case c.Value == nil:
		return refuse(kerr.InvalidRequest, "Null value not supported for : %s", c.Name)
	case c.Op == kmsg.IncrementalAlterConfigOpSet:
		set[c.Name] = *c.Value
	default: // not even those that are lists
		return refuse(kerr.InvalidConfig, "Can't %s to key %s because its type is not LIST.", c.Op, c.Name)
	}
	return nil
}

func (s *Server) changeClientMetrics(ctx context.Context, c *Client, name string, validateOnly bool, change func(map[string]string) error) error {
	err := s.subscriptions.Alter(ctx, name, change, validateOnly)
	if err == nil && !validateOnly {
		s.logger.Info("client metrics altered", "subscription", name, "peer", c.Addr, "client", c.ID)
	}
	return err
}

// TelemetryInstances returns how many clients are remembered for what they push.
func (s *Server) TelemetryInstances() int { return s.telemetry.Instances() }
