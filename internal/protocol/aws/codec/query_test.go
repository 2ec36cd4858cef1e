package codec

import (
	"encoding/xml"
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/protocol/aws/model/firehose"
	"github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
)

// The shapes of Kinesis and Firehose stand in for those of query services: every kind is among them.
func TestDecodeQuerySpellsStructuresInNames(t *testing.T) {
	for _, c := range []struct {
		form string
		want any
	}{
		{
			"Action=X&Version=1&StreamName=a%20b%2B&ShardCount=3&StreamModeDetails.StreamMode=ON_DEMAND&Tags.entry.1.key=k&Tags.entry.1.value=v&Tags.entry.2.key=l&Tags.entry.2.value=",
			&kinesis.CreateStreamInput{
				StreamName: new("a b+"), ShardCount: new(int32(3)), StreamModeDetails: &kinesis.StreamModeDetails{StreamMode: new(kinesis.StreamModeOnDemand)},
				Tags: map[string]string{"k": "v", "l": ""},
			},
		},
		{
			"Records.member.1.Data=aGk%3D&Records.member.2.PartitionKey=k&Records.member.4.PartitionKey=lost&DryRun=true",
			&kinesis.PutRecordsInput{DryRun: new(true), Records: []kinesis.PutRecordsRequestEntry{{Data: []byte("hi")}, {PartitionKey: new("k")}}},
		},
		{"StreamName=s&TagKeys.1=a&TagKeys.2=b", &kinesis.RemoveTagsFromStreamInput{StreamName: new("s"), TagKeys: []string{"a", "b"}}},
		{"TagKeys=", &kinesis.RemoveTagsFromStreamInput{TagKeys: []string{}}},
		{"Timestamp=2026-11-21T08:00:00.5Z", &kinesis.GetShardIteratorInput{Timestamp: new(time.Date(2026, 11, 21, 8, 0, 0, 5e8, time.UTC))}},
	} {
		want := reflect.ValueOf(c.want)
		got := reflect.New(want.Type().Elem())
		if err := DecodeQuery([]byte(c.form), kinesis.Model.Shape(want.Type().Elem().Name()), got.Elem()); err != nil || !reflect.DeepEqual(got.Interface(), c.want) {
			t.Errorf("%s: %+v, %v, want %+v", c.form, got.Elem(), err, want.Elem())
		}
	}
}

func TestDecodeQueryRefusesWrongValues(t *testing.T) {
	for form, want := range map[string]string{
		"ShardCount=many":                 "'many' can not be converted to an Integer",
		"Tags.entry.1.value=x":            "Expected key and value of a map entry",
		"ShardCount=1%zz":                 "",
		strings.Repeat("&", 20e3):         "",
		strings.Repeat("a.", 300) + "a=1": "",
	} {
		err := DecodeQuery([]byte(form), kinesis.Model.Shape("CreateStreamInput"), reflect.ValueOf(new(kinesis.CreateStreamInput)).Elem())
		typed, ok := errors.AsType[*SerializationError](err)
		if want == "" && !errors.Is(err, ErrSyntax) || want != "" && (!ok || typed.Message != want) {
			t.Errorf("%.30s: %v, want %q", form, err, want)
		}
	}
}

func TestQueryAnswersAreXML(t *testing.T) {
	out := firehose.ListTagsForDeliveryStreamOutput{Tags: []firehose.Tag{{Key: new("a<b"), Value: new("&")}, {Key: new("c")}}, HasMoreTags: new(false)}
	got := string(AppendQueryAnswer(nil, "ListTags", "https://x/", "id", firehose.Model.Shape("ListTagsForDeliveryStreamOutput"), reflect.ValueOf(&out).Elem()))
	want := `<ListTagsResponse xmlns="https://x/"><ListTagsResult><Tags><member><Key>a&lt;b</Key><Value>&amp;</Value></member><member><Key>c</Key></member></Tags>` +
		`<HasMoreTags>false</HasMoreTags></ListTagsResult><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></ListTagsResponse>` + "\n"
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	got = string(AppendQueryError(nil, "https://x/", "id", false, "InvalidAction", "no <op>\x00"))
	if err := xml.Unmarshal([]byte(got), new(struct{ XMLName xml.Name })); err != nil || !strings.Contains(got, "<Type>Sender</Type><Code>InvalidAction</Code><Message>no &lt;op&gt;") {
		t.Errorf("%v: %s", err, got)
	}
}

func FuzzDecodeQuery(f *testing.F) {
	for _, seed := range []string{
		"StreamName=s&Records.member.1.Data=aGk%3D&Records.member.1.PartitionKey=k", "Records.1.Data=x", "Records=&DryRun=maybe", "a.b.c=1&a=2&.=3&..=4", "%zz=&&=",
	} {
		f.Add(seed)
	}
	s := kinesis.Model.Shape("PutRecordsInput")
	f.Fuzz(func(t *testing.T, form string) {
		var in kinesis.PutRecordsInput
		err := DecodeQuery([]byte(form), s, reflect.ValueOf(&in).Elem())
		_, library := url.ParseQuery(form)
		if library != nil && !errors.Is(err, ErrSyntax) {
			t.Fatalf("%q: %v, the library says %v", form, err, library)
		}
		_ = AppendQueryAnswer(nil, "Op", "", "", s, reflect.ValueOf(&in).Elem())
	})
}
