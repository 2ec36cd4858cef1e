package s3

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"go.uber.org/goleak"

	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/internal/object"
	"github.com/freshet/freshet/internal/object/objecttest"
)

// endpoint names a server other than the tests' own.
var endpoint = flag.String("endpoint", "", "URL of a server for TestContractInOneBucket that speaks S3 and takes AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newStore(t testing.TB, endpoint string, edit func(*Config)) *Store {
	t.Helper()
	c := Config{
		Bucket: "store", Prefix: "a b/é", Endpoint: endpoint, PathStyle: true, AccessKey: testKey, Secret: testSecret, PartBytes: object.MinPartBytes,
		backoff: retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil }),
	}
	if edit != nil {
		edit(&c)
	}
	s, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ownBuckets(c *Config) { c.Bucket, c.Prefix = "", "" }

// within are the bounds of the layout with one bucket.
func within(s *Store) objecttest.Allowed {
	return objecttest.Allowed{KeyBytes: s.MaxKeyBytes(objecttest.BucketNames[1])}
}

// TestContractInOneBucket runs in a new bucket for each part of the suite.
func TestContractInOneBucket(t *testing.T) {
	number := 0
	open := func(t *testing.T) object.Store {
		at, key, secret := *endpoint, os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
		if at == "" {
			_, at = newServer(t, false)
			key, secret = testKey, testSecret
		}
		number++
		s := newStore(t, at, func(c *Config) {
			c.Bucket, c.AccessKey, c.Secret = fmt.Sprintf("suite-%d-%d", time.Now().Unix(), number), key, secret
		})
		if _, err := s.client.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &s.config.Bucket}); err != nil {
			t.Fatal(err)
		}
		return s
	}
	objecttest.RunAllowing(t, within(newStore(t, "http://x", nil)), open)
	t.Run("large objects", func(t *testing.T) { testLarge(t, open(t)) })
}

func TestContractInBucketsOfTheirOwn(t *testing.T) {
	objecttest.RunAllowing(t, objecttest.Allowed{BucketsStay: true}, func(t *testing.T) object.Store {
		_, url := newServer(t, false, objecttest.BucketNames...)
		return newStore(t, url, ownBuckets)
	})
}

// TestContractOverTLS: the SDK signs and frames bodies otherwise there.
func TestContractOverTLS(t *testing.T) {
	objecttest.RunAllowing(t, within(newStore(t, "http://x", nil)), func(t *testing.T) object.Store {
		server, url := newServer(t, true, "store")
		t.Setenv("AWS_CA_BUNDLE", server.caFile(t))
		return newStore(t, url, nil)
	})
}

// testLarge writes an object of several parts, and reads it in pieces.
func testLarge(t *testing.T, s object.Store) {
	name := object.Name{Bucket: "lake", Key: "large"}
	data := bytes.Repeat([]byte("0123456789abcdef"), (2*object.MinPartBytes+1000)/16)
	info := objecttest.Put(t, s, name, data)
	if got := objecttest.Get(t, s, name); !bytes.Equal(got, data) {
		t.Fatalf("%d bytes come back as %d others", len(data), len(got))
	}
	if stat, err := s.Stat(t.Context(), name); err != nil || stat.Size != info.Size || stat.Modified.Sub(info.Modified).Abs() > 5*time.Second {
		t.Fatalf("committed as %+v, described as %+v, %v", info, stat, err)
	}
}

func TestLargeObjectsGoInParts(t *testing.T) {
	server, url := newServer(t, false, "store")
	testLarge(t, newStore(t, url, nil))
	if got := server.count("PUT partNumber uploadId x-id"); got != 3 {
		t.Errorf("sent in %d parts: %q", got, server.asked)
	}
	objecttest.Put(t, newStore(t, url, nil), object.Name{Bucket: "lake", Key: "exact"}, make([]byte, object.MinPartBytes))
	if got := server.count("POST uploads"); got != 1 {
		t.Errorf("an object of one part began %d uploads", got-1)
	}
}

func TestPartsAreSentAFewAtATime(t *testing.T) {
	server, url := newServer(t, false, "store")
	s := newStore(t, url, func(c *Config) { c.Sending = 2 })
	var parts atomic.Int32
	gate := make(chan struct{})
	server.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Has("partNumber") {
			parts.Add(1)
			<-gate
		}
		return false
	}
	w, err := s.Create(t.Context(), object.Name{Bucket: "lake", Key: "large"})
	if err != nil {
		t.Fatal(err)
	}
	written := make(chan error)
	go func() {
		_, err := w.Write(make([]byte, 4*object.MinPartBytes+1))
		written <- err
	}()
	clocktest.Eventually(t, "two parts are being sent", func() bool { return parts.Load() == 2 })
	for range 100 { // time for a third
		_, err := s.Stat(t.Context(), lake)
		expect(t, err, object.ErrNotFound, "stat")
	}
	if n := parts.Load(); n != 2 {
		t.Errorf("%d parts are sent at a time", n)
	}
	close(gate)
	if err := <-written; err != nil {
		t.Error(err)
	}
	w.Abort()
}

func TestWrongConfigurationsAreRefused(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	t.Setenv("AWS_CONFIG_FILE", "/nowhere")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
	for what, c := range map[string]Config{
		"bucket":      {Bucket: "No", Region: "r"},
		"prefix":      {Bucket: "bucket", Prefix: "/x", Region: "r"},
		"long prefix": {Bucket: "bucket", Prefix: strings.Repeat("p", 513), Region: "r"},
		"no bucket":   {Prefix: "x", Region: "r"},
		"half a key":  {AccessKey: "id", Region: "r"},
		"small parts": {PartBytes: 1, Region: "r"},
		"no region":   {Bucket: "bucket"},
		"no profile":  {Bucket: "bucket", Profile: "nobody", Region: "r"},
	} {
		_, err := New(t.Context(), c)
		expect(t, err, object.ErrInvalid, what)
	}
	s, err := New(t.Context(), Config{Bucket: "bucket", Endpoint: "http://127.0.0.1:1"})
	if err != nil || s.client.Options().Region != "us-east-1" || aws.ToString(s.client.Options().BaseEndpoint) != "http://127.0.0.1:1" {
		t.Errorf("a server of one's own: %v", err)
	}
}

func TestKeysThatAreTooLongWithTheirPrefix(t *testing.T) {
	_, url := newServer(t, false, "store")
	s := newStore(t, url, nil)
	longest := object.Name{Bucket: "lake", Key: strings.Repeat("k", s.MaxKeyBytes("lake"))}
	objecttest.Put(t, s, longest, nil)
	longest.Key += "k"
	_, err := s.Create(t.Context(), longest)
	expect(t, err, object.ErrInvalid, "one byte more")
}
