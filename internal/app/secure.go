package app

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"strconv"

	"github.com/freshet/freshet/internal/govern/delegation"
	"github.com/freshet/freshet/internal/govern/principal"
	"github.com/freshet/freshet/internal/protocol/kafka"
	"github.com/freshet/freshet/internal/protocol/kafka/sasl"
	"github.com/freshet/freshet/internal/tlsfiles"
)

// openCertificates returns the configuration of all addresses with TLS, nil if there are none: with the certificate of the user's files, or of
// the node's own authority.
func (n *Node) openCertificates() (*tls.Config, error) {
	needed := n.listeners.awsTLS != nil || slices.ContainsFunc(n.listeners.kafka, func(l openListener) bool { return l.tls })
	if !needed {
		return nil, nil //nolint:nilnil // nothing is to be secured
	}
	return n.serverCertificates()
}

// serverCertificates returns what openCertificates does, whether or not an address has TLS: clusters have it whenever they are made.
func (n *Node) serverCertificates() (*tls.Config, error) {
	if n.config.TLSCertificate != "" {
		own, err := tlsfiles.OpenCertificate(n.config.TLSCertificate, n.config.TLSKey, n.deps.Clock, n.logger.With(partKey, "tls"), &n.files)
		if err != nil {
			return nil, &ConfigError{Key: "tls-certificate", Wrong: err.Error(), Remedy: "give a certificate and its key in PEM"}
		}
		return &tls.Config{MinVersion: tls.VersionTLS12, Time: n.deps.Clock.Now, GetCertificate: own.Get}, nil
	}
	authority, err := n.config.OpenAuthority(n.deps)
	if err != nil {
		return nil, err
	}
	return authority.TLS(), nil
}

// secureListeners returns the open listeners for Kafka clients with what protects each.
func (n *Node) secureListeners(ctx context.Context, tokens *delegation.Book) ([]kafka.Listener, error) {
	mechanisms, err := n.openMechanisms(ctx, tokens)
	if err != nil {
		return nil, err
	}
	rules, err := principal.ParseRules(n.config.KafkaPrincipalRules)
	if err != nil {
		return nil, err
	}
	var clients *tlsfiles.Authorities
	if path := n.config.TLSClientCA; path != "" {
		if clients, err = tlsfiles.OpenAuthorities([]string{path}, n.deps.Clock, n.logger.With(partKey, "tls"), &n.files); err != nil {
			return nil, &ConfigError{Key: "tls-client-ca", Wrong: err.Error(), Remedy: "give certificates in PEM"}
		}
	}
	all := make([]kafka.Listener, len(n.listeners.kafka))
	for i, l := range n.listeners.kafka {
		host, port, err := net.SplitHostPort(l.bootstrap)
		if err != nil {
			return nil, err
		}
		number, err := strconv.ParseInt(port, 10, 32)
		if err != nil {
			return nil, err
		}
		all[i] = kafka.Listener{Name: l.name, Net: l.net, AdvertisedHost: host, AdvertisedPort: int32(number), Rules: rules}
		for _, name := range l.mechanisms {
			all[i].Mechanisms = append(all[i].Mechanisms, mechanisms(l.kafkaListener, name))
		}
		if !l.tls {
			continue
		}
		all[i].TLS = n.certificates.Clone()
		all[i].TLS.DynamicRecordSizingDisabled = true // small records at first help browsers, and cost here
		if l.clients != tls.NoClientCert {
			clients.Trust(all[i].TLS, l.clients)
		}
	}
	return all, nil
}

// openMechanisms returns what makes the ways of SASL that a listener has. A listener takes the tokens of MSK's signers for OAUTHBEARER if it also has
// AWS_MSK_IAM, as MSK does.
func (n *Node) openMechanisms(ctx context.Context, tokens *delegation.Book) (func(l kafkaListener, name string) sasl.Mechanism, error) {
	shared := map[string]sasl.Mechanism{}
	if slices.ContainsFunc(n.listeners.kafka, func(l openListener) bool { return asksPasswords(l.kafkaListener) }) {
		var delegations sasl.Delegations
		if tokens != nil {
			delegations = tokens
		}
		if err := n.openPasswords(ctx, shared, delegations); err != nil {
			return nil, err
		}
	}
	bearer, err := n.openTokens()
	if err != nil {
		return nil, err
	}
	keys := accessKeys(n.config.keys())
	shared[mechanismIAM] = sasl.MSKIAM(keys, n.deps.Clock, n.deps.Random)
	return func(l kafkaListener, name string) sasl.Mechanism {
		if name != mechanismOAuth {
			return shared[name]
		}
		if has(mechanismIAM)(l) {
			return sasl.OAuthBearer(sasl.Either(sasl.IAMTokens(keys, n.deps.Clock), bearer))
		}
		return sasl.OAuthBearer(sasl.Either(nil, bearer))
	}, nil
}
