package agent

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// csvFormat makes JSON objects of rows; the first row of a file names the fields. Values stay text: csv does not know more.
type csvFormat struct {
	key     string
	header  []string
	refused bool // the first row cannot be a header: nobody knows what the others mean
}

var errNoHeader = errors.New("the file's first row, which names the fields, was not understood")

func (f *csvFormat) needsHead() bool { return true }

func (f *csvFormat) record(text []byte) ([]byte, string, error) {
	r := csv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord = -1
	row, err := r.Read()
	switch {
	case f.refused:
		return nil, "", errNoHeader
	case err != nil:
		f.refused = f.header == nil
		return nil, "", err
	case f.header == nil:
		return nil, "", f.begin(row)
	}
	if len(row) != len(f.header) {
		return nil, "", fmt.Errorf("%d fields where the header has %d", len(row), len(f.header))
	}
	data := []byte{'{'}
	key := ""
	for i, name := range f.header {
		if i > 0 {
			data = append(data, ',')
		}
		data = append(data, quote(name)...)
		data = append(data, ':')
		data = append(data, quote(row[i])...)
		if name == f.key {
			key = row[i]
		}
	}
	return append(data, '}'), key, nil
}

// begin takes the header.
func (f *csvFormat) begin(row []string) error {
	seen := map[string]bool{}
	for i, name := range row {
		name = strings.ToValidUTF8(name, "\ufffd") // as JSON will have it, where different names may become one
		row[i] = name
		if seen[name] {
			f.refused = true
			return fmt.Errorf("header names %q twice", name)
		}
		seen[name] = true
	}
	f.header = row
	if f.key != "" && !seen[f.key] {
		return errNoKey
	}
	return errNoRecord
}

func quote(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(fmt.Sprintf("agent: encode a string: %v", err)) // strings always can be
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
