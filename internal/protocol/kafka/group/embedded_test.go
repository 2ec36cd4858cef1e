package group

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// FuzzDecodeEmbedded asserts that what a general decoder reads as a consumer's metadata is read as the same.
func FuzzDecodeEmbedded(f *testing.F) {
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Version, meta.Topics, meta.UserData, meta.Generation, meta.Rack = 3, []string{"a", "bc"}, []byte("u"), 7, kmsg.StringPtr("r")
	meta.OwnedPartitions = []kmsg.ConsumerMemberMetadataOwnedPartition{{Topic: "a", Partitions: []int32{1, 2}}}
	f.Add(meta.AppendTo(nil))
	meta.Version, meta.OwnedPartitions = 1, nil
	f.Add(meta.AppendTo(nil))
	f.Add([]byte{0, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0x0f, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<12 {
			return
		}
		got, ok := decodeEmbedded(b)
		var want kmsg.ConsumerMemberMetadata
		null := func(o kmsg.ConsumerMemberMetadataOwnedPartition) bool { return o.Partitions == nil }
		if want.ReadFrom(b) != nil || want.Topics == nil || want.Version < 0 || want.Version >= 1 && want.OwnedPartitions == nil ||
			slices.ContainsFunc(want.OwnedPartitions, null) {
			return // null arrays are malformed
		}
		if !ok || !slices.Equal(got.topics, want.Topics) || len(got.owned) != len(want.OwnedPartitions) {
			t.Fatalf("%+v, %v; want %+v", got, ok, want)
		}
		for i, o := range got.owned {
			if o.topic != want.OwnedPartitions[i].Topic || !slices.Equal(o.partitions, want.OwnedPartitions[i].Partitions) {
				t.Fatalf("%+v, want %+v", got, want)
			}
		}
		if want.Rack != nil && got.rack != *want.Rack {
			t.Fatalf("rack %q, want %q", got.rack, *want.Rack)
		}
	})
}

// FuzzDecodeGiven asserts the same of assignments, and that what is encoded is read again.
func FuzzDecodeGiven(f *testing.F) {
	f.Add(appendGiven(1, []namedPartitions{{"a", []int32{0, 3}}, {"b", []int32{1}}}))
	f.Add(appendGiven(0, nil))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<12 || len(b) == 0 {
			return
		}
		got, custom, ok := decodeGiven(b)
		var want kmsg.ConsumerMemberAssignment
		null := func(o kmsg.ConsumerMemberAssignmentTopic) bool { return o.Partitions == nil }
		if want.ReadFrom(b) != nil || want.Topics == nil || want.Version < 0 || slices.ContainsFunc(want.Topics, null) {
			return // null arrays are malformed
		}
		if !ok || len(got) != len(want.Topics) || custom != (len(want.UserData) > 0) {
			t.Fatalf("%+v, %v, %v; want %+v", got, custom, ok, want)
		}
		again, _, ok := decodeGiven(appendGiven(1, got))
		if !ok || len(again) != len(got) {
			t.Fatalf("%+v came back as %+v", got, again)
		}
		for i := range got {
			if got[i].topic != want.Topics[i].Topic || again[i].topic != got[i].topic ||
				!slices.Equal(got[i].partitions, want.Topics[i].Partitions) || !slices.Equal(got[i].partitions, again[i].partitions) {
				t.Fatalf("%+v came back as %+v, want %+v", got, again, want)
			}
		}
	})
}
