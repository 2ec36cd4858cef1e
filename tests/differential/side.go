package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// side is one of the two servers, and the connection on which it is asked.
type side struct {
	ctx      context.Context // of the scenario that asks, which ends with it; nil: none does
	name     string
	address  string
	sasl     string // the address of the listener with SASL
	conn     net.Conn
	login    func(*side) error // what a connection begins with; nil = nothing
	id       int32
	versions map[int16]kmsg.ApiVersionsResponseApiKey
	symbols  map[string]string // what an identifier of this side's own choice is called in comparisons: see symbol
	kinds    map[string]int    // how many symbols there are of a kind
	seen     map[string]any    // what a scenario remembers of this side's answers
}

func newSide(name, address, sasl string) *side {
	return &side{name: name, address: address, sasl: sasl, symbols: map[string]string{}, kinds: map[string]int{}, seen: map[string]any{}}
}

// as is the same server on another connection, through the listener with SASL.
func (s *side) as(login func(*side) error) *side {
	c := *s
	c.address, c.conn, c.login = s.sasl, nil, login
	return &c
}

func (s *side) close() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

// negotiate learns which versions the side serves.
func (s *side) negotiate() error {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "differential", "1"
	a := s.ask(4, req)
	resp, ok := a.response.(*kmsg.ApiVersionsResponse)
	if !ok {
		return fmt.Errorf("%s: no answer to ApiVersions: %s", s.name, a.failed)
	}
	s.versions = map[int16]kmsg.ApiVersionsResponseApiKey{}
	for _, k := range resp.ApiKeys {
		s.versions[k.ApiKey] = k
	}
	return nil
}

// warmUp waits until the side's coordinator of groups and its producer ids are there, which Kafka makes when they are first asked for.
func (s *side) warmUp(ctx context.Context) error {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		find := kmsg.NewPtrFindCoordinatorRequest()
		find.CoordinatorKeys = []string{"warm-up"}
		s.ask(4, find)
		beat, isBeat := s.ask(4, beating("warm-up", "nobody", 1)).response.(*kmsg.HeartbeatResponse)
		id, isID := s.ask(4, kmsg.NewPtrInitProducerIDRequest()).response.(*kmsg.InitProducerIDResponse)
		if isBeat && isID && beat.ErrorCode == kerr.UnknownMemberID.Code && id.ErrorCode == 0 {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not ready: %+v %+v", s.name, beat, id)
		}
	}
}

// answer is what came back: a response, or in words how there was none.
type answer struct {
	response kmsg.Response
	failed   string
}

// patience is how long an answer may take; requests that wait on purpose wait for less.
const patience = 5 * time.Second

// ask sends a request in a version and reads the answer. A connection that the server closed is opened again by the next request. It
// ends the goroutine, and so the scenario wherever that is, if the command was told to stop.
func (s *side) ask(version int16, req kmsg.Request) answer {
	if s.ctx != nil && s.ctx.Err() != nil {
		runtime.Goexit()
	}
	resp, err := s.exchange(version, req)
	if err == nil {
		return answer{response: resp}
	}
	s.close()
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return answer{failed: "no answer"}
	case errors.Is(err, errDecode):
		return answer{failed: err.Error()}
	}
	return answer{failed: "connection closed"}
}

var errDecode = errors.New("cannot decode the answer")

func (s *side) exchange(version int16, req kmsg.Request) (kmsg.Response, error) {
	if s.conn == nil {
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			return nil, err
		}
		s.conn = conn
		if s.login != nil {
			if err := s.login(s); err != nil {
				return nil, err
			}
		}
	}
	req.SetVersion(version)
	s.id++
	if err := s.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if _, err := s.conn.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("differential")).AppendRequest(nil, req, s.id)); err != nil {
		return nil, err
	}
	if p, ok := req.(*kmsg.ProduceRequest); ok && p.Acks == 0 {
		return nil, s.expectSilence()
	}
	var head [8]byte
	if _, err := io.ReadFull(s.conn, head[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:4])-4)
	if _, err := io.ReadFull(s.conn, body); err != nil {
		return nil, err
	}
	resp := req.ResponseKind()
	if _, always0 := resp.(*kmsg.ApiVersionsResponse); resp.IsFlexible() && !always0 {
		body = body[1:] // no tagged fields in the header
	}
	if err := resp.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("%w: %w", errDecode, err)
	}
	return resp, nil
}

// expectSilence sees whether a request that has no answer ended the connection.
func (s *side) expectSilence() error {
	if err := s.conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		return err
	}
	_, err := s.conn.Read(make([]byte, 1))
	return err
}

// call gives an identifier a name in comparisons, unless it has one.
func (s *side) call(id, name string) {
	if _, ok := s.symbols[id]; !ok {
		s.symbols[id] = name
	}
}

// symbol names an identifier that the server chose: the n-th of its kind that was seen on this side.
func (s *side) symbol(kind, value string) string {
	key := kind + " " + value
	name, ok := s.symbols[key]
	if !ok {
		s.kinds[kind]++
		name = fmt.Sprintf("%s#%d", kind, s.kinds[kind])
		s.symbols[key] = name
	}
	return name
}
