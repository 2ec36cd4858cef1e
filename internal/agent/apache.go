package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// apacheFormat makes JSON objects of lines in the common or combined log format of Apache's and others' web servers:
//
//	host ident user [time] "request" status bytes "referer" "agent"
//
// More at the end of a line is left out. "-" means that there is no value: such fields are left out too.
type apacheFormat struct{ key string }

type apacheRecord struct {
	Host     string `json:"host"`
	Ident    string `json:"ident,omitempty"`
	User     string `json:"user,omitempty"`
	Time     string `json:"time"` // RFC 3339, with the zone of the line
	Method   string `json:"method,omitempty"`
	Path     string `json:"path,omitempty"`
	Protocol string `json:"protocol,omitempty"`
	Request  string `json:"request,omitempty"` // if it is not method, path and protocol
	Status   int    `json:"status"`
	Bytes    int64  `json:"bytes"`
	Referer  string `json:"referer,omitempty"`
	Agent    string `json:"agent,omitempty"`
}

// apacheFields are the fields that can be a key.
var apacheFields = map[string]bool{
	"host": true, "ident": true, "user": true, "method": true, "path": true, "protocol": true, "status": true, "referer": true, "agent": true,
}

func (r *apacheRecord) field(name string) string {
	switch name {
	case "host":
		return r.Host
	case "ident":
		return r.Ident
	case "user":
		return r.User
	case "method":
		return r.Method
	case "path":
		return r.Path
	case "protocol":
		return r.Protocol
	case "status":
		return strconv.Itoa(r.Status)
	case "referer":
		return r.Referer
	case "agent":
		return r.Agent
	}
	return ""
}

func (apacheFormat) needsHead() bool { return false }

func (f apacheFormat) record(text []byte) ([]byte, string, error) {
	r, err := parseApache(string(text))
	if err != nil {
		return nil, "", err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err = e.Encode(r); err != nil {
		return nil, "", err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), r.field(f.key), nil
}

func parseApache(line string) (*apacheRecord, error) {
	c := cursor{rest: line}
	r := &apacheRecord{Host: c.word(), Ident: dash(c.word()), User: dash(c.word())}
	when := c.between('[', ']')
	request := c.quoted()
	status, size := c.word(), c.word()
	if c.err != nil {
		return nil, c.err
	}
	t, err := time.Parse("02/Jan/2006:15:04:05 -0700", when)
	if err != nil {
		return nil, fmt.Errorf("time: %w", err)
	}
	r.Time = t.Format(time.RFC3339)
	if r.Status, err = strconv.Atoi(status); err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	if size != "-" {
		if r.Bytes, err = strconv.ParseInt(size, 10, 64); err != nil {
			return nil, fmt.Errorf("bytes: %w", err)
		}
	}
	if parts := strings.Split(request, " "); len(parts) == 3 {
		r.Method, r.Path, r.Protocol = parts[0], parts[1], parts[2]
	} else {
		r.Request = dash(request)
	}
	if c.rest != "" {
		r.Referer = dash(c.quoted())
		if c.rest != "" && !strings.Contains(c.rest[1:], `"`) {
			c.rest += `"` // the server cut a long line
		}
		r.Agent = dash(c.quoted())
	}
	return r, c.err
}

func dash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

// cursor takes fields from the front of a line; after an error it gives nothing more.
type cursor struct {
	rest string
	err  error
}

func (c *cursor) fail(reason string) string {
	if c.err == nil {
		c.err = errors.New(reason)
	}
	c.rest = ""
	return ""
}

func (c *cursor) word() string {
	word, rest, _ := strings.Cut(c.rest, " ")
	if word == "" {
		return c.fail("a field is missing")
	}
	c.rest = rest
	return word
}

func (c *cursor) between(open, end byte) string {
	if c.rest == "" || c.rest[0] != open {
		return c.fail("no " + string(open))
	}
	n := strings.IndexByte(c.rest, end)
	if n < 0 {
		return c.fail("no " + string(end))
	}
	s := c.rest[1:n]
	c.rest = strings.TrimPrefix(c.rest[n+1:], " ")
	return s
}

// quoted takes a field in quotes; within them a backslash stands before a quote or another backslash.
func (c *cursor) quoted() string {
	if c.rest == "" || c.rest[0] != '"' {
		return c.fail("no quote where a field begins")
	}
	var b strings.Builder
	for i := 1; i < len(c.rest); i++ {
		switch ch := c.rest[i]; {
		case ch == '"':
			c.rest = strings.TrimPrefix(c.rest[i+1:], " ")
			return b.String()
		case ch == '\\' && i+1 < len(c.rest) && (c.rest[i+1] == '"' || c.rest[i+1] == '\\'):
			i++
			b.WriteByte(c.rest[i])
		default:
			b.WriteByte(ch)
		}
	}
	return c.fail("no quote where a field ends")
}
