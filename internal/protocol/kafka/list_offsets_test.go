package kafka_test

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestListOffsetsAnswersOldExportersWithLists(t *testing.T) {
	t.Parallel()
	n, v := waiting(t)
	st := n.create(t, "events", 1, nil)
	r := n.raw(t)
	expect := func(at int64, most int32, failed error, want ...int64) {
		t.Helper()
		req := listRequest("events", at)
		req.Topics[0].Partitions[0].MaxNumOffsets = most
		got := ask[*kmsg.ListOffsetsResponse](r, 0, req).Topics[0].Partitions[0]
		if !slices.Equal(got.OldStyleOffsets, want) || kerr.ErrorForCode(got.ErrorCode) != failed {
			t.Errorf("at %d: %v, %v; want %v, %v", at, got.OldStyleOffsets, kerr.ErrorForCode(got.ErrorCode), want, failed)
		}
	}
	expect(-1, 1, nil, 0)
	expect(-2, 1, nil, 0)
	began := v.Now().UnixMilli()
	n.put(t, st, 0, 10)
	v.Advance(time.Second)
	n.put(t, st, 0, 10)
	if _, err := n.log.Trim(t.Context(), st.Shard(0), 1); err != nil {
		t.Fatal(err)
	}
	expect(-1, 1, nil, 2)
	expect(-1, 10, nil, 2)
	expect(-1, 0, nil)
	expect(-2, 1, nil, 1)
	expect(began, 1, nil, 1)
	expect(began+5000, 1, nil)
	expect(-3, 1, kerr.UnsupportedVersion)
}
