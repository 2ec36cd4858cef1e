package aws

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	client "github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	"go.uber.org/goleak"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
	"github.com/freshet/freshet/internal/tlsca"
)

// running is a front door on two ports of this machine.
type running struct {
	plain, secure string
	roots         *x509.CertPool
	watcher       *watcher
	stop          context.CancelFunc
	done          chan error
}

func start(t *testing.T, change func(*Config)) *running {
	t.Helper()
	// After everything else: nothing of the server may be left.
	t.Cleanup(func() { goleak.VerifyNone(t) })
	s := &running{watcher: new(watcher), roots: x509.NewCertPool(), done: make(chan error, 1)}
	f := testDoor(t, func(c *Config) {
		c.Clock, c.Observe = clock.Real(), s.watcher.observe
		if change != nil {
			change(c)
		}
	})
	authority, err := tlsca.Open(t.TempDir(), nil, clock.Real(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s.roots.AppendCertsFromPEM(authority.PEM())
	plain, secure := listen(t), listen(t)
	s.plain, s.secure = plain.Addr().String(), secure.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	go func() { s.done <- f.Serve(ctx, plain, secure, authority.TLS()) }()
	t.Cleanup(func() {
		cancel()
		if err := <-s.done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return s
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// httpClient speaks exactly the given protocols.
func (s *running) httpClient(t *testing.T, set func(*http.Protocols)) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: &tls.Config{RootCAs: s.roots}}
	set(transport.Protocols)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (s *running) sdk(t *testing.T, secret string, c *http.Client) *client.Client {
	t.Helper()
	return client.New(client.Options{
		BaseEndpoint: sdk.String("http://" + s.plain), Region: "eu-west-1", HTTPClient: c,
		Credentials: credentials.NewStaticCredentialsProvider("AKID", secret, ""), RetryMaxAttempts: 1,
	})
}

func http1(p *http.Protocols) { p.SetHTTP1(true) }

func TestOnePortSpeaksEveryHTTP(t *testing.T) {
	s := start(t, nil)
	for _, c := range []struct {
		name, url, proto string
		set              func(*http.Protocols)
	}{
		{"HTTP/1.1", "http://" + s.plain, "HTTP/1.1", http1},
		{"prior knowledge", "http://" + s.plain, "HTTP/2.0", func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }},
		{"TLS, HTTP/1.1", "https://" + s.secure, "HTTP/1.1", http1},
		{"TLS, ALPN", "https://" + s.secure, "HTTP/2.0", func(p *http.Protocols) { p.SetHTTP1(true); p.SetHTTP2(true) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request("PutRecords", `{"StreamName":"s","Records":[{"Data":"","PartitionKey":"k"}]}`, nil)
			out, err := http.NewRequest(r.Method, c.url, r.Body)
			if err != nil {
				t.Fatal(err)
			}
			out.Header = r.Header
			answer, err := s.httpClient(t, c.set).Do(out)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			if err != nil || answer.StatusCode != 200 || answer.Proto != c.proto || !strings.Contains(string(body), `"FailedRecordCount":0`) {
				t.Errorf("%s %d %s, %v", answer.Proto, answer.StatusCode, body, err)
			}
		})
	}
}

func TestTheGoSDKIsVerified(t *testing.T) {
	s := start(t, func(c *Config) {
		c.Auth = Auth{Verify: true, Keys: map[string]Key{"AKID": {Secret: "right", Account: "111122223333"}}}
	})
	c := s.httpClient(t, http1)
	in := &client.PutRecordsInput{StreamName: sdk.String("s"), Records: []types.PutRecordsRequestEntry{{Data: []byte("x"), PartitionKey: sdk.String("k")}}}
	out, err := s.sdk(t, "right", c).PutRecords(t.Context(), in)
	if err != nil || *out.Records[0].ShardId != "arn:aws:kinesis:eu-west-1:111122223333:stream/s" {
		t.Errorf("right secret: %+v, %v", out, err)
	}
	_, err = s.sdk(t, "wrong", c).PutRecords(t.Context(), in)
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || api.ErrorCode() != "InvalidSignatureException" || !strings.Contains(api.ErrorMessage(), "x-amz-target:Kinesis_20131202.PutRecords") {
		t.Errorf("wrong secret: %v", err)
	}
	_, err = s.sdk(t, "right", c).CreateStream(t.Context(), &client.CreateStreamInput{StreamName: sdk.String("taken")})
	if _, ok := errors.AsType[*types.ResourceInUseException](err); !ok {
		t.Errorf("modelled error: %v", err)
	}
	_, err = s.sdk(t, "right", c).SplitShard(t.Context(), &client.SplitShardInput{NewStartingHashKey: sdk.String("1"), ShardToSplit: sdk.String("s")})
	if err == nil || !strings.Contains(err.Error(), "UnknownOperationException: The operation SplitShard of Kinesis is not implemented by freshet.") {
		t.Errorf("not served: %v", err)
	}
	if o := s.watcher.last(t); o.Account != "111122223333" || o.AccessKey != "AKID" || !strings.Contains(o.UserAgent, "aws-sdk-go-v2") {
		t.Errorf("observed %+v", o)
	}
}

func subscription(t *testing.T, c *client.Client, shard string) (*client.SubscribeToShardEventStream, error) {
	t.Helper()
	out, err := c.SubscribeToShard(t.Context(), &client.SubscribeToShardInput{
		ConsumerARN: sdk.String("arn:aws:kinesis:eu-west-1:000000000000:stream/s/consumer/c:1"), ShardId: sdk.String(shard),
		StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeLatest},
	})
	if err != nil {
		return nil, err
	}
	return out.GetStream(), nil
}

func TestEventStreamsEndAsTheirHandlerSays(t *testing.T) {
	s := start(t, nil)
	c := s.sdk(t, "x", s.httpClient(t, http1))
	if _, err := subscription(t, c, "missing"); err == nil || !strings.Contains(err.Error(), "ResourceNotFoundException: no shard") {
		t.Errorf("refused: %v", err)
	}
	for _, shard := range []string{"ends", "taken", "broken"} {
		stream, err := subscription(t, c, shard)
		if err != nil {
			t.Fatal(err)
		}
		events := 0
		for range stream.Events() {
			events++
		}
		_, taken := errors.AsType[*types.ResourceInUseException](stream.Err())
		_, broken := errors.AsType[*types.InternalFailureException](stream.Err())
		if events != 2 || taken != (shard == "taken") || broken != (shard == "broken") || (stream.Err() == nil) != (shard == "ends") {
			t.Errorf("%s: %d events, %v", shard, events, stream.Err())
		}
		stream.Close()
	}
}

func TestStoppingEndsStreamsAtOnce(t *testing.T) {
	s := start(t, nil)
	stream, err := subscription(t, s.sdk(t, "x", s.httpClient(t, http1)), "open")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	<-stream.Events()
	<-stream.Events()
	s.stop()
	if _, more := <-stream.Events(); more || stream.Err() != nil {
		t.Errorf("after stop: more %v, error %v", more, stream.Err())
	}
}

func TestServeWaitsForHandlersThatWereCutOff(t *testing.T) {
	entered, left := make(chan struct{}), make(chan struct{})
	s := start(t, func(c *Config) {
		c.DrainTimeout = 10 * time.Millisecond
		c.Services = []Service{{Model: kinesis.Model, Operations: []Operation{
			Handle("CreateStream", func(ctx context.Context, _ *Call, _ *kinesis.CreateStreamInput) (*None, error) {
				close(entered)
				<-ctx.Done()
				for range 1000 {
					runtime.Gosched() // give Serve every chance to return first
				}
				close(left)
				return nil, ctx.Err()
			}),
		}}}
	})
	go func() {
		_, _ = s.sdk(t, "x", s.httpClient(t, http1)).CreateStream(context.Background(), &client.CreateStreamInput{StreamName: sdk.String("s")})
	}()
	<-entered
	s.stop()
	err := <-s.done
	select {
	case <-left:
	default:
		t.Error("Serve returned while a handler ran")
	}
	s.done <- err
}

func TestClientsThatLeaveEndTheirStreams(t *testing.T) {
	s := start(t, nil)
	stream, err := subscription(t, s.sdk(t, "x", s.httpClient(t, http1)), "open")
	if err != nil {
		t.Fatal(err)
	}
	<-stream.Events()
	stream.Close()
	// The cleanup fails if the handler still waits: DrainTimeout would pass and a goroutine be left.
}

func TestClientsThatDoNotReadAreCutOff(t *testing.T) {
	ended := make(chan error, 1)
	s := start(t, func(c *Config) {
		c.WriteTimeout = 50 * time.Millisecond
		endless := HandleStream("SubscribeToShard", func(context.Context, *Call, *kinesis.SubscribeToShardInput) (Run[kinesis.SubscribeToShardEventStream], error) {
			return func(_ context.Context, events *EventWriter[kinesis.SubscribeToShardEventStream]) error {
				event := &kinesis.SubscribeToShardEvent{Records: []kinesis.Record{{Data: make([]byte, 1<<20)}}}
				for {
					if err := events.Send(&kinesis.SubscribeToShardEventStream{SubscribeToShardEvent: event}); err != nil {
						ended <- err
						return err
					}
				}
			}, nil
		})
		c.Services = []Service{{Model: kinesis.Model, Ledger: Ledger{}, Operations: []Operation{endless}}}
	})
	conn, err := net.Dial("tcp", s.plain)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := `{"ConsumerARN":"arn:aws:kinesis:eu-west-1:000000000000:stream/s/consumer/c:1","ShardId":"a","StartingPosition":{"Type":"LATEST"}}`
	if err := request("SubscribeToShard", body, nil).Write(conn); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("ended by %v", err)
	}
}

func TestSlowAndBrokenRequestsAreCutOff(t *testing.T) {
	log := new(logBuffer)
	s := start(t, func(c *Config) {
		c.BodyTimeout = 50 * time.Millisecond
		c.Log = slog.New(slog.NewTextHandler(log, nil))
	})
	head := "POST / HTTP/1.1\r\nHost: h\r\nX-Amz-Target: Kinesis_20131202.CreateStream\r\nContent-Type: application/x-amz-json-1.1\r\n"
	for name, wire := range map[string]string{
		"half a header": "POST / HTTP/1.1\r\nHost",
		"half a body":   head + "Content-Length: 100\r\n\r\n{",
		"huge length":   head + "Content-Length: 999999999999\r\n\r\n",
		"huge header":   "POST / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 2*maxHeaderBytes) + "\r\n\r\n",
		"random bytes":  "\x00\x16\x03\x01\xff\r\n\r\n",
		"half a chunk":  head + "Transfer-Encoding: chunked\r\n\r\nff\r\n{",
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", s.plain)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, wire); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(conn) // until the server closes
			if err != nil && !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
				t.Fatal(err)
			}
			if name == "huge length" && !bytes.HasPrefix(answer, []byte("HTTP/1.1 413 ")) || strings.Contains(string(answer), " 200 ") {
				t.Errorf("%.100s", answer)
			}
			// The client may see the end before the server logs it.
			clocktest.Eventually(t, "a line of the log names the peer", func() bool { return log.contains("peer=" + conn.LocalAddr().String()) })
		})
	}
}

// A client that begins to read when it has sent everything gets the answer to what was refused before it was sent.
func TestRefusalsReachClientsThatStillSend(t *testing.T) {
	s := start(t, nil)
	conn, err := net.Dial("tcp", s.plain)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const size = 20 << 20
	head := fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nX-Amz-Target: Kinesis_20131202.PutRecords\r\nContent-Length: %d\r\n\r\n", size)
	if _, err := conn.Write(append([]byte(head), make([]byte, size)...)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 413 ")) {
		t.Errorf("%.100s, %v", answer, err)
	}
}

// Who announces a large body and sends none of it, or little, takes no memory from others.
func TestSilentUploadsHoldNobodyUp(t *testing.T) {
	s := start(t, func(c *Config) { c.MaxInFlightBytes, c.QueueTimeout = 1<<20, time.Millisecond })
	head := "POST / HTTP/1.1\r\nHost: h\r\nX-Amz-Target: Kinesis_20131202.PutRecords\r\nContent-Length: 1000000\r\n\r\n"
	for i := range 200 {
		conn, err := net.Dial("tcp", s.plain)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, head+strings.Repeat("{", i%8)); err != nil {
			t.Fatal(err)
		}
	}
	c := s.sdk(t, "secret", s.httpClient(t, http1))
	if _, err := c.CreateStream(t.Context(), &client.CreateStreamInput{StreamName: sdk.String("s")}); err != nil {
		t.Error(err)
	}
}

// logBuffer is a log that may be read while it is written.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) contains(s string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Contains(b.text.Bytes(), []byte(s))
}

func TestConnectionsOutliveRequests(t *testing.T) {
	s := start(t, func(c *Config) { c.BodyTimeout, c.WriteTimeout = 100*time.Millisecond, 100*time.Millisecond })
	conn, err := net.Dial("tcp", s.plain)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for range 3 {
		r := request("CreateStream", `{"StreamName":"s"}`, nil)
		if err := r.Write(conn); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(reader, r)
		if err != nil || answer.StatusCode != 200 {
			t.Fatal(answer, err)
		}
	}
}
