package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

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
	JSON    bool // each line is a JSON object

	OneShard bool
}

// Dump prints the groups and batches of a log that no process has open, one line each, in the order of the files, those of
// what was compacted last: changes say which of it is live. It ends with an error where
// they are not as they were written, and with stream.ErrNotFound (wrapped) if the log knows nothing of the one stream or shard that is asked for.
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
	file    string // that is being printed
	names   map[stream.ID]stream.Name
	known   bool  // the one stream that is asked for has been there
	shards  int32 // the most that a stream which is asked for has had
	printed bool  // a batch was: of a stream, maybe, that was deleted long ago
}

var errEnough = errors.New("enough")

func (d *dumper) run(v vfs.FS, dir string) error {
	e := &Engine{cfg: Config{Dir: dir, FS: readOnly{v}}}
	e.cfg.setDefaults()
	e.tables = newTables(e.cfg.MaxProducers)
	defer e.releaseFiles()
	if err := e.openCompacted(); err != nil {
		return err
	}
	from, err := e.loadCheckpoint()
	if err != nil {
		return err
	}
	if err := e.openFiles(from); err != nil {
		return err
	}
	d.names = map[stream.ID]stream.Name{}
	for _, s := range e.tables.streams {
		d.meet(s)
	}
	for _, f := range slices.Concat(e.files, e.tables.compactedFiles()) {
		if f.file == nil {
			return f.broken
		}
		if err := d.walk(e, f); err != nil {
			return err
		}
	}
	if d.options.Stream != "" && !d.known {
		return fmt.Errorf("stream %s: %w", d.options.Stream, stream.ErrNotFound)
	}
	if d.options.OneShard && d.options.Shard >= d.shards && !d.printed {
		return fmt.Errorf("shard %d: %w", d.options.Shard, stream.ErrNotFound)
	}
	return nil
}

// meet notes a stream that is or was there.
func (d *dumper) meet(s *stream.Stream) {
	d.names[s.ID] = s.Name
	if d.options.Stream == "" || s.Name == d.options.Stream {
		d.known, d.shards = true, max(d.shards, s.Shards)
	}
}

// walk prints one file.
func (d *dumper) walk(e *Engine, f *logFile) error {
	s, err := newScanner(f)
	if err != nil {
		return err
	}
	d.file = filepath.Join(logDir, f.name)
	if err := d.print(fileLine{"file", d.file, fmt.Sprintf("%016x", f.ID), f.Group}); err != nil {
		return err
	}
	end, err := e.scanGroups(s, d.group)
	if err != nil {
		return err
	}
	if end.damaged {
		return f.corrupt(end.badAt, "%s", end.reason)
	}
	return nil
}

func (d *dumper) print(l fmt.Stringer) error {
	if d.options.JSON {
		return json.NewEncoder(d.out).Encode(l)
	}
	_, err := fmt.Fprintln(d.out, l)
	return err
}

func (d *dumper) group(g *format.Group, at int64) error {
	if d.options.Stream == "" {
		if err := d.print(groupLine{"group", d.file, g.Number, at, g.Size(), g.Synced, g.Entries}); err != nil {
			return err
		}
	}
	return g.Each(func(e format.Entry, payload []byte, in int) error {
		switch e.Kind {
		case format.KindBatch:
			return d.batch(&e, payload, at+int64(in))
		case format.KindAborted:
			return d.aborted(&e, payload)
		}
		c, err := decodeChange(e.Kind, payload)
		if err != nil {
			return err
		}
		if s, ok := c.(*streamChange); ok {
			d.meet(s.stream)
		}
		if d.options.Stream != "" {
			return nil
		}
		return d.print(lineOf(c))
	})
}

func (d *dumper) batch(e *format.Entry, b []byte, at int64) error {
	h, err := batch.Parse(b)
	if err != nil {
		return err
	}
	name := d.names[e.Shard.Stream]
	if !d.wanted(e, stream.Offset(h.LastOffset())) {
		return nil
	}
	d.printed = true
	if err := d.print(newBatchLine(d.file, at, name, e, &h, b)); err != nil {
		return err
	}
	if d.options.Records {
		if err := d.records(name, e.Shard, b); err != nil {
			return err
		}
	}
	if d.left--; d.left == 0 {
		return errEnough
	}
	return nil
}

// wanted says whether something of a shard is asked for that ends with an offset.
func (d *dumper) wanted(e *format.Entry, last stream.Offset) bool {
	o := &d.options
	return (o.Stream == "" || o.Stream == d.names[e.Shard.Stream]) && (!o.OneShard || o.Shard == e.Shard.Index) && last >= o.From
}

func (d *dumper) aborted(e *format.Entry, payload []byte) error {
	a, err := format.ReadAborted(payload)
	if err != nil || !d.wanted(e, a.Last) {
		return err
	}
	return d.print(newAbortedLine(d.names[e.Shard.Stream], e.Shard, &a))
}

func (d *dumper) records(name stream.Name, of stream.Shard, b []byte) error {
	var failed error
	err := batch.Records(b, 0, func(r *batch.Record) bool {
		failed = d.print(newRecordLine(name, of, r))
		return failed == nil
	})
	if err != nil && failed == nil {
		return d.print(unreadableLine{"unreadable", err.Error()}) // the producer's own fault: the batch is as it was sent
	}
	return failed
}
