package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/engine"
	"github.com/freshet/freshet/internal/vfs"
)

// dataFlags name a node's data directory, by whatever names it for the node too.
type dataFlags struct {
	Data string `name:"data" default:"${data}" help:"Data directory."`
	File string `name:"config" placeholder:"FILE" help:"YAML file of a node's settings, for its data directory."`
}

// dir is where everything is.
func (d *dataFlags) dir() string { return cmp.Or(d.Data, app.Defaults().Data) }

// dataDir is the argument of the verbs that read a stopped node's log.
type dataDir struct {
	dataFlags
	Dir string `arg:"" optional:"" placeholder:"DIR" help:"Data directory of a node that is stopped; goes before --data."`
}

func (d *dataDir) dir() string { return cmp.Or(d.Dir, d.dataFlags.dir()) }

// logDir is where package engine keeps its files in a data directory.
const logDir = "log"

// existing returns an error if there is nothing to read, so that a mistyped name is not taken for an empty log.
func (d *dataDir) existing() error {
	info, err := os.Stat(filepath.Join(d.dir(), logDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return err // it may be one
	}
	if err != nil || !info.IsDir() {
		return &usageError{fmt.Errorf("%s is no data directory: it has no %s in it", d.dir(), logDir)}
	}
	return nil
}

// checkCmd verifies everything that a stopped node has stored.
type checkCmd struct {
	dataDir
	JSON bool `name:"json" help:"Print JSON."`
}

// checked is what check --json prints.
type checked struct {
	Dir         string   `json:"dir"`
	Sound       bool     `json:"sound"`
	Files       int      `json:"files"`
	Groups      int64    `json:"groups"`
	Batches     int64    `json:"batches"`
	Changes     int64    `json:"changes"`
	Bytes       int64    `json:"bytes"`
	Checkpoints int      `json:"checkpoints"`
	Streams     int      `json:"streams"`
	Shards      int      `json:"shards"`
	Documents   int      `json:"documents"`
	Cursors     int      `json:"cursors"`
	Torn        *place   `json:"torn,omitempty"` // where a crash cut the log off; opening truncates it there
	Stray       []string `json:"stray"`          // among the log's files and none of them
	Damage      []flaw   `json:"damage"`
}

type place struct {
	File string `json:"file"`
	Byte int64  `json:"byte"`
}

type flaw struct {
	place
	Reason string `json:"reason"`
}

// Run prints the report, and returns errDamaged if there is damage in it.
func (c *checkCmd) Run(t *terminal) error {
	if err := c.existing(); err != nil {
		return err
	}
	report, err := engine.Check(vfs.ReadOnly(), c.dir())
	if err != nil {
		return err
	}
	found := c.found(report)
	if c.JSON {
		err = json.NewEncoder(t.stdout).Encode(found)
	} else {
		err = found.print(t)
	}
	if err == nil && !found.Sound {
		return errDamaged
	}
	return err
}

func (c *checkCmd) found(r *engine.Report) *checked {
	found := &checked{
		Dir: c.dir(), Sound: len(r.Damage) == 0, Files: r.Files, Groups: r.Groups, Batches: r.Batches, Changes: r.Changes, Bytes: r.Bytes,
		Checkpoints: r.Checkpoints, Streams: r.Streams, Shards: r.Shards, Documents: r.Documents, Cursors: r.Cursors, Damage: []flaw{},
		Stray: append([]string{}, r.Stray...),
	}
	if r.TornFile != "" {
		found.Torn = &place{r.TornFile, r.TornByte}
	}
	for _, d := range r.Damage {
		found.Damage = append(found.Damage, flaw{place{d.File, d.Byte}, d.Reason})
	}
	return found
}

// print writes the findings for humans.
func (f *checked) print(t *terminal) error {
	verdict := "sound"
	if !f.Sound {
		verdict = "DAMAGED"
	}
	_, err := fmt.Fprintf(t.stdout, "%s: %s\n  log          %d files, %s checked: %d groups, %d batches, %d changes of state\n"+
		"  checkpoints  %d\n  streams      %d with %d shards\n  state        %d documents, %d cursors\n",
		f.Dir, verdict, f.Files, byteCount(f.Bytes), f.Groups, f.Batches, f.Changes, f.Checkpoints, f.Streams, f.Shards, f.Documents, f.Cursors)
	if err == nil && f.Torn != nil {
		_, err = fmt.Fprintf(t.stdout, "  torn         %s at byte %d: what a crash had not finished, and nothing that was acknowledged; the next start cuts it off\n", f.Torn.File, f.Torn.Byte)
	}
	for _, name := range f.Stray {
		if err == nil {
			_, err = fmt.Fprintf(t.stdout, "  stray        %s: it is no file of the log, and left alone\n", shown(name))
		}
	}
	for _, d := range f.Damage {
		if err == nil {
			_, err = fmt.Fprintf(t.stdout, "  damaged      %s byte %d: %s\n", d.File, d.Byte, d.Reason)
		}
	}
	return err
}
