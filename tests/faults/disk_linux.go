package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/tests/process"
)

func init() { scenarios = append(scenarios, scenario{"full disk", fullDisk}) }

const (
	diskBytes    = 640 << 20
	ballastBytes = 256 << 20 // what is freed later
	fullRounds   = 40        // of transactions and commits while the disk is full
	fillerTopic  = "filler"
	fillerBytes  = 900_000
)

// disk is what is done to a node on a disk of its own, and what it has acknowledged.
type disk struct {
	node    *process.Node
	ballast string
	judge   *stepJudge
	open    *transaction // begun before the disk is full
	ended   bool
	filled  int   // records
	offset  int64 // committed by group "full"
	codes   map[string]int
}

// fullDisk fills the disk below transactions and groups: each request is done or refused for a while, the node also starts on a full disk, and once there
// is space everything goes on by itself. Nothing acknowledged is lost.
func fullDisk(ctx context.Context, r *rig) error {
	if os.Geteuid() != 0 {
		say("left out: only root can mount a disk to be filled")
		return nil
	}
	if err := syscall.Mount("tmpfs", r.dir, "tmpfs", 0, fmt.Sprintf("size=%d", diskBytes)); err != nil {
		return err
	}
	d := &disk{ballast: filepath.Join(r.dir, "ballast"), codes: map[string]int{}}
	err := d.run(ctx, r)
	if d.node != nil {
		err = errors.Join(err, d.node.Stop())
	}
	return errors.Join(err, syscall.Unmount(r.dir, syscall.MNT_DETACH))
}

func (d *disk) run(ctx context.Context, r *rig) error {
	f, err := os.Create(d.ballast)
	if err != nil {
		return err
	}
	if err := errors.Join(syscall.Fallocate(int(f.Fd()), 0, 0, ballastBytes), f.Close()); err != nil {
		return err
	}
	if d.node, err = r.node(ctx); err != nil {
		return err
	}
	d.judge = &stepJudge{node: d.node}
	for _, topic := range append([]string{fillerTopic}, stepTopics...) {
		if err := createTopic(ctx, d.node, topic, stepPartitions); err != nil {
			return err
		}
	}
	if d.open, err = d.begin(ctx, "steps-open", "open"); err != nil {
		return err
	}
	if err := d.fill(ctx); err != nil {
		return err
	}
	if err := d.tryAll(ctx); err != nil {
		return fmt.Errorf("on the full disk: %w", err)
	}
	say("the disk is full after %d records; answers then: %v", d.filled, d.codes)
	d.node.Kill()
	if _, err := d.node.Start(ctx); err != nil {
		return fmt.Errorf("start on the full disk: %w", err)
	}
	if err := d.verify(ctx, "after a crash on the full disk"); err != nil {
		return err
	}
	if err := os.Remove(d.ballast); err != nil {
		return err
	}
	began := time.Now()
	if err := d.comeBack(ctx); err != nil {
		return fmt.Errorf("with space again: %w", err)
	}
	say("there is space: all is well %s later", time.Since(began).Round(time.Millisecond))
	d.node.Kill()
	if _, err := d.node.Start(ctx); err != nil {
		return err
	}
	return d.verify(ctx, "after a crash with space")
}

// begin runs a transaction up to its end.
func (d *disk) begin(ctx context.Context, id, mark string) (*transaction, error) {
	c, err := dial(ctx, d.node.Kafka)
	if err != nil {
		return nil, err
	}
	t := &transaction{node: d.node, conn: c, id: id, mark: mark, old: true, input: 1}
	for _, s := range steps[:len(steps)-1] {
		if err := t.insist(ctx, s.run); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return t, nil
}

// fill writes large records until one is refused.
func (d *disk) fill(ctx context.Context) error {
	c, err := dial(ctx, d.node.Kafka)
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		code, err := d.write(c)
		if err != nil {
			return err
		}
		if code == 0 {
			d.filled++
			continue
		}
		return d.classify("produce", code)
	}
}

// write writes one large record.
func (d *disk) write(c *conn) (int16, error) {
	value := make([]byte, fillerBytes)
	copy(value, strconv.Itoa(d.filled))
	var b batch.Builder
	b.Add(time.Now().UnixMilli(), nil, value)
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 5000
	req.Topics = []kmsg.ProduceRequestTopic{{Topic: fillerTopic, Partitions: []kmsg.ProduceRequestTopicPartition{{Records: b.Finish(batch.NoProducer)}}}}
	resp, err := ask[*kmsg.ProduceResponse](c, 8, req)
	if err != nil {
		return 0, err
	}
	return resp.Topics[0].Partitions[0].ErrorCode, nil
}

// classify counts an answer. One that would end a client is an error.
func (d *disk) classify(what string, code int16) error {
	err := kerr.ErrorForCode(code)
	if err == nil {
		d.codes[what+": done"]++
		return nil
	}
	d.codes[what+": "+kerr.TypedErrorForCode(code).Message]++
	if !kerr.IsRetriable(err) {
		return fmt.Errorf("%s is refused for good: %w", what, err)
	}
	return nil
}

// tryAll asks for each step of transactions and for commits of a group, again and again.
func (d *disk) tryAll(ctx context.Context) error {
	c, err := dial(ctx, d.node.Kafka)
	if err != nil {
		return err
	}
	defer c.Close()
	for n := range fullRounds {
		t := &transaction{node: d.node, conn: c, id: "steps-full-" + strconv.Itoa(n), mark: "full", old: true, input: 2}
		for _, s := range steps {
			code, err := s.run(t)
			if err = errors.Join(err, d.classify(s.name, code)); err != nil {
				return err
			}
			if code != 0 {
				break
			}
		}
		code, err := d.commit(c, d.offset+1)
		if err == nil && code == 0 {
			d.offset++
		}
		if err = errors.Join(err, d.classify("group commit", code)); err != nil {
			return err
		}
	}
	code, err := d.open.end()
	d.ended = err == nil && code == 0
	return errors.Join(err, d.classify("end of the open one", code))
}

func (d *disk) commit(c *conn, offset int64) (int16, error) {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = "full", -1
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Offset = offset
	req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: fillerTopic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{p}}}
	resp, err := ask[*kmsg.OffsetCommitResponse](c, 8, req)
	if err != nil {
		return 0, err
	}
	return resp.Topics[0].Partitions[0].ErrorCode, nil
}

// comeBack waits until all that was refused is done.
func (d *disk) comeBack(ctx context.Context) error {
	c, err := dial(ctx, d.node.Kafka)
	if err != nil {
		return err
	}
	defer c.Close()
	err = until(ctx, 10*time.Second, "writes", func() (bool, error) {
		code, err := d.write(c)
		if err == nil && code == 0 {
			d.filled++
		}
		return err == nil && code == 0, errors.Join(err, kerr.ErrorForCode(code))
	})
	if err != nil {
		return err
	}
	if d.open.conn, err = dial(ctx, d.node.Kafka); err != nil {
		return err
	}
	defer d.open.conn.Close()
	if err := d.open.insist(ctx, (*transaction).end); err != nil && !d.ended {
		return fmt.Errorf("end the open transaction: %w", err)
	}
	d.ended = true
	code, err := d.commit(c, d.offset+1)
	if err = errors.Join(err, kerr.ErrorForCode(code)); err == nil {
		d.offset++
	}
	return err
}

// verify compares what is there with what was acknowledged.
func (d *disk) verify(ctx context.Context, when string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(d.node.Kafka), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeTopics(append([]string{fillerTopic}, stepTopics...)...))
	if err != nil {
		return err
	}
	defer client.Close()
	offsets, err := kadm.NewClient(client).FetchOffsets(ctx, "full")
	if err != nil {
		return err
	}
	committed, _ := offsets.Lookup(fillerTopic, 0)
	want := d.filled
	if d.ended {
		want += stepPartitions * len(stepTopics)
	}
	filled, open := 0, 0
	for filled+open < want {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("%s: %d records of %d: %w", when, filled+open, want, err)
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			switch {
			case rec.Topic == fillerTopic:
				filled++
			case string(rec.Value) == d.open.mark:
				open++
			}
		})
	}
	if committed.At < d.offset || filled < d.filled {
		return fmt.Errorf("%s: offset %d, %d was acknowledged; %d records, %d were", when, committed.At, d.offset, filled, d.filled)
	}
	return nil
}
