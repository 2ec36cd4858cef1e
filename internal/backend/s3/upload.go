package s3

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/freshet/freshet/internal/object"
)

// maxUnseekable bounds a part whose reader cannot seek: it is kept in memory, as S3 must be told its length and it may have to be sent again.
const maxUnseekable = 64 << 20

// StartUpload implements object.Uploads.
func (s *Store) StartUpload(ctx context.Context, name object.Name) (string, error) {
	at, err := s.place(ctx, name)
	if err != nil {
		return "", err
	}
	return s.startUpload(ctx, at)
}

// PutPart implements object.Uploads. A reader that is an io.Seeker is read where it stands, another kept in memory. ErrInvalid beyond maxUnseekable.
func (s *Store) PutPart(ctx context.Context, name object.Name, id string, number int, r io.Reader) (object.Part, error) {
	at, err := s.place(ctx, name)
	if err == nil {
		err = object.CheckPartNumber(number)
	}
	if err != nil {
		return object.Part{}, err
	}
	if id == "" {
		return object.Part{}, fmt.Errorf("%w: it has no id", object.ErrNoUpload)
	}
	body, size, err := seekable(r)
	if err != nil {
		return object.Part{}, fmt.Errorf("part %d of %s: %w", number, name, err)
	}
	etag, err := s.putPart(ctx, at, id, int32(number), body)
	if err != nil {
		return object.Part{}, err
	}
	return object.Part{Number: number, Size: size, ETag: etag}, nil
}

// seekable returns r, or what is in it, and how much that is.
func seekable(r io.Reader) (io.ReadSeeker, int64, error) {
	if seeker, ok := r.(io.ReadSeeker); ok {
		from, err := seeker.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, 0, err
		}
		end, err := seeker.Seek(0, io.SeekEnd)
		if err != nil {
			return nil, 0, err
		}
		_, err = seeker.Seek(from, io.SeekStart)
		return seeker, end - from, err
	}
	data, err := io.ReadAll(io.LimitReader(r, maxUnseekable+1))
	if err != nil {
		return nil, 0, err
	}
	if len(data) > maxUnseekable {
		return nil, 0, fmt.Errorf("%w: more than %d bytes from a reader that cannot seek", object.ErrInvalid, maxUnseekable)
	}
	return bytes.NewReader(data), int64(len(data)), nil
}

// CompleteUpload implements object.Uploads. AWS answers a repeated completion as the first, for a while.
func (s *Store) CompleteUpload(ctx context.Context, name object.Name, id string, parts []object.Part) (object.Info, error) {
	at, err := s.place(ctx, name)
	if err != nil {
		return object.Info{}, err
	}
	if id == "" {
		return object.Info{}, fmt.Errorf("%w: it has no id", object.ErrNoUpload)
	}
	if err := object.CheckParts(parts); err != nil {
		return object.Info{}, err
	}
	info := object.Info{Name: name}
	sent := make([]types.CompletedPart, len(parts))
	for i, p := range parts {
		number := int32(p.Number)
		sent[i] = types.CompletedPart{PartNumber: &number, ETag: &p.ETag}
		info.Size += p.Size
	}
	info.Modified, err = s.complete(ctx, at, id, sent)
	if err != nil {
		return object.Info{}, err
	}
	return info, nil
}

// AbortUpload implements object.Uploads.
func (s *Store) AbortUpload(ctx context.Context, name object.Name, id string) error {
	at, err := s.place(ctx, name)
	if err != nil {
		return err
	}
	if id == "" {
		return fmt.Errorf("%w: it has no id", object.ErrNoUpload)
	}
	return s.abort(ctx, at, id)
}
