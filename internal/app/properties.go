package app

import (
	"fmt"
	"maps"
	"strings"

	"github.com/freshet/freshet/internal/protocol/kafka"
)

// openACLs is the broker config that says whether everybody may do what no rule is about: an access control list's matter, not a broker's.
const openACLs = "allow.everyone.if.no.acl.found"

// ownSettings are the broker configs that are settings of the node under another name.
var ownSettings = map[string]string{
	"auto.create.topics.enable": "auto-create-topics", "connections.max.reauth.ms": "kafka-max-reauth", "log.cleaner.dedupe.buffer.size": "compact-memory",
	"log.cleaner.io.max.bytes.per.second": "compact-rate", "log.dir": "data", "log.dirs": "data", "listeners": "kafka-listeners",
	"advertised.listeners": "kafka-advertised-listeners", "listener.security.protocol.map": "kafka-security-protocols", "num.partitions": "default-partitions",
	"sasl.enabled.mechanisms": "kafka-sasl-mechanisms", "ssl.client.auth": "kafka-client-certificates", "super.users": "kafka-super-users",
	"ssl.principal.mapping.rules": "kafka-principal-rules", openACLs: "kafka-acls",
}

// kafkaConfigs returns the broker configs of the settings, and says what is wrong with them. A value may have commas in it: what stands between two of
// them and has no = belongs to the one before.
func (c *Config) kafkaConfigs(v *validation) map[string]string {
	const name = "kafka-configs"
	var pairs []string
	for _, text := range c.KafkaConfigs {
		if !strings.Contains(text, "=") && len(pairs) > 0 {
			pairs[len(pairs)-1] += "," + text
			continue
		}
		pairs = append(pairs, text)
	}
	properties := map[string]string{}
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		key = strings.TrimSpace(key)
		own := ownSettings[key]
		_, again := properties[key]
		switch {
		case !ok || key == "":
			v.wrong(name, fmt.Sprintf("%q is no broker config", pair), "write KEY=VALUE, as log.retention.hours=24")
		case own != "":
			v.wrong(name, key+" is a setting of its own", "set --"+own)
		case again:
			v.wrong(name, key+" is given twice", "give it once")
		default:
			if err := kafka.CheckProperty(key, value); err != nil {
				v.wrong(name, err.Error(), "see the broker configs in docs/fidelity.md")
			}
			properties[key] = strings.TrimSpace(value)
		}
	}
	if err := kafka.CheckProperties(properties); err != nil && len(v.errs) == 0 {
		v.wrong(name, err.Error(), "change one of them")
	}
	return properties
}

// brokerProperties returns what of a cluster's configuration its broker is told.
func brokerProperties(all map[string]string) map[string]string {
	properties := maps.Clone(all)
	delete(properties, openACLs)
	return properties
}
