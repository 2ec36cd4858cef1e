package kafka

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/stream"
)

// alterConfigs replaces all configs of topics: those not named return to their defaults.
func (s *Server) alterConfigs(ctx context.Context, c *Client, req *kmsg.AlterConfigsRequest) *kmsg.AlterConfigsResponse {
	resp := req.ResponseKind().(*kmsg.AlterConfigsResponse)
	for i := range req.Resources {
		asked := &req.Resources[i]
		err := s.alterTopic(ctx, c, asked.ResourceType, asked.ResourceName, req.ValidateOnly, func(st *stream.Stream) ([]setting, error) {
			return replaceSettings(st, asked.Configs)
		})
		r := kmsg.NewAlterConfigsResponseResource()
		r.ResourceType, r.ResourceName, r.ErrorCode, r.ErrorMessage = asked.ResourceType, asked.ResourceName, code(err), errorMessage(err)
		resp.Resources = append(resp.Resources, r)
	}
	return resp
}

// incrementalAlterConfigs changes the configs that are named, and no other (KIP-339).
func (s *Server) incrementalAlterConfigs(ctx context.Context, c *Client, req *kmsg.IncrementalAlterConfigsRequest) *kmsg.IncrementalAlterConfigsResponse {
	resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	for i := range req.Resources {
		asked := &req.Resources[i]
		err := s.alterTopic(ctx, c, asked.ResourceType, asked.ResourceName, req.ValidateOnly, func(st *stream.Stream) ([]setting, error) {
			return changeSettings(st, asked.Configs)
		})
		r := kmsg.NewIncrementalAlterConfigsResponseResource()
		r.ResourceType, r.ResourceName, r.ErrorCode, r.ErrorMessage = asked.ResourceType, asked.ResourceName, code(err), errorMessage(err)
		resp.Resources = append(resp.Resources, r)
	}
	return resp
}

// alterTopic changes one topic's configs by what settings returns for it.
func (s *Server) alterTopic(ctx context.Context, c *Client, kind kmsg.ConfigResourceType, name string, validateOnly bool,
	settings func(*stream.Stream) ([]setting, error),
) error {
	switch kind {
	case kmsg.ConfigResourceTypeTopic:
	case kmsg.ConfigResourceTypeBroker:
		return refuse(kerr.InvalidRequest, "broker configs are set when the server starts, and cannot be altered")
	default:
		return refuse(kerr.InvalidRequest, "resources of type %d have no configs here", kind)
	}
	s.alter.Lock()
	defer s.alter.Unlock()
	st, err := s.topic(ctx, name)
	if err != nil {
		return err
	}
	changes, err := settings(st)
	if err != nil {
		return err
	}
	config, labels, err := configure(st.Config, st.Labels, changes)
	if err != nil || validateOnly {
		return err
	}
	if _, err = s.log.Alter(ctx, st.ID, stream.Change{Config: &config, Labels: labels}); err == nil {
		s.logger.Info("topic altered", "topic", name, "changes", len(changes), "peer", c.Addr, "client", c.ID)
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
	for i := range configs {
		if configs[i].Value == nil {
			return nil, refuse(kerr.InvalidRequest, "Null value not supported for : %s", configs[i].Name)
		}
		changes = append(changes, setting{configs[i].Name, configs[i].Value})
	}
	return changes, nil
}

// changeSettings returns what operations on configs come to.
func changeSettings(st *stream.Stream, configs []kmsg.IncrementalAlterConfigsRequestResourceConfig) ([]setting, error) {
	var changes []setting
	seen := map[string]bool{}
	for i := range configs {
		c := &configs[i]
		if seen[c.Name] {
			return nil, refuse(kerr.InvalidRequest, "Error due to duplicate config keys: %s", c.Name)
		}
		seen[c.Name] = true
		value, err := applyOperation(st, c)
		if err != nil {
			return nil, err
		}
		changes = append(changes, setting{c.Name, value})
	}
	return changes, nil
}

func applyOperation(st *stream.Stream, c *kmsg.IncrementalAlterConfigsRequestResourceConfig) (*string, error) {
	if c.Op == kmsg.IncrementalAlterConfigOpDelete {
		return nil, nil
	}
	if c.Value == nil {
		return nil, refuse(kerr.InvalidRequest, "Null value not supported for : %s", c.Name)
	}
	if c.Op == kmsg.IncrementalAlterConfigOpSet {
		return c.Value, nil
	}
	t := topicSetting(c.Name)
	switch {
	case t == nil:
		return nil, refuse(kerr.InvalidConfig, "Unknown topic config name: %s", c.Name)
	case t.Type != kmsg.ConfigTypeList:
		return nil, refuse(kerr.InvalidConfig, "only lists can be appended to or subtracted from, and %s is none", c.Name)
	}
	value, _ := t.value(st)
	items := listItems(value)
	for _, item := range listItems(*c.Value) {
		at := slices.Index(items, item)
		switch {
		case c.Op == kmsg.IncrementalAlterConfigOpAppend && at < 0:
			items = append(items, item)
		case c.Op == kmsg.IncrementalAlterConfigOpSubtract && at >= 0:
			items = slices.Delete(items, at, at+1)
		case c.Op != kmsg.IncrementalAlterConfigOpAppend && c.Op != kmsg.IncrementalAlterConfigOpSubtract:
			return nil, refuse(kerr.InvalidRequest, "operation %d on %s is unknown", c.Op, c.Name)
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
