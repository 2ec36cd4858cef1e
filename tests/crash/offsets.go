package crash

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// verifyOffsetsTopic compares the topic with what is committed twice: first it is made to say what is true, then it has followed.
func (r *Round) verifyOffsetsTopic(ctx context.Context, before map[int32]int64) error {
	if err := r.compareOffsetsTopic(ctx, before); err != nil {
		return fmt.Errorf("read for the first time since the start: %w", err)
	}
	before, err := r.committed(ctx)
	if err != nil {
		return err
	}
	return r.compareOffsetsTopic(ctx, before)
}

// compareOffsetsTopic reads __consumer_offsets, and compares what it says of the group with what is committed, while commits go on: no older than what was
// committed before it was read, no newer than what is committed after that.
func (r *Round) compareOffsetsTopic(ctx context.Context, before map[int32]int64) error {
	said := map[int32]int64{}
	var back error
	err := r.read(ctx, "__consumer_offsets", func(rec *kgo.Record) {
		var k kmsg.OffsetCommitKey
		var v kmsg.OffsetCommitValue
		if k.ReadFrom(rec.Key) != nil || k.Version > 1 || k.Group != r.group || k.Topic != r.topic {
			return
		}
		if rec.Value == nil {
			back = fmt.Errorf("the offset of partition %d is removed from the topic of offsets", k.Partition)
			return
		}
		if err := v.ReadFrom(rec.Value); err != nil {
			back = err
			return
		}
		said[k.Partition] = v.Offset
	})
	if err != nil {
		return fmt.Errorf("read the topic of offsets: %w", err)
	}
	after, err := r.committed(ctx)
	if err != nil {
		return err
	}
	var stale, unheard error
	if err := VerifyCommits(before, said); err != nil {
		stale = fmt.Errorf("the topic of offsets is behind: %w", err)
	}
	if err := VerifyCommits(said, after); err != nil {
		unheard = fmt.Errorf("the topic of offsets is ahead of what is committed: %w", err)
	}
	return errors.Join(back, stale, unheard)
}
