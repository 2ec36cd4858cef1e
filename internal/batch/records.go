package batch

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Record is one record of a batch. Key, Value and header values share memory with the batch, or with its decompressed form.
type Record struct {
	Offset    int64
	Timestamp int64  // milliseconds since 1970
	Key       []byte // nil = none
	Value     []byte // nil = none: a tombstone
	Headers   []RecordHeader
}

// RecordHeader is a name and a value beside a record.
type RecordHeader struct {
	Name  string
	Value []byte
}

// MaxHeaders bounds the headers of one record: in memory a header takes twenty times the bytes of an empty one, so that without it a small
// batch could take much more than what it decompresses to.
const MaxHeaders = 1 << 16

// Records calls visit with each record of the batch b, in order, until it returns false. Compressed records are decompressed into at most
// maxBytes (0 = DefaultMaxDecompressed). The record and its Headers are valid only during the call; the memory that Key and Value share is
// not written to again. Offsets ascend within the header's. A batch that passed Verify can still fail here: its records are the producer's.
func Records(b []byte, maxBytes int, visit func(*Record) bool) error {
	h, err := Parse(b)
	if err != nil {
		return err
	}
	if err := h.check(); err != nil {
		return err
	}
	body, err := Decompress(h.Attributes.Codec(), b[HeaderSize:h.Length], maxBytes)
	if err != nil {
		return err
	}
	var r Record
	next := h.BaseOffset
	for i := range h.Records {
		if body, err = r.read(body, &h); err != nil {
			return fault(Inconsistent, "record %d of %d: %s", i, h.Records, err)
		}
		if r.Offset < next || r.Offset > h.LastOffset() {
			return fault(Inconsistent, "record %d of %d has offset %d, expected %d..%d", i, h.Records, r.Offset, next, h.LastOffset())
		}
		next = r.Offset + 1
		if !visit(&r) {
			return nil
		}
	}
	if len(body) != 0 {
		return fault(Inconsistent, "%d bytes follow the last record", len(body))
	}
	return nil
}

var (
	errShort   = errors.New("its bytes end too early, or too late")
	errHeaders = fmt.Errorf("it has more than %d headers", MaxHeaders)
	errName    = errors.New("a header has no name")
)

// read takes one record off b: length varint, attributes i8, timestampDelta varlong, offsetDelta varint, key, value, headers.
func (r *Record) read(b []byte, h *Header) ([]byte, error) {
	length, b, err := varint(b)
	if err != nil || length < 0 || length > int64(len(b)) {
		return nil, errShort
	}
	rest := b[length:]
	b = b[:length]
	if len(b) < 1 {
		return nil, errShort
	}
	timestampDelta, b, err := varint(b[1:])
	if err != nil {
		return nil, err
	}
	offsetDelta, b, err := varint(b)
	if err != nil {
		return nil, err
	}
	r.Offset, r.Timestamp = h.BaseOffset+offsetDelta, h.BaseTimestamp+timestampDelta
	if h.Attributes.LogAppendTime() {
		r.Timestamp = h.MaxTimestamp
	}
	if r.Key, b, err = bytesField(b); err != nil {
		return nil, err
	}
	if r.Value, b, err = bytesField(b); err != nil {
		return nil, err
	}
	return rest, r.readHeaders(b)
}

func (r *Record) readHeaders(b []byte) error {
	n, b, err := varint(b)
	if err != nil {
		return err
	}
	if n < 0 || n > int64(len(b)) {
		return errShort
	}
	if n > MaxHeaders {
		return errHeaders
	}
	r.Headers = r.Headers[:0]
	for range n {
		var name, value []byte
		if name, b, err = bytesField(b); err != nil {
			return err
		}
		if name == nil {
			return errName
		}
		if value, b, err = bytesField(b); err != nil {
			return err
		}
		r.Headers = append(r.Headers, RecordHeader{Name: string(name), Value: value})
	}
	if len(b) != 0 {
		return errShort
	}
	return nil
}

func varint(b []byte) (int64, []byte, error) {
	v, n := binary.Varint(b)
	if n <= 0 {
		return 0, nil, errShort
	}
	return v, b[n:], nil
}

// bytesField reads a varint length, -1 for nil, and that many bytes.
func bytesField(b []byte) ([]byte, []byte, error) {
	n, b, err := varint(b)
	if err != nil {
		return nil, nil, err
	}
	if n < 0 {
		return nil, b, nil
	}
	if n > int64(len(b)) {
		return nil, nil, errShort
	}
	return b[:n:n], b[n:], nil
}
