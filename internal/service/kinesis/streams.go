package kinesis

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

const (
	// onDemandShards is how many shards a stream in on-demand mode begins with.
	onDemandShards   = 4
	defaultRetention = 24 * time.Hour
	// defaultListLimit is the page of DescribeStream, ListStreams and ListStreamConsumers.
	defaultListLimit = 100
)

// createStream makes the stream ACTIVE at once: CREATING is never seen.
func (s *Service) createStream(ctx context.Context, call *aws.Call, in *api.CreateStreamInput) (*aws.None, error) {
	name := stream.Name(*in.StreamName)
	if err := name.Check(); err != nil {
		return nil, invalidArgument("StreamName %s cannot name a stream: %s.", name, err)
	}
	born, shards, err := newborn(call, in)
	if err != nil {
		return nil, err
	}
	if _, err := s.log.Stream(ctx, name); err == nil {
		return nil, streamExists(call, name)
	}
	if err := s.checkLimits(ctx, call, born.Mode, shards); err != nil {
		return nil, err
	}
	born.NumbersFrom = s.former.numbersFrom(name, s.now())
	text, err := json.Marshal(born)
	if err != nil {
		return nil, fmt.Errorf("encode settings of stream %s: %w", name, err)
	}
	_, err = s.log.Create(ctx, stream.Spec{
		Name:   name,
		Shards: shards,
		Config: stream.Config{
			Retention:     defaultRetention,
			MaxBatchBytes: born.MaxRecordKiB<<10 + batchOverhead,
			Timestamps:    stream.LogAppendTime,
		},
		Labels: map[string]string{settingsLabel: string(text)},
	})
	return &aws.None{}, failure(call, name, err)
}

// newborn returns the settings and the number of shards that a CreateStream asks for.
func newborn(call *aws.Call, in *api.CreateStreamInput) (settings, int32, error) {
	born := defaultSettings()
	switch {
	case in.StreamModeDetails != nil:
		born.Mode = *in.StreamModeDetails.StreamMode
	case in.ShardCount == nil:
		born.Mode = api.StreamModeOnDemand
	}
	onDemand := born.Mode == api.StreamModeOnDemand
	shards := value(in.ShardCount, onDemandShards)
	born.MaxRecordKiB = value(in.MaxRecordSizeInKiB, defaultMaxRecordKiB)
	born.WarmMiBps = value(in.WarmThroughputMiBps, 0)
	born.Distribution = value(in.RecordDistributionStrategy, born.Distribution)
	born.Tags = in.Tags
	switch {
	case onDemand && in.ShardCount != nil:
		return born, 0, aws.Errorf(api.ErrValidation, "ShardCount cannot be given for a stream in ON_DEMAND mode.")
	case !onDemand && in.ShardCount == nil:
		return born, 0, aws.Errorf(api.ErrValidation, "ShardCount must be given for a stream in PROVISIONED mode.")
	case !onDemand && born.WarmMiBps > 0:
		return born, 0, invalidArgument("WarmThroughputMiBps can only be given for a stream in ON_DEMAND mode.")
	case !onDemand && born.Distribution == api.RecordDistributionStrategyAuto:
		return born, 0, invalidArgument("RecordDistributionStrategy AUTO can only be given for a stream in ON_DEMAND mode.")
	}
	return born, shards, checkTags("stream "+*in.StreamName+" under account "+call.Account, nil, in.Tags, nil)
}

// usage counts what DescribeLimits shows.
type usage struct{ shards, onDemand int }

func (s *Service) usage(ctx context.Context) (usage, error) {
	var u usage
	all, err := s.log.Streams(ctx)
	if err != nil {
		return u, err
	}
	for _, st := range all {
		if st.Internal() {
			continue
		}
		v, err := s.view(ctx, st)
		if err != nil {
			return u, err
		}
		u.shards += len(v.shards.open)
		if v.settings.Mode == api.StreamModeOnDemand {
			u.onDemand++
		}
	}
	return u, nil
}

func (s *Service) checkLimits(ctx context.Context, call *aws.Call, mode api.StreamMode, shards int32) error {
	u, err := s.usage(ctx)
	if err != nil {
		return err
	}
	if u.shards+int(shards) > s.config.ShardLimit {
		return aws.Errorf(api.ErrLimitExceeded, "This request would exceed the shard limit for the account %s in %s. Current shard count for the account: %d. "+
			"Limit: %d. Number of additional shards that would have resulted from this request: %d. Refer to the AWS Service Limits page "+
			"(http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to request higher limits.",
			call.Account, call.Region, u.shards, s.config.ShardLimit, shards)
	}
	if mode == api.StreamModeOnDemand && u.onDemand >= s.config.OnDemandStreamLimit {
		return aws.Errorf(api.ErrLimitExceeded, "This request would exceed the limit of %d streams in ON_DEMAND mode for the account %s in %s.",
			s.config.OnDemandStreamLimit, call.Account, call.Region)
	}
	return nil
}

func (s *Service) describeLimits(ctx context.Context, _ *aws.Call, _ *api.DescribeLimitsInput) (*api.DescribeLimitsOutput, error) {
	u, err := s.usage(ctx)
	if err != nil {
		return nil, err
	}
	return &api.DescribeLimitsOutput{
		ShardLimit: new(int32(s.config.ShardLimit)), OpenShardCount: new(int32(u.shards)),
		OnDemandStreamCount: new(int32(u.onDemand)), OnDemandStreamCountLimit: new(int32(s.config.OnDemandStreamLimit)),
		ChannelCount: new(int32), ChannelCountLimit: new(int32),
	}, nil
}

// deleteStream deletes at once: DELETING is never seen. Open subscriptions end with ResourceNotFoundException as they find the shard gone.
func (s *Service) deleteStream(ctx context.Context, call *aws.Call, in *api.DeleteStreamInput) (*aws.None, error) {
	v, err := s.resolve(ctx, call, in.StreamName, in.StreamARN)
	if err != nil {
		return nil, err
	}
	consumers, err := s.state.List(ctx, consumerKind, consumerPrefix(v.ID))
	if err != nil {
		return nil, failure(call, v.Name, err)
	}
	if len(consumers) > 0 && !value(in.EnforceConsumerDeletion, false) {
		return nil, aws.Errorf(api.ErrResourceInUse, "DeleteStream can't delete %s:%s because there are consumers associated with this data stream. To delete %[2]s anyway, "+
			"set the EnforceConsumerDeletion parameter to true to force the deletion of all the consumers that are associated with it.", call.Account, v.Name)
	}
	s.former.remember(v, s.now()) // before another of its name can be made
	if err := s.log.Delete(ctx, v.ID); err != nil {
		return nil, failure(call, v.Name, err)
	}
	s.settings.forget(v.ID)
	changes := []state.Change{{Key: settingsKey(v.ID), If: state.Any, Delete: true}}
	for _, c := range consumers {
		changes = append(changes, state.Change{Key: c.Key, If: state.Any, Delete: true})
	}
	if _, err := s.state.Apply(ctx, changes...); err != nil {
		// The stream is gone, which is what was asked; the documents are found again at the next start.
		s.logger.Warn("documents of a deleted stream are left", "stream", v.Name, "error", err)
	}
	return &aws.None{}, nil
}

func (s *Service) describeStream(ctx context.Context, call *aws.Call, in *api.DescribeStreamInput) (*api.DescribeStreamOutput, error) {
	v, err := s.resolve(ctx, call, in.StreamName, in.StreamARN)
	if err != nil {
		return nil, err
	}
	after := int32(-1)
	if in.ExclusiveStartShardId != nil {
		var ok bool
		if after, ok = parseShardID(*in.ExclusiveStartShardId); !ok {
			return nil, shardUnparsable(call, *in.ExclusiveStartShardId, v.Name)
		}
	}
	limit := int(value(in.Limit, defaultListLimit))
	shards := make([]api.Shard, 0, min(limit, len(v.shards.all)))
	more := false
	for _, sh := range v.shards.listed(s.now(), v.retention()) {
		if sh.index <= after {
			continue
		}
		if more = len(shards) == limit; more {
			break
		}
		shards = append(shards, sh.describe())
	}
	summary := v.summary(call)
	return &api.DescribeStreamOutput{StreamDescription: &api.StreamDescription{
		StreamName: summary.StreamName, StreamARN: summary.StreamARN, StreamStatus: summary.StreamStatus,
		StreamModeDetails: summary.StreamModeDetails, Shards: shards, HasMoreShards: &more,
		RetentionPeriodHours: new(v.retentionHours()), StreamCreationTimestamp: &v.Created,
		EnhancedMonitoring: noMetrics(), EncryptionType: new(api.EncryptionTypeNone),
	}}, nil
}

func noMetrics() []api.EnhancedMetrics {
	return []api.EnhancedMetrics{{ShardLevelMetrics: []api.MetricsName{}}}
}

func (s *Service) describeStreamSummary(ctx context.Context, call *aws.Call, in *api.DescribeStreamSummaryInput) (*api.DescribeStreamSummaryOutput, error) {
	v, err := s.resolve(ctx, call, in.StreamName, in.StreamARN)
	if err != nil {
		return nil, err
	}
	consumers, err := s.state.List(ctx, consumerKind, consumerPrefix(v.ID))
	if err != nil {
		return nil, failure(call, v.Name, err)
	}
	summary := v.summary(call)
	// No StreamId: SDKs that are told one make the host name of their next calls out of it, and leave a custom endpoint for AWS's own.
	described := &api.StreamDescriptionSummary{
		StreamName: summary.StreamName, StreamARN: summary.StreamARN, StreamStatus: summary.StreamStatus,
		StreamModeDetails: summary.StreamModeDetails, RetentionPeriodHours: new(v.retentionHours()), StreamCreationTimestamp: &v.Created,
		EnhancedMonitoring: noMetrics(), EncryptionType: new(api.EncryptionTypeNone),
		OpenShardCount: new(int32(len(v.shards.open))), ConsumerCount: new(int32(len(consumers))),
		MaxRecordSizeInKiB: &v.settings.MaxRecordKiB, RecordDistributionStrategy: &v.settings.Distribution,
		ChannelCount: new(int32), QueueCount: new(int32),
	}
	if warm := v.settings.WarmMiBps; warm > 0 {
		described.WarmThroughput = &api.WarmThroughputObject{TargetMiBps: &warm, CurrentMiBps: &warm}
	}
	return &api.DescribeStreamSummaryOutput{StreamDescriptionSummary: described}, nil
}

func (v view) summary(call *aws.Call) api.StreamSummary {
	return api.StreamSummary{
		StreamName: new(string(v.Name)), StreamARN: new(v.arn(call)), StreamStatus: new(api.StreamStatusActive),
		StreamModeDetails: &api.StreamModeDetails{StreamMode: &v.settings.Mode}, StreamCreationTimestamp: &v.Created,
	}
}

func (v view) arn(call *aws.Call) string { return call.ARN("stream/" + string(v.Name)) }

// listStreams leaves out the node's own streams, and those whose names are too long for Kinesis: no request could name them.
func (s *Service) listStreams(ctx context.Context, call *aws.Call, in *api.ListStreamsInput) (*api.ListStreamsOutput, error) {
	after := value(in.ExclusiveStartStreamName, "")
	if in.NextToken != nil {
		body, err := s.openToken(streamsToken, *in.NextToken)
		if err != nil {
			return nil, err
		}
		after = body.text()
	}
	all, err := s.log.Streams(ctx)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(st *stream.Stream) bool {
		return string(st.Name) <= after || len(st.Name) > maxNameLen || st.Internal()
	})
	limit := int(value(in.Limit, defaultListLimit))
	more := len(all) > limit
	all = all[:min(limit, len(all))]
	out := &api.ListStreamsOutput{StreamNames: []string{}, HasMoreStreams: &more, StreamSummaries: []api.StreamSummary{}}
	for _, st := range all {
		v, err := s.view(ctx, st)
		if err != nil {
			return nil, err
		}
		out.StreamNames = append(out.StreamNames, string(v.Name))
		out.StreamSummaries = append(out.StreamSummaries, v.summary(call))
	}
	if more {
		var body tokenBody
		body.addText(out.StreamNames[len(out.StreamNames)-1])
		out.NextToken = new(s.sealer.seal(streamsToken, s.now(), body))
	}
	return out, nil
}
