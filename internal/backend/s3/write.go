package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/object"
)

// Create implements object.Store.
func (s *Store) Create(ctx context.Context, name object.Name) (object.Writer, error) {
	at, err := s.place(ctx, name)
	if err != nil {
		return nil, err
	}
	w := &writer{store: s, place: at}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	return w, nil
}

// writer makes one object.
type writer struct {
	store  *Store
	place  place
	ctx    context.Context // of the parts; ends with the first that fails
	cancel context.CancelCauseFunc
	done   bool

	part   []byte // being filled, up to Config.PartBytes
	size   int64  // of the parts before it
	upload string // its id; "" while all there is fits one part
	number int32  // of the last part sent

	sending sync.WaitGroup
	mu      sync.Mutex
	sent    []types.CompletedPart // guarded by mu
}

var errAborted = errors.New("object writer is aborted")

// Write implements object.Writer. It waits where Config.Sending parts are being sent.
func (w *writer) Write(p []byte) (int, error) {
	if w.done {
		return 0, object.ErrClosed
	}
	written := 0
	for len(p) > 0 {
		if err := context.Cause(w.ctx); err != nil {
			return written, err
		}
		if len(w.part) == w.store.config.PartBytes {
			if err := w.send(w.ctx); err != nil {
				return written, err
			}
		}
		n := min(len(p), w.store.config.PartBytes-len(w.part))
		if w.upload != "" && w.part == nil {
			w.part = w.store.spared()
		}
		w.part = append(w.part, p[:n]...)
		written, p = written+n, p[n:]
	}
	return written, nil
}

// spared returns room for a part.
func (s *Store) spared() []byte {
	if b, ok := s.spare.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, s.config.PartBytes)
}

// send begins to send what there is of the part. ErrInvalid beyond object.MaxParts.
func (w *writer) send(ctx context.Context) error {
	if w.upload == "" {
		id, err := w.store.startUpload(ctx, w.place)
		if err != nil {
			return err
		}
		w.upload = id
	}
	if w.number == object.MaxParts {
		return fmt.Errorf("%w: %s has more than %d bytes", object.ErrInvalid, w.place.name, w.size)
	}
	select {
	case w.store.slots <- struct{}{}:
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	w.number++
	number, part := w.number, w.part
	w.size += int64(len(part))
	w.part = nil
	w.sending.Go(func() {
		defer func() { <-w.store.slots }()
		etag, err := w.store.putPart(w.ctx, w.place, w.upload, number, bytes.NewReader(part))
		if cap(part) == w.store.config.PartBytes {
			w.store.spare.Put(&part)
		}
		if err != nil {
			w.cancel(err)
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.sent = append(w.sent, types.CompletedPart{PartNumber: &number, ETag: &etag})
	})
	return nil
}

// Commit implements object.Writer.
func (w *writer) Commit(ctx context.Context) (object.Info, error) {
	if w.done {
		return object.Info{}, object.ErrClosed
	}
	info, err := w.commit(ctx)
	w.done = true
	if err != nil {
		w.drop(err)
	}
	w.cancel(object.ErrClosed)
	return info, err
}

func (w *writer) commit(ctx context.Context) (object.Info, error) {
	if err := errors.Join(context.Cause(ctx), context.Cause(w.ctx)); err != nil {
		return object.Info{}, err
	}
	defer context.AfterFunc(ctx, func() { w.cancel(context.Cause(ctx)) })()
	if w.upload == "" {
		return w.put(ctx)
	}
	if err := w.send(ctx); err != nil {
		return object.Info{}, err
	}
	w.sending.Wait()
	if err := context.Cause(w.ctx); err != nil {
		return object.Info{}, err
	}
	slices.SortFunc(w.sent, func(a, b types.CompletedPart) int { return int(*a.PartNumber - *b.PartNumber) })
	modified, err := w.store.complete(ctx, w.place, w.upload, w.sent)
	if errors.Is(err, object.ErrNoUpload) { // an attempt before may have succeeded, and its answer been lost
		err = &Error{Doing: "complete " + w.place.name.String(), Kind: object.ErrUnavailable, Text: "the upload is gone, its object may be there", cause: err}
	}
	if err != nil {
		return object.Info{}, err
	}
	return object.Info{Name: w.place.name, Size: w.size, Modified: modified}, nil
}

// put writes the object in one piece.
func (w *writer) put(ctx context.Context) (object.Info, error) {
	ctx, cancel := w.store.call(ctx)
	defer cancel()
	size := int64(len(w.part))
	out, err := w.store.client.PutObject(ctx, &awss3.PutObjectInput{
		Bucket: &w.place.bucket, Key: &w.place.key, Body: bytes.NewReader(w.part), ContentLength: &size,
	})
	if err != nil {
		return object.Info{}, judge(ctx, err, "put "+w.place.name.String())
	}
	return object.Info{Name: w.place.name, Size: size, Modified: w.store.serverTime(out.ResultMetadata)}, nil
}

// serverTime returns when the server answered, as far as it says so. That is within a second of what it says of the object later.
func (s *Store) serverTime(answer middleware.Metadata) time.Time {
	if at, ok := awsmiddleware.GetServerTime(answer); ok && !at.IsZero() {
		return at
	}
	return s.config.Clock.Now()
}

// Abort implements object.Writer.
func (w *writer) Abort() {
	if w.done {
		return
	}
	w.done = true
	w.drop(errAborted)
}

// drop ends the parts being sent, and has S3 forget those that were.
func (w *writer) drop(why error) {
	w.cancel(why)
	w.sending.Wait()
	w.part = nil
	if w.upload == "" {
		return
	}
	ctx, cancel := clock.WithTimeout(context.WithoutCancel(w.ctx), w.store.config.Clock, abortTimeout, errCallTimeout)
	defer cancel()
	if err := w.store.abort(ctx, w.place, w.upload); err != nil && !errors.Is(err, object.ErrNoUpload) {
		w.store.config.Logger.Warn("parts of an object that is not to be stay in S3 until its upload is aborted", "object", w.place.name.String(), "upload", w.upload, "error", err)
	}
}

// startUpload begins a multipart upload.
func (s *Store) startUpload(ctx context.Context, at place) (string, error) {
	ctx, cancel := s.call(ctx)
	defer cancel()
	out, err := s.client.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{Bucket: &at.bucket, Key: &at.key})
	if err != nil {
		return "", judge(ctx, err, "begin "+at.name.String())
	}
	return aws.ToString(out.UploadId), nil
}

func (s *Store) putPart(ctx context.Context, at place, id string, number int32, body io.ReadSeeker) (etag string, err error) {
	ctx, cancel := s.call(ctx)
	defer cancel()
	out, err := s.client.UploadPart(ctx, &awss3.UploadPartInput{Bucket: &at.bucket, Key: &at.key, UploadId: &id, PartNumber: &number, Body: body})
	if err != nil {
		return "", judge(ctx, err, fmt.Sprintf("put part %d of %s", number, at.name))
	}
	return aws.ToString(out.ETag), nil
}

func (s *Store) complete(ctx context.Context, at place, id string, parts []types.CompletedPart) (time.Time, error) {
	ctx, cancel := s.call(ctx)
	defer cancel()
	out, err := s.client.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{
		Bucket: &at.bucket, Key: &at.key, UploadId: &id, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	if err != nil {
		return time.Time{}, judge(ctx, err, "complete "+at.name.String())
	}
	return s.serverTime(out.ResultMetadata), nil
}

func (s *Store) abort(ctx context.Context, at place, id string) error {
	ctx, cancel := s.call(ctx)
	defer cancel()
	_, err := s.client.AbortMultipartUpload(ctx, &awss3.AbortMultipartUploadInput{Bucket: &at.bucket, Key: &at.key, UploadId: &id})
	return judge(ctx, err, "abort "+at.name.String())
}
