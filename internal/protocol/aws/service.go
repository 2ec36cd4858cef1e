package aws

import (
	"context"
	"fmt"
	"reflect"

	"github.com/freshet/freshet/internal/protocol/aws/shape"
)

// Service is one AWS API as a node serves it.
type Service struct {
	// Model is the generated table of the API.
	Model *shape.Model
	// Operations are those served, in any order. The model's others are refused by name.
	Operations []Operation
	// Refused says of operations that are not served why, as a clause that can follow a colon.
	Refused map[string]string
	// Ledger says what happens to each input member of the served operations.
	Ledger Ledger
	// MaxBodyBytes bounds a request's body, before and after decompression. 0 means DefaultMaxBodyBytes.
	MaxBodyBytes int64
}

// DefaultMaxBodyBytes is the largest request body of a service that names no other.
const DefaultMaxBodyBytes = 16 << 20

// None is the input or output of operations which have none.
type None struct{}

// Operation is a name with its handler; Handle and HandleStream make one.
type Operation struct {
	Name          string
	input, output reflect.Type
	events        reflect.Type // the union of a stream's events, nil for ordinary operations
	newInput      func() any
	// call runs an ordinary handler; its result is a pointer to the output.
	call func(ctx context.Context, call *Call, in any) (any, error)
	// open runs a streaming handler's first step.
	open func(ctx context.Context, call *Call, in any) (func(context.Context, *eventSink) error, error)
}

// Handle binds the operation name to a handler. In and Out must be the model's input and output structs, or None where the model has none;
// New checks it.
func Handle[In, Out any](name string, handler func(ctx context.Context, call *Call, in *In) (*Out, error)) Operation {
	return Operation{
		Name:     name,
		input:    reflect.TypeFor[In](),
		output:   reflect.TypeFor[Out](),
		newInput: func() any { return new(In) },
		call: func(ctx context.Context, call *Call, in any) (any, error) {
			out, err := handler(ctx, call, in.(*In))
			if err != nil {
				return nil, err
			}
			return out, nil
		},
	}
}

// Run writes a stream's events until it is over: nil ends it normally, an *Error becomes its last frame. ctx ends when the client has gone
// or the server stops.
type Run[Union any] func(ctx context.Context, events *EventWriter[Union]) error

// HandleStream binds the operation name to a handler which answers with an event stream. Union must be the model's event stream type.
func HandleStream[In, Union any](name string, handler func(ctx context.Context, call *Call, in *In) (Run[Union], error)) Operation {
	return Operation{
		Name:     name,
		input:    reflect.TypeFor[In](),
		events:   reflect.TypeFor[Union](),
		newInput: func() any { return new(In) },
		open: func(ctx context.Context, call *Call, in any) (func(context.Context, *eventSink) error, error) {
			run, err := handler(ctx, call, in.(*In))
			if err != nil {
				return nil, err
			}
			return func(ctx context.Context, sink *eventSink) error {
				return run(ctx, &EventWriter[Union]{sink: sink})
			}, nil
		},
	}
}

// EventWriter sends the events of one stream. It is not safe for concurrent use.
type EventWriter[Union any] struct{ sink *eventSink }

// Send writes the one member of event that is set as a frame and flushes it to the client. It blocks while the client does not read, and
// returns an error once the client has gone; the caller then returns it. The event is not kept.
func (w *EventWriter[Union]) Send(event *Union) error {
	return w.sink.send(reflect.ValueOf(event).Elem())
}

// check compares an operation's Go types with the model.
func (o *Operation) check(m *shape.Model) error {
	op := m.Operation(o.Name)
	if op == nil || !op.Described {
		return fmt.Errorf("service %s: operation %s is not in its model", m.Info.ID, o.Name)
	}
	if err := sameType(m, o.Name, "input", op.InputShape, o.input); err != nil {
		return err
	}
	if o.events != nil {
		return sameType(m, o.Name, "event stream", op.Events, o.events)
	}
	if op.Events != nil {
		return fmt.Errorf("service %s: operation %s answers with an event stream: use HandleStream", m.Info.ID, o.Name)
	}
	return sameType(m, o.Name, "output", op.OutputShape, o.output)
}

func sameType(m *shape.Model, op, what string, s *shape.Shape, got reflect.Type) error {
	want := reflect.TypeFor[None]()
	if s != nil {
		want = s.Go
	}
	if got != want {
		return fmt.Errorf("service %s: operation %s: its %s is %v, its handler has %v", m.Info.ID, op, what, want, got)
	}
	return nil
}
