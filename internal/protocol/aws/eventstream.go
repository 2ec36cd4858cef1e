package aws

import (
	"bytes"
	"fmt"
	"io"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"github.com/freshet/freshet/internal/protocol/aws/shape"
)

// eventSink writes one answer in application/vnd.amazon.eventstream: each event is a frame
//
//	total length u32 | headers length u32 | CRC-32 of those | headers | payload | CRC-32 of all before
//
// with the string headers :message-type, :event-type or :exception-type, and :content-type. Every frame is written whole and flushed.
type eventSink struct {
	w           io.Writer
	deadline    func() // before each frame
	flush       func() error
	union       *shape.Shape
	format      payloadFormat
	contentType string

	encoder *eventstream.Encoder
	payload []byte
	frame   bytes.Buffer
	written int64
}

// payloadFormat encodes a structure in the encoding of the request.
type payloadFormat func(dst []byte, s *shape.Shape, v reflect.Value) []byte

func newEventSink(w io.Writer, deadline func(), flush func() error, union *shape.Shape, format payloadFormat, contentType string) *eventSink {
	return &eventSink{
		w: w, deadline: deadline, flush: flush, union: union, format: format, contentType: contentType, encoder: eventstream.NewEncoder(),
	}
}

// open writes the initial-response frame, without which botocore and the Go SDK refuse the stream.
func (s *eventSink) open() error {
	return s.write("event", ":event-type", "initial-response", s.format(s.payload[:0], nil, reflect.Value{}))
}

// send writes the one set member of the union.
func (s *eventSink) send(event reflect.Value) error {
	for i := range s.union.Members {
		f := event.Field(i)
		if f.IsNil() {
			continue
		}
		m := &s.union.Members[i]
		s.payload = s.format(s.payload[:0], m.Shape, f.Elem())
		return s.write("event", ":event-type", m.Name, s.payload)
	}
	panic(fmt.Sprintf("event stream %s: an event with no member set", s.union.Name))
}

// fail ends the stream with an exception frame.
func (s *eventSink) fail(e *Error) error {
	return s.write("exception", ":exception-type", e.Code, s.format(nil, textMap, reflect.ValueOf(map[string]string{"message": e.Message})))
}

func (s *eventSink) write(messageType, nameHeader, name string, payload []byte) error {
	var headers eventstream.Headers
	headers.Set(":message-type", eventstream.StringValue(messageType))
	headers.Set(nameHeader, eventstream.StringValue(name))
	headers.Set(":content-type", eventstream.StringValue(s.contentType))
	s.frame.Reset()
	if err := s.encoder.Encode(&s.frame, eventstream.Message{Headers: headers, Payload: payload}); err != nil {
		return fmt.Errorf("encode %s frame: %w", name, err)
	}
	s.deadline()
	n, err := s.w.Write(s.frame.Bytes())
	s.written += int64(n)
	if err != nil {
		return fmt.Errorf("write %s frame: %w", name, err)
	}
	if err := s.flush(); err != nil {
		return fmt.Errorf("flush %s frame: %w", name, err)
	}
	return nil
}
