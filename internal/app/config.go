package app

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/tier"
)

// Config is everything a user can say about a node. Each field has one name, in its tag: the flag --name, the environment variable
// FRESHET_NAME and the key in the configuration file. The zero value of each field means its default; what a user
// wrote is checked by ValidateGiven, for which a 0 is a 0.
type Config struct {
	Data            string `name:"data" default:"${data}" help:"Directory of everything the node keeps; made if it is not there."`
	Objects         string `name:"objects" placeholder:"DIR|URL" help:"Where delivered objects go: a directory of this node alone, or s3://BUCKET/PREFIX?region=R&endpoint=URL&path-style=true; without it, a directory in the data directory."`
	Kafka           string `name:"kafka" default:"${kafka}" help:"Address for Kafka clients, without authentication and TLS; none for no such address."`
	KafkaAdvertised string `name:"kafka-advertised" placeholder:"HOST:PORT" help:"Address that Kafka clients are told to connect to, where it is not the one listened on."`
	AWS             string `name:"aws" default:"${aws}" help:"Address for AWS clients, metrics and health (HTTP)."`
	AWSTLS          string `name:"aws-tls" placeholder:"HOST:PORT" help:"A second address for the same over TLS, with a certificate of the node's own authority (see 'freshet ca')."`
	Insecure        bool   `name:"insecure" help:"Allow addresses other than loopback without authentication and TLS."`

	KafkaListeners           []string      `name:"kafka-listeners" placeholder:"NAME://HOST:PORT" help:"More addresses for Kafka clients, each with a name of its own."`
	KafkaAdvertisedListeners []string      `name:"kafka-advertised-listeners" placeholder:"NAME://HOST:PORT" help:"Addresses that clients of these are told to connect to, where they are not those listened on."`
	KafkaSecurityProtocols   []string      `name:"kafka-security-protocols" placeholder:"NAME:PROTOCOL" help:"What protects each of these: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL. A listener that has one of these names needs none."`
	KafkaClientCertificates  []string      `name:"kafka-client-certificates" placeholder:"NAME:WORD" help:"Whether clients of a listener show certificates: none (the default), requested or required."`
	KafkaSASLMechanisms      []string      `name:"kafka-sasl-mechanisms" placeholder:"NAME:MECHANISM+MECHANISM" help:"How clients of a listener with SASL prove who they are: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 (the default is both SCRAM), OAUTHBEARER, AWS_MSK_IAM."`
	KafkaConfigs             []string      `name:"kafka-configs" placeholder:"KEY=VALUE" help:"Broker configs by Apache Kafka's names, as log.retention.hours=24. Those that Kafka lets be altered while a broker runs can be, with its tools."`
	KafkaUsers               []string      `name:"kafka-users" placeholder:"NAME:PASSWORD" help:"Users to make at the first start. Once made, their passwords are changed with Kafka's own tools."`
	KafkaDelegationTokens    *bool         `name:"kafka-delegation-tokens" negatable:"" help:"Let Kafka clients that have proved who they are make delegation tokens, which listeners with SCRAM take (on unless --no-kafka-delegation-tokens)."`
	KafkaMaxReauth           time.Duration `name:"kafka-max-reauth" placeholder:"DURATION" help:"How long what Kafka clients prove by SASL holds, then they must prove it again (1s to 8760h; without it, as long as a token says, or for ever)."`
	KafkaOAuthJWKS           string        `name:"kafka-oauth-jwks" placeholder:"FILE|URL" help:"Public keys (JWKS) of whoever issues tokens for OAUTHBEARER: a file, read again when it changes, or an https URL."`
	KafkaOAuthIssuer         string        `name:"kafka-oauth-issuer" placeholder:"ISSUER" help:"Who must have issued a token (iss)."`
	KafkaOAuthAudience       []string      `name:"kafka-oauth-audience" placeholder:"AUDIENCE" help:"For whom a token must be (aud): one of these."`
	KafkaOAuthScopes         []string      `name:"kafka-oauth-scopes" placeholder:"SCOPE" help:"What a token must allow (scope): all of these."`
	KafkaOAuthSubject        string        `name:"kafka-oauth-subject" default:"${subject}" help:"The claim of a token that says who has it."`
	KafkaOAuthSkew           time.Duration `name:"kafka-oauth-skew" default:"${skew}" help:"How far the clock of a token's issuer may be from this one (1s to 10m)."`
	KafkaOAuthUnsecured      bool          `name:"kafka-oauth-unsecured" help:"Take tokens for OAUTHBEARER without signature, whoever made them. For development."`
	KafkaPrincipalRules      string        `name:"kafka-principal-rules" placeholder:"RULES" help:"How names in certificates become principals: RULE:pattern/replacement/[LU] and DEFAULT, separated by commas."`
	TLSCertificate           string        `name:"tls-certificate" placeholder:"FILE" help:"Certificate in PEM, with those that lead to its authority, instead of one of the node's own authority. Read again when it changes."`
	TLSKey                   string        `name:"tls-key" placeholder:"FILE" help:"Key of --tls-certificate, in PEM."`
	TLSClientCA              string        `name:"tls-client-ca" placeholder:"FILE" help:"Certificates in PEM of the authorities that sign clients' certificates. Read again when it changes."`

	MSKPorts string `name:"msk-ports" default:"${msk}" placeholder:"FIRST-LAST" help:"Ports at which clusters of the MSK API listen, on the host of --aws; 0 for any that are free."`

	MSKAuthorities []string `name:"msk-authorities" placeholder:"ARN=FILE" help:"Certificates in PEM of each certificate authority that clusters of the MSK API may name as the one of their clients. Read again when a file changes."`

	Auth       string   `name:"auth" default:"${auth}" help:"Signatures of AWS requests: off (any well-formed credentials) or verify (only the access keys)."`
	AccessKeys []string `name:"access-keys" placeholder:"ID:SECRET" help:"Access keys for --auth verify, and for Kafka listeners with AWS_MSK_IAM."`

	AccessKeyUsers []string `name:"access-key-users" placeholder:"ID:NAME" help:"IAM users who have these keys; a key without one is the account's root's."`

	KafkaACLs       string `name:"kafka-acls" default:"${acls}" help:"Access control lists of Kafka clients: off (everyone may do everything), on (only what a rule allows), or open (on, and everything to resources that no rule is about)."`
	KafkaSuperUsers string `name:"kafka-super-users" placeholder:"User:NAME;..." help:"Principals that access control lists do not hold back, with semicolons between them."`
	KafkaPolicies   string `name:"kafka-policies" placeholder:"FILE" help:"IAM policy in JSON that says what principals of AWS may do, instead of access control lists."`
	KafkaUnknownIAM string `name:"kafka-unknown-iam" default:"${unknowniam}" help:"What principals of AWS may do whom no statement of --kafka-policies is about: deny (nothing) or allow (everything)."`
	KafkaClusterARN string `name:"kafka-cluster-arn" default:"${clusterarn}" help:"How policies name the node's own Kafka cluster."`

	AcceptAnyRF       *bool `name:"accept-any-rf" negatable:"" help:"Create topics that ask for several replicas with one, and say so in the log (on unless --no-accept-any-rf)."`
	AutoCreateTopics  *bool `name:"auto-create-topics" negatable:"" help:"Create the topics that Kafka clients ask for (on unless --no-auto-create-topics)."`
	DefaultPartitions int   `name:"default-partitions" default:"${partitions}" help:"Partitions of topics created without a number (1 to 10000)."`
	MaxShards         int   `name:"max-shards" default:"${shards}" help:"Shards and partitions of all streams and topics together (1 to 10000000)."`

	TailMemory    Size          `name:"tail-memory" default:"${tail}" help:"Memory for the newest records of all streams (1MiB to 1TiB)."`
	CompactMemory Size          `name:"compact-memory" default:"${compactmemory}" help:"Memory for the keys of a topic while it is compacted; with more keys than fit it is done in several passes (64KiB to 1TiB)."`
	CompactRate   Size          `name:"compact-rate" default:"${compactrate}" help:"Bytes that compaction reads and writes in a second, at most (64KiB to 1TiB)."`
	Tier          string        `name:"tier" placeholder:"DIR|URL" help:"Where the older segments of topics with remote.storage.enable go: a directory, or a place in S3 as for --objects; without it there can be no such topics."`
	TierCache     Size          `name:"tier-cache" default:"${tiercache}" help:"Memory for what is read back from there (1MiB to 1TiB)."`
	DrainTimeout  time.Duration `name:"drain-timeout" default:"${drain}" help:"How long requests in progress have to finish when the node is stopped (1ms to 1h)."`

	LogLevel  string `name:"log-level" default:"${level}" help:"Least important messages logged: debug, info, warn or error."`
	LogFormat string `name:"log-format" default:"${format}" help:"Form of the log on standard error: text or json."`
	Pprof     bool   `name:"pprof" help:"Serve /debug/pprof/ on the AWS addresses."`
}

// The values of Config.Auth.
const (
	AuthOff    = "off"
	AuthVerify = "verify"
)

// The values of Config.KafkaACLs.
const (
	ACLsOff  = "off"
	ACLsOn   = "on"
	ACLsOpen = "open"
)

// The values of Config.KafkaUnknownIAM.
const (
	UnknownDeny  = "deny"
	UnknownAllow = "allow"
)

// Defaults returns the Config that the zero Config stands for.
func Defaults() Config {
	on := true
	return Config{
		Data:                  "./freshet-data",
		Kafka:                 "127.0.0.1:9092",
		AWS:                   "127.0.0.1:4566",
		MSKPorts:              "9192-9255",
		Auth:                  AuthOff,
		KafkaACLs:             ACLsOff,
		KafkaUnknownIAM:       UnknownDeny,
		KafkaClusterARN:       "arn:aws:kafka:us-east-1:000000000000:cluster/freshet/00000000-0000-0000-0000-000000000000-1",
		KafkaDelegationTokens: &on,
		AcceptAnyRF:           &on,
		AutoCreateTopics:      &on,
		DefaultPartitions:     1,
		MaxShards:             200_000,
		TailMemory:            64 << 20,
		CompactMemory:         64 << 20,
		CompactRate:           64 << 20,
		TierCache:             tier.DefaultCacheBytes,
		DrainTimeout:          10 * time.Second,
		KafkaOAuthSubject:     "sub",
		KafkaOAuthSkew:        30 * time.Second,
		LogLevel:              "info",
		LogFormat:             "text",
	}
}

// withDefaults returns c with the zero fields filled in.
func (c Config) withDefaults() Config {
	filled, from := reflect.ValueOf(&c).Elem(), reflect.ValueOf(Defaults())
	for i := range filled.NumField() {
		if f := filled.Field(i); f.IsZero() {
			f.Set(from.Field(i))
		}
	}
	return c
}

// Size is a number of bytes.
type Size int64

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{
	{"kib", 1 << 10},
	{"mib", 1 << 20},
	{"gib", 1 << 30},
	{"tib", 1 << 40},
	{"kb", 1e3},
	{"mb", 1e6},
	{"gb", 1e9},
	{"tb", 1e12},
	{"k", 1 << 10},
	{"m", 1 << 20},
	{"g", 1 << 30},
	{"t", 1 << 40},
	{"b", 1},
}

// UnmarshalText reads a whole number with an optional unit: KiB, MiB, GiB, TiB (or K, M, G, T) by 1024, KB, MB, GB, TB by 1000.
func (s *Size) UnmarshalText(text []byte) error {
	number, unit := strings.ToLower(strings.TrimSpace(string(text))), int64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(number, u.suffix); ok {
			number, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return fmt.Errorf("%q is no size; write a number of bytes, or one with a unit, as 64MiB", text)
	}
	*s = Size(n * unit)
	return nil
}

// String returns the size in the largest unit that divides it.
func (s Size) String() string {
	for _, u := range []struct {
		name  string
		bytes Size
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if s >= u.bytes && s%u.bytes == 0 {
			return fmt.Sprintf("%d%s", s/u.bytes, u.name)
		}
	}
	return fmt.Sprintf("%dB", int64(s))
}
