package engine

import (
	"math"
	"slices"

	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
)

// compacted checks the compacted files that something refers to, group by group, and their indexes against them. Others are what a crash has left, and
// go when the log is opened.
func (c *checker) compacted(e *Engine) error {
	for _, f := range e.tables.compactedFiles() {
		if f.live == 0 || f.file == nil {
			continue
		}
		c.report.Files++
		if err := c.compactedFile(e, f); err != nil {
			return err
		}
	}
	if len(c.report.Damage) > c.mended {
		return nil
	}
	return c.damaged(e.checkParts())
}

func (c *checker) compactedFile(e *Engine, f *logFile) error {
	s, err := newScanner(f)
	if err != nil {
		return err
	}
	of := map[stream.Shard]*shardIndex{}
	end, err := e.scanGroups(s, func(g *format.Group, at int64) error {
		c.count(g)
		_ = g.Each(func(entry format.Entry, payload []byte, in int) error {
			x := of[entry.Shard]
			if x == nil {
				x = &shardIndex{}
				of[entry.Shard] = x
			}
			return x.take(everything, &entry, payload, at+int64(in))
		})
		return c.epochs(e, f, g, at)
	})
	if err != nil {
		return c.damaged(err)
	}
	c.report.Bytes += s.at
	t, directory, footerErr := readFooter(f)
	if footerErr != nil {
		f.remade = nil // by opening it
		return c.footer(f, footerErr, f.remake(&t, s, end))
	}
	if t.End != s.at {
		return c.damaged(f.endsEarly(&t, end))
	}
	for i := range directory {
		if err := c.compactedSpan(f, &directory[i], of[directory[i].Shard]); err != nil {
			return err
		}
	}
	return nil
}

// everything is a span that any offset is of.
var everything = &span{Span: format.Span{Next: math.MaxInt64}}

// compactedSpan compares the index of a range with what the groups have of its shard.
func (c *checker) compactedSpan(f *logFile, d *format.Span, all *shardIndex) error {
	var have shardIndex
	if all != nil {
		have.extents = slices.DeleteFunc(slices.Clone(all.extents), func(x format.Extent) bool { return x.Base < d.First || x.Base >= d.Next })
		have.aborted = slices.DeleteFunc(slices.Clone(all.aborted), func(a stream.Aborted) bool { return a.Last < d.First || a.Last >= d.Next })
	}
	x, err := (&span{Span: *d, file: f}).readIndex()
	switch {
	case err == nil && !(slices.Equal(x.extents, have.extents) && slices.Equal(x.aborted, have.aborted)):
		err = f.corrupt(d.Position, "index does not have the batches of shard %d of stream %s from offset %d to %d", d.Shard.Index, d.Shard.Stream, d.First, d.Next)
	case isDamage(err) && format.Sum(have.append(nil)) == d.Sum:
		c.mended++
		err = f.corrupt(d.Position, "%s: the next read makes it again from the file's groups", err)
	}
	return c.damaged(err)
}
