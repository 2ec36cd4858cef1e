package kafka

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/stream"
)

// alterConfigs replaces all configs of topics, groups, brokers and subscriptions of clients' metrics: those not named return to their defaults.
func (s *Server) alterConfigs(ctx context.Context, c *Client, req *kmsg.AlterConfigsRequest) *kmsg.AlterConfigsResponse {
	resp := req.ResponseKind().(*kmsg.AlterConfigsResponse)
	again := repeated(req.Resources, func(r *kmsg.AlterConfigsRequestResource) resource { return resource{r.ResourceType, r.ResourceName} })
	for i := range req.Resources {
		asked := &req.Resources[i]
		which := resource{asked.ResourceType, asked.ResourceName}
		var err error
		switch {
		case again[which]:
			err = errResourceTwice
		case which.kind == kmsg.ConfigResourceTypeGroupConfig:
			err = s.replaceGroup(ctx, c, which.name, req.ValidateOnly, asked.Configs)
		case which.kind == kmsg.ConfigResourceTypeBroker:
			err = s.replaceBroker(ctx, c, which.name, req.ValidateOnly, asked.Configs)
		case which.kind == kmsg.ConfigResourceTypeClientMetrics:
			err = s.replaceClientMetrics(ctx, c, which.name, req.ValidateOnly, asked.Configs)
		default:
			err = s.alterTopic(ctx, c, which, req.ValidateOnly, func(st *stream.Stream) ([]setting, error) { return replaceSettings(st, asked.Configs) })
		}
		r := kmsg.NewAlterConfigsResponseResource()
		r.ResourceType, r.ResourceName, r.ErrorCode, r.ErrorMessage = asked.ResourceType, asked.ResourceName, code(err), errorMessage(err)
		resp.Resources = append(resp.Resources, r)
	}
	return resp
}

// incrementalAlterConfigs changes the configs that are named, and no other (KIP-339).
func (s *Server) incrementalAlterConfigs(ctx context.Context, c *Client, req *kmsg.IncrementalAlterConfigsRequest) *kmsg.IncrementalAlterConfigsResponse {
	resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	again := repeated(req.Resources, func(r *kmsg.IncrementalAlterConfigsRequestResource) resource {
		return resource{r.ResourceType, r.ResourceName}
	})
	for i := range req.Resources {
		asked := &req.Resources[i]
		which := resource{asked.ResourceType, asked.ResourceName}
		var err error
		switch {
		case again[which]:
			err = errResourceTwice
		case which.kind == kmsg.ConfigResourceTypeGroupConfig:
			err = s.alterGroup(ctx, c, which.name, req.ValidateOnly, asked.Configs)
		case which.kind == kmsg.ConfigResourceTypeBroker:
			err = s.alterBroker(ctx, c, which.name, req.ValidateOnly, asked.Configs)
		case which.kind == kmsg.ConfigResourceTypeBrokerLogger:
			err = s.alterLoggers(c, which.name, req.ValidateOnly, asked.Configs)
		case which.kind == kmsg.ConfigResourceTypeClientMetrics:
			err = s.alterClientMetrics(ctx, c, which.name, req.ValidateOnly, asked.Configs)
		default:
			err = s.alterTopic(ctx, c, which, req.ValidateOnly, func(st *stream.Stream) ([]setting, error) { return changeSettings(st, asked.Configs) })
		}
		r := kmsg.NewIncrementalAlterConfigsResponseResource()
		r.ResourceType, r.ResourceName, r.ErrorCode, r.ErrorMessage = asked.ResourceType, asked.ResourceName, code(err), errorMessage(err)
		resp.Resources = append(resp.Resources, r)
	}
	return resp
}

var errResourceTwice = refuse(kerr.InvalidRequest, "Each resource must appear at most once.")

// resource is what has configs.
type resource struct {
	kind kmsg.ConfigResourceType
	name string
}

// alterTopic changes one topic's configs by what settings returns for it.
func (s *Server) alterTopic(ctx context.Context, c *Client, which resource, validateOnly bool, settings func(*stream.Stream) ([]setting, error)) error {
	switch {
	case which.kind != kmsg.ConfigResourceTypeTopic:
		return refuse(kerr.InvalidRequest, "Unknown resource type %d", which.kind)
	case which.name == "":
		return refuse(kerr.InvalidRequest, "Default topic resources are not allowed.")
	}
	if err := checkTopicName(which.name); err != nil {
		return err
	}
	s.alter.Lock()
	defer s.alter.Unlock()
	s.defaulting.RLock()
	defer s.defaulting.RUnlock()
	st, err := s.topic(ctx, which.name)
	switch {
	case errors.Is(err, stream.ErrNotFound):
		return refuse(kerr.UnknownTopicOrPartition, "The topic '%s' does not exist.", which.name)
	case err != nil:
		return err
	}
	changes, err := settings(st)
	if err != nil {
		return err
	}
	config, labels, err := s.configure(st.Config, st.Labels, changes)
	if err == nil {
		err = s.checkTierChange(&st.Config, &config, labels)
	}
	if err == nil && config.Compaction.On && st.Labels[stream.LabelKinesis] != "" {
		err = refuse(kerr.InvalidConfig, "%s was made through Kinesis, whose streams are not compacted", which.name)
	}
	if err != nil || validateOnly {
		return err
	}
	if _, err = s.log.Alter(ctx, st.ID, stream.Change{Config: &config, Labels: labels}); err == nil {
		s.logger.Info("topic altered", "topic", which.name, "changes", len(changes), "peer", c.Addr, "client", c.ID)
	}
	return err
}

// replaceSettings returns what makes configs all that is set.
func replaceSettings(st *stream.Stream, configs []kmsg.AlterConfigsRequestResourceConfig) ([]setting, error) {
	var changes []setting
	for i := range topicSettings {
		if _, set := topicSettings[i].value(st); set {
			changes = append(changes, setting{key: topicSettings[i].Key})
		}
	}
	again := repeated(configs, func(c *kmsg.AlterConfigsRequestResourceConfig) string { return c.Name })
	for i := range configs {
		switch c := &configs[i]; {
		case again[c.Name]:
			return nil, errConfigTwice(c.Name)
		case c.Value == nil:
			return nil, refuse(kerr.InvalidRequest, "Null value not supported for : %s", c.Name)
		default:
			changes = append(changes, setting{c.Name, c.Value})
		}
	}
	return changes, nil
}

// changeSettings returns what operations on configs come to.
func changeSettings(st *stream.Stream, configs []kmsg.IncrementalAlterConfigsRequestResourceConfig) ([]setting, error) {
	var changes []setting
	again := repeated(configs, func(c *kmsg.IncrementalAlterConfigsRequestResourceConfig) string { return c.Name })
	for i := range configs {
		c := &configs[i]
		if again[c.Name] {
			return nil, errConfigTwice(c.Name)
		}
		if c.Op == kmsg.IncrementalAlterConfigOpDelete && topicSetting(c.Name) == nil {
			continue // what no topic has is not set, and that is all that is asked for
		}
		value, err := applyOperation(st, c)
		if err != nil {
			return nil, err
		}
		changes = append(changes, setting{c.Name, value})
	}
	return changes, nil
}

func errConfigTwice(name string) error {
	return refuse(kerr.InvalidRequest, "Error due to duplicate config keys: %s", name)
}

func applyOperation(st *stream.Stream, c *kmsg.IncrementalAlterConfigsRequestResourceConfig) (*string, error) {
	switch {
	case c.Op < kmsg.IncrementalAlterConfigOpSet || c.Op > kmsg.IncrementalAlterConfigOpSubtract:
		return nil, refuse(kerr.InvalidRequest, "operation %d on %s is unknown", c.Op, c.Name)
	case c.Op == kmsg.IncrementalAlterConfigOpDelete:
		return nil, nil
	case c.Value == nil:
		return nil, refuse(kerr.InvalidRequest, "Null value not supported for : %s", c.Name)
	case c.Op == kmsg.IncrementalAlterConfigOpSet:
		return c.Value, nil
	}
	t := topicSetting(c.Name)
	if t == nil || t.Type != kmsg.ConfigTypeList {
		return nil, refuse(kerr.InvalidConfig, "Can't %s to key %s because its type is not LIST.", c.Op, c.Name)
	}
	value, _ := t.value(st)
	items := listItems(value)
	for item := range strings.SplitSeq(*c.Value, ",") {
		item = strings.TrimSpace(item) // an empty one, too, is appended: the check refuses it then
		at := slices.Index(items, item)
		switch {
		case c.Op == kmsg.IncrementalAlterConfigOpAppend && at < 0:
			items = append(items, item)
		case c.Op == kmsg.IncrementalAlterConfigOpSubtract && at >= 0:
			items = slices.Delete(items, at, at+1)
		}
	}
	joined := strings.Join(items, ",")
	return &joined, nil
}

func listItems(v string) []string {
	var items []string
	for item := range strings.SplitSeq(v, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}
