package constraint

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/freshet/freshet/internal/protocol/aws/shape"
)

// maxFaults is how many faults one message lists; AWS stops there too.
const maxFaults = 10

// Check returns the message about all constraints that the struct v of shape s violates, and the path of the first member that does, "" when there
// are none. javaPackage is how values that are structures print, e.g. com.amazonaws.kinesis.v20131202.
func Check(s *shape.Shape, v reflect.Value, javaPackage string) (message, member string) {
	c := checkers.Get().(*checker)
	defer c.release()
	c.javaPackage = javaPackage
	c.structure(s, v)
	if len(c.faults) == 0 {
		return "", ""
	}
	plural := "s"
	if len(c.faults) == 1 {
		plural = ""
	}
	return fmt.Sprintf("%d validation error%s detected: %s", len(c.faults), plural, strings.Join(c.faults, "; ")), c.first
}

// checker walks one request. path is the way from the root to the value at hand, and is only turned into text for a fault.
type checker struct {
	javaPackage string
	path        []step
	faults      []string
	first       string // where the first fault is
	rendered    int    // bytes of values in faults
}

var checkers = sync.Pool{New: func() any { return new(checker) }}

func (c *checker) release() {
	clear(c.path[:cap(c.path)]) // the keys in it belong to the request
	c.path, c.faults, c.first, c.rendered = c.path[:0], nil, "", 0
	checkers.Put(c)
}

// step is a member's name, or the index or key of an element.
type step struct {
	member string
	index  int // 1-based; 0 for members and keys
	key    string
}

func (c *checker) push(s step) { c.path = append(c.path, s) }

func (c *checker) pop() { c.path = c.path[:len(c.path)-1] }

func (c *checker) where() string {
	var b strings.Builder
	for i, s := range c.path {
		if i > 0 {
			b.WriteByte('.')
		}
		switch {
		case s.member != "":
			b.WriteString(s.member)
		case s.index > 0:
			b.WriteString(strconv.Itoa(s.index) + ".member")
		default:
			b.WriteString(s.key + ".member")
		}
	}
	return b.String()
}

func (c *checker) fault(value, rule string) {
	if c.first == "" {
		c.first = c.where()
	}
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, "Value "+value+" at '"+c.where()+"' failed to satisfy constraint: "+rule)
	}
}

func (c *checker) structure(s *shape.Shape, v reflect.Value) {
	for i := range s.Members {
		m := &s.Members[i]
		f := v.Field(i)
		if f.IsNil() {
			if m.Required {
				c.push(step{member: m.Path})
				c.fault("null", "Member must not be null")
				c.pop()
			}
			continue
		}
		if f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		c.push(step{member: m.Path})
		c.value(m.Shape, f)
		c.pop()
	}
}

// value checks v itself and then what is in it: of a list that is too long, the length is what the first fault says.
func (c *checker) value(s *shape.Shape, v reflect.Value) {
	if s.Kind == shape.Structure {
		c.structure(s, v)
		return
	}
	if !satisfied(s, v) {
		for _, rule := range violated(s, v) {
			c.fault("'"+c.render(s, v)+"'", rule)
		}
	}
	if s.Kind == shape.List || s.Kind == shape.Map {
		c.elements(s, v)
	}
}

// elements checks what a list or map holds. Structures have paths of their own; the rules of other elements are told of the whole.
func (c *checker) elements(s *shape.Shape, v reflect.Value) {
	nested := s.ElementShape.Kind == shape.Structure || s.ElementShape.Kind == shape.List || s.ElementShape.Kind == shape.Map
	if s.Kind == shape.List {
		allowed := true
		for i := range v.Len() {
			if nested {
				c.push(step{index: i + 1})
				c.value(s.ElementShape, v.Index(i))
				c.pop()
			} else if !satisfied(s.ElementShape, v.Index(i)) {
				allowed = false
			}
		}
		if !allowed {
			c.fault("'"+c.render(s, v)+"'", "Member must satisfy constraint: ["+strings.Join(allRules(s.ElementShape), ", ")+"]")
		}
		return
	}
	if !constrained(s.KeyShape) && !constrained(s.ElementShape) && !nested {
		return
	}
	keysAllowed, valuesAllowed := true, true
	for it := v.MapRange(); it.Next(); {
		keysAllowed = keysAllowed && satisfied(s.KeyShape, it.Key())
		if !nested {
			valuesAllowed = valuesAllowed && satisfied(s.ElementShape, it.Value())
		}
	}
	if !keysAllowed {
		c.fault("'"+c.render(s, v)+"'", "Map keys must satisfy constraint: ["+strings.Join(allRules(s.KeyShape), ", ")+"]")
	}
	if !valuesAllowed {
		c.fault("'"+c.render(s, v)+"'", "Map value must satisfy constraint: ["+strings.Join(allRules(s.ElementShape), ", ")+"]")
	}
	if nested {
		for _, key := range sortedKeys(v) {
			c.push(step{key: key})
			c.value(s.ElementShape, v.MapIndex(reflect.ValueOf(key)))
			c.pop()
		}
	}
}

func sortedKeys(v reflect.Value) []string {
	keys := make([]string, 0, v.Len())
	for it := v.MapRange(); it.Next(); {
		keys = append(keys, it.Key().String())
	}
	slices.Sort(keys)
	return keys
}

func constrained(s *shape.Shape) bool {
	return s.Range.HasMin || s.Range.HasMax || s.Pattern != "" || len(s.Enum) > 0
}

// satisfied tells whether v, of a kind that is no structure, meets the rules of s.
func satisfied(s *shape.Shape, v reflect.Value) bool {
	if s.Range.HasMin || s.Range.HasMax {
		if n := measure(s, v); s.Range.HasMin && n < s.Range.Min || s.Range.HasMax && n > s.Range.Max {
			return false
		}
	}
	if s.Pattern != "" && !patternOf(s.Pattern).matches(v.String()) {
		return false
	}
	return len(s.Enum) == 0 || slices.Contains(s.Enum, v.String())
}

// measure is what a range bounds: the value of a number, the length of everything else, of strings in UTF-16 units as Java counts them.
func measure(s *shape.Shape, v reflect.Value) int64 {
	switch s.Kind {
	case shape.Integer, shape.Long:
		return v.Int()
	case shape.Float, shape.Double:
		// Fractions just beyond a bound are beyond it.
		f := v.Float()
		if n := int64(f); f != float64(n) && s.Range.HasMax && n >= s.Range.Max {
			return s.Range.Max + 1
		} else if f < 0 && f != float64(n) {
			return n - 1
		} else {
			return n
		}
	case shape.String:
		return int64(length(v.String()))
	}
	return int64(v.Len())
}

func length(s string) int {
	n := 0
	for _, r := range s {
		if r == utf8.RuneError {
			n++
			continue
		}
		n += utf16.RuneLen(r)
	}
	return n
}
