package kafka

import (
	"crypto/tls"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// clientAuth are the values of ssl.client.auth.
var clientAuth = map[tls.ClientAuthType]string{
	tls.NoClientCert: "none", tls.VerifyClientCertIfGiven: "requested", tls.RequireAndVerifyClientCert: "required",
}

// listenerRows are the broker's configs about its listeners.
func (s *Server) listenerRows() []configRow {
	const (
		list = kmsg.ConfigTypeList
		text = kmsg.ConfigTypeString
	)
	rows := []configRow{
		givenRow("advertised.listeners", list, s.joined((*listener).address), "", "The addresses that clients are told to connect to."),
		givenRow("listeners", list, s.joined(func(l *listener) string { return l.Name + "://" + l.Net.Addr().String() }), "PLAINTEXT://:9092", "Where the broker listens."),
		givenRow("listener.security.protocol.map", text, s.joined(func(l *listener) string { return l.Name + ":" + l.protocol() }),
			"SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", "How each listener is secured."),
	}
	for _, l := range s.listeners {
		if l.authenticates() {
			var names []string
			for _, m := range l.Mechanisms {
				names = append(names, m.Name())
			}
			rows = append(rows, givenRow(l.property("sasl.enabled.mechanisms"), list, strings.Join(names, ","), "", "How clients may prove who they are."))
		}
		if l.TLS != nil {
			rows = append(rows, givenRow(l.property("ssl.client.auth"), text, clientAuth[l.TLS.ClientAuth], clientAuth[tls.NoClientCert], "Whether clients show certificates."))
		}
	}
	return rows
}

// property returns the name of a config that is one listener's own.
func (l *listener) property(name string) string {
	return "listener.name." + strings.ToLower(l.Name) + "." + name
}
