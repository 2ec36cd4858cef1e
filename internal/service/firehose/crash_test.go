package firehose

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/firehose/types"

	"github.com/freshet/freshet/internal/flow/flowtest"
	"github.com/freshet/freshet/internal/object"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

var errKilled = errors.New("killed")

// killer counts the steps that change something durable, and kills the process at the n-th: before it has its effect, or after, when nobody
// learns of it. From then on nothing has an effect.
type killer struct {
	n      int
	after  bool
	cancel context.CancelFunc

	mu    sync.Mutex // guards the fields below, and makes steps happen one at a time
	count int
	dead  bool
}

func (k *killer) step(do func() error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dead {
		return errKilled
	}
	k.dead = k.count == k.n
	k.count++
	if k.dead && !k.after {
		k.cancel()
		return errKilled
	}
	err := do()
	if k.dead {
		k.cancel()
		return errKilled
	}
	return err
}

func (k *killer) killed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.dead
}

type mortalLog struct {
	stream.Log
	*killer
}

func (l mortalLog) Commit(ctx context.Context, owner string, cursors []stream.Cursor) error {
	return l.step(func() error { return l.Log.Commit(ctx, owner, cursors) })
}

func (l mortalLog) Trim(ctx context.Context, shard stream.Shard, before stream.Offset) (start stream.Offset, err error) {
	err = l.step(func() error {
		start, err = l.Log.Trim(ctx, shard, before)
		return err
	})
	return start, err
}

type mortalState struct {
	state.Store
	*killer
}

func (s mortalState) Apply(ctx context.Context, changes ...state.Change) (versions []int64, err error) {
	err = s.step(func() error {
		versions, err = s.Store.Apply(ctx, changes...)
		return err
	})
	return versions, err
}

func (s mortalState) Acquire(ctx context.Context, name, owner string, ttl time.Duration) (lease state.Lease, err error) {
	err = s.step(func() error {
		lease, err = s.Store.Acquire(ctx, name, owner, ttl)
		return err
	})
	return lease, err
}

type mortalObjects struct {
	object.Store
	*killer
}

func (o mortalObjects) Create(ctx context.Context, name object.Name) (w object.Writer, err error) {
	err = o.step(func() error {
		w, err = o.Store.Create(ctx, name)
		return err
	})
	return mortalWriter{w, o.killer}, err
}

type mortalWriter struct {
	object.Writer
	*killer
}

func (w mortalWriter) Write(p []byte) (n int, err error) {
	err = w.step(func() error {
		n, err = w.Writer.Write(p)
		return err
	})
	return n, err
}

func (w mortalWriter) Abort() {
	if w.Writer != nil {
		w.Writer.Abort()
	}
}

func (w mortalWriter) Commit(ctx context.Context) (info object.Info, err error) {
	err = w.step(func() error {
		info, err = w.Writer.Commit(ctx)
		return err
	})
	return info, err
}

// TestKilledAnywhereEveryRecordIsInOneObject kills the service before and after each step of delivering a direct and a Kinesis stream. New
// services, killed too, go on; records keep coming, so that buffers would be cut differently. In the end the objects hold each record once.
func TestKilledAnywhereEveryRecordIsInOneObject(t *testing.T) {
	runs := 0
	for _, after := range []bool{false, true} {
		for n := 0; ; n++ {
			reached := true
			synctest.Test(t, func(t *testing.T) { reached = killedAt(t, n, after) })
			runs++
			if t.Failed() {
				t.Fatalf("killed at step %d, after=%v", n, after)
			}
			if !reached {
				break
			}
		}
	}
	t.Logf("killed %d times", runs)
}

func killedAt(t *testing.T, n int, after bool) (reached bool) {
	r := world(t)
	source := r.kinesis("clicks", 2)
	r.start(t.Context(), r.log, r.state, r.objects)
	r.create("direct", func(d *types.ExtendedS3DestinationConfiguration) { d.CompressionFormat = types.CompressionFormatGzip })
	r.createKinesis("fed", "clicks")
	r.stop()
	var sent []string
	line := func() string {
		sent = append(sent, fmt.Sprintf("record %d\n", len(sent)))
		return sent[len(sent)-1]
	}
	run := func(n int) bool {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		k := &killer{n: n, after: after, cancel: cancel}
		r.start(ctx, mortalLog{r.log, k}, mortalState{r.state, k}, mortalObjects{r.objects, k})
		for i := range 5 {
			r.put("direct", line(), line())
			r.append(source.Shard(int32(i%2)), line(), line())
			r.after(25 * time.Second)
		}
		r.stop()
		return k.killed()
	}
	reached = run(n)
	run(n % 7)
	run(n % 4)
	if run(-1) {
		t.Fatal("killed without being asked to")
	}
	if err := flowtest.Once(r.lines(), sent); err != nil {
		t.Errorf("%v\n%s", err, r.logged)
	}
	return reached
}
