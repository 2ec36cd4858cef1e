package aws

import (
	"bufio"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
)

// FuzzRequest feeds what a stranger decides - target, headers, body - to the whole front door. Whatever it is, the answer says that it is the
// stranger's fault; nothing panics, and no memory of the budget is kept.
func FuzzRequest(f *testing.F) {
	f.Add("/", "Kinesis_20131202.CreateStream", "application/x-amz-json-1.1", "", wellFormed, `{"StreamName":"s","Tags":{"a":"b"}}`)
	f.Add("/", "Kinesis_20131202.PutRecords", "application/x-amz-cbor-1.1", "", wellFormed, "\xbf\x67Records\x9f\xbf\x64Data\x42hi\xff\xff\xff")
	f.Add("/", "Kinesis_20131202.PutRecords", "application/x-amz-json-1.1; charset=\"", "gzip", wellFormed, "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\xaa\xae\x05\x04\x00\x00\xff\xff")
	f.Add("/", "Kinesis_20131202.GetRecords", "application/json", "", "", `{`)
	f.Add("/service/GraniteServiceVersion20100801/operation/PutMetricData", "", "application/cbor", "", wellFormed, "\xa0")
	f.Add("/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2F20261121%2Fr%2Fsts%2Faws4_request",
		"", formType, "", "", "Action=GetCallerIdentity&Version=2011-06-15&A.member.1=%zz")
	f.Add("/bucket/key%zz", "..", "", "br", strings.Replace(wellFormed, "kinesis", "s3", 1), "")
	served := testKinesis()
	served.Operations = []Operation{
		Handle("CreateStream", func(context.Context, *Call, *kinesis.CreateStreamInput) (*None, error) { return &None{}, nil }),
		Handle("PutRecords", func(context.Context, *Call, *kinesis.PutRecordsInput) (*kinesis.PutRecordsOutput, error) {
			return &kinesis.PutRecordsOutput{}, nil
		}),
	}
	door := testDoor(f, func(c *Config) {
		c.Log = slog.New(slog.DiscardHandler)
		c.Services = []Service{served, testSTS()}
	})
	f.Fuzz(func(t *testing.T, path, target, contentType, contentEncoding, authorization, body string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("POST " + path + " HTTP/1.1\r\nHost: h\r\n\r\n")))
		if err != nil {
			return
		}
		sent := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Body, r.ContentLength = sent.Body, sent.ContentLength
		for name, value := range map[string]string{
			"X-Amz-Target": target, "Content-Type": contentType, "Content-Encoding": contentEncoding, "Authorization": authorization,
		} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		r.Header.Set("X-Amz-Date", "20261121T083000Z")
		if status, answer, _ := do(door, r); status >= 500 && status != http.StatusNotImplemented {
			t.Errorf("%d %s", status, answer)
		}
		if !door.budget.unused() {
			t.Fatal("memory was not given back")
		}
	})
}
