package shape_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/protocol/aws/model/firehose"
	"github.com/freshet/freshet/internal/protocol/aws/model/kafka"
	"github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
	"github.com/freshet/freshet/internal/protocol/aws/model/sts"
	"github.com/freshet/freshet/internal/protocol/aws/shape"
)

var models = []*shape.Model{kinesis.Model, firehose.Model, sts.Model, kafka.Model}

// reach visits every shape that the service's operations use.
func reach(m *shape.Model, visit func(*shape.Shape)) {
	seen := map[*shape.Shape]bool{}
	var walk func(s *shape.Shape)
	walk = func(s *shape.Shape) {
		if s == nil || seen[s] {
			return
		}
		seen[s] = true
		visit(s)
		walk(s.KeyShape)
		walk(s.ElementShape)
		for i := range s.Members {
			walk(s.Members[i].Shape)
		}
	}
	for _, op := range m.Operations {
		walk(op.InputShape)
		walk(op.OutputShape)
	}
}

// valueType is the Go type of a value of the shape, as the package documents it.
func valueType(t *testing.T, s *shape.Shape, got reflect.Type) {
	t.Helper()
	kinds := map[shape.Kind]reflect.Kind{
		shape.String: reflect.String, shape.Integer: reflect.Int32, shape.Long: reflect.Int64, shape.Float: reflect.Float32,
		shape.Double: reflect.Float64, shape.Boolean: reflect.Bool, shape.Blob: reflect.Slice, shape.List: reflect.Slice, shape.Map: reflect.Map,
		shape.Structure: reflect.Struct, shape.Timestamp: reflect.Struct,
	}
	if got.Kind() != kinds[s.Kind] || s.Kind == shape.Timestamp && got != reflect.TypeFor[time.Time]() || s.Kind == shape.Structure && got != s.Go {
		t.Errorf("%s of kind %d is a %v", s.Name, s.Kind, got)
	}
}

// The codecs walk table and struct side by side: field i is member i.
func TestStructsMatchTheirTables(t *testing.T) {
	for _, m := range models {
		reach(m, func(s *shape.Shape) {
			if s.Kind != shape.Structure {
				return
			}
			for i := range s.Members {
				member, field := &s.Members[i], s.Go.Field(i)
				if field.Name != shape.ExportedName(member.Name) {
					t.Errorf("%s.%s is the field %s", s.Name, member.Name, field.Name)
				}
				switch field.Type.Kind() {
				case reflect.Pointer:
					valueType(t, member.Shape, field.Type.Elem())
				case reflect.Slice, reflect.Map:
					valueType(t, member.Shape, field.Type)
				default:
					t.Errorf("%s.%s cannot be absent: %v", s.Name, member.Name, field.Type)
				}
			}
		})
	}
}

func TestEveryOperationIsKnown(t *testing.T) {
	for m, want := range map[*shape.Model]int{kinesis.Model: 57, firehose.Model: 12, sts.Model: 11, kafka.Model: 64} {
		if len(m.Operations) != want {
			t.Errorf("%s: %d operations, want %d", m.Info.ID, len(m.Operations), want)
		}
		for _, op := range m.Operations {
			if got := m.Operation(op.Name); got == nil || got.Name != op.Name {
				t.Errorf("%s: %s is not found", m.Info.ID, op.Name)
			}
		}
	}
	if kinesis.Model.Operation("SubscribeToShard").Events.Go != reflect.TypeFor[kinesis.SubscribeToShardEventStream]() {
		t.Error("SubscribeToShard has no event stream")
	}
	if kinesis.Model.Operation("Nope") != nil || sts.Model.Operation("AssumeRole").Described {
		t.Error("more is described than was generated")
	}
}

func TestMembersAreFoundByTheirExactNames(t *testing.T) {
	for _, name := range []string{"PutRecordInput", "StreamDescription"} { // few members, and many
		s := kinesis.Model.Shape(name)
		for want, m := range s.Members {
			if i, ok := s.Member([]byte(m.Name)); !ok || i != want {
				t.Errorf("%s.%s: %d, %v", name, m.Name, i, ok)
			}
		}
		if _, ok := s.Member([]byte("streamname")); ok {
			t.Errorf("%s: streamname was found", name)
		}
	}
}

func TestErrorsHaveTheStatusOfTheModel(t *testing.T) {
	for code, want := range map[string]int{kinesis.ErrInternalFailure: 500, kinesis.ErrResourceNotFound: 400, "KMSOptInRequired": 400} {
		if e := kinesis.Model.Exception(code); e == nil || e.Status != want || e.Fault != (want == 500) {
			t.Errorf("%s: %+v", code, e)
		}
	}
	if e := firehose.Model.Exception(firehose.ErrServiceUnavailable); e == nil || e.Status != 500 {
		t.Errorf("%+v", e)
	}
}
