package transfer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/aws"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Cluster says how a cluster is reached, by the names that Kafka's clients have for it.
type Cluster struct {
	Address      string // host:port, several by commas
	Protocol     string // security.protocol: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL; "" = SASL_SSL with a mechanism, SSL with a file, else PLAINTEXT
	Mechanism    string // sasl.mechanism: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, AWS_MSK_IAM
	User         string
	PasswordFile string // its first line is the password
	CAFile       string // certificates to trust; "" = the system's
	CertFile     string // the client's own, with KeyFile
	KeyFile      string
}

// requestTimeout bounds how long a request is tried again before the transfer begins anew where it was.
const requestTimeout = 10 * time.Second

// metadataAge is how long what a cluster says of its topics is taken for true.
const metadataAge = 20 * time.Millisecond

// maxResponse bounds a response of a broker in bytes.
const maxResponse = 128 << 20

// side is one of the two clusters, reached.
type side struct {
	name   string // "source" or "target", and its address
	client *kgo.Client
	admin  *kadm.Client
}

// dial makes the side's client and sees that it answers.
func dial(ctx context.Context, name string, c Cluster) (*side, error) {
	options, err := c.options(ctx)
	if err != nil {
		return nil, &ConfigError{fmt.Errorf("%s: %w", name, err)}
	}
	client, err := kgo.NewClient(append(options, kgo.ClientID("freshet-transfer"), kgo.RetryTimeout(requestTimeout), kgo.BrokerMaxReadBytes(maxResponse),
		kgo.RequestTimeoutOverhead(requestTimeout), kgo.MetadataMinAge(metadataAge), kgo.ProduceRequestTimeout(requestTimeout))...)
	if err != nil {
		return nil, &ConfigError{fmt.Errorf("%s: %w", name, err)}
	}
	s := &side{name: name + " " + c.Address, client: client, admin: kadm.NewClient(client)}
	s.admin.SetTimeoutMillis(int32(requestTimeout.Milliseconds()))
	if err := client.Ping(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("reach the %s: %w", s.name, err)
	}
	return s, nil
}

func (c *Cluster) options(ctx context.Context) ([]kgo.Opt, error) {
	options := []kgo.Opt{kgo.SeedBrokers(strings.Split(c.Address, ",")...)}
	secure, authenticated, err := c.protocol()
	if err != nil {
		return nil, err
	}
	if secure {
		settings, err := c.tls()
		if err != nil {
			return nil, err
		}
		options = append(options, kgo.DialTLSConfig(settings))
	}
	if !authenticated {
		return options, nil
	}
	mechanism, err := c.mechanism(ctx)
	return append(options, mechanism), err
}

// protocol says whether the connections are over TLS, and whether the client logs in.
func (c *Cluster) protocol() (secure, authenticated bool, err error) {
	protocol := strings.ToUpper(c.Protocol)
	files := c.CAFile != "" || c.CertFile != "" || c.KeyFile != ""
	if protocol == "" {
		switch {
		case c.Mechanism != "":
			protocol = "SASL_SSL"
		case files:
			protocol = "SSL"
		default:
			protocol = "PLAINTEXT"
		}
	}
	authenticated, secure = strings.HasPrefix(protocol, "SASL_"), strings.HasSuffix(protocol, "SSL")
	switch protocol {
	case "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL":
	default:
		return false, false, fmt.Errorf("security protocol %q is none of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL", c.Protocol)
	}
	switch {
	case authenticated && c.Mechanism == "":
		return false, false, fmt.Errorf("security protocol %s needs a SASL mechanism", protocol)
	case !authenticated && (c.Mechanism != "" || c.User != "" || c.PasswordFile != ""):
		return false, false, fmt.Errorf("security protocol %s does not log in, so that it takes no mechanism, user or password", protocol)
	case !secure && files:
		return false, false, fmt.Errorf("security protocol %s has no TLS, so that it takes no certificates", protocol)
	}
	return secure, authenticated, nil
}

func (c *Cluster) tls() (*tls.Config, error) {
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		text, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("certificates to trust: %w", err)
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s has no certificate in PEM form", c.CAFile)
		}
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		return nil, errors.New("a client's certificate needs its key, and the key its certificate")
	}
	if c.CertFile != "" {
		own, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("the client's certificate: %w", err)
		}
		settings.Certificates = []tls.Certificate{own}
	}
	return settings, nil
}

func (c *Cluster) mechanism(ctx context.Context) (kgo.Opt, error) {
	if c.Mechanism == "AWS_MSK_IAM" {
		if c.User != "" || c.PasswordFile != "" {
			return nil, errors.New("AWS_MSK_IAM takes AWS's credentials, not a user and a password")
		}
		loaded, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return nil, fmt.Errorf("AWS's credentials: %w", err)
		}
		return kgo.SASL(aws.ManagedStreamingIAM(func(ctx context.Context) (aws.Auth, error) {
			k, err := loaded.Credentials.Retrieve(ctx)
			return aws.Auth{AccessKey: k.AccessKeyID, SecretKey: k.SecretAccessKey, SessionToken: k.SessionToken}, err
		})), nil
	}
	if c.User == "" || c.PasswordFile == "" {
		return nil, fmt.Errorf("SASL mechanism %s needs a user and a password file", c.Mechanism)
	}
	text, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	password, _, _ := strings.Cut(string(text), "\n")
	password = strings.TrimSuffix(password, "\r")
	switch c.Mechanism {
	case "PLAIN":
		return kgo.SASL(plain.Auth{User: c.User, Pass: password}.AsMechanism()), nil
	case "SCRAM-SHA-256":
		return kgo.SASL(scram.Auth{User: c.User, Pass: password}.AsSha256Mechanism()), nil
	case "SCRAM-SHA-512":
		return kgo.SASL(scram.Auth{User: c.User, Pass: password}.AsSha512Mechanism()), nil
	}
	return nil, fmt.Errorf("SASL mechanism %q is none of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, AWS_MSK_IAM", c.Mechanism)
}
