package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/freshet/freshet/internal/agent"
	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/vfs"
)

// agentCmd follows files into a stream of any Kinesis endpoint.
type agentCmd struct {
	Files      []string `arg:"" placeholder:"FILE" help:"Files to follow, or patterns in quotes; rotation and truncation are understood."`
	Stream     string   `name:"stream" required:"" placeholder:"NAME" help:"Stream to put the records into."`
	Create     int32    `name:"create" placeholder:"SHARDS" help:"Make the stream with so many shards if there is none."`
	Format     string   `name:"format" enum:"line,json,csv,apache" default:"line" help:"What a line is: line (as it stands), json, csv or apache (the last two become JSON)."`
	Key        string   `name:"key" placeholder:"FIELD" help:"Field whose value is the partition key; none = a random key for each record."`
	Multiline  string   `name:"multiline" placeholder:"REGEXP" help:"What a record's first line matches: other lines belong to the record before."`
	FromEnd    bool     `name:"from-end" help:"Begin files that are already there at their end."`
	JSON       bool     `name:"json" help:"Write the log and, at the end, the counts as JSON."`
	Checkpoint string   `name:"checkpoint" placeholder:"FILE" help:"File that remembers how far each file was sent (./freshet-agent-NAME.checkpoint)."`

	Endpoint string `name:"endpoint" placeholder:"URL" help:"Endpoint of the Kinesis API, or aws for AWS's own (AWS_ENDPOINT_URL_KINESIS, AWS_ENDPOINT_URL, else the local node's)."`
	Region   string `name:"region" placeholder:"REGION" help:"AWS region (AWS_REGION, the shared configuration, else us-east-1)."`
}

const ownEndpoint = "aws" // AWS's own, by region

// Run sends until the terminal's context ends, and returns once what is on the way has been answered for.
func (c *agentCmd) Run(t *terminal) error {
	if c.Checkpoint == "" {
		c.Checkpoint = "freshet-agent-" + c.Stream + ".checkpoint"
	}
	lock, err := c.lock()
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // as the end of the process would
	client, err := c.client(t.ctx)
	if err != nil {
		return &usageError{err}
	}
	var seed [16]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return fmt.Errorf("draw seed: %w", err)
	}
	var handler slog.Handler = slog.NewTextHandler(t.stderr, nil)
	if c.JSON {
		handler = slog.NewJSONHandler(t.stderr, nil)
	}
	limit := app.LimitLog(slog.New(handler), clock.Real())
	defer limit.Close()
	a, err := agent.New(agent.Config{
		Files: c.Files, Stream: c.Stream, Checkpoint: c.Checkpoint, FromEnd: c.FromEnd, Format: c.Format, Key: c.Key, Multiline: c.Multiline,
		Create: c.Create,
	}, agent.Deps{
		Client: client, Clock: clock.Real(), Logger: limit.Logger(),
		Random: mathrand.New(mathrand.NewPCG(binary.LittleEndian.Uint64(seed[:]), binary.LittleEndian.Uint64(seed[8:]))),
	})
	if err != nil {
		return &usageError{err}
	}
	began := time.Now()
	err = a.Run(t.ctx)
	return errors.Join(err, c.report(t, a.Stats(), time.Since(began)))
}

// lock keeps other agents away from the checkpoint: each would write its own marks over the other's, and a mark that is lost is a line that is lost.
// The lock is on a file beside it, because each save puts another file in the checkpoint's place.
func (c *agentCmd) lock() (io.Closer, error) {
	lock, err := vfs.OS().Lock(c.Checkpoint + ".lock")
	switch {
	case errors.Is(err, vfs.ErrLocked):
		return nil, fmt.Errorf("another agent uses the checkpoint %s: give each its own with --checkpoint FILE: %w", c.Checkpoint, err)
	case err != nil:
		return nil, &usageError{fmt.Errorf("checkpoint %s: %w", c.Checkpoint, err)}
	}
	return lock, nil
}

// report says what the agent has done: on standard error for humans, where its log is, on standard output as JSON.
func (c *agentCmd) report(t *terminal, s agent.Stats, took time.Duration) error {
	if c.JSON {
		return json.NewEncoder(t.stdout).Encode(map[string]any{
			"stream": c.Stream, "lines": s.Lines, "records": s.Records, "bytes": s.Bytes, "bad": s.Bad, "too_long": s.TooLong, "retried": s.Retried,
			"requests": s.Requests, "seconds": took.Seconds(),
		})
	}
	_, err := fmt.Fprintf(t.stderr, "%d lines read, %d records (%s) sent to %s in %s; %d lines not understood, %d too long, %d sent again\n",
		s.Lines, s.Records, byteCount(s.Bytes), c.Stream, took.Round(time.Millisecond), s.Bad, s.TooLong, s.Retried)
	return err
}

// client returns a client of the endpoint that the flag or the environment names, or else of the local node.
func (c *agentCmd) client(ctx context.Context) (*kinesis.Client, error) {
	endpoint := cmp.Or(c.Endpoint, os.Getenv("AWS_ENDPOINT_URL_KINESIS"), os.Getenv("AWS_ENDPOINT_URL"), "http://"+app.Defaults().AWS)
	if endpoint == ownEndpoint {
		endpoint = ""
	}
	return agent.Dial(ctx, endpoint, c.Region)
}

// byteCount writes a number of bytes for humans.
func byteCount(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, prefix := float64(n)/unit, 0
	for ; value >= unit && prefix < len(prefixes)-1; prefix++ {
		value /= unit
	}
	return fmt.Sprintf("%.1f %ciB", value, prefixes[prefix])
}

const prefixes = "KMGTPE"
