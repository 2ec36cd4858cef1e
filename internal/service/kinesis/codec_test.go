package kinesis

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/clock"
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
	r := newRig(t)
	shard := r.topic("topic", 1).Shard(0)
	r.kafka(shard, batch.Record{Key: []byte("k"), Value: []byte("before")})
	r.endTransaction(shard, 7, true)
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

// slowLog is a log on which each line takes a while.
type slowLog struct {
	clock *clock.Virtual
	text  bytes.Buffer
}

func (l *slowLog) Write(line []byte) (int, error) {
	l.clock.Advance(600 * time.Millisecond)
	return l.text.Write(line)
}

// bombed is a service with a topic of four batches that decompress to more than anybody opens, and a record behind them.
func bombed(t *testing.T) (*rig, *slowLog) {
	r := newRig(t)
	log := &slowLog{clock: r.clock}
	r.logger = slog.New(slog.NewTextHandler(log, nil))
	shard := r.topic("topic", 1).Shard(0)
	var b batch.Builder
	b.Add(rigStart.UnixMilli(), nil, make([]byte, batch.DefaultMaxDecompressed))
	// Not by zstd: its decoders are pooled, and one made in a bubble of synctest has channels that nobody outside may receive from.
	bomb := compress(t, batch.Gzip, b.Finish(batch.NoProducer))
	if len(bomb) > batch.DefaultMaxDecompressed/1000 {
		t.Fatalf("the bomb has %d bytes", len(bomb))
	}
	for range 4 {
		r.appendBatch(shard, slices.Clone(bomb))
	}
	r.kafka(shard, batch.Record{Timestamp: rigStart.UnixMilli(), Key: []byte("k"), Value: []byte("after")})
	return r, log
}

func checkBombsNamed(t *testing.T, log *slowLog) {
	t.Helper()
	for offset := range 4 {
		want := fmt.Sprintf("stream=topic shard=0 offset=%d error=\"record batch: records decompress to more than 67108864 bytes\"", offset)
		if strings.Count(log.text.String(), want) != 1 {
			t.Errorf("the log does not say once %s:\n%s", want, log.text.String())
		}
	}
}

// Bombs do not keep a reader from what is behind them, and each answer passes as many as can be tried in a time that a client waits.
func TestGetRecordsPassesBombs(t *testing.T) {
	r, log := bombed(t)
	it := r.iterator("topic", 0, api.ShardIteratorTypeTrimHorizon, "")
	for _, want := range []string{"", "", "k=after"} {
		out := r.get(it)
		if got := show(out.Records); got != want || (*out.MillisBehindLatest > 0) != (want == "") {
			t.Errorf("read %q, behind by %d, want %q", got, *out.MillisBehindLatest, want)
		}
		it = *out.NextShardIterator
	}
	checkBombsNamed(t, log)
}

// What is known to be unreadable is passed at once: all answers together open each batch once, and the log names it once.
func TestReadersOpenBombsOnce(t *testing.T) {
	r, log := bombed(t)
	it := r.iterator("topic", 0, api.ShardIteratorTypeTrimHorizon, "")
	for next := it; ; {
		out := r.get(next)
		if *out.MillisBehindLatest == 0 {
			break
		}
		next = *out.NextShardIterator
	}
	said := log.text.Len()
	for range maxDecompressing { // nobody can open one now
		r.decompressing <- struct{}{}
	}
	for range 3 {
		if got := r.read(it); got != "k=after" {
			t.Errorf("read %q in one answer", got)
		}
	}
	if more := log.text.String()[said:]; more != "" {
		t.Errorf("the log says again:\n%s", more)
	}
}

// Of a batch that breaks off every reader gets the records before that.
func TestReadersGetWhatThereIsOfABrokenBatch(t *testing.T) {
	r := newRig(t)
	var log bytes.Buffer
	r.logger = slog.New(slog.NewTextHandler(&log, nil))
	shard := r.topic("topic", 1).Shard(0)
	for _, codec := range []batch.Codec{batch.None, batch.Gzip} {
		var b batch.Builder
		b.Add(rigStart.UnixMilli(), []byte("k"), []byte("first"))
		b.Add(rigStart.UnixMilli(), []byte("k"), []byte("second"))
		whole := b.Finish(batch.NoProducer)
		r.appendBatch(shard, marked(compress(t, codec, whole[:len(whole)-1]), uint16(codec)))
	}
	it := r.iterator("topic", 0, api.ShardIteratorTypeTrimHorizon, "")
	for range 3 {
		if got := r.read(it); got != "k=first k=first" {
			t.Errorf("read %q", got)
		}
	}
	if got := strings.Count(log.String(), "batch is unreadable"); got != 2 {
		t.Errorf("the log names %d of 2 batches:\n%s", got, log.String())
	}
}

func TestSubscriptionPassesBombs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, log := bombed(t)
		l := r.mustSubscribe(r.consumer("topic", "app", api.ShardIteratorTypeTrimHorizon, nil))
		numbers := map[string]bool{}
		for _, want := range []string{"", "", "k=after"} {
			event := l.next()
			if got := show(event.Records); got != want || (*event.MillisBehindLatest > 0) != (want == "") {
				t.Errorf("event with %q, behind by %d, want %q", got, *event.MillisBehindLatest, want)
			}
			numbers[*event.ContinuationSequenceNumber] = true
		}
		l.silent()
		if len(numbers) != 3 {
			t.Errorf("the client could go on from %v", numbers)
		}
		checkBombsNamed(t, log)
		l.cancel()
		synctest.Wait()
	})
}
