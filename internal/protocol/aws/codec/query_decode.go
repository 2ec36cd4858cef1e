package codec

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/protocol/aws/shape"
)

// maxFormFields bounds the fields of one form; requests of the query protocol have tens.
const maxFormFields = 10_000

// DecodeQuery reads a form of the query protocol into the struct v of shape s: structures and lists are spelled out in the names of fields.
//
//	Action=Op&Version=V&Name=x&Filter.Size=3&Tags.member.1.Key=a&Attributes.entry.1.key=b&Attributes.entry.1.value=c
//
// A nil s only checks the syntax.
func DecodeQuery(body []byte, s *shape.Shape, v reflect.Value) error {
	if n := strings.Count(string(body), "&"); n > maxFormFields {
		return fmt.Errorf("%d form fields: %w", n, ErrSyntax)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	if s == nil {
		return nil
	}
	root := &formNode{}
	for name, values := range form {
		if err := root.insert(strings.Split(name, "."), values[0]); err != nil {
			return err
		}
	}
	return root.structure(s, v, 1)
}

// formNode is a form as a tree: the parts of the fields' names are its edges.
type formNode struct {
	value   string
	present bool
	edges   map[string]*formNode
}

func (n *formNode) insert(path []string, value string) error {
	if len(path) > 2*maxDepth {
		return fmt.Errorf("nested deeper than %d: %w", maxDepth, ErrSyntax)
	}
	for _, part := range path {
		next := n.edges[part]
		if next == nil {
			if n.edges == nil {
				n.edges = map[string]*formNode{}
			}
			next = new(formNode)
			n.edges[part] = next
		}
		n = next
	}
	n.value, n.present = value, true
	return nil
}

func (n *formNode) structure(s *shape.Shape, v reflect.Value, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d: %w", maxDepth, ErrSyntax)
	}
	for i := range s.Members {
		if child := n.edges[s.Members[i].Name]; child != nil {
			if err := child.decode(s.Members[i].Shape, v.Field(i), depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (n *formNode) decode(s *shape.Shape, field reflect.Value, depth int) error {
	switch s.Kind {
	case shape.Structure:
		return n.structure(s, target(field), depth)
	case shape.List:
		return n.list(s, field, depth)
	case shape.Map:
		return n.mapping(s, field, depth)
	}
	if !n.present {
		return nil
	}
	return setText(s, field, n.value)
}

// numbered returns the children 1, 2, 3... of n in order, up to the first gap.
func (n *formNode) numbered() []*formNode {
	var children []*formNode
	for i := 1; ; i++ {
		child := n.edges[strconv.Itoa(i)]
		if child == nil {
			return children
		}
		children = append(children, child)
	}
}

// list reads Name.member.1, or Name.1 if the list is flat; Name= alone is an empty list.
func (n *formNode) list(s *shape.Shape, field reflect.Value, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d: %w", maxDepth, ErrSyntax)
	}
	elements := n.numbered()
	if member := n.edges["member"]; member != nil {
		elements = member.numbered()
	}
	field.Set(reflect.MakeSlice(field.Type(), 0, len(elements)))
	for _, e := range elements {
		if err := e.decode(s.ElementShape, grow(field), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (n *formNode) mapping(s *shape.Shape, field reflect.Value, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d: %w", maxDepth, ErrSyntax)
	}
	entries := n.numbered()
	if entry := n.edges["entry"]; entry != nil {
		entries = entry.numbered()
	}
	field.Set(reflect.MakeMapWithSize(field.Type(), len(entries)))
	for _, e := range entries {
		key, value := e.edges["key"], e.edges["value"]
		if key == nil || value == nil {
			return &SerializationError{"Expected key and value of a map entry"}
		}
		v := reflect.New(field.Type().Elem()).Elem()
		if err := value.decode(s.ElementShape, v, depth+1); err != nil {
			return err
		}
		field.SetMapIndex(reflect.ValueOf(valid(key.value)), v)
	}
	return nil
}

// setText stores a value that arrived as text.
func setText(s *shape.Shape, field reflect.Value, text string) error {
	wrong := func() error {
		return &SerializationError{quoteValue(text) + " can not be converted to " + javaName(s.Kind)}
	}
	switch s.Kind {
	case shape.String:
		if field.Kind() == reflect.Pointer {
			field.Set(reflect.New(field.Type().Elem()))
			field = field.Elem()
		}
		field.SetString(valid(text))
	case shape.Integer, shape.Long, shape.Float, shape.Double:
		if _, err := strconv.ParseFloat(text, 64); err != nil {
			return wrong()
		}
		setNumber(s, target(field), text)
	case shape.Boolean:
		return setBooleanText(target(field), text)
	case shape.Blob:
		blob, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return base64Fault(text)
		}
		field.SetBytes(blob)
	case shape.Timestamp:
		t, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return wrong()
		}
		target(field).Set(reflect.ValueOf(t.UTC()))
	}
	return nil
}
