package tier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/object"
	"github.com/freshet/freshet/internal/object/memory"
	"github.com/freshet/freshet/internal/object/objecttest"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/state/memstate"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/memlog"
	"github.com/freshet/freshet/internal/stream/streamtest"
)

// rig is a Log over a log in memory, and everything around it.
type rig struct {
	*testing.T
	clock *clock.Virtual
	local *memlog.Log
	state *faultyState
	store *faultyStore
	cfg   Config
	log   *Log
}

func newRig(t *testing.T, cfg Config) *rig {
	c := clock.NewVirtual(epoch)
	r := &rig{T: t, clock: c, local: memlog.New(c, nil), state: &faultyState{Store: memstate.New(c)}, store: &faultyStore{Store: memory.New(c)}, cfg: cfg}
	r.open()
	t.Cleanup(func() { r.log.Close() })
	return r
}

// open begins anew on what is stored, as after a restart.
func (r *rig) open() {
	r.Helper()
	if r.log != nil {
		r.log.Close()
	}
	var err error
	r.log, err = New(r.Context(), r.cfg, Deps{Local: r.local, State: r.state, Objects: r.store, Clock: r.clock, Random: seeded(1)})
	must(r, err)
}

func plainConfig() Config {
	return Config{Bucket: "tier", Prefix: "p/", BlockBytes: 500, Interval: never, headSegments: 4}
}

// tiered makes a stream with segments of three batches.
func (r *rig) tiered(change func(*stream.Config)) *stream.Stream {
	r.Helper()
	c := stream.Config{Retention: -1, Tier: stream.Tier{On: true, Retention: -1}}
	c.Compaction.SegmentBytes = 3 * batchBytes
	if change != nil {
		change(&c)
	}
	st, err := r.log.Create(r.Context(), stream.Spec{Name: "s", Shards: 1, Config: c})
	must(r, err)
	return st
}

// batchBytes is the size of the batches that put makes.
var batchBytes = int64(len(streamtest.Batch(epoch, strings.Repeat("x", 100))))

// put appends n batches of one record, which says where it is.
func (r *rig) put(st *stream.Stream, n int) {
	r.Helper()
	for range n {
		b, err := r.log.Bounds(r.Context(), st.Shard(0))
		must(r, err)
		results, err := r.log.Append(r.Context(), []stream.Append{{Shard: st.Shard(0), Batch: streamtest.Batch(r.clock.Now(), fmt.Sprintf("%0100d", b.End))}}).Wait(r.Context())
		must(r, errors.Join(err, results[0].Err))
		if results[0].Start != b.Start {
			r.Fatalf("the append says that the shard starts with %d, it does with %d", results[0].Start, b.Start)
		}
	}
}

// check reads the shard from its start to its end: each record must be the one of its offset. It returns the bounds.
func (r *rig) check(st *stream.Stream) stream.Bounds {
	r.Helper()
	b, err := r.log.Bounds(r.Context(), st.Shard(0))
	must(r, err)
	r.readTo(st, b.Start, b.End)
	return b
}

func (r *rig) readTo(st *stream.Stream, from, end stream.Offset) {
	r.Helper()
	for from < end {
		c, err := r.log.Read(r.Context(), st.Shard(0), from, 700)
		must(r, err)
		if len(c.Batches) == 0 {
			r.Fatalf("nothing is read from %d, the end is %d", from, end)
		}
		for _, b := range c.Batches {
			must(r, batch.Records(b, 0, func(record *batch.Record) bool {
				if want := fmt.Sprintf("%0100d", from); stream.Offset(record.Offset) != from || string(record.Value) != want {
					r.Fatalf("offset %d has the record %.20s of offset %d", from, record.Value, record.Offset)
				}
				from++
				return true
			}))
		}
		c.Release()
	}
}

func (r *rig) extent(st *stream.Stream) stream.Extent {
	r.Helper()
	x, err := r.log.Extent(r.Context(), st.Shard(0))
	must(r, err)
	return x
}

// objects returns the keys of all objects, without what all have in common.
func (r *rig) objects() []string {
	r.Helper()
	page, err := r.store.Store.List(r.Context(), "tier", object.Query{})
	must(r, err)
	var keys []string
	for _, o := range page.Objects {
		keys = append(keys, o.Key[strings.LastIndexByte(o.Key, '/')+1:])
	}
	return keys
}

func (r *rig) wantObjects(n int) {
	r.Helper()
	if got := r.objects(); len(got) != n {
		r.Fatalf("%d objects, want %d: %v", len(got), n, got)
	}
}

func (r *rig) wantBounds(st *stream.Stream, start, end, local, tiered stream.Offset) {
	r.Helper()
	b, x := r.check(st), r.extent(st)
	if b.Start != start || b.End != end || x.Local != local || x.Tiered != tiered {
		r.Fatalf("%d to %d, local from %d, in objects to %d; want %d to %d, %d, %d", b.Start, b.End, x.Local, x.Tiered, start, end, local, tiered)
	}
}

var errFault = errors.New("a fault of the test")

// faultyStore fails, and does what it does not say, when it is told to.
type faultyStore struct {
	*memory.Store
	mu   sync.Mutex
	hook func(operation string, name object.Name) error // before each operation
	then func(operation string, name object.Name) error // after each that has succeeded

	stuck func() // if set, called by writes, which then wait for the end of their context
}

func (s *faultyStore) set(hook, then func(string, object.Name) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook, s.then = hook, then
}

func (s *faultyStore) ask(f func(s *faultyStore) func(string, object.Name) error, operation string, name object.Name) error {
	s.mu.Lock()
	do := f(s)
	s.mu.Unlock()
	if do == nil {
		return nil
	}
	return do(operation, name)
}

func before(s *faultyStore) func(string, object.Name) error { return s.hook }

func after(s *faultyStore) func(string, object.Name) error { return s.then }

func (s *faultyStore) Create(ctx context.Context, name object.Name) (object.Writer, error) {
	if err := s.ask(before, "create", name); err != nil {
		return nil, err
	}
	w, err := s.Store.Create(ctx, name)
	return &faultyWriter{w, ctx, s, name}, err
}

type faultyWriter struct {
	object.Writer
	ctx   context.Context
	store *faultyStore
	name  object.Name
}

func (w *faultyWriter) Write(p []byte) (int, error) {
	if err := w.store.ask(before, "write", w.name); err != nil {
		return 0, err
	}
	if w.store.stuck != nil {
		w.store.stuck()
		<-w.ctx.Done()
		return 0, context.Cause(w.ctx)
	}
	return w.Writer.Write(p)
}

func (w *faultyWriter) Commit(ctx context.Context) (object.Info, error) {
	if err := w.store.ask(before, "commit", w.name); err != nil {
		return object.Info{}, err
	}
	info, err := w.Writer.Commit(ctx)
	if err == nil {
		err = w.store.ask(after, "commit", w.name)
	}
	return info, err
}

func (s *faultyStore) Get(ctx context.Context, name object.Name, from, length int64) (io.ReadCloser, object.Info, error) {
	if err := s.ask(before, "get", name); err != nil {
		return nil, object.Info{}, err
	}
	return s.Store.Get(ctx, name, from, length)
}

func (s *faultyStore) Delete(ctx context.Context, name object.Name) error {
	if err := s.ask(before, "delete", name); err != nil {
		return err
	}
	err := s.Store.Delete(ctx, name)
	if err == nil {
		err = s.ask(after, "delete", name)
	}
	return err
}

func (s *faultyStore) List(ctx context.Context, bucket string, query object.Query) (object.Page, error) {
	if err := s.ask(before, "list", object.Name{Bucket: bucket}); err != nil {
		return object.Page{}, err
	}
	return s.Store.List(ctx, bucket, query)
}

// spoil changes a byte of an object.
func (s *faultyStore) spoil(t *testing.T, name object.Name, at int64) {
	t.Helper()
	body, _, err := s.Store.Get(t.Context(), name, 0, -1)
	must(t, err)
	b, err := io.ReadAll(body)
	must(t, err)
	b[at] ^= 1
	w, err := s.Store.Create(t.Context(), name)
	must(t, err)
	_, err = io.Copy(w, bytes.NewReader(b))
	must(t, err)
	_, err = w.Commit(t.Context())
	must(t, err)
}

// faultyState fails before or after a change when it is told to.
type faultyState struct {
	state.Store
	before, after func() error
}

func (s *faultyState) Apply(ctx context.Context, changes ...state.Change) ([]int64, error) {
	if s.before != nil {
		if err := s.before(); err != nil {
			return nil, err
		}
	}
	versions, err := s.Store.Apply(ctx, changes...)
	if err == nil && s.after != nil {
		if err := s.after(); err != nil {
			return nil, err
		}
	}
	return versions, err
}

// begin opens a transaction of a producer with one batch.
func (r *rig) begin(st *stream.Stream, producer int64) {
	r.Helper()
	b, err := r.log.Bounds(r.Context(), st.Shard(0))
	must(r, err)
	made := streamtest.Transactional(batch.Producer{ID: producer}, r.clock.Now(), fmt.Sprintf("%0100d", b.End))
	results, err := r.log.Append(r.Context(), []stream.Append{{Shard: st.Shard(0), Batch: made}}).Wait(r.Context())
	must(r, errors.Join(err, results[0].Err))
}

// end ends it.
func (r *rig) end(st *stream.Stream, producer int64, commit bool) {
	r.Helper()
	marker := batch.AppendMarker(nil, batch.Marker{ProducerID: producer, Commit: commit, Time: r.clock.Now()})
	_, err := r.local.Transact(r.Context(), []stream.Append{{Shard: st.Shard(0), Batch: marker}}, nil)
	must(r, err)
}

func (r *rig) wantTiered(st *stream.Stream, end stream.Offset) {
	r.Helper()
	if x := r.extent(st); x.Tiered != end {
		r.Fatalf("in objects up to %d, want %d", x.Tiered, end)
	}
}

// numbered makes the batch of one record that check expects at an offset.
func numbered(at time.Time, offset stream.Offset) []byte {
	return streamtest.Batch(at, fmt.Sprintf("%0100d", offset))
}

// transactional makes a batch of a producer's transaction.
func transactional(producer int64, sequence int32, at time.Time, value string) []byte {
	return streamtest.Transactional(batch.Producer{ID: producer, Sequence: sequence}, at, value)
}

func put(t testing.TB, s object.Store, name object.Name, b []byte) {
	t.Helper()
	objecttest.Put(t, s, name, b)
}

func read(t testing.TB, s object.Store, name object.Name) []byte {
	t.Helper()
	return objecttest.Get(t, s, name)
}

// change makes a document say something else.
func change(key state.Key, text string) state.Change {
	return state.Change{Key: key, If: state.Any, Value: []byte(text)}
}
