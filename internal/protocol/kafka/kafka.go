// Package kafka serves the Kafka protocol on a stream.Log: topics are streams, partitions are shards, and record batches pass untouched.
// Server is a listener with everything behind it; the table in api.go says which requests it answers, in which versions, by which
// handler; there is one file per request. Client is who asks.
//
// Every refusal is in the protocol's own form: errors.go is the one place that maps the log's errors to Kafka's codes. What is not whole
// is not advertised.
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
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/govern/acl"
	"github.com/freshet/freshet/internal/govern/delegation"
	"github.com/freshet/freshet/internal/govern/iam"
	"github.com/freshet/freshet/internal/govern/principal"
	"github.com/freshet/freshet/internal/govern/quota"
	"github.com/freshet/freshet/internal/govern/scram"
	"github.com/freshet/freshet/internal/protocol/kafka/brokerconfig"
	"github.com/freshet/freshet/internal/protocol/kafka/group"
	"github.com/freshet/freshet/internal/protocol/kafka/groupconfig"
	"github.com/freshet/freshet/internal/protocol/kafka/offsets"
	"github.com/freshet/freshet/internal/protocol/kafka/sasl"
	"github.com/freshet/freshet/internal/protocol/kafka/share"
	"github.com/freshet/freshet/internal/protocol/kafka/telemetry"
	"github.com/freshet/freshet/internal/protocol/kafka/txn"
	"github.com/freshet/freshet/internal/protocol/kafka/wire"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// Config is what a Server needs. A listener, Log and State must be set; other zero values mean the defaults.
type Config struct {
	Listener  net.Listener // plain, and called PLAINTEXT; Run closes it
	Listeners []Listener   // others
	Log       stream.Log
	State     state.Store
	Clock     clock.Clock
	Random    io.Reader
	Logger    *slog.Logger
	// Transactor ends transactions on Log and State; it must be set.
	Transactor Transactor
	// Tier, if Log moves the older part of topics to objects, tells where their parts are; without it no topic can have remote.storage.enable.
	Tier Tier

	NodeID         int32  // the one broker's id
	AdvertisedHost string // what clients of Listener are told to connect to; "" = the listener's address
	AdvertisedPort int32  // 0 = the listener's port
	DataDir        string // what DescribeLogDirs names; "" = "/"
	// DiskSpace returns the size of the disk under DataDir and what is free of it, for DescribeLogDirs; nil = not known.
	DiskSpace func(ctx context.Context) (total, usable int64, err error)

	AcceptAnyRF       bool  // create topics that ask for several replicas with one, and do not hold produce to min.insync.replicas
	AutoCreateTopics  bool  // Metadata creates the topics that a client asks for
	DefaultPartitions int32 // of topics created without a number; 0 = 1
	// Properties are broker configs by Apache Kafka's names, as those of a server.properties file, which CheckProperty has passed. They go before the
	// fields that mean the same, and topics have their configs from them which nobody has set: those that there are already, too.
	Properties map[string]string
	// Upkeep is the log's, for the broker configs that are about it; nil = they are not this server's to set.
	Upkeep stream.Upkeeper

	// Loggers are the node's, whose levels clients may see and set; nil = there are none to be seen.
	Loggers Loggers

	// MaxPartitions bounds the partitions of one topic; 0 = DefaultMaxPartitions.
	MaxPartitions int32
	// MaxFetchBytes bounds one Fetch answer whatever the client asks; 0 = DefaultMaxFetchBytes.
	MaxFetchBytes int32
	// MaxAnswerBytes bounds the records in all Fetch answers being written; 0 = DefaultMaxAnswerBytes. Half as much is for batches that exceed it, one in
	// an answer.
	MaxAnswerBytes int64
	// MaxFetchSessions bounds the fetch sessions remembered (KIP-227); 0 = DefaultMaxFetchSessions.
	MaxFetchSessions int

	// Groups bound consumer groups.
	Groups group.Config

	// Shares bound share groups; ShareBounds bound what these can be set to, its defaults are not looked at.
	Shares      share.Config
	ShareBounds groupconfig.Share

	// ACLs decide who may do what (the Authorizer), and are what requests about access control lists change; nil = everyone may do everything.
	ACLs *acl.Book

	// Policies decide about principals of AWS, in place of ACLs; nil = ACLs go for them, too.
	Policies *iam.Authorizer

	// Telemetry bounds what clients push of their metrics, and says who shows it.
	Telemetry telemetry.Config

	// Quotas bound what clients take; nil = nothing does.
	Quotas *quota.Book

	// Tokens are the delegation tokens that clients make, which its listeners' mechanisms should take; nil = they cannot be made.
	Tokens *delegation.Book

	// MaxReauth is how long what a client proves by SASL holds: then it must prove it again (KIP-368). 0 = as long as the proof says.
	MaxReauth time.Duration
	// FailureDelay is how long an answer to a wrong proof takes; 0 = DefaultFailureDelay.
	FailureDelay time.Duration
	// Transactions bound transactions.
	Transactions txn.Config

	// Limits bound connections and frames; see wire.Config, whose other fields are not looked at.
	Limits wire.Config

	// Observe, if set, is called with each request when its answer has been written. It must not block.
	Observe func(Observation)
}

// The defaults of Config, as Apache Kafka's where it has them (fetch.max.bytes, max.incremental.fetch.session.cache.slots,
// connection.failed.authentication.delay.ms).
const (
	DefaultMaxPartitions    = 100_000
	DefaultMaxFetchBytes    = 55 << 20
	DefaultMaxAnswerBytes   = 128 << 20
	DefaultMaxFetchSessions = 1000
	DefaultFailureDelay     = 100 * time.Millisecond
)

// Observation is what became of one request, for access logs and metrics.
type Observation struct {
	API          string // the request's name, as Fetch
	Key, Version int16
	ClientID     string
	Peer         net.Addr
	Listener     string              // the name of the one it came through
	Principal    principal.Principal // who asked
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
	listeners []*listener // in the order of wire's
	users     *scram.Users
	attempts  *sasl.Attempts

	apis     map[int16]*api
	wire     *wire.Server
	sessions *fetchSessions
	groups   *group.Coordinator
	offsets  *offsets.Mirror
	shares   *share.Coordinator
	configs  *groupconfig.Store // of groups
	// subscriptions say what clients are to push of their metrics, and telemetry takes it.
	subscriptions *telemetry.Subscriptions
	telemetry     *telemetry.Receiver

	txns    *txn.Coordinator
	answers *wire.Budget // memory of Fetch answers being written
	beyond  *wire.Budget // memory of batches that exceed what there is of answers: one in an answer
	plain   *wire.Budget // memory of records being decompressed
	recoded *wire.Budget // memory of batches that were compressed anew, until the log has copied them
	// authorizer decides who may do what; nil = everyone may do everything.
	authorizer    Authorizer
	offsetsFailed atomic.Bool // said that there is no topic of committed offsets
	alter         sync.Mutex  // serialises changes of topic configs: labels are read, changed and written back

	broker         *brokerconfig.Store
	alteringBroker sync.Mutex // one change of broker configs at a time, until it holds; before defaulting
	defaults       atomic.Pointer[topicDefaults]
	defaulting     sync.RWMutex // held for reading while a topic is made or altered by defaults; after alter
	pace           connectionPace
}

// New returns a server, which does nothing until Run. It reads the cluster id from the state, and makes one there the first time.
func New(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Log == nil || cfg.State == nil || cfg.Transactor == nil {
		return nil, errors.New("kafka: a log, a state store and a transactor are needed")
	}
	if err := cfg.setProperties(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, log: topicLog{cfg.Log}, state: cfg.State, clock: cfg.Clock, logger: cfg.Logger,
		answers: wire.NewBudget(cfg.MaxAnswerBytes), beyond: wire.NewBudget(max(cfg.MaxAnswerBytes/beyondPart, beyondBatch)), plain: wire.NewBudget(maxPlain), recoded: wire.NewBudget(2 * maxRecoded),
	}
	var err error
	if s.listeners, err = cfg.listeners(); err != nil {
		return nil, err
	}
	if s.clusterID, err = clusterID(ctx, cfg.State, cfg.Random); err != nil {
		return nil, fmt.Errorf("kafka cluster id: %w", err)
	}
	if s.users, err = scram.Open(ctx, cfg.State, cfg.Random); err != nil {
		return nil, err
	}
	s.attempts = sasl.NewAttempts(cfg.Clock)
	s.sessions = newFetchSessions(cfg.MaxFetchSessions, cfg.Clock, cfg.Random)
	if err = s.openBrokerConfigs(ctx); err != nil {
		return nil, err
	}
	if s.configs, err = groupconfig.Open(ctx, cfg.State, groupconfig.All(consumerBounds(cfg.Groups), shareBounds(&cfg), streamsBounds(cfg.Groups))); err != nil {
		return nil, err
	}
	if s.subscriptions, err = telemetry.OpenSubscriptions(ctx, cfg.State); err != nil {
		return nil, err
	}
	s.telemetry = telemetry.NewReceiver(cfg.Telemetry, s.subscriptions, cfg.Clock, cfg.Random)
	s.offsets = offsets.New(offsets.Deps{Log: s.log, Clock: cfg.Clock, Logger: cfg.Logger})
	s.groups, err = group.New(ctx, cfg.Groups, group.Deps{
		Log: cfg.Log, Names: s.log, Store: cfg.State, Clock: cfg.Clock, Random: cfg.Random, Logger: cfg.Logger, Settings: s.consumerSettings, StreamsSettings: s.streamsSettings,
		Journal: s.offsets,
	})
	if err != nil {
		return nil, err
	}
	if s.shares, err = newShares(ctx, s); err != nil {
		return nil, err
	}
	s.txns, err = txn.New(ctx, cfg.Transactions, txn.Deps{
		Log: transactionLog{s.log, cfg.Transactor}, Groups: s.groups, Store: cfg.State, Clock: cfg.Clock, Logger: cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	s.apis = table()
	s.authorizer = newAuthorizer(cfg.ACLs, cfg.Policies)
	limits := cfg.Limits
	limits.Listeners, limits.Clock, limits.Logger, limits.Handler = wireListeners(s.listeners), cfg.Clock, cfg.Logger, s
	limits.Admit, limits.Pace, limits.Answers = s.admit, s.paceConnections, s.beyond
	if s.wire, err = wire.New(limits); err != nil {
		return nil, err
	}
	return s, s.applyBrokerConfigs(ctx)
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
	orDefault(&c.FailureDelay, DefaultFailureDelay)
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
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

// Authentications returns how many clients have yet to prove who they are, and how many proofs have failed.
func (s *Server) Authentications() (pending int, failed int64) {
	return s.wire.Guests(), s.attempts.Count()
}

// Run serves until ctx ends, then lets what is being served finish. Nothing of the server runs when it returns.
func (s *Server) Run(ctx context.Context) error {
	coordinators, stop := context.WithCancel(context.WithoutCancel(ctx)) // until the last request is served
	var done sync.WaitGroup
	done.Go(func() { s.groups.Run(coordinators) })
	done.Go(func() { s.offsets.Run(coordinators, s.groups) })
	done.Go(func() { s.shares.Run(coordinators) })
	done.Go(func() { s.txns.Run(coordinators) })
	if s.cfg.Tokens != nil {
		done.Go(func() { s.cfg.Tokens.Run(coordinators) })
	}
	err := s.wire.Run(ctx)
	stop()
	done.Wait()
	return err
}
