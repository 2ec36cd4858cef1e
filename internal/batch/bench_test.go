package batch_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet/freshet/internal/batch"
)

// BenchmarkDecompress walks batches as producers make them: log lines, of a few kilobytes and of many.
func BenchmarkDecompress(b *testing.B) {
	codecs := []kgo.CompressionCodec{batch.Gzip: kgo.GzipCompression(), batch.Snappy: kgo.SnappyCompression(), batch.LZ4: kgo.Lz4Compression(), batch.Zstd: kgo.ZstdCompression()}
	for codec := batch.Gzip; codec <= batch.Zstd; codec++ {
		for _, records := range []int{10, 1000, 20_000} {
			var plain batch.Builder
			for i := range records {
				plain.Add(int64(i), nil, fmt.Appendf(nil, `10.0.%d.%d - - [01/Dec/2026:10:00:%02d] "GET /item/%d?from=%x HTTP/1.1" 200 %d`, i%7, i*31%256, i%60, i*7919, i*104729, i%5000))
			}
			whole := plain.Finish(batch.NoProducer)
			compressor, err := kgo.DefaultCompressor(codecs[codec])
			if err != nil {
				b.Fatal(err)
			}
			got, _ := compressor.Compress(&bytes.Buffer{}, whole[batch.HeaderSize:])
			compressed := recompress(whole, codec, got)
			b.Run(fmt.Sprintf("%s/%dKiB", codec, len(whole)>>10), func(b *testing.B) {
				b.SetBytes(int64(len(whole)))
				b.ReportAllocs()
				for b.Loop() {
					if err := batch.Records(compressed, 0, func(*batch.Record) bool { return true }); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
