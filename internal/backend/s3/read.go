package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/object"
)

// The bounds of reading on after a connection broke: maxCuts breaks in a row that brought less than worthIt bytes each end the reading.
const (
	maxCuts = 4
	worthIt = 64 << 10
)

// Get implements object.Store.
func (s *Store) Get(ctx context.Context, name object.Name, from, length int64) (io.ReadCloser, object.Info, error) {
	at, err := s.place(ctx, name)
	if err != nil {
		return nil, object.Info{}, err
	}
	if from < 0 {
		_, err := object.Extent(0, from, length)
		return nil, object.Info{}, err
	}
	if length == 0 {
		return s.nothing(ctx, name, from, false)
	}
	r := &reader{store: s, place: at, at: from}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	info, err := r.begin(length)
	if errors.Is(err, object.ErrRange) { // S3 has no range at the very end, nor in an empty object
		r.cancel(nil)
		return s.nothing(ctx, name, from, true)
	}
	if err != nil {
		r.cancel(nil)
		return nil, object.Info{}, err
	}
	r.watching.Go(r.watch)
	return r, info, nil
}

// nothing reads no byte at from of an object that must be there; ends says that from was found to be beyond its last byte. ErrRange.
func (s *Store) nothing(ctx context.Context, name object.Name, from int64, ends bool) (io.ReadCloser, object.Info, error) {
	info, err := s.Stat(ctx, name)
	if err != nil {
		return nil, object.Info{}, err
	}
	if _, err := object.Extent(info.Size, from, 0); err != nil {
		return nil, object.Info{}, err
	}
	if ends && from < info.Size {
		return nil, object.Info{}, fmt.Errorf("S3: get %s: %w: it was replaced meanwhile", name, object.ErrUnavailable)
	}
	return io.NopCloser(strings.NewReader("")), info, nil
}

// reader reads one version of an object, over as many connections as it takes. It is for one goroutine.
type reader struct {
	store  *Store
	place  place
	ctx    context.Context // ends with Close
	cancel context.CancelCauseFunc

	etag    string
	at, end int64
	body    io.ReadCloser // from at on; nil where a connection broke
	cuts    int           // in a row
	since   int64         // where the last cut was

	drop     atomic.Pointer[context.CancelFunc] // ends the connection at hand
	reads    atomic.Int64                       // begun and ended: odd while one waits
	watching sync.WaitGroup
}

var errClosed = errors.New("object reader is closed")

// begin asks for length bytes, < 0 for the rest, and learns of what object.
func (r *reader) begin(length int64) (object.Info, error) {
	in := &awss3.GetObjectInput{Bucket: &r.place.bucket, Key: &r.place.key}
	whole := r.at == 0 && length < 0
	if !whole {
		last := ""
		if length > 0 && r.at+length > 0 { // else it goes beyond every end
			last = strconv.FormatInt(r.at+length-1, 10)
		}
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%s", r.at, last))
	}
	out, err := r.ask(in, whole)
	if err != nil {
		return object.Info{}, err
	}
	size, err := extent(out, r.at)
	if err != nil {
		out.Body.Close()
		return object.Info{}, fmt.Errorf("S3: get %s: %w", r.place.name, err)
	}
	if r.end, err = object.Extent(size, r.at, length); err != nil {
		out.Body.Close()
		return object.Info{}, err
	}
	r.body, r.etag, r.since = out.Body, aws.ToString(out.ETag), r.at
	return object.Info{Name: r.place.name, Size: size, Modified: aws.ToTime(out.LastModified)}, nil
}

// ask sends a request whose answer may take any time once it has begun. Checksums are of whole objects.
func (r *reader) ask(in *awss3.GetObjectInput, whole bool) (*awss3.GetObjectOutput, error) {
	if whole {
		in.ChecksumMode = types.ChecksumModeEnabled
	}
	ctx, drop := context.WithCancel(r.ctx)
	r.drop.Store(&drop)
	out, err := r.store.client.GetObject(ctx, in, func(o *awss3.Options) {
		if !whole {
			o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		}
	})
	if err != nil {
		drop()
		return nil, judge(r.ctx, err, "get "+r.place.name.String())
	}
	return out, nil
}

// extent returns the size of the object that an answer is from, which must begin at from.
func extent(out *awss3.GetObjectOutput, from int64) (int64, error) {
	said := aws.ToString(out.ContentRange)
	if said == "" {
		if from > 0 {
			return 0, fmt.Errorf("%w: the server does not know ranges", object.ErrInvalid)
		}
		if out.ContentLength == nil {
			return 0, fmt.Errorf("%w: the server does not say how long it is", object.ErrInvalid)
		}
		return *out.ContentLength, nil
	}
	var first, last, size int64
	if n, err := fmt.Sscanf(said, "bytes %d-%d/%d", &first, &last, &size); n != 3 || err != nil || first != from || last < first || size <= last {
		return 0, fmt.Errorf("%w: the answer is of range %q, wanted from %d", object.ErrInvalid, said, from)
	}
	return size, nil
}

// Read implements io.Reader. The error is ErrNotFound if a connection broke and the version is there no more.
func (r *reader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		if r.body == nil {
			if r.at == r.end {
				return 0, io.EOF
			}
			if err := r.reopen(); err != nil {
				return 0, err
			}
		}
		n, err := r.read(b)
		if n > 0 || err == nil {
			return n, nil
		}
		if err == io.EOF && r.at == r.end {
			return 0, io.EOF
		}
		if err := r.cut(err); err != nil {
			return 0, err
		}
	}
}

// read reads from the connection at hand. At the end it reads on, as only then the checksum is compared.
func (r *reader) read(b []byte) (int, error) {
	r.reads.Add(1)
	defer r.reads.Add(1)
	if r.at == r.end {
		if n, err := r.body.Read(b[:1]); n > 0 || err == nil { // the server sends more than it was asked for
			return 0, io.EOF
		} else {
			return 0, err
		}
	}
	n, err := r.body.Read(b[:min(int64(len(b)), r.end-r.at)])
	r.at += int64(n)
	return n, err
}

// cut drops a connection that broke with err, and returns why that is the end of it.
func (r *reader) cut(err error) error {
	r.body.Close()
	r.body = nil
	if cause := context.Cause(r.ctx); cause != nil {
		return fmt.Errorf("S3: read %s: %w", r.place.name, cause)
	}
	if r.at == r.end {
		return fmt.Errorf("S3: read %s: %w", r.place.name, err) // complete, and not what was stored
	}
	if r.cuts++; r.at-r.since >= worthIt {
		r.cuts = 1
	}
	r.since = r.at
	if r.cuts >= maxCuts {
		return &Error{Doing: "read " + r.place.name.String(), Kind: object.ErrUnavailable, Text: fmt.Sprintf("the connection broke %d times: %v", r.cuts, err), cause: err}
	}
	return nil
}

// reopen asks for the rest of the same version.
func (r *reader) reopen() error {
	out, err := r.ask(&awss3.GetObjectInput{
		Bucket: &r.place.bucket, Key: &r.place.key, IfMatch: &r.etag, Range: aws.String(fmt.Sprintf("bytes=%d-%d", r.at, r.end-1)),
	}, false)
	if err != nil {
		return err
	}
	if _, err := extent(out, r.at); err != nil || aws.ToString(out.ETag) != r.etag {
		out.Body.Close()
		return errors.Join(fmt.Errorf("%w: %s changed while it was read", object.ErrNotFound, r.place.name), err)
	}
	r.body = out.Body
	return nil
}

// watch drops the connection if one Read waits for longer than an attempt may.
func (r *reader) watch() {
	for last := int64(-1); ; {
		if err := clock.Sleep(r.ctx, r.store.config.Clock, r.store.config.AttemptTimeout); err != nil {
			return
		}
		now := r.reads.Load()
		if now == last && now%2 == 1 {
			(*r.drop.Load())()
		}
		last = now
	}
}

// Close implements io.Closer.
func (r *reader) Close() error {
	r.cancel(errClosed)
	r.watching.Wait()
	if r.body != nil {
		r.body.Close() // what is not read is not wanted
		r.body = nil
	}
	return nil
}
