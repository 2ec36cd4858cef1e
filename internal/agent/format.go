package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// format makes records of a file's lines. Each file has its own.
type format interface {
	// record returns what to send for a line, and its partition key or "". Both may use text's memory. errNoRecord, errNoKey: the line is none.
	record(text []byte) (data []byte, key string, err error)
	// needsHead says that a file has to be begun with its first line, whatever the checkpoint says.
	needsHead() bool
}

// These say that a line is understood and makes no record.
var (
	errNoRecord = errors.New("no record")
	errNoKey    = errors.New("the header does not name the field of the partition key")
)

// newFormat returns a maker of a format by its name.
func newFormat(name, key string) (func() format, error) {
	switch name {
	case "line":
		if key != "" {
			return nil, fmt.Errorf("key %q: the format line has no fields; use json, csv or apache", key)
		}
		return func() format { return lineFormat{} }, nil
	case "json":
		return func() format { return jsonFormat{key: key} }, nil
	case "csv":
		return func() format { return &csvFormat{key: key} }, nil
	case "apache":
		if key == "" {
			key = "host"
		}
		if !apacheFields[key] {
			return nil, fmt.Errorf("key %q: an apache record has no such field", key)
		}
		return func() format { return apacheFormat{key: key} }, nil
	}
	return nil, fmt.Errorf("format %q: must be line, json, csv or apache", name)
}

// lineFormat sends lines as they are.
type lineFormat struct{}

func (lineFormat) record(text []byte) ([]byte, string, error) { return text, "", nil }
func (lineFormat) needsHead() bool                            { return false }

// jsonFormat sends lines that are JSON objects as they are.
type jsonFormat struct{ key string }

func (f jsonFormat) record(text []byte) ([]byte, string, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, "", err
	}
	if fields == nil {
		return nil, "", errors.New("null is no object")
	}
	if f.key == "" {
		return text, "", nil
	}
	return text, scalar(fields[f.key]), nil
}

func (jsonFormat) needsHead() bool { return false }

// scalar returns a JSON string's text, or a number or boolean as written; "" for anything else.
func scalar(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	switch raw[0] {
	case '"':
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return ""
		}
		return s
	case '{', '[', 'n':
		return ""
	}
	return string(raw)
}

// clipKey makes a partition key of any text: 256 characters at most, and valid UTF-8.
func clipKey(key string) string {
	if len(key) <= maxKeyChars && utf8.ValidString(key) {
		return key
	}
	runes := []rune(key)
	if len(runes) > maxKeyChars {
		runes = runes[:maxKeyChars]
	}
	return string(runes)
}
