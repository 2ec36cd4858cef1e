package msk

import (
	"slices"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/kafka"
	"github.com/aws/aws-sdk-go-v2/service/kafka/types"
)

// TestClientsCertificatesAreAskedFor makes clusters with authorities, and changes who may come without a certificate.
func TestClientsCertificatesAreAskedFor(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	in := seed("a")
	in.ClientAuthentication = &types.ClientAuthentication{Tls: &types.Tls{CertificateAuthorityArnList: []string{authorityARN}}}
	c := r.created(in)
	spec := func() Spec {
		t.Helper()
		for _, s := range r.plane.opened {
			return s
		}
		t.Fatal("no cluster is open")
		return Spec{}
	}
	if s := spec(); !slices.Equal(s.Authorities, []string{authorityARN}) || s.Anybody || len(s.Ports[TLS]) != 3 || len(s.Ports[Plaintext]) != 0 {
		t.Errorf("opened as %+v", s)
	}
	if got := c.ClientAuthentication; got.Tls == nil || !slices.Equal(got.Tls.CertificateAuthorityArnList, []string{authorityARN}) {
		t.Errorf("described as %+v", got)
	}
	brokers := ok[*sdk.GetBootstrapBrokersOutput](t)(r.GetBootstrapBrokers(ctx, &sdk.GetBootstrapBrokersInput{ClusterArn: c.ClusterArn}))
	if *brokers.BootstrapBrokerStringTls != "127.0.0.1:9192,127.0.0.1:9193,127.0.0.1:9194" || brokers.BootstrapBrokerString != nil {
		t.Errorf("%+v", brokers)
	}
	change := func(clients *types.ClientAuthentication) {
		t.Helper()
		c = ok[*sdk.DescribeClusterOutput](t)(r.DescribeCluster(ctx, &sdk.DescribeClusterInput{ClusterArn: c.ClusterArn})).ClusterInfo
		ok[*sdk.UpdateSecurityOutput](t)(r.UpdateSecurity(ctx, &sdk.UpdateSecurityInput{ClusterArn: c.ClusterArn, CurrentVersion: c.CurrentVersion, ClientAuthentication: clients}))
	}
	c = ok[*sdk.DescribeClusterOutput](t)(r.DescribeCluster(ctx, &sdk.DescribeClusterInput{ClusterArn: c.ClusterArn})).ClusterInfo
	_, err := r.UpdateSecurity(ctx, &sdk.UpdateSecurityInput{
		ClusterArn: c.ClusterArn, CurrentVersion: c.CurrentVersion,
		ClientAuthentication: &types.ClientAuthentication{Tls: &types.Tls{CertificateAuthorityArnList: []string{authorityARN + "0"}}},
	})
	refusedWith(t, err, "BadRequestException", "certificateAuthorityArnList", "are not known")
	if s := spec(); !slices.Equal(s.Authorities, []string{authorityARN}) {
		t.Errorf("after a refusal, opened as %+v", s)
	}
	both := &types.ClientAuthentication{
		Tls: &types.Tls{CertificateAuthorityArnList: []string{authorityARN}, Enabled: new(true)}, Unauthenticated: &types.Unauthenticated{Enabled: new(true)},
	}
	change(both)
	if s := spec(); len(s.Authorities) != 1 || !s.Anybody {
		t.Errorf("with both, opened as %+v", s)
	}
	both.Tls.Enabled = new(false)
	change(both)
	if s := spec(); len(s.Authorities) != 0 {
		t.Errorf("without certificates, opened as %+v", s)
	}
}
