package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// ConfigError is one thing wrong in a Config. Validate joins all of them.
type ConfigError struct {
	Key    string // the name of the setting
	Wrong  string // what is wrong
	Remedy string // what to do about it
}

// Error is one line: "key: what is wrong; what to do".
func (e *ConfigError) Error() string { return e.Key + ": " + e.Wrong + "; " + e.Remedy }

// The bounds of Config's numbers.
const (
	minTailMemory    = 1 << 20
	maxTailMemory    = 1 << 40
	minTierCache     = 1 << 20
	maxTierCache     = 1 << 40
	minCompact       = 64 << 10
	maxCompact       = 1 << 40
	maxPartitions    = 10_000
	maxMaxShards     = 10_000_000
	minDrainTimeout  = time.Millisecond
	maxDrainTimeout  = time.Hour
	maxAccessKeys    = 1000
	maxAccessKeyText = 256
)

// Validate says everything that is wrong with c, each with its key and remedy, or nil. It starts and changes nothing.
func (c Config) Validate() error { return c.withDefaults().validate() }

// ValidateGiven is Validate for a Config whose every number was given, by a user or by Defaults. None of them may be 0, and a 0 that a user
// wrote must not mean the default in silence.
func (c Config) ValidateGiven() error {
	filled := c.withDefaults()
	filled.CompactMemory, filled.CompactRate = c.CompactMemory, c.CompactRate
	filled.DefaultPartitions, filled.MaxShards, filled.TailMemory, filled.DrainTimeout = c.DefaultPartitions, c.MaxShards, c.TailMemory, c.DrainTimeout
	filled.KafkaOAuthSkew, filled.TierCache = c.KafkaOAuthSkew, c.TierCache
	return filled.validate()
}

func (c Config) validate() error {
	v := &validation{}
	if info, err := os.Stat(c.Data); err == nil && !info.IsDir() {
		v.wrong("data", fmt.Sprintf("%s is a file", c.Data), "name a directory")
	}
	if err := checkPlace(c.Objects); err != nil {
		v.wrong("objects", err.Error(), placeForm)
	}
	if err := checkPlace(c.Tier); err != nil {
		v.wrong("tier", err.Error(), placeForm)
	}
	c.validateAddresses(v)
	c.validateAuth(v)
	if _, err := parsePorts(c.MSKPorts); err != nil {
		v.errs = append(v.errs, err)
	}
	c.validateAuthorities(v)
	c.validateACLs(v)
	c.validatePolicies(v)
	c.kafkaConfigs(v)
	if c.DefaultPartitions < 1 || c.DefaultPartitions > maxPartitions {
		v.wrong("default-partitions", strconv.Itoa(c.DefaultPartitions)+" is out of bounds", fmt.Sprintf("give 1 to %d", maxPartitions))
	}
	if c.MaxShards < 1 || c.MaxShards > maxMaxShards {
		v.wrong("max-shards", strconv.Itoa(c.MaxShards)+" is out of bounds", fmt.Sprintf("give 1 to %d", maxMaxShards))
	}
	v.size("tail-memory", c.TailMemory, minTailMemory, maxTailMemory)
	v.size("compact-memory", c.CompactMemory, minCompact, maxCompact)
	v.size("tier-cache", c.TierCache, minTierCache, maxTierCache)
	v.size("compact-rate", c.CompactRate, minCompact, maxCompact)
	if c.KafkaMaxReauth != 0 && c.KafkaMaxReauth < minReauth || c.KafkaMaxReauth > maxReauth {
		v.wrong("kafka-max-reauth", c.KafkaMaxReauth.String()+" is out of bounds", fmt.Sprintf("give %s to %s", minReauth, maxReauth))
	}
	if c.DrainTimeout < minDrainTimeout || c.DrainTimeout > maxDrainTimeout {
		v.wrong("drain-timeout", c.DrainTimeout.String()+" is out of bounds", fmt.Sprintf("give %s to %s", minDrainTimeout, maxDrainTimeout))
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		v.wrong("log-level", fmt.Sprintf("%q is no level", c.LogLevel), "give debug, info, warn or error")
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		v.wrong("log-format", fmt.Sprintf("%q is no format", c.LogFormat), "give text or json")
	}
	return errors.Join(v.errs...)
}

type validation struct{ errs []error }

func (v *validation) wrong(key, wrong, remedy string) {
	v.errs = append(v.errs, &ConfigError{Key: key, Wrong: wrong, Remedy: remedy})
}

func (v *validation) size(key string, size, least, most Size) {
	if size < least || size > most {
		v.wrong(key, size.String()+" is out of bounds", fmt.Sprintf("give %s to %s", least, most))
	}
}

func (c *Config) validateAddresses(v *validation) {
	taken := map[string]string{}
	type address struct {
		key, address string
		listener     *kafkaListener
	}
	var all []address
	for _, l := range c.validateListeners(v) {
		all = append(all, address{l.key, l.address, &l})
	}
	if all = append(all, address{"aws", c.AWS, nil}); c.AWSTLS != "" {
		all = append(all, address{"aws-tls", c.AWSTLS, nil})
	}
	for _, a := range all {
		port, err := checkAddress(a.address)
		if err != nil {
			v.wrong(a.key, err.Error(), "give HOST:PORT, as 127.0.0.1:9092; port 0 takes a free one")
			continue
		}
		if other := taken[a.address]; other != "" && port != 0 {
			v.wrong(a.key, a.address+" is also the address of "+other, "give each its own port")
		}
		taken[a.address] = a.key
		if isLoopback(a.address) || c.Insecure {
			continue
		}
		c.validateExposed(v, a.key, a.address, a.listener)
	}
}

// validateExposed checks an address that other machines can reach.
func (c *Config) validateExposed(v *validation, key, address string, listener *kafkaListener) {
	exposed := address + " can be reached from other machines"
	const insecure = ", or allow it with --insecure"
	switch key {
	case "kafka", "kafka-listeners":
		if wrong := exposedListener(listener); wrong != "" {
			v.wrong(key, exposed+", "+wrong, "bind to a loopback address as 127.0.0.1:9092, or give its listener TLS and authentication"+insecure)
		}
	case "aws":
		v.wrong(key, exposed+" without TLS", "bind to a loopback address and serve others with --aws-tls and --auth verify"+insecure)
	case "aws-tls":
		if c.Auth != AuthVerify {
			v.wrong(key, exposed+" without authentication", "set --auth verify with --access-keys"+insecure)
		}
	}
}

func checkAddress(address string) (port int, err error) {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return 0, fmt.Errorf("%q is no address", address)
	}
	if port, err = strconv.Atoi(text); err != nil || port < 0 || port > 65535 {
		return 0, fmt.Errorf("%q has no port from 0 to 65535", address)
	}
	return port, nil
}

// isLoopback says whether only this machine can reach the address. A name other than localhost may mean any interface.
func isLoopback(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c *Config) validateAuth(v *validation) {
	if c.Auth != AuthOff && c.Auth != AuthVerify {
		v.wrong("auth", fmt.Sprintf("%q is no mode", c.Auth), "give off or verify")
	}
	if c.Auth == AuthVerify && len(c.AccessKeys) == 0 {
		v.wrong("access-keys", "none is given, so nobody could sign", "give --access-keys ID:SECRET, or set --auth off")
	}
	if c.Auth == AuthOff && len(c.AccessKeys) > 0 && !c.iamListeners() {
		v.wrong("access-keys", "would not be checked with --auth off", "set --auth verify, give a Kafka listener AWS_MSK_IAM, or give none")
	}
	if len(c.AccessKeys) > maxAccessKeys {
		v.wrong("access-keys", fmt.Sprintf("%d are given", len(c.AccessKeys)), fmt.Sprintf("give up to %d", maxAccessKeys))
	}
	seen := map[string]bool{}
	for i, key := range c.AccessKeys {
		id, secret, ok := strings.Cut(key, ":")
		switch { // the secret is not shown
		case !ok || id == "" || secret == "" || len(key) > maxAccessKeyText || strings.ContainsAny(id, " \t/"):
			v.wrong("access-keys", fmt.Sprintf("key %d is not of the form ID:SECRET", i+1), "write the access key id, a colon and the secret")
		case seen[id]:
			v.wrong("access-keys", fmt.Sprintf("id %q appears twice", id), "give each id one secret")
		}
		seen[id] = true
	}
	c.validateKeyUsers(v, seen)
}
