package dir

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/freshet/freshet/internal/object"
)

// An upload is a directory .uploads/<id> with the file "object", its name as JSON, and a file part-NNNNN-<md5> for each part.

// StartUpload implements object.Store.
func (s *Store) StartUpload(ctx context.Context, name object.Name) (string, error) {
	if err := errors.Join(name.Check(), context.Cause(ctx)); err != nil {
		return "", err
	}
	var raw [16]byte
	if _, err := io.ReadFull(s.random, raw[:]); err != nil {
		return "", fmt.Errorf("draw upload id: %w", err)
	}
	id := hex.EncodeToString(raw[:])
	text, err := json.Marshal(name)
	if err != nil {
		return "", err
	}
	uploads := filepath.Join(s.root, ".uploads")
	dir := filepath.Join(uploads, id)
	if err = s.makeDirs(s.root, uploads); err == nil {
		err = s.mkdir(dir)
	}
	if err != nil {
		return "", fmt.Errorf("start upload of %s: %w", name, err)
	}
	if err := s.stageInto(ctx, name, strings.NewReader(string(text)), func(string) string { return filepath.Join(dir, "object") }); err != nil {
		return "", fmt.Errorf("start upload of %s: %w", name, err)
	}
	return id, nil
}

// stageInto writes r to a staging file and moves it, synced, to the path that to makes of its MD5.
func (s *Store) stageInto(ctx context.Context, name object.Name, r io.Reader, to func(sum string) string) error {
	w, err := s.create(ctx, name)
	if err != nil {
		return err
	}
	defer w.Abort()
	sum := md5.New() // as S3's ETag of a part: it names the bytes, it protects nothing
	if _, err := io.Copy(w, io.TeeReader(r, sum)); err != nil {
		return err
	}
	if err := w.buf.Flush(); err != nil {
		return err
	}
	if err := w.file.Sync(); err != nil {
		return err
	}
	err = w.file.Close()
	w.file = nil
	if err != nil {
		return err
	}
	path := to(hex.EncodeToString(sum.Sum(nil)))
	if err := s.files.Rename(w.path, path); err != nil {
		return errors.Join(err, s.files.Remove(w.path))
	}
	return s.files.SyncDir(filepath.Dir(path))
}

// uploadDir returns the directory of an upload of name.
func (s *Store) uploadDir(name object.Name, id string) (string, error) {
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != 16 || hex.EncodeToString(raw) != id {
		return "", object.ErrNoUpload
	}
	dir := filepath.Join(s.root, ".uploads", id)
	f, err := s.files.Open(filepath.Join(dir, "object"))
	if missing(err) {
		return "", object.ErrNoUpload
	}
	if err != nil {
		return "", fmt.Errorf("open upload %s: %w", id, err)
	}
	defer f.Close()
	var of object.Name
	if err := json.NewDecoder(f).Decode(&of); err != nil {
		return "", fmt.Errorf("read upload %s: %w", id, err)
	}
	if of != name {
		return "", fmt.Errorf("%w: %s is of another object", object.ErrNoUpload, id)
	}
	return dir, nil
}

func partPrefix(number int) string { return fmt.Sprintf("part-%05d-", number) }

// PutPart implements object.Store.
func (s *Store) PutPart(ctx context.Context, name object.Name, id string, number int, r io.Reader) (object.Part, error) {
	if err := errors.Join(object.CheckPartNumber(number), context.Cause(ctx)); err != nil {
		return object.Part{}, err
	}
	dir, err := s.uploadDir(name, id)
	if err != nil {
		return object.Part{}, err
	}
	part := object.Part{Number: number}
	counted := &counter{r: r}
	err = s.stageInto(ctx, name, counted, func(sum string) string {
		part.ETag = sum
		return filepath.Join(dir, partPrefix(number)+sum)
	})
	if missing(err) {
		return object.Part{}, object.ErrNoUpload // completed or aborted meanwhile
	}
	if err != nil {
		return object.Part{}, fmt.Errorf("store part %d of %s: %w", number, name, err)
	}
	part.Size = counted.n
	return part, s.dropParts(dir, func(file string) bool {
		return strings.HasPrefix(file, partPrefix(number)) && file != partPrefix(number)+part.ETag
	})
}

// dropParts removes the files of an upload that drop wants gone.
func (s *Store) dropParts(dir string, drop func(file string) bool) error {
	entries, err := s.files.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !drop(e.Name()) {
			continue
		}
		if err := s.files.Remove(filepath.Join(dir, e.Name())); err != nil && !missing(err) {
			return err
		}
	}
	return nil
}

// counter counts the bytes that are read through it.
type counter struct {
	r io.Reader
	n int64
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// CompleteUpload implements object.Store.
func (s *Store) CompleteUpload(ctx context.Context, name object.Name, id string, parts []object.Part) (object.Info, error) {
	if err := context.Cause(ctx); err != nil {
		return object.Info{}, err
	}
	dir, err := s.uploadDir(name, id)
	if err != nil {
		return object.Info{}, err
	}
	if err := object.CheckParts(parts); err != nil {
		return object.Info{}, err
	}
	w, err := s.create(ctx, name)
	if err != nil {
		return object.Info{}, err
	}
	defer w.Abort()
	for _, p := range parts {
		if err := s.copyPart(w, dir, p); err != nil {
			return object.Info{}, fmt.Errorf("complete %s: part %d: %w", name, p.Number, err)
		}
	}
	info, err := w.Commit(ctx)
	if err != nil {
		return object.Info{}, err
	}
	return info, s.dropUpload(dir)
}

func (s *Store) copyPart(w io.Writer, dir string, p object.Part) error {
	if raw, err := hex.DecodeString(p.ETag); err != nil || len(raw) != md5.Size {
		return fmt.Errorf("%w: no such part", object.ErrInvalid)
	}
	f, err := s.files.Open(filepath.Join(dir, partPrefix(p.Number)+p.ETag))
	if missing(err) {
		return fmt.Errorf("%w: no such part", object.ErrInvalid)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.Copy(w, f)
	if err == nil && n != p.Size {
		return fmt.Errorf("%w: it has %d bytes, not %d", object.ErrInvalid, n, p.Size)
	}
	return err
}

// AbortUpload implements object.Store.
func (s *Store) AbortUpload(ctx context.Context, name object.Name, id string) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	dir, err := s.uploadDir(name, id)
	if err != nil {
		return err
	}
	return s.dropUpload(dir)
}

// dropUpload removes an upload. The file with its name goes first: without it there is no upload, whatever else is left.
func (s *Store) dropUpload(dir string) error {
	if err := s.files.Remove(filepath.Join(dir, "object")); err != nil && !missing(err) {
		return err
	}
	if err := s.dropParts(dir, func(string) bool { return true }); err != nil && !missing(err) {
		return err
	}
	if err := s.files.Remove(dir); err != nil && !missing(err) {
		return err
	}
	return s.files.SyncDir(filepath.Dir(dir))
}
