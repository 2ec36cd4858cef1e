package codec

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unsafe"

	"github.com/segmentio/encoding/json"

	"github.com/freshet/freshet/internal/protocol/aws/shape"
)

// ErrSyntax is in the chain of errors about bytes that are not of the encoding at all, as opposed to values of a wrong type.
var ErrSyntax = errors.New("malformed request body")

// DecodeJSON reads one AWS JSON structure of shape s into the struct v. v then refers to body, which must not be changed any more. A nil s
// checks only that body is one JSON object.
func DecodeJSON(body []byte, s *shape.Shape, v reflect.Value) error {
	d := jsonDecoder{}
	d.tokens.Reset(body)
	if !d.tokens.Next() || d.tokens.Delim != '{' {
		return fmt.Errorf("not a JSON object: %w", ErrSyntax)
	}
	if err := d.structure(s, v, 1); err != nil {
		// A wrong type may be followed by bytes that are no JSON; those are the graver fault.
		if !errors.Is(err, ErrSyntax) {
			if syntax := DecodeJSON(body, nil, reflect.Value{}); s != nil && syntax != nil {
				return syntax
			}
		}
		return err
	}
	if d.tokens.Next() || d.tokens.Err != nil {
		return fmt.Errorf("bytes after the JSON object: %w", ErrSyntax)
	}
	return nil
}

// jsonDecoder walks tokens and shapes together. Each method is entered with its value's first token current and leaves on its last.
type jsonDecoder struct {
	tokens json.Tokenizer
	slab   slab
}

// next advances to a token; the input may not end here.
func (d *jsonDecoder) next() error {
	if d.tokens.Next() {
		return nil
	}
	if d.tokens.Err != nil {
		return fmt.Errorf("%w: %w", ErrSyntax, d.tokens.Err)
	}
	return fmt.Errorf("unexpected end: %w", ErrSyntax)
}

func (d *jsonDecoder) unexpected() error {
	return fmt.Errorf("unexpected %q: %w", d.tokens.Value, ErrSyntax)
}

// structure reads the members of s into v; a nil s skips an object.
func (d *jsonDecoder) structure(s *shape.Shape, v reflect.Value, depth int) error {
	return d.object(depth, func(key []byte) error {
		if s != nil {
			if i, ok := s.Member(key); ok {
				return d.value(s.Members[i].Shape, v.Field(i), depth+1)
			}
		}
		return d.skip(depth + 1)
	})
}

// object calls entry for each key, with the entry's value current.
func (d *jsonDecoder) object(depth int, entry func(key []byte) error) error {
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d: %w", maxDepth, ErrSyntax)
	}
	if err := d.next(); err != nil {
		return err
	}
	for first := true; d.tokens.Delim != '}'; first = false {
		if !first {
			if d.tokens.Delim != ',' {
				return d.unexpected()
			}
			if err := d.next(); err != nil {
				return err
			}
		}
		if d.tokens.Delim != 0 || !d.tokens.Value.String() {
			return d.unexpected()
		}
		key := d.tokens.String()
		if err := d.next(); err != nil {
			return err
		}
		if d.tokens.Delim != ':' {
			return d.unexpected()
		}
		if err := d.next(); err != nil {
			return err
		}
		if err := entry(key); err != nil {
			return err
		}
		if err := d.next(); err != nil {
			return err
		}
	}
	return nil
}

// array calls element with each element current.
func (d *jsonDecoder) array(depth int, element func() error) error {
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d: %w", maxDepth, ErrSyntax)
	}
	if err := d.next(); err != nil {
		return err
	}
	for first := true; d.tokens.Delim != ']'; first = false {
		if !first {
			if d.tokens.Delim != ',' {
				return d.unexpected()
			}
			if err := d.next(); err != nil {
				return err
			}
		}
		if err := element(); err != nil {
			return err
		}
		if err := d.next(); err != nil {
			return err
		}
	}
	return nil
}

func (d *jsonDecoder) skip(depth int) error {
	switch d.tokens.Delim {
	case '{':
		return d.object(depth, func([]byte) error { return d.skip(depth + 1) })
	case '[':
		return d.array(depth, func() error { return d.skip(depth + 1) })
	case 0:
		return nil
	}
	return d.unexpected()
}

// found classifies the current token.
func (d *jsonDecoder) found() (token, error) {
	switch d.tokens.Delim {
	case '{':
		return tokenMap, nil
	case '[':
		return tokenList, nil
	case 0:
	default:
		return 0, d.unexpected()
	}
	switch value := d.tokens.Value; {
	case value.Null():
		return tokenNull, nil
	case value.String():
		return tokenText, nil
	case value.Number():
		return tokenNumber, nil
	}
	return tokenBool, nil
}

// value reads the current value into field, which stays absent when the value is null.
func (d *jsonDecoder) value(s *shape.Shape, field reflect.Value, depth int) error {
	t, err := d.found()
	if err != nil || t == tokenNull {
		return err
	}
	switch {
	case t == tokenText && s.Kind == shape.String:
		d.slab.setString(field, d.text())
		return nil
	case t == tokenText && s.Kind == shape.Blob:
		blob, err := d.slab.base64(d.text())
		field.SetBytes(blob)
		return err
	case t == tokenText && s.Kind == shape.Boolean:
		return setBooleanText(target(field), d.text())
	case t == tokenText && s.Kind == shape.Timestamp && s.ISO8601:
		return setText(s, field, d.text())
	case t == tokenNumber && s.Kind == shape.Timestamp:
		target(field).Set(reflect.ValueOf(parseSeconds(string(d.tokens.Value))))
		return nil
	case t == tokenNumber && shape.Integer <= s.Kind && s.Kind <= shape.Double:
		setNumber(s, target(field), string(d.tokens.Value))
		return nil
	case t == tokenBool && s.Kind == shape.Boolean:
		target(field).SetBool(d.tokens.Value.True())
		return nil
	case t == tokenMap && s.Kind == shape.Structure:
		return d.structure(s, target(field), depth)
	case t == tokenMap && s.Kind == shape.Map:
		return d.mapping(s, field, depth)
	case t == tokenList && s.Kind == shape.List:
		field.Set(reflect.MakeSlice(field.Type(), 0, 0))
		return d.array(depth, func() error { return d.value(s.ElementShape, grow(field), depth+1) })
	}
	return mismatch(t, s)
}

// mapping reads the entries of s; one whose value is null is absent, like a member.
func (d *jsonDecoder) mapping(s *shape.Shape, field reflect.Value, depth int) error {
	field.Set(reflect.MakeMap(field.Type()))
	element := field.Type().Elem()
	return d.object(depth, func(key []byte) error {
		if t, err := d.found(); err != nil || t == tokenNull {
			return err
		}
		v := reflect.New(element).Elem()
		if err := d.value(s.ElementShape, v, depth+1); err != nil {
			return err
		}
		field.SetMapIndex(reflect.ValueOf(valid(string(key))), v)
		return nil
	})
}

// text returns the current string without copying it: the tokenizer's bytes are those of the body, or its own fresh ones if it had to
// unescape, and nobody changes either any more.
func (d *jsonDecoder) text() string {
	b := d.tokens.String()
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// setBooleanText accepts the spellings of truth that AWS accepts in a string.
func setBooleanText(field reflect.Value, text string) error {
	switch upper := strings.ToUpper(text); upper {
	case "TRUE", "1", "YES":
		field.SetBool(true)
	case "FALSE", "0", "NO":
		field.SetBool(false)
	default:
		return &SerializationError{quoteValue(upper) + " can not be converted to an Boolean"}
	}
	return nil
}

// maxQuoted bounds how much of a wrong value an error repeats.
const maxQuoted = 1024

func quoteValue(text string) string {
	if len(text) > maxQuoted {
		text = strings.ToValidUTF8(text[:maxQuoted], "") + "..."
	}
	return "'" + text + "'"
}
