package flowtest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/flow"
	"github.com/freshet/freshet/internal/stream"
)

// Subject is a sink under test.
type Subject struct {
	Sink flow.Sink
	// Label names a batch as the sink's Config.Label does; nil = none.
	Label func(*flow.Batch) (string, error)
	// Effects returns the values of all records that the sink's destination has, in any order.
	Effects func(t *testing.T) []string
}

// Run runs the suite of flow.Sink; open returns a new sink with an empty destination for each part of it.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	t.Run("writes what it is given", func(t *testing.T) {
		s := connected(t, open)
		a, b := s.batch(t, 0, 10), s.batch(t, 10, 500)
		s.write(t, a)
		s.write(t, b)
		s.expect(t, 0, 500)
	})
	t.Run("a batch written again has the effect of once", func(t *testing.T) {
		s := connected(t, open)
		for range 3 {
			s.write(t, s.batch(t, 0, 10))
		}
		s.write(t, s.batch(t, 10, 20))
		s.write(t, s.batch(t, 0, 10))
		s.expect(t, 0, 20)
	})
	t.Run("connecting again keeps what was written", func(t *testing.T) {
		s := connected(t, open)
		s.write(t, s.batch(t, 0, 10))
		if err := s.Sink.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.write(t, s.batch(t, 10, 20))
		s.expect(t, 0, 20)
	})
	t.Run("a batch without records writes none", func(t *testing.T) {
		s := connected(t, open)
		s.write(t, s.batch(t, 0, 0))
		s.expect(t, 0, 0)
	})
	t.Run("a batch that cannot be read leaves nothing", func(t *testing.T) { testUnreadable(t, connected(t, open)) })
	t.Run("an ended context ends the write", func(t *testing.T) { testEnded(t, connected(t, open)) })
}

type subject struct{ Subject }

func connected(t *testing.T, open func(t *testing.T) Subject) subject {
	t.Helper()
	s := subject{open(t)}
	if err := s.Sink.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Sink.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func value(i int) string { return fmt.Sprintf("value-%06d\n", i) }

// batch returns the batch of the records from to to-1.
func (s subject) batch(t *testing.T, from, to int) *flow.Batch {
	t.Helper()
	records := make([]flow.Record, 0, to-from)
	for i := from; i < to; i++ {
		r := flow.Record{}
		r.Offset, r.Timestamp, r.Value = int64(i), 1_700_000_000_000+int64(i), []byte(value(i))
		records = append(records, r)
	}
	source := stream.Shard{Stream: stream.ID{1}}
	ranges := []flow.Range{{Shard: source, From: stream.Offset(from), To: stream.Offset(to)}}
	b := flow.NewBatch(fmt.Sprintf("%032x", from+1), "", time.UnixMilli(1_700_000_000_000+int64(from)), ranges, records)
	if s.Label != nil {
		label, err := s.Label(b)
		if err != nil {
			t.Fatal(err)
		}
		b.Label = label
	}
	return b
}

func (s subject) write(t *testing.T, b *flow.Batch) {
	t.Helper()
	if err := s.Sink.Write(t.Context(), b); err != nil {
		t.Fatalf("write batch %s: %v", b.ID, err)
	}
}

func (s subject) expect(t *testing.T, from, to int) {
	t.Helper()
	var want []string
	for i := from; i < to; i++ {
		want = append(want, value(i))
	}
	if err := Once(s.Effects(t), want); err != nil {
		t.Error(err)
	}
}

func testUnreadable(t *testing.T, s subject) {
	broken := errors.New("log cannot be read")
	whole := s.batch(t, 0, 10)
	half := flow.NewBroken(whole, 5, broken)
	if err := s.Sink.Write(t.Context(), half); !errors.Is(err, broken) {
		t.Fatalf("write of an unreadable batch: %v", err)
	}
	s.expect(t, 0, 0)
	s.write(t, whole)
	s.expect(t, 0, 10)
}

func testEnded(t *testing.T, s subject) {
	cause := errors.New("asked to stop")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	if err := s.Sink.Write(ctx, s.batch(t, 0, 10)); !errors.Is(err, cause) {
		t.Errorf("write: %v", err)
	}
	s.expect(t, 0, 0)
}
