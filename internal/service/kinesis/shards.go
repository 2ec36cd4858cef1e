package kinesis

import (
	"context"
	"time"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
	"github.com/freshet/freshet/internal/stream"
)

// maxListShards is the most that ListShards returns at a time, and its default.
const maxListShards = 1000

// shardListing is what a ListShards asks for; its NextToken carries it on.
type shardListing struct {
	stream stream.ID
	name   stream.Name
	after  int32 // only shards with a larger index; -1 = all
	filter api.ShardFilterType
	time   time.Time // of the *_TIMESTAMP filters
}

func (s *Service) listShards(ctx context.Context, call *aws.Call, in *api.ListShardsInput) (*api.ListShardsOutput, error) {
	var v view
	var want shardListing
	var err error
	if in.NextToken != nil {
		v, want, err = s.resumeListing(ctx, call, in)
	} else {
		v, want, err = s.newListing(ctx, call, in)
	}
	if err != nil {
		return nil, err
	}
	limit := int(min(value(in.MaxResults, maxListShards), maxListShards))
	out := &api.ListShardsOutput{Shards: []api.Shard{}}
	for _, sh := range v.shards.listed(s.now(), v.retention()) {
		if sh.index <= want.after || !want.shows(sh) {
			continue
		}
		if len(out.Shards) == limit {
			out.NextToken = new(s.sealListing(want))
			break
		}
		out.Shards = append(out.Shards, sh.describe())
		want.after = sh.index
	}
	return out, nil
}

// newListing is the first call's.
func (s *Service) newListing(ctx context.Context, call *aws.Call, in *api.ListShardsInput) (view, shardListing, error) {
	want := shardListing{after: -1}
	if in.StreamName == nil && in.StreamARN == nil {
		return view{}, want, invalidArgument("Either NextToken or StreamName should be provided.")
	}
	v, err := s.resolve(ctx, call, in.StreamName, in.StreamARN)
	if err != nil {
		return view{}, want, err
	}
	if !sameCreation(v, in.StreamCreationTimestamp) {
		return view{}, want, streamNotFound(call, v.Name)
	}
	want.stream, want.name = v.ID, v.Name
	if id := in.ExclusiveStartShardId; id != nil {
		var ok bool
		if want.after, ok = parseShardID(*id); !ok {
			return view{}, want, shardUnparsable(call, *id, v.Name)
		}
	}
	return v, want, s.filter(call, v, &want, in.ShardFilter)
}

// sameCreation says whether a StreamCreationTimestamp, if there is one, means this life of the stream. Clients bring back what a description
// said, some of them in whole seconds.
func sameCreation(v view, t *time.Time) bool { return t == nil || t.Unix() == v.Created.Unix() }

// filter adds a ShardFilter to a listing. Moments before the trim horizon mean the trim horizon, and it is never before the stream was made.
func (s *Service) filter(call *aws.Call, v view, want *shardListing, f *api.ShardFilter) error {
	want.filter = api.ShardFilterTypeFromTrimHorizon
	if f == nil {
		return nil
	}
	want.filter = *f.Type
	timed := want.filter == api.ShardFilterTypeAtTimestamp || want.filter == api.ShardFilterTypeFromTimestamp
	switch {
	case f.ShardId != nil && want.filter != api.ShardFilterTypeAfterShardId:
		return invalidArgument("ShardId cannot be provided in a ShardFilter of type %s.", want.filter)
	case f.Timestamp != nil && !timed:
		return invalidArgument("Timestamp cannot be provided in a ShardFilter of type %s.", want.filter)
	}
	now := s.now()
	horizon := v.Created
	if r := v.retention(); r >= 0 && now.Add(-r).After(horizon) {
		horizon = now.Add(-r)
	}
	switch want.filter {
	case api.ShardFilterTypeAfterShardId:
		if f.ShardId == nil {
			return invalidArgument("ShardId must be provided in a ShardFilter of type %s.", want.filter)
		}
		after, ok := parseShardID(*f.ShardId)
		if !ok {
			return shardUnparsable(call, *f.ShardId, v.Name)
		}
		want.after = max(want.after, after)
	case api.ShardFilterTypeAtTimestamp, api.ShardFilterTypeFromTimestamp:
		if f.Timestamp == nil {
			return invalidArgument("Timestamp must be provided in a ShardFilter of type %s.", want.filter)
		}
		if f.Timestamp.After(now) {
			return invalidArgument("The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "+
				"timestampInMillis: %d, currentTimestampInMillis: %d", f.Timestamp.UnixMilli(), now.UnixMilli())
		}
		want.time = *f.Timestamp
		if want.time.Before(horizon) {
			want.time = horizon
		}
	case api.ShardFilterTypeAtTrimHorizon:
		want.filter, want.time = api.ShardFilterTypeAtTimestamp, horizon
	}
	return nil
}

func (w *shardListing) shows(sh *shard) bool {
	openAt := sh.open() || !sh.closed.Before(w.time)
	switch w.filter {
	case api.ShardFilterTypeAtLatest:
		return sh.open()
	case api.ShardFilterTypeAtTimestamp:
		return openAt && !sh.created.After(w.time)
	case api.ShardFilterTypeFromTimestamp:
		return openAt
	}
	return true
}

func (s *Service) sealListing(w shardListing) string {
	var body tokenBody
	body.addText(string(w.stream[:]))
	body.addText(string(w.name))
	body.addNumber(int64(w.after))
	body.addText(string(w.filter))
	body.addNumber(w.time.UnixMilli())
	return s.sealer.seal(shardsToken, s.now(), body)
}

// resumeListing is a later call's, where the token says everything.
func (s *Service) resumeListing(ctx context.Context, call *aws.Call, in *api.ListShardsInput) (view, shardListing, error) {
	var w shardListing
	for _, member := range []struct {
		name  string
		given bool
	}{
		{"StreamName", in.StreamName != nil},
		{"StreamARN", in.StreamARN != nil},
		{"ExclusiveStartShardId", in.ExclusiveStartShardId != nil},
		{"StreamCreationTimestamp", in.StreamCreationTimestamp != nil},
		{"ShardFilter", in.ShardFilter != nil},
	} {
		if member.given {
			return view{}, w, invalidArgument("NextToken and %s cannot be provided together.", member.name)
		}
	}
	body, err := s.openToken(shardsToken, *in.NextToken)
	if err != nil {
		return view{}, w, err
	}
	copy(w.stream[:], body.text())
	w.name = stream.Name(body.text())
	w.after = int32(body.number())
	w.filter = api.ShardFilterType(body.text())
	w.time = time.UnixMilli(body.number())
	st, err := s.log.StreamByID(ctx, w.stream)
	if err != nil {
		return view{}, w, failure(call, w.name, err)
	}
	v, err := s.view(ctx, st)
	return v, w, err
}
