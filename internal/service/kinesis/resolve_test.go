package kinesis

import (
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/protocol/aws"
)

// FuzzStreamName feeds ARNs to what takes them apart: the name that comes out is the one that is in it, and the account the caller's.
func FuzzStreamName(f *testing.F) {
	f.Add("arn:aws:kinesis:us-east-1:000000000000:stream/s")
	f.Add("arn:aws:kinesis:us-east-1:111111111111:stream/s/consumer/c:1")
	f.Add("arn:aws:kinesis::000000000000:queue/q")
	f.Add("::::")
	f.Fuzz(func(t *testing.T, arn string) {
		name, err := streamName(&aws.Call{Account: "000000000000"}, nil, &arn)
		if err == nil && !strings.HasSuffix(arn, ":000000000000:stream/"+string(name)) {
			t.Errorf("%q names %q", arn, name)
		}
		if err != nil && !isAnswer(err) {
			t.Errorf("%q: %v is no AWS error", arn, err)
		}
	})
}

// FuzzShardID: an id that is accepted means the shard that its own spelling means.
func FuzzShardID(f *testing.F) {
	for _, seed := range []string{"shardId-000000000007", "7", "-", "shardId--1", "shardId-99999999999999999999", "x-٣"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		index, ok := parseShardID(id)
		if !ok {
			return
		}
		if again, ok := parseShardID(shardID(index)); index < 0 || !ok || again != index {
			t.Errorf("%q is shard %d, whose id means %d", id, index, again)
		}
	})
}

// FuzzHashKey: a hash key that is accepted prints as it was written.
func FuzzHashKey(f *testing.F) {
	for _, seed := range []string{"0", "340282366920938463463374607431768211455", "340282366920938463463374607431768211456", "01", "-1", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if k, ok := parseHashKey(text); ok && k.String() != text {
			t.Errorf("%q reads as %s", text, k)
		}
	})
}
