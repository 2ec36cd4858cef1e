package kinesis

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/batch"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/memlog"
)

// within appends a record of a Kafka producer's transaction.
func (r *rig) within(shard stream.Shard, producer int64, sequence int32, key, value string) {
	r.t.Helper()
	var b batch.Builder
	b.Add(r.clock.Now().UnixMilli(), []byte(key), []byte(value))
	raw := b.Finish(batch.Producer{ID: producer, Sequence: sequence})
	raw[22] |= 1 << 4
	batch.SetMaxTimestamp(raw, r.clock.Now().UnixMilli())
	r.appendBatch(shard, raw)
}

func (r *rig) endTransaction(shard stream.Shard, producer int64, commit bool) {
	r.t.Helper()
	m := batch.AppendMarker(nil, batch.Marker{ProducerID: producer, Commit: commit, Time: r.clock.Now()})
	if _, err := r.log.(*memlog.Log).Transact(r.t.Context(), []stream.Append{{Shard: shard, Batch: m}}, nil); err != nil {
		r.t.Fatal(err)
	}
}

// TestCommittedRecordsAreRead: a reader gets what was committed, when all before it is decided, and is not behind while it waits for that.
func TestCommittedRecordsAreRead(t *testing.T) {
	r := newRig(t)
	shard := r.topic("s", 1).Shard(0)
	r.kafka(shard, batch.Record{Key: []byte("k"), Value: []byte("0"), Timestamp: rigStart.UnixMilli()})
	at := r.iterator("s", 0, api.ShardIteratorTypeTrimHorizon, "")
	next := func(want string) {
		t.Helper()
		r.clock.Advance(time.Second)
		out := r.get(at)
		at = *out.NextShardIterator
		if got := show(out.Records); got != want || *out.MillisBehindLatest != 0 {
			t.Errorf("read %q, %d ms behind, want %q", got, *out.MillisBehindLatest, want)
		}
	}
	next("k=0")
	r.within(shard, 1, 0, "k", "1")
	r.within(shard, 2, 0, "k", "aborted")
	r.kafka(shard, batch.Record{Key: []byte("k"), Value: []byte("2"), Timestamp: rigStart.UnixMilli()})
	latest := r.iterator("s", 0, api.ShardIteratorTypeLatest, "")
	next("")
	r.endTransaction(shard, 2, false)
	next("")
	r.endTransaction(shard, 1, true)
	next("k=1 k=2")
	next("")
	if got := r.read(latest); got != "k=1 k=2" {
		t.Errorf("from what was latest when nothing of the transactions could be read: %q", got)
	}
	r.within(shard, 2, 1, "k", "aborted too")
	r.endTransaction(shard, 2, false)
	next("")
	r.within(shard, 2, 2, "k", "3")
	r.endTransaction(shard, 2, true)
	next("k=3")
}

// TestManyAbortedRecordsArePassed: a reader comes past any number of them, several answers if need be, and says that it is behind until it has.
func TestManyAbortedRecordsArePassed(t *testing.T) {
	r := newRig(t)
	shard := r.topic("s", 1).Shard(0)
	value := strings.Repeat("x", 1000)
	for i := range int32(3000) {
		r.within(shard, 1, i, fmt.Sprint(i), value)
	}
	r.endTransaction(shard, 1, false)
	r.kafka(shard, batch.Record{Key: []byte("k"), Value: []byte("last"), Timestamp: rigStart.UnixMilli()})
	if got := r.read(r.iterator("s", 0, api.ShardIteratorTypeTrimHorizon, "")); got != "k=last" {
		t.Errorf("read %q", got)
	}
	v, err := r.find(t.Context(), r.call, "s")
	if err != nil {
		t.Fatal(err)
	}
	p := r.newPage(&v.shards.all[0], 0, 100, 1<<20)
	defer r.releasePage(p)
	p.until = r.now().Add(-1) // the time is over before it begins
	behind, err := r.fill(t.Context(), v, p)
	if err != nil || behind == 0 || p.next == 0 || p.next > 10 || len(p.records) > 0 {
		t.Errorf("%d records, from %d on, %d ms behind, %v", len(p.records), p.next, behind, err)
	}
}
