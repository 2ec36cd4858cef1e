package kafka_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
)

// storedCodecs returns the codecs of a topic's batches, and how many bytes they have.
func (n *node) storedCodecs(t testing.TB, st *stream.Stream) (codecs []batch.Codec, size int) {
	t.Helper()
	c, err := n.log.Read(t.Context(), st.Shard(0), 0, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	for _, b := range c.Batches {
		h, err := batch.Verify(b)
		if err != nil {
			t.Fatal(err)
		}
		codecs, size = append(codecs, h.Attributes.Codec()), size+len(b)
	}
	return codecs, size
}

// TestTopicsCompressAsTheyAreTold: whatever producers send, a batch is stored in its topic's codec, and consumers read what was sent.
func TestTopicsCompressAsTheyAreTold(t *testing.T) {
	t.Parallel()
	n := start(t)
	sent := map[batch.Codec]kgo.CompressionCodec{
		batch.None: kgo.NoCompression(), batch.Gzip: kgo.GzipCompression(), batch.Snappy: kgo.SnappyCompression(), batch.LZ4: kgo.Lz4Compression(), batch.Zstd: kgo.ZstdCompression(),
	}
	for kept, name := range []string{"uncompressed", "gzip", "snappy", "lz4", "zstd"} {
		st := n.create(t, name, 1, map[string]*string{"compression.type": &name})
		for _, codec := range sent {
			c := n.client(t, kgo.ProducerBatchCompression(codec))
			for i := range 3 {
				r := &kgo.Record{Topic: name, Key: fmt.Append(nil, "k", i), Value: bytes.Repeat([]byte("value"), 200)}
				if err := c.ProduceSync(t.Context(), r).FirstErr(); err != nil {
					t.Fatal(name, err)
				}
			}
		}
		codecs, _ := n.storedCodecs(t, st)
		for _, c := range codecs {
			if c != batch.Codec(kept) {
				t.Errorf("%s stores %v", name, codecs)
				break
			}
		}
		for i, r := range n.consume(t, name, 15) {
			if string(r.Key) != fmt.Sprint("k", i%3) || len(r.Value) != 1000 {
				t.Errorf("%s: record %d is %s of %d bytes", name, i, r.Key, len(r.Value))
			}
		}
	}
}

// TestCompressionLevelsCount: a higher level makes fewer bytes of the same records.
func TestCompressionLevelsCount(t *testing.T) {
	t.Parallel()
	n := start(t)
	var text strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&text, "%d,%x;", i*i%977, i*7919)
	}
	for codec, levels := range map[string][2]string{"gzip": {"1", "9"}, "lz4": {"9", "12"}, "zstd": {"1", "19"}} {
		var sizes [2]int
		for i, level := range levels {
			topic := fmt.Sprint(codec, i)
			st := n.create(t, topic, 1, map[string]*string{"compression.type": &codec, "compression." + codec + ".level": &level})
			c := n.client(t, kgo.ProducerBatchCompression(kgo.NoCompression()))
			if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte(text.String())}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			_, sizes[i] = n.storedCodecs(t, st)
		}
		if sizes[1] >= sizes[0] {
			t.Errorf("%s: level %s makes %d bytes, level %s %d", codec, levels[0], sizes[0], levels[1], sizes[1])
		}
	}
}

// TestRecompressedBatchesAreBounded: what a batch becomes may be no larger than its topic allows, nor what a batch was.
func TestRecompressedBatchesAreBounded(t *testing.T) {
	t.Parallel()
	n := start(t)
	limit, plain, zstd := "10000", "uncompressed", "zstd"
	n.create(t, "plain", 1, map[string]*string{"compression.type": &plain, "max.message.bytes": &limit})
	n.create(t, "zstd", 1, map[string]*string{"compression.type": &zstd, "max.message.bytes": &limit})
	value := bytes.Repeat([]byte("x"), 20_000)
	for topic, codec := range map[string]kgo.CompressionCodec{"plain": kgo.ZstdCompression(), "zstd": kgo.NoCompression()} {
		c := n.client(t, kgo.ProducerBatchCompression(codec))
		if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: value}).FirstErr(); !errors.Is(err, kerr.MessageTooLarge) {
			t.Errorf("%s: %v", topic, err)
		}
	}
}
