package firehose

import (
	"context"
	"strconv"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/firehose"
)

func (d *delivery) versionID() string { return strconv.FormatInt(d.Version, 10) }

// updateDestination puts what the update gives over the destination: both kinds of S3 destination are one. What the flow has taken by
// then is still written under the old configuration.
func (s *Service) updateDestination(ctx context.Context, call *aws.Call, in *api.UpdateDestinationInput) (*api.UpdateDestinationOutput, error) {
	update := in.ExtendedS3DestinationUpdate
	if (update == nil) == (in.S3DestinationUpdate == nil) {
		return nil, invalidArgument("Exactly one destination configuration is supported for a Firehose")
	}
	if update == nil {
		update = widenUpdate(in.S3DestinationUpdate)
	}
	err := s.change(ctx, call, *in.DeliveryStreamName, func(d *delivery) error {
		switch {
		case *in.CurrentDeliveryStreamVersionId != d.versionID():
			return aws.Errorf(api.ErrConcurrentModification,
				"Cannot update firehose: %s since the current version id: %s and specified version id: %s do not match", d.Name, d.versionID(), *in.CurrentDeliveryStreamVersionId)
		case *in.DestinationId != destinationID:
			return invalidArgument("Destination Id %s not found", *in.DestinationId)
		case d.Status != api.DeliveryStreamStatusActive:
			return aws.Errorf(api.ErrResourceInUse, "Firehose %s under account %s is in %s state.", d.Name, call.Account, d.Status)
		}
		merge(&d.Destination, update)
		d.Version++
		d.Updated = s.now().UnixMilli()
		_, err := compile(d)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateDestinationOutput{}, nil
}
