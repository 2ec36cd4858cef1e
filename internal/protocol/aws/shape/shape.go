// Package shape describes the requests and answers of an AWS service: what the service's published model says about names, types and
// constraints, as data. The packages under internal/protocol/aws/model are generated tables of it, one per service, next to the Go structs
// which those tables describe; codecs, validation and the fidelity ledger are written once, over the tables.
//
// Model is a whole service, Shape one type, Member one field of a structure. The package refuses to know encodings, transports and meaning.
package shape

import "reflect"

// Kind is the type system of the service models.
type Kind uint8

// The kinds, with the Go type that a member of the kind has. Scalars are pointers, so that absent and zero differ; a nil slice or map is
// absent, an empty one is present.
const (
	String    Kind = iota + 1 // *string, or a pointer to a named string type when the shape enumerates its values
	Integer                   // *int32
	Long                      // *int64
	Float                     // *float32
	Double                    // *float64
	Boolean                   // *bool
	Timestamp                 // *time.Time
	Blob                      // []byte
	List                      // slice of the element: structures and scalars by value
	Map                       // map with string keys, elements by value
	Structure                 // pointer to a generated struct
)

// Range is an inclusive constraint on a length or value. Its zero value constrains nothing.
type Range struct {
	Min, Max       int64
	HasMin, HasMax bool
}

// Between returns the range from low to high, both included.
func Between(low, high int64) Range { return Range{Min: low, Max: high, HasMin: true, HasMax: true} }

// AtLeast returns the range without an upper end.
func AtLeast(low int64) Range { return Range{Min: low, HasMin: true} }

// AtMost returns the range without a lower end.
func AtMost(high int64) Range { return Range{Max: high, HasMax: true} }

// Shape is one named type of a model. Tables are immutable once NewModel has returned.
type Shape struct {
	Name string
	Kind Kind

	// Range bounds the characters of a string, the bytes of a blob, the elements of a list or map, the value of a number.
	Range Range
	// Pattern is a regular expression over the whole string, as the model writes it; "" allows all.
	Pattern string
	// Enum lists the allowed values in the model's order; nil allows all.
	Enum []string
	// ISO8601 timestamps are text in JSON, 2006-01-02T15:04:05.000Z; others are seconds since the epoch.
	ISO8601 bool
	// Sensitive values never appear in logs or messages.
	Sensitive bool
	// EventStream marks a union whose members arrive one by one as frames of application/vnd.amazon.eventstream.
	EventStream bool

	// Key and Element name the shapes of a map's keys and of the elements of a list or map.
	Key, Element string
	// Members are a structure's fields in the model's order, which is the order of the Go struct's fields.
	Members []Member
	// Go is the generated struct of a structure.
	Go reflect.Type

	// KeyShape and ElementShape are Key and Element, resolved by NewModel.
	KeyShape, ElementShape *Shape
	byName                 map[string]int
}

// Member is one field of a structure.
type Member struct {
	Name     string // on the wire, e.g. StreamName
	Target   string // name of the member's shape
	Required bool
	In       Place // of a rest request
	// Path is how validation messages spell the member, e.g. streamName. NewModel fills it in.
	Path string
	// Shape is Target, resolved by NewModel.
	Shape *Shape
}

// Place is where a request of a rest protocol has a member.
type Place uint8

// The places.
const (
	InBody  Place = iota
	InPath        // a variable of Operation.Path
	InQuery       // a parameter of the query; each element of a list is one
)

// Member returns the index of the member with this exact name.
func (s *Shape) Member(name []byte) (int, bool) {
	// A handful of members is found faster by looking at each than by hashing.
	if len(s.Members) <= 8 {
		for i := range s.Members {
			if s.Members[i].Name == string(name) {
				return i, true
			}
		}
		return 0, false
	}
	i, ok := s.byName[string(name)]
	return i, ok
}
