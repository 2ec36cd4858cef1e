package kafka

import (
	"context"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
)

// byProducer is the compression.type of topics whose batches stay as producers compress them.
const byProducer = "producer"

// compressionNames are the values of compression.type that name a codec, in the order of the codecs.
var compressionNames = [...]string{batch.None: "uncompressed", batch.Gzip: "gzip", batch.Snappy: "snappy", batch.LZ4: "lz4", batch.Zstd: "zstd"}

// compressionSettings are those of topics whose batches the server compresses anew (KIP-390).
func compressionSettings() []TopicSetting {
	level := func(key, def string, check func(string) error, doc string) TopicSetting {
		return TopicSetting{Key: key, Type: kmsg.ConfigTypeInt, Default: def, Broker: key, Effect: Enforced, Doc: doc, check: check}
	}
	return []TopicSetting{
		{
			Key: "compression.type", Type: kmsg.ConfigTypeString, Default: byProducer, Broker: "compression.type", Effect: Enforced,
			Doc: "How batches are stored: producer as producers compress them, else by this codec. What has another is opened, and compressed anew, " +
				"before it is written.",
			check: oneOf(append([]string{byProducer}, compressionNames[:]...)...),
		},
		level("compression.gzip.level", "-1", gzipLevel, "Level where the server compresses by gzip; -1 is 6."),
		level("compression.lz4.level", "9", between(1, 17), "Level where the server compresses by lz4: 9, the default, is the fast method, as in Apache Kafka; "+
			"others search, the harder the higher, those above 9 like 9 of lz4 itself."),
		level("compression.zstd.level", "3", between(-131072, 22), "Level where the server compresses by zstd; the nearest of four methods."),
	}
}

// setting returns a topic's value of a config that is kept in its labels.
func (s *Server) setting(st *stream.Stream, key string) string {
	if v, ok := st.Labels[label(key)]; ok {
		return v
	}
	return s.defaultOf(topicSetting(key))
}

// maxRecoded bounds the batches of one request that are compressed anew, in bytes. Two requests have theirs at a time.
const maxRecoded = 64 << 20

// recoder compresses the batches of one request anew, where their topics ask for it.
type recoder struct {
	server *Server
	bytes  int // of what it has returned, until release
	held   bool
}

// release is called when the log has copied what was returned.
func (r *recoder) release() {
	if r.held {
		r.server.recoded.Give(maxRecoded)
	}
	*r = recoder{server: r.server}
}

// recompress returns the batch in the form that its topic's compression.type asks for, as Kafka's LogValidator does: in memory of its own if that is
// another than it has. The batch was checked; neither it nor what becomes of it may be larger than the topic allows.
func (r *recoder) recompress(ctx context.Context, st *stream.Stream, b []byte) ([]byte, error) {
	s := r.server
	name := s.setting(st, "compression.type")
	if name == byProducer {
		return b, nil
	}
	h, err := batch.Parse(b)
	if err != nil {
		return nil, err
	}
	codec := batch.None
	for compressionNames[codec] != name {
		codec++
	}
	if h.Attributes.Codec() == codec {
		return b, nil
	}
	if _, err := batch.Verify(b); err != nil {
		return nil, err // before a new checksum hides it
	}
	limit := maxBatch(&st.Config)
	if len(b) > limit {
		return nil, fmt.Errorf("%w: %d bytes, the topic allows %d", stream.ErrTooLarge, len(b), limit)
	}
	if !r.held {
		if err := s.recoded.Take(ctx, maxRecoded); err != nil {
			return nil, err
		}
		r.held = true
	}
	if err := s.plain.Take(ctx, batch.DefaultMaxDecompressed); err != nil {
		return nil, err
	}
	defer s.plain.Give(batch.DefaultMaxDecompressed)
	out, err := batch.Recode(nil, b, codec, s.level(st, codec), 0)
	if err != nil {
		return nil, err
	}
	if len(out) > min(limit, maxRecoded-r.bytes) {
		return nil, fmt.Errorf("%w: it becomes %d bytes by %s, the topic allows %d, and a request %d in all", stream.ErrTooLarge, len(out), name, limit, maxRecoded)
	}
	r.bytes += len(out)
	return out, nil
}

// level returns a topic's level for a codec; 0 is for those that have none.
func (s *Server) level(st *stream.Stream, codec batch.Codec) int {
	if codec == batch.None || codec == batch.Snappy {
		return 0
	}
	level, _ := strconv.Atoi(s.setting(st, "compression."+compressionNames[codec]+".level")) // its check has passed it
	return level
}

// maxBatch returns the largest batch that a topic takes, in bytes.
func maxBatch(c *stream.Config) int {
	if c.MaxBatchBytes <= 0 {
		return stream.DefaultMaxBatchBytes
	}
	return int(c.MaxBatchBytes)
}
