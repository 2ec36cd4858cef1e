package kinesis

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/freshet/freshet/internal/batch"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
)

// compress returns the batch b as a producer that compresses with codec would send it.
func compress(t *testing.T, codec batch.Codec, b []byte) []byte {
	t.Helper()
	var body bytes.Buffer
	var w io.WriteCloser
	var err error
	switch codec {
	case batch.None:
		return b
	case batch.Snappy:
		body.Write(s2.EncodeSnappy(nil, b[batch.HeaderSize:]))
	case batch.Gzip:
		w = gzip.NewWriter(&body)
	case batch.LZ4:
		w = lz4.NewWriter(&body)
	case batch.Zstd:
		w, err = zstd.NewWriter(&body)
	}
	if err != nil {
		t.Fatal(err)
	}
	if w != nil {
		if _, err := w.Write(b[batch.HeaderSize:]); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return marked(append(append([]byte(nil), b[:batch.HeaderSize]...), body.Bytes()...), uint16(codec))
}

// marked sets attributes of a batch, and its length and checksum to what they then are.
func marked(b []byte, attributes uint16) []byte {
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-batch.Prefix))
	binary.BigEndian.PutUint16(b[21:], binary.BigEndian.Uint16(b[21:])|attributes)
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

func TestGetRecordsReadsEveryCodec(t *testing.T) {
	r := newRig(t)
	shard := r.topic("topic", 1).Shard(0)
	want := ""
	for codec := batch.None; codec <= batch.Zstd; codec++ {
		var b batch.Builder
		for i := range 3 {
			b.Add(rigStart.UnixMilli(), []byte("k"), fmt.Appendf(nil, "%d-%d", codec, i))
			want += fmt.Sprintf(" k=%d-%d", codec, i)
		}
		r.appendBatch(shard, compress(t, codec, b.Finish(batch.NoProducer)))
	}
	if got := " " + r.read(r.iterator("topic", 0, api.ShardIteratorTypeTrimHorizon, "")); got != want {
		t.Errorf("read %s, want %s", got, want)
	}
}

// The markers of transactions are nobody's records: readers pass over them, and over the gap in the sequence that they leave.
func TestGetRecordsSkipsTransactionMarkers(t *testing.T) {
	const transactional, control = 1 << 4, 1 << 5
	r := newRig(t)
	shard := r.topic("topic", 1).Shard(0)
	r.kafka(shard, batch.Record{Key: []byte("k"), Value: []byte("before")})
	var b batch.Builder
	b.Add(rigStart.UnixMilli(), []byte{0, 0, 0, 1}, []byte{0, 0, 0, 0, 0, 0})
	r.appendBatch(shard, marked(b.Finish(batch.Producer{ID: 7, Epoch: 0, Sequence: -1}), transactional|control))
	it := r.iterator("topic", 0, api.ShardIteratorTypeTrimHorizon, "")
	out := r.get(it)
	if got := show(out.Records); got != "k=before" || *out.MillisBehindLatest != 0 {
		t.Errorf("read %q, behind by %d", got, *out.MillisBehindLatest)
	}
	r.kafka(shard, batch.Record{Key: []byte("k"), Value: []byte("after")})
	if got := r.read(*out.NextShardIterator); got != "k=after" {
		t.Errorf("then read %q", got)
	}
	if got := r.read(it); got != "k=before k=after" {
		t.Errorf("read %q at once", got)
	}
}
