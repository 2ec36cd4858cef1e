package main

import "github.com/freshet/freshet/cmd/freshet/demo"

// demoCmd runs a node with real events flowing through it, and shows them.
type demoCmd struct {
	nodeSettings
}

// Run shows the demonstration until the terminal's context ends.
func (c *demoCmd) Run(t *terminal) error {
	if err := c.ValidateGiven(); err != nil {
		return err
	}
	limitHeap(c.Config)
	return demo.Run(t.ctx, demo.Config{Node: c.Config, Out: t.stdout})
}
