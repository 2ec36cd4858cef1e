package msk

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/kafka"
	"github.com/aws/aws-sdk-go-v2/service/kafka/types"
)

const someProperties = "# a comment\nauto.create.topics.enable = true\nlog.retention.hours=1\n"

func TestConfigurationsHaveRevisions(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	created := ok[*sdk.CreateConfigurationOutput](t)(r.CreateConfiguration(ctx, &sdk.CreateConfigurationInput{
		Name: new("orders"), Description: new("first"), KafkaVersions: []string{"3.6.0"}, ServerProperties: []byte(someProperties),
	}))
	if !regexp.MustCompile(`^arn:aws:kafka:eu-west-1:000000000000:configuration/orders/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}-[0-9]{1,2}$`).MatchString(*created.Arn) ||
		*created.Name != "orders" || created.State != types.ConfigurationStateActive || *created.LatestRevision.Revision != 1 || !created.CreationTime.Equal(rigStart) {
		t.Errorf("created %+v", created)
	}
	r.clock.Advance(time.Hour)
	updated := ok[*sdk.UpdateConfigurationOutput](t)(r.UpdateConfiguration(ctx, &sdk.UpdateConfigurationInput{
		Arn: created.Arn, Description: new("second"), ServerProperties: []byte("num.partitions=3"),
	}))
	if *updated.LatestRevision.Revision != 2 || *updated.LatestRevision.Description != "second" || !updated.LatestRevision.CreationTime.Equal(rigStart.Add(time.Hour)) {
		t.Errorf("updated %+v", updated.LatestRevision)
	}
	described := ok[*sdk.DescribeConfigurationOutput](t)(r.DescribeConfiguration(ctx, &sdk.DescribeConfigurationInput{Arn: created.Arn}))
	if *described.LatestRevision.Revision != 2 || *described.Description != "first" || len(described.KafkaVersions) != 1 || !described.CreationTime.Equal(rigStart) {
		t.Errorf("described %+v", described)
	}
	for number, want := range map[int64]string{1: someProperties, 2: "num.partitions=3"} {
		got := ok[*sdk.DescribeConfigurationRevisionOutput](t)(r.DescribeConfigurationRevision(ctx, &sdk.DescribeConfigurationRevisionInput{Arn: created.Arn, Revision: &number}))
		if string(got.ServerProperties) != want || *got.Revision != number {
			t.Errorf("revision %d: %+v", number, got)
		}
	}
	revisions := sdk.NewListConfigurationRevisionsPaginator(r, &sdk.ListConfigurationRevisionsInput{Arn: created.Arn, MaxResults: new(int32(1))})
	for n := int64(1); n <= 2; n++ {
		some := ok[*sdk.ListConfigurationRevisionsOutput](t)(revisions.NextPage(ctx))
		if len(some.Revisions) != 1 || *some.Revisions[0].Revision != n {
			t.Errorf("page %d: %+v", n, some.Revisions)
		}
	}
	if revisions.HasMorePages() {
		t.Error("there is a third page")
	}
	deleted := ok[*sdk.DeleteConfigurationOutput](t)(r.DeleteConfiguration(ctx, &sdk.DeleteConfigurationInput{Arn: created.Arn}))
	if *deleted.Arn != *created.Arn || deleted.State != types.ConfigurationStateDeleting {
		t.Errorf("deleted %+v", deleted)
	}
	_, err := r.DescribeConfiguration(ctx, &sdk.DescribeConfigurationInput{Arn: created.Arn})
	refusedWith(t, err, "BadRequestException", "arn", "Configuration ARN does not exist")
}

// Terraform tells a configuration that is in use by this error.
func TestConfigurationsInUseAreNotDeleted(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	made := ok[*sdk.CreateConfigurationOutput](t)(r.CreateConfiguration(ctx, &sdk.CreateConfigurationInput{Name: new("c"), ServerProperties: []byte("num.partitions=7")}))
	in := seed("a")
	in.ConfigurationInfo = &types.ConfigurationInfo{Arn: made.Arn, Revision: new(int64(1))}
	c := r.created(in)
	remove := func() error {
		_, err := r.DeleteConfiguration(ctx, &sdk.DeleteConfigurationInput{Arn: made.Arn})
		return err
	}
	refusedWith(t, remove(), "BadRequestException", "arn", "Configuration is in use by one or more clusters. Dissociate the configuration from the clusters.")
	ok[*sdk.DescribeConfigurationOutput](t)(r.DescribeConfiguration(ctx, &sdk.DescribeConfigurationInput{Arn: made.Arn}))
	ok[*sdk.DeleteClusterOutput](t)(r.DeleteCluster(ctx, &sdk.DeleteClusterInput{ClusterArn: c.ClusterArn}))
	if err := remove(); err != nil {
		t.Error(err)
	}
}

func TestConfigurationsAreTheirAccountsAndRegions(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	in := &sdk.CreateConfigurationInput{Name: new("c"), ServerProperties: []byte("num.partitions=3")}
	created := ok[*sdk.CreateConfigurationOutput](t)(r.CreateConfiguration(ctx, in))
	_, err := r.CreateConfiguration(ctx, in)
	refusedWith(t, err, "ConflictException", "name", "A resource with this name already exists.")
	for _, other := range []*sdk.Client{r.as("OTHER", "eu-west-1"), r.as("AKID", "eu-west-2")} {
		_, err := other.DescribeConfiguration(ctx, &sdk.DescribeConfigurationInput{Arn: created.Arn})
		refusedWith(t, err, "BadRequestException", "arn", "does not exist")
		if _, err := other.CreateConfiguration(ctx, in); err != nil {
			t.Error(err)
		}
		if all := ok[*sdk.ListConfigurationsOutput](t)(other.ListConfigurations(ctx, &sdk.ListConfigurationsInput{})); len(all.Configurations) != 1 {
			t.Errorf("%d configurations", len(all.Configurations))
		}
	}
}

func TestConfigurationsAreListedInPages(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{MaxConfigurations: 5})
	for i := range 5 {
		ok[*sdk.CreateConfigurationOutput](t)(r.CreateConfiguration(ctx, &sdk.CreateConfigurationInput{Name: new(fmt.Sprintf("c%d", 5-i)), ServerProperties: []byte("")}))
	}
	_, err := r.CreateConfiguration(ctx, &sdk.CreateConfigurationInput{Name: new("c6"), ServerProperties: []byte("")})
	refusedWith(t, err, "BadRequestException", "", "5 configurations")
	var names []string
	for pages := sdk.NewListConfigurationsPaginator(r, &sdk.ListConfigurationsInput{MaxResults: new(int32(2))}); pages.HasMorePages(); {
		for _, c := range ok[*sdk.ListConfigurationsOutput](t)(pages.NextPage(ctx)).Configurations {
			names = append(names, *c.Name)
		}
	}
	if strings.Join(names, " ") != "c1 c2 c3 c4 c5" {
		t.Error(names)
	}
	_, err = r.ListConfigurations(ctx, &sdk.ListConfigurationsInput{NextToken: new("invalid-page-token")})
	refusedWith(t, err, "BadRequestException", "nextToken", "not valid")
	_, err = r.ListConfigurations(ctx, &sdk.ListConfigurationsInput{NextToken: new("?")})
	refusedWith(t, err, "BadRequestException", "nextToken", "not valid")
}

func TestWrongConfigurationsAreRefused(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{MaxRevisions: 1})
	for _, c := range []struct {
		in           sdk.CreateConfigurationInput
		member, text string
	}{
		{sdk.CreateConfigurationInput{Name: new("a b"), ServerProperties: []byte("")}, "name", "letters, digits"},
		{sdk.CreateConfigurationInput{Name: new(strings.Repeat("a", 65)), ServerProperties: []byte("")}, "name", "1 to 64"},
		{sdk.CreateConfigurationInput{Name: new("a"), KafkaVersions: []string{"0.8"}, ServerProperties: []byte("")}, "kafkaVersions", "Unsupported KafkaVersion [0.8]. Valid values: [1.1.1, "},
		{sdk.CreateConfigurationInput{Name: new("a"), ServerProperties: []byte("auto.leader.rebalance.enable=true")}, "serverProperties", "Key 'auto.leader.rebalance.enable' is not valid."},
		{sdk.CreateConfigurationInput{Name: new("a"), ServerProperties: []byte("num.partitions=many")}, "serverProperties", "must be a whole number from 1 to 10000"},
		{sdk.CreateConfigurationInput{Name: new("a"), ServerProperties: []byte("\xff")}, "serverProperties", "no text"},
		{sdk.CreateConfigurationInput{Name: new("a"), ServerProperties: []byte(strings.Repeat("#", 64<<10+1))}, "serverProperties", "at most 65536 bytes"},
	} {
		_, err := r.CreateConfiguration(ctx, &c.in)
		refusedWith(t, err, "BadRequestException", c.member, c.text)
	}
	created := ok[*sdk.CreateConfigurationOutput](t)(r.CreateConfiguration(ctx, &sdk.CreateConfigurationInput{Name: new("a"), ServerProperties: []byte("")}))
	_, err := r.UpdateConfiguration(ctx, &sdk.UpdateConfigurationInput{Arn: created.Arn, ServerProperties: []byte("x=1")})
	refusedWith(t, err, "BadRequestException", "serverProperties", "Key 'x' is not valid.")
	_, err = r.UpdateConfiguration(ctx, &sdk.UpdateConfigurationInput{Arn: created.Arn, ServerProperties: []byte("")})
	refusedWith(t, err, "BadRequestException", "arn", "1 revisions")
	_, err = r.DescribeConfigurationRevision(ctx, &sdk.DescribeConfigurationRevisionInput{Arn: created.Arn, Revision: new(int64(2))})
	refusedWith(t, err, "NotFoundException", "revision", "no revision 2")
	_, err = r.DescribeConfiguration(ctx, &sdk.DescribeConfigurationInput{Arn: new("arn:aws:kafka:eu-west-1:000000000000:cluster/a/b")})
	refusedWith(t, err, "BadRequestException", "arn", "Invalid Configuration ARN.")
	for _, unknown := range []string{*created.Arn + "0", "arn:aws:kafka:eu-west-1:000000000000:configuration/a/" + strings.Repeat("b", 600)} {
		_, err = r.DescribeConfiguration(ctx, &sdk.DescribeConfigurationInput{Arn: &unknown})
		refusedWith(t, err, "BadRequestException", "arn", "Configuration ARN does not exist")
	}
}

func TestVersionsAreListedAndRefusedOperationsSayWhy(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	status := map[string]types.KafkaVersionStatus{}
	for pages := sdk.NewListKafkaVersionsPaginator(r, &sdk.ListKafkaVersionsInput{MaxResults: new(int32(10))}); pages.HasMorePages(); {
		for _, v := range ok[*sdk.ListKafkaVersionsOutput](t)(pages.NextPage(ctx)).KafkaVersions {
			status[*v.Version] = v.Status
		}
	}
	if len(status) != len(kafkaVersions) || status["3.6.0"] != types.KafkaVersionStatusActive || status["1.1.1"] != types.KafkaVersionStatusDeprecated {
		t.Error(status)
	}
	_, err := r.UpdateReplicationInfo(ctx, &sdk.UpdateReplicationInfoInput{ReplicatorArn: new("x"), CurrentVersion: new("1")})
	refusedWith(t, err, "UnknownOperationException", "", "UpdateReplicationInfo of Kafka is not implemented by freshet: clusters are not replicated")
}

func TestCompatibleVersionsAreLaterAndOfTheSameKind(t *testing.T) {
	for from, want := range map[string]string{"3.6.0": "3.6.0.1 3.7.x 3.8.x 3.9.x", "3.9.x.kraft": "4.0.x.kraft 4.1.x.kraft", "4.1.x.kraft": "", "3.9.x": ""} {
		if got := strings.Join(compatible(from), " "); got != want {
			t.Errorf("%s can become %s", from, got)
		}
	}
}

func TestTheLedgerIsComplete(t *testing.T) {
	s := new(Service).API()
	for _, wrong := range s.Ledger.Check(s) {
		t.Error(wrong)
	}
}
