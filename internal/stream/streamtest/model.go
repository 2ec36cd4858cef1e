package streamtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
)

// operation is one step of a random run; what its numbers mean depends on the kind.
type operation struct {
	Kind    string
	A, B, C int
}

var operationKinds = []string{
	"append", "append", "append", "append", "pipeline", "repeat", "skip", "read", "read", "trim", "commit", "forget", "time", "grow", "recreate",
	"reopen", "crash", "transact", "transact", "end", "end",
}

var anyOperation = rapid.Custom(func(t *rapid.T) operation {
	number := rapid.IntRange(0, 1<<20)
	return operation{rapid.SampledFrom(operationKinds).Draw(t, "kind"), number.Draw(t, "a"), number.Draw(t, "b"), number.Draw(t, "c")}
})

// againstModel runs random operations on a log and on a model of it. rapid prints the seed and the shortest failing run.
func againstModel(t *testing.T, open func(t *testing.T) stream.Log, o Options) {
	rapid.Check(t, func(rt *rapid.T) {
		operations := rapid.SliceOfN(anyOperation, 1, 80).Draw(rt, "operations")
		passed := t.Run("run", func(t *testing.T) {
			m := &model{harness: newHarness(t, open(t), o), cursors: map[stream.Shard]stream.Offset{}}
			m.create()
			for i, op := range operations {
				m.step = fmt.Sprintf("operation %d %+v", i, op)
				m.apply(op)
			}
			m.step = "at the end"
			for i := range m.shards {
				m.compare(i)
			}
		})
		if !passed {
			rt.Fatalf("the run above failed")
		}
	})
}

// model is one stream as slices.
type model struct {
	*harness
	step    string
	stream  *stream.Stream
	shards  []*modelShard
	cursors map[stream.Shard]stream.Offset
}

type modelShard struct {
	start    stream.Offset
	records  []record // of all offsets from 0, also the trimmed ones
	producer producerID
	batches  []int // where the producer's batches begin in sequence, then where the next one does
	transactions
}

func (m *model) create() {
	m.stream = m.harness.create("model", 2)
	m.shards = nil
	m.grow()
}

func (m *model) grow() {
	for len(m.shards) < int(m.stream.Shards) {
		s := &modelShard{producer: m.producer(), batches: []int{0}}
		for i := range s.senders {
			s.senders[i] = sender{producerID: m.producer(), first: -1}
		}
		m.shards = append(m.shards, s)
	}
}

func (m *model) apply(op operation) {
	i := op.A % len(m.shards)
	s, address := m.shards[i], m.stream.Shard(int32(i))
	switch op.Kind {
	case "append":
		m.taken(s, m.harness.append(m.next(s, address, op.B%5+1, op.C))[0], op.B%5+1, op.C)
	case "pipeline":
		m.pipeline(op)
	case "repeat":
		m.repeat(s, address, op)
	case "skip":
		b := produced(s.producer.at(int32(s.batches[len(s.batches)-1]+1)), m.now(), "skipped")
		if len(s.batches) > 1 {
			m.expect(m.offer(address, b), stream.ErrOutOfOrder)
		}
	case "read":
		m.read(s, address, op)
	case "trim":
		before := stream.Offset(op.B % (len(s.records) + 2))
		got, err := m.log.Trim(m.Context(), address, before)
		if int(before) > len(s.records) {
			m.expect(err, stream.ErrOutOfRange)
			return
		}
		m.expect(err, nil)
		s.start = max(s.start, before)
		m.equal(m.step+": start", got, s.start)
	case "commit":
		m.expect(m.log.Commit(m.Context(), "model", []stream.Cursor{{Shard: address, Next: stream.Offset(op.B)}}), nil)
		m.cursors[address] = stream.Offset(op.B)
	case "forget":
		m.expect(m.log.Forget(m.Context(), "model", []stream.Shard{address}), nil)
		delete(m.cursors, address)
	case "transact":
		m.transact(s, address, op)
	case "end":
		m.endTransaction(s, address, op)
	case "time":
		m.offsetAt(s, address, int64(op.B%1000))
	default:
		m.restructure(op)
	}
	m.compareCursors()
}

// restructure applies the operations on the whole stream or log.
func (m *model) restructure(op operation) {
	switch op.Kind {
	case "grow":
		shards := min(m.stream.Shards+int32(op.B%3), 8)
		altered, err := m.log.Alter(m.Context(), m.stream.ID, stream.Change{Shards: &shards})
		m.expect(err, nil)
		m.stream = altered
		m.grow()
	case "recreate":
		if op.B%4 == 0 {
			m.expect(m.log.Delete(m.Context(), m.stream.ID), nil)
			clear(m.cursors)
			m.create()
		}
	case "reopen":
		if m.options.Reopen != nil {
			m.log = m.options.Reopen(m, m.log)
		}
	case "crash":
		if m.options.Crash != nil {
			m.log = m.options.Crash(m, m.log)
		}
	}
}

// next makes the shard's next batch: of its producer if seed is odd, else of none.
func (m *model) next(s *modelShard, address stream.Shard, n, seed int) stream.Append {
	return stream.Append{Shard: address, Batch: m.batch(s, n, seed, s.batches[len(s.batches)-1])}
}

// batch makes n records whose timestamps and values follow from seed.
func (m *model) batch(s *modelShard, n, seed, sequence int) []byte {
	var b batch.Builder
	for _, r := range content(n, seed) {
		b.Add(r.Timestamp, nil, []byte(r.Value))
	}
	if seed%2 == 1 {
		return b.Finish(s.producer.at(int32(sequence)))
	}
	return b.Finish(batch.NoProducer)
}

func content(n, seed int) []record {
	random := rand.New(rand.NewPCG(uint64(seed), uint64(n)))
	records := make([]record, n)
	for i := range records {
		records[i] = record{Timestamp: random.Int64N(1000), Value: fmt.Sprintf("%0*d", 1+random.IntN(200), random.IntN(1000))}
	}
	return records
}

// taken puts what the log says it has taken into the model.
func (m *model) taken(s *modelShard, a stream.Appended, n, seed int) {
	m.Helper()
	m.expect(a.Err, nil)
	m.equal(m.step+": base", a.Base, len(s.records))
	m.equal(m.step+": start and duplicate", fmt.Sprint(a.Start, a.Duplicate), fmt.Sprint(s.start, false))
	for _, r := range content(n, seed) {
		r.Offset = stream.Offset(len(s.records))
		s.records = append(s.records, r)
	}
	if seed%2 == 1 {
		s.batches = append(s.batches, s.batches[len(s.batches)-1]+n)
	}
}

// pipeline appends several calls to one shard without waiting in between.
func (m *model) pipeline(op operation) {
	i := op.A % len(m.shards)
	s, n := m.shards[i], op.B%3+1
	var tickets []*stream.Ticket
	sequence := s.batches[len(s.batches)-1]
	for k := range 4 {
		entry := stream.Append{Shard: m.stream.Shard(int32(i)), Batch: m.batch(s, n, op.C+k, sequence)}
		tickets = append(tickets, m.log.Append(m.Context(), []stream.Append{entry}))
		if (op.C+k)%2 == 1 {
			sequence += n
		}
	}
	for k, t := range tickets {
		m.taken(s, m.wait(t)[0], n, op.C+k)
	}
}

// repeat sends one of the producer's batches again.
func (m *model) repeat(s *modelShard, address stream.Shard, op operation) {
	last := len(s.batches) - 1
	if last == 0 {
		return
	}
	back := op.B%min(last, 8) + 1
	first, n := s.batches[last-back], s.batches[last-back+1]-s.batches[last-back]
	a := m.harness.append(stream.Append{Shard: address, Batch: m.batch(s, n, 1, first)})[0]
	if back > 5 {
		m.expect(a.Err, stream.ErrStale)
		return
	}
	m.expect(a.Err, nil)
	if !a.Duplicate || int(a.Base) >= len(s.records) {
		m.Fatalf("%s: repeat answered %+v", m.step, a)
	}
}

func (m *model) read(s *modelShard, address stream.Shard, op operation) {
	from := stream.Offset(op.B%(len(s.records)+3)) - 1
	c, err := m.log.Read(m.Context(), address, from, op.C%5000)
	defer c.Release()
	if from < s.start || int(from) > len(s.records) {
		m.expect(err, stream.ErrOutOfRange)
		return
	}
	m.expect(err, nil)
	got := m.records(c, from)
	if len(got) == 0 && int(from) < len(s.records) {
		m.Fatalf("%s: nothing read from %d of %d", m.step, from, len(s.records))
	}
	m.equal(m.step+": records", got, s.records[from:int(from)+len(got)])
}

func (m *model) offsetAt(s *modelShard, address stream.Shard, ms int64) {
	want := "none"
	for _, r := range s.records[s.start:] {
		if r.Timestamp >= ms {
			want = fmt.Sprint(r.Offset, r.Timestamp)
			break
		}
	}
	got := "none"
	at, timestamp, ok, err := m.log.OffsetAt(m.Context(), address, time.UnixMilli(ms))
	m.expect(err, nil)
	if ok {
		got = fmt.Sprint(at, timestamp.UnixMilli())
	}
	m.equal(m.step+": offset for a time", got, want)
}

// compare reads a shard whole.
func (m *model) compare(i int) {
	s := m.shards[i]
	m.equal(m.step+": records", m.readAll(m.stream.Shard(int32(i)), s.start), s.records[s.start:])
	b := m.bounds(m.stream.Shard(int32(i)))
	m.equal(m.step+": bounds", fmt.Sprint(b.Start, b.End, b.LastStable), fmt.Sprint(s.start, len(s.records), s.stable(s)))
	m.compareAborted(s, m.stream.Shard(int32(i)), s.start, b.End)
}

func (m *model) compareCursors() {
	cursors, err := m.log.Committed(m.Context(), "model")
	m.expect(err, nil)
	m.equal(m.step+": number of cursors", len(cursors), len(m.cursors))
	for _, c := range cursors {
		m.equal(m.step+": cursor", c.Next, m.cursors[c.Shard])
	}
}

func (m *model) expect(err, want error) {
	m.Helper()
	if !errors.Is(err, want) {
		m.Fatalf("%s: error %v, want %v", m.step, err, want)
	}
}
