package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/batch"
)

func init() { scenarios = append(scenarios, scenario{"tier: full disks", tierDisks}) }

const (
	tierLogDisk   = 1 << 30  // below the log, four of its files: less than what is written
	tierStoreDisk = 4 << 30  // below the objects
	tierStoreRoom = 40 << 20 // of the latter that is left before it is full
	tierLogMiB    = 1536     // written while only the log's disk is too small

	// tierRefused is how long each produce is refused before both disks count as full: longer than it takes to look at all shards.
	tierRefused = 15 * time.Second
	// tierBackoff is how long copies wait at most before they are tried again, and a little.
	tierBackoff = 6 * time.Minute
)

// tierDisks has a node on two small disks. First the log's alone is too small for what comes: copies make room, and producers get through by themselves.
// Then that of the objects is full, so that in time the log's is: producers are told to try again, all is read, also after a crash, and once there is
// space copies and producers go on by themselves.
func tierDisks(ctx context.Context, r *rig) (err error) {
	if os.Geteuid() != 0 {
		say("left out: only root can mount a disk to be filled")
		return nil
	}
	store := filepath.Join(r.dir, "tier")
	for _, d := range []struct {
		at    string
		bytes int
	}{{r.dir, tierLogDisk}, {store, tierStoreDisk}} {
		if err := os.MkdirAll(d.at, 0o755); err != nil {
			return err
		}
		if err := syscall.Mount("tmpfs", d.at, "tmpfs", 0, fmt.Sprintf("size=%d", d.bytes)); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, syscall.Unmount(d.at, syscall.MNT_DETACH)) }()
	}
	node, err := r.node(ctx, "--tier", store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Stop()) }()
	t, err := newTieredTopic(ctx, r, node)
	if err != nil {
		return err
	}
	if err := t.throughSmallLog(ctx, tierLogMiB); err != nil {
		return fmt.Errorf("through a small log: %w", err)
	}
	ballast := filepath.Join(store, "ballast")
	if err := t.fillBoth(ctx, ballast); err != nil {
		return fmt.Errorf("until both disks are full: %w", err)
	}
	return t.roomAgain(ctx, ballast)
}

// throughSmallLog writes more than the log's disk takes, with a producer that does not give up.
func (t *tieredTopic) throughSmallLog(ctx context.Context, mib int) error {
	client, err := t.producer()
	if err != nil {
		return err
	}
	defer client.Close()
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, tierPatience, errors.New("producers do not get through"))
	defer cancel()
	if err := t.write(ctx, client, mib<<20/tierValue); err != nil {
		return err
	}
	read, err := t.read(ctx)
	say("%d MiB written through a log's disk of %d MiB in %s, %d records read back", mib, tierLogDisk>>20, time.Since(began).Round(time.Millisecond), read)
	return err
}

// fillBoth leaves little room for objects, and writes until that is no more and the log's disk is full too. Then it kills the node.
func (t *tieredTopic) fillBoth(ctx context.Context, ballast string) error {
	if err := t.settled(ctx); err != nil {
		return err
	}
	if err := fillUp(ballast, tierStoreRoom); err != nil {
		return err
	}
	codes := map[int16]int{}
	for refused := time.Now(); time.Since(refused) < tierRefused; {
		code, err := t.writeOne(ctx)
		if err != nil {
			return err
		}
		if codes[code]++; code == 0 {
			refused = time.Now()
		} else {
			wait(ctx, 100*time.Millisecond)
		}
	}
	for code, n := range codes {
		if code != 0 {
			say("%d times: %v", n, kerr.ErrorForCode(code))
		}
	}
	failures, err := figure(ctx, t.node, "freshet_tier_copy_failures_total")
	if err != nil {
		return err
	}
	words, err := os.ReadFile(t.node.Log)
	if err != nil {
		return err
	}
	if told := strings.Contains(string(words), "copying a segment failed, it is tried again") && strings.Contains(string(words), "no space left on device"); failures == 0 || !told {
		return fmt.Errorf("%d copies have failed, and the log tells of it: %v", failures, told)
	}
	if _, err := t.read(ctx); err != nil {
		return err
	}
	t.node.Kill()
	if _, err := t.node.Start(ctx); err != nil {
		return fmt.Errorf("start on full disks: %w", err)
	}
	read, err := t.read(ctx)
	say("both disks are full, %d copies have failed; %d records read back after a crash", failures, read)
	return err
}

// fillUp writes a file that leaves so many bytes of its disk.
func fillUp(path string, left int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var disk syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &disk); err != nil {
		return err
	}
	return syscall.Fallocate(int(f.Fd()), 0, 0, int64(disk.Bavail)*disk.Bsize-left)
}

// writeOne asks once for a batch of some records to be written, and returns the answer's code. One that would end a client is an error.
func (t *tieredTopic) writeOne(ctx context.Context) (int16, error) {
	const records = 32
	c, err := dial(ctx, t.node.Kafka)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	var b batch.Builder
	for i := range int64(records) {
		b.Add(time.Now().UnixMilli(), nil, t.value(t.sent+i))
	}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 5000
	partition := int32(t.sent / records % tierPartitions)
	req.Topics = []kmsg.ProduceRequestTopic{{Topic: tierTopic, Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: partition, Records: b.Finish(batch.NoProducer)}}}}
	resp, err := ask[*kmsg.ProduceResponse](c, 8, req)
	if err != nil {
		return 0, err
	}
	p := resp.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
		if !kerr.IsRetriable(err) {
			return p.ErrorCode, fmt.Errorf("a produce is refused for good: %w", err)
		}
		return p.ErrorCode, nil
	}
	for i := range int64(records) {
		t.acked[partition][t.sent+i] = p.BaseOffset + i
	}
	t.sent += records
	return 0, nil
}

// roomAgain gives the objects room, and nothing else: copies and producers must go on by themselves.
func (t *tieredTopic) roomAgain(ctx context.Context, ballast string) error {
	if err := os.Remove(ballast); err != nil {
		return err
	}
	began := time.Now()
	err := until(ctx, tierBackoff, "a produce is taken", func() (bool, error) {
		code, err := t.writeOne(ctx)
		return err == nil && code == 0, errors.Join(err, kerr.ErrorForCode(code))
	})
	if err != nil {
		return err
	}
	say("there is room: produce is taken %s later", time.Since(began).Round(time.Millisecond))
	if err := t.throughSmallLog(ctx, tierLogMiB/4); err != nil {
		return err
	}
	t.node.Kill()
	if _, err := t.node.Start(ctx); err != nil {
		return err
	}
	_, err = t.read(ctx)
	return err
}
