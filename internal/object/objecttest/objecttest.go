// Package objecttest is the acceptance suite of object.Store: Run checks what the contract promises on any implementation.
package objecttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/freshet/freshet/internal/object"
)

const bucket = "suite-bucket"

// BucketNames are the buckets that the suite writes to, in order.
var BucketNames = []string{"other-bucket", bucket}

// Allowed is in what a store may differ from others.
type Allowed struct {
	KeyBytes    int  // the longest key; 0 = object.MaxKeyBytes
	BucketsStay bool // BucketNames exist before and after objects
}

// buckets returns what a store lists in which these have objects.
func (a Allowed) buckets(used ...string) []string {
	if a.BucketsStay {
		return BucketNames
	}
	return used
}

// Run runs the suite on a store that does all that the contract promises; open returns an empty one for each part of it.
func Run(t *testing.T, open func(t *testing.T) object.Store) { RunAllowing(t, Allowed{}, open) }

// RunAllowing is Run for a store that lives in something with bounds of its own.
func RunAllowing(t *testing.T, a Allowed, open func(t *testing.T) object.Store) {
	t.Run("an object appears whole at commit", func(t *testing.T) { testCommit(t, open(t), a) })
	t.Run("every legal key works", func(t *testing.T) { testKeys(t, open(t), a) })
	t.Run("lists in byte order by prefix, after and limit", func(t *testing.T) { testList(t, open(t), a) })
	t.Run("an aborted object never was", func(t *testing.T) { testAbort(t, open(t)) })
	t.Run("ranges", func(t *testing.T) { testRanges(t, open(t)) })
	t.Run("a reader keeps its version", func(t *testing.T) { testReplace(t, open(t)) })
	t.Run("a key may be a prefix of another", func(t *testing.T) { testNested(t, open(t)) })
	t.Run("illegal names are refused", func(t *testing.T) { testIllegal(t, open(t)) })
	t.Run("uploads", func(t *testing.T) { testUpload(t, open(t)) })
	t.Run("uploads refuse what cannot be", func(t *testing.T) { testUploadErrors(t, open(t)) })
	t.Run("concurrent writers of one key leave one of their objects", func(t *testing.T) { testConcurrent(t, open(t)) })
	t.Run("an ended context ends the call", func(t *testing.T) { testContext(t, open(t)) })
	t.Run("a random history equals a map", func(t *testing.T) { testModel(t, open(t)) })
}

func name(key string) object.Name { return object.Name{Bucket: bucket, Key: key} }

// Put writes an object in two pieces.
func Put(t testing.TB, s object.Store, n object.Name, data []byte) object.Info {
	t.Helper()
	w, err := s.Create(t.Context(), n)
	if err != nil {
		t.Fatalf("create %q: %v", n.Key, err)
	}
	half := len(data) / 2
	for _, piece := range [][]byte{data[:half], data[half:]} {
		if n, err := w.Write(piece); err != nil || n != len(piece) {
			t.Fatalf("write %d of %d bytes: %v", n, len(piece), err)
		}
	}
	info, err := w.Commit(t.Context())
	if err != nil {
		t.Fatalf("commit %q: %v", n.Key, err)
	}
	if info.Name != n || info.Size != int64(len(data)) || info.Modified.IsZero() {
		t.Fatalf("commit of %d bytes to %v says %+v", len(data), n, info)
	}
	return info
}

// Get reads a whole object.
func Get(t testing.TB, s object.Store, n object.Name) []byte {
	t.Helper()
	r, _, err := s.Get(t.Context(), n, 0, -1)
	if err != nil {
		t.Fatalf("get %q: %v", n.Key, err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read %q: %v", n.Key, err)
	}
	return data
}

// Keys lists all keys of a bucket, page by page.
func Keys(t testing.TB, s object.Store, bucket string, q object.Query) []string {
	t.Helper()
	var keys []string
	for {
		page, err := s.List(t.Context(), bucket, q)
		if err != nil {
			t.Fatalf("list %+v: %v", q, err)
		}
		for _, o := range page.Objects {
			keys = append(keys, o.Key)
		}
		if !page.More {
			return keys
		}
		q.After = keys[len(keys)-1]
	}
}

func expect(t *testing.T, err, want error, what string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error is %v, want %v", what, err, want)
	}
}

func testCommit(t *testing.T, s object.Store, a Allowed) {
	if _, err := s.Stat(t.Context(), name("a")); !errors.Is(err, object.ErrNotFound) {
		t.Fatalf("stat in an empty store: %v", err)
	}
	w, err := s.Create(t.Context(), name("a"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(w, "one")
	if _, err := s.Stat(t.Context(), name("a")); !errors.Is(err, object.ErrNotFound) {
		t.Fatalf("stat before commit: %v", err)
	}
	if keys := Keys(t, s, bucket, object.Query{}); len(keys) != 0 {
		t.Fatalf("listed before commit: %q", keys)
	}
	if _, err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := Get(t, s, name("a")); string(got) != "one" {
		t.Fatalf("read %q", got)
	}
	_, err = w.Write([]byte("x"))
	expect(t, err, object.ErrClosed, "write after commit")
	_, err = w.Commit(t.Context())
	expect(t, err, object.ErrClosed, "second commit")
	w.Abort()
	if info, err := s.Stat(t.Context(), name("a")); err != nil || info.Size != 3 {
		t.Fatalf("after commit and abort: %+v, %v", info, err)
	}
	Put(t, s, name("empty"), nil)
	if got := Get(t, s, name("empty")); len(got) != 0 {
		t.Fatalf("empty object reads %q", got)
	}
	buckets, err := s.Buckets(t.Context())
	if err != nil || !slices.Equal(buckets, a.buckets(bucket)) {
		t.Fatalf("buckets %q, %v", buckets, err)
	}
}

func testAbort(t *testing.T, s object.Store) {
	Put(t, s, name("kept"), []byte("old"))
	for _, key := range []string{"kept", "new"} {
		w, err := s.Create(t.Context(), name(key))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, "dropped")
		w.Abort()
		w.Abort()
		_, err = w.Commit(t.Context())
		expect(t, err, object.ErrClosed, "commit after abort")
	}
	if got := Get(t, s, name("kept")); string(got) != "old" {
		t.Fatalf("read %q", got)
	}
	if keys := Keys(t, s, bucket, object.Query{}); !slices.Equal(keys, []string{"kept"}) {
		t.Fatalf("keys %q", keys)
	}
	for range 2 {
		if err := s.Delete(t.Context(), name("kept")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Stat(t.Context(), name("kept")); !errors.Is(err, object.ErrNotFound) {
		t.Fatalf("stat after delete: %v", err)
	}
}

func testRanges(t *testing.T, s object.Store) {
	Put(t, s, name("r"), []byte("0123456789"))
	for _, row := range []struct {
		from, length int64
		want         string
		err          error
	}{
		{0, -1, "0123456789", nil},
		{3, 4, "3456", nil},
		{3, 0, "", nil},
		{8, 10, "89", nil},
		{10, -1, "", nil},
		{11, -1, "", object.ErrRange},
		{-1, 2, "", object.ErrInvalid},
		{2, 1<<63 - 1, "23456789", nil},
	} {
		r, info, err := s.Get(t.Context(), name("r"), row.from, row.length)
		if !errors.Is(err, row.err) {
			t.Errorf("from %d length %d: error %v, want %v", row.from, row.length, err, row.err)
		}
		if err != nil {
			continue
		}
		got, err := io.ReadAll(r)
		if err != nil || string(got) != row.want || info.Size != 10 {
			t.Errorf("from %d length %d: %q of %d, %v; want %q", row.from, row.length, got, info.Size, err, row.want)
		}
		r.Close()
	}
}

func testReplace(t *testing.T, s object.Store) {
	Put(t, s, name("v"), bytes.Repeat([]byte("old"), 1000))
	r, _, err := s.Get(t.Context(), name("v"), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	Put(t, s, name("v"), []byte("new"))
	if err := s.Delete(t.Context(), name("v")); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, bytes.Repeat([]byte("old"), 1000)) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

// hostile are legal keys that a file system, a URL or a careless join would get wrong.
var hostile = []string{
	"../x", "../../etc/passwd", "/x", "//", "/", "a//b", "a/", ".", "..", "./x", "a/./b", "a/../b", "a/..", "x\\y", "C:\\x", "C:x", "..\\x",
	"%", "%2F", "%2e%2e", "a%", "a%=", "a%-", "%_", "%-/x", "con", "CON.txt", "aux/nul", "com1", "lpt¹", "name.", "name ", " name", "a./b ",
	"a\x00b", "a\nb", "a\x7fb", "tab\there", "q?x=1&y", "star*", "<>|\"'", "~", "$HOME", "`ls`", ".hidden", ".tmp/x", ".uploads/x", "日本語/鍵", "é", "e\u0301",
	strings.Repeat("a", 1024), strings.Repeat("a/", 512), strings.Repeat("%", 1024), strings.Repeat("日", 341), strings.Repeat("a", 200), strings.Repeat("a", 200) + "/b",
	strings.Repeat("a", 200) + "!", strings.Repeat("a", 200) + "z", strings.Repeat("/", 1024),
}

func testKeys(t *testing.T, s object.Store, a Allowed) {
	hostile := slices.DeleteFunc(slices.Clone(hostile), func(key string) bool { return a.KeyBytes > 0 && len(key) > a.KeyBytes })
	for _, key := range hostile {
		Put(t, s, name(key), []byte(key))
	}
	for _, key := range hostile {
		if got := Get(t, s, name(key)); string(got) != key {
			t.Errorf("%q reads %q", key, got)
		}
	}
	want := slices.Sorted(slices.Values(hostile))
	if got := Keys(t, s, bucket, object.Query{Limit: 7}); !slices.Equal(got, want) {
		t.Errorf("listed\n%q\nwant\n%q", got, want)
	}
	for i, key := range hostile {
		if err := s.Delete(t.Context(), name(key)); err != nil {
			t.Fatalf("delete %q: %v", key, err)
		}
		if _, err := s.Stat(t.Context(), name(key)); !errors.Is(err, object.ErrNotFound) {
			t.Errorf("%q after delete: %v", key, err)
		}
		if i%8 != 0 && i != len(hostile)-1 {
			continue // listing keys of a thousand segments takes its time
		}
		if left := Keys(t, s, bucket, object.Query{}); len(left) != len(hostile)-i-1 {
			t.Fatalf("after deleting %q %d keys are left, want %d", key, len(left), len(hostile)-i-1)
		}
	}
	if buckets, err := s.Buckets(t.Context()); err != nil || !slices.Equal(buckets, a.buckets()) {
		t.Errorf("buckets when all is deleted: %q, %v", buckets, err)
	}
}

func testNested(t *testing.T, s object.Store) {
	for _, order := range [][]string{{"n", "n/b", "n/b/c"}, {"n/b/c", "n/b", "n"}, {"n/b", "n", "n/b/c"}} {
		for range 2 {
			for _, key := range order {
				Put(t, s, name(key), []byte(key))
			}
		}
		for _, key := range order {
			if got := Get(t, s, name(key)); string(got) != key {
				t.Fatalf("order %q: %q reads %q", order, key, got)
			}
		}
		if got := Keys(t, s, bucket, object.Query{}); !slices.Equal(got, []string{"n", "n/b", "n/b/c"}) {
			t.Fatalf("order %q: keys %q", order, got)
		}
		for _, key := range order {
			if err := s.Delete(t.Context(), name(key)); err != nil {
				t.Fatal(err)
			}
		}
		if got := Keys(t, s, bucket, object.Query{}); len(got) != 0 {
			t.Fatalf("order %q: keys %q after deleting all", order, got)
		}
	}
}

func testIllegal(t *testing.T, s object.Store) {
	for _, n := range []object.Name{
		{Bucket: "", Key: "k"},
		{Bucket: "..", Key: "k"},
		{Bucket: "ab", Key: "k"},
		{Bucket: "a/b", Key: "k"},
		{Bucket: "../../tmp", Key: "k"},
		{Bucket: "Upper", Key: "k"},
		{Bucket: "192.168.0.1", Key: "k"},
		{Bucket: "-abc", Key: "k"},
		{Bucket: "a..b", Key: "k"},
		{Bucket: strings.Repeat("b", 64), Key: "k"},
		{Bucket: bucket, Key: ""},
		{Bucket: bucket, Key: strings.Repeat("k", 1025)},
		{Bucket: bucket, Key: "a\xffb"},
	} {
		_, err := s.Create(t.Context(), n)
		expect(t, err, object.ErrInvalid, fmt.Sprintf("create %q", n))
		_, _, err = s.Get(t.Context(), n, 0, -1)
		expect(t, err, object.ErrInvalid, fmt.Sprintf("get %q", n))
		_, err = s.Stat(t.Context(), n)
		expect(t, err, object.ErrInvalid, fmt.Sprintf("stat %q", n))
		expect(t, s.Delete(t.Context(), n), object.ErrInvalid, fmt.Sprintf("delete %q", n))
		_, err = s.StartUpload(t.Context(), n)
		expect(t, err, object.ErrInvalid, fmt.Sprintf("start upload %q", n))
	}
	_, err := s.List(t.Context(), "../etc", object.Query{})
	expect(t, err, object.ErrInvalid, "list")
	for _, limit := range []int{-1, object.MaxPage + 1} {
		_, err := s.List(t.Context(), bucket, object.Query{Limit: limit})
		expect(t, err, object.ErrInvalid, fmt.Sprintf("list with limit %d", limit))
	}
}

func testList(t *testing.T, s object.Store, a Allowed) {
	all := []string{"a", "a!", "a-b/c", "a/b", "a/b!", "a/b/c", "a/b0", "a/c", "a0", "b/1", "b/10", "b/2", "c"}
	for _, i := range rand.New(rand.NewSource(1)).Perm(len(all)) {
		Put(t, s, name(all[i]), []byte(all[i]))
	}
	Put(t, s, object.Name{Bucket: "other-bucket", Key: "a"}, nil)
	for _, row := range []struct {
		query object.Query
		want  []string
		more  bool
	}{
		{object.Query{}, all, false},
		{object.Query{Limit: 3}, all[:3], true},
		{object.Query{Limit: len(all)}, all, false},
		{object.Query{Prefix: "a/"}, []string{"a/b", "a/b!", "a/b/c", "a/b0", "a/c"}, false},
		{object.Query{Prefix: "a/b"}, []string{"a/b", "a/b!", "a/b/c", "a/b0"}, false},
		{object.Query{Prefix: "a/b/"}, []string{"a/b/c"}, false},
		{object.Query{Prefix: "a", After: "a/b/c"}, []string{"a/b0", "a/c", "a0"}, false},
		{object.Query{After: "a/b", Limit: 2}, []string{"a/b!", "a/b/c"}, true},
		{object.Query{After: "a/"}, all[3:], false},
		{object.Query{After: "c"}, nil, false},
		{object.Query{Prefix: "zz"}, nil, false},
	} {
		page, err := s.List(t.Context(), bucket, row.query)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range page.Objects {
			got = append(got, o.Key)
			if o.Size != int64(len(o.Key)) || o.Bucket != bucket || o.Modified.IsZero() {
				t.Errorf("listed as %+v", o)
			}
		}
		if !slices.Equal(got, row.want) || page.More != row.more {
			t.Errorf("%+v: %q more=%v, want %q more=%v", row.query, got, page.More, row.want, row.more)
		}
	}
	if keys := Keys(t, s, "empty-bucket", object.Query{}); len(keys) != 0 {
		t.Errorf("a bucket that never was lists %q", keys)
	}
	if buckets, err := s.Buckets(t.Context()); err != nil || !slices.Equal(buckets, BucketNames) {
		t.Errorf("buckets %q, %v", buckets, err)
	}
}

func testConcurrent(t *testing.T, s object.Store) {
	ctx := context.Background()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 20 {
				for _, key := range []string{"same", "dir/deep/same", fmt.Sprintf("dir/deep/%d-%d", i, j)} {
					w, err := s.Create(ctx, name(key))
					if err == nil {
						_, err = w.Write(bytes.Repeat([]byte{byte('a' + i)}, 100))
					}
					if err == nil {
						_, err = w.Commit(ctx)
					}
					if err != nil {
						t.Errorf("writer %d of %q: %v", i, key, err)
					}
				}
				if err := s.Delete(ctx, name(fmt.Sprintf("dir/deep/%d-%d", i, j))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, key := range []string{"same", "dir/deep/same"} {
		if got := Get(t, s, name(key)); len(got) != 100 || len(bytes.Trim(got, string(got[:1]))) != 0 {
			t.Errorf("%q is a mixture: %q", key, got)
		}
	}
	if keys := Keys(t, s, bucket, object.Query{}); !slices.Equal(keys, []string{"dir/deep/same", "same"}) {
		t.Errorf("keys %q", keys)
	}
}

func testContext(t *testing.T, s object.Store) {
	Put(t, s, name("k"), []byte("k"))
	cause := errors.New("asked to stop")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	_, err := s.Create(ctx, name("k"))
	expect(t, err, cause, "create")
	_, _, err = s.Get(ctx, name("k"), 0, -1)
	expect(t, err, cause, "get")
	_, err = s.List(ctx, bucket, object.Query{})
	expect(t, err, cause, "list")
	expect(t, s.Delete(ctx, name("k")), cause, "delete")
	w, err := s.Create(t.Context(), name("k"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Commit(ctx)
	expect(t, err, cause, "commit")
	w.Abort()
	if got := Get(t, s, name("k")); string(got) != "k" {
		t.Errorf("read %q", got)
	}
}

func testModel(t *testing.T, s object.Store) {
	const seed = 20261121
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewSource(seed))
	model := map[string]string{}
	letters := []string{"a", "b", "/", "-", ".", "%", "A", "é"}
	for range 600 {
		var key strings.Builder
		for range 1 + rng.Intn(5) {
			key.WriteString(letters[rng.Intn(len(letters))])
		}
		k := strings.ToLower(key.String()) // a store on a file system that folds case may refuse keys that differ in nothing else
		switch rng.Intn(3) {
		case 0, 1:
			model[k] = fmt.Sprint(rng.Int())
			Put(t, s, name(k), []byte(model[k]))
		case 2:
			delete(model, k)
			if err := s.Delete(t.Context(), name(k)); err != nil {
				t.Fatalf("delete %q: %v", k, err)
			}
		}
	}
	if got, want := Keys(t, s, bucket, object.Query{Limit: 10}), slices.Sorted(maps.Keys(model)); !slices.Equal(got, want) {
		t.Fatalf("keys\n%q\nwant\n%q", got, want)
	}
	for k, v := range model {
		if got := Get(t, s, name(k)); string(got) != v {
			t.Errorf("%q reads %q, want %q", k, got, v)
		}
	}
}
