package codec

import (
	"fmt"
	"reflect"
	"unsafe"

	"github.com/freshet/freshet/internal/protocol/aws/shape"
)

// CBOR is a dialect: the dialects of AWS differ in what a timestamp, tag 1, counts.
type CBOR struct{ milliseconds bool }

// The dialects. Kinesis's application/x-amz-cbor-1.1 counts whole milliseconds in both directions; its clients fail on a fraction. Smithy RPC v2
// counts seconds, as RFC 8949 does.
var (
	Milliseconds = CBOR{milliseconds: true}
	Seconds      = CBOR{}
)

// Decode reads one map of shape s into the struct v, which then refers to body: it must not be changed any more. A nil s only checks the syntax.
// No body at all is an empty structure.
func (c CBOR) Decode(body []byte, s *shape.Shape, v reflect.Value) error {
	if len(body) == 0 {
		return nil
	}
	d := cborDecoder{CBOR: c, cborReader: cborReader{data: body}}
	h, err := d.head()
	if err != nil {
		return err
	}
	if h.major != cborMap {
		return d.malformed("not a map")
	}
	if err := d.structure(h, s, v, 1); err != nil {
		return err
	}
	if d.wrong != nil || d.pos < len(body) {
		if d.pos < len(body) {
			return d.malformed("bytes behind the map")
		}
		return d.wrong
	}
	return nil
}

// cborDecoder walks items and shapes together. Each method is entered behind its item's head.
type cborDecoder struct {
	CBOR
	cborReader
	slab slab
	// wrong is the first value of a wrong type: decoding goes on behind it, for bytes that are no CBOR are the graver fault.
	wrong error
}

func (d *cborDecoder) structure(h cborHead, s *shape.Shape, v reflect.Value, depth int) error {
	return d.each(h, depth, func() error {
		key, err := d.key()
		if err != nil {
			return err
		}
		h, err := d.head()
		if err != nil {
			return err
		}
		if s != nil {
			if i, ok := s.Member(key); ok {
				return d.value(h, s.Members[i].Shape, v.Field(i), depth+1)
			}
		}
		return d.skip(h, depth+1)
	})
}

// key reads a map's key, which must be text.
func (d *cborDecoder) key() ([]byte, error) {
	h, err := d.head()
	if err != nil {
		return nil, err
	}
	if h.major != cborText {
		return nil, d.malformed("key that is no text")
	}
	return d.bytes(h)
}

// value reads the item into field, which stays absent when the item is null.
func (d *cborDecoder) value(h cborHead, s *shape.Shape, field reflect.Value, depth int) error {
	switch {
	case h.isNull():
		return nil
	case h.major == cborText && s.Kind == shape.String:
		b, err := d.bytes(h)
		if err == nil {
			d.slab.setString(field, unsafe.String(unsafe.SliceData(b), len(b)))
		}
		return err
	case h.major == cborBytes && s.Kind == shape.Blob:
		b, err := d.bytes(h)
		if b == nil {
			b = []byte{}
		}
		field.SetBytes(b)
		return err
	case h.isNumber() && shape.Integer <= s.Kind && s.Kind <= shape.Double:
		if n, f, whole := h.number(); whole && s.Kind <= shape.Long {
			setInteger(target(field), n)
		} else {
			setFloat(s, target(field), f)
		}
		return nil
	case h.major == cborSimple && s.Kind == shape.Boolean && (h.info == cborTrue || h.info == cborFalse):
		target(field).SetBool(h.info == cborTrue)
		return nil
	case h.major == cborTag && s.Kind == shape.Timestamp && h.argument == 1:
		return d.timestamp(field)
	case h.isNumber() && s.Kind == shape.Timestamp:
		d.setTime(h, field)
		return nil
	case h.major == cborMap && s.Kind == shape.Structure:
		return d.structure(h, s, target(field), depth)
	case h.major == cborMap && s.Kind == shape.Map:
		return d.mapping(h, s, field, depth)
	case h.major == cborArray && s.Kind == shape.List:
		field.Set(reflect.MakeSlice(field.Type(), 0, 0))
		return d.each(h, depth, func() error {
			h, err := d.head()
			if err != nil {
				return err
			}
			return d.value(h, s.ElementShape, grow(field), depth+1)
		})
	}
	if d.wrong == nil {
		d.wrong = mismatch(h.token(), s)
	}
	return d.skip(h, depth)
}

func (d *cborDecoder) timestamp(field reflect.Value) error {
	h, err := d.head()
	if err != nil {
		return err
	}
	if !h.isNumber() {
		return d.malformed("timestamp that is no number")
	}
	d.setTime(h, field)
	return nil
}

func (d *cborDecoder) setTime(h cborHead, field reflect.Value) {
	n, f, whole := h.number()
	t := secondsToInstant(f)
	switch {
	case d.milliseconds:
		t = instant(n)
	case whole:
		t = instant(min(max(n, minMillis/1000), maxMillis/1000) * 1000)
	}
	target(field).Set(reflect.ValueOf(t))
}

// mapping reads the entries of s; one whose value is null is absent, like a member.
func (d *cborDecoder) mapping(h cborHead, s *shape.Shape, field reflect.Value, depth int) error {
	field.Set(reflect.MakeMap(field.Type()))
	element := field.Type().Elem()
	return d.each(h, depth, func() error {
		key, err := d.key()
		if err != nil {
			return err
		}
		h, err := d.head()
		if err != nil || h.isNull() {
			return err
		}
		v := reflect.New(element).Elem()
		if err := d.value(h, s.ElementShape, v, depth+1); err != nil {
			return fmt.Errorf("key %q: %w", key, err)
		}
		field.SetMapIndex(reflect.ValueOf(valid(string(key))), v)
		return nil
	})
}

// token classifies an item for the text about its type.
func (h cborHead) token() token {
	switch h.major {
	case cborBytes:
		return tokenBytes
	case cborText:
		return tokenText
	case cborArray:
		return tokenList
	case cborMap:
		return tokenMap
	case cborTag:
		return tokenTime
	case cborSimple:
		if !h.isNumber() {
			return tokenBool
		}
	}
	return tokenNumber
}
