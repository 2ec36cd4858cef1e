package app

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/govern/acl"
	"github.com/freshet/freshet/internal/govern/iam"
	"github.com/freshet/freshet/internal/govern/quota"
	"github.com/freshet/freshet/internal/protocol/kafka"
)

// maxSuperUsers bounds Config.KafkaSuperUsers.
const maxSuperUsers = 1000

func (c *Config) validateACLs(v *validation) {
	switch c.KafkaACLs {
	case ACLsOff, ACLsOn, ACLsOpen:
	default:
		v.wrong("kafka-acls", fmt.Sprintf("%q is no mode", c.KafkaACLs), "give off, on or open")
	}
	users := c.superUsers()
	if c.KafkaACLs == ACLsOff && len(users) > 0 {
		v.wrong("kafka-super-users", "would be held back by nothing with --kafka-acls off", "set --kafka-acls on or open, or give none")
	}
	if len(users) > maxSuperUsers {
		v.wrong("kafka-super-users", fmt.Sprintf("%d are given", len(users)), fmt.Sprintf("give up to %d", maxSuperUsers))
	}
	for _, user := range users {
		if err := acl.CheckPrincipal(user); err != nil {
			v.wrong("kafka-super-users", fmt.Sprintf("%q is no principal", user), "write its type, a colon and its name, as User:admin")
		}
	}
}

func (c *Config) validatePolicies(v *validation) {
	if c.KafkaUnknownIAM != UnknownDeny && c.KafkaUnknownIAM != UnknownAllow {
		v.wrong("kafka-unknown-iam", fmt.Sprintf("%q is no answer", c.KafkaUnknownIAM), "give deny or allow")
	}
	if err := iam.CheckCluster(c.KafkaClusterARN); err != nil {
		v.wrong("kafka-cluster-arn", err.Error(), "write one of that form")
	}
	if c.KafkaPolicies == "" {
		if c.KafkaUnknownIAM == UnknownAllow {
			v.wrong("kafka-unknown-iam", "there are no policies", "give --kafka-policies FILE, or leave it out")
		}
		return
	}
	if _, err := iam.OpenFile(c.KafkaPolicies, clock.Real(), slog.New(slog.DiscardHandler), nil); err != nil {
		v.wrong("kafka-policies", err.Error(), "name a file with an IAM policy in JSON")
	}
}

// openPolicies reads the policies of principals of AWS, which all clusters of the node have; nil if there are none.
func (n *Node) openPolicies() (iam.Policies, error) {
	if n.config.KafkaPolicies == "" {
		return nil, nil //nolint:nilnil // principals of AWS are held to access control lists, as others
	}
	policies, err := iam.OpenFile(n.config.KafkaPolicies, n.deps.Clock, n.logger.With(partKey, "policies"), &n.files)
	if err != nil {
		return nil, &ConfigError{Key: "kafka-policies", Wrong: err.Error(), Remedy: "name a file with an IAM policy in JSON"}
	}
	return policies, nil
}

// superUsers splits the principals as Apache Kafka's super.users does: distinguished names have commas in them.
func (c *Config) superUsers() []string {
	var users []string
	for user := range strings.SplitSeq(c.KafkaSuperUsers, ";") {
		if user = strings.TrimSpace(user); user != "" {
			users = append(users, user)
		}
	}
	return users
}

// openGovernance gives a Kafka server its quotas, and its access control lists if it is to have them: what is kept of them in its own state. Policies name
// its cluster by an ARN.
func (n *Node) openGovernance(ctx context.Context, c *kafka.Config, arn string) (err error) {
	if n.policies != nil {
		if c.Policies, err = iam.NewAuthorizer(n.policies, arn, n.config.KafkaUnknownIAM == UnknownAllow); err != nil {
			return fmt.Errorf("kafka-policies: %w", err)
		}
	}
	if c.Quotas, err = quota.Open(ctx, c.State, quota.Config{}); err != nil || n.config.KafkaACLs == ACLsOff {
		return err
	}
	c.ACLs, err = acl.Open(ctx, c.State, acl.Config{SuperUsers: n.config.superUsers(), Open: n.config.KafkaACLs == ACLsOpen})
	if err == nil && c.ACLs.Len() == 0 && len(n.config.superUsers()) == 0 && n.config.KafkaACLs == ACLsOn {
		n.logger.Warn("no Kafka client may do anything", "reason", "there are no ACLs and no super users", "remedy", "name one with --kafka-super-users")
	}
	return err
}
