package share

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/streamtest"
)

// transact appends n records of a producer's transaction to shard 0.
func (b *bench) transact(producer int64, sequence int32, n int) {
	b.t.Helper()
	values := slices.Repeat([]string{"x"}, n)
	records := streamtest.Transactional(batch.Producer{ID: producer, Sequence: sequence}, time.Now(), values...)
	got, err := b.log.Append(b.t.Context(), []stream.Append{{Shard: b.topic.Shard(0), Batch: records}}).Wait(b.t.Context())
	if err != nil || got[0].Err != nil {
		b.t.Fatal(err, got)
	}
}

// end writes the marker that ends a producer's transaction.
func (b *bench) end(producer int64, commit bool) {
	b.t.Helper()
	marker := batch.AppendMarker(nil, batch.Marker{ProducerID: producer, Commit: commit, Time: time.Now()})
	got, err := b.log.Transact(b.t.Context(), []stream.Append{{Shard: b.topic.Shard(0), Batch: marker}}, nil)
	if err != nil || got[0].Err != nil {
		b.t.Fatal(err, got)
	}
	synctest.Wait() // who waits for records is told by another goroutine
}

func TestTransactions(t *testing.T) {
	for _, committed := range []bool{false, true} {
		on(t, Config{}, func(t *testing.T, b *bench) {
			b.settings.Committed = committed
			b.transact(1, 0, 2) // 0-1, aborted by 4
			b.transact(2, 0, 2) // 2-3, committed by 5
			b.end(1, false)
			b.end(2, true)
			b.transact(1, 2, 2) // 6-7, committed by 9
			b.produce(0, 1)     // 8
			a := b.join("a", 0)
			want := "0:0-3*1 0:6-8*1"
			if committed {
				want = "0:2-3*1"
			}
			b.expect("before it ends", a.ask(), want)
			b.end(1, true)
			if want = ""; committed {
				want = "0:6-8*1"
			}
			b.expect("when it has ended", a.ask(), want)
			if committed {
				b.expect("done", a.say(all(Accept, 2, 3), all(Accept, 6, 8)), "")
				p, _ := b.c.Positions("g")
				if p[0].Start != 10 {
					t.Errorf("markers and aborted records hold the group up at %d", p[0].Start)
				}
			}
		})
	}
}
