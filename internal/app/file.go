package app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFileBytes bounds a configuration file.
const maxFileBytes = 1 << 20

// Names returns the names of all settings, in the order of Config.
func Names() []string {
	var names []string
	for f := range reflect.TypeFor[Config]().Fields() {
		names = append(names, f.Tag.Get("name"))
	}
	return names
}

// Environment returns the environment variable of a setting.
func Environment(name string) string {
	return "FRESHET_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// ReadFile returns the settings of a YAML configuration file by name, as they would stand on the command line; a list's elements are joined
// by commas. It says everything that is wrong with the file's form.
func ReadFile(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &ConfigError{Key: "config", Wrong: err.Error(), Remedy: "name a readable YAML file"}
	}
	if len(text) > maxFileBytes {
		return nil, &ConfigError{Key: "config", Wrong: fmt.Sprintf("%s has %d bytes", path, len(text)), Remedy: "name a configuration file"}
	}
	settings := map[string]yaml.Node{}
	if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&settings); err != nil && !errors.Is(err, io.EOF) { // EOF: empty
		return nil, &ConfigError{Key: "config", Wrong: fmt.Sprintf("%s: %s", path, err), Remedy: "write one 'name: value' per line"}
	}
	values := map[string]string{}
	var errs []error
	names := Names()
	for name, node := range settings {
		value, err := scalar(&node)
		if err != nil {
			errs = append(errs, &ConfigError{Key: name, Wrong: fmt.Sprintf("%s line %d: %s", path, node.Line, err), Remedy: "write a single value or a list"})
		}
		if !slices.Contains(names, name) {
			known := "the settings are " + strings.Join(names, ", ")
			errs = append(errs, &ConfigError{Key: name, Wrong: fmt.Sprintf("%s line %d: there is no such setting", path, node.Line), Remedy: known})
		}
		values[name] = value
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return values, errors.Join(errs...)
}

func scalar(n *yaml.Node) (string, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		return n.Value, nil
	case yaml.SequenceNode:
		var parts []string
		for _, part := range n.Content {
			if part.Kind != yaml.ScalarNode || strings.Contains(part.Value, ",") {
				return "", errors.New("a list of plain values without commas is expected")
			}
			parts = append(parts, part.Value)
		}
		return strings.Join(parts, ","), nil
	}
	return "", errors.New("a plain value is expected")
}
