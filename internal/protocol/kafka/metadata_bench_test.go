package kafka_test

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/stream"
)

// BenchmarkMetadata asks for all topics: what clients with a pattern do.
func BenchmarkMetadata(b *testing.B) {
	for _, topics := range []int{10, 1000} {
		b.Run(fmt.Sprintf("%dx10", topics), func(b *testing.B) {
			n := start(b)
			for i := range topics {
				if _, err := n.log.Create(b.Context(), stream.Spec{Name: stream.Name(fmt.Sprintf("topic-%d", i)), Shards: 10}); err != nil {
					b.Fatal(err)
				}
			}
			r := n.raw(b)
			for b.Loop() {
				if resp := ask[*kmsg.MetadataResponse](r, 12, kmsg.NewPtrMetadataRequest()); len(resp.Topics) != topics {
					b.Fatal(len(resp.Topics))
				}
			}
		})
	}
}
