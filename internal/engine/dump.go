package engine

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// DumpOptions select what Dump prints. The zero value is everything but records.
type DumpOptions struct {
	Stream  stream.Name // only batches of this stream
	Shard   int32       // only of this shard, if OneShard
	From    stream.Offset
	Limit   int // at most so many batches, 0 = all
	Records bool

	OneShard bool
}

// Dump prints the groups and batches of a log that no process has open, one line each, in the order of the files. It ends with an error where
// they are not as they were written.
func Dump(v vfs.FS, dir string, o DumpOptions, w io.Writer) error {
	lock, err := v.Lock(filepath.Join(dir, lockName))
	if err != nil {
		return fmt.Errorf("dump %s: %w", dir, err)
	}
	d := dumper{options: o, out: w, left: o.Limit}
	err = d.run(v, dir)
	if errors.Is(err, errEnough) {
		err = nil
	}
	if err = errors.Join(err, lock.Close()); err != nil {
		return fmt.Errorf("dump %s: %w", dir, err)
	}
	return nil
}

type dumper struct {
	options DumpOptions
	out     io.Writer
	left    int
	names   map[stream.ID]stream.Name
}

var errEnough = errors.New("enough")

func (d *dumper) run(v vfs.FS, dir string) error {
	e := &Engine{cfg: Config{Dir: dir, FS: readOnly{v}}}
	e.cfg.setDefaults()
	e.tables = newTables(e.cfg.MaxProducers)
	from, err := e.loadCheckpoint()
	if err != nil {
		return err
	}
	defer func() {
		for _, f := range e.files {
			_ = f.release() // was only read
		}
	}()
	if err := e.openFiles(from); err != nil {
		return err
	}
	d.names = map[stream.ID]stream.Name{}
	for id, s := range e.tables.streams {
		d.names[id] = s.Name
	}
	for _, f := range e.files {
		s, err := newScanner(f)
		if err != nil {
			return err
		}
		if err := d.print("%s id=%016x first-group=%d\n", filepath.Join(logDir, f.name), f.ID, f.Group); err != nil {
			return err
		}
		end, err := e.scanGroups(s, func(g *format.Group, at int64) error { return d.group(g, at) })
		if err != nil {
			return err
		}
		if end.damaged {
			return f.corrupt(end.badAt, "%s", end.reason)
		}
	}
	return nil
}

func (d *dumper) print(format string, args ...any) error {
	_, err := fmt.Fprintf(d.out, format, args...)
	return err
}

func (d *dumper) group(g *format.Group, at int64) error {
	if d.options.Stream == "" {
		if err := d.print("  group %d byte=%d size=%d synced=%d entries=%d\n", g.Number, at, g.Size(), g.Synced, g.Entries); err != nil {
			return err
		}
	}
	return g.Each(func(e format.Entry, payload []byte, in int) error {
		if e.Kind == format.KindBatch {
			return d.batch(&e, payload, at+int64(in))
		}
		c, err := decodeChange(e.Kind, payload)
		if err != nil {
			return err
		}
		if s, ok := c.(*streamChange); ok {
			d.names[s.stream.ID] = s.stream.Name
		}
		if d.options.Stream != "" {
			return nil
		}
		return d.print("    %s\n", describe(c))
	})
}

func (d *dumper) batch(e *format.Entry, b []byte, at int64) error {
	o := &d.options
	h, err := batch.Parse(b)
	if err != nil {
		return err
	}
	name := d.names[e.Shard.Stream]
	if o.Stream != "" && o.Stream != name || o.OneShard && o.Shard != e.Shard.Index || stream.Offset(h.LastOffset()) < o.From {
		return nil
	}
	if name == "" {
		name = stream.Name(e.Shard.Stream.String() + " (deleted)")
	}
	err = d.print("    batch %s/%d offset=%d..%d byte=%d size=%d epoch=%d records=%d codec=%d timestamp=%s appended=%s producer=%d/%d sequence=%d\n",
		name, e.Shard.Index, h.BaseOffset, h.LastOffset(), at, h.Length, h.LeaderEpoch, h.Records, h.Attributes.Codec(),
		time.UnixMilli(h.MaxTimestamp).UTC().Format(time.RFC3339Nano), time.UnixMilli(e.Time).UTC().Format(time.RFC3339Nano), h.ProducerID, h.ProducerEpoch, h.BaseSequence)
	if err == nil && o.Records {
		err = d.records(b)
	}
	if err != nil {
		return err
	}
	if d.left--; d.left == 0 {
		return errEnough
	}
	return nil
}

func (d *dumper) records(b []byte) error {
	var failed error
	err := batch.Records(b, 0, func(r *batch.Record) bool {
		failed = d.print("      record offset=%d timestamp=%d key=%q value=%q headers=%d\n", r.Offset, r.Timestamp, r.Key, r.Value, len(r.Headers))
		return failed == nil
	})
	if err != nil && failed == nil {
		return d.print("      records cannot be read: %s\n", err) // the producer's own fault: the batch is as it was sent
	}
	return failed
}

// describe returns a change as a line.
func describe(c change) string {
	switch c := c.(type) {
	case *streamChange:
		return fmt.Sprintf("stream %s id=%s shards=%d", c.stream.Name, c.stream.ID, c.stream.Shards)
	case *deletion:
		return fmt.Sprintf("delete stream id=%s", c.id)
	case *trimming:
		return fmt.Sprintf("trim stream=%s shard=%d start=%d", c.shard.Stream, c.shard.Index, c.start)
	case *document:
		return fmt.Sprintf("document %s/%s version=%d size=%d", c.key.Kind, c.key.ID, c.version, len(c.value))
	case *cursorsChange:
		return fmt.Sprintf("cursors of %q: %d", c.owner, len(c.cursors))
	case *forgetting:
		return fmt.Sprintf("forget cursors of %q: all=%v, %d", c.owner, c.all, len(c.shards))
	case *epochChange:
		return fmt.Sprintf("leader epoch %d", c.epoch)
	case *producerIDs:
		return fmt.Sprintf("producer ids below %d are reserved", c.next)
	}
	return fmt.Sprintf("%T", c)
}
