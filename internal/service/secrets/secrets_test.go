package secrets

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/protocol/aws"
	"github.com/freshet/freshet/internal/state/memstate"
)

// rig is a service behind a front door, and AWS's own client of it.
type rig struct {
	*sdk.Client
	service *Service
	clock   *clock.Virtual
	changed []string
	url     string
}

var rigStart = time.Date(2026, 3, 1, 12, 0, 0, 250e6, time.UTC)

func seeded() io.Reader { return rand.NewChaCha8([32]byte([]byte(strings.Repeat("secrets ", 4)))) }

func newRig(t *testing.T, config Config) *rig {
	t.Helper()
	r := &rig{clock: clock.NewVirtual(rigStart)}
	r.service = New(config, Dependencies{
		State: memstate.New(r.clock), Clock: r.clock, Random: seeded(), Logger: slog.New(slog.DiscardHandler),
		Changed: func(_ context.Context, arn string) { r.changed = append(r.changed, arn) },
	})
	door, err := aws.New(aws.Config{Services: []aws.Service{r.service.API()}, Clock: r.clock, Random: seeded()})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(door)
	t.Cleanup(server.Close)
	r.url = server.URL
	r.Client = r.in("eu-west-1")
	return r
}

func (r *rig) in(region string) *sdk.Client {
	return sdk.New(sdk.Options{
		BaseEndpoint: &r.url, Region: region, RetryMaxAttempts: 1, Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
}

// ok returns the answer of a call that must succeed.
func ok[T any](t *testing.T) func(T, error) T {
	return func(out T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%T: %v", out, err)
		}
		return out
	}
}

// refusedWith wants a call to fail with a code and a message that has text in it.
func refusedWith(t *testing.T, err error, code, text string) {
	t.Helper()
	var fault smithy.APIError
	if !errors.As(err, &fault) || fault.ErrorCode() != code || !strings.Contains(fault.ErrorMessage(), text) {
		t.Errorf("got %v, want %s with %q", err, code, text)
	}
}

func (r *rig) create(t *testing.T, name, text string) string {
	t.Helper()
	return *ok[*sdk.CreateSecretOutput](t)(r.CreateSecret(t.Context(), &sdk.CreateSecretInput{Name: &name, SecretString: &text})).ARN
}

func (r *rig) value(t *testing.T, id string) string {
	t.Helper()
	return *ok[*sdk.GetSecretValueOutput](t)(r.GetSecretValue(t.Context(), &sdk.GetSecretValueInput{SecretId: &id})).SecretString
}

func TestSecretsAreFoundByNameAndARN(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	arn := r.create(t, "AmazonMSK_alice", "one")
	if !regexp.MustCompile(`^arn:aws:secretsmanager:eu-west-1:000000000000:secret:AmazonMSK_alice-[A-Za-z0-9]{6}$`).MatchString(arn) {
		t.Error(arn)
	}
	hyphens := r.create(t, "a-bcdefg", "two")
	for id, want := range map[string]string{
		"AmazonMSK_alice": "one", arn: "one", arn[:len(arn)-suffixLength]: "one", "a-bcdefg": "two", hyphens: "two", hyphens[:len(hyphens)-suffixLength]: "two",
	} {
		if got := r.value(t, id); got != want {
			t.Errorf("%s is %s", id, got)
		}
	}
	for _, missing := range []string{"x", arn[:len(arn)-1] + "_", strings.Replace(arn, "eu-west-1", "eu-west-2", 1), "a"} {
		_, err := r.GetSecretValue(ctx, &sdk.GetSecretValueInput{SecretId: &missing})
		refusedWith(t, err, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	}
	_, err := r.in("eu-west-2").DescribeSecret(ctx, &sdk.DescribeSecretInput{SecretId: new("AmazonMSK_alice")})
	refusedWith(t, err, "ResourceNotFoundException", "")
	long := strings.Repeat("n", 512)
	r.create(t, long, "long")
	if got := r.value(t, long); got != "long" {
		t.Error(got)
	}
	if all := ok[*sdk.ListSecretsOutput](t)(r.ListSecrets(ctx, &sdk.ListSecretsInput{})); len(all.SecretList) != 3 {
		t.Errorf("%d secrets", len(all.SecretList))
	}
}

func TestVersionsMoveTheirLabels(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	arn := r.create(t, "s", "v1")
	put := func(token, text string, stages ...string) error {
		_, err := r.PutSecretValue(ctx, &sdk.PutSecretValueInput{SecretId: &arn, ClientRequestToken: &token, SecretString: &text, VersionStages: stages})
		return err
	}
	second, third := strings.Repeat("2", 32), strings.Repeat("3", 32)
	r.clock.Advance(time.Hour)
	for range 2 { // the same again changes nothing
		if err := put(second, "v2"); err != nil {
			t.Fatal(err)
		}
	}
	refusedWith(t, put(second, "other"), "ResourceExistsException", "already in use for a version of secret "+arn)
	if err := put(third, "v3", "AWSPENDING"); err != nil {
		t.Fatal(err)
	}
	for stage, want := range map[string]string{"AWSCURRENT": "v2", "AWSPREVIOUS": "v1", "AWSPENDING": "v3"} {
		got := ok[*sdk.GetSecretValueOutput](t)(r.GetSecretValue(ctx, &sdk.GetSecretValueInput{SecretId: &arn, VersionStage: &stage}))
		if *got.SecretString != want || !slices.Equal(got.VersionStages, []string{stage}) {
			t.Errorf("%s is %s %v", stage, *got.SecretString, got.VersionStages)
		}
	}
	move := func(stage string, from, to *string) error {
		_, err := r.UpdateSecretVersionStage(ctx, &sdk.UpdateSecretVersionStageInput{SecretId: &arn, VersionStage: &stage, RemoveFromVersionId: from, MoveToVersionId: to})
		return err
	}
	refusedWith(t, move("AWSCURRENT", nil, &third), "InvalidParameterException", "currently attached to version "+second)
	refusedWith(t, move("AWSCURRENT", &third, nil), "InvalidParameterException", "isn't attached")
	refusedWith(t, move("AWSCURRENT", &second, nil), "InvalidParameterException", "can't remove")
	refusedWith(t, move("AWSPENDING", nil, nil), "InvalidParameterException", "or both")
	refusedWith(t, move("AWSCURRENT", &second, new(strings.Repeat("9", 32))), "ResourceNotFoundException", "version")
	if err := move("AWSCURRENT", &second, &third); err != nil {
		t.Fatal(err)
	}
	if err := move("AWSPENDING", &third, nil); err != nil {
		t.Fatal(err)
	}
	about := ok[*sdk.DescribeSecretOutput](t)(r.DescribeSecret(ctx, &sdk.DescribeSecretInput{SecretId: &arn}))
	if len(about.VersionIdsToStages) != 2 || !slices.Equal(about.VersionIdsToStages[third], []string{"AWSCURRENT"}) || !slices.Equal(about.VersionIdsToStages[second], []string{"AWSPREVIOUS"}) {
		t.Errorf("%v", about.VersionIdsToStages)
	}
	if got := r.value(t, arn); got != "v3" {
		t.Error(got)
	}
	for i := range maxDeprecated + 5 {
		if err := put(strings.Repeat(string(rune('a'+i)), 40), "more"); err != nil {
			t.Fatal(err)
		}
	}
	versions := 0
	for pages := sdk.NewListSecretVersionIdsPaginator(r, &sdk.ListSecretVersionIdsInput{SecretId: &arn, IncludeDeprecated: new(true), MaxResults: new(int32(5))}); pages.HasMorePages(); {
		versions += len(ok[*sdk.ListSecretVersionIdsOutput](t)(pages.NextPage(ctx)).Versions)
	}
	labelled := ok[*sdk.ListSecretVersionIdsOutput](t)(r.ListSecretVersionIds(ctx, &sdk.ListSecretVersionIdsInput{SecretId: &arn}))
	if versions != maxDeprecated+2 || len(labelled.Versions) != 2 {
		t.Errorf("%d versions, %d with labels", versions, len(labelled.Versions))
	}
	_, err := r.GetSecretValue(ctx, &sdk.GetSecretValueInput{SecretId: &arn, VersionId: &second})
	refusedWith(t, err, "ResourceNotFoundException", "specified secret value for VersionId: "+second)
	if len(r.changed) == 0 || r.changed[0] != arn {
		t.Errorf("told of %v", r.changed)
	}
}

func TestValuesMayLackAndBeBinary(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{MaxSecrets: 2})
	empty := ok[*sdk.CreateSecretOutput](t)(r.CreateSecret(ctx, &sdk.CreateSecretInput{Name: new("empty"), KmsKeyId: new("alias/k"), Description: new("d")}))
	if empty.VersionId != nil {
		t.Errorf("%+v", empty)
	}
	_, err := r.GetSecretValue(ctx, &sdk.GetSecretValueInput{SecretId: new("empty")})
	refusedWith(t, err, "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT")
	_, err = r.PutSecretValue(ctx, &sdk.PutSecretValueInput{SecretId: new("empty")})
	refusedWith(t, err, "InvalidParameterException", "must provide either")
	_, err = r.PutSecretValue(ctx, &sdk.PutSecretValueInput{SecretId: new("empty"), SecretString: new("a"), SecretBinary: []byte("b")})
	refusedWith(t, err, "InvalidParameterException", "can't specify both")
	ok[*sdk.PutSecretValueOutput](t)(r.PutSecretValue(ctx, &sdk.PutSecretValueInput{SecretId: new("empty"), SecretBinary: []byte("\x00\xff"), VersionStages: []string{"first"}}))
	got := ok[*sdk.GetSecretValueOutput](t)(r.GetSecretValue(ctx, &sdk.GetSecretValueInput{SecretId: new("empty")}))
	if string(got.SecretBinary) != "\x00\xff" || got.SecretString != nil || !slices.Equal(got.VersionStages, []string{"first", "AWSCURRENT"}) {
		t.Errorf("%+v", got)
	}
	updated := ok[*sdk.UpdateSecretOutput](t)(r.UpdateSecret(ctx, &sdk.UpdateSecretInput{SecretId: new("empty"), Description: new("e")}))
	about := ok[*sdk.DescribeSecretOutput](t)(r.DescribeSecret(ctx, &sdk.DescribeSecretInput{SecretId: new("empty")}))
	if updated.VersionId != nil || *about.Description != "e" || *about.KmsKeyId != "alias/k" || !about.LastAccessedDate.Equal(rigStart.Truncate(24*time.Hour)) {
		t.Errorf("%+v", about)
	}
	ok[*sdk.UpdateSecretOutput](t)(r.UpdateSecret(ctx, &sdk.UpdateSecretInput{SecretId: new("empty"), SecretString: new("text")}))
	if got := r.value(t, "empty"); got != "text" {
		t.Error(got)
	}
	token := strings.Repeat("1", 32)
	for range 2 { // a repeat is answered as the first
		ok[*sdk.CreateSecretOutput](t)(r.CreateSecret(ctx, &sdk.CreateSecretInput{Name: new("b"), ClientRequestToken: &token, SecretString: new("v")}))
	}
	_, err = r.CreateSecret(ctx, &sdk.CreateSecretInput{Name: new("b"), SecretString: new("v")})
	refusedWith(t, err, "ResourceExistsException", "the secret b already exists")
	_, err = r.CreateSecret(ctx, &sdk.CreateSecretInput{Name: new("c")})
	refusedWith(t, err, "LimitExceededException", "2 secrets")
	_, err = r.CreateSecret(ctx, &sdk.CreateSecretInput{Name: new("a b")})
	refusedWith(t, err, "InvalidParameterException", "Invalid name")
	_, err = r.RotateSecret(ctx, &sdk.RotateSecretInput{SecretId: new("b")})
	refusedWith(t, err, "UnknownOperationException", "no functions that rotate")
}

func TestDeletionsCanBeTakenBackForAWhile(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	arn := r.create(t, "s", "v")
	for days, text := range map[int64]string{6: "between 7 and 30", 31: "between 7 and 30"} {
		_, err := r.DeleteSecret(ctx, &sdk.DeleteSecretInput{SecretId: &arn, RecoveryWindowInDays: &days})
		refusedWith(t, err, "InvalidParameterException", text)
	}
	_, err := r.DeleteSecret(ctx, &sdk.DeleteSecretInput{SecretId: &arn, RecoveryWindowInDays: new(int64(7)), ForceDeleteWithoutRecovery: new(true)})
	refusedWith(t, err, "InvalidParameterException", "in conjunction")
	remove := func() {
		t.Helper()
		deleted := ok[*sdk.DeleteSecretOutput](t)(r.DeleteSecret(ctx, &sdk.DeleteSecretInput{SecretId: &arn, RecoveryWindowInDays: new(int64(7))}))
		if !deleted.DeletionDate.Equal(r.clock.Now().Add(7 * 24 * time.Hour)) {
			t.Errorf("%+v", deleted)
		}
	}
	remove()
	const marked = "You can't perform this operation on the secret because it was marked for deletion."
	_, err = r.GetSecretValue(ctx, &sdk.GetSecretValueInput{SecretId: &arn})
	refusedWith(t, err, "InvalidRequestException", marked)
	_, err = r.PutSecretValue(ctx, &sdk.PutSecretValueInput{SecretId: &arn, SecretString: new("w")})
	refusedWith(t, err, "InvalidRequestException", marked)
	_, err = r.CreateSecret(ctx, &sdk.CreateSecretInput{Name: new("s")})
	refusedWith(t, err, "InvalidRequestException", "already scheduled for deletion")
	if _, err := r.service.Value(ctx, "000000000000", "eu-west-1", arn); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	count := func(planned bool) int {
		return len(ok[*sdk.ListSecretsOutput](t)(r.ListSecrets(ctx, &sdk.ListSecretsInput{IncludePlannedDeletion: &planned})).SecretList)
	}
	if count(false) != 0 || count(true) != 1 {
		t.Error("the secret is listed wrongly")
	}
	ok[*sdk.RestoreSecretOutput](t)(r.RestoreSecret(ctx, &sdk.RestoreSecretInput{SecretId: &arn}))
	if got := r.value(t, arn); got != "v" {
		t.Error(got)
	}
	remove()
	r.clock.Advance(7 * 24 * time.Hour)
	_, err = r.RestoreSecret(ctx, &sdk.RestoreSecretInput{SecretId: &arn})
	refusedWith(t, err, "ResourceNotFoundException", "")
	if again := r.create(t, "s", "w"); again == arn || count(true) != 1 {
		t.Error("the secret is not another")
	}
	ok[*sdk.DeleteSecretOutput](t)(r.DeleteSecret(ctx, &sdk.DeleteSecretInput{SecretId: new("s"), ForceDeleteWithoutRecovery: new(true)}))
	_, err = r.DescribeSecret(ctx, &sdk.DescribeSecretInput{SecretId: new("s")})
	refusedWith(t, err, "ResourceNotFoundException", "")
}

func TestSecretsAreFilteredAndOrdered(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	for _, name := range []string{"b", "AmazonMSK_b", "AmazonMSK_a"} {
		r.create(t, name, name)
		r.clock.Advance(time.Minute)
	}
	if _, err := r.TagResource(ctx, &sdk.TagResourceInput{SecretId: new("b"), Tags: []types.Tag{{Key: new("team"), Value: new("blue")}, {Key: new("x"), Value: new("")}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.UntagResource(ctx, &sdk.UntagResourceInput{SecretId: new("b"), TagKeys: []string{"x"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.UpdateSecret(ctx, &sdk.UpdateSecretInput{SecretId: new("AmazonMSK_b"), Description: new("Of Bob")}); err != nil {
		t.Fatal(err)
	}
	filter := func(key types.FilterNameStringType, values ...string) []types.Filter {
		return []types.Filter{{Key: key, Values: values}}
	}
	for _, c := range []struct {
		in   sdk.ListSecretsInput
		want string
	}{
		{sdk.ListSecretsInput{}, "AmazonMSK_a AmazonMSK_b b"},
		{sdk.ListSecretsInput{SortOrder: types.SortOrderTypeAsc}, "b AmazonMSK_b AmazonMSK_a"},
		{sdk.ListSecretsInput{SortBy: types.SortByTypeName, SortOrder: types.SortOrderTypeAsc}, "AmazonMSK_a AmazonMSK_b b"},
		{sdk.ListSecretsInput{Filters: filter("name", "AmazonMSK_", "c")}, "AmazonMSK_a AmazonMSK_b"},
		{sdk.ListSecretsInput{Filters: filter("name", "!AmazonMSK_")}, "b"},
		{sdk.ListSecretsInput{Filters: filter("description", "bob")}, "AmazonMSK_b"},
		{sdk.ListSecretsInput{Filters: filter("tag-key", "te")}, "b"},
		{sdk.ListSecretsInput{Filters: filter("tag-value", "blue")}, "b"},
		{sdk.ListSecretsInput{Filters: filter("all", "b")}, "AmazonMSK_b b"},
		{sdk.ListSecretsInput{Filters: filter("owning-service", "rds")}, ""},
		{sdk.ListSecretsInput{Filters: append(filter("name", "A"), filter("description", "of")...)}, "AmazonMSK_b"},
	} {
		var names []string
		c.in.MaxResults = new(int32(1))
		for pages := sdk.NewListSecretsPaginator(r, &c.in); pages.HasMorePages(); {
			for _, s := range ok[*sdk.ListSecretsOutput](t)(pages.NextPage(ctx)).SecretList {
				names = append(names, *s.Name)
			}
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%+v: %s, want %s", c.in, got, c.want)
		}
	}
	_, err := r.ListSecrets(ctx, &sdk.ListSecretsInput{NextToken: new("x")})
	refusedWith(t, err, "InvalidNextTokenException", "not valid")
	about := ok[*sdk.DescribeSecretOutput](t)(r.DescribeSecret(ctx, &sdk.DescribeSecretInput{SecretId: new("b")}))
	if len(about.Tags) != 1 || *about.Tags[0].Value != "blue" {
		t.Errorf("%+v", about.Tags)
	}
	policy := ok[*sdk.GetResourcePolicyOutput](t)(r.GetResourcePolicy(ctx, &sdk.GetResourcePolicyInput{SecretId: new("b")}))
	if policy.ResourcePolicy != nil || *policy.Name != "b" {
		t.Errorf("%+v", policy)
	}
	_, err = r.TagResource(ctx, &sdk.TagResourceInput{SecretId: new("b"), Tags: []types.Tag{{Key: new("aws:x")}}})
	refusedWith(t, err, "InvalidParameterException", "aws:")
}

func TestTheLedgerIsComplete(t *testing.T) {
	s := new(Service).API()
	for _, wrong := range s.Ledger.Check(s) {
		t.Error(wrong)
	}
}
