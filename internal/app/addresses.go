package app

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/freshet/freshet/internal/protocol/aws"
)

// Addresses is where a node is reached.
type Addresses struct {
	Kafka     string         `json:"kafka"`             // bootstrap address for Kafka clients: the first listener's
	Listeners []KafkaAddress `json:"kafka_listeners"`   // all of them
	AWS       string         `json:"aws"`               // endpoint URL for AWS clients
	AWSTLS    string         `json:"aws_tls,omitempty"` // the same over TLS
	Data      string         `json:"data"`              // directory of everything
	Objects   string         `json:"objects"`           // where objects are, as bucket/key: a directory, or in S3 without secret
	Account   string         `json:"account"`
	signature bool           // whether clients must sign with a known key
}

// KafkaAddress is where one of the node's listeners is reached.
type KafkaAddress struct {
	Name     string `json:"name"`
	Protocol string `json:"protocol"` // as Apache Kafka calls what protects it: SASL_SSL for one
	Address  string `json:"address"`  // that clients are told
}

// ObjectsDir returns the directory of the objects in a data directory.
func ObjectsDir(data string) string { return filepath.Join(data, "objects") }

// Addresses returns where the node is reached: the real ports where the configuration asked for port 0.
func (n *Node) Addresses() Addresses {
	a := Addresses{
		Kafka: n.listeners.kafka[0].bootstrap, AWS: endpoint("http", n.listeners.aws.Addr()), Data: n.config.Data, Objects: ShownPlace(n.config.Objects),
		Account: aws.DefaultAccount, signature: n.config.Auth == AuthVerify,
	}
	for _, l := range n.listeners.kafka {
		a.Listeners = append(a.Listeners, KafkaAddress{l.name, l.protocol(), l.bootstrap})
	}
	if n.listeners.awsTLS != nil {
		a.AWSTLS = endpoint("https", n.listeners.awsTLS.Addr())
	}
	return a
}

// endpoint returns the URL at which this machine's clients reach a listener. All interfaces are no address to connect to; one is loopback.
func endpoint(scheme string, listening net.Addr) string {
	address := listening.String()
	if host, port, err := net.SplitHostPort(address); err == nil && net.ParseIP(host).IsUnspecified() {
		address = net.JoinHostPort("127.0.0.1", port)
	}
	return scheme + "://" + address
}

// bootstrapAddress returns what Kafka clients are told to connect to: what the configuration says, else where the node listens. All
// interfaces are no address to connect to; then it is one of this machine's own.
func bootstrapAddress(advertised string, listening net.Addr) (string, error) {
	if advertised != "" {
		return advertised, nil
	}
	host, port, err := net.SplitHostPort(listening.String())
	if err != nil || !net.ParseIP(host).IsUnspecified() {
		return listening.String(), err
	}
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("list interfaces for the address that Kafka clients are told: %w", err)
	}
	own := net.IPv4(127, 0, 0, 1) // of a machine without network
	for _, a := range interfaces {
		network, ok := a.(*net.IPNet)
		if ok && network.IP.IsGlobalUnicast() && (own.IsLoopback() || own.To4() == nil && network.IP.To4() != nil) {
			own = network.IP
		}
	}
	return net.JoinHostPort(own.String(), port), nil
}

// Welcome tells a human where the node is, and what to paste to use it.
func (a Addresses) Welcome() string {
	var b strings.Builder
	fmt.Fprintf(&b, "freshet %s is ready\n\n", Version())
	fmt.Fprintf(&b, "  Kafka    %s\n", a.Kafka)
	for _, l := range a.Listeners {
		if l.Protocol != plainListener {
			fmt.Fprintf(&b, "           %s %s\n", l.Address, l.Protocol)
		}
	}
	fmt.Fprintf(&b, "  AWS      %s\n", a.AWS)
	if a.AWSTLS != "" {
		fmt.Fprintf(&b, "           %s\n", a.AWSTLS)
	}
	fmt.Fprintf(&b, "  Data     %s\n", a.Data)
	fmt.Fprintf(&b, "  Objects  %s\n\n", a.Objects)
	fmt.Fprintf(&b, "  export AWS_ENDPOINT_URL=%s\n", a.AWS)
	if missing := missingVariables(a.signature); missing != "" {
		fmt.Fprintf(&b, "  export %s\n", missing)
	}
	b.WriteString("  aws kinesis list-streams\n")
	fmt.Fprintf(&b, "  kcat -L -b %s\n", a.Kafka)
	list := "ls"
	if InS3(a.Objects) {
		list = "freshet ls --objects"
	}
	fmt.Fprintf(&b, "  %s %s\n\n", list, ShellQuote(a.Objects))
	b.WriteString("Ctrl-C stops.\n")
	return b.String()
}

// missingVariables returns what AWS clients need to be told beside the endpoint, and the environment does not say. The region has two names:
// boto3 and version 1 of the command line read only the second, SDKs for Java and JavaScript only the first.
func missingVariables(signature bool) string {
	var missing []string
	if !signature && os.Getenv("AWS_ACCESS_KEY_ID") == "" {
		missing = append(missing, "AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any")
	}
	first, second := os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")
	if first == "" || second == "" {
		region := ShellQuote(cmp.Or(first, second, "us-east-1"))
		missing = append(missing, "AWS_REGION="+region+" AWS_DEFAULT_REGION="+region)
	}
	return strings.Join(missing, " ")
}

// ShellQuote returns s as one word of a POSIX shell.
func ShellQuote(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune(shellSafe, r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

const shellSafe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+=,"
