package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
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
