package firehose

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/flow"
	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/firehose"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

const (
	// directRetention is how long what was put directly is kept for a destination that cannot be written to.
	directRetention = 24 * time.Hour
	// directBatchBytes is the largest batch of the internal stream: one PutRecordBatch with what the log adds to its records.
	directBatchBytes = maxBatchBytes + maxBatchRecords*64 + 1024
)

// createDeliveryStream makes the delivery stream ACTIVE at once: CREATING is never seen. Its one document is written last, with the positions in
// a Kinesis stream from which on everything is delivered.
func (s *Service) createDeliveryStream(ctx context.Context, call *aws.Call, in *api.CreateDeliveryStreamInput) (*api.CreateDeliveryStreamOutput, error) {
	d, err := s.newDelivery(call, in)
	if err != nil {
		return nil, err
	}
	if err := s.checkFree(ctx, call, d.Name); err != nil {
		return nil, err
	}
	if err := s.begin(ctx, call, d); err != nil {
		return nil, err
	}
	err = s.save(ctx, d)
	if errors.Is(err, state.ErrConflict) {
		return nil, inUse(call, d.Name)
	}
	if err != nil {
		return nil, err
	}
	return &api.CreateDeliveryStreamOutput{DeliveryStreamARN: new(call.ARN("deliverystream/" + d.Name))}, nil
}

func inUse(call *aws.Call, name string) *aws.Error {
	return aws.Errorf(api.ErrResourceInUse, "Firehose %s under accountId %s already exists", name, call.Account)
}

// newDelivery returns what a CreateDeliveryStream asks for.
func (s *Service) newDelivery(call *aws.Call, in *api.CreateDeliveryStreamInput) (*delivery, error) {
	now := s.now().UnixMilli()
	d := &delivery{
		Name: *in.DeliveryStreamName, Type: value(in.DeliveryStreamType, api.DeliveryStreamTypeDirectPut),
		Status: api.DeliveryStreamStatusActive, Version: 1, Created: now,
	}
	switch extended, simple := in.ExtendedS3DestinationConfiguration, in.S3DestinationConfiguration; {
	case (extended == nil) == (simple == nil):
		return nil, invalidArgument("Exactly one destination configuration is supported for a Firehose")
	case extended != nil:
		d.Destination = *extended
	default:
		d.Destination = widen(simple)
	}
	withDefaults(&d.Destination)
	if _, err := compile(d); err != nil {
		return nil, err
	}
	if err := setSource(call, d, in); err != nil {
		return nil, err
	}
	var err error
	d.Tags, err = addTags(nil, in.Tags)
	return d, err
}

func setSource(call *aws.Call, d *delivery, in *api.CreateDeliveryStreamInput) error {
	kinesis, direct := in.KinesisStreamSourceConfiguration, in.DirectPutSourceConfiguration
	switch d.Type {
	case api.DeliveryStreamTypeDirectPut:
		if kinesis != nil {
			return invalidArgument("KinesisSourceStreamConfig is only applicable for KinesisStreamAsSource stream type.")
		}
		if direct != nil {
			d.Hint = direct.ThroughputHintInMBs
		}
		return nil
	case api.DeliveryStreamTypeKinesisStreamAsSource:
	default:
		return invalidArgument("DeliveryStreamType %s is not served here: only DirectPut and KinesisStreamAsSource are.", d.Type)
	}
	if kinesis == nil {
		return invalidArgument("KinesisStreamSourceConfiguration must be given for a delivery stream of type KinesisStreamAsSource.")
	}
	if direct != nil {
		return invalidArgument("DirectPutSourceConfiguration is only applicable for DirectPut stream type.")
	}
	arn := *kinesis.KinesisStreamARN
	if parts := strings.Split(arn, ":"); parts[len(parts)-2] != call.Account { // counted from the end: the partition may hold colons
		return invalidArgument("Kinesis stream %s is not in account %s.", arn, call.Account)
	}
	d.Kinesis = &kinesisSource{ARN: arn, RoleARN: *kinesis.RoleARN, Started: d.Created}
	return nil
}

// checkFree returns an error if the name is taken or there are too many delivery streams.
func (s *Service) checkFree(ctx context.Context, call *aws.Call, name string) error {
	_, err := s.load(ctx, name)
	if err == nil {
		return inUse(call, name)
	}
	if !errors.Is(err, state.ErrNotFound) {
		return err
	}
	all, err := s.state.List(ctx, kind, "")
	if err != nil {
		return fmt.Errorf("count delivery streams: %w", err)
	}
	if len(all) >= s.config.MaxDeliveryStreams {
		return aws.Errorf(api.ErrLimitExceeded, "Account %s has %d delivery streams, as many as this node allows.", call.Account, len(all))
	}
	return nil
}

// begin makes the stream of a new delivery stream, or notes where the Kinesis stream that it reads ends now.
func (s *Service) begin(ctx context.Context, call *aws.Call, d *delivery) error {
	source, err := s.openSource(ctx, d)
	if errors.Is(err, errForeign) {
		return aws.Errorf(api.ErrResourceInUse, "Firehose %s under accountId %s cannot keep records in stream %s: one that is not its own has that name.",
			d.Name, call.Account, d.source())
	}
	if d.Kinesis == nil {
		if err != nil {
			return unavailable(err)
		}
		return nil
	}
	if errors.Is(err, stream.ErrNotFound) || err == nil && source.Internal() {
		return invalidArgument("Kinesis stream %s under account %s not found.", d.source(), call.Account)
	}
	if err != nil {
		return err
	}
	d.Kinesis.Stream = source.ID.String()
	d.Kinesis.Start, err = flow.Ends(ctx, s.log, source.ID)
	return err
}

// place puts the flow of a Kinesis stream where the delivery stream began, unless it has been there. A Kinesis stream that was deleted and
// made again since is delivered from its beginning.
func (s *Service) place(ctx context.Context, d *delivery, source *stream.Stream) error {
	if d.Kinesis == nil || d.Kinesis.Stream != source.ID.String() {
		return nil
	}
	cursors, err := s.log.Committed(ctx, flow.CursorOwner(flowName(d.Name)))
	if err != nil || len(cursors) > 0 && cursors[0].Shard.Stream == source.ID {
		return err
	}
	return flow.Place(ctx, s.log, flowName(d.Name), source.ID, flow.At(d.Kinesis.Start))
}

// errForeign says that the name of a delivery stream's internal stream is taken by a stream that somebody else made. Records that are delivered
// are trimmed, and the stream goes with the delivery stream: nothing but its own may be taken for it.
var errForeign = errors.New("stream belongs to somebody else")

// findSource returns the log's stream that d delivers. stream.ErrNotFound, errForeign.
func (s *Service) findSource(ctx context.Context, d *delivery) (*stream.Stream, error) {
	source, err := s.log.Stream(ctx, d.source())
	if err == nil && d.Kinesis == nil && source.Labels[stream.LabelInternal] != internalOwner {
		return nil, fmt.Errorf("stream %s: %w", source.Name, errForeign)
	}
	return source, err
}

// openSource is findSource, and makes the stream if it is d's own.
func (s *Service) openSource(ctx context.Context, d *delivery) (*stream.Stream, error) {
	source, err := s.findSource(ctx, d)
	if err == nil || d.Kinesis != nil || !errors.Is(err, stream.ErrNotFound) {
		return source, err
	}
	source, err = s.log.Create(ctx, stream.Spec{
		Name: d.source(), Shards: 1,
		Config: stream.Config{Retention: directRetention, MaxBatchBytes: directBatchBytes, Timestamps: stream.LogAppendTime},
		Labels: map[string]string{stream.LabelInternal: internalOwner},
	})
	if errors.Is(err, stream.ErrExists) {
		return s.findSource(ctx, d)
	}
	return source, err
}

// deleteDeliveryStream marks the delivery stream; the supervisor lets its flow write what it has taken, and removes it.
func (s *Service) deleteDeliveryStream(ctx context.Context, call *aws.Call, in *api.DeleteDeliveryStreamInput) (*api.DeleteDeliveryStreamOutput, error) {
	err := s.change(ctx, call, *in.DeliveryStreamName, func(d *delivery) error {
		d.Status = api.DeliveryStreamStatusDeleting
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteDeliveryStreamOutput{}, nil
}

// remove takes away all that is left of a DELETING delivery stream, its document last.
func (s *Service) remove(ctx context.Context, d *delivery) error {
	if err := flow.Remove(ctx, s.log, s.state, flowName(d.Name)); err != nil {
		return err
	}
	if d.Kinesis == nil {
		source, err := s.findSource(ctx, d)
		if err == nil {
			err = s.log.Delete(ctx, source.ID)
		}
		if err != nil && !errors.Is(err, stream.ErrNotFound) && !errors.Is(err, errForeign) {
			return fmt.Errorf("remove the stream of %s: %w", d.Name, err)
		}
	}
	_, err := s.state.Apply(ctx, state.Change{Key: state.Key{Kind: kind, ID: d.Name}, If: d.revision, Delete: true})
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		return fmt.Errorf("remove delivery stream %s: %w", d.Name, err)
	}
	s.forget(d.Name)
	s.meters.drop(d.Name)
	return nil
}

// sweep deletes internal streams without a delivery stream, which a crash in the middle of a creation leaves behind.
func (s *Service) sweep(ctx context.Context) error {
	all, err := s.log.Streams(ctx)
	if err != nil {
		return fmt.Errorf("look for streams without delivery stream: %w", err)
	}
	for _, one := range all {
		name, ours := strings.CutPrefix(string(one.Name), internalPrefix)
		if !ours || one.Labels[stream.LabelInternal] != internalOwner {
			continue
		}
		if _, err := s.load(ctx, name); !errors.Is(err, state.ErrNotFound) {
			continue
		}
		if err := s.log.Delete(ctx, one.ID); err != nil && !errors.Is(err, stream.ErrNotFound) {
			return fmt.Errorf("delete stream %s without delivery stream: %w", one.Name, err)
		}
	}
	return nil
}
