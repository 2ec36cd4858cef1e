package kafka

import (
	"context"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// listConfigResources names what has configs: topics, the broker and its loggers (KIP-1142). v0 asks for client metrics alone, of which
// there are none, as there are of groups.
func (s *Server) listConfigResources(ctx context.Context, _ *Client, req *kmsg.ListConfigResourcesRequest) *kmsg.ListConfigResourcesResponse {
	resp := req.ResponseKind().(*kmsg.ListConfigResourcesResponse)
	if req.Version == 0 {
		return resp
	}
	const (
		topic  = int8(kmsg.ConfigResourceTypeTopic)
		broker = int8(kmsg.ConfigResourceTypeBroker)
		logger = int8(kmsg.ConfigResourceTypeBrokerLogger)
	)
	known := []int8{topic, broker, logger, int8(kmsg.ConfigResourceTypeClientMetrics), int8(kmsg.ConfigResourceTypeGroupConfig)}
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
	for _, kind := range []int8{broker, logger} {
		if wanted(kind) {
			add(kind, strconv.Itoa(int(s.cfg.NodeID)))
		}
	}
	return resp
}
