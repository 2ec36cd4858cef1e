package aws

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
	"github.com/freshet/freshet/internal/protocol/aws/model/sts"
)

// testKinesis is a service with one operation of each sort.
func testKinesis() Service {
	return Service{
		Model: kinesis.Model,
		Ledger: Ledger{
			"CreateStream.StreamName": Enforced, "CreateStream.ShardCount": Enforced, "CreateStream.StreamModeDetails": Enforced,
			"StreamModeDetails.StreamMode": Enforced, "CreateStream.Tags": Enforced,
			"CreateStream.WarmThroughputMiBps": Refused("capacity is not reserved"), "CreateStream.MaxRecordSizeInKiB": Stored("not enforced in this test"),
			"CreateStream.RecordDistributionStrategy": Refused("records are placed by key"),
			"PutRecords.Records":                      Enforced, "PutRecords.StreamName": Enforced, "PutRecords.StreamARN": Enforced,
			"PutRecords.StreamId": Unread("reserved"), "PutRecords.DryRun": Refused("no dry runs"),
			"PutRecordsRequestEntry.Data": Enforced, "PutRecordsRequestEntry.PartitionKey": Enforced, "PutRecordsRequestEntry.ExplicitHashKey": Refused("test"),
		},
		MaxBodyBytes: 1 << 20,
		Operations: []Operation{
			Handle("CreateStream", func(_ context.Context, call *Call, in *kinesis.CreateStreamInput) (*None, error) {
				switch *in.StreamName {
				case "taken":
					return nil, Errorf(kinesis.ErrResourceInUse, "Stream %s under account %s already exists.", *in.StreamName, call.Account)
				case "broken":
					return nil, errors.New("secret detail")
				case "panics":
					panic("boom")
				}
				return &None{}, nil
			}),
			Handle("PutRecords", func(_ context.Context, call *Call, in *kinesis.PutRecordsInput) (*kinesis.PutRecordsOutput, error) {
				out := &kinesis.PutRecordsOutput{FailedRecordCount: new(int32(0))}
				for range in.Records {
					out.Records = append(out.Records, kinesis.PutRecordsResultEntry{SequenceNumber: new("49"), ShardId: new(call.ARN("stream/" + *in.StreamName))})
				}
				return out, nil
			}),
			Handle("GetRecords", func(_ context.Context, _ *Call, in *kinesis.GetRecordsInput) (*kinesis.GetRecordsOutput, error) {
				return &kinesis.GetRecordsOutput{
					Records: []kinesis.Record{{Data: []byte("hi"), SequenceNumber: in.ShardIterator, PartitionKey: new("k"), ApproximateArrivalTimestamp: new(time.UnixMilli(1700000000123))}},
				}, nil
			}),
			HandleStream("SubscribeToShard", subscribe),
		},
	}
}

// subscribe sends two events and then fails or waits, as the shard says.
func subscribe(_ context.Context, _ *Call, in *kinesis.SubscribeToShardInput) (Run[kinesis.SubscribeToShardEventStream], error) {
	if *in.ShardId == "missing" {
		return nil, Errorf(kinesis.ErrResourceNotFound, "no shard")
	}
	return func(ctx context.Context, events *EventWriter[kinesis.SubscribeToShardEventStream]) error {
		for i := range 2 {
			event := &kinesis.SubscribeToShardEvent{MillisBehindLatest: new(int64(i)), ContinuationSequenceNumber: new("1"), Records: []kinesis.Record{}}
			if err := events.Send(&kinesis.SubscribeToShardEventStream{SubscribeToShardEvent: event}); err != nil {
				return err
			}
		}
		switch *in.ShardId {
		case "taken":
			return Errorf(kinesis.ErrResourceInUse, "Another subscription took over.")
		case "broken":
			return errors.New("secret detail")
		case "open":
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}, nil
}

func testSTS() Service {
	return Service{Model: sts.Model, Ledger: Ledger{}, Operations: []Operation{
		Handle("GetCallerIdentity", func(_ context.Context, call *Call, _ *sts.GetCallerIdentityRequest) (*sts.GetCallerIdentityResponse, error) {
			return &sts.GetCallerIdentityResponse{Account: &call.Account, UserId: &call.AccessKey, Arn: new("arn:aws:iam::" + call.Account + ":root")}, nil
		}),
	}}
}

// watcher collects observations.
type watcher struct {
	mu   sync.Mutex
	seen []Observation
}

func (w *watcher) observe(o Observation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, o)
}

func (w *watcher) last(t *testing.T) Observation {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.seen) == 0 {
		t.Fatal("nothing was observed")
	}
	return w.seen[len(w.seen)-1]
}

var fixedNow = time.Date(2026, 11, 21, 8, 30, 0, 0, time.UTC)

func testDoor(t testing.TB, change func(*Config)) *FrontDoor {
	t.Helper()
	config := Config{
		Services: []Service{testKinesis(), testSTS()}, Clock: clock.NewVirtual(fixedNow), Random: rand.NewChaCha8([32]byte{1}),
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	if change != nil {
		change(&config)
	}
	f, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const wellFormed = "AWS4-HMAC-SHA256 Credential=AKID/20261121/eu-west-1/kinesis/aws4_request, SignedHeaders=host;x-amz-date, Signature=00"

// request is a Kinesis call with well-formed credentials, unless changed.
func request(operation, body string, change func(*http.Request)) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "http://localhost:4566/", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", "Kinesis_20131202."+operation)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("Authorization", wellFormed)
	r.Header.Set("X-Amz-Date", "20261121T083000Z")
	if change != nil {
		change(r)
	}
	return r
}

func do(f *FrontDoor, r *http.Request) (int, string, http.Header) {
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w.Code, w.Body.String(), w.Header()
}

func TestRequestsAreCheckedInAWSsOrder(t *testing.T) {
	f := testDoor(t, nil)
	unset := func(names ...string) func(*http.Request) {
		return func(r *http.Request) {
			for _, n := range names {
				r.Header.Del(n)
			}
		}
	}
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	huge := `{"StreamName":"` + strings.Repeat("x", 1<<20) + `"}`
	const missing = `{"__type":"MissingAuthenticationTokenException","message":"Missing Authentication Token"}`
	for _, c := range []struct {
		name    string
		request *http.Request
		status  int
		body    string
	}{
		{"too large", request("CreateStream", huge, unset("Authorization")), 413, ""},
		{"too large, length unknown", request("CreateStream", huge, func(r *http.Request) { r.ContentLength = -1 }), 413, ""},
		{
			"not POST", request("CreateStream", "{}", func(r *http.Request) { r.Method = "PUT" }), 403,
			"<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be authorized</Message>\n</AccessDeniedException>\n",
		},
		{"no body", request("CreateStream", "", unset("Authorization")), 400, `{"__type":"SerializationException"}`},
		{"no body, unknown operation", request("Nope", "", nil), 400, `{"__type":"UnknownOperationException"}`},
		{
			"no content type, no target", request("", "{}", unset("Content-Type", "X-Amz-Target")), 403,
			"<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be authorized</Message>\n</AccessDeniedException>\n",
		},
		{"another version of JSON", request("CreateStream", `{"StreamName":"s"}`, set("Content-Type", "application/x-amz-json-1.0")), 404, "<UnknownOperationException/>\n"},
		{"bad content type", request("CreateStream", "{}", set("Content-Type", "text/plain")), 404, "<UnknownOperationException/>\n"},
		{
			"plain JSON", request("CreateStream", "{}", set("Content-Type", "application/json")), 404,
			`{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}`,
		},
		{"unparsable", request("CreateStream", "{", unset("Authorization")), 400, `{"__type":"SerializationException"}`},
		{"unparsable before unknown", request("Nope", "{", nil), 400, `{"__type":"SerializationException"}`},
		{"unknown operation", request("Nope", "{}", unset("Authorization")), 400, `{"__type":"UnknownOperationException"}`},
		{
			"unknown target", request("", "{}", set("X-Amz-Target", "Other_1.Op")), 400,
			`{"__type":"UnknownOperationException","message":"This endpoint does not serve the API of the target Other_1."}`,
		},
		{"neither service nor operation", request("", "{}", unset("Authorization", "X-Amz-Target")), 400, `{"__type":"UnknownOperationException"}`},
		{
			"two signatures", request("CreateStream", "{}", func(r *http.Request) { r.URL.RawQuery = "X-Amz-Algorithm=x" }), 400,
			`{"__type":"InvalidSignatureException","message":"Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."}`,
		},
		{"no signature", request("CreateStream", `{"StreamName":1}`, unset("Authorization")), 400, missing},
		{"no signature, not served", request("SplitShard", `{}`, unset("Authorization")), 400, missing},
		{
			"incomplete signature", request("CreateStream", "{}", set("Authorization", "AWS4-HMAC-SHA256 Credential=a")), 400,
			`{"__type":"IncompleteSignatureException","message":"Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. Authorization=AWS4-HMAC-SHA256 Credential=a"}`,
		},
		{
			"not served", request("SplitShard", `{}`, nil), 400,
			`{"__type":"UnknownOperationException","message":"The operation SplitShard of Kinesis is not implemented by freshet."}`,
		},
		{
			"wrong type", request("CreateStream", `{"StreamName":1,"ShardCount":0}`, nil), 400,
			`{"Message":"class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String","__type":"SerializationException"}`,
		},
		{
			"constraint of what is not read", request("PutRecords", `{"StreamName":"s","StreamId":"no id","Records":[{"Data":"","PartitionKey":"k"}]}`, nil), 200,
			`{"FailedRecordCount":0,"Records":[{"SequenceNumber":"49","ShardId":"arn:aws:kinesis:eu-west-1:000000000000:stream/s"}]}`,
		},
		{
			"constraint", request("CreateStream", `{"ShardCount":1}`, nil), 400,
			`{"__type":"ValidationException","message":"1 validation error detected: Value null at 'streamName' failed to satisfy constraint: Member must not be null"}`,
		},
		{
			"refused", request("CreateStream", `{"StreamName":"s","WarmThroughputMiBps":5}`, nil), 400,
			`{"__type":"InvalidArgumentException","message":"WarmThroughputMiBps is not supported by freshet: capacity is not reserved."}`,
		},
		{
			"refused inside", request("PutRecords", `{"StreamName":"s","Records":[{"Data":"","PartitionKey":"k"},{"Data":"","PartitionKey":"k","ExplicitHashKey":"1"}]}`, nil), 400,
			`{"__type":"InvalidArgumentException","message":"Records.ExplicitHashKey is not supported by freshet: test."}`,
		},
		{
			"false is absent", request("PutRecords", `{"StreamName":"s","DryRun":false,"Records":[{"Data":"","PartitionKey":"k"}]}`, nil), 200,
			`{"FailedRecordCount":0,"Records":[{"SequenceNumber":"49","ShardId":"arn:aws:kinesis:eu-west-1:000000000000:stream/s"}]}`,
		},
		{
			"declared error", request("CreateStream", `{"StreamName":"taken"}`, nil), 400,
			`{"__type":"ResourceInUseException","message":"Stream taken under account 000000000000 already exists."}`,
		},
		{"no output", request("CreateStream", `{"StreamName":"s"}`, nil), 200, ""},
		{"content type with parameters", request("CreateStream", `{"StreamName":"s"}`, set("Content-Type", "Application/X-Amz-Json-1.1; charset=utf-8")), 200, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body, header := do(f, c.request)
			if status != c.status || body != c.body {
				t.Errorf("\n got %d %s\nwant %d %s", status, body, c.status, c.body)
			}
			if len(header.Get("X-Amzn-Requestid")) != 36 || len(header.Get("X-Amz-Id-2")) != 96 {
				t.Errorf("ids %q %q", header.Get("X-Amzn-Requestid"), header.Get("X-Amz-Id-2"))
			}
		})
	}
	if !f.budget.unused() {
		t.Error("memory was not given back")
	}
}

func TestOwnFaultsStayInTheLog(t *testing.T) {
	var log bytes.Buffer
	w := new(watcher)
	f := testDoor(t, func(c *Config) {
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
		c.Observe = w.observe
	})
	for _, name := range []string{"broken", "panics"} {
		status, body, header := do(f, request("CreateStream", `{"StreamName":"`+name+`"}`, nil))
		id := header.Get("X-Amzn-Requestid")
		if status != 500 || !strings.Contains(body, `"__type":"InternalFailure"`) || !strings.Contains(body, id) || strings.Contains(body, "secret") {
			t.Errorf("%s: %d %s", name, status, body)
		}
		if !strings.Contains(log.String(), id) {
			t.Errorf("%s: the log has no %s: %s", name, id, log.String())
		}
		if o := w.last(t); o.Status != 500 || o.ErrorCode != "InternalFailure" || o.Service != "kinesis" || o.Operation != "CreateStream" {
			t.Errorf("%s: observed %+v", name, o)
		}
	}
}

func TestAnswersMirrorCBOR(t *testing.T) {
	w := new(watcher)
	f := testDoor(t, func(c *Config) { c.Observe = w.observe })
	cbor := func(r *http.Request) { r.Header.Set("Content-Type", "application/x-amz-cbor-1.1") }
	status, body, header := do(f, request("GetRecords", "\xbf\x6dShardIterator\x61i\xff", cbor))
	want := "\xbf\x67Records\x81\xbf\x6eSequenceNumber\x61i\x78\x1bApproximateArrivalTimestamp\xc1\x1b\x00\x00\x01\x8b\xcf\xe5\x68\x7b\x64Data\x42hi\x6cPartitionKey\x61k\xff\xff"
	if status != 200 || body != want || header.Get("Content-Type") != "application/x-amz-cbor-1.1" {
		t.Errorf("%d %q, want %q", status, body, want)
	}
	if o := w.last(t); o.Encoding != "cbor-1.1" || o.BytesIn != 18 || o.BytesOut != int64(len(want)) || o.Region != "eu-west-1" {
		t.Errorf("observed %+v", o)
	}
	if status, body, _ := do(f, request("CreateStream", "\xa1\x6aStreamName\x65taken", cbor)); status != 400 || !strings.Contains(body, "\x66__type\x76ResourceInUseException") {
		t.Errorf("error: %d %q", status, body)
	}
	if status, body, _ := do(f, request("CreateStream", "\xa1", cbor)); status != 400 || body != "\xa1\x66__type\x76SerializationException" {
		t.Errorf("syntax: %d %q", status, body)
	}
}

func TestPagesOfOtherOriginsMayCall(t *testing.T) {
	f := testDoor(t, nil)
	r := httptest.NewRequest(http.MethodOptions, "/", nil)
	r.Header.Set("Origin", "http://page")
	r.Header.Set("Access-Control-Request-Headers", "x-amz-target,authorization")
	r.Header.Set("Access-Control-Request-Method", "POST")
	status, body, h := do(f, r)
	if status != 200 || body != "" || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Headers") != "x-amz-target,authorization" ||
		h.Get("Access-Control-Allow-Methods") != "POST" || h.Get("Access-Control-Max-Age") != "172800" || h.Get("X-Amz-Id-2") != "" {
		t.Errorf("%d %q %v", status, body, h)
	}
	_, _, h = do(f, request("CreateStream", `{"StreamName":"s"}`, func(r *http.Request) { r.Header.Set("Origin", "http://page") }))
	if !strings.Contains(h.Get("Access-Control-Expose-Headers"), "x-amzn-RequestId") {
		t.Errorf("%v", h)
	}
}

func TestPagesNeverShadowCalls(t *testing.T) {
	pages := http.NewServeMux()
	pages.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "page "+r.URL.Path) })
	f := testDoor(t, func(c *Config) { c.Pages = pages })
	if status, body, _ := do(f, httptest.NewRequest("GET", "/metrics", nil)); status != 200 || body != "page /metrics" {
		t.Errorf("page: %d %q", status, body)
	}
	if status, body, _ := do(f, request("CreateStream", `{"StreamName":"s"}`, nil)); status != 200 || body != "" {
		t.Errorf("call: %d %q", status, body)
	}
}

func TestQueryServicesAnswerXML(t *testing.T) {
	f := testDoor(t, nil)
	call := func(method, target, body string, change func(*http.Request)) *http.Request {
		r := httptest.NewRequest(method, target, strings.NewReader(body))
		if body != "" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		}
		r.Header.Set("Authorization", strings.Replace(wellFormed, "kinesis", "sts", 1))
		r.Header.Set("X-Amz-Date", "20261121T083000Z")
		if change != nil {
			change(r)
		}
		return r
	}
	identity := "<GetCallerIdentityResult><UserId>AKID</UserId><Account>000000000000</Account><Arn>arn:aws:iam::000000000000:root</Arn></GetCallerIdentityResult>"
	for _, c := range []struct {
		name    string
		request *http.Request
		status  int
		want    string
	}{
		{"form", call("POST", "/", "Action=GetCallerIdentity&Version=2011-06-15", nil), 200, identity},
		{"target", call("GET", "/?Action=GetCallerIdentity&Version=2011-06-15", "", nil), 200, identity},
		{
			"unsigned", call("POST", "/", "Action=GetCallerIdentity&Version=2011-06-15", func(r *http.Request) { r.Header.Del("Authorization") }), 403,
			"<Type>Sender</Type><Code>MissingAuthenticationToken</Code><Message>Request is missing Authentication Token</Message>",
		},
		{
			"unknown", call("POST", "/", "Action=Nope&Version=2011-06-15", nil), 400,
			"<Code>InvalidAction</Code><Message>Could not find operation Nope for version 2011-06-15</Message>",
		},
		{
			"another version", call("POST", "/", "Action=GetCallerIdentity&Version=2000-01-01", nil), 400,
			"<Code>InvalidAction</Code><Message>Could not find operation GetCallerIdentity for version 2000-01-01</Message>",
		},
		{"not served", call("POST", "/", "Action=AssumeRole&Version=2011-06-15", nil), 400, "The operation AssumeRole of STS is not implemented by freshet."},
	} {
		status, body, header := do(f, c.request)
		if status != c.status || !strings.Contains(body, c.want) || !strings.HasPrefix(header.Get("Content-Type"), "text/xml") ||
			!strings.Contains(body, `xmlns="https://sts.amazonaws.com/doc/2011-06-15/"`) || !strings.Contains(body, "<RequestId>"+header.Get("X-Amzn-Requestid")) {
			t.Errorf("%s: %d %s", c.name, status, body)
		}
	}
}

func TestForeignServicesAreRefusedByName(t *testing.T) {
	f := testDoor(t, nil)
	signedFor := func(name, method, target, contentType, body string) *http.Request {
		r := httptest.NewRequest(method, target, strings.NewReader(body))
		r.Header.Set("Authorization", strings.Replace(wellFormed, "kinesis", name, 1))
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		return r
	}
	cbor := signedFor("monitoring", "POST", "/service/GraniteServiceVersion20100801/operation/ListMetrics", "application/cbor", "\xa0")
	cbor.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
	for _, c := range []struct {
		request *http.Request
		status  int
		want    string
	}{
		{signedFor("s3", "GET", "/bucket/key", "", ""), 501, "<Error><Code>NotImplemented</Code><Message>This endpoint does not serve the API of s3.</Message>"},
		{signedFor("lambda", "GET", "/2015-03-31/functions", "", ""), 400, `"message":"This endpoint does not serve the API of lambda."`},
		{signedFor("iam", "POST", "/", formType, "Action=ListUsers&Version=2010-05-08"), 400, "<Message>This endpoint does not serve the API of iam.</Message>"},
		{cbor, 400, "This endpoint does not serve the API of the target GraniteServiceVersion20100801."},
	} {
		status, body, header := do(f, c.request)
		if status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%d %s, want %s", status, body, c.want)
		}
		if c.request == cbor && header.Get("Smithy-Protocol") != "rpc-v2-cbor" {
			t.Errorf("rpc: %v", header)
		}
	}
}

func TestMemoryForRequestsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := testDoor(t, func(c *Config) {
			c.MaxInFlightBytes = 1 << 20
			c.Clock = clock.Real() // the bubble's
		})
		held, hog := share{budget: f.budget}, share{budget: f.budget}
		if err := errors.Join(held.reserveAnswer(t.Context(), f.budget.small), hog.grow(t.Context(), f.budget.limit)); err != nil {
			t.Fatal(err)
		}
		defer hog.release() // whose memory no small request needs
		type result struct {
			status int
			body   string
		}
		answered := make(chan result, 1)
		call := func() {
			status, body, _ := do(f, request("CreateStream", `{"StreamName":"s"}`, nil))
			answered <- result{status, body}
		}
		started := time.Now()
		go call()
		if got := <-answered; got.status != 503 || !strings.Contains(got.body, "ServiceUnavailable") || time.Since(started) != DefaultQueueTimeout {
			t.Errorf("while memory is used up: %+v after %v", got, time.Since(started))
		}
		go call()
		synctest.Wait()
		held.release()
		if got := <-answered; got.status != 200 {
			t.Errorf("after memory was given back: %+v", got)
		}
	})
}

func TestLargeAnswersWaitForMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := testDoor(t, func(c *Config) {
			c.Clock, c.MaxInFlightBytes = clock.Real(), 4<<20
			large := Handle("GetRecords", func(context.Context, *Call, *kinesis.GetRecordsInput) (*kinesis.GetRecordsOutput, error) {
				return &kinesis.GetRecordsOutput{Records: []kinesis.Record{{Data: make([]byte, 1<<20)}}}, nil
			})
			c.Services = []Service{{Model: kinesis.Model, Operations: []Operation{large}}}
		})
		held := share{budget: f.budget}
		if err := held.grow(t.Context(), f.budget.limit/2); err != nil {
			t.Fatal(err)
		}
		answered := make(chan int, 1)
		call := func() {
			status, _, _ := do(f, request("GetRecords", `{"ShardIterator":"i"}`, nil))
			answered <- status
		}
		go call()
		if status := <-answered; status != 503 {
			t.Errorf("while memory is used up: %d", status)
		}
		go call()
		synctest.Wait()
		held.release()
		if status := <-answered; status != 200 {
			t.Errorf("after memory was given back: %d", status)
		}
	})
}

func TestServicesAreCheckedAgainstTheirModels(t *testing.T) {
	wrongInput := Handle("PutRecords", func(context.Context, *Call, *kinesis.PutRecordInput) (*kinesis.PutRecordsOutput, error) {
		return nil, nil
	})
	wrongStream := Handle("SubscribeToShard", func(context.Context, *Call, *kinesis.SubscribeToShardInput) (*kinesis.SubscribeToShardOutput, error) {
		return nil, nil
	})
	unknown := Handle("Nope", func(context.Context, *Call, *None) (*None, error) { return nil, nil })
	good := testKinesis().Operations[0]
	for want, ops := range map[string][]Operation{
		"its input is": {wrongInput}, "use HandleStream": {wrongStream}, "is not in its model": {unknown}, "listed twice": {good, good},
	} {
		_, err := New(Config{Clock: clock.Real(), Random: rand.NewChaCha8([32]byte{}), Services: []Service{{Model: kinesis.Model, Operations: ops}}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestLedgerCheckFindsWhatIsMissing(t *testing.T) {
	s := testKinesis()
	s.Operations = s.Operations[:2]
	if wrong := s.Ledger.Check(s); len(wrong) > 0 {
		t.Errorf("complete ledger: %v", wrong)
	}
	delete(s.Ledger, "PutRecordsRequestEntry.Data")
	s.Ledger["CreateStream.Nope"] = Enforced
	s.Ledger["CreateStream.Tags"] = Stored("")
	want := []string{"CreateStream.Nope is no input member of a served operation", "CreateStream.Tags has no reason", "PutRecordsRequestEntry.Data has no entry"}
	if wrong := s.Ledger.Check(s); !slices.Equal(wrong, want) {
		t.Errorf("got %v, want %v", wrong, want)
	}
}

// sign signs r as the Go SDK does.
func sign(t testing.TB, r *http.Request, body []byte) {
	t.Helper()
	signFor(t, r, body, "kinesis")
}

func signFor(t testing.TB, r *http.Request, body []byte, service string) {
	t.Helper()
	hash := sha256.Sum256(body)
	for _, name := range []string{"Authorization", "X-Amz-Date"} {
		r.Header.Del(name)
	}
	c := sdk.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}
	if err := v4.NewSigner().SignHTTP(context.Background(), c, r, hex.EncodeToString(hash[:]), service, "eu-west-1", fixedNow); err != nil {
		t.Fatal(err)
	}
}

func TestCompressedBodiesAreSignedAsSent(t *testing.T) {
	f := testDoor(t, func(c *Config) { c.Auth = Auth{Verify: true, Keys: map[string]Key{"AKID": {Secret: "secret"}}} })
	zip := func(content string) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = io.WriteString(z, content)
		_ = z.Close()
		return b.Bytes()
	}
	call := func(body []byte) (int, string) {
		r := request("CreateStream", string(body), func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") })
		sign(t, r, body)
		status, answer, _ := do(f, r)
		return status, answer
	}
	if status, answer := call(zip(`{"StreamName":"s"}`)); status != 200 {
		t.Errorf("%d %s", status, answer)
	}
	if status, answer := call(zip(`{"StreamName":"` + strings.Repeat("x", 2<<20) + `"}`)); status != 413 {
		t.Errorf("a body that grows beyond the bound: %d %.100s", status, answer)
	}
	if status, answer := call([]byte("no gzip")); status != 400 || !strings.Contains(answer, "SerializationException") {
		t.Errorf("not compressed: %d %s", status, answer)
	}
}

// A signature is good for the service it was made for, not for another that a changed target names. That is told before anybody asks whose key it is.
func TestSignaturesForAnotherServiceAreRefused(t *testing.T) {
	const body = `{"StreamName":"s"}`
	for _, key := range []string{"AKID", "OTHER"} {
		f := testDoor(t, func(c *Config) { c.Auth = Auth{Verify: true, Keys: map[string]Key{key: {Secret: "secret"}}} })
		r := request("CreateStream", body, nil)
		signFor(t, r, []byte(body), "dynamodb")
		status, answer, _ := do(f, r)
		if status != 400 || answer != `{"__type":"InvalidSignatureException","message":"Credential should be scoped to correct service: 'kinesis'."}` {
			t.Errorf("%s is known: %d %s", key, status, answer)
		}
		r.Header.Set("X-Amz-Date", "20261121T080000Z")
		r.Body = io.NopCloser(strings.NewReader(body))
		if status, answer, _ := do(f, r); status != 400 || !strings.Contains(answer, "Signature expired") {
			t.Errorf("%s is known, an old request: %d %s", key, status, answer)
		}
	}
	f := testDoor(t, func(c *Config) { c.Auth = Auth{Verify: true, Keys: map[string]Key{"AKID": {Secret: "secret"}}} })
	r := request("CreateStream", body, nil)
	sign(t, r, []byte(body))
	if status, answer, _ := do(f, r); status != 200 {
		t.Errorf("for this one: %d %s", status, answer)
	}
}

// Whoever is answered before a handler sees the request is in the log; whom a handler answers is not.
func TestRequestsThatAreTurnedAwayAreLogged(t *testing.T) {
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	long := strings.Repeat("x", 10_000)
	for _, c := range []struct {
		request *http.Request
		want    string // of the line, "" for none
	}{
		{request("CreateStream", "{", nil), "service=kinesis operation=CreateStream * code=SerializationException status=400"},
		{request("CreateStream", `{"StreamName":1}`, nil), "service=kinesis operation=CreateStream * code=SerializationException status=400"},
		{request("CreateStream", "\xff", set("Content-Type", "application/x-amz-cbor-1.1")), "service=kinesis operation=CreateStream * code=SerializationException status=400"},
		{request("CreateStream", "{}", set("Content-Encoding", "br")), "service=kinesis operation=CreateStream * code=SerializationException status=400"},
		{request("CreateStream", "{}", set("Content-Type", "text/plain")), "service=kinesis operation=CreateStream * code=UnknownOperationException status=404"},
		{request("CreateStream", "{}", set("Content-Type", "application/json")), "service=kinesis operation=CreateStream * code=UnknownOperationException status=404"},
		{request("CreateStream", "{}", set("Authorization", "x")), "service=kinesis operation=CreateStream * code=IncompleteSignatureException status=400"},
		{request("SplitShard", "{}", nil), "service=kinesis operation=SplitShard * code=UnknownOperationException status=400"},
		{request(long, "{}", nil), "service=kinesis operation=" + long[:maxLoggedName] + " * code=UnknownOperationException status=400"},
		{request("", "{}", set("X-Amz-Target", "Other_1.Op")), `service="" operation=Op * code=UnknownOperationException status=400`},
		{request("CreateStream", `{}`, nil), ""},
		{request("CreateStream", `{"StreamName":"taken"}`, nil), ""},
		{request("CreateStream", `{"StreamName":"s"}`, nil), ""},
	} {
		var logged strings.Builder
		f := testDoor(t, func(config *Config) { config.Log = slog.New(slog.NewTextHandler(&logged, nil)) })
		do(f, c.request)
		head, tail, _ := strings.Cut(c.want, "*")
		line, _, _ := strings.Cut(logged.String(), "\n")
		if c.want == "" && line != "" || c.want != "" && (strings.Count(logged.String(), "\n") != 1 || !strings.Contains(line, "level=INFO") || !strings.Contains(line, "peer=192.0.2.1:1234") ||
			!strings.Contains(line, head) || !strings.HasSuffix(line, strings.TrimSpace(tail))) {
			t.Errorf("logged %s, want %s", logged.String(), c.want)
		}
	}
}

func TestUnknownKeysAreRefused(t *testing.T) {
	f := testDoor(t, func(c *Config) { c.Auth = Auth{Verify: true, Keys: map[string]Key{"OTHER": {Secret: "secret"}}} })
	r := request("CreateStream", `{"StreamName":"s"}`, nil)
	sign(t, r, []byte(`{"StreamName":"s"}`))
	if status, body, _ := do(f, r); status != 400 || body != `{"__type":"UnrecognizedClientException","message":"The security token included in the request is invalid."}` {
		t.Errorf("%d %s", status, body)
	}
	// An old request is told so first, as AWS does: who signed it is not looked up any more.
	r.Header.Set("X-Amz-Date", "20261121T080000Z")
	want := `{"__type":"InvalidSignatureException","message":"Signature expired: 20261121T080000Z is now earlier than 20261121T081500Z (20261121T083000Z - 15 min.)"}`
	r.Body = io.NopCloser(strings.NewReader(`{"StreamName":"s"}`))
	if status, body, _ := do(f, r); status != 400 || body != want {
		t.Errorf("an old request: %d %s", status, body)
	}
}
