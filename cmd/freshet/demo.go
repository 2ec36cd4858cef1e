package main

import (
	"github.com/freshet/freshet/cmd/freshet/demo"
	"github.com/freshet/freshet/internal/app"
)

// demoCmd runs a node with real events flowing through it, and shows them.
type demoCmd struct {
	nodeSettings
}

// Run shows the demonstration until the terminal's context ends.
func (c *demoCmd) Run(t *terminal) error {
	if err := c.ValidateGiven(); err != nil {
		return err
	}
	if app.InS3(c.Objects) {
		return &app.ConfigError{Key: "objects", Wrong: "the demonstration shows files", Remedy: "name a directory, or none"}
	}
	limitHeap(t.ctx, c.Config)
	return demo.Run(t.ctx, demo.Config{Node: c.Config, Out: t.stdout})
}
