package kafka

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/freshet/freshet/internal/govern/principal"
	"github.com/freshet/freshet/internal/protocol/kafka/sasl"
	"github.com/freshet/freshet/internal/protocol/kafka/wire"
)

// Listener is an address where clients connect, with its own ways to prove who they are. Clients are told the address of the listener that they
// came through, by Metadata, FindCoordinator and DescribeCluster alike.
type Listener struct {
	Name string       // as CLIENTS, unlike the others'
	Net  net.Listener // Run closes it

	AdvertisedHost string // what clients are told to connect to; "" = the listener's address
	AdvertisedPort int32  // 0 = the listener's port

	TLS   *tls.Config     // nil: connections are not encrypted
	Rules principal.Rules // make a principal's name of the name in a client's certificate
	// Mechanisms are the ways of SASL, one of which a client must use; then it is not its certificate that says who it is. None: no SASL.
	Mechanisms []sasl.Mechanism
}

// listener is a Listener with what is known of it once it is open.
type listener struct {
	Listener
	host string
	port int32
}

// defaultListener is the name of Config.Listener, as Apache Kafka names a plain one.
const defaultListener = "PLAINTEXT"

// protocol returns the security protocol's name, as in listener.security.protocol.map.
func (l *listener) protocol() string {
	name := "PLAINTEXT"
	if l.TLS != nil {
		name = "SSL"
	}
	if l.authenticates() {
		name = "SASL_" + name
	}
	return name
}

// authenticates says whether clients must use SASL.
func (l *listener) authenticates() bool { return len(l.Mechanisms) > 0 }

// guarded says whether clients must prove something before they are served.
func (l *listener) guarded() bool { return l.TLS != nil || l.authenticates() }

// address returns the listener as advertised.listeners has it.
func (l *listener) address() string {
	return l.Name + "://" + net.JoinHostPort(l.host, strconv.Itoa(int(l.port)))
}

// listeners returns all that there are, Config.Listener first.
func (c *Config) listeners() ([]*listener, error) {
	all := c.Listeners
	if c.Listener != nil {
		first := Listener{Name: defaultListener, Net: c.Listener, AdvertisedHost: c.AdvertisedHost, AdvertisedPort: c.AdvertisedPort}
		all = append([]Listener{first}, all...)
	}
	if len(all) == 0 {
		return nil, errors.New("kafka: a listener is needed")
	}
	opened := make([]*listener, len(all))
	for i, l := range all {
		for _, other := range opened[:i] {
			if l.Name == other.Name {
				return nil, fmt.Errorf("kafka: two listeners have the name %q", l.Name)
			}
		}
		host, port, err := l.advertised()
		if err != nil {
			return nil, err
		}
		opened[i] = &listener{l, host, port}
	}
	return opened, nil
}

// advertised returns the address that clients are told.
func (l *Listener) advertised() (string, int32, error) {
	host, port := l.AdvertisedHost, l.AdvertisedPort
	listenHost, listenPort, err := net.SplitHostPort(l.Net.Addr().String())
	if err != nil && (host == "" || port == 0) {
		return "", 0, fmt.Errorf("kafka: advertised address of listener %s: %w", l.Net.Addr(), err)
	}
	if host == "" {
		host = listenHost
	}
	if port == 0 {
		n, err := strconv.ParseInt(listenPort, 10, 32)
		if err != nil {
			return "", 0, fmt.Errorf("kafka: port of listener %s: %w", l.Net.Addr(), err)
		}
		port = int32(n)
	}
	return host, port, nil
}

func wireListeners(all []*listener) []wire.Listener {
	opened := make([]wire.Listener, len(all))
	for i, l := range all {
		opened[i] = wire.Listener{Net: l.Net, TLS: l.TLS, Guarded: l.guarded()}
	}
	return opened
}

// certified returns the principal of a client's certificate: anonymous if it has shown none.
func (l *listener) certified(state *tls.ConnectionState) (principal.Principal, error) {
	if state == nil || len(state.PeerCertificates) == 0 {
		return principal.Anonymous, nil
	}
	name, err := principal.DistinguishedName(state.PeerCertificates[0].RawSubject)
	if err != nil {
		return principal.Principal{}, err
	}
	if name, err = l.Rules.Map(name); err != nil {
		return principal.Principal{}, err
	}
	return principal.Of(name), nil
}

// joined returns something of each listener, as lists in configs are written.
func (s *Server) joined(of func(l *listener) string) string {
	parts := make([]string, len(s.listeners))
	for i, l := range s.listeners {
		parts[i] = of(l)
	}
	return strings.Join(parts, ",")
}
