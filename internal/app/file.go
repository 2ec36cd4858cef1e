package app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

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
// by commas. It says everything that is wrong with the file's form, and each value that is none of its setting's kind.
func ReadFile(path string) (map[string]string, error) {
	text, err := readBounded(path)
	if err != nil {
		return nil, &ConfigError{Key: "config", Wrong: err.Error(), Remedy: "name a readable YAML file"}
	}
	settings, err := readSettings(text)
	if err != nil {
		return nil, &ConfigError{Key: "config", Wrong: fmt.Sprintf("%s: %s", path, err), Remedy: "write one 'name: value' per line"}
	}
	values := map[string]string{}
	var errs []error
	names := Names()
	for name, node := range settings {
		wrong := func(what, remedy string) {
			errs = append(errs, &ConfigError{Key: name, Wrong: fmt.Sprintf("%s line %d: %s", path, node.Line, what), Remedy: remedy})
		}
		value, err := scalar(&node)
		if err != nil {
			wrong(err.Error(), "write a single value or a list")
		}
		if !slices.Contains(names, name) {
			wrong("there is no such setting", "the settings are "+strings.Join(names, ", "))
		} else if remedy := mistyped(name, value); err == nil && remedy != "" {
			wrong(fmt.Sprintf("%q cannot be read", value), remedy)
		}
		if value != "" { // nothing means the default
			values[name] = value
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return values, errors.Join(errs...)
}

// readBounded returns what is in a file. No more than the bound is read, as a device may have no end.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err == nil && len(text) > maxFileBytes {
		err = fmt.Errorf("%s has more than %s", path, Size(maxFileBytes))
	}
	return text, errors.Join(err, f.Close())
}

// readSettings returns the values of a file, which is one YAML document.
func readSettings(text []byte) (map[string]yaml.Node, error) {
	settings := map[string]yaml.Node{}
	documents := yaml.NewDecoder(bytes.NewReader(text))
	if err := documents.Decode(&settings); err != nil && !errors.Is(err, io.EOF) { // EOF: empty
		return nil, err
	}
	var more yaml.Node
	if err := documents.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one document is in it, and only the first would count")
	}
	return settings, nil
}

// mistyped returns what to write instead of a value that is none of the setting's kind, or "".
func mistyped(name, value string) string {
	for f, v := range reflect.ValueOf(Config{}).Fields() {
		if f.Tag.Get("name") != name || value == "" {
			continue
		}
		var err error
		var size Size
		remedy := ""
		switch v.Interface().(type) {
		case bool, *bool:
			if !slices.Contains([]string{"true", "yes", "1", "false", "no", "0"}, strings.ToLower(value)) {
				return "write true or false"
			}
		case int:
			_, err = strconv.Atoi(value)
			remedy = "write a whole number"
		case time.Duration:
			_, err = time.ParseDuration(value)
			remedy = "write a time with its unit, as 10s"
		case Size:
			err = size.UnmarshalText([]byte(value))
			remedy = "write a number of bytes, or one with a unit, as 64MiB"
		}
		if err != nil {
			return remedy
		}
	}
	return ""
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
