package app

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/shirou/gopsutil/v4/disk"

	"github.com/freshet/freshet/internal/backend/dir"
	"github.com/freshet/freshet/internal/engine"
	"github.com/freshet/freshet/internal/flow"
	"github.com/freshet/freshet/internal/protocol/aws"
	"github.com/freshet/freshet/internal/protocol/kafka"
	"github.com/freshet/freshet/internal/protocol/kafka/wire"
	"github.com/freshet/freshet/internal/service/firehose"
	"github.com/freshet/freshet/internal/service/kinesis"
	"github.com/freshet/freshet/internal/service/sts"
	"github.com/freshet/freshet/internal/stream"
)

func (n *Node) openEngine(ctx context.Context) (*engine.Engine, error) {
	return engine.Open(ctx, engine.Config{
		Dir: n.config.Data, FS: n.deps.FS, Clock: n.deps.Clock, Random: n.deps.Random, Logger: n.logger.With("part", "log"),
		TailBytes: int64(n.config.TailMemory), MaxShards: n.config.MaxShards,
	})
}

func (n *Node) openKafka(ctx context.Context) (*kafka.Server, error) {
	c := kafka.Config{
		Listener: n.listeners.kafka, Log: n.clientsLog(), State: n.engine.State(), Clock: n.deps.Clock, Random: n.deps.Random,
		Logger: n.logger.With("part", "kafka"), NodeID: 1, DataDir: n.config.Data,
		AcceptAnyRF: *n.config.AcceptAnyRF, AutoCreateTopics: *n.config.AutoCreateTopics, DefaultPartitions: int32(n.config.DefaultPartitions),
		Limits: wire.Config{DrainTimeout: n.config.DrainTimeout, MaxConnections: n.connections.kafka}, Observe: n.observer.kafka, DiskSpace: n.diskSpace,
	}
	host, port, err := net.SplitHostPort(n.bootstrap)
	if err != nil {
		return nil, fmt.Errorf("kafka-advertised: %w", err)
	}
	number, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("kafka-advertised: %w", err)
	}
	c.AdvertisedHost, c.AdvertisedPort = host, int32(number)
	return kafka.New(ctx, c)
}

// clientsLog returns the log as the protocols have it.
func (n *Node) clientsLog() stream.Log { return clientsLog{n.engine, n.delivery} }

// clientsLog lets delivery streams write what there is of a stream before a client deletes it.
type clientsLog struct {
	stream.Log
	delivery *firehose.Service
}

// Delete implements stream.Log.
func (l clientsLog) Delete(ctx context.Context, id stream.ID) error {
	l.delivery.Flush(ctx, id)
	return l.Log.Delete(ctx, id)
}

// diskSpace returns the size of the disk that the data is on, and what of it is free to this process.
func (n *Node) diskSpace(ctx context.Context) (total, usable int64, err error) {
	u, err := disk.UsageWithContext(ctx, n.config.Data)
	if err != nil {
		return 0, 0, fmt.Errorf("disk space: %w", err)
	}
	return int64(u.Total), int64(u.Free), nil
}

func (n *Node) openKinesis(ctx context.Context) (*kinesis.Service, error) {
	return kinesis.New(ctx, kinesis.Config{ShardLimit: min(kinesis.DefaultShardLimit, n.config.MaxShards)}, kinesis.Dependencies{
		Log: n.clientsLog(), State: n.engine.State(), Clock: n.deps.Clock, Random: n.deps.Random, Logger: n.logger.With("part", "kinesis"),
	})
}

// flowMemory bounds the records that all flows have read and not yet written.
const flowMemory = 64 << 20

// nodeName owns the leases of the flows. There is one node to a data directory, so that it finds its own leases after a restart.
const nodeName = "node-1"

func (n *Node) openFirehose() (*firehose.Service, error) {
	objects, err := dir.New(dir.Config{Root: ObjectsDir(n.config.Data), Clock: n.deps.Clock, Random: n.deps.Random})
	if err != nil {
		return nil, err
	}
	return firehose.New(firehose.Config{Node: nodeName, DrainTimeout: n.config.DrainTimeout}, firehose.Dependencies{
		Log: n.engine, State: n.engine.State(), Objects: objects, Clock: n.deps.Clock, Random: n.deps.Random, Budget: flow.NewBudget(flowMemory),
		Logger: n.logger.With("part", "firehose"),
	})
}

func (n *Node) openFrontDoor() (*aws.FrontDoor, error) {
	auth := aws.Auth{Verify: n.config.Auth == AuthVerify, Keys: map[string]aws.Key{}}
	for _, key := range n.config.AccessKeys {
		id, secret, _ := strings.Cut(key, ":")
		auth.Keys[id] = aws.Key{Secret: secret}
	}
	return aws.New(aws.Config{
		Services: []aws.Service{n.streams.API(), n.delivery.API(), sts.API()}, Auth: auth, Pages: n.pages(), Clock: n.deps.Clock, Random: n.deps.Random,
		Log: n.logger.With("part", "aws"), Observe: n.observer.aws, DrainTimeout: n.config.DrainTimeout, MaxConnections: n.connections.aws,
	})
}

// watchFigures registers what the parts count themselves.
func (n *Node) watchFigures() {
	m := n.metrics
	m.registry.MustRegister(n.delivery, logFigures{n.engine})
	m.counted("logger_lines_dropped_total", "Log lines dropped, as there were too many of a message.", func() float64 { return float64(n.log.Dropped()) })
	m.gauge("kafka_connections", "Kafka clients connected.", func() float64 { open, _ := n.kafka.Connections(); return float64(open) })
	m.gauge("kafka_request_memory_bytes", "Memory of Kafka requests in progress.", func() float64 { _, b := n.kafka.Connections(); return float64(b) })
}
