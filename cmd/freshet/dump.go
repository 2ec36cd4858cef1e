package main

import (
	"bufio"

	"github.com/freshet/freshet/internal/engine"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// dumpCmd prints what a stopped node has stored, batch by batch.
type dumpCmd struct {
	dataDir
	Stream  string `name:"stream" placeholder:"NAME" help:"Only batches of this stream."`
	Shard   int32  `name:"shard" default:"-1" help:"Only batches of this shard, if not negative."`
	From    int64  `name:"from" placeholder:"OFFSET" help:"Only batches that hold this offset or later ones."`
	Limit   int    `name:"limit" placeholder:"N" help:"End after so many batches."`
	Records bool   `name:"records" help:"Print each record too."`
	JSON    bool   `name:"json" help:"Print one JSON object per line, keys and values of records in base64."`
}

// Run prints to the end or to the limit. What was printed before an error is printed.
func (c *dumpCmd) Run(t *terminal) error {
	if err := c.existing(); err != nil {
		return err
	}
	out := bufio.NewWriter(t.stdout)
	err := engine.Dump(vfs.ReadOnly(), c.dir(), engine.DumpOptions{
		Stream: stream.Name(c.Stream), OneShard: c.Shard >= 0, Shard: c.Shard, From: stream.Offset(c.From), Limit: c.Limit, Records: c.Records, JSON: c.JSON,
	}, out)
	if flushed := out.Flush(); err == nil {
		err = flushed
	}
	return err
}
