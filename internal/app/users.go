package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/govern/delegation"
	"github.com/freshet/freshet/internal/govern/scram"
	"github.com/freshet/freshet/internal/protocol/kafka/sasl"
)

// saslMechanisms are those that a listener can have.
var saslMechanisms = []string{mechanismPlain, "SCRAM-SHA-256", "SCRAM-SHA-512", mechanismOAuth, mechanismIAM}

const (
	mechanismPlain = "PLAIN"
	mechanismOAuth = "OAUTHBEARER"
	mechanismIAM   = "AWS_MSK_IAM"
)

// The bounds of Config's settings about users.
const (
	minReauth     = time.Second
	maxReauth     = 365 * 24 * time.Hour
	maxKafkaUsers = 1000
	maxPassword   = 1 << 10
)

// asksScram says whether a listener has a mechanism of the SCRAM family.
func asksScram(l kafkaListener) bool {
	return slices.ContainsFunc(l.mechanisms, func(m string) bool { return strings.HasPrefix(m, "SCRAM-") })
}

// asksPasswords says whether a listener's clients have passwords.
func asksPasswords(l kafkaListener) bool {
	return asksScram(l) || has(mechanismPlain)(l)
}

func (c *Config) validateUsers(v *validation, all []kafkaListener) {
	if len(c.KafkaUsers) > 0 && !slices.ContainsFunc(all, asksPasswords) {
		v.wrong("kafka-users", "no listener asks for passwords", "give a listener the protocol SASL_SSL, or leave them out")
	}
	if len(c.KafkaUsers) > maxKafkaUsers {
		v.wrong("kafka-users", fmt.Sprintf("%d are given", len(c.KafkaUsers)), fmt.Sprintf("give up to %d", maxKafkaUsers))
	}
	seen := map[string]bool{}
	for i, user := range c.KafkaUsers { // the password is not shown
		name, password, ok := strings.Cut(user, ":")
		switch {
		case !ok || name == "" || password == "" || len(name) > scram.MaxName || len(password) > maxPassword:
			v.wrong("kafka-users", fmt.Sprintf("user %d is not of the form NAME:PASSWORD", i+1), "write the user's name, a colon and the password")
		case seen[name]:
			v.wrong("kafka-users", fmt.Sprintf("user %q appears twice", name), "give each user one password")
		}
		seen[name] = true
	}
}

// openDelegation opens the delegation tokens, if the node is to have them and has listeners that could take them: nil if not.
func (n *Node) openDelegation(ctx context.Context) (*delegation.Book, error) {
	if !*n.config.KafkaDelegationTokens || !slices.ContainsFunc(n.listeners.kafka, func(l openListener) bool { return asksScram(l.kafkaListener) }) {
		return nil, nil //nolint:nilnil // there are no tokens
	}
	return delegation.Open(ctx, delegation.Config{}, delegation.Deps{
		Store: n.engine.State(), Clock: n.deps.Clock, Random: n.deps.Random, Logger: n.logger.With(partKey, "kafka"),
	})
}

// openPasswords adds the ways of SASL in which clients have passwords, and makes the users of the configuration.
func (n *Node) openPasswords(ctx context.Context, mechanisms map[string]sasl.Mechanism, tokens sasl.Delegations) error {
	users, err := scram.Open(ctx, n.engine.State(), n.deps.Random)
	if err != nil {
		return err
	}
	for _, user := range n.config.KafkaUsers {
		name, password, _ := strings.Cut(user, ":")
		made, err := users.Make(ctx, name, password)
		if err != nil {
			return fmt.Errorf("make user %q: %w", name, err)
		}
		if made {
			n.logger.Info("user made", "user", name)
		} else {
			n.logger.Info("user was made before: its password is as it was", "user", name)
		}
	}
	if all, err := users.List(ctx); err != nil {
		return err
	} else if len(all) == 0 {
		n.logger.Warn("no Kafka client has a password", "remedy", "make a user with --kafka-users NAME:PASSWORD, or kafka-configs")
	}
	mechanisms[mechanismPlain] = sasl.Plain(users)
	for _, m := range scram.Mechanisms {
		mechanisms[m.String()] = sasl.Scram(m, users, tokens, n.deps.Random)
	}
	return nil
}
