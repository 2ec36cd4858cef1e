package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/object"
	"github.com/freshet/freshet/internal/stream"
)

// objectsIn names the node whose objects a verb reads, by its data directory or where it puts them; it may run or not.
type objectsIn struct {
	dataFlags
	Objects string `name:"objects" placeholder:"DIR|URL" help:"Where the objects are, as the node's --objects."`
}

// open opens the objects of a directory that exists, or in S3: a mistyped name is not taken for one without objects.
func (o *objectsIn) open(ctx context.Context) (object.Store, error) {
	switch {
	case strings.Contains(o.Objects, "://"): // in S3, or wrong
	case o.Objects != "" && !isDirectory(o.Objects):
		return nil, &usageError{fmt.Errorf("%s is no directory of objects: give --objects DIR", o.Objects)}
	case o.Objects == "" && !isDirectory(o.dir()):
		return nil, &usageError{fmt.Errorf("%s is no data directory: give --data DIR", o.dir())}
	}
	place, err := app.ObjectsPlace(o.dir(), o.Objects)
	if err != nil {
		return nil, err
	}
	return app.OpenObjects(ctx, "objects", place, app.Deps{})
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// splitName splits BUCKET/KEY or s3://BUCKET/KEY.
func splitName(s string) (bucket, key string) {
	bucket, key, _ = strings.Cut(strings.TrimPrefix(s, "s3://"), "/")
	return bucket, key
}

// lsCmd lists buckets, or the objects of one.
type lsCmd struct {
	objectsIn
	Name string `arg:"" optional:"" placeholder:"BUCKET/PREFIX" help:"Bucket, and beginning of the keys to list; none lists the buckets."`
	JSON bool   `name:"json" help:"Print one JSON object per line."`
}

// listed is one line of ls --json.
type listed struct {
	Bucket   string     `json:"bucket"`
	Key      string     `json:"key,omitempty"`
	Bytes    *int64     `json:"bytes,omitempty"`
	Modified *time.Time `json:"modified,omitempty"`
}

// Run lists in byte order of the keys, and may run beside a node. object.ErrNotFound if a name was given and nothing begins so.
func (c *lsCmd) Run(t *terminal) error {
	store, err := c.open(t.ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(t.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	show := func(l listed) error {
		if c.JSON {
			return json.NewEncoder(t.stdout).Encode(l)
		}
		if l.Bytes == nil {
			_, err := fmt.Fprintf(table, "%s/\n", l.Bucket)
			return err
		}
		_, err := fmt.Fprintf(table, "%d\t%s\t  %s\n", *l.Bytes, l.Modified.Local().Format(time.DateTime), shown(l.Bucket+"/"+l.Key))
		return err
	}
	if c.Name == "" {
		err = listBuckets(t.ctx, store, show)
	} else {
		err = listObjects(t.ctx, store, c.Name, show, table.Flush)
	}
	if err != nil {
		return err
	}
	return table.Flush()
}

// shown returns a name as a table can have it: quoted as in Go if it has characters that cannot be seen, or begins as if it were quoted.
func shown(name string) string {
	if strings.HasPrefix(name, `"`) || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(name)
	}
	return name
}

func listBuckets(ctx context.Context, store object.Store, show func(listed) error) error {
	buckets, err := store.Buckets(ctx)
	if err != nil {
		return err
	}
	for _, b := range buckets {
		if err := show(listed{Bucket: b}); err != nil {
			return err
		}
	}
	return nil
}

// listObjects shows the objects page by page. A table must know its lines to align them; flush keeps it from gathering more than a page.
func listObjects(ctx context.Context, store object.Store, name string, show func(listed) error, flush func() error) error {
	bucket, prefix := splitName(name)
	if err := object.CheckBucket(bucket); err != nil {
		return &usageError{err}
	}
	query := object.Query{Prefix: prefix}
	for {
		page, err := store.List(ctx, bucket, query)
		if err != nil {
			return err
		}
		for _, o := range page.Objects {
			if err := show(listed{Bucket: o.Bucket, Key: o.Key, Bytes: &o.Size, Modified: &o.Modified}); err != nil {
				return err
			}
			query.After = o.Key
		}
		if err := flush(); err != nil {
			return err
		}
		if page.More {
			continue
		}
		if query.After == "" { // no key is empty
			return fmt.Errorf("%w: none is called %s or begins so", object.ErrNotFound, name)
		}
		return nil
	}
}

// catCmd writes objects to standard output, one after the other.
type catCmd struct {
	objectsIn
	Names      []string `arg:"" placeholder:"BUCKET/KEY" help:"Objects to write to standard output, one after the other."`
	Decompress bool     `name:"decompress" short:"z" help:"Decompress what is in gzip form; the rest is written as it is."`
}

// Run ends with the first object that cannot be read. Names that cannot be any object's are refused before.
func (c *catCmd) Run(t *terminal) error {
	store, err := c.open(t.ctx)
	if err != nil {
		return err
	}
	for _, name := range c.Names {
		bucket, key := splitName(name)
		err := object.Name{Bucket: bucket, Key: key}.Check()
		if key == "" {
			err = fmt.Errorf("%q has no key: give BUCKET/KEY", name)
		}
		if err != nil {
			return &usageError{err}
		}
	}
	for _, name := range c.Names {
		if err := c.write(t, store, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (c *catCmd) write(t *terminal, store object.Store, name string) (err error) {
	bucket, key := splitName(name)
	from, _, err := store.Get(t.ctx, object.Name{Bucket: bucket, Key: key}, 0, -1)
	if err != nil {
		return err
	}
	defer func() {
		if closed := from.Close(); err == nil {
			err = closed
		}
	}()
	var r io.Reader = from
	if c.Decompress {
		if r, err = gunzip(name, from); err != nil {
			return err
		}
	}
	_, err = io.Copy(t.stdout, r)
	return err
}

// gunzip decompresses an object, also of several gzip members in a row, if it begins as gzip does.
func gunzip(name string, stored io.Reader) (io.Reader, error) {
	from := &counted{from: stored}
	g := &gunzipped{name: name, from: from, ahead: bufio.NewReader(from)}
	if magic, err := g.ahead.Peek(2); err != nil || magic[0] != 0x1f || magic[1] != 0x8b {
		return g.ahead, nil // too short to be gzip, or something else
	}
	var err error
	g.plain, err = gzip.NewReader(g.ahead)
	return g, g.judge(err)
}

// counted counts what is read, and keeps the error if that fails.
type counted struct {
	from  io.Reader
	bytes int64
	err   error
}

// Read implements io.Reader.
func (c *counted) Read(b []byte) (int, error) {
	n, err := c.from.Read(b)
	c.bytes += int64(n)
	if err != io.EOF {
		c.err = err
	}
	return n, err
}

// gunzipped is a gzip object in plain form.
type gunzipped struct {
	name  string
	from  *counted
	ahead *bufio.Reader // of from
	plain *gzip.Reader  // of ahead
}

// Read implements io.Reader. The error is a *stream.CorruptError where what is stored is no gzip.
func (g *gunzipped) Read(b []byte) (int, error) {
	n, err := g.plain.Read(b)
	return n, g.judge(err)
}

// judge says where the gzip is damaged, unless the object could not be read.
func (g *gunzipped) judge(err error) error {
	if err == nil || err == io.EOF || g.from.err != nil {
		return err
	}
	return &stream.CorruptError{File: g.name, Byte: g.from.bytes - int64(g.ahead.Buffered()), Reason: err.Error()}
}
