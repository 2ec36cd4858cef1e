package codec

import (
	"reflect"
	"unicode/utf8"

	"github.com/freshet/freshet/internal/protocol/aws/shape"
)

// slab hands out the memory of one decoded request in few allocations: a request of 500 records holds a thousand strings and blobs. What it
// handed out stays valid for as long as somebody points to it, and is never handed out twice.
type slab struct {
	bytes   []byte
	strings []string
}

// Chunks double from the first size to the largest: a blob or string that is kept keeps at most one chunk.
const (
	firstBytes, maxBytes     = 1 << 10, 64 << 10
	firstStrings, maxStrings = 8, 512
)

// take returns n bytes of zero length whose capacity is n.
func (s *slab) take(n int) []byte {
	if n > cap(s.bytes)-len(s.bytes) {
		s.bytes = make([]byte, 0, max(n, min(max(firstBytes, 2*cap(s.bytes)), maxBytes)))
	}
	from := len(s.bytes)
	s.bytes = s.bytes[:from+n]
	return s.bytes[from : from : from+n]
}

// pointer returns a pointer to a copy of the header of v.
func (s *slab) pointer(v string) *string {
	if len(s.strings) == cap(s.strings) {
		s.strings = make([]string, 0, min(max(firstStrings, 2*cap(s.strings)), maxStrings))
	}
	s.strings = append(s.strings, v)
	return &s.strings[len(s.strings)-1]
}

// valid replaces what is no UTF-8 in a string, as Java does when it decodes one.
func valid(v string) string {
	if utf8.ValidString(v) {
		return v
	}
	return string([]rune(v)) // a replacement for each byte
}

// setString stores v in field, which is a string of some named type or a pointer to one.
func (s *slab) setString(field reflect.Value, v string) {
	v = valid(v)
	if field.Kind() != reflect.Pointer {
		field.SetString(v)
		return
	}
	if field.Type() == stringPointer {
		field.Set(reflect.ValueOf(s.pointer(v)))
		return
	}
	p := reflect.New(field.Type().Elem())
	p.Elem().SetString(v)
	field.Set(p)
}

var stringPointer = reflect.TypeFor[*string]()

// target returns where a present value is stored: behind field, newly allocated, if that is a pointer.
func target(field reflect.Value) reflect.Value {
	if field.Kind() != reflect.Pointer {
		return field
	}
	field.Set(reflect.New(field.Type().Elem()))
	return field.Elem()
}

// grow makes room for one more element of a list and returns it, zero.
func grow(list reflect.Value) reflect.Value {
	n := list.Len()
	if n == list.Cap() {
		list.Grow(max(4, n))
	}
	list.SetLen(n + 1)
	e := list.Index(n)
	e.SetZero()
	return e
}

// javaName is the article and name with which AWS's texts speak of a kind.
func javaName(k shape.Kind) string {
	switch k {
	case shape.String:
		return "an String"
	case shape.Integer:
		return "an Integer"
	case shape.Long:
		return "an Long"
	case shape.Float:
		return "an Float"
	case shape.Double:
		return "an Double"
	case shape.Boolean:
		return "an Boolean"
	case shape.Blob:
		return "a Blob"
	case shape.Timestamp:
		return "milliseconds since epoch"
	}
	return ""
}

// token is the sort of value that was found, whatever the encoding.
type token uint8

const (
	tokenNull token = iota + 1
	tokenBool
	tokenNumber
	tokenText
	tokenBytes
	tokenList
	tokenMap
	tokenTime
)

// mismatch returns AWS's text for a value of the sort t where s was expected.
func mismatch(t token, s *shape.Shape) error {
	switch t {
	case tokenList:
		return &SerializationError{"Start of list found where not expected"}
	case tokenMap:
		return &SerializationError{"Start of structure or map found where not expected."}
	}
	switch s.Kind {
	case shape.List:
		return &SerializationError{"Expected list or null"}
	case shape.Map:
		return &SerializationError{"Expected map or null"}
	case shape.Structure:
		return &SerializationError{"Expected null"}
	}
	return &SerializationError{javaClass(t) + " can not be converted to " + javaName(s.Kind)}
}

func javaClass(t token) string {
	switch t {
	case tokenBool:
		return "class java.lang.Boolean"
	case tokenNumber:
		return "class com.amazon.coral.value.json.numbers.TruncatingBigNumber"
	case tokenBytes:
		return "class java.nio.HeapByteBuffer"
	case tokenTime:
		return "class java.util.Date"
	}
	return "class java.lang.String"
}
