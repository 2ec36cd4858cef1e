package kinesis

import (
	"context"
	"time"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
	"github.com/freshet/freshet/internal/stream"
)

const (
	minRetentionHours = 24
	maxRetentionHours = 8760
)

// retention is how long the log keeps the stream's records; < 0 = for ever.
func (v view) retention() time.Duration {
	if v.Config.Retention == 0 {
		return stream.DefaultRetention
	}
	return v.Config.Retention
}

// retentionHours is retention as the API can say it: what a Kafka topic has beyond whole hours is rounded up, for ever is the most there is.
func (v view) retentionHours() int32 {
	r := v.retention()
	if r < 0 || r > maxRetentionHours*time.Hour {
		return maxRetentionHours
	}
	return int32((r + time.Hour - 1) / time.Hour)
}

func (s *Service) increaseRetention(ctx context.Context, call *aws.Call, in *api.IncreaseStreamRetentionPeriodInput) (*aws.None, error) {
	v, err := s.resolve(ctx, call, in.StreamName, in.StreamARN)
	if err != nil {
		return nil, err
	}
	hours, now := *in.RetentionPeriodHours, v.retentionHours()
	if err := checkRetention(hours); err != nil {
		return nil, err
	}
	if hours < now {
		return nil, invalidArgument("Requested retention period (%d hours) for stream %s can not be shorter than existing retention period (%d hours). "+
			"Use DecreaseRetentionPeriod API.", hours, v.Name, now)
	}
	return s.setRetention(ctx, call, v, hours)
}

func (s *Service) decreaseRetention(ctx context.Context, call *aws.Call, in *api.DecreaseStreamRetentionPeriodInput) (*aws.None, error) {
	v, err := s.resolve(ctx, call, in.StreamName, in.StreamARN)
	if err != nil {
		return nil, err
	}
	hours, now := *in.RetentionPeriodHours, v.retentionHours()
	if err := checkRetention(hours); err != nil {
		return nil, err
	}
	if hours > now {
		return nil, invalidArgument("Requested retention period (%d hours) for stream %s can not be longer than existing retention period (%d hours). "+
			"Use IncreaseRetentionPeriod API.", hours, v.Name, now)
	}
	return s.setRetention(ctx, call, v, hours)
}

func checkRetention(hours int32) error {
	if hours < minRetentionHours {
		return invalidArgument("Minimum allowed retention period is %d hours. Requested retention period (%d hours) is too short.", minRetentionHours, hours)
	}
	if hours > maxRetentionHours {
		return invalidArgument("Maximum allowed retention period is %d hours. Requested retention period (%d hours) is too long.", maxRetentionHours, hours)
	}
	return nil
}

func (s *Service) setRetention(ctx context.Context, call *aws.Call, v view, hours int32) (*aws.None, error) {
	config := v.Config
	config.Retention = time.Duration(hours) * time.Hour
	_, err := s.log.Alter(ctx, v.ID, stream.Change{Config: &config})
	return &aws.None{}, failure(call, v.Name, err)
}
