package wire

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Request is one request of a client.
type Request struct {
	Key, Version  int16
	CorrelationID int32
	ClientID      string
	Body          []byte    // what follows the header
	Bytes         int       // size of the frame, its length field included
	Received      time.Time // when the frame was complete
	Pooled        bool      // set by a session that does not keep Body: its memory is used again
	Token         bool      // the frame was a bare token, without header: see Conn.ExpectToken

	flexible bool    // the response header has tags
	budget   *Budget // for what Decode takes; nil in tests
	decoded  int64   // taken from it
}

// apiVersions is the one key whose response header never has tags, so that a client can read it before it knows what the server speaks (KIP-511).
const apiVersions = 18

// minRequest is the size of the shortest request header: key, version, correlation id, a null client id.
const minRequest = 10

// parseHeader reads the header of a request frame, whose length field is already off. keep returns a string for the client id.
func parseHeader(frame []byte, flexible func(key, version int16) bool, keep func([]byte) string) (Request, error) {
	if len(frame) < minRequest {
		return Request{}, fmt.Errorf("request of %d bytes is shorter than a header", len(frame))
	}
	r := Request{
		Key:           int16(binary.BigEndian.Uint16(frame)),
		Version:       int16(binary.BigEndian.Uint16(frame[2:])),
		CorrelationID: int32(binary.BigEndian.Uint32(frame[4:])),
		Bytes:         4 + len(frame),
	}
	n, rest := int(int16(binary.BigEndian.Uint16(frame[8:]))), frame[minRequest:]
	switch {
	case n > len(rest):
		return r, fmt.Errorf("client id of %d bytes, %d are left", n, len(rest))
	case n > 0:
		r.ClientID, rest = keep(rest[:n]), rest[n:]
	}
	if flexible(r.Key, r.Version) {
		var err error
		if rest, err = skipTags(rest); err != nil {
			return r, fmt.Errorf("request header: %w", err)
		}
		r.flexible = r.Key != apiVersions
	}
	r.Body = rest
	return r, nil
}

// skipTags skips a tagged-fields section: uvarint count, then per field uvarint tag, uvarint size, and that many bytes.
func skipTags(b []byte) ([]byte, error) {
	count, n := binary.Uvarint(b)
	if n <= 0 || count > uint64(len(b)) {
		return nil, fmt.Errorf("tagged fields: bad count")
	}
	b = b[n:]
	for range count {
		_, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, fmt.Errorf("tagged fields: bad tag")
		}
		b = b[n:]
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return nil, fmt.Errorf("tagged fields: bad size")
		}
		b = b[n+int(size):]
	}
	return b, nil
}
