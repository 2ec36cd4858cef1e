package s3

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/object"
	"github.com/freshet/freshet/internal/object/objecttest"
)

var lake = object.Name{Bucket: "lake", Key: "k"}

func expect(t *testing.T, err, want error, what string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error is %v, want %v", what, err, want)
	}
}

// caFile returns a file with the certificate of httptest's servers.
func (s *server) caFile(t *testing.T) string {
	t.Helper()
	h := httptest.NewUnstartedServer(s)
	h.StartTLS()
	defer h.Close()
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// count returns how many requests of a kind there were.
func (s *server) count(kind string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, asked := range s.asked {
		if asked == kind {
			n++
		}
	}
	return n
}

// failing answers the first n requests that match with a fault.
func (s *server) failing(n int, f fault, match func(*http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = func(w http.ResponseWriter, r *http.Request) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if n == 0 || !match(r) {
			return false
		}
		n--
		_, _ = io.Copy(io.Discard, r.Body)
		fail(w, r, f)
		return true
	}
}

func every(*http.Request) bool { return true }

func TestThrottlingIsWaitedOut(t *testing.T) {
	server, url := newServer(t, false, "store")
	s := newStore(t, url, nil)
	server.failing(3, fault{503, "SlowDown"}, every)
	objecttest.Put(t, s, lake, []byte("data"))
	server.failing(3, fault{500, "InternalError"}, every)
	if got := objecttest.Get(t, s, lake); string(got) != "data" {
		t.Errorf("read %q", got)
	}
	server.failing(-1, fault{503, "SlowDown"}, every)
	before := len(server.asked)
	_, err := s.Stat(t.Context(), lake)
	expect(t, err, object.ErrUnavailable, "throttled for ever")
	if asked := len(server.asked) - before; asked != s.config.Attempts {
		t.Errorf("asked %d times", asked)
	}
	_, err = s.List(t.Context(), "lake", object.Query{})
	if expect(t, err, object.ErrUnavailable, "list"); !strings.Contains(fmt.Sprint(err), "SlowDown") || !strings.Contains(fmt.Sprint(err), "(request REQ1)") {
		t.Errorf("the error does not say what S3 did: %v", err)
	}
}

func TestErrorsSayWhatIsWrong(t *testing.T) {
	_, url := newServer(t, false, "other")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_CONFIG_FILE", "/nowhere")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
	for _, row := range []struct {
		what string
		edit func(*Config)
		kind error
		text string
	}{
		{"missing bucket", nil, object.ErrNotFound, "NoSuchBucket"},
		{"unknown key", func(c *Config) { c.AccessKey = "nobody" }, object.ErrDenied, "InvalidAccessKeyId"},
		{"wrong secret", func(c *Config) { c.Secret = "wrong" }, object.ErrDenied, "SignatureDoesNotMatch"},
		{"no credentials", func(c *Config) { c.AccessKey, c.Secret = "", "" }, object.ErrDenied, "no credentials"},
		{"nobody there", func(c *Config) { c.Endpoint = "http://127.0.0.1:1" }, object.ErrUnavailable, "connection refused"},
		{"unknown host", func(c *Config) { c.Endpoint = "http://no.such.host.invalid" }, object.ErrUnavailable, "no.such.host.invalid"},
	} {
		s := newStore(t, url, row.edit)
		err := s.Check(t.Context())
		if expect(t, err, row.kind, row.what); !strings.Contains(fmt.Sprint(err), row.text) || strings.Contains(fmt.Sprint(err), "\n") {
			t.Errorf("%s: error is %v, want %q in it", row.what, err, row.text)
		}
		w, err := s.Create(t.Context(), lake)
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.Commit(t.Context())
		expect(t, err, row.kind, "commit with "+row.what)
		_, _, err = s.Get(t.Context(), lake, 0, -1)
		expect(t, err, row.kind, "get with "+row.what)
	}
}

func TestTheRegionOfABucketIsNamed(t *testing.T) {
	server, url := newServer(t, false, "store")
	server.before = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("X-Amz-Bucket-Region", "eu-central-1")
		fail(w, r, fault{301, "PermanentRedirect"})
		return true
	}
	_, err := newStore(t, url, nil).Stat(t.Context(), lake)
	if expect(t, err, object.ErrInvalid, "wrong region"); !strings.Contains(fmt.Sprint(err), "eu-central-1") {
		t.Errorf("error is %v", err)
	}
}

func TestAClockThatIsWrongIsAllowedFor(t *testing.T) {
	for _, ahead := range []time.Duration{3 * time.Hour, -50 * time.Hour} {
		server, url := newServer(t, false, "store")
		server.ahead = ahead
		s := newStore(t, url, nil)
		objecttest.Put(t, s, lake, []byte("data"))
		if got := objecttest.Get(t, s, lake); string(got) != "data" {
			t.Errorf("read %q", got)
		}
	}
}

// cutting breaks the connection of each whole or partial read after n bytes, as long as often is above 0.
func (s *server) cutting(n, often int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = func(w http.ResponseWriter, r *http.Request) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		o := s.buckets["store"][key]
		if r.Method != http.MethodGet || o == nil || often == 0 {
			return false
		}
		often--
		recorded := httptest.NewRecorder()
		if err := get(recorded, r, o); err != nil {
			fail(w, r, err)
			return true
		}
		header := "HTTP/1.1 " + strconv.Itoa(recorded.Code) + " X\r\n"
		for name, values := range recorded.Header() {
			header += name + ": " + values[0] + "\r\n"
		}
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		_, _ = conn.Write(append([]byte(header+"\r\n"), recorded.Body.Bytes()[:min(n, recorded.Body.Len()-1)]...))
		_ = conn.(*net.TCPConn).SetLinger(0)
		return true
	}
}

func TestReadingGoesOnAfterACut(t *testing.T) {
	server, url := newServer(t, false, "store")
	s := newStore(t, url, nil)
	data := bytes.Repeat([]byte("0123456789"), 100_000)
	objecttest.Put(t, s, lake, data)
	server.cutting(100_000, 7)
	if got := objecttest.Get(t, s, lake); !bytes.Equal(got, data) {
		t.Fatalf("%d bytes of %d, or others", len(got), len(data))
	}
	server.cutting(1000, 3)
	r, _, err := s.Get(t.Context(), lake, 500_001, 5000)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data[500_001:505_001]) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

func TestReadingThatBreaksForEverEnds(t *testing.T) {
	server, url := newServer(t, false, "store")
	s := newStore(t, url, nil)
	objecttest.Put(t, s, lake, make([]byte, 1000))
	server.cutting(10, -1)
	r, _, err := s.Get(t.Context(), lake, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if expect(t, err, object.ErrUnavailable, "read"); len(got) != 10*maxCuts {
		t.Errorf("%d bytes were read", len(got))
	}
}

// TestOneVersionIsRead replaces the object behind a broken connection.
func TestOneVersionIsRead(t *testing.T) {
	server, url := newServer(t, false, "store")
	s := newStore(t, url, nil)
	objecttest.Put(t, s, lake, bytes.Repeat([]byte("old"), 1000))
	server.cutting(10, 1)
	r, _, err := s.Get(t.Context(), lake, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	old := server.buckets["store"]["a b/é/lake/k"].etag
	objecttest.Put(t, s, lake, bytes.Repeat([]byte("new"), 1000))
	got, err := io.ReadAll(r)
	if expect(t, err, object.ErrNotFound, "read"); len(got) != 10 {
		t.Errorf("read %q", got)
	}
	if server.count("GET x-id"+old) != 1 {
		t.Errorf("the rest was not asked for by its version: %q", server.asked)
	}
}

func TestDamageIsFound(t *testing.T) {
	server, url := newServer(t, false, "store")
	s := newStore(t, url, nil)
	objecttest.Put(t, s, lake, []byte("data"))
	server.buckets["store"]["a b/é/lake/k"].data = []byte("dada")
	r, _, err := s.Get(t.Context(), lake, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadAll(r); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("error is %v", err)
	}
}

// TestSilenceEnds: neither an answer that does not begin nor one that stops coming holds anybody for longer than an attempt.
func TestSilenceEnds(t *testing.T) {
	server, url := newServer(t, false, "store")
	s := newStore(t, url, func(c *Config) { c.AttemptTimeout = 50 * time.Millisecond })
	data := bytes.Repeat([]byte("0123456789"), 1000)
	objecttest.Put(t, s, lake, data)
	silent := true
	server.before = func(w http.ResponseWriter, r *http.Request) bool {
		if !silent || r.Method != http.MethodGet {
			return false
		}
		silent = false
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		w.Header().Set("ETag", server.buckets["store"]["a b/é/lake/k"].etag)
		_, _ = w.Write(data[:100])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return true
	}
	if got := objecttest.Get(t, s, lake); !bytes.Equal(got, data) {
		t.Errorf("%d bytes", len(got))
	}
	server.before = func(w http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }
	_, err := s.Stat(t.Context(), lake)
	expect(t, err, object.ErrUnavailable, "no answer")
}

func TestACallEndsInTime(t *testing.T) {
	server, url := newServer(t, false, "store")
	s := newStore(t, url, func(c *Config) { c.Timeout = 50 * time.Millisecond })
	server.before = func(w http.ResponseWriter, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		return true
	}
	w, err := s.Create(t.Context(), lake)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Commit(t.Context())
	expect(t, err, object.ErrUnavailable, "commit")
}

// TestNothingOfAFailedObjectIsSeen fails each request of a large object in turn, for good.
func TestNothingOfAFailedObjectIsSeen(t *testing.T) {
	part := func(number string) func(*http.Request) bool {
		return func(r *http.Request) bool { return r.URL.Query().Get("partNumber") == number }
	}
	for what, match := range map[string]func(*http.Request) bool{
		"begin":      func(r *http.Request) bool { return r.URL.Query().Has("uploads") },
		"first part": part("1"),
		"last part":  part("3"),
		"complete":   func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("uploadId") },
	} {
		t.Run(what, func(t *testing.T) {
			server, url := newServer(t, false, "store")
			s := newStore(t, url, nil)
			server.failing(-1, fault{503, "SlowDown"}, match)
			w, err := s.Create(t.Context(), lake)
			if err != nil {
				t.Fatal(err)
			}
			_, err = w.Write(make([]byte, 2*object.MinPartBytes+1))
			if err == nil {
				_, err = w.Commit(t.Context())
			}
			expect(t, err, object.ErrUnavailable, "written")
			w.Abort()
			if len(server.uploads) != 0 {
				t.Errorf("%d uploads are left", len(server.uploads))
			}
			_, err = s.Stat(t.Context(), lake)
			expect(t, err, object.ErrNotFound, "stat")
		})
	}
}

func TestAnErrorInASuccessIsOne(t *testing.T) {
	server, url := newServer(t, false, "store")
	s := newStore(t, url, nil)
	server.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost || !r.URL.Query().Has("uploadId") {
			return false
		}
		fmt.Fprint(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>InternalError</Code><Message>after all</Message></Error>`)
		return true
	}
	w, err := s.Create(t.Context(), lake)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, object.MinPartBytes+1)); err != nil {
		t.Fatal(err)
	}
	_, err = w.Commit(t.Context())
	expect(t, err, object.ErrUnavailable, "commit")
}

func TestAnAbortedWriterLeavesNoUpload(t *testing.T) {
	server, url := newServer(t, false, "store")
	s := newStore(t, url, nil)
	ctx, cancel := context.WithCancel(t.Context())
	w, err := s.Create(ctx, lake)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, object.MinPartBytes+1)); err != nil {
		t.Fatal(err)
	}
	cancel()
	w.Abort()
	if len(server.uploads) != 0 {
		t.Errorf("%d uploads are left", len(server.uploads))
	}
}

func TestForeignObjectsAreLeftOut(t *testing.T) {
	server, url := newServer(t, false, "store")
	s := newStore(t, url, nil)
	objecttest.Put(t, s, lake, nil)
	for _, key := range []string{"a b/é", "a b/é/", "a b/é/lake/", "a b/é/Not A Bucket/x", "a b/é/file", "elsewhere/lake/x", "a b/é/lake/k\xff"} {
		server.buckets["store"][key] = server.store(nil)
	}
	if keys := objecttest.Keys(t, s, "lake", object.Query{Limit: 1}); len(keys) != 1 || keys[0] != "k" {
		t.Errorf("keys %q", keys)
	}
	if buckets, err := s.Buckets(t.Context()); err != nil || len(buckets) != 1 || buckets[0] != "lake" {
		t.Errorf("buckets %q, %v", buckets, err)
	}
}
