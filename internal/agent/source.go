package agent

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// source is what a tail reads: a file, or what was in a file before it was compressed.
type source interface {
	io.ReaderAt
	io.Closer
	Name() string
	Stat() (os.FileInfo, error)
}

func openSource(path string) (source, error) {
	f, err := os.Open(path) //nolint:gosec // the user names the files, or those beside it
	if err != nil {
		return nil, err
	}
	if !isGzip(path) {
		return f, nil
	}
	z := &gzipSource{File: f}
	head := make([]byte, headBytes)
	n, err := z.readAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, f.Close())
	}
	z.head = head[:n]
	return z, nil
}

const gzipEnding = ".gz"

func isGzip(name string) bool { return strings.EqualFold(filepath.Ext(name), gzipEnding) }

// gzipSource is what was in a file before gzip compressed it. A read costs what lies between it and the one before, or all before it if it goes
// back; the first bytes, by which a file is known, are at hand.
type gzipSource struct {
	*os.File
	head []byte
	text *gzip.Reader
	at   int64       // of text
	info os.FileInfo // nil = not asked for yet
}

// ReadAt implements io.ReaderAt, for one caller at a time.
func (z *gzipSource) ReadAt(p []byte, off int64) (int, error) {
	if off == 0 && len(p) <= headBytes {
		n := copy(p, z.head)
		if n < len(p) {
			return n, io.EOF
		}
		return n, nil
	}
	return z.readAt(p, off)
}

func (z *gzipSource) readAt(p []byte, off int64) (n int, err error) {
	if z.text == nil || off < z.at {
		if err = z.rewind(); err != nil {
			return 0, err
		}
	}
	skipped, err := io.CopyN(io.Discard, z.text, off-z.at)
	z.at += skipped
	for n < len(p) && err == nil {
		var more int
		more, err = z.text.Read(p[n:])
		n += more
	}
	z.at += int64(n)
	return n, err
}

func (z *gzipSource) rewind() error {
	z.at = 0
	_, err := z.File.Seek(0, io.SeekStart)
	switch {
	case err != nil:
	case z.text == nil:
		z.text, err = gzip.NewReader(z.File)
	default:
		err = z.text.Reset(z.File)
	}
	return err
}

// Stat returns the file's description with the size of its text. It reads all of it once: nothing is taken from a file that is damaged, or not
// written to its end yet.
func (z *gzipSource) Stat() (os.FileInfo, error) {
	if z.info != nil {
		return z.info, nil
	}
	info, err := z.File.Stat()
	if err == nil {
		err = z.rewind()
	}
	if err != nil {
		return nil, err
	}
	if z.at, err = io.Copy(io.Discard, z.text); err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	z.info = textInfo{info, z.at}
	return z.info, nil
}

// textInfo is a compressed file's description, but for its size.
type textInfo struct {
	os.FileInfo
	size int64
}

// Size returns that of the text.
func (i textInfo) Size() int64 { return i.size }
