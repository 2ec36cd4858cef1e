package app

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/backend/s3"
)

func TestPlacesInS3(t *testing.T) {
	for place, want := range map[string]s3.Config{
		"s3://lake":                     {Bucket: "lake"},
		"s3://":                         {},
		"s3://?region=eu-west-1":        {Region: "eu-west-1"},
		"s3://lake/a%20b/c/":            {Bucket: "lake", Prefix: "a b/c"},
		"s3://lake?path-style=true":     {Bucket: "lake", PathStyle: true},
		"s3://AK:s%2Fe%40c@lake/p":      {Bucket: "lake", Prefix: "p", AccessKey: "AK", Secret: "s/e@c"},
		"s3://lake?profile=x&region=us": {Bucket: "lake", Profile: "x", Region: "us"},
		"s3://lake?endpoint=http%3A%2F%2F127.0.0.1%3A9000":               {Bucket: "lake", Endpoint: "http://127.0.0.1:9000", PathStyle: true},
		"s3://lake?endpoint=https://minio:9000/sub&path-style=false":     {Bucket: "lake", Endpoint: "https://minio:9000/sub"},
		"s3://lake/prefix?region=eu-central-1&endpoint=http://localhost": {Bucket: "lake", Prefix: "prefix", Region: "eu-central-1", Endpoint: "http://localhost", PathStyle: true},
	} {
		if got, err := parseS3(place); err != nil || got != want {
			t.Errorf("%s is %+v, %v; want %+v", place, got, err, want)
		}
	}
}

func TestWrongPlacesAreRefused(t *testing.T) {
	for place, wrong := range map[string]string{
		"s3://La_ke":                            "bucket name",
		"s3://lake:80":                          "bucket name",
		"s3:///prefix":                          "without a bucket",
		"s3://lake/a#b":                         "no URL",
		"s3://AK@lake":                          "go together",
		"s3://AK:hush/hush@lake":                "no URL",
		"s3://lake?regoin=x":                    `no option "regoin"`,
		"s3://lake?region=a&region=b":           "one value",
		"s3://lake?region=":                     "one value",
		"s3://lake?path-style=perhaps":          "neither true nor false",
		"s3://lake?endpoint=localhost:9000":     "no http or https URL",
		"s3://lake?endpoint=http://u:hush@host": "no http or https URL",
		"s3://lake/%zz":                         "no URL",
		"s3://lake/%ff":                         "UTF-8",
		"s3://lake?region=%zz":                  "cannot be read",
		"gs://lake":                             "neither a directory nor in S3",
	} {
		err := (Config{Objects: place}).Validate()
		if err == nil || !strings.Contains(err.Error(), wrong) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v, want %q in it", place, err, wrong)
		}
	}
}

func TestSecretsOfPlacesAreNotShown(t *testing.T) {
	for place, want := range map[string]string{
		"s3://AK:hush@lake/p?region=r": "s3://AK:xxxxx@lake/p?region=r",
		"/dir/AK:hush@x":               "/dir/AK:hush@x",
	} {
		if got := ShownPlace(place); got != want {
			t.Errorf("%s is shown as %s", place, got)
		}
	}
}

// FuzzParseS3: what is accepted can be a place in S3, and neither what is shown nor an error has the secret.
func FuzzParseS3(f *testing.F) {
	f.Add("s3://lake/prefix?region=eu-central-1&endpoint=http://localhost&path-style=true", "hush")
	f.Add("s3://lake", "a/b")
	f.Add("s3://?profile=x", "")
	f.Fuzz(func(t *testing.T, place, secret string) {
		if len(secret) >= 8 && InS3(place) && !strings.Contains(place, secret) {
			place = s3Scheme + "KEY:" + url.QueryEscape(secret) + "@" + strings.TrimPrefix(place, s3Scheme)
			if strings.Contains(ShownPlace(place), secret) {
				t.Fatalf("%s shows its secret: %s", place, ShownPlace(place))
			}
		}
		c, err := parseS3(place)
		if err != nil {
			return
		}
		if wrong := c.Check(); wrong != nil {
			t.Fatalf("%s: %v", place, wrong)
		}
	})
}

// TestANodeAsksS3ForItsBucket: what can never work is refused at the start, what may come is waited for.
func TestANodeAsksS3ForItsBucket(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "id")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	status, body := http.StatusNotFound, `<Error><Code>NoSuchBucket</Code><Message>The bucket is not there</Message></Error>`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	defer server.Close()
	c := Config{Data: filepath.Join(t.TempDir(), "data"), Kafka: "127.0.0.1:0", AWS: "127.0.0.1:0", Objects: "s3://lake?endpoint=" + server.URL}
	_, err := Start(t.Context(), c, Deps{})
	if err == nil || !strings.Contains(err.Error(), "objects: S3: list bucket lake: object not found: NoSuchBucket: The bucket is not there") {
		t.Errorf("without the bucket: %v", err)
	}
	status, body = http.StatusForbidden, `<Error><Code>AccessDenied</Code></Error>`
	if _, err := Start(t.Context(), c, Deps{}); err == nil || !strings.Contains(err.Error(), "denies access: AccessDenied") {
		t.Errorf("without rights: %v", err)
	}
	status = http.StatusServiceUnavailable
	node, err := Start(t.Context(), c, Deps{})
	if err != nil {
		t.Fatalf("while S3 is down: %v", err)
	}
	if a := node.Addresses(); a.Objects != c.Objects || !strings.Contains(a.Welcome(), "freshet ls --objects 's3://lake") {
		t.Errorf("objects are said to be at %s:\n%s", a.Objects, a.Welcome())
	}
	if err := node.letGo(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(c.Data, "objects")); err == nil {
		t.Error("there is a directory of objects, too")
	}
}
