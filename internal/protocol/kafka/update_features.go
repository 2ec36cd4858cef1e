package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// updateFeatures changes the levels of the cluster's features (KIP-584): they are those of the program, so that only asking for what is already so
// succeeds. One error is that of all. v1 tells ways of changing apart and can validate only; v2 leaves the results of each out.
func (s *Server) updateFeatures(_ context.Context, _ *Client, req *kmsg.UpdateFeaturesRequest) *kmsg.UpdateFeaturesResponse {
	resp := req.ResponseKind().(*kmsg.UpdateFeaturesResponse)
	for i := range req.FeatureUpdates {
		u := &req.FeatureUpdates[i]
		if err := updateFeature(u, req.Version); err != nil {
			resp.ErrorCode, resp.Results = code(err), nil
			resp.ErrorMessage = kmsg.StringPtr("The update failed for all features since the following feature had an error: " + err.Error())
			return resp
		}
		if req.Version < 2 {
			r := kmsg.NewUpdateFeaturesResponseResult()
			r.Feature = u.Feature
			resp.Results = append(resp.Results, r)
		}
	}
	return resp
}

func updateFeature(u *kmsg.UpdateFeaturesRequestFeatureUpdate, version int16) error {
	if version >= 1 && (u.UpgradeType < 1 || u.UpgradeType > 3) {
		return refuse(kerr.InvalidUpdateVersion, "Invalid update version %d for feature %s. The controller does not support the given upgrade type.", u.MaxVersionLevel, u.Feature)
	}
	for _, f := range features {
		switch {
		case f.name != u.Feature:
		case u.MaxVersionLevel == f.level:
			return nil
		case u.MaxVersionLevel < f.min || u.MaxVersionLevel > f.max:
			return refuse(kerr.InvalidUpdateVersion, "Invalid update version %d for feature %s. Local controller 1 only supports versions %d-%d", u.MaxVersionLevel, u.Feature, f.min, f.max)
		default:
			return refuse(kerr.InvalidUpdateVersion, "Invalid update version %d for feature %s. Features are those of the program and cannot be turned off.", u.MaxVersionLevel, u.Feature)
		}
	}
	return refuse(kerr.InvalidUpdateVersion, "Invalid update version %d for feature %s. Local controller 1 does not support this feature.", u.MaxVersionLevel, u.Feature)
}
