package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// patience is how long one answer may take, on a machine that has other things to do.
const patience = 60 * time.Second

// conn is a connection on which one request is asked at a time, and nothing is tried again: a client that shows what is answered.
type conn struct {
	net.Conn
	id int32
}

func dial(ctx context.Context, address string) (*conn, error) {
	c, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c}, nil
}

// send writes a request in a version.
func (c *conn) send(version int16, req kmsg.Request) error {
	req.SetVersion(version)
	c.id++
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := c.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("faults")).AppendRequest(nil, req, c.id))
	return err
}

// receive reads the answer to the last request.
func (c *conn) receive(req kmsg.Request) (kmsg.Response, error) {
	var head [8]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	if id := int32(binary.BigEndian.Uint32(head[4:])); id != c.id {
		return nil, fmt.Errorf("an answer to request %d, not %d", id, c.id)
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:4])-4)
	if _, err := io.ReadFull(c, body); err != nil {
		return nil, err
	}
	resp := req.ResponseKind()
	if _, always0 := resp.(*kmsg.ApiVersionsResponse); resp.IsFlexible() && !always0 {
		body = body[1:] // no tagged fields in the header
	}
	return resp, resp.ReadFrom(body)
}

// ask sends a request and returns its answer.
func ask[R kmsg.Response](c *conn, version int16, req kmsg.Request) (R, error) {
	var none R
	if err := c.send(version, req); err != nil {
		return none, err
	}
	resp, err := c.receive(req)
	if err != nil {
		return none, err
	}
	r, ok := resp.(R)
	if !ok {
		return none, fmt.Errorf("%T is no answer to %T", resp, req)
	}
	return r, nil
}

// wait returns after a while, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// until asks again and again whether something is so. An error says what is not, after a time.
func until(ctx context.Context, limit time.Duration, what string, so func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last error
	for ctx.Err() == nil {
		ok, err := so()
		if ok {
			return nil
		}
		last = err
		wait(ctx, 20*time.Millisecond)
	}
	return errors.Join(fmt.Errorf("not within %s: %s", limit, what), last)
}
