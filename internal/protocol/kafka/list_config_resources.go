package kafka

import (
	"context"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// listConfigResources names what has configs: topics, the broker, its loggers, and groups and subscriptions of clients' metrics that have set any (KIP-1142).
// v0 asks for the last alone.
func (s *Server) listConfigResources(ctx context.Context, _ *Client, req *kmsg.ListConfigResourcesRequest) *kmsg.ListConfigResourcesResponse {
	resp := req.ResponseKind().(*kmsg.ListConfigResourcesResponse)
	const (
		topic  = int8(kmsg.ConfigResourceTypeTopic)
		broker = int8(kmsg.ConfigResourceTypeBroker)
		logger = int8(kmsg.ConfigResourceTypeBrokerLogger)
		metric = int8(kmsg.ConfigResourceTypeClientMetrics)
	)
	if req.Version == 0 {
		req.ResourceTypes = []int8{metric}
	}
	known := []int8{topic, broker, logger, metric, int8(kmsg.ConfigResourceTypeGroupConfig)}
	for _, t := range req.ResourceTypes {
		if !slices.Contains(known, t) {
			resp.ErrorCode = kerr.UnsupportedVersion.Code
			return resp
		}
	}
	add := func(kind int8, name string) {
		r := kmsg.NewListConfigResourcesResponseConfigResource()
		r.Type, r.Name = kind, name
		resp.ConfigResources = append(resp.ConfigResources, r)
	}
	wanted := func(kind int8) bool { return len(req.ResourceTypes) == 0 || slices.Contains(req.ResourceTypes, kind) }
	if wanted(topic) {
		all, err := s.log.Streams(ctx)
		if err != nil {
			resp.ErrorCode = code(err)
			return resp
		}
		for _, st := range all {
			add(topic, string(st.Name))
		}
	}
	if group := int8(kmsg.ConfigResourceTypeGroupConfig); wanted(group) {
		for _, name := range s.configs.Groups() {
			add(group, name)
		}
	}
	if wanted(metric) {
		for _, name := range s.subscriptions.Names() {
			add(metric, name)
		}
	}
	for _, kind := range []int8{broker, logger} {
		if wanted(kind) {
			add(kind, strconv.Itoa(int(s.cfg.NodeID)))
		}
	}
	return resp
}
