package msk

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/kafka"
	"github.com/aws/aws-sdk-go-v2/service/kafka/types"
)

// fakeSecrets are secrets by their ARNs.
type fakeSecrets map[string]Secret

func (f fakeSecrets) Secret(_ context.Context, _, _, arn string) (Secret, error) {
	found, there := f[arn]
	if !there {
		return Secret{}, fmt.Errorf("%w: %s", ErrNoSecret, arn)
	}
	return found, nil
}

// put makes a secret that MSK takes, and returns its ARN.
func (f fakeSecrets) put(user, password string) string {
	arn := "arn:aws:secretsmanager:eu-west-1:000000000000:secret:AmazonMSK_" + user + "-abcdef"
	f[arn] = Secret{Name: "AmazonMSK_" + user, KMSKey: "alias/mine", Text: fmt.Sprintf(`{"username":%q,"password":%q}`, user, password)}
	return arn
}

func (r *rig) scramCluster() *types.ClusterInfo {
	in := seed("a")
	in.ClientAuthentication = &types.ClientAuthentication{Sasl: &types.Sasl{Scram: &types.Scram{Enabled: new(true)}}}
	return r.created(in)
}

// users are those of the only cluster, as name=password.
func (r *rig) users() string {
	var all []string
	for _, users := range r.plane.users {
		for _, name := range slices.Sorted(maps.Keys(users)) {
			all = append(all, name+"="+users[name])
		}
	}
	return strings.Join(all, " ")
}

func TestSecretsAreUsers(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	c := r.scramCluster()
	brokers := ok[*sdk.GetBootstrapBrokersOutput](t)(r.GetBootstrapBrokers(ctx, &sdk.GetBootstrapBrokersInput{ClusterArn: c.ClusterArn}))
	if brokers.BootstrapBrokerString != nil || brokers.BootstrapBrokerStringTls != nil || *brokers.BootstrapBrokerStringSaslScram != "127.0.0.1:9192,127.0.0.1:9193,127.0.0.1:9194" {
		t.Errorf("%+v", brokers)
	}
	alice, bob := r.secrets.put("alice", "1"), r.secrets.put("bob", "2")
	r.secrets["other"] = Secret{Name: "other", KMSKey: "k", Text: `{"username":"a","password":"b"}`}
	r.secrets["default"] = Secret{Name: "AmazonMSK_d", Text: `{"username":"a","password":"b"}`}
	r.secrets["empty"] = Secret{Name: "AmazonMSK_e", KMSKey: "k", Text: `{"username":"a"}`}
	out := ok[*sdk.BatchAssociateScramSecretOutput](t)(r.BatchAssociateScramSecret(ctx, &sdk.BatchAssociateScramSecretInput{
		ClusterArn: c.ClusterArn, SecretArnList: []string{alice, "other", "default", "empty", "missing", bob},
	}))
	var unprocessed []string
	for _, u := range out.UnprocessedScramSecrets {
		if *u.ErrorCode != "InvalidSecretArn" {
			t.Errorf("%s: %s", *u.SecretArn, *u.ErrorCode)
		}
		unprocessed = append(unprocessed, *u.SecretArn+": "+*u.ErrorMessage)
	}
	want := []string{
		"other: The provided secret arn cannot be used with Amazon MSK. Secret names must have the prefix 'AmazonMSK_'",
		"default: The provided secret is encrypted with the default key. Amazon MSK takes secrets that have a customer managed key.",
		"empty: The provided secret is not valid: it must be a JSON object with username and password.",
		"missing: Amazon MSK wasn't able to access the provided secret.",
	}
	if !slices.Equal(unprocessed, want) {
		t.Errorf("unprocessed %q", unprocessed)
	}
	if got := r.users(); got != "alice=1 bob=2" {
		t.Error(got)
	}
	list := ok[*sdk.ListScramSecretsOutput](t)(r.ListScramSecrets(ctx, &sdk.ListScramSecretsInput{ClusterArn: c.ClusterArn, MaxResults: new(int32(1))}))
	rest := ok[*sdk.ListScramSecretsOutput](t)(r.ListScramSecrets(ctx, &sdk.ListScramSecretsInput{ClusterArn: c.ClusterArn, NextToken: list.NextToken}))
	if !slices.Equal(append(list.SecretArnList, rest.SecretArnList...), []string{alice, bob}) {
		t.Errorf("%v, %v", list.SecretArnList, rest.SecretArnList)
	}
	removed := ok[*sdk.BatchDisassociateScramSecretOutput](t)(r.BatchDisassociateScramSecret(ctx, &sdk.BatchDisassociateScramSecretInput{
		ClusterArn: c.ClusterArn, SecretArnList: []string{alice, "other"},
	}))
	if len(removed.UnprocessedScramSecrets) != 1 || *removed.UnprocessedScramSecrets[0].SecretArn != "other" || r.users() != "bob=2" {
		t.Errorf("%+v, users %s", removed.UnprocessedScramSecrets, r.users())
	}
	_, err := r.BatchAssociateScramSecret(ctx, &sdk.BatchAssociateScramSecretInput{ClusterArn: c.ClusterArn, SecretArnList: make([]string, 11)})
	refusedWith(t, err, "BadRequestException", "secretArnList", "1 to 10 ARNs, not 11")
}

// A cluster's user follows its secret: another password or name, and none while the secret cannot be used.
func TestUsersFollowTheirSecrets(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	c := r.scramCluster()
	arn := r.secrets.put("alice", "1")
	ok[*sdk.BatchAssociateScramSecretOutput](t)(r.BatchAssociateScramSecret(ctx, &sdk.BatchAssociateScramSecretInput{ClusterArn: c.ClusterArn, SecretArnList: []string{arn}}))
	change := func(text, want string) {
		t.Helper()
		if text == "" {
			delete(r.secrets, arn)
		} else {
			r.secrets[arn] = Secret{Name: "AmazonMSK_alice", KMSKey: "k", Text: text}
		}
		r.service.SecretChanged(ctx, arn)
		if got := r.users(); got != want {
			t.Errorf("users %s, want %s", got, want)
		}
	}
	change(`{"username":"alice","password":"2"}`, "alice=2")
	change(`{"username":"ann","password":"3"}`, "ann=3")
	change("", "")
	change(`{"username":"ann","password":"4"}`, "ann=4")
	r.service.SecretChanged(ctx, "of no cluster")
	if list := ok[*sdk.ListScramSecretsOutput](t)(r.ListScramSecrets(ctx, &sdk.ListScramSecretsInput{ClusterArn: c.ClusterArn})); !slices.Equal(list.SecretArnList, []string{arn}) {
		t.Errorf("%v", list.SecretArnList)
	}
}

func TestWhoMayComeDecidesWhereTheClusterListens(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	c := r.scramCluster()
	out := ok[*sdk.UpdateSecurityOutput](t)(r.UpdateSecurity(ctx, &sdk.UpdateSecurityInput{
		ClusterArn: c.ClusterArn, CurrentVersion: c.CurrentVersion, ClientAuthentication: &types.ClientAuthentication{
			Sasl: &types.Sasl{Scram: &types.Scram{Enabled: new(true)}}, Unauthenticated: &types.Unauthenticated{Enabled: new(true)},
		},
	}))
	brokers := ok[*sdk.GetBootstrapBrokersOutput](t)(r.GetBootstrapBrokers(ctx, &sdk.GetBootstrapBrokersInput{ClusterArn: c.ClusterArn}))
	if *brokers.BootstrapBrokerStringSaslScram != "127.0.0.1:9192,127.0.0.1:9193,127.0.0.1:9194" || *brokers.BootstrapBrokerStringTls != "127.0.0.1:9195,127.0.0.1:9196,127.0.0.1:9197" {
		t.Errorf("%+v", brokers)
	}
	info := ok[*sdk.DescribeClusterOperationOutput](t)(r.DescribeClusterOperation(ctx, &sdk.DescribeClusterOperationInput{ClusterOperationArn: out.ClusterOperationArn}))
	if !*info.ClusterOperationInfo.TargetClusterInfo.ClientAuthentication.Unauthenticated.Enabled {
		t.Error("the operation does not show the change")
	}
	in := seed("plain")
	in.ClientAuthentication = &types.ClientAuthentication{Sasl: &types.Sasl{Scram: &types.Scram{Enabled: new(true)}}}
	in.EncryptionInfo.EncryptionInTransit.ClientBroker = types.ClientBrokerPlaintext
	_, err := r.CreateCluster(ctx, in)
	refusedWith(t, err, "BadRequestException", "clientAuthentication", "must be TLS or TLS_PLAINTEXT")
	in.EncryptionInfo.EncryptionInTransit.ClientBroker = types.ClientBrokerTlsPlaintext
	in.ClientAuthentication.Sasl = &types.Sasl{Iam: &types.Iam{Enabled: new(true)}}
	in.ClientAuthentication.Unauthenticated = &types.Unauthenticated{Enabled: new(false)}
	signed := ok[*sdk.GetBootstrapBrokersOutput](t)(r.GetBootstrapBrokers(ctx, &sdk.GetBootstrapBrokersInput{ClusterArn: r.created(in).ClusterArn}))
	if *signed.BootstrapBrokerStringSaslIam != "127.0.0.1:9198,127.0.0.1:9199,127.0.0.1:9200" || signed.BootstrapBrokerString != nil || signed.BootstrapBrokerStringTls != nil {
		t.Errorf("%+v", signed)
	}
}
