package s3

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/freshet/freshet/internal/object"
)

// List implements object.Store. What others have written there and cannot be an object is left out.
func (s *Store) List(ctx context.Context, bucket string, query object.Query) (object.Page, error) {
	limit, err := query.PageLimit()
	if err == nil {
		err = errors.Join(object.CheckBucket(bucket), context.Cause(ctx))
	}
	if err != nil {
		return object.Page{}, err
	}
	ctx, cancel := s.call(ctx)
	defer cancel()
	in, above := s.listing(bucket)
	in.Prefix = aws.String(above + query.Prefix)
	if query.After != "" {
		in.StartAfter = aws.String(above + query.After)
	}
	var page object.Page
	err = s.pages(ctx, in, limit, func(out *awss3.ListObjectsV2Output) (bool, error) {
		for _, o := range out.Contents {
			name := object.Name{Bucket: bucket, Key: strings.TrimPrefix(aws.ToString(o.Key), above)}
			if name.Check() != nil || name.Key <= query.After {
				continue
			}
			if len(page.Objects) == limit {
				page.More = true
				return false, nil
			}
			page.Objects = append(page.Objects, object.Info{Name: name, Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified)})
		}
		page.More = aws.ToBool(out.IsTruncated) && len(page.Objects) == limit
		return !page.More, nil
	})
	if s.config.Bucket == "" && code(err) == "NoSuchBucket" {
		return object.Page{}, nil // one that is yet to be made has no objects
	}
	return page, err
}

// listing returns a request for what is in a bucket, and what stands above its keys.
func (s *Store) listing(bucket string) (*awss3.ListObjectsV2Input, string) {
	if s.config.Bucket == "" {
		return &awss3.ListObjectsV2Input{Bucket: &bucket}, ""
	}
	return &awss3.ListObjectsV2Input{Bucket: &s.config.Bucket}, s.prefix + bucket + "/"
}

// pages asks for page after page of up to limit keys until each wants no more. Keys come decoded.
func (s *Store) pages(ctx context.Context, in *awss3.ListObjectsV2Input, limit int, each func(*awss3.ListObjectsV2Output) (more bool, err error)) error {
	in.MaxKeys, in.EncodingType = aws.Int32(int32(limit)), types.EncodingTypeUrl
	for {
		out, err := s.client.ListObjectsV2(ctx, in)
		if err != nil {
			return judge(ctx, err, "list bucket "+*in.Bucket)
		}
		if err := decodeKeys(out); err != nil {
			return fmt.Errorf("S3: list bucket %s: %w", *in.Bucket, err)
		}
		if more, err := each(out); !more || err != nil || !aws.ToBool(out.IsTruncated) {
			return err
		}
		if aws.ToString(out.NextContinuationToken) == "" {
			return fmt.Errorf("S3: list bucket %s: %w: the page is not the last and names no next", *in.Bucket, object.ErrInvalid)
		}
		in.ContinuationToken = out.NextContinuationToken
	}
}

// decodeKeys undoes the encoding that lets XML carry any key, if the server knows it.
func decodeKeys(out *awss3.ListObjectsV2Output) error {
	if out.EncodingType != types.EncodingTypeUrl {
		return nil
	}
	var errs []error
	for i := range out.Contents {
		errs = append(errs, decode(&out.Contents[i].Key))
	}
	for i := range out.CommonPrefixes {
		errs = append(errs, decode(&out.CommonPrefixes[i].Prefix))
	}
	return errors.Join(errs...)
}

// decode replaces a text by what it encodes.
func decode(text **string) error {
	plain, err := url.QueryUnescape(aws.ToString(*text))
	*text = &plain
	return err
}

// Buckets implements object.Store. In the layout with one bucket only those with objects exist.
func (s *Store) Buckets(ctx context.Context) ([]string, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := s.call(ctx)
	defer cancel()
	var names []string
	var err error
	if s.config.Bucket == "" {
		names, err = s.ownBuckets(ctx)
	} else {
		in := &awss3.ListObjectsV2Input{Bucket: &s.config.Bucket, Prefix: &s.prefix, Delimiter: aws.String("/")}
		err = s.pages(ctx, in, object.MaxPage, func(out *awss3.ListObjectsV2Output) (bool, error) {
			for _, p := range out.CommonPrefixes {
				names = append(names, strings.TrimSuffix(strings.TrimPrefix(aws.ToString(p.Prefix), s.prefix), "/"))
			}
			return true, nil
		})
	}
	names = slices.DeleteFunc(names, func(name string) bool { return object.CheckBucket(name) != nil })
	slices.Sort(names)
	return names, err
}

// ownBuckets lists the S3 buckets of the credentials' account.
func (s *Store) ownBuckets(ctx context.Context) ([]string, error) {
	var names []string
	in := &awss3.ListBucketsInput{}
	for {
		out, err := s.client.ListBuckets(ctx, in)
		if err != nil {
			return nil, judge(ctx, err, "list buckets")
		}
		for _, b := range out.Buckets {
			names = append(names, aws.ToString(b.Name))
		}
		if aws.ToString(out.ContinuationToken) == "" {
			return names, nil
		}
		in.ContinuationToken = out.ContinuationToken
	}
}
