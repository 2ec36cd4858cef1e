package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// putBatch is what PutRecords takes at once.
const putBatch = 500

// putter puts events into a stream through the Kinesis API.
type putter struct {
	demo    *demo
	meter   *flowMeter
	pending []types.PutRecordsRequestEntry
}

func newPutter(d *demo, m *flowMeter) *putter { return &putter{demo: d, meter: m} }

func (p *putter) add(e types.PutRecordsRequestEntry) {
	if len(p.pending) == maxPending {
		p.demo.lost.Add(1)
		return
	}
	p.pending = append(p.pending, e)
}

// flush sends what is pending. What is refused stays for the next time.
func (p *putter) flush(ctx context.Context) error {
	for todo := len(p.pending); todo > 0; {
		n := min(todo, putBatch)
		batch := p.pending[:n]
		out, err := p.demo.kinesis.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: &p.meter.stream, Records: batch})
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			p.demo.logger.Warn("put records", "stream", p.meter.stream, "error", err)
			return pause(ctx, time.Second)
		}
		if len(out.Records) != n {
			return errors.New("put records into " + p.meter.stream + ": " + fmt.Sprintf("%d results for %d records", len(out.Records), n))
		}
		var refused []types.PutRecordsRequestEntry
		for i, r := range out.Records {
			if r.ErrorCode != nil {
				refused = append(refused, batch[i])
				continue
			}
			p.meter.wrote(len(batch[i].Data))
		}
		p.pending = append(p.pending[n:], refused...)
		todo -= n
	}
	return nil
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return nil
}
