package kinesis

import (
	"context"
	"errors"
	"strings"

	"github.com/freshet/freshet/internal/protocol/aws"
	"github.com/freshet/freshet/internal/stream"
)

// maxNameLen is the longest name that Kinesis knows; streams with longer ones are Kafka's alone.
const maxNameLen = 128

// streamName returns the name that a request gives its stream: by name, by ARN, or by both alike. The ARN's region is not looked at, since a
// node has one set of streams and shows it in every region; its account must be the caller's.
func streamName(call *aws.Call, name, arn *string) (stream.Name, error) {
	if arn == nil {
		if name == nil {
			return "", invalidArgument("Either StreamName or StreamARN should be provided.")
		}
		return stream.Name(*name), nil
	}
	account, resource := splitARN(*arn)
	named, ok := strings.CutPrefix(resource, "stream/")
	if !ok {
		return "", invalidArgument("StreamARN %s does not name a stream.", *arn)
	}
	if name != nil && *name != named {
		return "", invalidArgument("StreamName %s does not match the stream of StreamARN %s.", *name, *arn)
	}
	if account != call.Account {
		return "", streamNotFound(&aws.Call{Account: account}, stream.Name(named))
	}
	return stream.Name(named), nil
}

// splitARN returns the account and the resource of arn:partition:service:region:account:resource.
func splitARN(arn string) (account, resource string) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return "", ""
	}
	return parts[4], parts[5]
}

// resolve finds the stream that a request is about.
func (s *Service) resolve(ctx context.Context, call *aws.Call, name, arn *string) (view, error) {
	n, err := streamName(call, name, arn)
	if err != nil {
		return view{}, err
	}
	return s.find(ctx, call, n)
}

func (s *Service) find(ctx context.Context, call *aws.Call, name stream.Name) (view, error) {
	if len(name) > maxNameLen || name.Check() != nil {
		return view{}, streamNotFound(call, name)
	}
	st, err := s.log.Stream(ctx, name)
	if err != nil {
		return view{}, failure(call, name, err)
	}
	if st.Internal() {
		return view{}, streamNotFound(call, name)
	}
	return s.view(ctx, st)
}

// resolveShard finds a shard by the id in a request. A missing stream is reported as AWS does for readers: as its shard missing.
func (s *Service) resolveShard(ctx context.Context, call *aws.Call, name, arn *string, id string) (view, *shard, error) {
	n, err := streamName(call, name, arn)
	if err != nil {
		return view{}, nil, err
	}
	index, ok := parseShardID(id)
	if !ok {
		return view{}, nil, shardUnparsable(call, id, n)
	}
	v, err := s.find(ctx, call, n)
	if err != nil {
		return view{}, nil, asShardNotFound(call, index, n, err)
	}
	if index >= v.Shards {
		return view{}, nil, shardNotFound(call, shardID(index), n)
	}
	return v, &v.shards.all[index], nil
}

func asShardNotFound(call *aws.Call, index int32, name stream.Name, err error) error {
	if errors.Is(err, streamNotFound(call, name)) {
		return shardNotFound(call, shardID(index), name)
	}
	return err
}

// value is what an absent member stands for.
func value[T any](p *T, absent T) T {
	if p == nil {
		return absent
	}
	return *p
}
