package codec

import (
	"reflect"

	"github.com/freshet/freshet/internal/protocol/aws/shape"
)

// SetMember stores a member that a rest request has outside of its body: the variable of a path, or the values of a query parameter in their order.
// A list takes all values as its elements, anything else the last. The error is a *SerializationError.
func SetMember(s *shape.Shape, field reflect.Value, values []string) error {
	if s.Kind != shape.List {
		return setText(s, field, values[len(values)-1])
	}
	field.Set(reflect.MakeSlice(field.Type(), 0, len(values)))
	for _, value := range values {
		if err := setText(s.ElementShape, grow(field), value); err != nil {
			return err
		}
	}
	return nil
}
