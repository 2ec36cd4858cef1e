package aws

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
)

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

// BenchmarkPutRecords measures the door alone: 500 records of 100 bytes through routing, decoding, validation and the answer.
func BenchmarkPutRecords(b *testing.B) {
	data := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 100)))
	var body bytes.Buffer
	body.WriteString(`{"StreamName":"bench","Records":[`)
	for i := range 500 {
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"Data":"%s","PartitionKey":"key-%d"}`, data, i)
	}
	body.WriteString(`]}`)
	for name, verify := range map[string]bool{"off": false, "verify": true} {
		b.Run(name, func(b *testing.B) {
			f := testDoor(b, func(c *Config) {
				c.Clock = clock.NewVirtual(fixedNow.Add(time.Minute))
				c.Auth = Auth{Verify: verify, Keys: map[string]Key{"AKID": {Secret: "secret"}}}
			})
			r := request("PutRecords", "", nil)
			r.ContentLength = int64(body.Len())
			if verify {
				sign(b, r, body.Bytes())
			}
			b.ReportAllocs()
			for b.Loop() {
				r.Body = io.NopCloser(bytes.NewReader(body.Bytes()))
				f.ServeHTTP(&discard{header: http.Header{}}, r)
			}
			b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "records/s")
		})
	}
}
