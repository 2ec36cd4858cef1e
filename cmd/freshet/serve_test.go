package main

import (
	"encoding/json"
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/app"
)

// closed is a standard output that nobody reads, and keeps what was meant for it.
type closed struct{ text strings.Builder }

var errClosed = errors.New("nobody reads this")

func (c *closed) Write(b []byte) (int, error) {
	c.text.Write(b)
	return 0, errClosed
}

// A node whose addresses cannot be told is stopped like any other: its directory is free again, and recovers nothing.
func TestNodeIsClosedIfItsAddressesCannotBeTold(t *testing.T) {
	data := t.TempDir()
	var out closed
	var log strings.Builder
	code := run([]string{"serve", "--json", "--data", data, "--kafka", "127.0.0.1:0", "--aws", "0.0.0.0:0", "--insecure"}, &out, &log)
	if code != exitFailed || !strings.Contains(log.String(), "msg=stopped") || !strings.Contains(log.String(), "freshet: "+errClosed.Error()) {
		t.Errorf("exit code %d, log\n%s", code, log.String())
	}
	if code, said := output("check", data); code != exitOK {
		t.Errorf("check: exit code %d, %s", code, said)
	}
	var at app.Addresses
	if err := json.Unmarshal([]byte(out.text.String()), &at); err != nil {
		t.Fatal(err)
	}
	if u, err := url.Parse(at.AWS); err != nil || net.ParseIP(u.Hostname()).IsUnspecified() {
		t.Errorf("clients are told to connect to %s, %v", at.AWS, err)
	}
}
