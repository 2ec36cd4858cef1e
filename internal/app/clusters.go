package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/acl"
	"github.com/freshet/freshet/internal/govern/scram"
	"github.com/freshet/freshet/internal/protocol/kafka"
	"github.com/freshet/freshet/internal/protocol/kafka/group"
	"github.com/freshet/freshet/internal/protocol/kafka/sasl"
	"github.com/freshet/freshet/internal/protocol/kafka/telemetry"
	"github.com/freshet/freshet/internal/protocol/kafka/txn"
	"github.com/freshet/freshet/internal/protocol/kafka/wire"
	"github.com/freshet/freshet/internal/service/msk"
	"github.com/freshet/freshet/internal/state"
	statespace "github.com/freshet/freshet/internal/state/namespace"
	streamspace "github.com/freshet/freshet/internal/stream/namespace"
	"github.com/freshet/freshet/internal/tlsfiles"
)

// The bounds of one cluster beside those of the node's own listeners: there can be msk.DefaultMaxClusters of them.
const (
	clusterConnections      = 1000
	clusterRequestBytes     = 128 << 20 // of all requests in progress; one can have wire.DefaultMaxRequestBytes
	clusterAnswerBytes      = 64 << 20
	clusterGroupBytes       = 32 << 20
	clusterTransactionBytes = 32 << 20
	clusterTelemetry        = 1000 // clients remembered for what they push
)

// clusters serves the clusters of package msk: each is a Kafka server of its own on a namespace of the node's log and state. It is an msk.Plane.
type clusters struct {
	node       *Node
	host       string // where clusters listen
	advertised string // the host that clients are told
	ports      portRange

	mu     sync.Mutex // guards what follows
	served map[string]*served
	begun  context.Context // of the servers, once Run has been called
	failed chan error      // has room for one
	tls    *tls.Config     // made when the first cluster needs it
	// authorities are those that clusters trust, by their ARNs with spaces between them; opened when the first cluster needs them
	authorities map[string]*tlsfiles.Authorities
}

// served is an open cluster.
type served struct {
	spec    msk.Spec
	sockets []net.Listener
	users   *scram.Users
	server  *kafka.Server
	stop    context.CancelFunc
	done    chan struct{} // closed when the server has ended
}

func newClusters(n *Node) (*clusters, error) {
	ports, err := parsePorts(n.config.MSKPorts)
	if err != nil {
		return nil, err
	}
	c := &clusters{node: n, ports: ports, served: map[string]*served{}, failed: make(chan error, 1), authorities: map[string]*tlsfiles.Authorities{}}
	c.host, c.advertised, err = n.config.clusterHosts()
	return c, err
}

// clusterHosts returns where clusters listen and the host that their clients are told. Clusters let everybody in, so that they are on loopback
// unless the node may be insecure; then they listen where the AWS API does.
func (c *Config) clusterHosts() (host, advertised string, err error) {
	host, _, err = net.SplitHostPort(c.AWS)
	if err != nil {
		return "", "", err
	}
	if !c.Insecure && !isLoopback(c.AWS) {
		return "127.0.0.1", "127.0.0.1", nil
	}
	if told, _, err := net.SplitHostPort(c.KafkaAdvertised); err == nil && !isLoopback(c.AWS) {
		return host, told, nil
	}
	if host != "" && !net.ParseIP(host).IsUnspecified() {
		return host, host, nil
	}
	address, err := bootstrapAddress("", &net.TCPAddr{IP: net.IPv4zero, Port: 1})
	if err != nil {
		return "", "", err
	}
	advertised, _, err = net.SplitHostPort(address)
	return host, advertised, err
}

// Address implements msk.Plane.
func (c *clusters) Address(port int) string { return net.JoinHostPort(c.advertised, fmt.Sprint(port)) }

// Open implements msk.Plane.
func (c *clusters) Open(ctx context.Context, spec msk.Spec) (msk.Ports, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(spec.Ports[msk.IAM]) > 0 && len(c.node.config.AccessKeys) == 0 {
		return nil, fmt.Errorf("%w (--access-keys)", msk.ErrNoKeys)
	}
	c.closeLocked(spec.Namespace)
	s := &served{spec: spec, done: make(chan struct{})}
	config, err := c.configLocked(ctx, spec)
	if err != nil {
		return nil, err
	}
	if s.users, err = scram.Open(ctx, config.State, c.node.deps.Random); err != nil {
		return nil, err
	}
	got, err := c.listenLocked(ctx, s, &config)
	if err == nil {
		err = c.node.openGovernance(ctx, &config, spec.ARN)
	}
	if err == nil {
		s.server, err = kafka.New(ctx, config)
	}
	if err != nil {
		return nil, errors.Join(err, closeAll(s.sockets))
	}
	c.served[spec.Namespace] = s
	if c.begun != nil {
		c.runLocked(s)
	}
	return got, nil
}

// configLocked returns what a server of the cluster is made of, but for its listeners.
func (c *clusters) configLocked(ctx context.Context, spec msk.Spec) (kafka.Config, error) {
	n := c.node
	log, err := streamspace.New(n.clientsLog(), spec.Namespace)
	if err != nil {
		return kafka.Config{}, err
	}
	store, err := statespace.New(n.engine.State(), spec.Namespace)
	if err != nil {
		return kafka.Config{}, err
	}
	config := kafka.Config{
		Log: log, State: store, Transactor: clusterTransactor{n.engine, log, store}, Clock: n.deps.Clock, Random: n.deps.Random, Logger: n.logger.With(partKey, "kafka", "cluster", spec.Name),
		NodeID: 1, DataDir: n.config.Data, AcceptAnyRF: true, Tier: n.extents(), DiskSpace: n.diskSpace, Observe: n.observer.kafka, MaxAnswerBytes: clusterAnswerBytes,
		Groups: group.Config{MaxBytes: clusterGroupBytes, MaxGroupBytes: clusterGroupBytes / 2}, Transactions: txn.Config{MaxBytes: clusterTransactionBytes},
		Telemetry: telemetry.Config{MaxInstances: clusterTelemetry, Board: n.board, Cluster: spec.Name},
		Limits: wire.Config{
			DrainTimeout: n.config.DrainTimeout, MaxConnections: min(clusterConnections, n.connections.kafka), MaxInFlightBytes: clusterRequestBytes,
		},
	}
	// MSK's brokers let everybody do what no rule is about, unless allow.everyone.if.no.acl.found is false.
	if config.ACLs, err = acl.Open(ctx, store, acl.Config{Open: spec.Properties[openACLs] != "false"}); err != nil {
		return kafka.Config{}, err
	}
	config.Properties = brokerProperties(spec.Properties)
	return config, nil
}

// listenLocked opens the listeners of a cluster: first at the ports that it had, then at others.
func (c *clusters) listenLocked(ctx context.Context, s *served, config *kafka.Config) (msk.Ports, error) {
	got := msk.Ports{}
	add := func(access msk.Access, index int, socket net.Listener) error {
		s.sockets = append(s.sockets, socket)
		got[access][index] = socket.Addr().(*net.TCPAddr).Port
		l := kafka.Listener{
			Name: fmt.Sprintf("%s_%d", access, index+1), Net: socket, AdvertisedHost: c.advertised, AdvertisedPort: int32(got[access][index]),
		}
		var err error
		if access != msk.Plaintext {
			l.TLS, err = c.certificatesLocked()
		}
		if access == msk.TLS && err == nil {
			err = c.trustLocked(l.TLS, s.spec)
		}
		if access == msk.Scram {
			l.Mechanisms = []sasl.Mechanism{sasl.Scram(scram.SHA512, s.users, nil, c.node.deps.Random)}
		}
		if access == msk.IAM {
			keys := accessKeys(c.node.config.keys())
			l.Mechanisms = []sasl.Mechanism{
				sasl.MSKIAM(keys, c.node.deps.Clock, c.node.deps.Random), sasl.OAuthBearer(sasl.Either(sasl.IAMTokens(keys, c.node.deps.Clock), nil)),
			}
		}
		config.Listeners = append(config.Listeners, l)
		return err
	}
	for _, again := range []bool{true, false} {
		for _, access := range msk.Accesses {
			for index, wanted := range s.spec.Ports[access] {
				if got[access] == nil {
					got[access] = make([]int, len(s.spec.Ports[access]))
				}
				if got[access][index] != 0 || again && !c.ports.has(wanted) {
					continue
				}
				socket, err := c.socketLocked(ctx, wanted, again)
				if socket == nil && err == nil {
					continue // taken meanwhile
				}
				if err == nil {
					err = add(access, index, socket)
				}
				if err != nil {
					return nil, err
				}
			}
		}
	}
	slices.SortFunc(config.Listeners, func(a, b kafka.Listener) int { return strings.Compare(a.Name, b.Name) })
	return got, nil
}

// socketLocked opens a port: the one that is wanted, or nothing, if only that will do, else any of the range.
func (c *clusters) socketLocked(ctx context.Context, wanted int, only bool) (net.Listener, error) {
	var config net.ListenConfig
	listen := func(port int) net.Listener {
		socket, err := config.Listen(ctx, "tcp", net.JoinHostPort(c.host, fmt.Sprint(port)))
		if err != nil {
			c.node.logger.Debug("port of a cluster cannot be had", "port", port, "error", err)
			return nil
		}
		return socket
	}
	if only {
		return listen(wanted), nil
	}
	for port := c.ports.first; port <= c.ports.last; port++ {
		if c.usedLocked(port) {
			continue
		}
		if socket := listen(port); socket != nil {
			return socket, nil
		}
	}
	return nil, fmt.Errorf("%w of %s (--msk-ports)", msk.ErrNoPorts, c.ports)
}

// usedLocked tells whether a cluster has the port, without trying.
func (c *clusters) usedLocked(port int) bool {
	for _, s := range c.served {
		for _, socket := range s.sockets {
			if port != 0 && socket.Addr().(*net.TCPAddr).Port == port {
				return true
			}
		}
	}
	return false
}

// certificatesLocked returns the TLS configuration of clusters: with the user's certificate, or one of the node's own authority for the host that
// clients are told.
func (c *clusters) certificatesLocked() (*tls.Config, error) {
	if c.tls == nil {
		made, err := c.node.serverCertificates()
		if err != nil {
			return nil, err
		}
		made.DynamicRecordSizingDisabled = true
		c.tls = made
	}
	return c.tls.Clone(), nil
}

// trustLocked makes a listener of a cluster ask for certificates of the authorities that the cluster names, if it names any.
func (c *clusters) trustLocked(config *tls.Config, spec msk.Spec) error {
	if len(spec.Authorities) == 0 {
		return nil
	}
	names := strings.Join(spec.Authorities, " ")
	if c.authorities[names] == nil {
		var paths []string
		known := c.node.config.authorityFiles()
		for _, arn := range spec.Authorities {
			if known[arn] == "" {
				return fmt.Errorf("%w: %s (--msk-authorities)", msk.ErrNoAuthority, arn)
			}
			paths = append(paths, known[arn])
		}
		opened, err := tlsfiles.OpenAuthorities(paths, c.node.deps.Clock, c.node.logger.With(partKey, "tls"), &c.node.files)
		if err != nil {
			return fmt.Errorf("%w: %w", msk.ErrNoAuthority, err)
		}
		c.authorities[names] = opened
	}
	auth := tls.RequireAndVerifyClientCert
	if spec.Anybody {
		auth = tls.VerifyClientCertIfGiven
	}
	c.authorities[names].Trust(config, auth)
	return nil
}

// runLocked starts the server of a cluster.
func (c *clusters) runLocked(s *served) {
	ctx, stop := context.WithCancel(c.begun)
	s.stop = stop
	go func() {
		defer close(s.done)
		if err := s.server.Run(ctx); err != nil {
			select {
			case c.failed <- fmt.Errorf("serve cluster %s: %w", s.spec.Name, err):
			default: // one is enough to end the node
			}
		}
	}()
}

// closeLocked ends the serving of a cluster, if it is served, when its requests in progress are done.
func (c *clusters) closeLocked(namespace string) {
	s := c.served[namespace]
	if s == nil {
		return
	}
	delete(c.served, namespace)
	if s.stop == nil { // it never ran
		_ = closeAll(s.sockets)
		return
	}
	s.stop()
	<-s.done
}

func closeAll(sockets []net.Listener) error {
	var errs []error
	for _, socket := range sockets {
		if err := socket.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Drop implements msk.Plane.
func (c *clusters) Drop(ctx context.Context, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeLocked(name)
	log, err := streamspace.New(c.node.clientsLog(), name)
	if err != nil {
		return err
	}
	store, err := statespace.New(c.node.engine.State(), name)
	if err != nil {
		return err
	}
	return errors.Join(log.Drop(ctx), store.Drop(ctx))
}

// SetUsers implements msk.Plane.
func (c *clusters) SetUsers(ctx context.Context, namespace string, passwords map[string]string, remove []string) error {
	c.mu.Lock()
	s := c.served[namespace]
	c.mu.Unlock()
	if s == nil {
		return fmt.Errorf("cluster of namespace %s is not served", namespace)
	}
	for name, password := range passwords {
		credential, err := scram.Of(scram.SHA512, password, scram.MinIterations, c.node.deps.Random)
		if err == nil {
			err = s.users.Alter(ctx, name, map[scram.Mechanism]*scram.Credential{scram.SHA512: &credential})
		}
		if err != nil {
			return fmt.Errorf("set the password of user %q: %w", name, err)
		}
	}
	for _, name := range remove {
		err := s.users.Alter(ctx, name, map[scram.Mechanism]*scram.Credential{scram.SHA512: nil})
		if err != nil && !errors.Is(err, state.ErrNotFound) {
			return fmt.Errorf("remove user %q: %w", name, err)
		}
	}
	return nil
}

// Request implements msk.Plane.
func (c *clusters) Request(ctx context.Context, namespace string, req kmsg.Request) (kmsg.Response, error) {
	c.mu.Lock()
	s := c.served[namespace]
	c.mu.Unlock()
	if s == nil {
		return nil, fmt.Errorf("cluster of namespace %s is not served", namespace)
	}
	return s.server.Request(ctx, req)
}

// Run serves the clusters that are open, and those opened later, until ctx ends or one fails. When it returns nothing of them runs.
func (c *clusters) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	c.mu.Lock()
	c.begun = ctx
	for _, s := range c.served {
		c.runLocked(s)
	}
	c.mu.Unlock()
	var err error
	select {
	case <-ctx.Done():
	case err = <-c.failed:
	}
	stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for namespace := range c.served {
		c.closeLocked(namespace)
	}
	return err
}

// close ends what was opened and never ran.
func (c *clusters) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for namespace := range c.served {
		c.closeLocked(namespace)
	}
}
