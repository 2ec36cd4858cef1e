package codec

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
)

// outside encodes with a library of its own, which is what the codec is held against.
func outside(t testing.TB, v any) []byte {
	t.Helper()
	b, err := cbor.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decodeCBOR[T any](c CBOR, shapeName string, body []byte) (*T, error) {
	v := new(T)
	return v, c.Decode(body, kinesis.Model.Shape(shapeName), reflect.ValueOf(v).Elem())
}

func TestCBORDecodesWhatClientsSend(t *testing.T) {
	want := &kinesis.PutRecordsInput{
		StreamName: new("clicks"), DryRun: new(false),
		Records: []kinesis.PutRecordsRequestEntry{{Data: []byte("hello"), PartitionKey: new("k")}, {Data: []byte{}, ExplicitHashKey: new("1")}},
	}
	records := []any{
		map[string]any{"Data": []byte("hello"), "PartitionKey": "k", "Unknown": []any{1, -2, 1.5, nil, map[string]any{"a": true}}},
		map[string]any{"Data": []byte{}, "ExplicitHashKey": "1"},
	}
	definite := outside(t, map[string]any{"StreamName": "clicks", "DryRun": false, "StreamARN": nil, "Records": records})
	// The Java SDK writes maps, arrays and sometimes strings of indefinite length.
	indefinite := []byte("\xbf" + "\x6aStreamName" + "\x7f\x63cli\x63cks\xff" + "\x66DryRun\xf4" + "\x67Records" + "\x9f" +
		"\xbf\x64Data\x5f\x42he\x43llo\xff\x6cPartitionKey\x61k\xff" + "\xbf\x64Data\x40\x6fExplicitHashKey\x611\xff" + "\xff" + "\xff")
	for name, body := range map[string][]byte{"definite": definite, "indefinite": indefinite} {
		in, err := decodeCBOR[kinesis.PutRecordsInput](Milliseconds, "PutRecordsInput", body)
		if err != nil || !reflect.DeepEqual(in, want) {
			t.Errorf("%s: %+v, %v, want %+v", name, in, err, want)
		}
	}
}

func TestCBORTimestampsFollowTheDialect(t *testing.T) {
	for _, c := range []struct {
		dialect CBOR
		content any
		want    int64
	}{
		{Milliseconds, 1700000000123, 1700000000123},
		{Milliseconds, 1.700000000123e12, 1700000000123},
		{Seconds, 1700000000, 1700000000000},
		{Seconds, 1700000000.123, 1700000000123},
		{Seconds, float32(0.5), 500},
		{Seconds, uint64(math.MaxUint64), maxMillis / 1000 * 1000},
	} {
		for _, content := range []any{cbor.Tag{Number: 1, Content: c.content}, c.content} {
			in, err := decodeCBOR[kinesis.GetShardIteratorInput](c.dialect, "GetShardIteratorInput", outside(t, map[string]any{"Timestamp": content}))
			if err != nil || in.Timestamp == nil || in.Timestamp.UnixMilli() != c.want {
				t.Errorf("%v: %v, %v, want %d", content, in.Timestamp, err, c.want)
			}
		}
	}
}

func TestCBORAnswersReadByAnotherLibrary(t *testing.T) {
	out := kinesis.GetRecordsOutput{
		Records:            []kinesis.Record{{SequenceNumber: new("49"), Data: []byte("hi"), ApproximateArrivalTimestamp: new(time.UnixMilli(1700000000007))}},
		MillisBehindLatest: new(int64(-70000)), ChildShards: []kinesis.ChildShard{},
	}
	s := kinesis.Model.Shape("GetRecordsOutput")
	for dialect, stamp := range map[CBOR]any{Milliseconds: uint64(1700000000007), Seconds: 1700000000.007} {
		var got map[string]any
		mode, err := cbor.DecOptions{TimeTag: cbor.DecTagIgnored, DefaultMapType: reflect.TypeFor[map[string]any]()}.DecMode()
		if err != nil {
			t.Fatal(err)
		}
		if err := mode.Unmarshal(dialect.Append(nil, s, reflect.ValueOf(&out).Elem()), &got); err != nil {
			t.Fatal(err)
		}
		if record := got["Records"].([]any)[0].(map[string]any); record["SequenceNumber"] != "49" || string(record["Data"].([]byte)) != "hi" {
			t.Errorf("got %v", got)
		}
		if got["MillisBehindLatest"] != int64(-70000) || len(got["ChildShards"].([]any)) != 0 {
			t.Errorf("got %v", got)
		}
		raw := dialect.Append(nil, s, reflect.ValueOf(&out).Elem())
		encoded := append([]byte("ApproximateArrivalTimestamp"), outside(t, cbor.Tag{Number: 1, Content: stamp})...)
		if !strings.Contains(string(raw), string(encoded)) {
			t.Errorf("%v: no %x in %x", dialect, encoded, raw)
		}
	}
}

func TestCBORNamesWrongTypes(t *testing.T) {
	for _, c := range []struct {
		shape string
		value map[string]any
		want  string
	}{
		{"CreateStreamInput", map[string]any{"ShardCount": "1"}, "class java.lang.String can not be converted to an Integer"},
		{"CreateStreamInput", map[string]any{"ShardCount": []int{1}}, "Start of list found where not expected"},
		{"CreateStreamInput", map[string]any{"StreamName": 1}, "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String"},
		{"PutRecordsInput", map[string]any{"Records": true}, "Expected list or null"},
		{"PutRecordInput", map[string]any{"Data": "text"}, "class java.lang.String can not be converted to a Blob"},
	} {
		s := kinesis.Model.Shape(c.shape)
		err := Milliseconds.Decode(outside(t, c.value), s, reflect.New(s.Go).Elem())
		if typed, ok := errors.AsType[*SerializationError](err); !ok || c.want != typed.Message {
			t.Errorf("%v: %v, want %s", c.value, err, c.want)
		}
	}
}

func TestCBORRefusesWhatIsNoMap(t *testing.T) {
	s := kinesis.Model.Shape("PutRecordsInput")
	for _, body := range []string{
		"\x80", "\x00", "\xbf", "\xff", "\xa1", "\xa1\x61a", "\xa1\x01\x02", "\xa0\xa0", "\xbf\x61a\xff", "\xa1\x61a\x1c", "\xa1\x61a\x5f\x61x\xff",
		"\xa1\x67Records\x9b\xff\xff\xff\xff\xff\xff\xff\xff", "\xa1\x64Data\x5b\x7f\xff\xff\xff\xff\xff\xff\xff", "\xa1\x61a\xff", "\xa1\x61a\xf8\x14",
		"\xa1\x61a" + strings.Repeat("\x81", 100_000) + "\x00", "\xa1\x61a" + strings.Repeat("\xc1", 100_000) + "\x00", "\xa1\x61a\x1f",
	} {
		var in kinesis.PutRecordsInput
		if err := Milliseconds.Decode([]byte(body), s, reflect.ValueOf(&in).Elem()); !errors.Is(err, ErrSyntax) {
			t.Errorf("%.20x: %v, want a syntax error", body, err)
		}
	}
}

func TestHalfFloatsWiden(t *testing.T) {
	for bits, want := range map[uint16]float64{0x3c00: 1, 0xc000: -2, 0x0001: 5.960464477539063e-08, 0x7bff: 65504, 0x7c00: math.Inf(1), 0x3555: 0.333251953125} {
		if got := half(bits); got != want {
			t.Errorf("%04x: %v, want %v", bits, got, want)
		}
	}
}

// FuzzDecodeCBOR holds the decoder against the library: whatever we accept is well formed, and survives a round trip.
func FuzzDecodeCBOR(f *testing.F) {
	f.Add(outside(f, map[string]any{"StreamName": "a", "Records": []any{map[string]any{"Data": []byte("x"), "PartitionKey": "k"}, nil}, "DryRun": true}))
	f.Add([]byte("\xbf\x6aStreamName\x7f\x63cli\x63cks\xff\x67Records\x9f\xbf\x64Data\x5f\x42he\x43llo\xff\xff\xff\xff"))
	f.Add(outside(f, map[string]any{"x": cbor.Tag{Number: 1, Content: 1.5}, "Records": "no", "y": []any{1, -2, nil, map[int]int{1: 2}}}))
	f.Add([]byte("\xa1\x67Records\x9b\xff\xff\xff\xff\xff\xff\xff\xff"))
	s := kinesis.Model.Shape("PutRecordsInput")
	f.Fuzz(func(t *testing.T, body []byte) {
		var in kinesis.PutRecordsInput
		err := Milliseconds.Decode(append([]byte(nil), body...), s, reflect.ValueOf(&in).Elem())
		if len(body) > 0 && !errors.Is(err, ErrSyntax) {
			mode, _ := cbor.DecOptions{MaxNestedLevels: 256, UTF8: cbor.UTF8DecodeInvalid}.DecMode()
			if library := mode.Wellformed(body); library != nil {
				t.Fatalf("%x: accepted (%v), but the library says %v", body, err, library)
			}
		}
		if err != nil {
			return
		}
		again := Milliseconds.Append(nil, s, reflect.ValueOf(&in).Elem())
		var back kinesis.PutRecordsInput
		if err := Milliseconds.Decode(again, s, reflect.ValueOf(&back).Elem()); err != nil || !reflect.DeepEqual(in, back) {
			t.Fatalf("%x became %x: %v", body, again, err)
		}
	})
}

func BenchmarkPutRecordsCBOR(b *testing.B) {
	in := kinesis.PutRecordsInput{StreamName: new("bench")}
	for range 500 {
		in.Records = append(in.Records, kinesis.PutRecordsRequestEntry{Data: make([]byte, 100), PartitionKey: new("key-123")})
	}
	s := kinesis.Model.Shape("PutRecordsInput")
	body := Milliseconds.Append(nil, s, reflect.ValueOf(&in).Elem())
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		var v kinesis.PutRecordsInput
		if err := Milliseconds.Decode(body, s, reflect.ValueOf(&v).Elem()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "records/s")
}
