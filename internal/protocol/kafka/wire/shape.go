package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// shape is how a request of one version lies in memory and on the wire. With it a body can be walked before it is decoded: kmsg allocates an
// array of as many elements as a client says there are bytes for, which can be a hundred times the memory of the frame.
//
// A shape is found by asking kmsg's encoder: a field is part of a version if setting it changes what is encoded.
type shape struct {
	flexible bool
	fields   []field
}

type field struct {
	kind   fieldKind
	size   int     // of fixed: bytes on the wire; of array: bytes of an element in memory
	fields []field // of an array's element or a nullable struct
	least  int     // of array: the fewest bytes an element has on the wire
	null   bool    // of array: it may be null
}

type fieldKind int8

const (
	fixed fieldKind = iota
	text            // i16 or compact length
	blob            // i32 or compact length
	array           // i32 or compact count
	maybe           // i8, negative for null, then a struct
	tags
)

// shapeOf finds the shape of req's type and version.
func shapeOf(req kmsg.Request) (*shape, error) {
	fresh := kmsg.RequestForKey(req.Key())
	fresh.SetVersion(req.GetVersion())
	p := &prober{req: fresh, flexible: fresh.IsFlexible()}
	fields, err := p.structFields(func(change func(reflect.Value)) int { return p.encode(change) }, reflect.TypeOf(fresh).Elem())
	if err != nil {
		return nil, fmt.Errorf("shape of request %d v%d: %w", req.Key(), req.GetVersion(), err)
	}
	return &shape{p.flexible, fields}, nil
}

// prober encodes variations of a request.
type prober struct {
	req      kmsg.Request
	flexible bool
}

// encoder returns the size of the encoded request in which change was made to one struct somewhere in it.
type encoder func(change func(reflect.Value)) int

// encode changes a default request and returns its size.
func (p *prober) encode(change func(reflect.Value)) int {
	v := reflect.ValueOf(p.req).Elem()
	version := p.req.GetVersion()
	v.SetZero()
	p.req.SetVersion(version)
	setDefaults(v)
	change(v)
	return len(p.req.AppendTo(nil))
}

func setDefaults(v reflect.Value) {
	if d, ok := v.Addr().Interface().(interface{ Default() }); ok {
		d.Default()
	}
}

var errUnknownField = errors.New("a field has a type without known form")

func (p *prober) structFields(encode encoder, t reflect.Type) ([]field, error) {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Name == "Version" && f.Type.Kind() == reflect.Int16 || f.Name == "UnknownTags" {
			continue
		}
		one, found, err := p.field(encode, i, f.Type)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		if found {
			fields = append(fields, one)
		}
	}
	if p.flexible {
		fields = append(fields, field{kind: tags})
	}
	return fields, nil
}

// field finds the form of the i-th field of a struct; found is false if the version does not have it, or has it among the tags.
func (p *prober) field(encode encoder, i int, t reflect.Type) (f field, found bool, err error) {
	// growth is how much larger the request is with the field set than without.
	growth := func(without, with func(reflect.Value)) int {
		return encode(func(s reflect.Value) { with(s.Field(i)) }) - encode(func(s reflect.Value) { without(s.Field(i)) })
	}
	unset := func(v reflect.Value) { v.SetZero() }
	switch {
	case t.Kind() == reflect.String, t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.String:
		return field{kind: text}, growth(unset, setText) == 1, nil
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return field{kind: blob}, growth(unset, func(v reflect.Value) { v.SetBytes([]byte{1}) }) == 1, nil
	case t.Kind() == reflect.Slice:
		return p.array(encode, i, t, growth)
	case t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct:
		present := growth(unset, func(v reflect.Value) { v.Set(newDefault(t.Elem()).Addr()) }) > 0
		if !present {
			return field{}, false, nil
		}
		f.kind = maybe
		f.fields, err = p.structFields(func(change func(reflect.Value)) int {
			return encode(func(s reflect.Value) {
				v := newDefault(t.Elem())
				change(v)
				s.Field(i).Set(v.Addr())
			})
		}, t.Elem())
		return f, true, err
	case t.Kind() == reflect.Struct:
		// Structs are only found among the tags, or their version is another: else changing one would leave the size.
		if p.changes(encode, func(s reflect.Value) { flip(s.Field(i).Field(0)) }) == sameSize {
			return field{}, false, errUnknownField
		}
		return field{}, false, nil
	}
	return p.fixed(encode, i, t)
}

func setText(v reflect.Value) {
	x := "x"
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.ValueOf(&x))
		return
	}
	v.SetString(x)
}

func newDefault(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	if t.Kind() == reflect.Struct {
		setDefaults(v)
	}
	return v
}

// flip gives a number another value than it has.
func flip(v reflect.Value) {
	switch {
	case v.CanInt():
		v.SetInt(v.Int() ^ 1)
	case v.CanUint():
		v.SetUint(v.Uint() ^ 1)
	case v.CanFloat():
		v.SetFloat(v.Float() + 1)
	case v.Kind() == reflect.Bool:
		v.SetBool(!v.Bool())
	case v.Kind() == reflect.Array && v.Len() > 0:
		flip(v.Index(0))
	}
}

// fixed finds the form of a number or an id: it is there if changing it changes bytes but not their number.
func (p *prober) fixed(encode encoder, i int, t reflect.Type) (field, bool, error) {
	size := int(t.Size())
	if k := t.Kind(); k != reflect.Bool && k != reflect.Array && (k < reflect.Int8 || k > reflect.Int64) && (k < reflect.Uint8 || k > reflect.Uint64) && k != reflect.Float64 {
		return field{}, false, errUnknownField
	}
	return field{kind: fixed, size: size}, p.changes(encode, func(s reflect.Value) { flip(s.Field(i)) }) == sameSize, nil
}

// changed says what a change does to the encoded request.
type changed int8

const (
	nothing changed = iota
	sameSize
	otherSize
)

func (p *prober) changes(encode encoder, change func(reflect.Value)) changed {
	encode(func(reflect.Value) {})
	before := p.req.AppendTo(nil)
	encode(change)
	after := p.req.AppendTo(nil)
	switch {
	case len(before) != len(after):
		return otherSize
	case string(before) != string(after):
		return sameSize
	}
	return nothing
}

// array finds the form of a slice. A second element takes as many bytes as the first, unless the array is a tagged field, whose first brings more.
func (p *prober) array(encode encoder, i int, t reflect.Type, growth func(without, with func(reflect.Value)) int) (f field, found bool, err error) {
	elem := t.Elem()
	fill := func(n int) func(reflect.Value) {
		return func(v reflect.Value) {
			s := reflect.MakeSlice(t, 0, n)
			for range n {
				s = reflect.Append(s, newDefault(elem))
			}
			v.Set(s)
		}
	}
	first, second := growth(fill(0), fill(1)), growth(fill(1), fill(2))
	if first == 0 {
		return field{}, false, nil
	}
	if first != second {
		return field{}, false, errUnknownField // a tagged array: its elements would not be counted
	}
	f = field{kind: array, size: int(elem.Size()), least: first}
	f.null = p.changes(encode, func(s reflect.Value) { fill(0)(s.Field(i)) }) == sameSize // nil is encoded otherwise than an empty one
	inner := func(change func(reflect.Value)) int {
		return encode(func(s reflect.Value) {
			fill(1)(s.Field(i))
			change(s.Field(i).Index(0))
		})
	}
	switch elem.Kind() {
	case reflect.Struct:
		f.fields, err = p.structFields(inner, elem)
	case reflect.String:
		f.fields = []field{{kind: text}}
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint32, reflect.Array, reflect.Bool:
		f.fields = []field{{kind: fixed, size: int(elem.Size())}}
	default:
		err = errUnknownField
	}
	return f, true, err
}

// walker reads a body by its shape.
type walker struct {
	rest     []byte
	flexible bool
	memory   int64 // that decoding will take for arrays
}

var (
	errShort = errors.New("request ends within a field")
	errNull  = errors.New("array that must not be null is null")
)

// walk checks that body has the shape and returns how much memory its arrays take when it is decoded. Bytes behind the last field are let be,
// as Apache Kafka and its kin do.
func (s *shape) walk(body []byte) (memory int64, err error) {
	w := walker{rest: body, flexible: s.flexible}
	err = w.fields(s.fields)
	return w.memory, err
}

func (w *walker) fields(fields []field) error {
	for i := range fields {
		if err := w.field(&fields[i]); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) field(f *field) error {
	switch f.kind {
	case fixed:
		return w.skip(f.size)
	case text:
		n, err := w.length(2)
		if err != nil {
			return err
		}
		return w.skip(max(n, 0))
	case blob:
		n, err := w.length(4)
		if err != nil {
			return err
		}
		return w.skip(max(n, 0))
	case maybe:
		if len(w.rest) == 0 {
			return errShort
		}
		null := int8(w.rest[0]) < 0
		w.rest = w.rest[1:]
		if null {
			return nil
		}
		return w.fields(f.fields)
	case tags:
		rest, err := skipTags(w.rest)
		w.rest = rest
		return err
	}
	return w.array(f)
}

func (w *walker) array(f *field) error {
	n, err := w.length(4)
	switch {
	case err != nil || n == 0:
		return err
	case n < 0 && f.null:
		return nil
	case n < 0:
		return errNull
	}
	if n > len(w.rest)/f.least {
		return fmt.Errorf("array of %d elements, %d bytes are left", n, len(w.rest))
	}
	w.memory += int64(n) * int64(f.size)
	for range n {
		if err = w.fields(f.fields); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) skip(n int) error {
	if n > len(w.rest) {
		return errShort
	}
	w.rest = w.rest[n:]
	return nil
}

// length reads a length of width bytes, or a compact one: a uvarint of one more.
func (w *walker) length(width int) (int, error) {
	if w.flexible {
		u, n := binary.Uvarint(w.rest)
		if n <= 0 || u > 1<<31 {
			return 0, errShort
		}
		w.rest = w.rest[n:]
		return int(u) - 1, nil
	}
	if len(w.rest) < width {
		return 0, errShort
	}
	b := w.rest[:width]
	w.rest = w.rest[width:]
	if width == 2 {
		return int(int16(binary.BigEndian.Uint16(b))), nil
	}
	return int(int32(binary.BigEndian.Uint32(b))), nil
}
