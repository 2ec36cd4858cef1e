package kinesis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/freshet/freshet/internal/batch"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/committed"
)

const (
	// readStep is the most that is read from the log at a time, beyond a first batch that is larger.
	readStep      = 1 << 20
	minReadStep   = 64 << 10
	guessedRecord = 2 << 10
	// maxFill is how long one answer is gathered. What is still to be read then is left to the next one, so that a shard with many batches that
	// are dear to open, or cannot be read at all, is passed in several answers instead of one that no client waits for.
	maxFill = time.Second
	// maxPooledPage bounds the text of a page that is kept for another read, in bytes.
	maxPooledPage = 2 << 20
	// maxDecompressing bounds how many readers decompress a batch at a time: each may need batch.DefaultMaxDecompressed.
	maxDecompressing = 4
	// arenaSize is how much is set aside for values at a time, when there is no better guess.
	arenaSize = 64 << 10
)

// page collects the records of one answer. It copies them out of the log's memory, which goes back at once, into a few large pieces: arenas
// for the values, which the answer keeps, and one text for everything else.
type page struct {
	shard      *shard
	until      time.Time     // when to end, if anything was read by then
	from, next stream.Offset // where the reader began, and where it goes on
	maxRecords int
	maxBytes   int // of data and partition keys; a first record may be larger
	bytes      int
	full       bool
	keyless    bool  // records may have no partition key: see fill
	waiting    int64 // timestamp of the record that did not fit, milliseconds since 1970

	arena   []byte // its capacity is where the next values go
	text    []byte // sequence number and partition key of each record
	records []pageRecord
}

// pageRecord is a record's value, and where its parts of the text end; each begins where the one before it ends.
type pageRecord struct {
	data        []byte
	number, key int
	arrived     int64 // milliseconds since 1970
}

func (s *Service) newPage(sh *shard, from stream.Offset, maxRecords, maxBytes int) *page {
	p := s.pages.Get().(*page)
	*p = page{shard: sh, until: s.now().Add(maxFill), from: from, next: from, maxRecords: maxRecords, maxBytes: maxBytes, text: p.text[:0], records: p.records[:0]}
	return p
}

func (s *Service) releasePage(p *page) {
	if cap(p.text) <= maxPooledPage {
		clear(p.records)
		p.arena = nil
		s.pages.Put(p)
	}
}

// fill reads from the log until the page is full, the shard's stable end is reached, or maxFill has passed. It returns how far the reader then
// is behind that end in milliseconds, 0 if it is there. A position that retention has overtaken moves up to the first record that is left.
// Where AUTO distributes records, producers need no partition keys and readers expect that some have none.
func (s *Service) fill(ctx context.Context, v view, p *page) (behind int64, err error) {
	p.keyless = v.settings.Distribution == api.RecordDistributionStrategyAuto
	for {
		chunk, aborted, err := committed.Read(ctx, s.log, v.Shard(p.shard.index), p.next, p.step())
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
			p.next = max(p.next, end) // what is left has no records: offsets may have gaps
			return 0, nil
		}
		before := p.next
		filter := committed.NewFilter(aborted)
		p.reserve(min(chunk.Bytes(), p.maxBytes-p.bytes))
		err = s.collect(ctx, v, p, chunk.Batches, &filter, end)
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

// step returns how many bytes to read for what the page still takes: a guess for records, whose sizes are not known.
func (p *page) step() int {
	return min(readStep, max(p.maxBytes-p.bytes, 0)+batchOverhead, max((p.maxRecords-len(p.records))*guessedRecord, minReadStep))
}

// behind is the age of the record that comes next, at least 1: a reader that is behind by less than the clock shows is still behind.
func (s *Service) behind(p *page) int64 {
	return max(s.now().UnixMilli()-p.waiting, 1)
}

// collect copies the committed records of batches between p.next and end, as far as they fit, and moves p.next past all it has seen.
func (s *Service) collect(ctx context.Context, v view, p *page, batches [][]byte, filter *committed.Filter, end stream.Offset) error {
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
		}
		skips := filter.Skips(&h)
		if skips && h.Attributes.Control() {
			p.next = after
			continue
		}
		if len(p.records) >= p.maxRecords || p.bytes >= p.maxBytes || p.next > p.from && s.now().After(p.until) {
			p.full, p.waiting = true, h.MaxTimestamp
			return nil
		}
		if skips {
			p.next = after
			continue
		}
		if err := s.records(ctx, v, b, &h, p); err != nil {
			return err
		}
		if p.full {
			return nil
		}
		p.next = after
	}
	return nil
}

// records adds the records of one batch, as far as they can be read. Errors are ctx's.
func (s *Service) records(ctx context.Context, v view, b []byte, h *batch.Header, p *page) error {
	at := batchPlace{v.Shard(p.shard.index), stream.Offset(h.BaseOffset)}
	if h.Attributes.Codec() != batch.None {
		if s.unreadable.passes(at) {
			return nil
		}
		select {
		case s.decompressing <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		defer func() { <-s.decompressing }()
		if s.unreadable.passes(at) { // found out by whom this one waited for
			return nil
		}
	}
	err := batch.Records(b, batch.DefaultMaxDecompressed, p.add)
	if err == nil {
		return nil
	}
	// The producer's own bytes are no batch of records. No reader can have them; those after it can be had.
	var wrong *batch.Error
	opens := errors.As(err, &wrong) && wrong.Fault != batch.Compression && wrong.Fault != batch.TooBig
	if !s.unreadable.add(at, opens) {
		s.logger.Warn("batch is unreadable, readers skip it", "stream", v.Name, "shard", p.shard.index, "offset", h.BaseOffset, "error", err)
	}
	return nil
}

// reserve makes room for n bytes of values.
func (p *page) reserve(n int) {
	if cap(p.arena)-len(p.arena) < n {
		p.arena = make([]byte, 0, n)
	}
}

// keep copies a value.
func (p *page) keep(v []byte) []byte {
	if len(v) == 0 {
		return []byte{} // present, if empty: nil would be absent
	}
	if cap(p.arena)-len(p.arena) < len(v) {
		p.reserve(max(len(v), arenaSize))
	}
	from := len(p.arena)
	p.arena = append(p.arena, v...)
	return p.arena[from:len(p.arena):len(p.arena)]
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
	p.text = p.shard.at(p.next, r.Timestamp/1000).append(p.text)
	number := len(p.text)
	if r.Key != nil || !p.keyless {
		p.text = appendPartitionKey(p.text, r.Key)
	}
	p.records = append(p.records, pageRecord{data: p.keep(r.Value), number: number, key: len(p.text), arrived: max(r.Timestamp, 0)})
	return true
}

// answer returns the records in the API's form, in memory that is no longer the page's.
func (p *page) answer() []api.Record {
	type parts struct {
		number, key string
		arrived     time.Time
	}
	text := string(p.text)
	kept, records := make([]parts, len(p.records)), make([]api.Record, len(p.records))
	from := 0
	for i, r := range p.records {
		kept[i] = parts{text[from:r.number], text[r.number:r.key], time.UnixMilli(r.arrived)}
		records[i] = api.Record{
			SequenceNumber:              &kept[i].number,
			ApproximateArrivalTimestamp: &kept[i].arrived,
			Data:                        r.data,
		}
		if kept[i].key != "" { // a key is never shown as nothing
			records[i].PartitionKey = &kept[i].key
		}
		from = r.key
	}
	return records
}
