package shape

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Protocol is a family of encodings, by the names the service models use for it.
type Protocol string

// The protocols that services of the models speak.
const (
	JSON10   Protocol = "json-1.0"
	JSON11   Protocol = "json-1.1"
	Query    Protocol = "query"
	RestJSON Protocol = "rest-json"
	RPCv2    Protocol = "smithy-rpc-v2-cbor"
)

// Info identifies a service to clients: the names under which requests for it arrive.
type Info struct {
	ID            string // serviceId of the model, e.g. Kinesis
	EndpointName  string // host label, e.g. kinesis; also the service's name in ARNs
	SigningName   string // service in the credential scope, e.g. kinesis
	TargetPrefix  string // X-Amz-Target before the dot, e.g. Kinesis_20131202; "" if the service has no targets
	APIVersion    string // e.g. 2013-12-02; the Version of query requests
	XMLNamespace  string // of query answers
	Protocols     []Protocol
	BinaryVariant bool // speaks Kinesis's own CBOR (application/x-amz-cbor-1.1) beside JSON
}

// Operation is one call of a service. Input and Output name structures; "" is a call without input or without output.
type Operation struct {
	Name          string
	Input, Output string
	Method, Path  string // of the HTTP request; POST and / for all but rest protocols. Path has variables, as /v1/tags/{resourceArn}
	Status        int    // of the answer; 0 means 200
	// Described is false for operations of which only the name was generated.
	Described bool

	InputShape, OutputShape *Shape // resolved by NewModel; nil if there is none
	// Events is the output's event stream, nil for ordinary operations.
	Events *Shape
}

// Exception is an error that the model declares.
type Exception struct {
	Code   string // wire name, e.g. ResourceNotFoundException
	Status int    // HTTP status
	Fault  bool   // the server's fault, not the client's
}

// Model is everything generated about one service.
type Model struct {
	Info       Info
	Operations []Operation
	Exceptions []Exception

	shapes     map[string]*Shape
	operations map[string]*Operation
	exceptions map[string]*Exception
}

// NewModel joins generated tables into a model: names become pointers. It panics when a table contradicts itself, which the generator never
// writes and which no input can cause.
func NewModel(info Info, operations []Operation, exceptions []Exception, shapes []Shape) *Model {
	m := &Model{
		Info: info, Operations: operations, Exceptions: exceptions,
		shapes:     make(map[string]*Shape, len(shapes)),
		operations: make(map[string]*Operation, len(operations)),
		exceptions: make(map[string]*Exception, len(exceptions)),
	}
	for i := range shapes {
		m.shapes[shapes[i].Name] = &shapes[i]
	}
	for _, s := range m.shapes {
		m.resolve(s)
	}
	for i := range operations {
		op := &operations[i]
		m.operations[op.Name] = op
		if !op.Described {
			continue
		}
		op.InputShape, op.OutputShape = m.target(op.Name, op.Input), m.target(op.Name, op.Output)
		if op.OutputShape == nil {
			continue
		}
		for _, member := range op.OutputShape.Members {
			if member.Shape.EventStream {
				op.Events = member.Shape
			}
		}
	}
	for i := range exceptions {
		m.exceptions[exceptions[i].Code] = &exceptions[i]
	}
	return m
}

func (m *Model) resolve(s *Shape) {
	s.KeyShape, s.ElementShape = m.target(s.Name, s.Key), m.target(s.Name, s.Element)
	if s.Kind != Structure {
		return
	}
	if s.Go == nil || s.Go.NumField() != len(s.Members) {
		panic(fmt.Sprintf("shape %s.%s: %d members, Go type %v", m.Info.ID, s.Name, len(s.Members), s.Go))
	}
	s.byName = make(map[string]int, len(s.Members))
	for i := range s.Members {
		member := &s.Members[i]
		member.Shape = m.target(s.Name, member.Target)
		member.Path = lowerFirst(member.Name)
		s.byName[member.Name] = i
	}
}

func (m *Model) target(from, name string) *Shape {
	if name == "" {
		return nil
	}
	s := m.shapes[name]
	if s == nil {
		panic(fmt.Sprintf("shape %s.%s: unknown target %s", m.Info.ID, from, name))
	}
	return s
}

// Operation returns the operation with this exact name, or nil.
func (m *Model) Operation(name string) *Operation { return m.operations[name] }

// Exception returns the declared error with this code, or nil.
func (m *Model) Exception(code string) *Exception { return m.exceptions[code] }

// Shape returns the shape with this exact name, or nil.
func (m *Model) Shape(name string) *Shape { return m.shapes[name] }

// Speaks tells whether the model lists the protocol.
func (m *Model) Speaks(p Protocol) bool {
	for _, q := range m.Info.Protocols {
		if p == q {
			return true
		}
	}
	return false
}

// ExportedName is the Go name of a wire name: the models start some members in lower case.
func ExportedName(name string) string {
	r, n := utf8.DecodeRuneInString(name)
	return strings.ToUpper(string(r)) + name[n:]
}

func lowerFirst(name string) string {
	r, n := utf8.DecodeRuneInString(name)
	return string(unicode.ToLower(r)) + name[n:]
}
