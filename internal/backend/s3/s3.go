// Package s3 keeps objects in S3, or in whatever speaks its protocol. Store is the object.Store.
//
// There are two layouts. With Config.Bucket everything is in that one bucket, object o of bucket b at the key prefix/b/o, and buckets are not
// made: the layout of one node's own. Without it bucket b is the S3 bucket b, which must exist: the layout of those who know AWS.
//
// An object of up to Config.PartBytes is one PutObject, a larger one a multipart upload whose parts are sent while the next is filled; either
// way S3 shows it whole or not at all. A Writer holds one part, and all writers together send up to Config.Sending more, so that memory is
// (open writers + Sending) * PartBytes at most. A node that is killed in the middle leaves parts that S3 keeps until they are aborted: Run does
// that below Config.Prefix; without a prefix give the bucket a lifecycle rule with AbortIncompleteMultipartUpload.
//
// What is read is one version: when a connection breaks, reading goes on where it was only while the object has the same ETag.
//
// Every attempt and every call ends: see Config. Throttling, errors of the server and broken connections are tried again up to
// Config.Attempts times, and a clock that differs from the server's is allowed for.
//
// It refuses objects of more than object.MaxParts parts (78 GiB), keys that with the prefix exceed S3's 1,024 bytes, and to make buckets.
package s3

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/object"
)

// Config is what a Store needs. All of it may be zero.
type Config struct {
	Bucket    string // the one bucket of everything; "" = each bucket is one there
	Prefix    string // of every key in Bucket, without slashes around it
	Region    string // "" = of the environment or profile; us-east-1 if Endpoint is given
	Endpoint  string // URL of what speaks S3; "" = AWS, or of the environment
	PathStyle bool   // the bucket stands in the path, not in the host name

	AccessKey, Secret, Token string // credentials; "" = the usual chain: environment, profile, role of the machine
	Profile                  string // of the AWS configuration files; "" = as in the environment

	PartBytes      int           // of what is sent at once, at least object.MinPartBytes; 0 = 8 MiB
	Sending        int           // parts sent at a time, of all writers; 0 = 4
	Attempts       int           // of each request; 0 = 5
	AttemptTimeout time.Duration // until a connection stands, an answer begins, or more of it comes; 0 = 20 s
	Timeout        time.Duration // of a call with all its attempts, except of reading what it returns; 0 = 2 min

	Clock  clock.Clock  // of timeouts; nil = clock.Real
	Logger *slog.Logger // nil = none

	backoff retry.BackoffDelayer // nil = the SDK's
}

// The bounds of what Config has no field for.
const (
	maxPrefix       = 512
	maxBackoff      = 5 * time.Second // between two attempts
	idleConnections = 32
	abortTimeout    = 10 * time.Second // of dropping the parts of an object that is not to be
)

func (c *Config) setDefaults() {
	set := func(n *int, otherwise int) {
		if *n == 0 {
			*n = otherwise
		}
	}
	set(&c.PartBytes, 8<<20)
	set(&c.Sending, 4)
	set(&c.Attempts, 5)
	if c.AttemptTimeout == 0 {
		c.AttemptTimeout = 20 * time.Second
	}
	if c.Timeout == 0 {
		c.Timeout = 2 * time.Minute
	}
	if c.Clock == nil {
		c.Clock = clock.Real()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// Check says what is wrong with what c says of the place, whatever the environment is. ErrInvalid.
func (c Config) Check() error {
	c.setDefaults()
	if c.Bucket != "" {
		if err := object.CheckBucket(c.Bucket); err != nil {
			return err
		}
	} else if c.Prefix != "" {
		return fmt.Errorf("%w: prefix %q without a bucket", object.ErrInvalid, c.Prefix)
	}
	if len(c.Prefix) > maxPrefix || !utf8.ValidString(c.Prefix) || strings.Trim(c.Prefix, "/") != c.Prefix {
		return fmt.Errorf("%w: prefix %q must be UTF-8 of up to %d bytes without slashes around it", object.ErrInvalid, c.Prefix, maxPrefix)
	}
	if (c.AccessKey == "") != (c.Secret == "") {
		return fmt.Errorf("%w: an access key and its secret go together", object.ErrInvalid)
	}
	if c.PartBytes < object.MinPartBytes || c.Sending < 1 || c.Attempts < 1 {
		return fmt.Errorf("%w: %d bytes of a part, %d parts at a time, %d attempts", object.ErrInvalid, c.PartBytes, c.Sending, c.Attempts)
	}
	return nil
}

// Store keeps objects in S3. Its zero value is not ready: New makes one.
type Store struct {
	config Config
	client *awss3.Client
	prefix string        // of every key: "" or with a slash at its end
	slots  chan struct{} // taken by each part that is sent
	spare  sync.Pool     // *[]byte of PartBytes
}

// New returns a store. It reads the environment and the AWS configuration files, and asks nothing of S3: see Check. ErrInvalid, ErrDenied.
func New(ctx context.Context, c Config) (*Store, error) {
	c.setDefaults()
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("S3: %w", err)
	}
	loaded, err := config.LoadDefaultConfig(ctx, c.load()...)
	if err != nil {
		return nil, fmt.Errorf("S3: %w: AWS configuration: %w", object.ErrInvalid, err)
	}
	if loaded.Region == "" {
		if c.Endpoint == "" && loaded.BaseEndpoint == nil {
			return nil, fmt.Errorf("S3: %w: no region is given, nor is AWS_REGION set", object.ErrInvalid)
		}
		loaded.Region = "us-east-1"
	}
	loaded.Credentials = marked{loaded.Credentials}
	s := &Store{config: c, slots: make(chan struct{}, c.Sending)}
	if c.Prefix != "" {
		s.prefix = c.Prefix + "/"
	}
	s.client = awss3.NewFromConfig(loaded, func(o *awss3.Options) {
		o.UsePathStyle = c.PathStyle
		o.DisableLogOutputChecksumValidationSkipped = true
		if c.Endpoint != "" {
			o.BaseEndpoint = &c.Endpoint
		}
	})
	return s, nil
}

func (c *Config) load() []func(*config.LoadOptions) error {
	transport := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.ResponseHeaderTimeout = c.AttemptTimeout
		t.TLSHandshakeTimeout = c.AttemptTimeout
		t.MaxIdleConns, t.MaxIdleConnsPerHost = idleConnections, idleConnections
	})
	options := []func(*config.LoadOptions) error{
		config.WithHTTPClient(transport),
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts, o.MaxBackoff = c.Attempts, maxBackoff
				if c.backoff != nil {
					o.Backoff = c.backoff
				}
			})
		}),
	}
	if c.Region != "" {
		options = append(options, config.WithRegion(c.Region))
	}
	if c.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(c.Profile))
	}
	if c.AccessKey != "" {
		options = append(options, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(c.AccessKey, c.Secret, c.Token)))
	}
	return options
}

// place is where an object is in S3.
type place struct {
	name   object.Name
	bucket string
	key    string
}

// place returns where an object is, if it can be anywhere and ctx has not ended. ErrInvalid.
func (s *Store) place(ctx context.Context, name object.Name) (place, error) {
	if err := errors.Join(name.Check(), context.Cause(ctx)); err != nil {
		return place{}, err
	}
	if s.config.Bucket == "" {
		return place{name, name.Bucket, name.Key}, nil
	}
	p := place{name, s.config.Bucket, s.prefix + name.Bucket + "/" + name.Key}
	if len(p.key) > object.MaxKeyBytes {
		return place{}, fmt.Errorf("%w: key of %d bytes with its prefix, %d are the most", object.ErrInvalid, len(p.key), object.MaxKeyBytes)
	}
	return p, nil
}

// MaxKeyBytes returns the longest key that objects of a bucket can have.
func (s *Store) MaxKeyBytes(bucket string) int {
	if s.config.Bucket == "" {
		return object.MaxKeyBytes
	}
	return object.MaxKeyBytes - len(s.prefix) - len(bucket) - 1
}

// call bounds a call in time.
func (s *Store) call(ctx context.Context) (context.Context, context.CancelFunc) {
	return clock.WithTimeout(ctx, s.config.Clock, s.config.Timeout, errCallTimeout)
}

// Check asks S3 for what everything else needs: that it answers, takes the credentials and has the bucket. ErrNotFound, ErrDenied,
// ErrUnavailable, ErrInvalid.
func (s *Store) Check(ctx context.Context) error {
	if s.config.Bucket == "" {
		_, err := s.Buckets(ctx)
		return err
	}
	ctx, cancel := s.call(ctx)
	defer cancel()
	_, err := s.client.ListObjectsV2(ctx, &awss3.ListObjectsV2Input{Bucket: &s.config.Bucket, Prefix: &s.prefix, MaxKeys: aws.Int32(1)})
	return judge(ctx, err, "list bucket "+s.config.Bucket)
}

// Stat implements object.Store.
func (s *Store) Stat(ctx context.Context, name object.Name) (object.Info, error) {
	at, err := s.place(ctx, name)
	if err != nil {
		return object.Info{}, err
	}
	ctx, cancel := s.call(ctx)
	defer cancel()
	out, err := s.client.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: &at.bucket, Key: &at.key})
	if err != nil {
		return object.Info{}, judge(ctx, err, "describe "+name.String())
	}
	return object.Info{Name: name, Size: aws.ToInt64(out.ContentLength), Modified: aws.ToTime(out.LastModified)}, nil
}

// Delete implements object.Store. In a bucket with versions it leaves the older ones.
func (s *Store) Delete(ctx context.Context, name object.Name) error {
	at, err := s.place(ctx, name)
	if err != nil {
		return err
	}
	ctx, cancel := s.call(ctx)
	defer cancel()
	_, err = s.client.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &at.bucket, Key: &at.key})
	if err = judge(ctx, err, "delete "+name.String()); code(err) == "NoSuchKey" {
		return nil // AWS does not say so, others do
	}
	return err
}
