package aws

import (
	"reflect"

	"github.com/freshet/freshet/internal/protocol/aws/shape"
)

// refusals is the part of a request's shape that leads to members which the ledger refuses. nil has none, and costs a request nothing.
type refusals struct {
	members []refusedMember
}

type refusedMember struct {
	index  int
	name   string
	reason string    // of a refused member
	below  *refusals // else: what is refused inside it
}

// findRefusals cuts the shape of an operation's input down to what the ledger refuses.
func findRefusals(operation string, input *shape.Shape, ledger Ledger) *refusals {
	if input == nil {
		return nil
	}
	return cut(operation, input, ledger, map[*shape.Shape]*refusals{})
}

func cut(prefix string, s *shape.Shape, ledger Ledger, seen map[*shape.Shape]*refusals) *refusals {
	if r, ok := seen[s]; ok {
		return r
	}
	r := new(refusals)
	seen[s] = r // a shape that contains itself finds this one
	for i := range s.Members {
		m := &s.Members[i]
		fidelity := ledger[prefix+"."+m.Name]
		if fidelity.Level == LevelRefused {
			r.members = append(r.members, refusedMember{index: i, name: m.Name, reason: fidelity.Reason})
			continue
		}
		if inner := structureIn(m.Shape); inner != nil && fidelity.Level == LevelEnforced {
			if below := cut(inner.Name, inner, ledger, seen); below != nil {
				r.members = append(r.members, refusedMember{index: i, name: m.Name, below: below})
			}
		}
	}
	if len(r.members) == 0 {
		seen[s] = nil
		return nil
	}
	return r
}

// structureIn looks through lists and maps.
func structureIn(s *shape.Shape) *shape.Shape {
	for s.Kind == shape.List || s.Kind == shape.Map {
		s = s.ElementShape
	}
	if s.Kind == shape.Structure {
		return s
	}
	return nil
}

// find returns the error for the first refused member that is present in v.
func (r *refusals) find(v reflect.Value, x *exchange) *Error {
	if r == nil {
		return nil
	}
	name, reason := r.present(v)
	if name == "" {
		return nil
	}
	message := name + " is not supported by freshet"
	if reason != "" {
		message += ": " + reason
	}
	e := x.invalid(message+".", name)
	if x.service.Model.Exception("InvalidArgumentException") != nil {
		e.Code = "InvalidArgumentException"
	}
	return e
}

// present returns the path of the first refused member in the structure v, and why it is refused.
func (r *refusals) present(v reflect.Value) (path, reason string) {
	for _, m := range r.members {
		f := v.Field(m.index)
		if f.IsNil() {
			continue
		}
		if m.below == nil {
			if no, ok := f.Interface().(*bool); ok && !*no {
				continue // false asks for nothing
			}
			return m.name, m.reason
		}
		if path, reason := m.below.inside(f); path != "" {
			return m.name + "." + path, reason
		}
	}
	return "", ""
}

// inside looks into pointers, lists and maps.
func (r *refusals) inside(v reflect.Value) (path, reason string) {
	switch v.Kind() {
	case reflect.Pointer:
		return r.inside(v.Elem())
	case reflect.Slice:
		for i := range v.Len() {
			if path, reason := r.inside(v.Index(i)); path != "" {
				return path, reason
			}
		}
		return "", ""
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if path, reason := r.inside(it.Value()); path != "" {
				return path, reason
			}
		}
		return "", ""
	}
	return r.present(v)
}
