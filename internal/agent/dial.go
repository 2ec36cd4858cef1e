package agent

import (
	"context"
	"fmt"
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

// Dial returns a Kinesis client in the manner of every AWS tool: region and credentials come from the environment and the shared files, and
// endpoint, if not "", is asked instead of AWS. With an endpoint and no credentials anywhere it signs with the key "test", which a node
// without authentication accepts. It does not retry by itself.
func Dial(ctx context.Context, endpoint, region string) (*kinesis.Client, error) {
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
			cfg.Credentials = credentials.NewStaticCredentialsProvider("test", "test", "")
		}
	}
	return kinesis.NewFromConfig(cfg), nil
}
