// Package object is the contract for objects: whole files under a bucket and a key, as S3 has them. Store keeps them, Name says where,
// Writer makes one.
//
// An object appears whole when it is committed, and is durable from then on; writing the same name again replaces it whole. Keys are S3's:
// any UTF-8 of up to 1,024 bytes, so "../x", "/x" and "a//b" are keys like others, and a store that cannot use a key as a file name
// escapes it. Buckets are not made: one exists while it holds an object, where the store allows that.
//
// It refuses to be a file system: nothing is appended to, renamed or locked, and there are no directories, only keys with a common prefix.
package object

import (
	"context"
	"errors"
	"io"
	"time"
)

// The errors a caller can decide by. Implementations wrap them with what the caller does not know.
var (
	ErrInvalid  = errors.New("invalid")                 // a name, range or part that can never work
	ErrNotFound = errors.New("object not found")        // no such object, or no such bucket where buckets are made elsewhere
	ErrNoUpload = errors.New("upload not found")        // completed, aborted or never started
	ErrRange    = errors.New("range outside object")    // Get from beyond the end
	ErrClosed   = errors.New("object writer is closed") // written to after Commit or Abort

	ErrDenied      = errors.New("object store denies access")     // credentials that are missing, wrong or not enough: trying again does not help
	ErrUnavailable = errors.New("object store does not serve us") // it is not reached, fails, or asks to slow down: trying again may help
)

// MaxPage is the most objects one List returns, and its default.
const MaxPage = 1000

// The bounds of a multipart upload, as S3 has them.
const (
	MaxParts     = 10_000
	MinPartBytes = 5 << 20 // of every part but the last
)

// Store keeps objects. All methods are safe for concurrent use and may block on disk or network; they give up with the context's cause where
// they can. The acceptance suite of every implementation is in package objecttest.
type Store interface {
	// Create begins an object of any size; nothing of it is seen until its Commit. ctx ends the writing. ErrInvalid.
	Create(ctx context.Context, name Name) (Writer, error)
	// Get reads length bytes of an object from byte from on; length < 0 means to the end, and a range that ends beyond the end is cut there.
	// What is read is one version of the object, also while it is replaced or deleted. The caller closes the reader.
	// ErrNotFound, ErrInvalid (from < 0), ErrRange (from beyond the end).
	Get(ctx context.Context, name Name, from, length int64) (io.ReadCloser, Info, error)
	// Stat describes an object. ErrNotFound.
	Stat(ctx context.Context, name Name) (Info, error)
	// List returns objects of a bucket by key, in byte order. A bucket without objects gives an empty page.
	List(ctx context.Context, bucket string, query Query) (Page, error)
	// Buckets lists the buckets in order. The slice is the caller's.
	Buckets(ctx context.Context) ([]string, error)
	// Delete removes an object, durably when it returns. Deleting what does not exist is no error.
	Delete(ctx context.Context, name Name) error

	Uploads
}

// Uploads make one object out of parts that may be written in any order, concurrently and by several processes, as S3's multipart uploads.
type Uploads interface {
	// StartUpload begins one and returns its id. It holds space until it is completed or aborted, also across restarts.
	StartUpload(ctx context.Context, name Name) (id string, err error)
	// PutPart stores part number 1..MaxParts from r, durable when it returns; the same number again replaces it. ErrNoUpload.
	PutPart(ctx context.Context, name Name, id string, number int, r io.Reader) (Part, error)
	// CompleteUpload commits the object from parts, which ascend by number but need not be all that were put; the others are dropped.
	// ErrNoUpload; ErrInvalid for a part that is unknown, was replaced, or is too small.
	CompleteUpload(ctx context.Context, name Name, id string, parts []Part) (Info, error)
	// AbortUpload drops an upload and its parts. ErrNoUpload.
	AbortUpload(ctx context.Context, name Name, id string) error
}

// Writer makes one object. It is for one goroutine, and ends with Commit or Abort.
type Writer interface {
	io.Writer
	// Commit makes the object visible and durable, replacing an older one. After an error it may or may not be; the same object may be
	// written again.
	Commit(ctx context.Context) (Info, error)
	// Abort drops what was written. After Commit, or twice, it does nothing.
	Abort()
}

// Info describes an object.
type Info struct {
	Name
	Size     int64
	Modified time.Time // when it was committed, by the store's clock
}

// Part is the receipt for one part of an upload.
type Part struct {
	Number int
	Size   int64
	ETag   string // identifies the bytes; the store's own form
}

// Query selects what List returns.
type Query struct {
	Prefix string
	After  string // only keys greater than this one
	Limit  int    // 1..MaxPage; 0 = MaxPage
}

// Page is one answer of List, which is the caller's.
type Page struct {
	Objects []Info
	More    bool // there are objects after the last one
}
