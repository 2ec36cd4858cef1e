package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/freshet/freshet/internal/app"
)

// nodeSettings are the flags of every verb that runs a node.
type nodeSettings struct {
	app.Config `embed:""`
	File       string `name:"config" placeholder:"FILE" help:"YAML file of settings: the flags' names as keys. Flags and environment variables go before it."`
}

// serveCmd runs a node until it is told to stop.
type serveCmd struct {
	nodeSettings
	JSON bool `name:"json" help:"Print the addresses as one line of JSON."`
}

// Run prints the addresses once the node answers at them, and returns when the node has stopped.
func (c *serveCmd) Run(t *terminal) error {
	if err := c.ValidateGiven(); err != nil {
		return err
	}
	limitHeap(t.ctx, c.Config)
	logger := app.NewLogger(c.Config, t.stderr)
	warnOfVariables(logger, os.Environ())
	node, err := app.Start(t.ctx, c.Config, app.Deps{Logger: logger})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(t.ctx)
	defer stop()
	told := c.announce(t, node.Addresses())
	if told != nil {
		stop() // nobody knows where the node is: it only closes what it has opened
	}
	return errors.Join(told, node.Run(ctx))
}

func (c *serveCmd) announce(t *terminal, a app.Addresses) error {
	if c.JSON {
		return json.NewEncoder(t.stdout).Encode(a)
	}
	_, err := fmt.Fprint(t.stdout, a.Welcome())
	return err
}
