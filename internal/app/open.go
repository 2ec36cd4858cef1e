package app

import (
	"context"
	"fmt"

	"github.com/shirou/gopsutil/v4/disk"

	"github.com/freshet/freshet/internal/engine"
	"github.com/freshet/freshet/internal/flow"
	"github.com/freshet/freshet/internal/protocol/aws"
	"github.com/freshet/freshet/internal/protocol/kafka"
	"github.com/freshet/freshet/internal/protocol/kafka/telemetry"
	"github.com/freshet/freshet/internal/protocol/kafka/wire"
	"github.com/freshet/freshet/internal/service/firehose"
	"github.com/freshet/freshet/internal/service/kinesis"
	"github.com/freshet/freshet/internal/service/sts"
	"github.com/freshet/freshet/internal/stream"
)

func (n *Node) openEngine(ctx context.Context) (*engine.Engine, error) {
	return engine.Open(ctx, engine.Config{
		Dir: n.config.Data, FS: n.deps.FS, Clock: n.deps.Clock, Random: n.deps.Random, Logger: n.logger.With(partKey, "log"),
		CompactMemory: int64(n.config.CompactMemory), CompactRate: int64(n.config.CompactRate),
		TailBytes: int64(n.config.TailMemory), MaxShards: n.config.MaxShards,
	})
}

func (n *Node) openKafka(ctx context.Context) (*kafka.Server, error) {
	c := kafka.Config{
		Log: n.clientsLog(), Transactor: n.engine, State: n.engine.State(), Clock: n.deps.Clock, Random: n.deps.Random,
		Logger: n.logger.With(partKey, "kafka"), NodeID: 1, DataDir: n.config.Data,
		AcceptAnyRF: *n.config.AcceptAnyRF, AutoCreateTopics: *n.config.AutoCreateTopics, DefaultPartitions: int32(n.config.DefaultPartitions),
		Limits: wire.Config{DrainTimeout: n.config.DrainTimeout, MaxConnections: n.connections.kafka}, Observe: n.observer.kafka, DiskSpace: n.diskSpace,
		MaxReauth: n.config.KafkaMaxReauth, Properties: n.config.kafkaConfigs(&validation{}), Upkeep: n.engine, Loggers: n.loggers, Telemetry: telemetry.Config{Board: n.board},
	}
	var err error
	if c.Tokens, err = n.openDelegation(ctx); err != nil {
		return nil, err
	}
	if c.Listeners, err = n.secureListeners(ctx, c.Tokens); err != nil {
		return nil, err
	}
	if err = n.openGovernance(ctx, &c, n.config.KafkaClusterARN); err != nil {
		return nil, err
	}
	n.quotas = c.Quotas
	c.Tier = n.extents()
	return kafka.New(ctx, c)
}

// clientsLog returns the log as the protocols have it.
func (n *Node) clientsLog() stream.Log { return clientsLog{n.wholeLog(), n.delivery} }

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
		Log: n.clientsLog(), State: n.engine.State(), Clock: n.deps.Clock, Random: n.deps.Random, Logger: n.logger.With(partKey, "kinesis"),
	})
}

// flowMemory bounds the records that all flows have read and not yet written.
const flowMemory = 64 << 20

// nodeName owns the leases of the flows. There is one node to a data directory, so that it finds its own leases after a restart.
const nodeName = "node-1"

func (n *Node) openFirehose(ctx context.Context) (*firehose.Service, error) {
	objects, err := n.openObjects(ctx, "objects", n.config.Objects)
	if err != nil {
		return nil, err
	}
	return firehose.New(firehose.Config{Node: nodeName, DrainTimeout: n.config.DrainTimeout}, firehose.Dependencies{
		Log: n.wholeLog(), State: n.engine.State(), Objects: objects, Clock: n.deps.Clock, Random: n.deps.Random, Budget: flow.NewBudget(flowMemory),
		Logger: n.logger.With(partKey, "firehose"),
	})
}

func (n *Node) openFrontDoor() (*aws.FrontDoor, error) {
	auth := aws.Auth{Verify: n.config.Auth == AuthVerify, Keys: n.config.keys()}
	return aws.New(aws.Config{
		Services: []aws.Service{n.streams.API(), n.delivery.API(), sts.API(), n.msk.API(), n.secrets.API()}, Auth: auth, Pages: n.pages(), Clock: n.deps.Clock, Random: n.deps.Random,
		Log: n.logger.With(partKey, "aws"), Observe: n.observer.aws, DrainTimeout: n.config.DrainTimeout, MaxConnections: n.connections.aws,
	})
}

// watchFigures registers what the parts count themselves.
func (n *Node) watchFigures() {
	m := n.metrics
	m.registry.MustRegister(n.delivery, logFigures{n.engine}, n.board, quotaFigures{n.quotas, n.deps.Clock})
	m.gauge("kafka_quota_meters", "Kafka clients whose quotas are measured, one for each kind.", func() float64 { return float64(n.quotas.Measured()) })
	m.counted("logger_lines_dropped_total", "Log lines dropped, as there were too many of a message.", func() float64 { return float64(n.log.Dropped()) })
	m.counted("file_reads_total", "Times that files of settings (certificates, keys, policies) had changed and were read again.", func() float64 { return float64(n.files.Read()) })
	m.counted("file_read_failures_total", "Times that they had changed and could not be read.", func() float64 { return float64(n.files.Failed()) })
	m.gauge("files_stale", "Those of which what was read before is in force, because it cannot be read as it is now.", func() float64 { return float64(n.files.Stale()) })
	m.gauge("kafka_connections", "Kafka clients connected.", func() float64 { open, _ := n.kafka.Connections(); return float64(open) })
	m.gauge("kafka_unauthenticated_connections", "Kafka clients that have yet to prove who they are.", func() float64 { pending, _ := n.kafka.Authentications(); return float64(pending) })
	m.counted("kafka_failed_authentications_total", "Proofs of Kafka clients that have failed.", func() float64 { _, failed := n.kafka.Authentications(); return float64(failed) })
	if n.tier != nil {
		m.registry.MustRegister(tierFigures{n.tier})
	}
	m.gauge("kafka_request_memory_bytes", "Memory of Kafka requests in progress.", func() float64 { _, b := n.kafka.Connections(); return float64(b) })
}
