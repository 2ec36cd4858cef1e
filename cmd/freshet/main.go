// Command freshet runs and inspects a freshet node: Kafka and Kinesis on one durable log, in one process. Bare, it serves.
//
// Each verb is a file: it parses, calls the package that does the work, and prints for humans or, with --json, for machines. exit.go maps
// errors to exit codes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/freshet/freshet/internal/app"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// cli is the command line.
type cli struct {
	Serve   serveCmd   `cmd:"" default:"withargs" help:"Run a node in the foreground (the default)."`
	Agent   agentCmd   `cmd:"" help:"Follow files into a stream of a node or of AWS."`
	Import  importCmd  `cmd:"" help:"Copy topics and groups' offsets from a Kafka cluster into a node."`
	Export  exportCmd  `cmd:"" help:"Copy topics and groups' offsets from a node into a Kafka cluster."`
	Demo    demoCmd    `cmd:"" help:"Run a node on this machine's own events, and show them moving."`
	Ls      lsCmd      `cmd:"" help:"List delivered objects."`
	Cat     catCmd     `cmd:"" help:"Write delivered objects to standard output."`
	Ca      caCmd      `cmd:"" help:"Print where the certificate is that clients of --aws-tls must trust."`
	Check   checkCmd   `cmd:"" help:"Verify the data directory of a stopped node."`
	Dump    dumpCmd    `cmd:"" help:"Print the batches in the data directory of a stopped node."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// terminal is where a verb runs: it ends ctx on SIGINT and SIGTERM, and on SIGHUP, when it is closed.
type terminal struct {
	ctx    context.Context
	stdout io.Writer
	stderr io.Writer
}

// run executes a command line and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, forget := untilHangUp(ctx)
	defer forget()
	// A second SIGINT or SIGTERM kills, as if none were caught: what was acknowledged is on the disk.
	context.AfterFunc(ctx, stop)

	err := execute(args, &terminal{ctx: ctx, stdout: stdout, stderr: stderr})
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			fmt.Fprintf(stderr, "freshet: %s\n", line)
		}
	}
	return exitCode(err)
}

// untilHangUp returns a context that ends when the terminal is closed, too. More than the first SIGHUP does nothing: shell and system send one
// each. Under nohup none is listened to. Windows has no such signal; closing a console counts as SIGTERM there.
func untilHangUp(ctx context.Context) (context.Context, context.CancelFunc) {
	if signal.Ignored(syscall.SIGHUP) {
		return context.WithCancel(ctx)
	}
	return signal.NotifyContext(ctx, syscall.SIGHUP)
}

// errHelp ends a command line that only asked for help.
var errHelp = errors.New("help was printed")

func execute(args []string, t *terminal) (err error) {
	// kong leaves by calling exit; here it unwinds to a return.
	defer func() {
		if e := recover(); e != nil {
			if e != errHelp { //nolint:errorlint // the very value
				panic(e)
			}
			err = nil
		}
	}()
	var c cli
	parser, settings, err := newParser(&c, t)
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(args)
	if settings.err != nil {
		return settings.err
	}
	if err != nil {
		return &usageError{err}
	}
	return parsed.Run(t)
}

func newParser(c *cli, t *terminal) (*kong.Kong, *settingsFile, error) {
	settings := &settingsFile{}
	parser, err := kong.New(c,
		kong.Name("freshet"), kong.Description("Kafka and Kinesis on one durable log, in one process."),
		kong.Writers(t.stdout, t.stderr), kong.Exit(func(int) { panic(errHelp) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 140}),
		kong.PostBuild(bindEnvironment), kong.Resolvers(settings), defaultsForHelp(),
	)
	if err != nil {
		return nil, nil, fmt.Errorf("command line: %w", err)
	}
	return parser, settings, nil
}

func defaultsForHelp() kong.Vars {
	d := app.Defaults()
	return kong.Vars{
		"tiercache": d.TierCache.String(), "compactmemory": d.CompactMemory.String(), "compactrate": d.CompactRate.String(),
		"data": d.Data, "kafka": d.Kafka, "aws": d.AWS, "msk": d.MSKPorts, "auth": d.Auth, "acls": d.KafkaACLs, "unknowniam": d.KafkaUnknownIAM, "clusterarn": d.KafkaClusterARN, "partitions": fmt.Sprint(d.DefaultPartitions), "shards": fmt.Sprint(d.MaxShards),
		"tail": d.TailMemory.String(), "drain": d.DrainTimeout.String(), "subject": d.KafkaOAuthSubject, "skew": d.KafkaOAuthSkew.String(), "level": d.LogLevel, "format": d.LogFormat,
	}
}
