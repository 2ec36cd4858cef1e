package transfer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/batch"
)

// built is a batch of records with values v<offset>, as a source stores it.
func built(base int64, n int, p batch.Producer, size int) []byte {
	var w batch.Builder
	for i := range n {
		w.Add(1000+base+int64(i), nil, fmt.Appendf(nil, "v%d%s", base+int64(i), bytes.Repeat([]byte{'.'}, size)), batch.RecordHeader{Name: "h"})
	}
	b := bytes.Clone(w.Finish(p))
	batch.SetBase(b, base, 3)
	return b
}

// transactional makes a batch one of a transaction.
func transactional(b []byte) []byte {
	b[22] |= 1 << 4
	batch.SetMaxTimestamp(b, 1<<40) // renews the checksum
	return b
}

func marker(at, producer int64, commit bool) []byte {
	b := batch.AppendMarker(nil, batch.Marker{ProducerID: producer, Epoch: 1, Commit: commit})
	batch.SetBase(b, at, 3)
	return b
}

// got is a record that a rebatcher gave.
type got struct {
	at, timestamp int64
	value         string
}

func rebatched(t *testing.T, r *rebatcher, set []byte, aborted ...kmsg.FetchResponseTopicPartitionAbortedTransaction) (*chunk, []got) {
	t.Helper()
	p := kmsg.NewFetchResponseTopicPartition()
	p.RecordBatches, p.AbortedTransactions = set, aborted
	c, err := r.fetched(&p)
	if err != nil {
		t.Fatal(err)
	}
	var all []got
	for _, piece := range c.pieces {
		b := stamped(&piece, 77)
		h, err := batch.Verify(b)
		if err != nil || h.ProducerID != 77 || h.BaseSequence != sequence(piece.at) || h.Attributes.Transactional() || int64(h.Records) != piece.records ||
			h.LastOffsetDelta != h.Records-1 {
			t.Fatalf("batch %+v, %v", h, err)
		}
		if err := batch.Records(b, 0, func(r *batch.Record) bool {
			at := r.Timestamp
			if h.Attributes.LogAppendTime() {
				t.Error("a batch with the log's time is refused by the target")
			}
			value, _, _ := bytes.Cut(r.Value, []byte("."))
			all = append(all, got{piece.at + r.Offset, at, string(value)})
			return true
		}); err != nil {
			t.Fatal(err)
		}
	}
	return c, all
}

func newRebatcher() *rebatcher { return &rebatcher{part: &partition{joined: mostJoined}} }

// TestRebatcherLeavesOutWhatIsNotCommitted: markers, aborted transactions, and what is before its place.
func TestRebatcherLeavesOutWhatIsNotCommitted(t *testing.T) {
	one, two := batch.Producer{ID: 1}, batch.Producer{ID: 2}
	set := slices.Concat(
		built(0, 2, batch.NoProducer, 0), transactional(built(2, 2, one, 0)), transactional(built(4, 1, two, 0)), marker(5, 1, false), marker(6, 2, true),
		transactional(built(7, 1, one, 0)), marker(8, 1, true), built(9, 1, two, 0)[:40],
	)
	aborted := kmsg.FetchResponseTopicPartitionAbortedTransaction{ProducerID: 1, FirstOffset: 2}
	r := newRebatcher()
	r.next, r.target, r.run = 1, 1, run{0, 0}
	c, all := rebatched(t, r, set, aborted)
	var values []string
	for i, g := range all {
		if g.at != int64(i+1) {
			t.Errorf("%q is at %d", g.value, g.at)
		}
		values = append(values, g.value)
	}
	if !slices.Equal(values, []string{"v1", "v4", "v7"}) || c.next != 9 || c.records != 3 {
		t.Errorf("records %v, next %d", values, c.next)
	}
	if !slices.Equal(c.runs, []run{{4, 2}, {7, 3}}) {
		t.Errorf("runs %v", c.runs)
	}
}

// TestRebatcherPassesLargeBatchesOn: their bytes are the source's but for the header, also if they begin a run.
func TestRebatcherPassesLargeBatchesOn(t *testing.T) {
	large := built(10, 3, batch.Producer{ID: 5}, whole/2)
	body := bytes.Clone(large[batch.HeaderSize:])
	c, all := rebatched(t, newRebatcher(), slices.Concat(built(0, 1, batch.NoProducer, 0), large, built(13, 1, batch.NoProducer, 0)))
	if len(c.pieces) != 3 || !bytes.Equal(c.pieces[1].bytes[batch.HeaderSize:], body) || len(all) != 5 || all[1].value != "v10" || all[1].timestamp != 1010 {
		t.Errorf("%d pieces, records %v", len(c.pieces), all)
	}
	if !slices.Equal(c.runs, []run{{10, 1}}) {
		t.Errorf("runs %v", c.runs)
	}
}

// TestRebatcherKeepsTheLogsTime: what the source's log has stamped keeps that time, though the target's takes the producer's only.
func TestRebatcherKeepsTheLogsTime(t *testing.T) {
	for _, size := range []int{0, whole} {
		b := built(0, 2, batch.NoProducer, size)
		batch.SetLogAppendTime(b, 5000)
		_, all := rebatched(t, newRebatcher(), b)
		if len(all) != 2 || all[0].timestamp != 5000 || all[1].timestamp != 5000 {
			t.Errorf("records %v", all)
		}
	}
}

// TestRebatcherJoinsNoMoreThanTheTopicTakes: small batches become large ones, up to what the target's topic takes, each codec for itself.
func TestRebatcherJoinsNoMoreThanTheTopicTakes(t *testing.T) {
	var set []byte
	for i := range 100 {
		b := built(int64(i), 1, batch.NoProducer, 1000)
		if i >= 50 {
			zipped, err := batch.Recode(nil, b, batch.Zstd, 0, 0)
			if err != nil {
				t.Fatal(err)
			}
			b = zipped
		}
		set = append(set, b...)
	}
	r := newRebatcher()
	r.part.joined = 20_000
	c, all := rebatched(t, r, set)
	if len(all) != 100 || len(c.pieces) < 6 || len(c.pieces) > 8 {
		t.Errorf("%d records in %d batches", len(all), len(c.pieces))
	}
	codecs := map[batch.Codec]int{}
	for _, p := range c.pieces {
		h, err := batch.Parse(p.bytes)
		if err != nil {
			t.Fatal(err)
		}
		codecs[h.Attributes.Codec()]++
		if len(p.bytes) > r.part.joined {
			t.Errorf("a batch of %d bytes", len(p.bytes))
		}
	}
	if len(codecs) != 2 || codecs[batch.Zstd] == 0 {
		t.Errorf("codecs %v", codecs)
	}
}

// TestRebatcherTakesOldMessages: of brokers before 4.0, whose topics can have formats before the batch.
func TestRebatcherTakesOldMessages(t *testing.T) {
	var set []byte
	for i := range 3 {
		m := kmsg.MessageV1{Offset: int64(i), Magic: 1, Timestamp: 9000 + int64(i), Key: []byte("k"), Value: fmt.Appendf(nil, "v%d", i)}
		set = append(set, withSum(&m)...)
	}
	_, all := rebatched(t, newRebatcher(), append(set, built(3, 1, batch.NoProducer, 0)...))
	if want := []got{{0, 9000, "v0"}, {1, 9001, "v1"}, {2, 9002, "v2"}, {3, 1003, "v3"}}; !slices.Equal(all, want) {
		t.Errorf("records %v", all)
	}
}

// FuzzRebatcher: whatever a source hands out, there is an error or there are batches that hold together.
func FuzzRebatcher(f *testing.F) {
	f.Add(slices.Concat(built(0, 2, batch.NoProducer, 0), marker(2, 1, true), built(5, 3, batch.Producer{ID: 1}, 10)), int64(1))
	f.Add(withSum(&kmsg.MessageV1{Magic: 1, Timestamp: time.Unix(9, 0).UnixMilli(), Value: []byte("v")}), int64(0))
	f.Fuzz(func(t *testing.T, set []byte, from int64) {
		r := newRebatcher()
		r.next = max(from, 0)
		r.run = run{r.next, 0}
		p := kmsg.NewFetchResponseTopicPartition()
		p.RecordBatches = set
		c, err := r.fetched(&p)
		if err != nil {
			return
		}
		at := int64(0)
		for _, piece := range c.pieces {
			h, err := batch.Verify(stamped(&piece, 1))
			if err != nil || piece.at != at || int64(h.Records) != piece.records {
				t.Fatalf("piece at %d of %d records: %+v, %v", piece.at, piece.records, h, err)
			}
			at += piece.records
		}
		if c.next < r.next || c.records != at {
			t.Fatalf("next %d, %d records of %d", c.next, c.records, at)
		}
	})
}

// withSum writes a message as a log has it, with length and checksum.
func withSum(m *kmsg.MessageV1) []byte {
	b := m.AppendTo(nil)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-batch.Prefix))
	binary.BigEndian.PutUint32(b[12:], crc32.ChecksumIEEE(b[16:]))
	return b
}
