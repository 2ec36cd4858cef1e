package streamtest

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
)

// transactions are what the model knows of a shard's.
type transactions struct {
	senders [3]sender
	aborted []stream.Aborted
}

// sender is a transactional producer.
type sender struct {
	producerID
	sequence int32
	first    stream.Offset // of its open transaction, -1 = none
}

// stable returns the last stable offset.
func (t *transactions) stable(s *modelShard) stream.Offset {
	stable := stream.Offset(len(s.records))
	for i := range t.senders {
		if first := t.senders[i].first; first >= 0 {
			stable = min(stable, max(first, s.start))
		}
	}
	return stable
}

// transact appends a batch of one of the shard's transactional producers.
func (m *model) transact(s *modelShard, address stream.Shard, op operation) {
	if m.options.Transact == nil {
		return
	}
	p, n := &s.senders[op.B%len(s.senders)], op.C%3+1
	values := make([]string, n)
	for i := range values {
		values[i] = fmt.Sprint("transactional ", op.C, i)
	}
	a := m.put(address, Transactional(p.at(p.sequence), time.UnixMilli(int64(op.C%1000)), values...))
	m.equal(m.step+": base", a.Base, len(s.records))
	if p.first < 0 {
		p.first = a.Base
	}
	p.sequence += int32(n)
	for _, v := range values {
		s.records = append(s.records, record{stream.Offset(len(s.records)), int64(op.C % 1000), v})
	}
}

// endTransaction writes a marker of one of the shard's transactional producers, and then asks for aborted transactions.
func (m *model) endTransaction(s *modelShard, address stream.Shard, op operation) {
	if m.options.Transact == nil {
		return
	}
	p := &s.senders[op.B%len(s.senders)]
	if op.C%3 == 0 {
		p.Epoch, p.sequence = p.Epoch+1, 0
	}
	commit := op.B/3%2 == 0
	b := batch.AppendMarker(nil, batch.Marker{ProducerID: p.ID, Epoch: p.Epoch, Commit: commit, Time: time.UnixMilli(int64(op.C % 1000))})
	results, err := m.options.Transact(m.log, []stream.Append{{Shard: address, Batch: b}}, nil)
	m.expect(err, nil)
	at := stream.Offset(len(s.records))
	m.equal(m.step+": marker", results[0].Base, at)
	s.records = append(s.records, record{at, int64(op.C % 1000), "\x00\x00\x00\x00\x00\x00"})
	if p.first >= 0 && !commit {
		s.aborted = append(s.aborted, stream.Aborted{ProducerID: p.ID, First: p.first, Last: at})
	}
	p.first = -1
	m.equal(m.step+": last stable offset", m.bounds(address).LastStable, s.stable(s))
	from := stream.Offset(op.B % (len(s.records) + 1))
	m.compareAborted(s, address, from, from+stream.Offset(op.C%20))
}

// compareAborted asks for aborted transactions between two offsets, if there is anything between them: what lies in nothing is not said.
func (m *model) compareAborted(s *modelShard, address stream.Shard, from, to stream.Offset) {
	if to <= max(from, s.start) {
		return
	}
	var want []stream.Aborted
	for _, a := range s.aborted {
		if a.Last >= max(from, s.start) && a.First < to {
			want = append(want, a)
		}
	}
	slices.SortFunc(want, func(a, b stream.Aborted) int { return cmp.Compare(a.First, b.First) })
	m.aborted(address, from, to, want...)
}
