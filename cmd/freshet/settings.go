package main

import (
	"os"
	"slices"

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
