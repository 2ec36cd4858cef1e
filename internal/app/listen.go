package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/freshet/freshet/internal/tlsca"
)

// listeners are a node's open addresses.
type listeners struct {
	kafka        []openListener
	aws, awsTLS  net.Listener // awsTLS may be nil
	certificates *tls.Config  // of awsTLS
}

// openListener is an address that is open for Kafka clients.
type openListener struct {
	kafkaListener
	net       net.Listener
	bootstrap string // host:port that clients are told
}

// listen opens the addresses of c. A taken address is an error of the configuration: it names the setting.
func listen(ctx context.Context, c *Config) (*listeners, error) {
	l := &listeners{}
	open := func(key, address string, into *net.Listener) error {
		if address == "" {
			return nil
		}
		var config net.ListenConfig
		listener, err := config.Listen(ctx, "tcp", address)
		if err != nil {
			return &ConfigError{Key: key, Wrong: err.Error(), Remedy: "stop what listens there, or give another HOST:PORT"}
		}
		*into = listener
		return nil
	}
	var err error
	for _, k := range c.kafkaListeners(&validation{}) {
		opened := openListener{kafkaListener: k}
		if err = open(k.key, k.address, &opened.net); err == nil {
			l.kafka = append(l.kafka, opened)
			opened.bootstrap, err = bootstrapAddress(k.advertised, opened.net.Addr())
		}
		if err != nil {
			return nil, errors.Join(err, l.close())
		}
		l.kafka[len(l.kafka)-1] = opened
	}
	if err = open("aws", c.AWS, &l.aws); err == nil {
		err = open("aws-tls", c.AWSTLS, &l.awsTLS)
	}
	if err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// AuthorityDir returns where a data directory keeps the node's certificate authority.
func AuthorityDir(data string) string { return filepath.Join(data, "tls") }

// OpenAuthority opens the certificate authority of a node, and makes it the first time.
func (c Config) OpenAuthority(d Deps) (*tlsca.Authority, error) {
	c = c.withDefaults()
	d.setDefaults()
	var hosts []string
	addresses := []string{c.AWSTLS}
	for _, l := range c.kafkaListeners(&validation{}) {
		if l.tls {
			addresses = append(addresses, l.address, l.advertised)
		}
	}
	if _, told, err := c.clusterHosts(); err == nil {
		addresses = append(addresses, net.JoinHostPort(told, "1"))
	}
	for _, address := range addresses {
		more, err := certificateHosts(address)
		if err != nil {
			return nil, err
		}
		for _, host := range more {
			if !slices.Contains(hosts, host) {
				hosts = append(hosts, host)
			}
		}
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
	all := []net.Listener{l.aws, l.awsTLS}
	for _, k := range l.kafka {
		all = append(all, k.net)
	}
	for _, open := range all {
		if open == nil {
			continue
		}
		if err := open.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, fmt.Errorf("close %s: %w", open.Addr(), err))
		}
	}
	return errors.Join(errs...)
}
