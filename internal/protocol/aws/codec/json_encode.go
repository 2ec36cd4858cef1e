package codec

import (
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/segmentio/encoding/json"

	"github.com/freshet/freshet/internal/protocol/aws/shape"
)

// AppendJSON appends the value v of shape s to dst as AWS JSON 1.x: absent members left out, blobs in base64, timestamps as seconds since
// the epoch with up to three decimals, or as text where the shape says ISO8601. Of a structure, v is the struct itself; a nil s is a structure without members.
func AppendJSON(dst []byte, s *shape.Shape, v reflect.Value) []byte {
	if s == nil {
		return append(dst, "{}"...)
	}
	return appendJSONValue(dst, s, v)
}

func appendJSONStructure(dst []byte, s *shape.Shape, v reflect.Value) []byte {
	dst = append(dst, '{')
	first := true
	for i := range s.Members {
		f := v.Field(i)
		if f.IsNil() {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		m := &s.Members[i]
		dst = append(dst, '"')
		dst = append(dst, m.Name...)
		dst = append(dst, '"', ':')
		if f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		dst = appendJSONValue(dst, m.Shape, f)
	}
	return append(dst, '}')
}

func appendJSONValue(dst []byte, s *shape.Shape, v reflect.Value) []byte {
	switch s.Kind {
	case shape.String:
		return json.AppendEscape(dst, v.String(), 0)
	case shape.Integer, shape.Long:
		return strconv.AppendInt(dst, v.Int(), 10)
	case shape.Float, shape.Double:
		return appendJSONFloat(dst, v.Float(), v.Type().Bits())
	case shape.Boolean:
		return strconv.AppendBool(dst, v.Bool())
	case shape.Timestamp:
		if s.ISO8601 {
			return timeOf(v).UTC().AppendFormat(dst, `"2006-01-02T15:04:05.000Z"`)
		}
		return appendSeconds(dst, timeOf(v))
	case shape.Blob:
		dst = append(dst, '"')
		dst = appendBase64(dst, v.Bytes())
		return append(dst, '"')
	case shape.List:
		dst = append(dst, '[')
		for i := range v.Len() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSONValue(dst, s.ElementShape, v.Index(i))
		}
		return append(dst, ']')
	case shape.Map:
		return appendJSONMap(dst, s, v)
	case shape.Structure:
		return appendJSONStructure(dst, s, v)
	}
	panic("shape " + s.Name + " has no kind")
}

// appendJSONMap writes the entries in the order of their keys, so that equal answers are equal bytes.
func appendJSONMap(dst []byte, s *shape.Shape, v reflect.Value) []byte {
	dst = append(dst, '{')
	for i, key := range sortedKeys(v) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = json.AppendEscape(dst, key, 0)
		dst = append(dst, ':')
		dst = appendJSONValue(dst, s.ElementShape, v.MapIndex(reflect.ValueOf(key)))
	}
	return append(dst, '}')
}

func sortedKeys(v reflect.Value) []string {
	keys := make([]string, 0, v.Len())
	for it := v.MapRange(); it.Next(); {
		keys = append(keys, it.Key().String())
	}
	slices.Sort(keys)
	return keys
}

// appendJSONFloat writes what JSON cannot express, not-a-number and the infinities, as the strings that Smithy gives them.
func appendJSONFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, bits)
}

func timeOf(v reflect.Value) time.Time {
	if v.CanAddr() {
		return *v.Addr().Interface().(*time.Time)
	}
	return v.Interface().(time.Time)
}

// appendSeconds writes seconds with milliseconds, the precision that every AWS service keeps.
func appendSeconds(dst []byte, t time.Time) []byte {
	ms := t.UnixMilli()
	if ms < 0 {
		dst = append(dst, '-')
		ms = -ms
	}
	dst = strconv.AppendInt(dst, ms/1000, 10)
	if rest := ms % 1000; rest != 0 {
		dst = append(dst, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
	}
	return dst
}
