package kafka

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/govern/quota"
	"github.com/freshet/freshet/internal/protocol/kafka/brokerconfig"
	"github.com/freshet/freshet/internal/protocol/kafka/wire"
)

const (
	maxConnections       = "max.connections"
	maxConnectionsPerIP  = "max.connections.per.ip"
	maxConnectionsOfIPs  = "max.connections.per.ip.overrides"
	maxConnectionsPerSec = "max.connection.creation.rate"
)

// connectionPace is how fast connections come.
type connectionPace struct {
	mu    sync.Mutex
	rate  quota.Rate
	limit float64 // connections a second; 0 = no bound
}

// overrides reads a list of ADDRESS:NUMBER.
func overrides(text string) (map[netip.Addr]int, error) {
	bounds := map[netip.Addr]int{}
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		at := strings.LastIndexByte(item, ':')
		if at < 0 {
			return nil, fmt.Errorf("%q is not ADDRESS:NUMBER", item)
		}
		address, err := netip.ParseAddr(strings.Trim(strings.TrimSpace(item[:at]), "[]"))
		if err != nil {
			return nil, fmt.Errorf("%q is no IP address, and names are not resolved", item[:at])
		}
		n, err := strconv.ParseInt(strings.TrimSpace(item[at+1:]), 10, 32)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%q is no number of connections", item[at+1:])
		}
		bounds[address.Unmap()] = int(n)
	}
	return bounds, nil
}

// connectionBrokerSettings are those of how many connections there may be.
func connectionBrokerSettings() []brokerSetting {
	const unlimited = "2147483647"
	row := func(key, def, doc string) brokerSetting {
		return at(brokerconfig.ClusterWide, brokerconfig.Enforced, intType, key, def, doc, brokerconfig.AtLeast(0))
	}
	most := row(maxConnections, strconv.Itoa(wire.DefaultMaxConnections), "The most connections, at most as many as the node can have; others are closed at once.")
	most.set = func(c *Config, v string) {
		orDefault(&c.Limits.MaxConnections, wire.DefaultMaxConnections)
		c.Limits.MaxConnections = min(c.Limits.MaxConnections, int(number(v)))
	}
	most.read = func(c *Config) string {
		if c.Limits.MaxConnections == 0 {
			return ""
		}
		return strconv.Itoa(c.Limits.MaxConnections)
	}
	listed := at(brokerconfig.ClusterWide, brokerconfig.Enforced, stringType, maxConnectionsOfIPs, "", "The most connections from addresses with a bound of their own, as 127.0.0.1:100,::1:5.",
		func(v string) string {
			if _, err := overrides(v); err != nil {
				return "=Error parsing configuration property '" + maxConnectionsOfIPs + "': " + err.Error()
			}
			return ""
		})
	listed.None = false
	return []brokerSetting{
		most, listed,
		row(maxConnectionsPerIP, unlimited, "The most connections from one address; others are closed at once."),
		row(maxConnectionsPerSec, unlimited, "How many connections are taken in a second; others wait."),
	}
}

// checkConnections refuses bounds that let nobody in, or that the node cannot keep.
func (s *Server) checkConnections(_, after brokerconfig.Lookup) error {
	value := func(key string) int64 {
		v, _ := after(key)
		return number(v)
	}
	for _, key := range []string{maxConnections, maxConnectionsPerSec} {
		if value(key) < 1 {
			return brokerconfig.Refuse("Invalid %s %d", key, value(key))
		}
	}
	if able := int64(s.wire.MaxConnections()); value(maxConnections) > able {
		return brokerconfig.Refuse("Invalid %s %d: the node can have %d, by its memory and the files that it may open", maxConnections, value(maxConnections), able)
	}
	if listed, _ := after(maxConnectionsOfIPs); value(maxConnectionsPerIP) == 0 && listed == "" {
		return brokerconfig.Refuse("requirement failed: %s can be set to zero only if %s property is set.", maxConnectionsPerIP, maxConnectionsOfIPs)
	}
	return nil
}

// applyConnections makes the bounds on connections hold.
func (s *Server) applyConnections() {
	listed, _ := s.broker.Value(maxConnectionsOfIPs)
	addresses, _ := overrides(listed) // it was checked
	s.wire.SetCrowd(wire.Crowd{Most: int(s.broker.Int(maxConnections)), PerAddress: int(s.broker.Int(maxConnectionsPerIP)), Addresses: addresses})
	rate := s.broker.Int(maxConnectionsPerSec)
	if rate >= math.MaxInt32 {
		rate = 0
	}
	s.pace.mu.Lock()
	defer s.pace.mu.Unlock()
	s.pace.limit = float64(rate)
}

// paceConnections says how long connections are to wait because too many have come (KIP-612).
func (s *Server) paceConnections() time.Duration {
	s.pace.mu.Lock()
	defer s.pace.mu.Unlock()
	if s.pace.limit == 0 {
		return 0
	}
	return s.pace.rate.Take(1, s.pace.limit, s.clock.Now())
}
