package flow_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/flow"
	"github.com/freshet/freshet/internal/flow/flowtest"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/memlog"
	"github.com/freshet/freshet/internal/stream/streamtest"
)

// within appends a record of a producer's transaction, and returns its value.
func (b *bench) within(producer int64, sequence int32) string {
	b.t.Helper()
	v := fmt.Sprintf("t%d-%04d-%s", producer, sequence, strings.Repeat("x", 92))
	b.append(0, streamtest.Transactional(batch.Producer{ID: producer, Sequence: sequence}, time.Now(), v))
	return v
}

func (b *bench) end(producer int64, commit bool) {
	b.t.Helper()
	m := batch.AppendMarker(nil, batch.Marker{ProducerID: producer, Commit: commit, Time: time.Now()})
	if _, err := b.log.(*memlog.Log).Transact(b.t.Context(), []stream.Append{{Shard: b.source.Shard(0), Batch: m}}, nil); err != nil {
		b.t.Fatal(err)
	}
}

// TestCommittedRecordsAreDelivered: each once, when its transaction is committed and all before it is decided; aborted ones never, and they hold
// nothing up, however many there are.
func TestCommittedRecordsAreDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		c := b.config()
		c.Limits = flow.Limits{Bytes: 1 << 20} // what can be read is delivered at once
		sink := &flowtest.Sink{}
		f := b.flow(c, sink)
		end := start(t.Context(), f)
		expect := func(lag int64) {
			t.Helper()
			synctest.Wait()
			b.expect(sink.Values(), b.sent)
			if s := b.status(f); s.LagRecords != lag {
				t.Errorf("%d records behind, want %d", s.LagRecords, lag)
			}
		}
		b.send(0, 1)
		expect(0)
		committed := b.within(1, 0)
		aborted := b.within(2, 0)
		before := b.sent
		b.send(0, 1)
		later := b.sent[len(b.sent)-1]
		b.sent = before
		expect(3)
		b.end(2, false)
		expect(4)
		b.end(1, true)
		b.sent = append(b.sent, committed, later)
		expect(0)
		for i := range int32(3000) {
			b.within(2, 1+i)
		}
		expect(3000)
		b.end(2, false)
		expect(0)
		b.send(0, 1)
		expect(0)
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(fmt.Sprint(sink.Values()), aborted) {
			t.Error("an aborted record was delivered")
		}
	})
}

// TestLatestIsWhatCanBeRead: a flow that begins with the latest record delivers what an open transaction holds back by then.
func TestLatestIsWhatCanBeRead(t *testing.T) {
	for name, place := range map[string]func(b *bench) flow.Start{
		"latest": func(*bench) flow.Start { return flow.Latest() },
		"ends": func(b *bench) flow.Start {
			ends, err := flow.Ends(b.t.Context(), b.log, b.source.ID)
			if err != nil {
				b.t.Fatal(err)
			}
			return flow.At(ends)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, 1)
				b.send(0, 3)
				b.sent = nil
				open := b.within(1, 0)
				b.place(place(b))
				sink := &flowtest.Sink{}
				end := start(t.Context(), b.flow(b.config(), sink))
				synctest.Wait()
				b.end(1, true)
				synctest.Wait()
				if err := end(); err != nil {
					t.Fatal(err)
				}
				b.expect(sink.Values(), []string{open})
			})
		})
	}
}
