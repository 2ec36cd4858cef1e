package hostile

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/tests/process"
)

const (
	diskBytes    = 768 << 20
	ballastBytes = 384 << 20 // freed later: the space that returns
)

// mountDisk gives the test a small file system of its own.
func mountDisk(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a disk can be filled safely only on a file system of its own, which only root can mount")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", diskBytes)); err != nil {
		t.Skipf("no file system of its own to be had: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// TestFullDisk fills the disk below a running node: writes are refused by both protocols, reads go on, and when space returns so do writes. Then
// every acknowledged record is there, also after a crash.
func TestFullDisk(t *testing.T) {
	disk := mountDisk(t)
	ballast := filepath.Join(disk, "ballast")
	fill(t, ballast, ballastBytes)
	node := startNode(t)
	if err := node.Stop(); err != nil {
		t.Fatal(err)
	}
	node.Data = filepath.Join(disk, "data")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if _, err := node.Start(ctx); err != nil {
		t.Fatal(err)
	}
	w := newFullWriter(ctx, t, node)

	for w.produce(t) == 0 {
		w.acked++
	}
	code := w.produce(t)
	t.Logf("Kafka refuses after %d records: %v", w.acked, kerr.ErrorForCode(code))
	if err := kerr.TypedErrorForCode(code); err == nil || !err.Retriable {
		t.Errorf("refused with code %d, which does not tell a producer to try again", code)
	}
	err := w.put(ctx)
	if err == nil {
		t.Error("PutRecord was acknowledged on a full disk")
	}
	t.Logf("Kinesis refuses: %v", err)
	if n := w.readBack(ctx, t, node); n < w.acked {
		t.Errorf("%d records readable on a full disk, %d were acknowledged", n, w.acked)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for w.produce(t) != 0 {
		if ctx.Err() != nil {
			t.Fatal("writes do not come back with the space")
		}
	}
	w.acked++
	if err := w.put(ctx); err != nil {
		t.Errorf("PutRecord, after space came back: %v", err)
	}
	node.Kill()
	if _, err := node.Start(ctx); err != nil {
		t.Fatalf("after a crash: %v", err)
	}
	if n := w.readBack(ctx, t, node); n < w.acked {
		t.Errorf("%d records after a crash, %d were acknowledged", n, w.acked)
	}
}

// fill writes a file of n bytes, or until the disk is full.
func fill(t *testing.T, path string, n int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, int64(n)); err != nil {
		t.Fatalf("fill the disk: %v", err)
	}
}

// fullWriter writes large records that do not compress, one at a time, and sees each answer: a producer of a library would hide refusals behind retries.
type fullWriter struct {
	node  *process.Node
	value []byte
	batch []byte
	acked int
}

const fullTopic = "full"

func newFullWriter(ctx context.Context, t *testing.T, node *process.Node) *fullWriter {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(node.Kafka))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, topic := range []string{fullTopic, fullTopic + "-stream"} {
		if _, err := kadm.NewClient(client).CreateTopic(ctx, 1, 1, nil, topic); err != nil {
			t.Fatal(err)
		}
	}
	value := make([]byte, 900_000)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(value) // never fails
	var b batch.Builder
	b.Add(time.Now().UnixMilli(), nil, value)
	return &fullWriter{node: node, value: value, batch: b.Finish(batch.NoProducer)}
}

// produce writes one record and returns the error code.
func (w *fullWriter) produce(t *testing.T) int16 {
	t.Helper()
	code, err := produceRaw(w.node, fullTopic, w.batch)
	if err != nil {
		t.Fatalf("a produce request was not answered: %v", err)
	}
	return code
}

func (w *fullWriter) put(ctx context.Context) error {
	_, err := sdk(w.node).PutRecord(ctx, &kinesis.PutRecordInput{
		StreamName: aws.String(fullTopic + "-stream"), PartitionKey: aws.String("k"), Data: w.value,
	})
	return err
}

// readBack counts the records that a fresh consumer finds.
func (w *fullWriter) readBack(ctx context.Context, t *testing.T, node *process.Node) int {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(node.Kafka), kgo.ConsumeTopics(fullTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, fullTopic)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(fullTopic, 0)
	count := 0
	for int64(count) < end.Offset {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("read back %d of %d records: %v", count, end.Offset, context.Cause(ctx))
		}
		count += fetches.NumRecords()
	}
	return count
}
