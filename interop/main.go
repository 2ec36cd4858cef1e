// Command interop lets stock clients judge freshet: it builds the binary, starts it on free ports, runs each client's scenario against it, and
// prints a row per client and capability. With --write the result becomes interop/matrix.json and the table in README.md.
//
//	go run ./interop                 all clients, against the working tree
//	go run ./interop --only kcat     those whose name matches the pattern
//	go run ./interop --kafka H:P --aws URL --objects DIR    against a server that runs already, of any make
//	go run ./interop --check         no clients: is README's table the one that matrix.json gives?
//
// A scenario is a program in its client's own language (java/, node/, python/, go/, shell/) that says on stdout what it found, one line per
// capability: "@ NAME ok|fail|none DETAIL"; none means that the client has no such thing. What it needs comes in the environment: KAFKA,
// AWS_ENDPOINT_URL, PREFIX (of every name it makes), IN and OUT (the streams of the crossing, see cross.go), and OBJECTS.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/freshet/freshet/tests/process"
)

// options are the command line.
type options struct {
	only    string
	kafka   string
	aws     string
	objects string
	jobs    int
	keep    bool
	write   bool
	check   bool
}

func main() {
	var o options
	flag.StringVar(&o.only, "only", "", "run the clients whose name matches this `pattern`")
	flag.StringVar(&o.kafka, "kafka", "", "judge the Kafka server at this `address` instead of our own")
	flag.StringVar(&o.aws, "aws", "", "judge the AWS `endpoint` instead of our own")
	flag.StringVar(&o.objects, "objects", "", "`directory` where the judged server leaves its objects")
	flag.IntVar(&o.jobs, "jobs", 2, "clients at a time")
	flag.BoolVar(&o.keep, "keep", false, "keep the data directory and the logs, and say where")
	flag.BoolVar(&o.write, "write", false, "write interop/matrix.json and README.md's table")
	flag.BoolVar(&o.check, "check", false, "only check that README.md has the table of interop/matrix.json")
	flag.Parse()
	process.Main("interop", func(ctx context.Context, _ []string) error { return run(ctx, o) })
}

func run(ctx context.Context, o options) error {
	root, err := process.ModuleRoot()
	if err != nil {
		return err
	}
	if o.check {
		return checkReadme(root)
	}
	if o.write && o.only != "" {
		return errors.New("--write with --only: the table is of all clients")
	}
	only, err := regexp.Compile(o.only)
	if err != nil {
		return fmt.Errorf("--only: %w", err)
	}
	work, err := os.MkdirTemp("", "freshet-interop-")
	if err != nil {
		return err
	}
	if o.keep {
		fmt.Println("logs and data in", work)
	} else {
		defer os.RemoveAll(work)
	}
	target, stop, err := judged(ctx, o, work)
	if err != nil {
		return err
	}
	began := time.Now()
	results := runAll(ctx, &bench{root: root, work: work, target: target, run: os.Getpid()}, only, o.jobs)
	err = stop()
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	passed, failed := tally(results)
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	fmt.Printf("%d clients in %s\n", len(results), time.Since(began).Round(time.Second))
	if failed > 0 {
		err = errors.Join(err, fmt.Errorf("%d capabilities failed", failed))
	}
	if o.write {
		err = errors.Join(err, writeMatrix(root, results))
	}
	return err
}

// target is the server to judge.
type target struct {
	kafka    string   // bootstrap address; empty = no Kafka there
	endpoint string   // URL for AWS clients; empty = no AWS there
	objects  string   // directory that delivered files appear in
	binary   string   // of our own server; empty = it is another's
	secured  []string // what clients need to come through listeners with TLS and authentication; nil = not known
}

// judged starts our own server, or names the one of the command line. stop ends what was started and reports a bad end.
func judged(ctx context.Context, o options, work string) (t target, stop func() error, err error) {
	if o.kafka != "" || o.aws != "" {
		return target{kafka: o.kafka, endpoint: o.aws, objects: o.objects}, func() error { return nil }, nil
	}
	binary, err := process.Build(ctx, work)
	if err != nil {
		return target{}, nil, err
	}
	node, err := process.NewNode(binary, work)
	if err != nil {
		return target{}, nil, err
	}
	secured, err := secure(node, work)
	if err != nil {
		return target{}, nil, err
	}
	node.Args = append(node.Args, "--tier", filepath.Join(work, "tier"))
	starting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, err := node.Start(starting); err != nil {
		return target{}, nil, err
	}
	return target{kafka: node.Kafka, endpoint: node.Endpoint(), objects: filepath.Join(node.Data, "objects"), binary: binary, secured: secured}, node.Stop, nil
}
