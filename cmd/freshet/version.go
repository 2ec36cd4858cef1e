package main

import (
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/freshet/freshet/internal/app"
)

// versionCmd says what the binary was built from.
type versionCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Run prints one line.
func (c *versionCmd) Run(t *terminal) error {
	v := struct {
		Version  string `json:"version"`
		Go       string `json:"go"`
		Platform string `json:"platform"`
	}{app.Version(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	if c.JSON {
		return json.NewEncoder(t.stdout).Encode(v)
	}
	_, err := fmt.Fprintf(t.stdout, "freshet %s (%s, %s)\n", v.Version, v.Go, v.Platform)
	return err
}
