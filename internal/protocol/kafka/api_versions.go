package kafka

import (
	"context"
	"maps"
	"regexp"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// softwareName is what a client may call itself and its version (KIP-511).
var softwareName = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$`)

// apiVersions answers what is served: v3 brings the client's name and features, v4 allows those with a minimum of 0.
func (s *Server) apiVersions(_ context.Context, c *Client, req *kmsg.ApiVersionsRequest) *kmsg.ApiVersionsResponse {
	resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
	if req.Version >= 3 {
		if !softwareName.MatchString(req.ClientSoftwareName) || !softwareName.MatchString(req.ClientSoftwareVersion) {
			resp.ErrorCode = kerr.InvalidRequest.Code
			return resp
		}
		c.Software = req.ClientSoftwareName + " " + req.ClientSoftwareVersion
		s.logger.Debug("client connected", "peer", c.Addr, "client", c.ID, "software", c.Software)
	}
	for _, key := range slices.Sorted(maps.Keys(s.apis)) {
		resp.ApiKeys = append(resp.ApiKeys, s.apis[key].advertised())
	}
	addFeatures(resp, req.Version)
	return resp
}

// apiVersionsTooNew answers a version that is not served: in v0's form, with the versions of ApiVersions itself (KIP-511).
func (s *Server) apiVersionsTooNew() *kmsg.ApiVersionsResponse {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.ErrorCode = kerr.UnsupportedVersion.Code
	resp.ApiKeys = append(resp.ApiKeys, s.apis[kmsg.ApiVersions.Int16()].advertised())
	return resp
}

func (a *api) advertised() kmsg.ApiVersionsResponseApiKey {
	row := kmsg.NewApiVersionsResponseApiKey()
	row.ApiKey, row.MinVersion, row.MaxVersion = a.key.Int16(), a.min, a.max
	return row
}
