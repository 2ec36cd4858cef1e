package agent

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// requestTimeout ends a request that nobody answers; it is then sent again.
const requestTimeout = 30 * time.Second

// defaultRegion is where a stream is looked for if nobody says.
const defaultRegion = "us-east-1"

// Dial returns a Kinesis client for an endpoint, or for AWS's own if endpoint is "". Region, if "", and credentials come from the environment and
// the shared files, as in every AWS tool. With an endpoint and no credentials anywhere it signs with the key "any", which a node without
// authentication accepts. The client does not retry: the agent knows which members of a request have failed.
func Dial(ctx context.Context, endpoint, region string) (*kinesis.Client, error) {
	if endpoint != "" {
		if u, err := url.Parse(endpoint); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, fmt.Errorf("endpoint %q: give a URL as http://127.0.0.1:4566", endpoint)
		}
	}
	options := []func(*config.LoadOptions) error{
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(requestTimeout)),
	}
	if region != "" {
		options = append(options, config.WithRegion(region))
	}
	if endpoint != "" {
		options = append(options, config.WithBaseEndpoint(endpoint), config.WithEC2IMDSClientEnableState(imds.ClientDisabled))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("load AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		cfg.Region = defaultRegion
	}
	if endpoint != "" {
		if _, err = cfg.Credentials.Retrieve(ctx); err != nil {
			cfg.Credentials = credentials.NewStaticCredentialsProvider("any", "any", "")
		}
	}
	return kinesis.NewFromConfig(cfg, func(o *kinesis.Options) {
		if endpoint == "" {
			o.BaseEndpoint = nil // whatever the environment says
		}
	}), nil
}
