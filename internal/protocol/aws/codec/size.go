package codec

import (
	"reflect"

	"github.com/freshet/freshet/internal/protocol/aws/shape"
)

// memberOverhead is more than the name, quotes and separators of a member take in any encoding.
const memberOverhead = 64

// Size estimates from above how many bytes the value v of shape s takes in any encoding, for reserving memory. Text full of characters that
// must be escaped may exceed it.
func Size(s *shape.Shape, v reflect.Value) int64 {
	switch s.Kind {
	case shape.String:
		return int64(v.Len()) + 2
	case shape.Blob:
		return int64(strictBase64.EncodedLen(v.Len())) + 2
	case shape.List:
		n := int64(2)
		for i := range v.Len() {
			n += Size(s.ElementShape, v.Index(i)) + 1
		}
		return n
	case shape.Map:
		n := int64(2)
		for it := v.MapRange(); it.Next(); {
			n += Size(s.KeyShape, it.Key()) + Size(s.ElementShape, it.Value()) + memberOverhead
		}
		return n
	case shape.Structure:
		n := int64(2)
		for i := range s.Members {
			f := v.Field(i)
			if f.IsNil() {
				continue
			}
			if f.Kind() == reflect.Pointer {
				f = f.Elem()
			}
			n += Size(s.Members[i].Shape, f) + memberOverhead
		}
		return n
	}
	return memberOverhead // numbers, booleans and timestamps
}
