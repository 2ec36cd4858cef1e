package kinesis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/freshet/freshet/internal/batch"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
	"github.com/freshet/freshet/internal/stream"
)

const (
	// readStep is how much is read from the log at a time, beyond a first batch that is larger.
	readStep = 1 << 20
	// maxPooledPage bounds the memory of a page that is kept for another read.
	maxPooledPage = 2 << 20
)

// page collects the records of one answer. It copies them out of the log's memory, which goes back at once, into a few large pieces.
type page struct {
	shard      *shard
	next       stream.Offset // where the reader goes on
	maxRecords int
	maxBytes   int // of data and partition keys; a first record may be larger
	bytes      int
	full       bool
	waiting    int64 // timestamp of the record that did not fit, milliseconds since 1970

	data    []byte // values, one after the other
	text    []byte // sequence number and partition key of each record
	records []pageRecord
}

// pageRecord says where a record's parts end; each begins where the one before it ends.
type pageRecord struct {
	data, number, key int
	arrived           int64 // milliseconds since 1970
}

func (s *Service) newPage(sh *shard, from stream.Offset, maxRecords, maxBytes int) *page {
	p := s.pages.Get().(*page)
	*p = page{shard: sh, next: from, maxRecords: maxRecords, maxBytes: maxBytes, data: p.data[:0], text: p.text[:0], records: p.records[:0]}
	return p
}

func (s *Service) releasePage(p *page) {
	if cap(p.data)+cap(p.text) <= maxPooledPage {
		s.pages.Put(p)
	}
}

// fill reads from the log until the page is full or the shard's stable end is reached. It returns how far the reader then is behind that
// end in milliseconds, 0 if it is there. A position that retention has overtaken moves up to the first record that is left.
func (s *Service) fill(ctx context.Context, v view, p *page) (behind int64, err error) {
	for {
		chunk, err := s.log.Read(ctx, v.Shard(p.shard.index), p.next, readStep)
		end := chunk.Bounds.LastStable
		switch {
		case errors.Is(err, stream.ErrOutOfRange):
			moved := min(max(p.next, chunk.Bounds.Start), chunk.Bounds.End)
			if moved == p.next {
				return 0, err
			}
			p.next = moved
			continue
		case err != nil:
			return 0, err
		case len(chunk.Batches) == 0:
			return 0, nil
		}
		before := p.next
		err = s.collect(v, p, chunk.Batches, end)
		chunk.Release()
		if err != nil {
			return 0, err
		}
		if p.full {
			return s.behind(p), nil
		}
		if p.next >= end || p.next == before {
			return 0, nil
		}
	}
}

// behind is the age of the record that comes next, at least 1: a reader that is behind by less than the clock shows is still behind.
func (s *Service) behind(p *page) int64 {
	return max(s.now().UnixMilli()-p.waiting, 1)
}

// collect copies the records of batches between p.next and end, as far as they fit, and moves p.next past all it has seen.
func (s *Service) collect(v view, p *page, batches [][]byte, end stream.Offset) error {
	for _, b := range batches {
		h, err := batch.Parse(b)
		if err != nil {
			return fmt.Errorf("shard %d offset %d: %w", p.shard.index, p.next, err)
		}
		base, after := stream.Offset(h.BaseOffset), stream.Offset(h.BaseOffset)+stream.Offset(h.LastOffsetDelta)+1
		switch {
		case base >= end:
			return nil
		case after <= p.next:
			continue
		case h.Attributes.Control():
			p.next = after
			continue
		}
		if len(p.records) >= p.maxRecords || p.bytes >= p.maxBytes {
			p.full, p.waiting = true, h.MaxTimestamp
			return nil
		}
		if err := batch.Records(b, 0, p.add); err != nil {
			// The producer's own bytes are no batch of records. No reader can have them; those after it can be had.
			s.logger.Warn("batch is unreadable, readers skip it", "stream", v.Name, "shard", p.shard.index, "offset", base, "error", err)
		}
		if p.full {
			return nil
		}
		p.next = after
	}
	return nil
}

// add takes one record; false means that it did not fit.
func (p *page) add(r *batch.Record) bool {
	if stream.Offset(r.Offset) < p.next {
		return true
	}
	size := len(r.Key) + len(r.Value)
	if len(p.records) >= p.maxRecords || len(p.records) > 0 && p.bytes+size > p.maxBytes {
		p.full, p.waiting = true, r.Timestamp
		return false
	}
	p.bytes += size
	p.next = stream.Offset(r.Offset) + 1
	p.data = append(p.data, r.Value...)
	p.text = p.shard.at(p.next, r.Timestamp/1000).append(p.text)
	number := len(p.text)
	p.text = appendPartitionKey(p.text, r.Key)
	p.records = append(p.records, pageRecord{data: len(p.data), number: number, key: len(p.text), arrived: max(r.Timestamp, 0)})
	return true
}

// answer returns the records in the API's form, in memory of their own.
func (p *page) answer() []api.Record {
	type parts struct {
		number, key string
		arrived     time.Time
	}
	data, text := append([]byte(nil), p.data...), string(p.text)
	kept, records := make([]parts, len(p.records)), make([]api.Record, len(p.records))
	var before pageRecord
	for i, r := range p.records {
		kept[i] = parts{text[before.key:r.number], text[r.number:r.key], time.UnixMilli(r.arrived)}
		records[i] = api.Record{
			SequenceNumber:              &kept[i].number,
			ApproximateArrivalTimestamp: &kept[i].arrived,
			Data:                        data[before.data:r.data:r.data],
			PartitionKey:                &kept[i].key,
		}
		if records[i].Data == nil {
			records[i].Data = []byte{}
		}
		before = r
	}
	return records
}
