package tier

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/freshet/freshet/internal/object"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// What a shard has in objects is said by documents: its head has what changes, and the newest segments; older segments are in pages, so that
// a long history does not make each change large. Head and page change together or not at all.
const (
	headKind = "tier"      // id STREAM/SHARD
	pageKind = "tier-page" // id STREAM/SHARD/NUMBER of its first segment, 16 hexadecimal digits
	idKind   = "tier-id"   // one document: what keys of objects begin with, behind Config.Prefix
)

// head is a shard's head document.
//
// Objects are numbered. Those from Swept to before First are of segments that are gone, and may still be there; those from First on are in
// Segments and pages, or are Pending, or were given up.
type head struct {
	Start    stream.Offset `json:"start"` // first readable offset, if the local log does not begin later than the segments end
	Swept    int64         `json:"swept"`
	First    int64         `json:"first"`
	Next     int64         `json:"next"` // the next object's number
	Pending  *pending      `json:"pending,omitempty"`
	Epochs   []epochStart  `json:"epochs,omitempty"` // of the segments, ascending
	Pages    []page        `json:"pages,omitempty"`
	Segments []segment     `json:"segments,omitempty"` // behind those of the pages
}

// pending is an object that is being written, or was when the node stopped.
type pending struct {
	Number int64         `json:"number"`
	Base   stream.Offset `json:"base"`
}

// page says which segments a page document has.
type page struct {
	First int64 `json:"first"` // number of the first
	Last  int64 `json:"last"`
}

// segment is a range of a shard that is in an object.
type segment struct {
	Number int64         `json:"number"`
	Base   stream.Offset `json:"base"`
	End    stream.Offset `json:"end"`
	Bytes  int64         `json:"bytes"`             // of batches
	Size   int64         `json:"size"`              // of the object
	Latest int64         `json:"latest"`            // largest timestamp of a batch, milliseconds
	Age    int64         `json:"age"`               // as of when its youngest batch counts for retention, milliseconds
	Aborts bool          `json:"aborted,omitempty"` // the object has aborted transactions
}

// check says what is wrong with a segment that was read.
func (g *segment) check() error {
	if g.Number < 0 || g.Base < 0 || g.End <= g.Base || g.Bytes <= 0 || g.Size < g.Bytes+int64(len(magic))+trailerSize {
		return fmt.Errorf("impossible segment %+v", *g)
	}
	return nil
}

func headID(id stream.Shard) string { return id.Stream.String() + "/" + strconv.Itoa(int(id.Index)) }

// parseHeadID reads what headID has made.
func parseHeadID(s string) (stream.Shard, error) {
	name, index, _ := strings.Cut(s, "/")
	id, err := stream.ParseID(name)
	n, failed := strconv.ParseUint(index, 10, 31)
	if err = errors.Join(err, failed); err != nil {
		return stream.Shard{}, fmt.Errorf("document %s/%s: %w", headKind, s, err)
	}
	return stream.Shard{Stream: id, Index: int32(n)}, nil
}

func (p page) key(id stream.Shard) state.Key {
	return state.Key{Kind: pageKind, ID: fmt.Sprintf("%s/%016x", headID(id), p.First)}
}

// key returns the key of a shard's object.
func (l *Log) key(id stream.Shard, number int64) object.Name {
	return object.Name{Bucket: l.cfg.Bucket, Key: fmt.Sprintf("%s%s/%s/%016x.segment", l.cfg.Prefix, l.id, headID(id), number)}
}

// parseKey reads what key has made.
func (l *Log) parseKey(key string) (id stream.Shard, number int64, ok bool) {
	rest, ours := strings.CutPrefix(key, l.cfg.Prefix+l.id+"/")
	rest, named := strings.CutSuffix(rest, ".segment")
	at := strings.LastIndexByte(rest, '/')
	if !ours || !named || at < 0 {
		return id, 0, false
	}
	id, err := parseHeadID(rest[:at])
	n, failed := strconv.ParseUint(rest[at+1:], 16, 63)
	return id, int64(n), err == nil && failed == nil
}

// tierID reads the document that says what keys begin with, or makes it: two logs can keep their objects in one bucket.
func tierID(ctx context.Context, store state.Store, random io.Reader) (string, error) {
	key := state.Key{Kind: idKind, ID: "id"}
	d, err := store.Get(ctx, key)
	if err == nil {
		return string(d.Value), nil
	}
	if !errors.Is(err, state.ErrNotFound) {
		return "", err
	}
	if random == nil {
		random = rand.Reader
	}
	var b [8]byte
	if _, err = io.ReadFull(random, b[:]); err != nil {
		return "", err
	}
	id := hex.EncodeToString(b[:])
	_, err = store.Apply(ctx, state.Change{Key: key, If: state.Absent, Value: []byte(id)})
	return id, err
}

// decodeHead reads a head document.
func decodeHead(b []byte) (head, error) {
	var h head
	if err := json.Unmarshal(b, &h); err != nil {
		return h, err
	}
	if h.Start < 0 || h.Swept < 0 || h.Swept > h.First || h.First > h.Next {
		return h, fmt.Errorf("objects %d to %d to %d from offset %d", h.Swept, h.First, h.Next, h.Start)
	}
	for i, p := range h.Pages {
		if p.First > p.Last || i > 0 && p.First <= h.Pages[i-1].Last || p.Last >= h.Next {
			return h, fmt.Errorf("page %d has segments %d to %d", i, p.First, p.Last)
		}
	}
	return h, nil
}

// decodePage reads a page document.
func decodePage(b []byte) ([]segment, error) {
	var all []segment
	return all, json.Unmarshal(b, &all)
}

// checkAll says what is wrong with a shard's segments.
func checkAll(h *head, all []segment) error {
	for i := range all {
		if err := all[i].check(); err != nil {
			return err
		}
		if i > 0 && (all[i].Number <= all[i-1].Number || all[i].Base != all[i-1].End) {
			return fmt.Errorf("segment %+v does not follow %+v", all[i], all[i-1])
		}
		if all[i].Number < h.First || all[i].Number >= h.Next {
			return fmt.Errorf("segment %+v is not between %d and %d", all[i], h.First, h.Next)
		}
	}
	return nil
}

// clone returns a head that can be changed while h is kept.
func (h *head) clone() head {
	c := *h
	c.Epochs, c.Pages, c.Segments = slices.Clone(h.Epochs), slices.Clone(h.Pages), slices.Clone(h.Segments)
	if h.Pending != nil {
		p := *h.Pending
		c.Pending = &p
	}
	return c
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("tier: encode %T: %s", v, err)) // numbers only
	}
	return b
}
