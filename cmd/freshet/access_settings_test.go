package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/freshet/freshet/internal/app"
)

// accessSettings are what TestSettingsMeanTheSameWhereverTheyStand says of who may do what.
func accessSettings(t *testing.T, want *app.Config, values map[string]string) {
	policy := filepath.Join(t.TempDir(), "policy.json")
	if err := os.WriteFile(policy, []byte(`{"Version": "2012-10-17", "Statement": []}`), 0o600); err != nil {
		t.Fatal(err)
	}
	const cluster = "arn:aws:kafka:eu-west-1:111122223333:cluster/a/b"
	want.KafkaACLs, want.KafkaSuperUsers = "open", "User:CN=a,O=b;User:c"
	want.KafkaPolicies, want.KafkaUnknownIAM, want.KafkaClusterARN = policy, "allow", cluster
	for name, value := range map[string]string{
		"kafka-acls": "open", "kafka-super-users": "User:CN=a,O=b;User:c", "kafka-policies": policy, "kafka-unknown-iam": "allow", "kafka-cluster-arn": cluster,
	} {
		values[name] = value
	}
}
