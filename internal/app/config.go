package app

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Config is everything a user can say about a node. Each field has one name, in its tag: the flag --name, the environment variable
// FRESHET_NAME and the key in the configuration file. The zero value of each field means its default; what a user
// wrote is checked by ValidateGiven, for which a 0 is a 0.
type Config struct {
	Data            string `name:"data" default:"${data}" help:"Directory of everything the node keeps; made if it is not there."`
	Kafka           string `name:"kafka" default:"${kafka}" help:"Address for Kafka clients."`
	KafkaAdvertised string `name:"kafka-advertised" placeholder:"HOST:PORT" help:"Address that Kafka clients are told to connect to, where it is not the one listened on."`
	AWS             string `name:"aws" default:"${aws}" help:"Address for AWS clients, metrics and health (HTTP)."`
	AWSTLS          string `name:"aws-tls" placeholder:"HOST:PORT" help:"A second address for the same over TLS, with a certificate of the node's own authority (see 'freshet ca')."`
	Insecure        bool   `name:"insecure" help:"Allow addresses other than loopback without authentication and TLS."`

	Auth       string   `name:"auth" default:"${auth}" help:"Signatures of AWS requests: off (any well-formed credentials) or verify (only the access keys)."`
	AccessKeys []string `name:"access-keys" placeholder:"ID:SECRET" help:"Access keys for --auth verify."`

	AcceptAnyRF       *bool `name:"accept-any-rf" negatable:"" help:"Create topics that ask for several replicas with one, and say so in the log (on unless --no-accept-any-rf)."`
	AutoCreateTopics  *bool `name:"auto-create-topics" negatable:"" help:"Create the topics that Kafka clients ask for (on unless --no-auto-create-topics)."`
	DefaultPartitions int   `name:"default-partitions" default:"${partitions}" help:"Partitions of topics created without a number (1 to 10000)."`
	MaxShards         int   `name:"max-shards" default:"${shards}" help:"Shards and partitions of all streams and topics together (1 to 10000000)."`

	TailMemory   Size          `name:"tail-memory" default:"${tail}" help:"Memory for the newest records of all streams (1MiB to 1TiB)."`
	DrainTimeout time.Duration `name:"drain-timeout" default:"${drain}" help:"How long requests in progress have to finish when the node is stopped (1ms to 1h)."`

	LogLevel  string `name:"log-level" default:"${level}" help:"Least important messages logged: debug, info, warn or error."`
	LogFormat string `name:"log-format" default:"${format}" help:"Form of the log on standard error: text or json."`
	Pprof     bool   `name:"pprof" help:"Serve /debug/pprof/ on the AWS addresses."`
}

// The values of Config.Auth.
const (
	AuthOff    = "off"
	AuthVerify = "verify"
)

// Defaults returns the Config that the zero Config stands for.
func Defaults() Config {
	on := true
	return Config{
		Data:              "./freshet-data",
		Kafka:             "127.0.0.1:9092",
		AWS:               "127.0.0.1:4566",
		Auth:              AuthOff,
		AcceptAnyRF:       &on,
		AutoCreateTopics:  &on,
		DefaultPartitions: 1,
		MaxShards:         200_000,
		TailMemory:        64 << 20,
		DrainTimeout:      10 * time.Second,
		LogLevel:          "info",
		LogFormat:         "text",
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
