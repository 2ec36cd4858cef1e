package s3

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/freshet/freshet/internal/object"
)

const (
	// StaleAfter is the age of an upload that nobody is about to complete. Writers take minutes; one whose upload is dropped all the same gets an
	// error, and its object is written again.
	StaleAfter = 24 * time.Hour
	// staleEvery is how often stale uploads are looked for.
	staleEvery = 24 * time.Hour
	// maxStale bounds the uploads that are dropped at a time.
	maxStale = 10_000
)

// Run drops what killed nodes have left, at once and then once a day, until ctx ends. What fails is logged, and tried again the next day.
func (s *Store) Run(ctx context.Context) error {
	ticker := s.config.Clock.NewTicker(staleEvery)
	defer ticker.Stop()
	for {
		dropped, err := s.DropStale(ctx, StaleAfter)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			s.config.Logger.Warn("uploads that killed nodes have left are not all dropped, S3 may charge for them", "dropped", dropped, "error", err)
		case dropped > 0:
			s.config.Logger.Info("uploads dropped that killed nodes have left", "dropped", dropped)
		}
		select {
		case <-ticker.C():
		case <-ctx.Done():
			return nil
		}
	}
}

// DropStale aborts multipart uploads below Config.Prefix that were begun longer than age ago, by the server's clock, and returns how many. Without
// a prefix it does nothing: the bucket may be others', too.
func (s *Store) DropStale(ctx context.Context, age time.Duration) (dropped int, err error) {
	if s.config.Prefix == "" {
		return 0, nil
	}
	in := &awss3.ListMultipartUploadsInput{Bucket: &s.config.Bucket, Prefix: &s.prefix, EncodingType: types.EncodingTypeUrl}
	for {
		out, err := s.uploads(ctx, in)
		if err != nil {
			return dropped, err
		}
		before := s.serverTime(out.ResultMetadata).Add(-age)
		for _, u := range out.Uploads {
			if u.Initiated == nil || !u.Initiated.Before(before) {
				continue
			}
			if dropped == maxStale {
				return dropped, nil
			}
			key := aws.ToString(u.Key)
			at := place{name: object.Name{Bucket: s.config.Bucket, Key: key}, bucket: s.config.Bucket, key: key}
			if err := s.abort(ctx, at, aws.ToString(u.UploadId)); err != nil && !errors.Is(err, object.ErrNoUpload) {
				return dropped, err
			}
			dropped++
		}
		if !aws.ToBool(out.IsTruncated) {
			return dropped, nil
		}
		if aws.ToString(out.NextKeyMarker) == "" {
			return dropped, fmt.Errorf("S3: list uploads of bucket %s: %w: the page is not the last and names no next", s.config.Bucket, object.ErrInvalid)
		}
		in.KeyMarker, in.UploadIdMarker = out.NextKeyMarker, out.NextUploadIdMarker
	}
}

// uploads returns a page of uploads. Keys come decoded.
func (s *Store) uploads(ctx context.Context, in *awss3.ListMultipartUploadsInput) (*awss3.ListMultipartUploadsOutput, error) {
	ctx, cancel := s.call(ctx)
	defer cancel()
	out, err := s.client.ListMultipartUploads(ctx, in)
	if err != nil {
		return nil, judge(ctx, err, "list uploads of bucket "+*in.Bucket)
	}
	if out.EncodingType != types.EncodingTypeUrl {
		return out, nil
	}
	errs := []error{decode(&out.NextKeyMarker)}
	for i := range out.Uploads {
		errs = append(errs, decode(&out.Uploads[i].Key))
	}
	return out, errors.Join(errs...)
}
