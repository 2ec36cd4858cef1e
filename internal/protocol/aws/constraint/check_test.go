package constraint

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/freshet/freshet/internal/protocol/aws/model/firehose"
	"github.com/freshet/freshet/internal/protocol/aws/model/kafka"
	"github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
	"github.com/freshet/freshet/internal/protocol/aws/model/sts"
	"github.com/freshet/freshet/internal/protocol/aws/shape"
)

func check(m *shape.Model, v any) string {
	p := reflect.ValueOf(v).Elem()
	message, _ := Check(m.Shape(p.Type().Name()), p, "com.amazonaws.kinesis.v20131202")
	return message
}

func TestCheckWordsFaultsAsAWSDoes(t *testing.T) {
	valid := kinesis.PutRecordsRequestEntry{Data: []byte("x"), PartitionKey: new("k")}
	for name, c := range map[string]struct {
		in   any
		want string
	}{
		"nothing wrong": {&kinesis.CreateStreamInput{StreamName: new("s"), ShardCount: new(int32(1)), Tags: map[string]string{"k": ""}}, ""},
		"absent":        {&kinesis.CreateStreamInput{}, "1 validation error detected: Value null at 'streamName' failed to satisfy constraint: Member must not be null"},
		"empty": {
			&kinesis.CreateStreamInput{StreamName: new("")},
			"2 validation errors detected: Value '' at 'streamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; " +
				"Value '' at 'streamName' failed to satisfy constraint: Member must have length greater than or equal to 1",
		},
		"long and low": {
			&kinesis.CreateStreamInput{StreamName: new(strings.Repeat("a", 129)), ShardCount: new(int32(0))},
			"2 validation errors detected: Value '" + strings.Repeat("a", 129) + "' at 'streamName' failed to satisfy constraint: " +
				"Member must have length less than or equal to 128; " +
				"Value '0' at 'shardCount' failed to satisfy constraint: Member must have value greater than or equal to 1",
		},
		"nested enumeration": {
			&kinesis.CreateStreamInput{StreamName: new("s"), StreamModeDetails: &kinesis.StreamModeDetails{StreamMode: new(kinesis.StreamMode("x"))}},
			"1 validation error detected: Value 'x' at 'streamModeDetails.streamMode' failed to satisfy constraint: " +
				"Member must satisfy enum value set: [PROVISIONED, ON_DEMAND]",
		},
		"empty list": {
			&kinesis.PutRecordsInput{StreamName: new("s"), Records: []kinesis.PutRecordsRequestEntry{}},
			"1 validation error detected: Value '[]' at 'records' failed to satisfy constraint: Member must have length greater than or equal to 1",
		},
		"second element": {
			&kinesis.PutRecordsInput{Records: []kinesis.PutRecordsRequestEntry{valid, {PartitionKey: new("")}}},
			"2 validation errors detected: Value null at 'records.2.member.data' failed to satisfy constraint: Member must not be null; " +
				"Value '' at 'records.2.member.partitionKey' failed to satisfy constraint: Member must have length greater than or equal to 1",
		},
		"blob": {
			&kinesis.PutRecordInput{PartitionKey: new("k"), Data: make([]byte, 10485761)},
			"1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=10485761 cap=10485761]' at 'data' failed to satisfy constraint: " +
				"Member must have length less than or equal to 10485760",
		},
		"map keys and values": {
			&kinesis.AddTagsToStreamInput{StreamName: new("s"), Tags: map[string]string{"": "a", "b": strings.Repeat("v", 257)}},
			"2 validation errors detected: Value '{=a, b=" + strings.Repeat("v", 257) + "}' at 'tags' failed to satisfy constraint: Map keys must satisfy constraint: " +
				"[Member must have length less than or equal to 128, Member must have length greater than or equal to 1]; " +
				"Value '{=a, b=" + strings.Repeat("v", 257) + "}' at 'tags' failed to satisfy constraint: Map value must satisfy constraint: " +
				"[Member must have length less than or equal to 256, Member must have length greater than or equal to 0]",
		},
		"list of scalars": {
			&kinesis.RemoveTagsFromStreamInput{StreamName: new("s"), TagKeys: []string{"a", ""}},
			"1 validation error detected: Value '[a, ]' at 'tagKeys' failed to satisfy constraint: Member must satisfy constraint: " +
				"[Member must have length less than or equal to 128, Member must have length greater than or equal to 1]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := check(kinesis.Model, c.in); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestCheckListsAtMostTenFaults(t *testing.T) {
	in := &kinesis.PutRecordsInput{Records: make([]kinesis.PutRecordsRequestEntry, 501)}
	got := check(kinesis.Model, in)
	if !strings.HasPrefix(got, "10 validation errors detected: ") || strings.Count(got, "; ") != 9 {
		t.Errorf("got %s", got)
	}
	// The list's own fault is the first, and shows the list whole.
	for i := range in.Records {
		in.Records[i] = kinesis.PutRecordsRequestEntry{Data: []byte{}, PartitionKey: new("")}
	}
	in.StreamName = new("s")
	got = check(kinesis.Model, in)
	list, elements, _ := strings.Cut(got, "; ")
	want := "10 validation errors detected: Value '[com.amazonaws.kinesis.v20131202.PutRecordsRequestEntry@"
	if !strings.HasPrefix(list, want) || strings.Count(list, "PutRecordsRequestEntry@") != 501 || strings.Contains(list, "...") ||
		!strings.HasSuffix(list, "]' at 'records' failed to satisfy constraint: Member must have length less than or equal to 500") {
		t.Errorf("got %d bytes: %.200s", len(list), list)
	}
	for i := 1; i <= 9; i++ {
		rule := fmt.Sprintf("Value '' at 'records.%d.member.partitionKey' failed to satisfy constraint: Member must have length greater than or equal to 1", i)
		if !strings.Contains(elements, rule) {
			t.Errorf("record %d is not told of: %s", i, elements)
		}
	}
}

func TestValuesInAMessageAreBounded(t *testing.T) {
	in := &kinesis.PutRecordsInput{StreamName: new("s"), Records: make([]kinesis.PutRecordsRequestEntry, 400_000)}
	for i := range in.Records {
		in.Records[i] = kinesis.PutRecordsRequestEntry{Data: []byte{}, PartitionKey: new("k")}
	}
	for i := range 20 {
		in.Records[i].PartitionKey = new(strings.Repeat("é", 1<<20))
	}
	for _, records := range [][]kinesis.PutRecordsRequestEntry{in.Records, in.Records[:20]} {
		got := check(kinesis.Model, &kinesis.PutRecordsInput{StreamName: new("s"), Records: records})
		if n := len(got); n < maxRendered || n > maxRendered+10*200 || strings.Count(got, "...") != 10 || !utf8.ValidString(got) {
			t.Errorf("%d records: %d bytes: %.200s", len(records), n, got)
		}
	}
}

func TestCheckCountsCharactersAsJavaDoes(t *testing.T) {
	in := &kinesis.PutRecordInput{Data: []byte{}, PartitionKey: new(strings.Repeat("😀", 128))}
	if got := check(kinesis.Model, in); got != "" {
		t.Errorf("256 UTF-16 units: %s", got)
	}
	in.PartitionKey = new(strings.Repeat("😀", 129))
	if got := check(kinesis.Model, in); !strings.Contains(got, "less than or equal to 256") {
		t.Errorf("258 UTF-16 units: %q", got)
	}
}

func TestEveryPatternCompiles(t *testing.T) {
	for _, m := range []*shape.Model{kinesis.Model, firehose.Model, sts.Model, kafka.Model} {
		for _, op := range m.Operations {
			for _, root := range []*shape.Shape{op.InputShape, op.OutputShape} {
				walk(root, map[*shape.Shape]bool{}, func(s *shape.Shape) {
					if s.Pattern == "" {
						return
					}
					if _, err := compile(s.Pattern); err != nil {
						t.Errorf("%s: %s: %v", m.Info.ID, s.Name, err)
					}
				})
			}
		}
	}
}

func walk(s *shape.Shape, seen map[*shape.Shape]bool, visit func(*shape.Shape)) {
	if s == nil || seen[s] {
		return
	}
	seen[s] = true
	visit(s)
	walk(s.KeyShape, seen, visit)
	walk(s.ElementShape, seen, visit)
	for i := range s.Members {
		walk(s.Members[i].Shape, seen, visit)
	}
}

func TestPatternsAcceptWholeValues(t *testing.T) {
	for _, c := range []struct {
		pattern, value string
		want           bool
	}{
		{`[a-zA-Z0-9_.-]+`, "a-b_c.9", true},
		{`[a-zA-Z0-9_.-]+`, "a b", false},
		{`[a-zA-Z0-9_.-]+`, "", false},
		{`[a-zA-Z0-9_.-]+`, "ä", false},
		{`[^:*]*`, "é", true},
		{`[^:*]*`, "", true},
		{`[^:*]*`, "a:b", false},
		{`^(0|([1-9]\d{0,38}))$`, "0", true},
		{`^(0|([1-9]\d{0,38}))$`, "01", false},
		{`^(?!\s*$).+`, "x", true},
		{`^(?!\s*$).+`, "  ", false},
		{`^(?!\s*$).+`, "", false},
		{`^(?!aws:)[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$`, "team:a", true},
		{`^(?!aws:)[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$`, "aws:x", false},
		{`[\u0001-\uFFFF]*`, "aé", true},
		{`[\u0001-\uFFFF]*`, "\x00", false},
		{`arn:aws.*:kinesis:.*:\d{12}:stream/\S+`, "arn:aws:kinesis:us-east-1:000000000000:stream/s", true},
		{`arn:aws.*:kinesis:.*:\d{12}:stream/\S+`, "arn:aws:kinesis:us-east-1:000000000000:stream/s x", false},
	} {
		if got := patternOf(c.pattern).matches(c.value); got != c.want {
			t.Errorf("%s on %q: %v", c.pattern, c.value, got)
		}
	}
}

// A call that finds the pool of paths empty, as after a collection and often under the race
// detector, makes a path and grows it: a handful of allocations, however many the records.
func TestSatisfiedRecordsCostNoAllocation(t *testing.T) {
	in := &kinesis.PutRecordsInput{StreamName: new("bench"), Records: make([]kinesis.PutRecordsRequestEntry, 500)}
	for i := range in.Records {
		in.Records[i] = kinesis.PutRecordsRequestEntry{Data: make([]byte, 100), PartitionKey: new("key-123")}
	}
	s, v := kinesis.Model.Shape("PutRecordsInput"), reflect.ValueOf(in).Elem()
	if n := testing.AllocsPerRun(10, func() { Check(s, v, "p") }); n > 10 {
		t.Errorf("%v allocations for 500 records", n)
	}
}

func BenchmarkCheckPutRecords(b *testing.B) {
	in := &kinesis.PutRecordsInput{StreamName: new("bench"), Records: make([]kinesis.PutRecordsRequestEntry, 500)}
	for i := range in.Records {
		in.Records[i] = kinesis.PutRecordsRequestEntry{Data: make([]byte, 100), PartitionKey: new("key-123")}
	}
	s, v := kinesis.Model.Shape("PutRecordsInput"), reflect.ValueOf(in).Elem()
	b.ReportAllocs()
	for b.Loop() {
		Check(s, v, "p")
	}
}
