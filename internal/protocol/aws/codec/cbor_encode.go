package codec

import (
	"encoding/binary"
	"math"
	"reflect"
	"time"

	"github.com/freshet/freshet/internal/protocol/aws/shape"
)

// Append appends the value v of shape s to dst: structures as maps of indefinite length, which is how AWS sends them, blobs as byte strings.
// Of a structure, v is the struct itself; a nil s is a structure without members.
func (c CBOR) Append(dst []byte, s *shape.Shape, v reflect.Value) []byte {
	if s == nil {
		return append(dst, 0xbf, 0xff)
	}
	switch s.Kind {
	case shape.String:
		return appendCBORText(dst, v.String())
	case shape.Integer, shape.Long:
		return appendCBORInt(dst, v.Int())
	case shape.Float:
		return binary.BigEndian.AppendUint32(append(dst, cborSimple<<5|cborFloat), math.Float32bits(float32(v.Float())))
	case shape.Double:
		return appendCBORDouble(dst, v.Float())
	case shape.Boolean:
		if v.Bool() {
			return append(dst, cborSimple<<5|cborTrue)
		}
		return append(dst, cborSimple<<5|cborFalse)
	case shape.Timestamp:
		return c.appendTime(dst, timeOf(v))
	case shape.Blob:
		b := v.Bytes()
		return append(appendCBORHead(dst, cborBytes, uint64(len(b))), b...)
	case shape.List:
		dst = appendCBORHead(dst, cborArray, uint64(v.Len()))
		for i := range v.Len() {
			dst = c.Append(dst, s.ElementShape, v.Index(i))
		}
		return dst
	case shape.Map:
		dst = appendCBORHead(dst, cborMap, uint64(v.Len()))
		for _, key := range sortedKeys(v) {
			dst = appendCBORText(dst, key)
			dst = c.Append(dst, s.ElementShape, v.MapIndex(reflect.ValueOf(key)))
		}
		return dst
	case shape.Structure:
		return c.appendStructure(dst, s, v)
	}
	panic("shape " + s.Name + " has no kind")
}

func (c CBOR) appendStructure(dst []byte, s *shape.Shape, v reflect.Value) []byte {
	dst = append(dst, 0xbf)
	for i := range s.Members {
		f := v.Field(i)
		if f.IsNil() {
			continue
		}
		if f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		dst = appendCBORText(dst, s.Members[i].Name)
		dst = c.Append(dst, s.Members[i].Shape, f)
	}
	return append(dst, 0xff)
}

func (c CBOR) appendTime(dst []byte, t time.Time) []byte {
	dst = append(dst, cborTag<<5|1)
	ms := t.UnixMilli()
	if c.milliseconds {
		return appendCBORInt(dst, ms)
	}
	// AWS answers a double, also for whole seconds.
	return appendCBORDouble(dst, float64(ms)/1000)
}

func appendCBORDouble(dst []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, cborSimple<<5|27), math.Float64bits(f))
}

func appendCBORInt(dst []byte, n int64) []byte {
	if n < 0 {
		return appendCBORHead(dst, cborNegative, uint64(-1-n))
	}
	return appendCBORHead(dst, cborUnsigned, uint64(n))
}

func appendCBORText(dst []byte, s string) []byte {
	return append(appendCBORHead(dst, cborText, uint64(len(s))), s...)
}

func appendCBORHead(dst []byte, major byte, argument uint64) []byte {
	major <<= 5
	switch {
	case argument < 24:
		return append(dst, major|byte(argument))
	case argument <= math.MaxUint8:
		return append(dst, major|24, byte(argument))
	case argument <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, major|25), uint16(argument))
	case argument <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(argument))
	}
	return binary.BigEndian.AppendUint64(append(dst, major|27), argument)
}
