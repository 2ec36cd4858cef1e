package main

import (
	"cmp"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/freshet/freshet/internal/app"
)

// configFlag names the flag that names the configuration file.
const configFlag = "config"

// bindEnvironment gives each setting its environment variable. Flags that are no settings, as --json, have none.
func bindEnvironment(k *kong.Kong) error {
	names := append(app.Names(), configFlag)
	var visit func(n *kong.Node)
	visit = func(n *kong.Node) {
		for _, flag := range n.Flags {
			if slices.Contains(names, flag.Name) {
				variable := app.Environment(flag.Name)
				flag.Envs = append(flag.Envs, variable)
				flag.Value.Tag.Envs = append(flag.Value.Tag.Envs, variable)
			}
		}
		for _, child := range n.Children {
			visit(child)
		}
	}
	visit(k.Model.Node)
	return nil
}

// otherVariables are environment variables of ours that are no settings: of the tests and tools of the source tree.
var otherVariables = []string{"FRESHET_CACHE", "FRESHET_BINARY", "FRESHET_TEST_RUN_MAIN"}

// maxTypos is how many edits a variable may be away from the setting that was meant: further away anything is near something.
const maxTypos = 2

// warnOfVariables logs each variable of an environment that looks like a setting and is none. It is no error, as such a variable can be
// somebody else's: Kubernetes sets FRESHET_PORT and its like where a service is called freshet.
func warnOfVariables(logger *slog.Logger, environment []string) {
	known := []string{app.Environment(configFlag)}
	for _, name := range app.Names() {
		known = append(known, app.Environment(name))
	}
	for _, variable := range environment {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, app.Environment("")) || slices.Contains(known, name) || slices.Contains(otherVariables, name) {
			continue
		}
		nearest := slices.MinFunc(known, func(a, b string) int { return cmp.Compare(edits(name, a), edits(name, b)) })
		about := []any{"variable", name}
		if edits(name, nearest) <= maxTypos {
			about = append(about, "nearest_setting", nearest)
		}
		logger.Warn("environment variable is no setting and has no effect", about...)
	}
}

// edits returns how many characters must be inserted, deleted or replaced to make b of a.
func edits(a, b string) int {
	row := make([]int, len(b)+1) // of what was read of a: the edits to each beginning of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// settingsFile resolves flags from the configuration file; flags given and environment variables go before it.
type settingsFile struct {
	read   bool
	values map[string]string
	err    error // everything wrong with the file
}

// Validate implements kong.Resolver. There is nothing to check before the file's name is known.
func (s *settingsFile) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver.
func (s *settingsFile) Resolve(c *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	if !s.read {
		s.load(c, parent)
	}
	value, ok := s.values[flag.Name]
	if _, fromEnvironment := os.LookupEnv(app.Environment(flag.Name)); !ok || fromEnvironment {
		return nil, nil
	}
	return value, nil
}

func (s *settingsFile) load(c *kong.Context, parent *kong.Path) {
	for _, flag := range parent.Flags {
		if flag.Name != configFlag {
			continue
		}
		s.read = true
		if path, _ := c.FlagValue(flag).(string); path != "" {
			s.values, s.err = app.ReadFile(path)
		}
	}
}
