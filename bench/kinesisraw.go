package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// rawClient is one HTTP/1.1 connection that sends prepared requests and skims the answers, so that on a shared machine the generator takes as
// little as possible from the server it measures. Its signatures have the right form and the wrong value: the servers are set not to verify them.
type rawClient struct {
	address string
	conn    net.Conn
	reader  *bufio.Reader
	body    bytes.Buffer
}

func dialRaw(address string) (*rawClient, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &rawClient{address: address, conn: conn, reader: bufio.NewReaderSize(conn, 1<<18)}, nil
}

func (c *rawClient) close() { c.conn.Close() }

// request returns the bytes of a call of a Kinesis operation.
func (c *rawClient) request(operation string, body []byte) []byte {
	now := time.Now().UTC()
	head := "POST / HTTP/1.1\r\nHost: " + c.address + "\r\nContent-Type: application/x-amz-json-1.1\r\nX-Amz-Target: Kinesis_20131202." + operation +
		"\r\nX-Amz-Date: " + now.Format("20060102T150405Z") + "\r\nAuthorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/" + now.Format("20060102") +
		"/us-east-1/kinesis/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=" + strings.Repeat("0", 64) +
		"\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n"
	return append([]byte(head), body...)
}

// do sends a request and returns the answer's body, valid until the next call.
func (c *rawClient) do(request []byte) ([]byte, error) {
	if err := c.conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return nil, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	c.body.Reset()
	if _, err := io.Copy(&c.body, resp.Body); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %.300s", resp.Status, c.body.Bytes())
	}
	return c.body.Bytes(), nil
}

func (c *rawClient) call(operation string, members map[string]any) ([]byte, error) {
	body, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	return c.do(c.request(operation, body))
}

// member returns the text of the last JSON member of that name, without quotes; "" if there is none. A skim for values without escapes.
func member(body []byte, name string) string {
	i := bytes.LastIndex(body, []byte(`"`+name+`"`))
	if i < 0 {
		return ""
	}
	rest := bytes.TrimLeft(body[i+len(name)+2:], " :")
	if end := bytes.IndexAny(rest, ",}"); end >= 0 {
		rest = rest[:end]
	}
	return strings.Trim(string(rest), `" `)
}

// none reports whether a count is absent, null or 0.
func none(body []byte, name string) bool {
	text := member(body, name)
	return text == "" || text == "0" || text == "null"
}

func randomKey() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// randomData returns incompressible data in base64.
func randomData(size int) string {
	b := make([]byte, size)
	rand.Read(b)
	return base64.StdEncoding.EncodeToString(b)
}

func putRecordsBody(stream string, records, size int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"StreamName":%q,"Records":[`, stream)
	for i := range records {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"PartitionKey":%q,"Data":%q}`, randomKey(), randomData(size))
	}
	b.WriteString("]}")
	return b.Bytes()
}

func putRecordBody(stream string, size int) []byte {
	return fmt.Appendf(nil, `{"StreamName":%q,"PartitionKey":%q,"Data":%q}`, stream, randomKey(), randomData(size))
}

// create makes a stream and waits until it takes records.
func (t *kinesisTurn) create(stream string) error {
	c, err := dialRaw(t.server.address)
	if err != nil {
		return err
	}
	defer c.close()
	if _, err := c.call("CreateStream", map[string]any{"StreamName": stream, "ShardCount": kinesisShards}); err != nil {
		return err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 3000 {
		answer, err := c.call("DescribeStreamSummary", map[string]any{"StreamName": stream})
		if err != nil {
			return err
		}
		if member(answer, "StreamStatus") == "ACTIVE" {
			return nil
		}
		<-tick.C
	}
	return fmt.Errorf("stream %s does not become active", stream)
}

// drainShard reads a shard from the trim horizon to the tip and returns how many records there were.
func drainShard(address, stream string, shard int) (records int, err error) {
	c, err := dialRaw(address)
	if err != nil {
		return 0, err
	}
	defer c.close()
	answer, err := c.call("GetShardIterator", map[string]any{
		"StreamName": stream, "ShardId": fmt.Sprintf("shardId-%012d", shard), "ShardIteratorType": "TRIM_HORIZON",
	})
	if err != nil {
		return 0, err
	}
	next := member(answer, "ShardIterator")
	for {
		if answer, err = c.call("GetRecords", map[string]any{"ShardIterator": next, "Limit": 10000}); err != nil {
			return records, err
		}
		n := bytes.Count(answer, []byte(`"PartitionKey"`))
		records += n
		if n == 0 && none(answer, "MillisBehindLatest") {
			return records, nil
		}
		next = member(answer, "NextShardIterator")
	}
}
