package codec

import (
	"encoding/base64"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/protocol/aws/model/firehose"
	"github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
	"github.com/freshet/freshet/internal/protocol/aws/shape"
)

func decodeJSON[T any](t testing.TB, shapeName, body string) (*T, error) {
	t.Helper()
	v := new(T)
	err := DecodeJSON([]byte(body), kinesis.Model.Shape(shapeName), reflect.ValueOf(v).Elem())
	return v, err
}

func TestDecodeJSONReadsEveryKind(t *testing.T) {
	in, err := decodeJSON[kinesis.PutRecordsInput](t, "PutRecordsInput", ` {"StreamName":"caf\u00e9 \ud83d\ude00\n","StreamARN":null,"Unknown":{"a":[1,{"b":null}]},
		"DryRun":true,"Records":[{"Data":"aGVsbG8=","PartitionKey":"k"},{"Data":"","ExplicitHashKey":"1","PartitionKey":"k2","x":[]}]} `)
	if err != nil {
		t.Fatal(err)
	}
	want := &kinesis.PutRecordsInput{
		StreamName: new("café 😀\n"), DryRun: new(true),
		Records: []kinesis.PutRecordsRequestEntry{
			{Data: []byte("hello"), PartitionKey: new("k")},
			{Data: []byte{}, ExplicitHashKey: new("1"), PartitionKey: new("k2")},
		},
	}
	if !reflect.DeepEqual(in, want) {
		t.Errorf("got %+v, want %+v", in, want)
	}
}

// A tag that is null would otherwise be stored as one without a value.
func TestDecodeDropsMapEntriesThatAreNull(t *testing.T) {
	want := map[string]string{"b": ""}
	in, err := decodeJSON[kinesis.CreateStreamInput](t, "CreateStreamInput", `{"Tags":{"a":null,"b":"","c":null}}`)
	if err != nil || !reflect.DeepEqual(in.Tags, want) {
		t.Errorf("JSON: %v, %v", in.Tags, err)
	}
	in, err = decodeCBOR[kinesis.CreateStreamInput](Milliseconds, "CreateStreamInput", []byte("\xa1\x64Tags\xbf\x61a\xf6\x61b\x60\x61c\xf7\xff"))
	if err != nil || !reflect.DeepEqual(in.Tags, want) {
		t.Errorf("CBOR: %v, %v", in.Tags, err)
	}
}

func TestDecodeReplacesWhatIsNoUTF8(t *testing.T) {
	in, err := decodeJSON[kinesis.PutRecordInput](t, "PutRecordInput", "{\"PartitionKey\":\"a\xff\xfeb\"}")
	if err != nil || *in.PartitionKey != "a\ufffd\ufffdb" {
		t.Errorf("JSON: %+v, %v", in, err)
	}
	in, err = decodeCBOR[kinesis.PutRecordInput](Milliseconds, "PutRecordInput", []byte("\xa1\x6cPartitionKey\x62a\xff"))
	if err != nil || *in.PartitionKey != "a\ufffd" {
		t.Errorf("CBOR: %+v, %v", in, err)
	}
}

func TestDecodeJSONTellsEmptyFromAbsent(t *testing.T) {
	in, err := decodeJSON[kinesis.PutRecordInput](t, "PutRecordInput", `{"Data":"","StreamName":""}`)
	if err != nil || in.Data == nil || in.StreamName == nil || in.PartitionKey != nil {
		t.Errorf("got %+v, %v", in, err)
	}
	tags, err := decodeJSON[kinesis.UntagResourceInput](t, "UntagResourceInput", `{"TagKeys":[]}`)
	if err != nil || tags.TagKeys == nil {
		t.Errorf("got %+v, %v", tags, err)
	}
}

func TestDecodeJSONReadsNumbersTimesMapsAndEnumerations(t *testing.T) {
	create, err := decodeJSON[kinesis.CreateStreamInput](t, "CreateStreamInput",
		`{"StreamName":"s","ShardCount":3.9,"StreamModeDetails":{"StreamMode":"ON_DEMAND"},"Tags":{"a":"1","b":""},"MaxRecordSizeInKiB":99999999999}`)
	if err != nil {
		t.Fatal(err)
	}
	want := &kinesis.CreateStreamInput{
		StreamName: new("s"), ShardCount: new(int32(3)), MaxRecordSizeInKiB: new(int32(2147483647)),
		StreamModeDetails: &kinesis.StreamModeDetails{StreamMode: new(kinesis.StreamModeOnDemand)}, Tags: map[string]string{"a": "1", "b": ""},
	}
	if !reflect.DeepEqual(create, want) {
		t.Errorf("got %+v, want %+v", create, want)
	}
	for text, want := range map[string]time.Time{
		"1700000000":       time.UnixMilli(1700000000000).UTC(),
		"1700000000.123":   time.UnixMilli(1700000000123).UTC(),
		"1.700000000123E9": time.UnixMilli(1700000000123).UTC(),
		"0.001":            time.UnixMilli(1).UTC(),
		"-1.5":             time.UnixMilli(-1500).UTC(),
		"1e400":            instant(maxMillis).Truncate(time.Second),
	} {
		it, err := decodeJSON[kinesis.GetShardIteratorInput](t, "GetShardIteratorInput", `{"Timestamp":`+text+`}`)
		if err != nil || !it.Timestamp.Equal(want) {
			t.Errorf("timestamp %s: %v, %v, want %v", text, it.Timestamp, err, want)
		}
	}
}

func TestDecodeJSONNamesWrongTypesAsAWSDoes(t *testing.T) {
	for _, c := range []struct{ shape, body, want string }{
		{"CreateStreamInput", `{"ShardCount":"1"}`, "class java.lang.String can not be converted to an Integer"},
		{"CreateStreamInput", `{"ShardCount":true}`, "class java.lang.Boolean can not be converted to an Integer"},
		{"CreateStreamInput", `{"ShardCount":[]}`, "Start of list found where not expected"},
		{"CreateStreamInput", `{"ShardCount":{}}`, "Start of structure or map found where not expected."},
		{"CreateStreamInput", `{"StreamName":23}`, "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String"},
		{"CreateStreamInput", `{"StreamName":true}`, "class java.lang.Boolean can not be converted to an String"},
		{"CreateStreamInput", `{"Tags":"x"}`, "Expected map or null"},
		{"CreateStreamInput", `{"Tags":[]}`, "Start of list found where not expected"},
		{"CreateStreamInput", `{"StreamModeDetails":1}`, "Expected null"},
		{"PutRecordsInput", `{"Records":1}`, "Expected list or null"},
		{"PutRecordsInput", `{"Records":{}}`, "Start of structure or map found where not expected."},
		{"PutRecordsInput", `{"DryRun":"maybe"}`, "'MAYBE' can not be converted to an Boolean"},
		{"PutRecordsInput", `{"DryRun":1}`, "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an Boolean"},
		{"PutRecordInput", `{"Data":1}`, "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to a Blob"},
		{"PutRecordInput", `{"Data":"abcde"}`, "'abcde' can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 bytes but found: 5"},
		{"PutRecordInput", `{"Data":"=+/="}`, "'=+/=' can not be converted to a Blob: Invalid Base64 character: '='"},
		{"PutRecordInput", `{"Data":"ab!="}`, "'ab!=' can not be converted to a Blob: Invalid Base64 character: '!'"},
		{"PutRecordInput", `{"Data":"+/+="}`, "'+/+=' can not be converted to a Blob: Invalid last non-pad Base64 character dectected"},
		{"PutRecordInput", "{\"Data\":\"aGVsbG8=\\r\\n\\r\\n\"}", "'aGVsbG8=\r\n\r\n' can not be converted to a Blob: Invalid Base64 character: '='"},
		{"GetShardIteratorInput", `{"Timestamp":"now"}`, "class java.lang.String can not be converted to milliseconds since epoch"},
	} {
		s := kinesis.Model.Shape(c.shape)
		err := DecodeJSON([]byte(c.body), s, reflect.New(s.Go).Elem())
		if typed, ok := errors.AsType[*SerializationError](err); !ok || typed.Message != c.want {
			t.Errorf("%s:\n got %v\nwant %s", c.body, err, c.want)
		}
	}
}

func TestDecodeJSONRefusesWhatIsNoObject(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000)
	for _, body := range []string{
		``, ` `, `null`, `1`, `"x"`, `[]`, `{`, `}`, `{}{}`, `{},`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a" 1}`, `{"a":1 "b":2}`, `{1:2}`, `{"a":[1,]}`,
		`{"a":[1 2]}`, `{"a":tru}`, `{"a":01}`, `{"a":"\x"}`, "{\"a\":\"\n\"}", `{"StreamName":1,}`, `{"a":1}x`, `{"a":]}`, `{"a":{]}`, deep,
	} {
		if _, err := decodeJSON[kinesis.CreateStreamInput](t, "CreateStreamInput", body); !errors.Is(err, ErrSyntax) {
			t.Errorf("%.40q: %v, want a syntax error", body, err)
		}
	}
}

func TestAppendJSONWritesEveryKind(t *testing.T) {
	out := kinesis.GetRecordsOutput{
		Records: []kinesis.Record{{
			SequenceNumber: new("49"), Data: []byte("hi\x00"), PartitionKey: new("a\"\u2028<\x01\xff"),
			ApproximateArrivalTimestamp: new(time.UnixMilli(1700000000007)),
		}},
		MillisBehindLatest: new(int64(0)),
		ChildShards:        []kinesis.ChildShard{},
	}
	got := string(AppendJSON(nil, kinesis.Model.Shape("GetRecordsOutput"), reflect.ValueOf(&out).Elem()))
	var back map[string]any
	if err := stdjson.Unmarshal([]byte(got), &back); err != nil {
		t.Fatalf("%s: %v", got, err)
	}
	record := back["Records"].([]any)[0].(map[string]any)
	want := map[string]any{"SequenceNumber": "49", "Data": "aGkA", "PartitionKey": "a\"\u2028<\x01\ufffd", "ApproximateArrivalTimestamp": 1700000000.007}
	if !reflect.DeepEqual(record, want) {
		t.Errorf("record %v, want %v", record, want)
	}
	if !strings.HasSuffix(got, `,"MillisBehindLatest":0,"ChildShards":[]}`) || strings.Contains(got, "NextShardIterator") {
		t.Errorf("got %s", got)
	}
	if estimate := Size(kinesis.Model.Shape("GetRecordsOutput"), reflect.ValueOf(&out).Elem()); estimate < int64(len(got)) || estimate > int64(10*len(got)) {
		t.Errorf("estimated %d bytes for %d", estimate, len(got))
	}
	if got := string(AppendJSON(nil, nil, reflect.Value{})); got != "{}" {
		t.Errorf("no output: %s", got)
	}
}

func TestJSONCarriesNestedStructuresBothWays(t *testing.T) {
	name := "CreateDeliveryStreamInput"
	s := firehose.Model.Shape(name)
	body := `{"DeliveryStreamName":"d","ExtendedS3DestinationConfiguration":{"RoleARN":"r","BufferingHints":{"SizeInMBs":5,"IntervalInSeconds":60},` +
		`"CompressionFormat":"GZIP","DataFormatConversionConfiguration":{"OutputFormatConfiguration":{"Serializer":{"OrcSerDe":{"PaddingTolerance":0.05}}}}},` +
		`"Tags":[{"Key":"a","Value":"b"}]}`
	in := reflect.New(s.Go)
	if err := DecodeJSON([]byte(body), s, in.Elem()); err != nil {
		t.Fatal(err)
	}
	if got := string(AppendJSON(nil, s, in.Elem())); got != body {
		t.Errorf("got  %s\nwant %s", got, body)
	}
}

// FuzzDecodeJSON holds the decoder against the standard library: they agree on what is an object, and what was decoded survives a round trip.
func FuzzDecodeJSON(f *testing.F) {
	for _, seed := range []string{
		`{"StreamName":"a","Records":[{"Data":"aGVsbG8=","PartitionKey":"k\u00e9"}],"DryRun":false}`, `{"Records":[null,{}]}`, `{"StreamName":null}`,
		`{"a":[1.5e3,-0,"\ud800"],"b":{"c":{}}}`, `{"Records":[{"Data":"abc"}]}`, `[1]`, `{"a":1}}`, "{\"\xff\":\"\xff\"}", `{"DryRun":"YES"}`,
	} {
		f.Add([]byte(seed))
	}
	s := kinesis.Model.Shape("PutRecordsInput")
	f.Fuzz(func(t *testing.T, body []byte) {
		var object map[string]stdjson.RawMessage
		std := stdjson.Unmarshal(body, &object)
		var in kinesis.PutRecordsInput
		err := DecodeJSON(append([]byte(nil), body...), s, reflect.ValueOf(&in).Elem())
		if std != nil && !errors.Is(err, ErrSyntax) && object == nil {
			t.Fatalf("%q: the standard library says %v, we %v", body, std, err)
		}
		if std == nil && object != nil && errors.Is(err, ErrSyntax) && strings.Count(string(body), "{")+strings.Count(string(body), "[") < maxDepth {
			t.Fatalf("%q is JSON, but %v", body, err)
		}
		if err != nil {
			return
		}
		again := AppendJSON(nil, s, reflect.ValueOf(&in).Elem())
		var back kinesis.PutRecordsInput
		if err := DecodeJSON(append([]byte(nil), again...), s, reflect.ValueOf(&back).Elem()); err != nil {
			t.Fatalf("%q: %v", again, err)
		}
		if third := AppendJSON(nil, s, reflect.ValueOf(&back).Elem()); string(third) != string(again) {
			t.Fatalf("%q became %q", again, third)
		}
	})
}

func putRecordsBody(records, size int) []byte {
	data := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", size)))
	var b strings.Builder
	b.WriteString(`{"StreamName":"bench","Records":[`)
	for i := range records {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"Data":"%s","PartitionKey":"key-%d"}`, data, i)
	}
	b.WriteString(`]}`)
	return []byte(b.String())
}

func BenchmarkPutRecordsJSON(b *testing.B) {
	for _, size := range []int{100, 1024} {
		body := putRecordsBody(500, size)
		in, out := kinesis.Model.Shape("PutRecordsInput"), kinesis.Model.Shape("PutRecordsOutput")
		answer := kinesis.PutRecordsOutput{FailedRecordCount: new(int32(0))}
		for range 500 {
			answer.Records = append(answer.Records, kinesis.PutRecordsResultEntry{SequenceNumber: new(strings.Repeat("4", 56)), ShardId: new("shardId-000000000000")})
		}
		b.Run(fmt.Sprintf("decode/%d", size), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				var v kinesis.PutRecordsInput
				if err := DecodeJSON(body, in, reflect.ValueOf(&v).Elem()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "records/s")
		})
		if size != 100 {
			continue
		}
		b.Run("encode", func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				buf = AppendJSON(buf[:0], out, reflect.ValueOf(&answer).Elem())
			}
			b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "records/s")
		})
	}
}

func TestTimesAsText(t *testing.T) {
	s := &shape.Shape{
		Name: "S", Kind: shape.Structure, Go: reflect.TypeFor[struct{ At *time.Time }](),
		Members: []shape.Member{{Name: "at", Shape: &shape.Shape{Name: "T", Kind: shape.Timestamp, ISO8601: true}}},
	}
	var v struct{ At *time.Time }
	if err := DecodeJSON([]byte(`{"at":"2023-11-14T23:13:20.1209+01:00"}`), s, reflect.ValueOf(&v).Elem()); err != nil {
		t.Fatal(err)
	}
	if got := string(AppendJSON(nil, s, reflect.ValueOf(&v).Elem())); got != `{"at":"2023-11-14T22:13:20.120Z"}` {
		t.Error(got)
	}
	for _, wrong := range []string{`{"at":"yesterday"}`, `{"at":true}`} {
		if err := DecodeJSON([]byte(wrong), s, reflect.ValueOf(&v).Elem()); err == nil {
			t.Errorf("%s is a time", wrong)
		}
	}
}
