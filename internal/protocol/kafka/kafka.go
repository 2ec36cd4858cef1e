// Package kafka serves the Kafka protocol on a stream.Log: topics are streams, partitions are shards, and record batches pass untouched.
// Server is a listener with everything behind it; the table in api.go says which requests it answers, in which versions, by which
// handler; there is one file per request. Client is who asks.
//
// Every refusal is in the protocol's own form: errors.go is the one place that maps the log's errors to Kafka's codes. What is not whole
// (transactions, KIP-848 groups, SASL, quotas) is not advertised.
//
// It refuses to be more than one node: this server leads every partition, and is every group's coordinator and the controller.
package kafka

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/protocol/kafka/group"
	"github.com/freshet/freshet/internal/protocol/kafka/wire"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// Config is what a Server needs. Listener, Log and State must be set; other zero values mean the defaults.
type Config struct {
	Listener net.Listener // plain or TLS; Run closes it
	Log      stream.Log
	State    state.Store
	Clock    clock.Clock
	Random   io.Reader
	Logger   *slog.Logger

	NodeID         int32  // the one broker's id
	AdvertisedHost string // what clients are told to connect to; "" = the listener's address
	AdvertisedPort int32  // 0 = the listener's port
	DataDir        string // what DescribeLogDirs names; "" = "/"
	// DiskSpace returns the size of the disk under DataDir and what is free of it, for DescribeLogDirs; nil = not known.
	DiskSpace func(ctx context.Context) (total, usable int64, err error)

	AcceptAnyRF       bool  // create topics that ask for several replicas with one, and do not hold produce to min.insync.replicas
	AutoCreateTopics  bool  // Metadata creates the topics that a client asks for
	DefaultPartitions int32 // of topics created without a number; 0 = 1

	// MaxPartitions bounds the partitions of one topic; 0 = DefaultMaxPartitions.
	MaxPartitions int32
	// MaxFetchBytes bounds one Fetch answer whatever the client asks; 0 = DefaultMaxFetchBytes.
	MaxFetchBytes int32
	// MaxAnswerBytes bounds the records in all Fetch answers being written; 0 = DefaultMaxAnswerBytes. Each answer may have one batch more.
	MaxAnswerBytes int64
	// MaxFetchSessions bounds the fetch sessions remembered (KIP-227); 0 = DefaultMaxFetchSessions.
	MaxFetchSessions int

	// Groups bound consumer groups.
	Groups group.Config

	// Limits bound connections and frames; see wire.Config, whose other fields are not looked at.
	Limits wire.Config

	// Observe, if set, is called with each request when its answer has been written. It must not block.
	Observe func(Observation)
}

// The defaults of Config, as Apache Kafka's where it has them (fetch.max.bytes, max.incremental.fetch.session.cache.slots).
const (
	DefaultMaxPartitions    = 100_000
	DefaultMaxFetchBytes    = 55 << 20
	DefaultMaxAnswerBytes   = 128 << 20
	DefaultMaxFetchSessions = 1000
)

// Observation is what became of one request, for access logs and metrics.
type Observation struct {
	API          string // the request's name, as Fetch
	Key, Version int16
	ClientID     string
	Peer         net.Addr
	Received     time.Time
	Latency      time.Duration // until the answer was written
	RequestBytes int
	AnswerBytes  int   // 0 if none was sent
	ErrorCode    int16 // the first that is not 0 in the answer, or 0
	Err          error // why no answer could be sent
}

// Server serves Kafka clients.
type Server struct {
	cfg       Config
	log       stream.Log
	state     state.Store
	clock     clock.Clock
	logger    *slog.Logger
	clusterID string
	host      string
	port      int32

	apis     map[int16]*api
	wire     *wire.Server
	sessions *fetchSessions
	groups   *group.Coordinator
	answers  *wire.Budget // memory of Fetch answers being written
	plain    *wire.Budget // memory of records being decompressed
	alter    sync.Mutex   // serialises changes of topic configs: labels are read, changed and written back
}

// New returns a server, which does nothing until Run. It reads the cluster id from the state, and makes one there the first time.
func New(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Listener == nil || cfg.Log == nil || cfg.State == nil {
		return nil, errors.New("kafka: a listener, a log and a state store are needed")
	}
	cfg.setDefaults()
	s := &Server{
		cfg: cfg, log: topicLog{cfg.Log}, state: cfg.State, clock: cfg.Clock, logger: cfg.Logger,
		answers: wire.NewBudget(cfg.MaxAnswerBytes), plain: wire.NewBudget(maxPlain),
	}
	var err error
	if s.host, s.port, err = cfg.advertised(); err != nil {
		return nil, err
	}
	if s.clusterID, err = clusterID(ctx, cfg.State, cfg.Random); err != nil {
		return nil, fmt.Errorf("kafka cluster id: %w", err)
	}
	s.sessions = newFetchSessions(cfg.MaxFetchSessions, cfg.Clock, cfg.Random)
	s.groups, err = group.New(ctx, cfg.Groups, group.Deps{
		Log: cfg.Log, Names: s.log, Store: cfg.State, Clock: cfg.Clock, Random: cfg.Random, Logger: cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	s.apis = table()
	limits := cfg.Limits
	limits.Listener, limits.Clock, limits.Logger, limits.Handler = cfg.Listener, cfg.Clock, cfg.Logger, s
	if s.wire, err = wire.New(limits); err != nil {
		return nil, err
	}
	return s, nil
}

func (c *Config) setDefaults() {
	if c.Clock == nil {
		c.Clock = clock.Real()
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.DataDir == "" {
		c.DataDir = "/"
	}
	orDefault(&c.DefaultPartitions, 1)
	orDefault(&c.MaxPartitions, DefaultMaxPartitions)
	orDefault(&c.MaxFetchBytes, DefaultMaxFetchBytes)
	orDefault(&c.MaxAnswerBytes, DefaultMaxAnswerBytes)
	orDefault(&c.MaxFetchSessions, DefaultMaxFetchSessions)
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// advertised returns the address that clients are told.
func (c *Config) advertised() (string, int32, error) {
	host, port := c.AdvertisedHost, c.AdvertisedPort
	listenHost, listenPort, err := net.SplitHostPort(c.Listener.Addr().String())
	if err != nil && (host == "" || port == 0) {
		return "", 0, fmt.Errorf("kafka: advertised address of listener %s: %w", c.Listener.Addr(), err)
	}
	if host == "" {
		host = listenHost
	}
	if port == 0 {
		n, err := strconv.ParseInt(listenPort, 10, 32)
		if err != nil {
			return "", 0, fmt.Errorf("kafka: port of listener %s: %w", c.Listener.Addr(), err)
		}
		port = int32(n)
	}
	return host, port, nil
}

// clusterID reads the document that names the cluster, or makes it: 16 random bytes in base64url, as Apache Kafka's.
func clusterID(ctx context.Context, store state.Store, random io.Reader) (string, error) {
	key := state.Key{Kind: "kafka-cluster", ID: "id"}
	doc, err := store.Get(ctx, key)
	if err == nil {
		return string(doc.Value), nil
	}
	if !errors.Is(err, state.ErrNotFound) {
		return "", err
	}
	var id [16]byte
	if _, err = io.ReadFull(random, id[:]); err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(id[:])
	_, err = store.Apply(ctx, state.Change{Key: key, If: state.Absent, Value: []byte(text)})
	return text, err
}

// ClusterID returns the id that clients see.
func (s *Server) ClusterID() string { return s.clusterID }

// Connections returns how many clients are connected, and how many bytes of memory their requests hold.
func (s *Server) Connections() (open int, inFlight int64) { return s.wire.Connections() }

// Run serves until ctx ends, then lets what is being served finish. Nothing of the server runs when it returns.
func (s *Server) Run(ctx context.Context) error {
	groups, stop := context.WithCancel(context.WithoutCancel(ctx)) // until the last request is served
	var done sync.WaitGroup
	done.Go(func() { s.groups.Run(groups) })
	err := s.wire.Run(ctx)
	stop()
	done.Wait()
	return err
}
