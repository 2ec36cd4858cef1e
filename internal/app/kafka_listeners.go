package app

import (
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/govern/principal"
)

// kafkaListener is one address for Kafka clients as the settings describe it.
type kafkaListener struct {
	name       string // in capitals, as Apache Kafka has them
	key        string // the setting that names it
	address    string
	advertised string // "" = where it listens
	tls        bool
	clients    tls.ClientAuthType // certificates of clients
	sasl       bool
	mechanisms []string // of SASL
}

// plainListener is the name of the listener that --kafka opens.
const plainListener = "PLAINTEXT"

// noListener is the value of --kafka that opens none.
const noListener = "none"

// maxKafkaListeners bounds the listeners of --kafka-listeners.
const maxKafkaListeners = 20

var listenerName = regexp.MustCompile(`^[A-Z0-9_.-]{1,64}$`)

// securityProtocols are those of Apache Kafka.
var securityProtocols = map[string]struct{ tls, sasl bool }{
	"PLAINTEXT": {}, "SSL": {tls: true}, "SASL_PLAINTEXT": {sasl: true}, "SASL_SSL": {true, true},
}

// defaultMechanisms are what a listener with SASL has if nothing else is said: neither sends the password.
var defaultMechanisms = []string{"SCRAM-SHA-256", "SCRAM-SHA-512"}

// clientCertificates are the values of ssl.client.auth.
var clientCertificates = map[string]tls.ClientAuthType{
	"none": tls.NoClientCert, "requested": tls.VerifyClientCertIfGiven, "required": tls.RequireAndVerifyClientCert,
}

// kafkaListeners returns the listeners that the settings describe, --kafka's first, and says what is wrong with the settings.
func (c *Config) kafkaListeners(v *validation) []kafkaListener {
	var all []kafkaListener
	if c.Kafka != noListener {
		all = append(all, kafkaListener{name: plainListener, key: "kafka", address: c.Kafka, advertised: c.KafkaAdvertised})
	}
	for _, text := range c.KafkaListeners {
		name, address, ok := strings.Cut(text, "://")
		name = strings.ToUpper(name)
		switch {
		case !ok || !listenerName.MatchString(name):
			v.wrong("kafka-listeners", fmt.Sprintf("%q is no listener", text), "write NAME://HOST:PORT, as CLIENTS://0.0.0.0:9094, its name of letters, digits and _.-")
		case slices.ContainsFunc(all, func(l kafkaListener) bool { return l.name == name }):
			v.wrong("kafka-listeners", "two listeners are called "+name, "give each its own name; PLAINTEXT is that of --kafka")
		default:
			all = append(all, kafkaListener{name: name, key: "kafka-listeners", address: address})
		}
	}
	if len(c.KafkaListeners) > maxKafkaListeners {
		v.wrong("kafka-listeners", fmt.Sprintf("%d are given", len(c.KafkaListeners)), fmt.Sprintf("give up to %d", maxKafkaListeners))
	}
	if len(all) == 0 {
		v.wrong("kafka", "no address is left for Kafka clients", "give --kafka HOST:PORT or --kafka-listeners")
	}
	c.secureListeners(v, all)
	c.advertiseListeners(v, all)
	return all
}

// secureListeners sets what protects each listener.
func (c *Config) secureListeners(v *validation, all []kafkaListener) {
	given := pairs(v, "kafka-security-protocols", c.KafkaSecurityProtocols, all)
	for i := range all {
		l := &all[i]
		if l.key == "kafka" {
			continue
		}
		protocol, ok := given[l.name]
		if !ok {
			protocol = l.name
		}
		secured, known := securityProtocols[strings.ToUpper(protocol)]
		if !known {
			wrong := fmt.Sprintf("listener %s has the unknown protocol %q", l.name, protocol)
			if !ok {
				wrong = "listener " + l.name + " has none"
			}
			v.wrong("kafka-security-protocols", wrong, "give "+l.name+":PROTOCOL, of "+strings.Join(slices.Sorted(maps.Keys(securityProtocols)), ", "))
		}
		if l.tls, l.sasl = secured.tls, secured.sasl; l.sasl {
			l.mechanisms = defaultMechanisms
		}
	}
	c.certifyClients(v, all)
	c.chooseMechanisms(v, all)
}

// certifyClients sets whose clients show certificates.
func (c *Config) certifyClients(v *validation, all []kafkaListener) {
	for name, value := range pairs(v, "kafka-client-certificates", c.KafkaClientCertificates, all) {
		auth, known := clientCertificates[value]
		if !known {
			v.wrong("kafka-client-certificates", fmt.Sprintf("%q is unknown", value), "give NAME:none, NAME:requested or NAME:required")
		}
		for i := range all {
			if l := &all[i]; l.name == name {
				l.clients = auth
				if !l.tls && auth != tls.NoClientCert {
					v.wrong("kafka-client-certificates", "listener "+name+" has no TLS", "give it the protocol SSL, or none")
				}
			}
		}
	}
}

// chooseMechanisms sets how clients of listeners with SASL prove who they are.
func (c *Config) chooseMechanisms(v *validation, all []kafkaListener) {
	for name, value := range pairs(v, "kafka-sasl-mechanisms", c.KafkaSASLMechanisms, all) {
		i := slices.IndexFunc(all, func(l kafkaListener) bool { return l.name == name })
		if !all[i].sasl {
			v.wrong("kafka-sasl-mechanisms", "listener "+name+" has no SASL", "give it the protocol SASL_SSL, or no mechanisms")
			continue
		}
		all[i].mechanisms = nil
		for mechanism := range strings.SplitSeq(value, "+") {
			mechanism = strings.ToUpper(mechanism)
			if !slices.Contains(saslMechanisms, mechanism) || slices.Contains(all[i].mechanisms, mechanism) {
				v.wrong("kafka-sasl-mechanisms", fmt.Sprintf("%q of listener %s is unknown, or is there twice", mechanism, name),
					"give "+name+":MECHANISM, with a + between several, of "+strings.Join(saslMechanisms, ", "))
				continue
			}
			all[i].mechanisms = append(all[i].mechanisms, mechanism)
		}
	}
}

// advertiseListeners sets the addresses that clients are told.
func (c *Config) advertiseListeners(v *validation, all []kafkaListener) {
	for _, text := range c.KafkaAdvertisedListeners {
		name, address, ok := strings.Cut(text, "://")
		name = strings.ToUpper(name)
		i := slices.IndexFunc(all, func(l kafkaListener) bool { return l.name == name && l.key == "kafka-listeners" })
		switch {
		case !ok || i < 0:
			v.wrong("kafka-advertised-listeners", fmt.Sprintf("%q is of no listener in kafka-listeners", text), "write NAME://HOST:PORT")
		case !canConnect(address):
			v.wrong("kafka-advertised-listeners", fmt.Sprintf("%q is no address that clients can connect to", address), "give HOST:PORT, as broker.example:9092")
		default:
			all[i].advertised = address
		}
	}
}

// pairs reads settings of the form NAME:VALUE, each about a listener, in the order of the listeners' names.
func pairs(v *validation, key string, texts []string, all []kafkaListener) map[string]string {
	values := map[string]string{}
	for _, text := range texts {
		name, value, ok := strings.Cut(text, ":")
		name = strings.ToUpper(name)
		known := slices.ContainsFunc(all, func(l kafkaListener) bool { return l.name == name && l.key == "kafka-listeners" })
		if _, again := values[name]; !ok || !known || again {
			v.wrong(key, fmt.Sprintf("%q is not about one listener of kafka-listeners", text), "write NAME:VALUE, once for each listener")
			continue
		}
		values[name] = value
	}
	return values
}

// canConnect says whether an address is one that clients can be told.
func canConnect(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	port, err := checkAddress(address)
	return err == nil && port != 0 && host != "" && !net.ParseIP(host).IsUnspecified()
}

// protocol returns what protects the listener, as Apache Kafka calls it.
func (l *kafkaListener) protocol() string {
	name := "PLAINTEXT"
	if l.tls {
		name = "SSL"
	}
	if l.sasl {
		name = "SASL_" + name
	}
	return name
}

// validateListeners checks what Kafka's listeners need from other settings, and returns them.
func (c *Config) validateListeners(v *validation) []kafkaListener {
	all := c.kafkaListeners(v)
	if c.KafkaAdvertised != "" && (c.Kafka == noListener || !canConnect(c.KafkaAdvertised)) {
		v.wrong("kafka-advertised", fmt.Sprintf("%q is no address that clients can connect to", c.KafkaAdvertised), "give HOST:PORT, as broker.example:9092")
	}
	encrypted := slices.ContainsFunc(all, func(l kafkaListener) bool { return l.tls })
	certified := slices.ContainsFunc(all, func(l kafkaListener) bool { return l.clients != tls.NoClientCert })
	if (c.TLSCertificate == "") != (c.TLSKey == "") {
		v.wrong("tls-certificate", "it takes both a certificate and its key", "give --tls-certificate FILE and --tls-key FILE, or neither")
	} else if c.TLSCertificate != "" && !encrypted && c.AWSTLS == "" {
		v.wrong("tls-certificate", "no address has TLS", "give a listener the protocol SSL, or leave it out")
	}
	if certified && c.TLSClientCA == "" {
		v.wrong("tls-client-ca", "nobody is named who signs clients' certificates", "give --tls-client-ca FILE, in PEM")
	}
	if !certified && c.TLSClientCA != "" {
		v.wrong("tls-client-ca", "no listener asks for clients' certificates", "give --kafka-client-certificates NAME:required, or leave it out")
	}
	for _, file := range []struct{ key, path string }{{"tls-certificate", c.TLSCertificate}, {"tls-key", c.TLSKey}, {"tls-client-ca", c.TLSClientCA}} {
		if file.path == "" {
			continue
		}
		if _, err := os.Stat(file.path); err != nil {
			v.wrong(file.key, err.Error(), "name a file in PEM")
		}
	}
	if _, err := principal.ParseRules(c.KafkaPrincipalRules); err != nil {
		v.wrong("kafka-principal-rules", err.Error(), "write RULE:pattern/replacement/ or DEFAULT, separated by commas")
	} else if c.KafkaPrincipalRules != "" && !certified {
		v.wrong("kafka-principal-rules", "no listener asks for clients' certificates", "give --kafka-client-certificates NAME:required, or leave it out")
	}
	c.validateUsers(v, all)
	c.validateTokens(v, all)
	return all
}

// exposedListener says what is wrong with a listener that other machines can reach, or "".
func exposedListener(l *kafkaListener) string {
	switch {
	case l.tls && (l.sasl || l.clients == tls.RequireAndVerifyClientCert):
		return ""
	case l.sasl:
		return "and its clients are not encrypted"
	case l.tls:
		return "and its clients are not authenticated"
	}
	return "and its clients are neither authenticated nor encrypted"
}
