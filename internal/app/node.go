// Package app makes a node: it wires the log, the protocols, the services and the flows from one Config, and is the only package that sees
// all of them. Start opens a Node, Node.Run serves until it is told to stop; Config says what a user can say, and Validate what is wrong
// with it. Access is a line of the node's access log.
//
// It refuses to know what a request means: it opens, joins and closes, in the right order.
package app

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/freshet/freshet/internal/backend/s3"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/engine"
	"github.com/freshet/freshet/internal/govern/iam"
	"github.com/freshet/freshet/internal/govern/quota"
	"github.com/freshet/freshet/internal/protocol/aws"
	"github.com/freshet/freshet/internal/protocol/kafka"
	"github.com/freshet/freshet/internal/protocol/kafka/telemetry"
	"github.com/freshet/freshet/internal/service/firehose"
	"github.com/freshet/freshet/internal/service/kinesis"
	"github.com/freshet/freshet/internal/service/msk"
	"github.com/freshet/freshet/internal/service/secrets"
	"github.com/freshet/freshet/internal/tier"
	"github.com/freshet/freshet/internal/vfs"
	"github.com/freshet/freshet/internal/watchfile"
)

// Deps are what a node takes from its surroundings. The zero value of each means the real one.
type Deps struct {
	Logger *slog.Logger // NewLogger's, or another whose handler passes what Config.LogLevel does; nil = no log
	Clock  clock.Clock  // nil = the operating system's
	Random io.Reader    // of all parts, at once if they please; nil = crypto/rand
	FS     vfs.FS       // of the log; nil = the operating system's
	// Access, if set, is told of each request to the node's API when it has been answered. It is called from many goroutines and must
	// not block.
	Access func(Access)
}

// StorageError says that the log has failed: a read, write or fsync did not succeed, and what was being written may be on the disk or not. What was
// acknowledged before is safe; a new start recovers it.
type StorageError struct{ Err error }

// Error is what a user reads last on the terminal.
func (e *StorageError) Error() string {
	return "the log has failed and the node stops: " + e.Err.Error()
}

// Unwrap returns what failed.
func (e *StorageError) Unwrap() error { return e.Err }

// storageError makes an error of opening or closing the log a *StorageError if the disk has failed.
func storageError(err error) error {
	var failed *engine.DiskError
	if errors.As(err, &failed) {
		return &StorageError{err}
	}
	return err
}

// Node is a running node: its addresses are open, its log is recovered. Run serves.
type Node struct {
	config  Config
	deps    Deps
	loggers *Loggers // the levels of logger
	log     *LogLimiter
	logger  *slog.Logger // log's

	listeners    *listeners
	connections  connectionBounds
	files        watchfile.Counts // of all files that are read again
	policies     iam.Policies     // of principals of AWS; nil if there are none
	quotas       *quota.Book      // of the node's own Kafka clients
	certificates *tls.Config      // of all addresses with TLS; nil if there are none
	engine       *engine.Engine
	tier         *tier.Log   // nil without Config.Tier
	remote       []*s3.Store // those of the objects' places that are in S3
	kafka        *kafka.Server
	streams      *kinesis.Service
	delivery     *firehose.Service
	msk          *msk.Service
	secrets      *secrets.Service
	clusters     *clusters
	door         *aws.FrontDoor
	metrics      *metrics
	board        *telemetry.Board // of Kafka clients' own metrics
	observer     *observer

	draining atomic.Bool // no more requests are wanted
	failure  atomic.Pointer[error]
}

// Start checks the configuration, opens the addresses and the log, and returns a node that waits for Run; clients that connect before that wait
// too. If Start fails nothing is left open.
func Start(ctx context.Context, c Config, deps Deps) (*Node, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	n := &Node{config: c.withDefaults(), deps: deps}
	n.deps.setDefaults()
	handler := leveled(n.deps.Logger, n.config.level())
	n.loggers = handler.loggers
	n.log = LimitLog(slog.New(handler), n.deps.Clock)
	n.logger = n.log.Logger()
	if err := n.open(ctx); err != nil {
		return nil, errors.Join(err, n.letGo())
	}
	return n, nil
}

func (d *Deps) setDefaults() {
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.Clock == nil {
		d.Clock = clock.Real()
	}
	if d.Random == nil {
		d.Random = rand.Reader
	}
}

// open makes the parts of the node, lowest first.
func (n *Node) open(ctx context.Context) (err error) {
	began := n.deps.Clock.Now()
	if n.config.Data, err = filepath.Abs(n.config.Data); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if n.config.Objects, err = ObjectsPlace(n.config.Data, n.config.Objects); err != nil {
		return fmt.Errorf("objects: %w", err)
	}
	if n.listeners, err = listen(ctx, &n.config); err != nil {
		return err
	}
	if err = n.limitConnections(); err != nil {
		return err
	}
	if n.engine, err = n.openEngine(ctx); err != nil {
		return storageError(err)
	}
	if n.certificates, err = n.openCertificates(); err != nil {
		return err
	}
	n.listeners.certificates = n.certificates
	if n.tier, err = n.openTier(ctx); err != nil {
		return err
	}
	if n.policies, err = n.openPolicies(); err != nil {
		return err
	}
	n.metrics = newMetrics(Version())
	n.board = telemetry.NewBoard(telemetry.BoardConfig{}, n.deps.Clock)
	n.observer = newObserver(n.metrics, n.logger.With(partKey, "requests"), n.deps.Access)
	if n.delivery, err = n.openFirehose(ctx); err != nil {
		return err
	}
	if n.kafka, err = n.openKafka(ctx); err != nil {
		return err
	}
	if n.streams, err = n.openKinesis(ctx); err != nil {
		return err
	}
	if err = n.openMSK(ctx); err != nil {
		return err
	}
	if n.door, err = n.openFrontDoor(); err != nil {
		return err
	}
	n.watchFigures()
	n.logStart(n.deps.Clock.Now().Sub(began))
	return nil
}

// logStart says where the node listens, as the system has it: what is open to other machines shows. Addresses are for clients of this one.
func (n *Node) logStart(took time.Duration) {
	about := []any{"version", Version(), "data", n.config.Data}
	for _, l := range n.listeners.kafka {
		name := "kafka"
		if l.key != name {
			name += "_" + strings.ToLower(l.name)
		}
		about = append(about, name, l.net.Addr().String(), name+"_advertised", l.bootstrap)
	}
	about = append(about, "aws", n.listeners.aws.Addr().String())
	if n.listeners.awsTLS != nil {
		about = append(about, "aws_tls", n.listeners.awsTLS.Addr().String())
	}
	n.logger.Info("node started", append(about, "took", took.Round(time.Microsecond))...)
}

// letGo closes what open has opened. Used only if Start fails; Run closes otherwise.
func (n *Node) letGo() error {
	defer n.log.Close()
	var errs []error
	if n.listeners != nil {
		errs = append(errs, n.listeners.close())
	}
	if n.clusters != nil {
		n.clusters.close()
	}
	n.closeTier()
	if n.engine != nil {
		errs = append(errs, n.engine.Close())
	}
	return errors.Join(errs...)
}

// Run serves until ctx ends, then takes no more, lets requests in progress finish within Config.DrainTimeout, and closes the log. When it
// returns nothing of the node runs. The error is a *StorageError if the log failed, nil after a stop that was asked for. It may be called once.
func (n *Node) Run(ctx context.Context) error {
	defer n.log.Close()
	work, fail := context.WithCancelCause(context.WithoutCancel(ctx)) // ends hard, when the log fails
	defer fail(nil)
	serving, stop := context.WithCancel(work) // ends softly
	defer stop()
	defer context.AfterFunc(ctx, func() {
		n.draining.Store(true)
		n.logger.Info("stopping")
		stop()
	})()

	var watching sync.WaitGroup
	watching.Go(func() { n.watchEngine(work, fail) })
	watching.Go(func() { n.limitDrain(serving, work) })
	err := n.serve(serving, work)
	fail(nil)
	watching.Wait()
	n.closeTier()
	closed := storageError(n.engine.Close())
	if failure := n.failure.Load(); failure != nil {
		return *failure
	}
	if err = errors.Join(err, closed); err == nil {
		n.logger.Info("stopped")
	}
	return err
}

// watchEngine ends everything if the log fails.
func (n *Node) watchEngine(ctx context.Context, fail context.CancelCauseFunc) {
	select {
	case err := <-n.engine.Fatal():
		var failure error = &StorageError{err}
		n.failure.Store(&failure)
		n.logger.Error("log failed", "error", err)
		fail(failure)
	case <-ctx.Done():
	}
}

// limitDrain ends what waits in the log for space on a full disk, once serving has ended and the requests in progress have had their time: only
// when they have ended is the log closed. hard ends it.
func (n *Node) limitDrain(serving, hard context.Context) {
	<-serving.Done()
	timer := n.deps.Clock.NewTimer(n.config.DrainTimeout)
	defer timer.Stop()
	select {
	case <-timer.C():
		n.engine.GiveUp()
	case <-hard.Done():
	}
}

// serve runs everything until soft ends, in two steps: first the clients' requests are let finish, then the flows write what they have
// taken. Both end at once if one of them fails, or when hard ends.
func (n *Node) serve(soft, hard context.Context) error {
	group, hard := errgroup.WithContext(hard)
	clients, stopClients := context.WithCancel(hard)
	defer stopClients()
	defer context.AfterFunc(soft, stopClients)()
	flows, stopFlows := context.WithCancel(hard)
	defer stopFlows()
	group.Go(func() error { return n.delivery.Run(flows) })
	if n.tier != nil {
		group.Go(func() error { return n.tier.Run(flows) })
	}
	for _, store := range n.remote {
		group.Go(func() error { return store.Run(flows) })
	}
	group.Go(func() error {
		defer stopFlows()
		return n.serveClients(clients)
	})
	return group.Wait()
}

func (n *Node) serveClients(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return n.kafka.Run(ctx) })
	group.Go(func() error { return n.streams.Run(ctx) })
	group.Go(func() error { return n.clusters.Run(ctx) })
	group.Go(func() error { return n.door.Serve(ctx, n.listeners.aws, n.listeners.awsTLS, n.listeners.certificates) })
	return group.Wait()
}
