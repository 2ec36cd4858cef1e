package kinesis

import (
	"context"
	"errors"
	"fmt"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
	"github.com/freshet/freshet/internal/stream"
)

const (
	// maxPutBytes bounds data and partition keys of one PutRecords.
	maxPutBytes = 10 << 20
	// explicitHashKeyHeader is the record header that keeps an ExplicitHashKey, so that Kafka consumers see why a record is in its shard.
	explicitHashKeyHeader = "kinesis.explicit-hash-key"
	// recordOverhead is the most that a record takes in a batch beside key, data and hash key; batchOverhead what a batch takes beside records.
	recordOverhead = 128
	batchOverhead  = 256
	// maxPooledPut bounds the memory of one request's scratch that is kept for another.
	maxPooledPut = 2 << 20
)

func (s *Service) putRecord(ctx context.Context, call *aws.Call, in *api.PutRecordInput) (*api.PutRecordOutput, error) {
	v, err := s.resolve(ctx, call, in.StreamName, in.StreamARN)
	if err != nil {
		return nil, err
	}
	// Producers begin with 0, before they have a number: it is one of the older layouts.
	if n := in.SequenceNumberForOrdering; n != nil {
		// The log orders by arrival: a record put after the numbered one was answered gets a larger number anyway.
		if q, err := parseSequence(*n); err != nil || q.index != closedIndex && q.arrived > s.now().Unix() {
			return nil, invalidArgument("ExclusiveMinimumSequenceNumber %s used in PutRecord on stream %s under account %s is invalid.",
				*n, v.Name, call.Account)
		}
	}
	put := s.puts.Get().(*putScratch)
	defer s.release(put)
	put.entries = append(put.entries[:0], api.PutRecordsRequestEntry{Data: in.Data, PartitionKey: in.PartitionKey, ExplicitHashKey: in.ExplicitHashKey})
	if err := put.route(v, put.entries, func(int) string { return "" }); err != nil {
		return nil, err
	}
	if value(in.DryRun, false) {
		return nil, dryRun()
	}
	results, err := s.append(ctx, put, v, put.entries)
	if err != nil {
		return nil, failure(call, v.Name, err)
	}
	if err := results[0].Err; err != nil {
		return nil, failure(call, v.Name, err)
	}
	out := &struct {
		api.PutRecordOutput
		number string
	}{}
	out.number = put.number(v, results, 0).String()
	out.ShardId, out.SequenceNumber = &v.shards.all[put.placed[0].shard].id, &out.number
	return &out.PutRecordOutput, nil
}

func (s *Service) putRecords(ctx context.Context, call *aws.Call, in *api.PutRecordsInput) (*api.PutRecordsOutput, error) {
	v, err := s.resolve(ctx, call, in.StreamName, in.StreamARN)
	if err != nil {
		return nil, err
	}
	put := s.puts.Get().(*putScratch)
	defer s.release(put)
	if err := put.route(v, in.Records, func(i int) string { return fmt.Sprintf("records.%d.member.", i+1) }); err != nil {
		return nil, err
	}
	if value(in.DryRun, false) {
		return nil, dryRun()
	}
	results, err := s.append(ctx, put, v, in.Records)
	if err != nil {
		return nil, failure(call, v.Name, err)
	}
	for i := range results {
		if errors.Is(results[i].Err, stream.ErrNotFound) {
			return nil, streamNotFound(call, v.Name)
		}
	}
	return put.answer(s, call, v, results), nil
}

// answer has one entry per record, in order. All sequence numbers are cut from one string.
func (p *putScratch) answer(s *Service, call *aws.Call, v view, results []stream.Appended) *api.PutRecordsOutput {
	out := &api.PutRecordsOutput{FailedRecordCount: new(int32), Records: make([]api.PutRecordsResultEntry, len(p.placed))}
	p.text, p.ends = p.text[:0], p.ends[:0]
	for i := range p.placed {
		if results[p.placed[i].group].Err == nil {
			p.text = p.number(v, results, i).append(p.text)
		}
		p.ends = append(p.ends, len(p.text))
	}
	text, numbers := string(p.text), make([]string, len(p.placed))
	from := 0
	for i := range p.placed {
		entry := &out.Records[i]
		if err := results[p.placed[i].group].Err; err != nil {
			*out.FailedRecordCount++
			entry.ErrorCode, entry.ErrorMessage = new("InternalFailure"), new("Internal Service Failure")
			if known, ok := errors.AsType[*aws.Error](failure(call, v.Name, err)); ok {
				entry.ErrorMessage = &known.Message
			}
			if *out.FailedRecordCount == 1 {
				s.logger.Warn("records were not written", "stream", v.Name, "error", err, "request", call.RequestID)
			}
			continue
		}
		numbers[i] = text[from:p.ends[i]]
		from = p.ends[i]
		entry.SequenceNumber, entry.ShardId = &numbers[i], &v.shards.all[p.placed[i].shard].id
	}
	return out
}

// putScratch is the working memory of one put. Records for one shard become one batch, or several if it would grow above what the stream takes.
type putScratch struct {
	entries []api.PutRecordsRequestEntry // of a PutRecord
	placed  []placement                  // one per record
	groups  []putGroup                   // one per batch
	latest  []int32                      // by shard: its last group + 1, 0 = none yet
	appends []stream.Append
	now     int64 // milliseconds since 1970
	text    []byte
	ends    []int
	used    int // groups in use; those beyond keep their builders
}

// placement says where a record goes: to which shard, and which position in which batch.
type placement struct{ shard, group, position int32 }

type putGroup struct {
	shard   int32
	builder batch.Builder
}

func (s *Service) release(p *putScratch) {
	kept := cap(p.text)
	for i := range p.groups {
		kept += p.groups[i].builder.Bytes()
	}
	if kept > maxPooledPut {
		return
	}
	clear(p.entries)
	clear(p.appends)
	s.puts.Put(p)
}

// route checks what the model's constraints cannot and finds each record's shard. at names a record in messages.
func (p *putScratch) route(v view, entries []api.PutRecordsRequestEntry, at func(int) string) error {
	p.placed = p.placed[:0]
	auto := v.settings.Distribution == api.RecordDistributionStrategyAuto
	if !auto {
		if err := checkKeys(entries, at); err != nil {
			return err
		}
	}
	limit, total := maxRecordBytes(v), 0
	for i := range entries {
		e := &entries[i]
		key := len(value(e.PartitionKey, ""))
		total += len(e.Data) + key
		switch {
		case len(e.Data) > limit:
			return tooLarge(len(e.Data), at(i)+"data", limit)
		case len(e.Data)+key > limit:
			return tooLarge(len(e.Data), at(i)+"data", limit-key)
		}
		place, err := p.place(v, e, auto)
		if err != nil {
			return err
		}
		p.placed = append(p.placed, placement{shard: place.index})
	}
	if total > maxPutBytes {
		return invalidArgument("Records size exceeds 10 MB limit")
	}
	return nil
}

// checkKeys demands partition keys: the model does not, since records that AUTO distributes need none.
func checkKeys(entries []api.PutRecordsRequestEntry, at func(int) string) error {
	var missing []string
	for i := range entries {
		if entries[i].PartitionKey == nil {
			missing = append(missing, at(i)+"partitionKey")
		}
	}
	if missing == nil {
		return nil
	}
	return absent(missing)
}

func (p *putScratch) place(v view, e *api.PutRecordsRequestEntry, auto bool) (*shard, error) {
	var k hashKey
	if e.ExplicitHashKey != nil {
		var ok bool
		if k, ok = parseHashKey(*e.ExplicitHashKey); !ok {
			return nil, invalidArgument("Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was %s", *e.ExplicitHashKey)
		}
	}
	switch {
	case auto:
		return &v.shards.all[v.shards.open[v.shards.turn.Add(1)%uint64(len(v.shards.open))]], nil
	case e.ExplicitHashKey == nil:
		k = hashOf(*e.PartitionKey)
	}
	return v.shards.owner(k), nil
}

// maxRecordBytes is the most that data and partition key of a record may have: the stream's own setting, and what fits its largest batch,
// which for a stream that Kafka created can be less.
func maxRecordBytes(v view) int {
	return min(int(v.settings.MaxRecordKiB)<<10, int(maxBatchBytes(v))-batchOverhead)
}

func maxBatchBytes(v view) int32 {
	if v.Config.MaxBatchBytes == 0 {
		return stream.DefaultMaxBatchBytes
	}
	return v.Config.MaxBatchBytes
}

// append writes the routed entries in one call to the log, and returns one result per batch when they are durable.
func (s *Service) append(ctx context.Context, p *putScratch, v view, entries []api.PutRecordsRequestEntry) ([]stream.Appended, error) {
	p.now = s.now().UnixMilli()
	if n := len(v.shards.all); len(p.latest) < n {
		p.latest = make([]int32, n)
	}
	p.used = 0
	limit := int(maxBatchBytes(v))
	var header [1]batch.RecordHeader
	for i := range entries {
		e, to := &entries[i], &p.placed[i]
		var key []byte
		if e.PartitionKey != nil {
			p.text = append(p.text[:0], *e.PartitionKey...)
			key = p.text
		}
		headers := header[:0]
		size := len(e.Data) + len(key) + recordOverhead
		if e.ExplicitHashKey != nil {
			headers = append(headers, batch.RecordHeader{Name: explicitHashKeyHeader, Value: []byte(*e.ExplicitHashKey)})
			size += len(*e.ExplicitHashKey)
		}
		g := p.group(to.shard, size, limit)
		to.group, to.position = g, int32(p.groups[g].builder.Len())
		data := e.Data
		if data == nil {
			data = []byte{}
		}
		p.groups[g].builder.Add(p.now, key, data, headers...)
	}
	p.appends = p.appends[:0]
	for i := range p.groups[:p.used] {
		g := &p.groups[i]
		p.latest[g.shard] = 0
		p.appends = append(p.appends, stream.Append{Shard: v.Shard(g.shard), Batch: g.builder.Finish(batch.NoProducer)})
	}
	return s.log.Append(ctx, p.appends).Wait(ctx)
}

// group returns the batch that takes the next record of a shard.
func (p *putScratch) group(shard int32, size, limit int) int32 {
	if g := p.latest[shard] - 1; g >= 0 {
		if p.groups[g].builder.Bytes()+size <= limit {
			return g
		}
	}
	if p.used == len(p.groups) {
		p.groups = append(p.groups, putGroup{})
	}
	g := int32(p.used)
	p.used++
	p.groups[g].shard = shard
	p.groups[g].builder.Reset()
	p.latest[shard] = g + 1
	return g
}

// number returns the sequence number of record i.
func (p *putScratch) number(v view, results []stream.Appended, i int) sequence {
	to := p.placed[i]
	result := &results[to.group]
	arrived := p.now / 1000
	if !result.Time.IsZero() {
		arrived = result.Time.UnixMilli() / 1000
	}
	return v.shards.all[to.shard].at(result.Base+stream.Offset(to.position)+1, arrived)
}
