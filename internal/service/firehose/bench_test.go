package firehose

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/backend/dir"
	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/flow"
	api "github.com/freshet/freshet/internal/protocol/aws/model/firehose"
	"github.com/freshet/freshet/internal/state/memstate"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/memlog"
)

// BenchmarkDeliver carries log lines of about 200 bytes from a log in memory into files of 64 MiB.
func BenchmarkDeliver(b *testing.B) {
	for _, compression := range []api.CompressionFormat{api.CompressionFormatUncompressed, api.CompressionFormatGzip} {
		b.Run(string(compression), func(b *testing.B) {
			l := memlog.New(clock.Real(), rand.NewChaCha8([32]byte{1}))
			defer l.Close()
			store := memstate.New(clock.Real())
			objects, err := dir.New(dir.Config{Root: filepath.Join(b.TempDir(), "objects")})
			if err != nil {
				b.Fatal(err)
			}
			source, err := l.Create(b.Context(), stream.Spec{Name: "source", Shards: 1, Config: stream.Config{RetentionBytes: -1}})
			if err != nil {
				b.Fatal(err)
			}
			size := fill(b, l, source)
			service := &Service{objects: objects}
			layout := &layout{stream: "s", version: 1, bucket: bucket, prefix: &prefix{}, zone: time.UTC, gzip: compression == api.CompressionFormatGzip}
			b.SetBytes(size)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				delivered, all := 0, make(chan struct{})
				f, err := flow.New(flow.Config{
					Name: fmt.Sprint("bench", i), Stream: source.ID, Owner: "bench", Limits: flow.Limits{Bytes: 64 << 20}, Label: layout.label,
					Delivered: func(_ context.Context, batch *flow.Batch) {
						if delivered += batch.Records; delivered == benchRecords {
							close(all)
						}
					},
				}, flow.Deps{
					Log: l, State: store, Clock: clock.Real(), Random: rand.New(rand.NewPCG(1, 1)), Budget: flow.NewBudget(0), Logger: slog.New(slog.DiscardHandler),
				}, &sink{service, &meter{}})
				if err != nil {
					b.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() { ended <- f.Run(b.Context()) }()
				<-all
				f.Stop()
				if err := <-ended; err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

const benchRecords = 320_000

func fill(b *testing.B, l stream.Log, source *stream.Stream) (size int64) {
	b.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	var w batch.Builder
	for i := range benchRecords {
		line := fmt.Sprintf(`{"id":%d,"user":"u%d","path":"/products/%d/reviews?page=%d","status":200,"duration_ms":%.3f,"agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36","referer":"https://example.com/"}`+"\n",
			i, random.IntN(10_000), random.IntN(500), random.IntN(20), random.Float64()*100)
		w.Add(0, nil, []byte(line))
		size += int64(len(line))
		if w.Len() == 500 {
			results, err := l.Append(b.Context(), []stream.Append{{Shard: source.Shard(0), Batch: w.Finish(batch.NoProducer)}}).Wait(b.Context())
			if err != nil || results[0].Err != nil {
				b.Fatal(err, results)
			}
			w.Reset()
		}
	}
	return size
}
