package sigv4

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

var (
	now         = time.Date(2026, 11, 21, 8, 30, 0, 0, time.UTC)
	credentials = aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
)

// received returns the request as a server reads it off the wire.
func received(t *testing.T, r *http.Request, body []byte) *http.Request {
	t.Helper()
	r.Body = http.NoBody
	if len(body) > 0 {
		r.Body = http.MaxBytesReader(nil, readCloser{bytes.NewReader(body)}, 1<<20)
	}
	r.ContentLength = int64(len(body))
	var wire bytes.Buffer
	if err := r.Write(&wire); err != nil {
		t.Fatal(err)
	}
	got, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

func signed(t *testing.T, method, url string, header http.Header, body []byte, c aws.Credentials, hash string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	r.ContentLength = int64(len(body))
	if hash == "" {
		sum := sha256.Sum256(body)
		hash = hex.EncodeToString(sum[:])
	}
	if err := v4.NewSigner().SignHTTP(context.Background(), c, r, hash, "kinesis", "eu-west-1", now); err != nil {
		t.Fatal(err)
	}
	return received(t, r, body)
}

func verify(t *testing.T, r *http.Request, secret string, body []byte, at time.Time) error {
	t.Helper()
	s, err := Parse(r)
	if err != nil {
		return err
	}
	if s.AccessKey != credentials.AccessKeyID || s.Region != "eu-west-1" || s.Service != "kinesis" {
		t.Errorf("parsed %+v", s)
	}
	if err := s.Admit(r, at, "kinesis"); err != nil {
		return err
	}
	return s.Verify(r, secret, body)
}

func TestVerifyAcceptsWhatTheSDKSigns(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write([]byte(`{"StreamName":"clicks"}`))
	z.Close()
	withToken := credentials
	withToken.SessionToken = "FwoGZXIvYXdzE//////////wEaD+token="
	for name, c := range map[string]struct {
		method, url string
		header      http.Header
		body        []byte
		credentials aws.Credentials
		hash        string
	}{
		"plain":         {"POST", "http://localhost:4566/", http.Header{"X-Amz-Target": {"Kinesis_20131202.ListStreams"}, "Content-Type": {"application/x-amz-json-1.1"}}, []byte("{}"), credentials, ""},
		"session token": {"POST", "http://localhost:4566/", nil, []byte("{}"), withToken, ""},
		"gzip":          {"POST", "http://localhost:4566/", http.Header{"Content-Encoding": {"gzip"}}, zipped.Bytes(), credentials, ""},
		"no body":       {"GET", "http://localhost:4566/", nil, nil, credentials, ""},
		"default port":  {"POST", "http://kinesis.localhost/", nil, []byte("{}"), credentials, ""},
		"path":          {"PUT", "http://localhost:4566/a%20b/c%2Fd/%C3%A9/~x+y=z/", nil, []byte("{}"), credentials, ""},
		"query":         {"GET", "http://localhost:4566/p?b=2&a=1&a=0&c&d=x%20y%2Bz&e=%C3%A9&A=/", nil, nil, credentials, ""},
		"header values": {"POST", "http://localhost:4566/", http.Header{"X-Amz-Meta": {"  a   b  ", "c"}}, []byte("{}"), credentials, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := signed(t, c.method, c.url, c.header, c.body, c.credentials, c.hash)
			if err := verify(t, r, credentials.SecretAccessKey, c.body, now.Add(4*time.Minute)); err != nil {
				t.Error(err)
			}
			r = signed(t, c.method, c.url, c.header, c.body, c.credentials, c.hash)
			if err := verify(t, r, "another secret", c.body, now); !isKind(err, Invalid) {
				t.Errorf("with another secret: %v", err)
			}
			if c.hash == "" {
				if err := verify(t, r, credentials.SecretAccessKey, append([]byte("x"), c.body...), now); !isKind(err, Invalid) {
					t.Errorf("with another body: %v", err)
				}
			}
		})
	}
}

func isKind(err error, k Kind) bool {
	f, ok := errors.AsType[*Fault](err)
	return ok && f.Kind == k
}

func TestVerifyAcceptsPresignedRequests(t *testing.T) {
	r, _ := http.NewRequest("GET", "http://localhost:4566/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Expires=60", nil)
	empty := sha256.Sum256(nil)
	url, header, err := v4.NewSigner().PresignHTTP(context.Background(), credentials, r, hex.EncodeToString(empty[:]), "kinesis", "eu-west-1", now)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after time.Duration
		want  string
	}{{59 * time.Second, ""}, {61 * time.Second, "Signature expired: 20261121T083000Z is now earlier than 20261121T083001Z (20261121T083101Z - 60 sec.)"}} {
		r, _ = http.NewRequest("GET", url, nil)
		r.Header = header
		got := verify(t, received(t, r, nil), credentials.SecretAccessKey, nil, now.Add(c.after))
		if c.want == "" && got != nil || c.want != "" && (got == nil || got.Error() != c.want) {
			t.Errorf("after %v: %v, want %q", c.after, got, c.want)
		}
	}
}

func TestVerifyRefusesTimesFarFromNow(t *testing.T) {
	for _, c := range []struct {
		shift time.Duration
		want  string
	}{
		{15*time.Minute + time.Second, "Signature expired: 20261121T083000Z is now earlier than 20261121T083001Z (20261121T084501Z - 15 min.)"},
		{-5*time.Minute - time.Second, "Signature not yet current: 20261121T083000Z is still later than 20261121T082959Z (20261121T082459Z + 5 min.)"},
	} {
		r := signed(t, "POST", "http://localhost/", nil, []byte("{}"), credentials, "")
		if err := verify(t, r, credentials.SecretAccessKey, []byte("{}"), now.Add(c.shift)); err == nil || err.Error() != c.want {
			t.Errorf("%v: %v, want %s", c.shift, err, c.want)
		}
	}
}

// A request as the JavaScript SDK 3.1143 signs it over HTTP/2, where Host is :authority.
func TestVerifyAcceptsTheAuthorityForTheHost(t *testing.T) {
	r := signed(t, "POST", "http://localhost/", nil, nil, credentials, "")
	s, err := Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	s.SignedHeaders = []string{":authority", "x-amz-date"}
	if err := s.Admit(r, now, "kinesis"); err != nil {
		t.Error(err)
	}
	err = s.Verify(r, credentials.SecretAccessKey, nil)
	want := "POST\n/\n\n:authority:localhost\nx-amz-date:20261121T083000Z\n\n:authority;x-amz-date\n"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want the canonical string %q", err, want)
	}
}

func TestVerifyWantsTheBodySigned(t *testing.T) {
	const unsigned = "UNSIGNED-PAYLOAD" // S3's alone
	r := signed(t, "POST", "http://localhost/", http.Header{"X-Amz-Content-Sha256": {unsigned}}, []byte("{}"), credentials, unsigned)
	if err := verify(t, r, credentials.SecretAccessKey, []byte("{}"), now); !isKind(err, Invalid) {
		t.Error(err)
	}
}

func TestVerifyWantsSignedWhatDecides(t *testing.T) {
	for _, name := range []string{"X-Amz-Target", "X-Amz-Security-Token"} {
		r := signed(t, "POST", "http://localhost/", nil, nil, credentials, "")
		r.Header.Set(name, "Kinesis_20131202.DeleteStream")
		err := verify(t, r, credentials.SecretAccessKey, nil, now)
		if err == nil || err.Error() != "'"+name+"' must be a 'SignedHeader' in the AWS Authorization." {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVerifyWantsTheHostSigned(t *testing.T) {
	r := signed(t, "POST", "http://localhost/", nil, nil, credentials, "")
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "SignedHeaders=host;", "SignedHeaders=", 1))
	err := verify(t, r, credentials.SecretAccessKey, nil, now)
	if err == nil || err.Error() != "'Host' must be a 'SignedHeader' in the AWS Authorization." {
		t.Error(err)
	}
}

func TestParseNamesWhatIsMissing(t *testing.T) {
	const good = "AWS4-HMAC-SHA256 Credential=AKID/20261121/us-east-1/kinesis/aws4_request, SignedHeaders=host;x-amz-date, Signature=00"
	const nothing = "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. "
	for _, c := range []struct {
		url, authorization, date string
		kind                     Kind
		want                     string
	}{
		{"/", "", "", Missing, "Request is missing Authentication Token"},
		{"/?X-Amz-Algorithm=x", good, "", Ambiguous, "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."},
		{"/", "AWS4-HMAC-SHA256 Credential=a", "20261121T083000Z", Incomplete, "Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. Authorization=AWS4-HMAC-SHA256 Credential=a"},
		{"/", good, "", Incomplete, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization=" + good},
		{"/", good, "yesterday", Incomplete, "Date must be in ISO-8601 'basic format'. Got 'yesterday'. See http://en.wikipedia.org/wiki/ISO_8601"},
		{"/", "Bearer x", "20261121T083000Z", Incomplete, nothing + "Authorization=Bearer x"},
		{"/", "X", "", Incomplete, nothing + "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization=X"},
		{"/", "AWS4-", "", Incomplete, nothing + "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization=AWS4-"},
		{"/", "AWS4- Signature=b,Credential=a", "a", Incomplete, "Authorization header requires 'SignedHeaders' parameter. Authorization=AWS4- Signature=b,Credential=a"},
		{"/", strings.Replace(good, "256", "512", 1), "20261121T083000Z", Incomplete, "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA512' (only AWS4-HMAC-SHA256 for now). Authorization=" + strings.Replace(good, "256", "512", 1)},
		{"/?X-Amz-Algorithm=X&X-Amz-Credential=a&X-Amz-Signature=b&X-Amz-SignedHeaders=host&X-Amz-Date=20261121T083000Z", "", "", Incomplete, "Unsupported AWS 'algorithm': 'X' (only AWS4-HMAC-SHA256 for now). Re-examine the query-string parameters."},
		{"/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20261121T083000Z", "", "", Incomplete, "AWS query-string parameters must include 'X-Amz-Credential'. AWS query-string parameters must include 'X-Amz-Signature'. AWS query-string parameters must include 'X-Amz-SignedHeaders'. Re-examine the query-string parameters."},
		{"/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a&X-Amz-Signature=b&X-Amz-SignedHeaders=host&X-Amz-Date=20261121T083000Z&X-Amz-Expires=1m3", "", "", Incomplete, "X-Amz-Expires must be a number of seconds between 0 and 604800."},
	} {
		r, _ := http.NewRequest("POST", c.url, nil)
		if c.authorization != "" {
			r.Header.Set("Authorization", c.authorization)
		}
		if c.date != "" {
			r.Header.Set("X-Amz-Date", c.date)
		}
		_, err := Parse(r)
		if !isKind(err, c.kind) || err.Error() != c.want {
			t.Errorf("%s %q:\n got %v\nwant %s", c.url, c.authorization, err, c.want)
		}
	}
}

// What is wrong with a signature is told in AWS's order: the time, the host, the credential's form, and all that its scope gets wrong at once.
func TestAdmitLooksInAWSsOrder(t *testing.T) {
	const form = "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '"
	for _, c := range []struct {
		credential, headers string
		late                time.Duration
		kind                Kind
		want                string
		wellFormed          string
	}{
		{"AKID/20261121/us-east-1/kinesis/aws4_request", "host", 0, 0, "", ""},
		{"a/b", "x", time.Hour, Invalid, "Signature expired: 20261121T083000Z is now earlier than 20261121T091500Z (20261121T093000Z - 15 min.)", form + "a/b'"},
		{"a/b", "x", 0, Invalid, "'Host' must be a 'SignedHeader' in the AWS Authorization.", form + "a/b'"},
		{"a/b", "host", 0, Incomplete, form + "a/b'", form + "a/b'"},
		{"AKID/20261121/kinesis/aws4_request", "host", 0, Incomplete, form + "AKID/20261121/kinesis/aws4_request'", form + "AKID/20261121/kinesis/aws4_request'"},
		{"/20261121/r/kinesis/aws4_request", "host", 0, Incomplete, form + "/20261121/r/kinesis/aws4_request'", form + "/20261121/r/kinesis/aws4_request'"},
		{"AKID/20261120/us-east-1/kinesis/aws4_request", "host", time.Hour, Invalid, "Signature expired: *", ""},
		{
			"AKID/b/c/d/e", "host", 0, Invalid, "Credential should be scoped to correct service: 'kinesis'. " +
				"Credential should be scoped with a valid terminator: 'aws4_request', not 'e'. " +
				"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: 'b' != '20261121', from '20261121T083000Z'.",
			"Credential should be scoped with a valid terminator: 'aws4_request', not 'e'.",
		},
	} {
		r, _ := http.NewRequest("POST", "/", nil)
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+c.credential+", SignedHeaders="+c.headers+", Signature=00")
		r.Header.Set("X-Amz-Date", "20261121T083000Z")
		s, err := Parse(r)
		if err != nil {
			t.Errorf("%s: %v", c.credential, err)
			continue
		}
		text := func(err error) string {
			if err == nil {
				return ""
			}
			return err.Error()
		}
		err = s.Admit(r, now.Add(c.late), "kinesis")
		if prefix, ok := strings.CutSuffix(c.want, "*"); ok && !strings.HasPrefix(text(err), prefix) || !ok && text(err) != c.want || err != nil && !isKind(err, c.kind) {
			t.Errorf("%s:\n got %v\nwant %s", c.credential, err, c.want)
		}
		if got := text(s.WellFormed()); got != c.wellFormed {
			t.Errorf("%s: form:\n got %s\nwant %s", c.credential, got, c.wellFormed)
		}
	}
}

func TestScopeReadsClaimsWithoutJudging(t *testing.T) {
	r, _ := http.NewRequest("POST", "/", nil)
	if k, reg, svc := Scope(r); k+reg+svc != "" {
		t.Errorf("unsigned: %q %q %q", k, reg, svc)
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKID/x/20261121/us-east-1/kinesis/aws4_request, SignedHeaders=host")
	if k, reg, svc := Scope(r); k != "AKID/x" || reg != "us-east-1" || svc != "kinesis" {
		t.Errorf("header: %q %q %q", k, reg, svc)
	}
	r, _ = http.NewRequest("GET", "/?X-Amz-Credential=AKID%2F20261121%2Feu-west-1%2Fsts%2Faws4_request", nil)
	if k, reg, svc := Scope(r); k != "AKID" || reg != "eu-west-1" || svc != "sts" {
		t.Errorf("query: %q %q %q", k, reg, svc)
	}
}

func TestCanonicalPathIsNormalisedAndEncodedOnceMore(t *testing.T) {
	for raw, want := range map[string]string{
		"/": "/", "": "/", "/a//b/../c%20d/%2F": "/a/c%2520d/%252F", "/x/": "/x/", "/../a": "/a", "/./": "/",
	} {
		if got := canonicalPath(raw); got != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
}

// FuzzParse feeds header and target to everything that reads them before a secret is involved.
func FuzzParse(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=AKID/20261121/us-east-1/kinesis/aws4_request, SignedHeaders=host;x-amz-date, Signature=00", "20261121T083000Z", "/a/../b?x=1&y")
	f.Add("", "", "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2F20261121%2Fr%2Fs%2Faws4_request&X-Amz-Date=20261121T083000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=0&X-Amz-Expires=60")
	f.Add("AWS4-HMAC-SHA256 Credential=////,SignedHeaders=;;,Signature==", "Sat, 21 Nov 2026 08:30:00 GMT", "//%zz?&&=&%")
	f.Fuzz(func(t *testing.T, authorization, date, target string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("POST " + target + " HTTP/1.1\r\nHost: h\r\n\r\n")))
		if err != nil {
			return
		}
		r.Header.Set("Authorization", authorization)
		r.Header.Set("X-Amz-Date", date)
		Scope(r)
		s, err := Parse(r)
		if err != nil {
			if _, ok := errors.AsType[*Fault](err); !ok {
				t.Fatalf("%v is no Fault", err)
			}
			return
		}
		wellFormed, admitted := s.WellFormed(), s.Admit(r, s.at, s.Service)
		if wellFormed != nil && admitted == nil {
			t.Fatalf("%q is admitted, and is not well-formed: %v", authorization, wellFormed)
		}
		if err := s.Verify(r, "secret", nil); err == nil {
			t.Fatalf("%q is a valid signature", authorization)
		}
	})
}
