package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/freshet/freshet/internal/tlsca"
)

// listeners are a node's open addresses.
type listeners struct {
	kafka, aws, awsTLS net.Listener // awsTLS may be nil
	certificates       *tls.Config  // of awsTLS
}

// listen opens the addresses of c. A taken address is an error of the configuration: it names the setting.
func listen(ctx context.Context, c *Config) (*listeners, error) {
	l := &listeners{}
	for _, a := range []struct {
		key, address string
		into         *net.Listener
	}{{"kafka", c.Kafka, &l.kafka}, {"aws", c.AWS, &l.aws}, {"aws-tls", c.AWSTLS, &l.awsTLS}} {
		if a.address == "" {
			continue
		}
		var config net.ListenConfig
		listener, err := config.Listen(ctx, "tcp", a.address)
		if err != nil {
			return nil, errors.Join(&ConfigError{Key: a.key, Wrong: err.Error(), Remedy: "stop what listens there, or give another HOST:PORT"}, l.close())
		}
		*a.into = listener
	}
	return l, nil
}

// AuthorityDir returns where a data directory keeps the node's certificate authority.
func AuthorityDir(data string) string { return filepath.Join(data, "tls") }

// OpenAuthority opens the certificate authority of a node, and makes it the first time.
func (c Config) OpenAuthority(d Deps) (*tlsca.Authority, error) {
	c = c.withDefaults()
	d.setDefaults()
	hosts, err := certificateHosts(c.AWSTLS)
	if err != nil {
		return nil, err
	}
	return tlsca.Open(AuthorityDir(c.Data), hosts, d.Clock, d.Random)
}

// certificateHosts returns the names, beside this machine's local ones, that a certificate for an address must bear: its host, or where it
// means all interfaces, each of them and the machine's name.
func certificateHosts(address string) ([]string, error) {
	host, _, _ := net.SplitHostPort(address)
	if ip := net.ParseIP(host); address == "" || host != "" && !ip.IsUnspecified() {
		if host == "" || isLoopback(address) {
			return nil, nil
		}
		return []string{host}, nil
	}
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list interfaces for the certificate: %w", err)
	}
	var hosts []string
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	for _, a := range interfaces {
		if network, ok := a.(*net.IPNet); ok {
			hosts = append(hosts, network.IP.String())
		}
	}
	return hosts, nil
}

// close closes what is open. Closing what a server has closed already is no error.
func (l *listeners) close() error {
	var errs []error
	for _, open := range []net.Listener{l.kafka, l.aws, l.awsTLS} {
		if open == nil {
			continue
		}
		if err := open.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, fmt.Errorf("close %s: %w", open.Addr(), err))
		}
	}
	return errors.Join(errs...)
}
