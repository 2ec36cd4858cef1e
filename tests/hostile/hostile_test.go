package hostile

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/internal/protocol/kafka/wire"
	"github.com/freshet/freshet/tests/process"
)

var seed = flag.Uint64("seed", 0, "seed of the random attacks; 0 = a new one")

// TestHostileInput runs the attacks one after the other against one node, so that what one leaves behind meets the next.
func TestHostileInput(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("-seed %d", *seed)
	node := startNode(t)
	random := rand.New(rand.NewPCG(*seed, 0))
	for _, a := range []struct {
		name string
		run  func(*testing.T, *process.Node, *rand.Rand)
	}{
		{"random bytes", randomBytes},
		{"truncated frames", truncatedFrames},
		{"impossible lengths", impossibleLengths},
		{"unknown keys and versions", unknownVersions},
		{"frames of 100 MiB", hugeFrames},
		{"a frame that trickles", trickledFrame},
		{"a body of 100 MiB", hugeBody},
		{"malformed AWS requests", malformedRequests},
		{"half-open connections", halfOpen},
		{"uploads that do not come", silentUploads},
		{"readers that do not read", slowReaders},
		{"readers of AWS that do not read", slowAWSReaders},
		{"decompression bombs", decompressionBombs},
		{"a compressed body of 500 MiB", compressedBody},
		{"10,000 connections", tenThousandConnections},
	} {
		t.Run(a.name, func(t *testing.T) {
			bystander, err := StartBystander(t.Context(), node, "bystander-"+strings.Map(letters, a.name))
			if err != nil {
				t.Fatalf("before the attack: %v", err)
			}
			a.run(t, node, random)
			settle(t, bystander)
			rounds, worst, err := bystander.Stop()
			if err != nil {
				t.Errorf("the bystander noticed: %v", err)
			}
			usage, err := node.Process().Usage()
			if err != nil {
				t.Fatalf("the node is gone: %v\n%s", err, node.Process().Tail(4000))
			}
			t.Logf("bystander: %d exchanges, longest %s; node: %d MiB resident, %d at most", rounds, worst.Round(time.Millisecond),
				usage.Resident>>20, usage.Peak>>20)
			if usage.Resident > maxResident {
				t.Errorf("%d MiB resident, more than %d", usage.Resident>>20, maxResident>>20)
			}
		})
	}
}

func letters(r rune) rune {
	if r >= 'a' && r <= 'z' {
		return r
	}
	return -1
}

// settle lets the bystander make a few more exchanges, so that it has lived through the attack and what came after.
func settle(t *testing.T, b *Bystander) {
	t.Helper()
	want := b.Rounds() + 6
	clocktest.Eventually(t, "the bystander goes on", func() bool { return b.Rounds() >= want })
}

func startNode(t *testing.T, args ...string) *process.Node {
	t.Helper()
	dir := t.TempDir()
	binary, err := process.Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	node, err := process.NewNode(binary, dir)
	if err != nil {
		t.Fatal(err)
	}
	node.Args = args
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := node.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Stop(); err != nil {
			t.Errorf("stop: %v\n%s", err, node.Process().Tail(4000))
		}
	})
	return node
}

func randomBytes(t *testing.T, node *process.Node, random *rand.Rand) {
	for i := range 60 {
		payload := make([]byte, 1+random.IntN(1<<uint(1+random.IntN(16))))
		for j := range payload {
			payload[j] = byte(random.Uint32())
		}
		address := node.Kafka
		if i%3 == 0 {
			address = node.AWS
		}
		if _, err := attack(address, payload); err != nil {
			t.Errorf("%d random bytes to %s: %v", len(payload), address, err)
		}
	}
}

// exemplars are whole requests of the kinds that hold lengths within lengths.
func exemplars() [][]byte {
	metadata := kmsg.NewPtrMetadataRequest()
	metadata.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr("absent")}}
	produce := kmsg.NewPtrProduceRequest()
	produce.Acks = -1
	produce.TimeoutMillis = 1000
	produce.Topics = []kmsg.ProduceRequestTopic{{Topic: "absent", Partitions: []kmsg.ProduceRequestTopicPartition{{Records: make([]byte, 70)}}}}
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis, join.ProtocolType = "hostile", 6000, 6000, "consumer"
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte("?")}}
	return [][]byte{
		frame(kmsg.NewPtrApiVersionsRequest(), 3), frame(metadata, 12), frame(metadata, 1), frame(produce, 9), frame(produce, 3),
		frame(join, 5), frame(kmsg.NewPtrFetchRequest(), 12), frame(kmsg.NewPtrCreateTopicsRequest(), 7),
	}
}

// truncatedFrames cuts whole requests at every byte: once the connection ends there, once the length says that the frame ends there.
func truncatedFrames(t *testing.T, node *process.Node, _ *rand.Rand) {
	for _, whole := range exemplars() {
		for cut := range len(whole) {
			if _, err := attack(node.Kafka, whole[:cut]); err != nil {
				t.Fatalf("%d of %d bytes: %v", cut, len(whole), err)
			}
			if cut < 4 {
				continue
			}
			short := bytes.Clone(whole[:cut])
			binary.BigEndian.PutUint32(short, uint32(cut-4))
			if _, err := attack(node.Kafka, short); err != nil {
				t.Fatalf("a frame of %d of its %d bytes: %v", cut, len(whole), err)
			}
		}
	}
}

func impossibleLengths(t *testing.T, node *process.Node, _ *rand.Rand) {
	for _, length := range []uint32{0, 1, 7, 100<<20 + 1, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
		payload := binary.BigEndian.AppendUint32(nil, length)
		answer, err := attack(node.Kafka, append(payload, make([]byte, 64)...))
		if err != nil || len(answer) > 0 {
			t.Errorf("length %d: answered %d bytes, %v", int32(length), len(answer), err)
		}
	}
	// Lengths inside a frame: each 4-byte field of a request becomes the largest number in turn.
	for _, whole := range exemplars() {
		for at := 4; at+4 <= len(whole); at++ {
			wrong := bytes.Clone(whole)
			binary.BigEndian.PutUint32(wrong[at:], 1<<31-1)
			if _, err := attack(node.Kafka, wrong); err != nil {
				t.Fatalf("byte %d of a request of %d: %v", at, len(whole), err)
			}
		}
	}
}

func unknownVersions(t *testing.T, node *process.Node, _ *rand.Rand) {
	// KIP-511: an ApiVersions of a version that is not known is answered in version 0, with the versions that are.
	answer, err := attack(node.Kafka, frame(kmsg.NewPtrApiVersionsRequest(), 99))
	if err != nil || len(answer) < 10 {
		t.Fatalf("ApiVersions 99: %d bytes, %v", len(answer), err)
	}
	response := kmsg.NewPtrApiVersionsResponse()
	if err := response.ReadFrom(answer[8:]); err != nil {
		t.Errorf("ApiVersions 99: not readable as version 0: %v", err)
	}
	if response.ErrorCode != kerr.UnsupportedVersion.Code || len(response.ApiKeys) == 0 {
		t.Errorf("ApiVersions 99: code %d and %d keys, want %d and some", response.ErrorCode, len(response.ApiKeys), kerr.UnsupportedVersion.Code)
	}
	for _, key := range []uint16{999, 1<<15 - 1, 1 << 15, 1<<16 - 1, 4 /* LeaderAndIsr: between brokers only */} {
		payload := binary.BigEndian.AppendUint32(nil, 14)
		payload = binary.BigEndian.AppendUint16(payload, key)
		payload = append(payload, 0, 0, 0, 0, 0, 1, 0, 4, 'e', 'v', 'i', 'l')
		if answer, err := attack(node.Kafka, payload); err != nil || len(answer) > 0 {
			t.Errorf("key %d: answered %d bytes, %v", key, len(answer), err)
		}
	}
	for _, request := range []kmsg.Request{kmsg.NewPtrMetadataRequest(), kmsg.NewPtrProduceRequest(), kmsg.NewPtrFetchRequest(), kmsg.NewPtrJoinGroupRequest()} {
		for _, version := range []int16{request.MaxVersion() + 1, 1<<15 - 1, -1} {
			if answer, err := attack(node.Kafka, frame(request, version)); err != nil || len(answer) > 0 {
				t.Errorf("%s %d: answered %d bytes, %v", kmsg.NameForKey(request.Key()), version, len(answer), err)
			}
		}
	}
}

// hugeFrames announces frames of the largest size allowed on many connections and sends most of each.
func hugeFrames(t *testing.T, node *process.Node, _ *rand.Rand) {
	const connections, size = 16, 100 << 20
	chunk := make([]byte, 1<<20)
	for range connections {
		conn, err := net.Dial("tcp", node.Kafka)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(binary.BigEndian.AppendUint32(nil, size)); err != nil {
			continue // refused: as good as bounded
		}
		for range size/len(chunk) - 1 {
			if _, err := conn.Write(chunk); err != nil {
				break // the server stopped reading: its bound
			}
		}
	}
	usage, err := node.Process().Usage()
	if err != nil {
		t.Fatal(err)
	}
	if usage.Resident > maxResident {
		t.Errorf("%d MiB resident while %d frames of 100 MiB are sent", usage.Resident>>20, connections)
	}
}

// trickledFrame sends two bytes a second of a frame of 100 MiB, and expects to be shut out, so that another large frame has the memory.
func trickledFrame(t *testing.T, node *process.Node, _ *rand.Rand) {
	trickle, large := dial(t, node.Kafka), dial(t, node.Kafka)
	if _, err := trickle.Write(append(binary.BigEndian.AppendUint32(nil, 100<<20), make([]byte, 8<<10)...)); err != nil {
		t.Fatal(err)
	}
	shut := make(chan struct{})
	go func() {
		defer close(shut)
		pace := time.NewTicker(500 * time.Millisecond)
		defer pace.Stop()
		for range pace.C {
			if _, err := trickle.Write([]byte{0}); err != nil {
				return
			}
		}
	}()
	produce := kmsg.NewPtrProduceRequest()
	produce.Acks = -1
	produce.Topics = []kmsg.ProduceRequestTopic{{Topic: "absent", Partitions: []kmsg.ProduceRequestTopicPartition{{Records: make([]byte, 60<<20)}}}}
	if _, err := large.Write(frame(produce, 8)); err != nil {
		t.Fatalf("the large frame: %v", err)
	}
	if _, err := io.ReadFull(large, make([]byte, 4)); err != nil {
		t.Errorf("the large frame has no answer: %v", err)
	}
	trickle.Close()
	<-shut
}

// dial opens a connection that may take as long as a server's patience with slow clients, and a little more.
func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(wire.DefaultStallTimeout + endsWithin)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// request makes a request as an AWS client would.
func request(ctx context.Context, node *process.Node, target, contentType string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, node.Endpoint(), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("X-Amz-Target", target)
	req.Header.Set("X-Amz-Date", time.Now().UTC().Format("20060102T150405Z"))
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"+time.Now().UTC().Format("20060102")+
		"/us-east-1/kinesis/aws4_request, SignedHeaders=host;x-amz-date, Signature="+strings.Repeat("0", 64))
	return req, nil
}

// post sends a body as an AWS client would, and returns the status and the answer's first bytes.
func post(ctx context.Context, node *process.Node, target, contentType string, body io.Reader) (int, string, error) {
	req, err := request(ctx, node, target, contentType, body)
	if err != nil {
		return 0, "", err
	}
	return do(req)
}

func do(req *http.Request) (int, string, error) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	return resp.StatusCode, string(text), err
}

func hugeBody(t *testing.T, node *process.Node, _ *rand.Rand) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 4 {
		// No Content-Length: the server must notice by itself.
		status, text, err := post(ctx, node, "Kinesis_20131202.PutRecords", "application/x-amz-json-1.1", io.LimitReader(zeros{}, 100<<20))
		if err == nil && (status < 400 || status >= 500) {
			t.Errorf("status %d: %s", status, text)
		}
	}
}

// zeros is an endless file of them.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func malformedRequests(t *testing.T, node *process.Node, random *rand.Rand) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	noise := make([]byte, 4096)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	const put = "Kinesis_20131202.PutRecord"
	logged := func() int { return strings.Count(node.Process().Tail(1<<30), "aws request turned away") }
	before, turnedAway := logged(), 0
	for _, c := range []struct{ name, target, kind, body string }{
		{"no JSON", put, "application/x-amz-json-1.1", "{"},
		{"deep JSON", put, "application/x-amz-json-1.1", strings.Repeat(`{"Data":`, 1<<18)},
		{"deep arrays", put, "application/x-amz-json-1.1", strings.Repeat("[", 1<<20)},
		{"noise as JSON", put, "application/x-amz-json-1.1", string(noise)},
		{"noise as CBOR", put, "application/x-amz-cbor-1.1", string(noise)},
		{"deep CBOR", put, "application/x-amz-cbor-1.1", strings.Repeat("\x81", 1<<20)},
		{"CBOR of a huge array", put, "application/x-amz-cbor-1.1", "\x9b\x7f\xff\xff\xff\xff\xff\xff\xff"},
		{"CBOR of a huge string", put, "application/x-amz-cbor-1.1", "\xa1\x64Data\x5b\x7f\xff\xff\xff\xff\xff\xff\xff"},
		{"wrong types", put, "application/x-amz-json-1.1", `{"StreamName":7,"PartitionKey":[],"Data":{}}`},
		{"unknown operation", "Kinesis_20131202.Nonsense", "application/x-amz-json-1.1", "{}"},
		{"unknown service", "Nonsense_20131202.PutRecord", "application/x-amz-json-1.1", "{}"},
		{"empty body", put, "application/x-amz-json-1.1", ""},
		{"made-up iterator", "Kinesis_20131202.GetRecords", "application/x-amz-json-1.1", `{"ShardIterator":"` + strings.Repeat("A", 500) + `"}`},
	} {
		status, text, err := post(ctx, node, c.target, c.kind, strings.NewReader(c.body))
		if err != nil || status < 400 || status >= 500 {
			t.Errorf("%s: status %d, %v: %.200s", c.name, status, err, text)
		}
		if c.name != "made-up iterator" { // which its handler refuses
			turnedAway++
		}
	}
	clocktest.Eventually(t, "the log names every request that no handler saw", func() bool { return logged() >= before+turnedAway })
	for name, raw := range map[string]string{
		"endless header":      "POST / HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("a", 4<<20),
		"bad chunk size":      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
		"negative length":     "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
		"two lengths":         "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"HTTP/2 and nonsense": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("\xff", 1<<16),
	} {
		if _, err := attack(node.AWS, []byte(raw)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// halfOpen leaves connections in the middle of a request for as long as the test lasts.
func halfOpen(t *testing.T, node *process.Node, _ *rand.Rand) {
	whole := exemplars()[1]
	for i := range 300 {
		address, part := node.Kafka, whole[:len(whole)/2]
		if i%2 == 0 {
			address, part = node.AWS, []byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
		}
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := conn.Write(part); err != nil {
			t.Fatal(err)
		}
	}
}

// silentUploads announces bodies as large as may be, and sends their first bytes.
func silentUploads(t *testing.T, node *process.Node, _ *rand.Rand) {
	for i := range 600 {
		conn, err := net.Dial("tcp", node.AWS)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		head := "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: Kinesis_20131202.PutRecords\r\nContent-Length: 15000000\r\n\r\n"
		if _, err := io.WriteString(conn, head+strings.Repeat("{", i%5000)); err != nil {
			t.Fatal(err)
		}
	}
}

// fill20 makes a stream of one shard with 20 large records.
func fill20(t *testing.T, node *process.Node, name string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(node.Kafka), kgo.DefaultProduceTopic(name))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, nil, name); err != nil {
		t.Fatal(err)
	}
	record := &kgo.Record{Value: make([]byte, 900_000)}
	for range 20 {
		if err := client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// slowReaders asks for far more than the server may buffer, and reads nothing.
func slowReaders(t *testing.T, node *process.Node, _ *rand.Rand) {
	fill20(t, node, "slow")
	fetch := kmsg.NewPtrFetchRequest()
	fetch.MaxBytes = 16 << 20
	fetch.Topics = []kmsg.FetchRequestTopic{{Topic: "slow", Partitions: []kmsg.FetchRequestTopicPartition{{PartitionMaxBytes: 16 << 20, CurrentLeaderEpoch: -1}}}}
	askWithoutReading(t, node, node.Kafka, frame(fetch, 11))
}

// slowAWSReaders does the same by GetRecords.
func slowAWSReaders(t *testing.T, node *process.Node, _ *rand.Rand) {
	const name = "slow-aws"
	fill20(t, node, name)
	it, err := sdk(node).GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{
		StreamName: aws.String(name), ShardId: aws.String("shardId-000000000000"), ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"ShardIterator":%q}`, *it.ShardIterator)
	if status, text, err := post(t.Context(), node, "Kinesis_20131202.GetRecords", "application/x-amz-json-1.1", strings.NewReader(body)); err != nil || status != http.StatusOK {
		t.Fatalf("the request is not as it should be: %d %s, %v", status, text, err)
	}
	req, err := request(t.Context(), node, "Kinesis_20131202.GetRecords", "application/x-amz-json-1.1", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	var raw bytes.Buffer
	if err := req.Write(&raw); err != nil {
		t.Fatal(err)
	}
	askWithoutReading(t, node, node.AWS, raw.Bytes())
}

// askWithoutReading sends a request again and again on many connections, and reads no answer.
func askWithoutReading(t *testing.T, node *process.Node, address string, request []byte) {
	t.Helper()
	for range 40 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if err := conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		for range 500 {
			if _, err := conn.Write(request); err != nil {
				break // the server takes no more requests from who does not read
			}
		}
	}
	usage, err := node.Process().Usage()
	if err != nil {
		t.Fatal(err)
	}
	if usage.Resident > maxResident {
		t.Errorf("%d MiB resident with 40 readers that do not read", usage.Resident>>20)
	}
}

// bomb returns a record batch of one record whose value is zeros, compressed: as small as what it becomes is large. Its checksum is right.
func bomb(codec uint16, compress func(io.Writer) io.WriteCloser, zeroBytes int) []byte {
	var record []byte
	record = append(record, 0)                             // attributes
	record = binary.AppendVarint(record, 0)                // timestamp delta
	record = binary.AppendVarint(record, 0)                // offset delta
	record = binary.AppendVarint(record, -1)               // no key
	record = binary.AppendVarint(record, int64(zeroBytes)) // the value's length
	var packed bytes.Buffer
	w := compress(&packed)
	// Writes to memory do not fail.
	_, _ = w.Write(binary.AppendVarint(nil, int64(len(record)+zeroBytes+1)))
	_, _ = w.Write(record)
	_, _ = io.CopyN(w, zeros{}, int64(zeroBytes)+1) // the last zero: no headers
	_ = w.Close()

	after := binary.BigEndian.AppendUint16(nil, codec)
	after = binary.BigEndian.AppendUint32(after, 0) // last offset delta
	now := uint64(time.Now().UnixMilli())
	after = binary.BigEndian.AppendUint64(after, now)
	after = binary.BigEndian.AppendUint64(after, now)
	after = append(after, bytes.Repeat([]byte{0xff}, 8+2+4)...) // no producer
	after = binary.BigEndian.AppendUint32(after, 1)             // records
	after = append(after, packed.Bytes()...)

	batch := make([]byte, 8, 21+len(after)) // base offset 0
	batch = binary.BigEndian.AppendUint32(batch, uint32(9+len(after)))
	batch = binary.BigEndian.AppendUint32(batch, 0) // leader epoch
	batch = append(batch, 2)                        // magic
	batch = binary.BigEndian.AppendUint32(batch, crc32.Checksum(after, crc32.MakeTable(crc32.Castagnoli)))
	return append(batch, after...)
}

func gzipped(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }

// decompressionBombs stores 500 MiB of zeros in half a megabyte or less, and asks Kinesis, which must look inside, to read them.
func decompressionBombs(t *testing.T, node *process.Node, _ *rand.Rand) {
	client, err := kgo.NewClient(kgo.SeedBrokers(node.Kafka))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, c := range []struct {
		name     string
		codec    uint16
		compress func(io.Writer) io.WriteCloser
	}{
		{"gzip", 1, gzipped},
		{"lz4", 3, func(w io.Writer) io.WriteCloser { return lz4.NewWriter(w) }},
		{"zstd", 4, func(w io.Writer) io.WriteCloser {
			z, err := zstd.NewWriter(w)
			if err != nil {
				t.Fatal(err)
			}
			return z
		}},
	} {
		topic := "bomb-" + c.name
		if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, map[string]*string{"max.message.bytes": aws.String("8388608")}, topic); err != nil {
			t.Fatal(err)
		}
		code, err := produceRaw(node, topic, bomb(c.codec, c.compress, 500<<20))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		t.Logf("the bomb of %s was answered with code %d", c.name, code)
		if code != 0 {
			continue // refused at the door, which is allowed too
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		_, err = readFirst(ctx, node, topic)
		cancel()
		t.Logf("GetRecords: %v", err)
		usage, err := node.Process().Usage()
		if err != nil {
			t.Fatal(err)
		}
		if usage.Peak > maxResident {
			t.Errorf("%d MiB at most: the bomb of %s went off", usage.Peak>>20, c.name)
		}
	}
}

// compressedBody sends bodies that are small on the wire only.
func compressedBody(t *testing.T, node *process.Node, _ *rand.Rand) {
	var packed bytes.Buffer
	w := gzipped(&packed)
	// Writes to memory do not fail.
	_, _ = io.CopyN(w, zeros{}, 500<<20)
	_ = w.Close()
	for range 4 {
		req, err := request(t.Context(), node, "Kinesis_20131202.PutRecords", "application/x-amz-json-1.1", bytes.NewReader(packed.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Encoding", "gzip")
		if status, text, err := do(req); err != nil || status < 400 || status >= 500 {
			t.Errorf("status %d: %s, %v", status, text, err)
		}
	}
	usage, err := node.Process().Usage()
	if err != nil {
		t.Fatal(err)
	}
	if usage.Peak > maxResident {
		t.Errorf("%d MiB at most: the body was unpacked", usage.Peak>>20)
	}
}

func tenThousandConnections(t *testing.T, node *process.Node, _ *rand.Rand) {
	const each = 5000
	if err := raiseFileLimit(2*each + 500); err != nil {
		t.Skipf("not enough file descriptors: %v", err)
	}
	request := frame(kmsg.NewPtrApiVersionsRequest(), 0)
	for i := range 2 * each {
		address := node.Kafka
		if i%2 == 0 {
			address = node.AWS
		}
		conn, err := net.DialTimeout("tcp", address, maxWait)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		t.Cleanup(func() { conn.Close() })
		if i%2 == 1 {
			// Each Kafka connection has spoken once, so that it is a real one to the server.
			if err := conn.SetDeadline(time.Now().Add(maxWait)); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write(request); err != nil {
				t.Fatalf("connection %d: %v", i, err)
			}
			if _, err := io.ReadFull(conn, make([]byte, 4)); err != nil {
				t.Fatalf("connection %d: no answer: %v", i, err)
			}
		}
	}
}
