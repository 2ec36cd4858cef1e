// Package hostile sends the real binary what no client should: random bytes, truncated frames, huge lengths, bombs, connections that say nothing or
// never read, and a disk without space. Each attack is judged by three things: the attacked connection ends or is answered in its protocol, the
// server's memory stays below maxResident, and a Bystander, a well-behaved client of both protocols, notices nothing.
package hostile

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/tests/process"
)

const (
	// maxResident is what the node may hold in memory during any attack: its bounds on requests being read or served (256 MiB of Kafka's, AWS's beside
	// them) and on the tail, and the collector's share on top. The attacks send several times as much.
	maxResident = 480 << 20
	// maxWait is how long the bystander may wait for any answer while an attack goes on.
	maxWait = 5 * time.Second
	// endsWithin is how soon an attacked connection must be closed or answered.
	endsWithin = 15 * time.Second
)

// Bystander writes and reads through both protocols, one record after the other, and remembers what went wrong.
type Bystander struct {
	stop context.CancelFunc
	work sync.WaitGroup

	mu     sync.Mutex
	rounds int
	worst  time.Duration
	wrong  error
}

// StartBystander sets a bystander to work on streams of its own.
func StartBystander(ctx context.Context, node *process.Node, name string) (*Bystander, error) {
	ctx, cancel := context.WithCancel(ctx)
	b := &Bystander{stop: cancel}
	client, err := kgo.NewClient(kgo.SeedBrokers(node.Kafka), kgo.DefaultProduceTopic(name), kgo.ConsumeTopics(name),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		cancel()
		return nil, err
	}
	if _, err := kadm.NewClient(client).CreateTopic(ctx, 1, 1, nil, name); err != nil {
		client.Close()
		cancel()
		return nil, err
	}
	b.work.Go(func() {
		defer client.Close()
		for i := 0; ctx.Err() == nil; i++ {
			b.time(ctx, func(ctx context.Context) error { return echoKafka(ctx, client, strconv.Itoa(i)) })
			b.time(ctx, func(ctx context.Context) error { return echoKinesis(ctx, sdk(node), name, strconv.Itoa(i)) })
		}
	})
	return b, nil
}

// time runs one exchange and notes how long it took or what went wrong.
func (b *Bystander) time(ctx context.Context, exchange func(context.Context) error) {
	limited, cancel := context.WithTimeoutCause(ctx, maxWait, fmt.Errorf("no answer within %s", maxWait))
	defer cancel()
	began := time.Now()
	err := exchange(limited)
	took := time.Since(began)
	if ctx.Err() != nil {
		return // stopped in the middle
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rounds++
	b.worst = max(b.worst, took)
	if err != nil && b.wrong == nil {
		b.wrong = errors.Join(err, context.Cause(limited))
	}
}

// Stop ends the bystander. It returns the number of exchanges, the longest, and the first failure.
func (b *Bystander) Stop() (rounds int, worst time.Duration, err error) {
	b.stop()
	b.work.Wait()
	return b.rounds, b.worst, b.wrong
}

// Rounds returns how many exchanges there have been.
func (b *Bystander) Rounds() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rounds
}

// echoKafka writes a record and reads until it comes back.
func echoKafka(ctx context.Context, client *kgo.Client, text string) error {
	if err := client.ProduceSync(ctx, kgo.StringRecord(text)).FirstErr(); err != nil {
		return err
	}
	for {
		fetches := client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("record %s does not come back: %w", text, err)
		}
		found := false
		fetches.EachRecord(func(r *kgo.Record) { found = found || string(r.Value) == text })
		if found {
			return nil
		}
	}
}

// echoKinesis writes a record and reads it at its sequence number.
func echoKinesis(ctx context.Context, client *kinesis.Client, stream, text string) error {
	put, err := client.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: &stream, PartitionKey: aws.String("k"), Data: []byte(text)})
	if err != nil {
		return err
	}
	it, err := client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
		StreamName: &stream, ShardId: put.ShardId, ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber,
		StartingSequenceNumber: put.SequenceNumber,
	})
	if err != nil {
		return err
	}
	page, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it.ShardIterator})
	if err != nil {
		return err
	}
	if len(page.Records) == 0 || string(page.Records[0].Data) != text {
		return fmt.Errorf("%d records at the sequence number of %s, none it", len(page.Records), text)
	}
	return nil
}

// transport is shared so that a bystander does not open a connection per call.
var transport = &http.Transport{MaxIdleConnsPerHost: 4}

func sdk(node *process.Node) *kinesis.Client {
	return kinesis.New(kinesis.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(node.Endpoint()), HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
	})
}

// attack sends bytes on a new connection and waits for its end. What the server answered is returned; a connection that is neither answered
// nor closed is an error. Whoever attacks closes its own sending side, as a client that died does.
func attack(address string, payload []byte) ([]byte, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(endsWithin)); err != nil {
		return nil, err
	}
	var sent sync.WaitGroup
	sent.Go(func() {
		// The server may close while we still send: that is an answer too, so the error does not matter.
		if _, err := conn.Write(payload); err == nil {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
	})
	answer, err := io.ReadAll(io.LimitReader(conn, 1<<20))
	conn.Close() // ends a write that still blocks
	sent.Wait()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return answer, fmt.Errorf("%d bytes were neither answered nor refused within %s", len(payload), endsWithin)
	}
	return answer, nil // a reset is an end
}

// frame returns a request as it goes over the wire, header version as the key and version ask for.
func frame(r kmsg.Request, version int16) []byte {
	r.SetVersion(version)
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("hostile")).AppendRequest(nil, r, 1)
}

// produceRaw sends one record batch as it is, by topic name, and returns the partition's error code.
func produceRaw(node *process.Node, topic string, recordBatch []byte) (int16, error) {
	produce := kmsg.NewPtrProduceRequest()
	produce.Acks, produce.TimeoutMillis = -1, 5000
	produce.Topics = []kmsg.ProduceRequestTopic{{Topic: topic, Partitions: []kmsg.ProduceRequestTopicPartition{{Records: recordBatch}}}}
	const version = 8 // the last without tags, so that the answer's header is its correlation id alone
	answer, err := exchange(node.Kafka, frame(produce, version))
	if err != nil {
		return 0, err
	}
	response := kmsg.NewPtrProduceResponse()
	response.SetVersion(version)
	if err := response.ReadFrom(answer[4:]); err != nil {
		return 0, fmt.Errorf("answer to produce: %w", err)
	}
	return response.Topics[0].Partitions[0].ErrorCode, nil
}

// exchange sends one frame and returns the answer's, without its length.
func exchange(address string, request []byte) ([]byte, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(endsWithin)); err != nil {
		return nil, err
	}
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	var length [4]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, fmt.Errorf("no answer: %w", err)
	}
	answer := make([]byte, binary.BigEndian.Uint32(length[:]))
	_, err = io.ReadFull(conn, answer)
	return answer, err
}

// readFirst asks GetRecords for the first records of a stream's first shard, and returns how many came.
func readFirst(ctx context.Context, node *process.Node, stream string) (int, error) {
	client := sdk(node)
	shards, err := client.ListShards(ctx, &kinesis.ListShardsInput{StreamName: &stream})
	if err != nil {
		return 0, err
	}
	it, err := client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
		StreamName: &stream, ShardId: shards.Shards[0].ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		return 0, err
	}
	page, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it.ShardIterator})
	if err != nil {
		return 0, err
	}
	return len(page.Records), nil
}
