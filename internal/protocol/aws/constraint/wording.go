package constraint

import (
	"fmt"
	"hash/fnv"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/protocol/aws/shape"
)

// violated returns the wording of each rule of s that v breaks: pattern, lower bound, upper bound, enumeration.
func violated(s *shape.Shape, v reflect.Value) []string {
	var rules []string
	if s.Pattern != "" && !patternOf(s.Pattern).matches(v.String()) {
		rules = append(rules, patternRule(s))
	}
	if s.Range.HasMin && measure(s, v) < s.Range.Min {
		rules = append(rules, boundRule(s, "greater", s.Range.Min))
	}
	if s.Range.HasMax && measure(s, v) > s.Range.Max {
		rules = append(rules, boundRule(s, "less", s.Range.Max))
	}
	only := shape.Shape{Enum: s.Enum}
	if !satisfied(&only, v) {
		rules = append(rules, enumRule(s))
	}
	return rules
}

// allRules lists every rule of s, in the order in which AWS lists the rules of elements.
func allRules(s *shape.Shape) []string {
	var rules []string
	if s.Range.HasMax {
		rules = append(rules, boundRule(s, "less", s.Range.Max))
	}
	if s.Range.HasMin {
		rules = append(rules, boundRule(s, "greater", s.Range.Min))
	}
	if s.Pattern != "" {
		rules = append(rules, patternRule(s))
	}
	if len(s.Enum) > 0 {
		rules = append(rules, enumRule(s))
	}
	return rules
}

func patternRule(s *shape.Shape) string {
	return "Member must satisfy regular expression pattern: " + s.Pattern
}

func enumRule(s *shape.Shape) string {
	return "Member must satisfy enum value set: [" + strings.Join(s.Enum, ", ") + "]"
}

func boundRule(s *shape.Shape, direction string, bound int64) string {
	what := "length"
	if shape.Integer <= s.Kind && s.Kind <= shape.Double {
		what = "value"
	}
	return fmt.Sprintf("Member must have %s %s than or equal to %d", what, direction, bound)
}

// maxRendered bounds the text of all values inside one message: requests are megabytes, messages are for people. The 501 records of a PutRecords,
// which AWS shows whole, are half of it.
const maxRendered = 64 << 10

// render prints a value as Java's toString does, which is what AWS shows, as far as there is room.
func (c *checker) render(s *shape.Shape, v reflect.Value) string {
	if s.Sensitive {
		return "***"
	}
	text, room := "...", maxRendered-c.rendered
	if room > 0 {
		if text = c.text(s, v); len(text) > room {
			text = strings.ToValidUTF8(text[:room], "") + "..."
		}
	}
	c.rendered += len(text)
	return text
}

func (c *checker) text(s *shape.Shape, v reflect.Value) string {
	switch s.Kind {
	case shape.Integer, shape.Long:
		return strconv.FormatInt(v.Int(), 10)
	case shape.Float, shape.Double:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case shape.Boolean:
		return strconv.FormatBool(v.Bool())
	case shape.Timestamp:
		return v.Interface().(time.Time).Format("Mon Jan 02 15:04:05 MST 2006")
	case shape.Blob:
		return fmt.Sprintf("java.nio.HeapByteBuffer[pos=0 lim=%d cap=%d]", v.Len(), v.Len())
	case shape.Structure:
		return c.object(s)
	case shape.List:
		var b strings.Builder
		for i := 0; i < v.Len() && b.Len() <= maxRendered; i++ {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(c.text(s.ElementShape, v.Index(i)))
		}
		return "[" + b.String() + "]"
	case shape.Map:
		var b strings.Builder
		for i, key := range sortedKeys(v) {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(key + "=" + c.text(s.ElementShape, v.MapIndex(reflect.ValueOf(key))))
			if b.Len() > maxRendered {
				break
			}
		}
		return "{" + b.String() + "}"
	}
	return v.String()
}

// object prints a structure as Java's Object.toString: class@hash, the hash being arbitrary but steady.
func (c *checker) object(s *shape.Shape) string {
	h := fnv.New32a()
	h.Write([]byte(s.Name))
	return fmt.Sprintf("%s.%s@%x", c.javaPackage, s.Name, h.Sum32())
}
