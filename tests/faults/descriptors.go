package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/freshet/freshet/tests/process"
)

const (
	fewDescriptors = 256
	manyConnects   = 1000
)

// fewFiles runs a node that may open few files, and takes all it has for connections: whoever was there notices nothing, records are still taken, and when
// the crowd is gone others may come.
func fewFiles(ctx context.Context, r *rig) error {
	script := filepath.Join(r.dir, "few-files")
	if err := os.WriteFile(script, fmt.Appendf(nil, "#!/bin/sh\nulimit -n %d\nexec %q \"$@\"\n", fewDescriptors, r.binary), 0o755); err != nil {
		return err
	}
	few := *r
	few.binary = script
	node, err := few.node(ctx)
	r.nodes = few.nodes
	if err != nil {
		return err
	}
	err = bystanding(ctx, node, fmt.Sprintf("with %d descriptors and %d connections", fewDescriptors, manyConnects), func() error {
		wait(ctx, time.Second) // it has its connections
		answered, refused, err := crowdIn(ctx, node)
		say("%d connections were answered, %d were refused", answered, refused)
		if err == nil && (answered == 0 || refused == 0) {
			err = errors.New("either all or none were answered")
		}
		return err
	})
	if err != nil {
		return err
	}
	err = until(ctx, 10*time.Second, "a connection after the crowd", func() (bool, error) {
		err := connectOnce(ctx, node.Kafka, false)
		return err == nil, err
	})
	return errors.Join(err, fillTopic(ctx, r, node, "files", 600), memory(node, "after 600 MiB in several files"))
}

// crowdIn opens connections and holds all of them for a while. Those that were not answered within a moment are refused.
func crowdIn(ctx context.Context, node *process.Node) (answered, refused int, err error) {
	for range manyConnects {
		c, err := dial(ctx, node.Kafka)
		if err != nil {
			refused++
			continue
		}
		defer c.Close()
		req := apiVersions()
		if err := c.send(3, req); err != nil {
			refused++
			continue
		}
		if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			return answered, refused, err
		}
		if _, err := c.receive(req); err != nil {
			refused++
		} else {
			answered++
		}
	}
	wait(ctx, 5*time.Second)
	return answered, refused, nil
}
