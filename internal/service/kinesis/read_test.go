package kinesis

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/batch"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
	"github.com/freshet/freshet/internal/stream"
)

func TestPutAndGetRecords(t *testing.T) {
	r := newRig(t)
	r.create("clicks", 1)
	latest := r.iterator("clicks", 0, api.ShardIteratorTypeLatest, "")
	first := r.put("clicks", "a", "one")
	r.clock.Advance(time.Second)
	second := r.put("clicks", "b", "two")
	if first.EncryptionType != nil || *first.ShardId != "shardId-000000000000" {
		t.Errorf("put answered %+v", first)
	}
	out := r.get(latest)
	if got := show(out.Records); got != "a=one b=two" {
		t.Fatalf("read %q", got)
	}
	for i, want := range []*api.PutRecordOutput{first, second} {
		if got := *out.Records[i].SequenceNumber; got != *want.SequenceNumber {
			t.Errorf("record %d was put as %s and is read as %s", i, *want.SequenceNumber, got)
		}
	}
	if got := *out.Records[1].ApproximateArrivalTimestamp; !got.Equal(rigStart.Add(time.Second)) {
		t.Errorf("arrived at %s, want %s", got, rigStart.Add(time.Second))
	}
	if *out.MillisBehindLatest != 0 {
		t.Errorf("behind by %d at the end", *out.MillisBehindLatest)
	}
	if got := r.read(*out.NextShardIterator); got != "" {
		t.Errorf("read %q after the end", got)
	}
	r.put("clicks", "c", "")
	if got := r.read(*out.NextShardIterator); got != "c=" {
		t.Errorf("read %q, want the record put since", got)
	}
}

func TestIteratorTypes(t *testing.T) {
	r := newRig(t)
	r.create("s", 1)
	var numbers []string
	for i := range 5 {
		numbers = append(numbers, *r.put("s", "k", fmt.Sprint(i)).SequenceNumber)
		r.clock.Advance(time.Second)
	}
	described := must(r, r.describeStream, &api.DescribeStreamInput{StreamName: new("s")})
	start := *described.StreamDescription.Shards[0].SequenceNumberRange.StartingSequenceNumber
	for _, test := range []struct {
		name   string
		kind   api.ShardIteratorType
		number string
		want   string
	}{
		{"trim horizon", api.ShardIteratorTypeTrimHorizon, "", "k=0 k=1 k=2 k=3 k=4"},
		{"latest", api.ShardIteratorTypeLatest, "", ""},
		{"at", api.ShardIteratorTypeAtSequenceNumber, numbers[2], "k=2 k=3 k=4"},
		{"after", api.ShardIteratorTypeAfterSequenceNumber, numbers[2], "k=3 k=4"},
		{"after the last", api.ShardIteratorTypeAfterSequenceNumber, numbers[4], ""},
		{"at the shard's start", api.ShardIteratorTypeAtSequenceNumber, start, "k=0 k=1 k=2 k=3 k=4"},
		{"after the shard's start", api.ShardIteratorTypeAfterSequenceNumber, start, "k=0 k=1 k=2 k=3 k=4"},
	} {
		if got := r.read(r.iterator("s", 0, test.kind, test.number)); got != test.want {
			t.Errorf("%s: read %q, want %q", test.name, got, test.want)
		}
	}
	// A Timestamp says nothing of the kinds that have no time.
	timed := &api.GetShardIteratorInput{StreamName: new("s"), ShardId: new("0"), ShardIteratorType: new(api.ShardIteratorTypeTrimHorizon), Timestamp: new(rigStart.Add(time.Hour))}
	if got := r.read(*must(r, r.getShardIterator, timed).ShardIterator); got != "k=0 k=1 k=2 k=3 k=4" {
		t.Errorf("trim horizon with a Timestamp: read %q", got)
	}
	for after, want := range map[time.Duration]string{
		-time.Hour:              "k=0 k=1 k=2 k=3 k=4",
		time.Second:             "k=1 k=2 k=3 k=4",
		1500 * time.Millisecond: "k=2 k=3 k=4",
		4500 * time.Millisecond: "",
	} {
		in := &api.GetShardIteratorInput{StreamName: new("s"), ShardId: new("0"), ShardIteratorType: new(api.ShardIteratorTypeAtTimestamp), Timestamp: new(rigStart.Add(after))}
		if got := r.read(*must(r, r.getShardIterator, in).ShardIterator); got != want {
			t.Errorf("at %s: read %q, want %q", after, got, want)
		}
	}
}

// TestAStreamMadeAnewHasNumbersOfItsOwn, also within the second of the former one, so that a reader of that is refused.
func TestAStreamMadeAnewHasNumbersOfItsOwn(t *testing.T) {
	r := newRig(t)
	var numbers []string
	for range 4 {
		r.create("s", 1)
		r.create("other", 1)
		number := *r.put("s", "k", "v").SequenceNumber
		for _, former := range numbers {
			if number <= former { // of the same length
				t.Errorf("number %s after %s", number, former)
			}
			refused(r, r.getShardIterator, &api.GetShardIteratorInput{
				StreamName: new("s"), ShardId: new("0"), ShardIteratorType: new(api.ShardIteratorTypeAfterSequenceNumber), StartingSequenceNumber: &former,
			}, "InvalidArgumentException: StartingSequenceNumber "+former+"*")
		}
		if got := r.read(r.iterator("s", 0, api.ShardIteratorTypeAtSequenceNumber, number)); got != "k=v" {
			t.Errorf("read %q at its own number", got)
		}
		numbers = append(numbers, number)
		must(r, r.deleteStream, &api.DeleteStreamInput{StreamName: new("s")})
		must(r, r.deleteStream, &api.DeleteStreamInput{StreamName: new("other")})
	}
	r.clock.Advance(10 * time.Second)
	r.create("s", 1)
	number, err := parseSequence(*r.put("s", "k", "v").SequenceNumber)
	if err != nil || number.created != r.clock.Now().Unix() {
		t.Errorf("later the number says second %d, %v, want that of the stream, %d", number.created, err, r.clock.Now().Unix())
	}
	must(r, r.deleteStream, &api.DeleteStreamInput{StreamName: new("s")})
	if len(r.former.names) != 1 {
		t.Errorf("%d former streams are known, want the last", len(r.former.names))
	}
}

func TestGetShardIteratorRefuses(t *testing.T) {
	r := newRig(t)
	r.create("s", 2)
	r.create("other", 1)
	foreign := sequence{created: rigStart.Unix() - 5, index: 1, arrived: rigStart.Unix()}.String()
	future := sequence{created: rigStart.Unix(), index: 77, arrived: rigStart.Unix()}.String()
	second := sequence{created: rigStart.Unix(), index: 0, arrived: rigStart.Unix(), shard: 1}.String()
	older := versionOne(rigStart)
	high := hexadecimal("1" + strings.Repeat("f", 46))
	const notFromHere = "is invalid because it did not come from this stream."
	in := func(shard string, kind api.ShardIteratorType, number string) *api.GetShardIteratorInput {
		in := &api.GetShardIteratorInput{StreamName: new("s"), ShardId: &shard, ShardIteratorType: &kind}
		if number != "" {
			in.StartingSequenceNumber = &number
		}
		return in
	}
	at, latest := api.ShardIteratorTypeAtSequenceNumber, api.ShardIteratorTypeLatest
	combination := "InvalidArgumentException: Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or " +
		"(2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified "
	used := " used in GetShardIterator on shard shardId-000000000000 in stream s under account 000000000000 "
	for _, test := range []struct {
		in   *api.GetShardIteratorInput
		want string
	}{
		{in("x-y", latest, ""), "ResourceNotFoundException: Could not find shard x-y in stream s under account 000000000000."},
		{in("shardId-000000000002", latest, ""), "ResourceNotFoundException: Shard shardId-000000000002 in stream s under account 000000000000 does not exist"},
		{in("0", latest, "1"), combination + "LATEST and also a StartingSequenceNumber."},
		{in("0", at, ""), combination + "AT_SEQUENCE_NUMBER and no StartingSequenceNumber."},
		{in("0", at, "0"), "InvalidArgumentException: StartingSequenceNumber 0" + used + notFromHere},
		{in("0", at, "5"), "InvalidArgumentException: Invalid StartingSequenceNumber. It encodes shardId-000000000005, while it was used in a call to a shard with shardId-000000000000"},
		{in("0", at, older), "InvalidArgumentException: StartingSequenceNumber " + older + used + notFromHere},
		{in("0", at, high), "InvalidArgumentException: StartingSequenceNumber " + high + used + "is invalid."},
		{in("0", at, foreign), "InvalidArgumentException: StartingSequenceNumber " + foreign + used + notFromHere},
		{in("0", at, future), "InvalidArgumentException: StartingSequenceNumber " + future + used + notFromHere},
		{in("0", at, second), "InvalidArgumentException: Invalid StartingSequenceNumber. It encodes shardId-000000000001, while it was used in a call to a shard with shardId-000000000000"},
		{in("0", at, strings.Repeat("9", 57)), "InvalidArgumentException: StartingSequenceNumber " + strings.Repeat("9", 57) + used + "is invalid."},
		{in("0", api.ShardIteratorTypeAtTimestamp, ""), "InvalidArgumentException: Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp parameter."},
	} {
		refused(r, r.getShardIterator, test.in, test.want)
	}
	late := in("0", api.ShardIteratorTypeAtTimestamp, "")
	late.Timestamp = new(rigStart.Add(time.Second))
	refused(r, r.getShardIterator, late, fmt.Sprintf("InvalidArgumentException: The timestampInMillis parameter cannot be greater than the "+
		"currentTimestampInMillis. timestampInMillis: %d, currentTimestampInMillis: %d", rigStart.UnixMilli()+1000, rigStart.UnixMilli()))
	missing := in("0", latest, "")
	missing.StreamName = new("none")
	refused(r, r.getShardIterator, missing, "ResourceNotFoundException: Shard shardId-000000000000 in stream none under account 000000000000 does not exist")
	dry := in("0", latest, "")
	dry.DryRun = new(true)
	refused(r, r.getShardIterator, dry, "DryRunOperationException: *")
}

func TestIteratorsExpireAndBelongToOneStream(t *testing.T) {
	r := newRig(t)
	r.create("s", 1)
	r.put("s", "k", "v")
	old := r.iterator("s", 0, api.ShardIteratorTypeTrimHorizon, "")
	if len(old) > 512 {
		t.Errorf("iterator has %d characters", len(old))
	}
	r.clock.Advance(5 * time.Minute)
	first, again := r.get(old), r.get(`"`+old+`"`)
	if *first.NextShardIterator == *again.NextShardIterator || *first.NextShardIterator == old {
		t.Error("two answers have the same iterator")
	}
	r.clock.Advance(time.Millisecond)
	refused(r, r.getRecords, &api.GetRecordsInput{ShardIterator: &old}, "ExpiredIteratorException: Iterator expired. The iterator was created at time "+
		"Sun Mar 01 12:00:00 UTC 2026 while right now it is Sun Mar 01 12:05:00 UTC 2026 which is further in the future than the tolerated delay of 300000 milliseconds.")
	next := *first.NextShardIterator
	refused(r, r.getRecords, &api.GetRecordsInput{ShardIterator: new(next[:20] + "A" + next[21:])}, "InvalidArgumentException: Invalid ShardIterator.")
	refused(r, r.getRecords, &api.GetRecordsInput{ShardIterator: new("x")}, "InvalidArgumentException: Invalid ShardIterator.")
	must(r, r.deleteStream, &api.DeleteStreamInput{StreamName: new("s")})
	r.create("s", 1)
	refused(r, r.getRecords, &api.GetRecordsInput{ShardIterator: &next}, "ResourceNotFoundException: Shard shardId-000000000000 in stream s under account 000000000000 does not exist")
}

// What Kafka producers write is read whole: batches of many records in every codec, from the middle of a batch, without keys or values.
func TestGetRecordsReadsKafkaBatches(t *testing.T) {
	r := newRig(t)
	shard := r.topic("topic", 1).Shard(0)
	now := rigStart.UnixMilli()
	r.kafka(shard,
		batch.Record{Timestamp: now, Key: []byte("k"), Value: []byte("0")},
		batch.Record{Timestamp: now + 1, Key: nil, Value: []byte("1")},
		batch.Record{Timestamp: now + 2, Key: []byte{}, Value: nil},
		batch.Record{Timestamp: now + 3, Key: []byte{0xff, 0x01}, Value: []byte("3")},
		batch.Record{Timestamp: now - 5000, Key: []byte(strings.Repeat("é", 256)), Value: []byte("4")},
	)
	r.kafka(shard, batch.Record{Timestamp: now, Key: []byte(strings.Repeat("x", 257)), Value: []byte("5")})
	it := r.iterator("topic", 0, api.ShardIteratorTypeTrimHorizon, "")
	out := r.get(it)
	want := "k=0 kafka:null=1 kafka:empty= kafka:hex:ff01=3 " + strings.Repeat("é", 256) + "=4 " +
		"kafka:sha256:15eb95a462ee20bd91a415ae2d4aed341288186ddaa2b37908f7d592f0c3f85f=5"
	got := show(out.Records)
	if got != want {
		t.Errorf("read %q\nwant %q", got, want)
	}
	for i := range out.Records {
		if again := r.iterator("topic", 0, api.ShardIteratorTypeAtSequenceNumber, *out.Records[i].SequenceNumber); show(r.get(again).Records[:1]) != show(out.Records[i:i+1]) {
			t.Errorf("record %d is not found again by its sequence number", i)
		}
		if n := len([]rune(*out.Records[i].PartitionKey)); n < 1 || n > 256 {
			t.Errorf("record %d has a partition key of %d characters", i, n)
		}
	}
	// In pages of two, each going on where the last stopped, also within a batch.
	var pages []string
	for range 4 {
		page := must(r, r.getRecords, &api.GetRecordsInput{ShardIterator: &it, Limit: new(int32(2))})
		pages = append(pages, show(page.Records))
		if behind := *page.MillisBehindLatest > 0; behind != (len(pages) < 3) {
			t.Errorf("page %d is behind by %d", len(pages), *page.MillisBehindLatest)
		}
		it = *page.NextShardIterator
	}
	if joined := strings.Join(pages, " "); strings.TrimRight(joined, " ") != got {
		t.Errorf("pages are %q", pages)
	}
}

func TestGetRecordsBounds(t *testing.T) {
	r := newRig(t)
	r.create("s", 1)
	// 12 records of 1 MiB: one answer takes what fits 10 MiB.
	for range 12 {
		r.put("s", "k", strings.Repeat("x", 1<<20-1))
	}
	out := r.get(r.iterator("s", 0, api.ShardIteratorTypeTrimHorizon, ""))
	if len(out.Records) != 10 || *out.MillisBehindLatest < 1 {
		t.Errorf("got %d records, behind by %d", len(out.Records), *out.MillisBehindLatest)
	}
	if out = r.get(*out.NextShardIterator); len(out.Records) != 2 || *out.MillisBehindLatest != 0 {
		t.Errorf("then got %d records, behind by %d", len(out.Records), *out.MillisBehindLatest)
	}
}

// Many readers at once get smaller answers rather than more memory, and the memory comes back when their requests are over.
func TestReadersShareMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.create("s", 1)
		for range 11 {
			r.put("s", "k", strings.Repeat("x", 1<<20-1))
		}
		it := r.iterator("s", 0, api.ShardIteratorTypeTrimHorizon, "")
		ctx, cancel := context.WithCancel(t.Context())
		sizes := ""
		for range 12 {
			out, err := r.getRecords(ctx, r.call, &api.GetRecordsInput{ShardIterator: &it})
			if err != nil {
				t.Fatal(err)
			}
			sizes += fmt.Sprintf(" %d", len(out.Records))
		}
		if sizes != " 10 10 6 3 1 1 1 1 1 1 1 1" {
			t.Errorf("answers have%s records", sizes)
		}
		cancel()
		synctest.Wait()
		if n := len(r.get(it).Records); n != 10 {
			t.Errorf("then an answer has %d records", n)
		}
	})
}

// A reader that retention has overtaken goes on at what is left.
func TestGetRecordsAfterTrim(t *testing.T) {
	r := newRig(t)
	r.create("s", 1)
	it := r.iterator("s", 0, api.ShardIteratorTypeTrimHorizon, "")
	number := *r.put("s", "k", "0").SequenceNumber
	r.put("s", "k", "1")
	st, err := r.log.Stream(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.log.Trim(t.Context(), st.Shard(0), 1); err != nil {
		t.Fatal(err)
	}
	if got := r.read(it); got != "k=1" {
		t.Errorf("read %q", got)
	}
	if got := r.read(r.iterator("s", 0, api.ShardIteratorTypeAtSequenceNumber, number)); got != "k=1" {
		t.Errorf("read %q at the trimmed record", got)
	}
}

// Records that are no records do not stop a reader from what follows.
func TestGetRecordsSkipsUnreadableBatch(t *testing.T) {
	r := newRig(t)
	shard := r.topic("topic", 1).Shard(0)
	var b batch.Builder
	b.Add(1, nil, []byte("good"))
	broken := append([]byte(nil), b.Finish(batch.NoProducer)...)
	broken[len(broken)-6] ^= 0x7f // the value's length
	batch.SetLogAppendTime(broken, 1)
	r.appendBatch(shard, broken)
	r.kafka(shard, batch.Record{Timestamp: 1, Value: []byte("after")})
	if got := r.read(r.iterator("topic", 0, api.ShardIteratorTypeTrimHorizon, "")); got != "kafka:null=after" {
		t.Errorf("read %q", got)
	}
}

func TestPutRecordsGroupsByShard(t *testing.T) {
	r := newRig(t)
	r.create("s", 4)
	in := &api.PutRecordsInput{StreamName: new("s")}
	for i := range 500 {
		e := api.PutRecordsRequestEntry{PartitionKey: new(fmt.Sprintf("key-%d", i%50)), Data: []byte(fmt.Sprint(i))}
		if i%10 == 0 {
			e.ExplicitHashKey = new("0")
		}
		in.Records = append(in.Records, e)
	}
	out := must(r, r.putRecords, in)
	if *out.FailedRecordCount != 0 || len(out.Records) != 500 {
		t.Fatalf("%d failed of %d", *out.FailedRecordCount, len(out.Records))
	}
	want := map[string]string{} // data and key by sequence number
	for i, e := range out.Records {
		want[*e.ShardId+*e.SequenceNumber] = string(in.Records[i].Data) + *in.Records[i].PartitionKey
		if i%10 == 0 && *e.ShardId != shardID(0) {
			t.Errorf("record %d with hash key 0 is in %s", i, *e.ShardId)
		}
	}
	found := 0
	for shard := range int32(4) {
		last := ""
		for _, record := range r.get(r.iterator("s", shard, api.ShardIteratorTypeTrimHorizon, "")).Records {
			found++
			if got := string(record.Data) + *record.PartitionKey; want[shardID(shard)+*record.SequenceNumber] != got {
				t.Errorf("%s has %q, it was put as %q", *record.SequenceNumber, got, want[shardID(shard)+*record.SequenceNumber])
			}
			if *record.SequenceNumber <= last {
				t.Errorf("%s follows %s", *record.SequenceNumber, last)
			}
			last = *record.SequenceNumber
		}
		st, err := r.log.Stream(t.Context(), "s")
		if err != nil {
			t.Fatal(err)
		}
		chunk, err := r.log.Read(t.Context(), st.Shard(shard), 0, 1<<20)
		if err != nil || len(chunk.Batches) != 1 {
			t.Errorf("shard %d has %d batches, %v", shard, len(chunk.Batches), err)
		}
		chunk.Release()
	}
	if found != 500 {
		t.Errorf("found %d records", found)
	}
}

// The hash key of a record is kept beside it, for Kafka's readers.
func TestExplicitHashKeyHeader(t *testing.T) {
	r := newRig(t)
	r.create("s", 1)
	must(r, r.putRecord, &api.PutRecordInput{StreamName: new("s"), PartitionKey: new("k"), ExplicitHashKey: new("42"), Data: []byte("v")})
	st, _ := r.log.Stream(t.Context(), "s")
	chunk, err := r.log.Read(t.Context(), st.Shard(0), 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer chunk.Release()
	err = batch.Records(chunk.Batches[0], 0, func(record *batch.Record) bool {
		if len(record.Headers) != 1 || record.Headers[0].Name != "kinesis.explicit-hash-key" || string(record.Headers[0].Value) != "42" {
			t.Errorf("headers are %+v", record.Headers)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
}

// versionOne is a number in a layout of old, of a record that arrived in shard 0 at t.
func versionOne(t time.Time) string {
	return hexadecimal("2", fmt.Sprintf("%09x", t.Unix()), "0", "00", fmt.Sprintf("%09x", t.Unix()), "00000000000000", "00", "00000000", "1")
}

func TestPutRefuses(t *testing.T) {
	r := newRig(t)
	r.create("s", 1)
	ahead, high := versionOne(rigStart.Add(time.Second)), hexadecimal("2", "000000000", "0", "8000000000000000", "00", "000000000", "00000000", "2")
	put := func(change func(*api.PutRecordInput)) *api.PutRecordInput {
		in := &api.PutRecordInput{StreamName: new("s"), PartitionKey: new("k"), Data: []byte("v")}
		change(in)
		return in
	}
	for _, test := range []struct {
		change func(*api.PutRecordInput)
		want   string
	}{
		{func(in *api.PutRecordInput) { in.StreamName = new("none") }, "ResourceNotFoundException: Stream none under account 000000000000 not found."},
		{func(in *api.PutRecordInput) { in.StreamName = nil }, "InvalidArgumentException: Either StreamName or StreamARN should be provided."},
		{
			func(in *api.PutRecordInput) { in.StreamARN = new("arn:aws:kinesis:us-east-1:111111111111:stream/s") },
			"ResourceNotFoundException: Stream s under account 111111111111 not found.",
		},
		{
			func(in *api.PutRecordInput) { in.PartitionKey = nil },
			"ValidationException: 1 validation error detected: Value null at 'partitionKey' failed to satisfy constraint: Member must not be null",
		},
		{
			func(in *api.PutRecordInput) { in.ExplicitHashKey = new("340282366920938463463374607431768211456") },
			"InvalidArgumentException: Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was 340282366920938463463374607431768211456",
		},
		{
			func(in *api.PutRecordInput) { in.SequenceNumberForOrdering = &ahead },
			"InvalidArgumentException: ExclusiveMinimumSequenceNumber " + ahead + " used in PutRecord on stream s under account 000000000000 is invalid.",
		},
		{
			func(in *api.PutRecordInput) { in.SequenceNumberForOrdering = &high },
			"InvalidArgumentException: ExclusiveMinimumSequenceNumber " + high + " used in PutRecord on stream s under account 000000000000 is invalid.",
		},
		{
			func(in *api.PutRecordInput) { in.Data = make([]byte, 1<<20) },
			"ValidationException: 1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=1048576 cap=1048576]' at 'data' failed to satisfy constraint: " +
				"Member must have length less than or equal to 1048575",
		},
		{
			func(in *api.PutRecordInput) { in.Data = make([]byte, 1<<20+1) },
			"ValidationException: 1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=1048577 cap=1048577]' at 'data' failed to satisfy constraint: " +
				"Member must have length less than or equal to 1048576",
		},
		{func(in *api.PutRecordInput) { in.DryRun = new(true) }, "DryRunOperationException: *"},
	} {
		refused(r, r.putRecord, put(test.change), test.want)
	}
	for _, older := range []string{"0", "5", hexadecimal("2" + strings.Repeat("0", 45) + "1"), versionOne(rigStart)} {
		must(r, r.putRecord, put(func(in *api.PutRecordInput) { in.SequenceNumberForOrdering = &older }))
	}
	must(r, r.putRecord, put(func(in *api.PutRecordInput) { in.SequenceNumberForOrdering = r.put("s", "k", "v").SequenceNumber }))
	keyless := &api.PutRecordsInput{StreamName: new("s"), Records: []api.PutRecordsRequestEntry{{Data: []byte{}}, {Data: []byte{}, PartitionKey: new("k")}, {Data: []byte{}}}}
	refused(r, r.putRecords, keyless, "ValidationException: 2 validation errors detected: Value null at 'records.1.member.partitionKey' failed to satisfy constraint: "+
		"Member must not be null; Value null at 'records.3.member.partitionKey' failed to satisfy constraint: Member must not be null")
	big := &api.PutRecordsInput{StreamName: new("s")}
	for range 11 {
		big.Records = append(big.Records, api.PutRecordsRequestEntry{PartitionKey: new("k"), Data: make([]byte, 1<<20-1)})
	}
	refused(r, r.putRecords, big, "InvalidArgumentException: Records size exceeds 10 MB limit")
	big.Records = big.Records[:10]
	if out := must(r, r.putRecords, big); *out.FailedRecordCount != 0 {
		t.Errorf("%d of 10 large records failed: %s", *out.FailedRecordCount, *out.Records[0].ErrorMessage)
	}
}

// The log's view of a stream that Kafka made bounds records too.
func TestPutToSmallTopic(t *testing.T) {
	r := newRig(t)
	st, err := r.log.Create(t.Context(), stream.Spec{Name: "small", Shards: 1, Config: stream.Config{MaxBatchBytes: 4096}})
	if err != nil {
		t.Fatal(err)
	}
	refused(r, r.putRecord, &api.PutRecordInput{StreamName: new("small"), PartitionKey: new("k"), Data: make([]byte, 3840)}, "ValidationException: *")
	r.put("small", "k", strings.Repeat("x", 3839))
	in := &api.PutRecordsInput{StreamName: new("small")}
	for range 20 {
		in.Records = append(in.Records, api.PutRecordsRequestEntry{PartitionKey: new("k"), Data: make([]byte, 1000)})
	}
	if out := must(r, r.putRecords, in); *out.FailedRecordCount != 0 {
		t.Errorf("%d failed: %s", *out.FailedRecordCount, *out.Records[0].ErrorMessage)
	}
	if bounds, err := r.log.Bounds(t.Context(), st.Shard(0)); err != nil || bounds.End != 21 {
		t.Errorf("the log ends at %d, %v", bounds.End, err)
	}
}

// A record may be larger than its page; then it is alone in it.
func TestRecordLargerThanItsPage(t *testing.T) {
	r := newRig(t)
	r.create("s", 1)
	for i := range 3 {
		r.put("s", "k", strings.Repeat("x", 200<<10)+fmt.Sprint(i))
	}
	v, err := r.find(t.Context(), r.call, "s")
	if err != nil {
		t.Fatal(err)
	}
	p := r.newPage(&v.shards.all[0], 0, 10, 1000)
	for i := range 3 {
		behind, err := r.fill(t.Context(), v, p)
		if err != nil || len(p.records) != 1 || p.next != stream.Offset(i+1) || (behind > 0) != (i < 2) {
			t.Errorf("page %d has %d records up to %d, behind by %d, %v", i, len(p.records), p.next, behind, err)
		}
		p = r.newPage(&v.shards.all[0], p.next, 10, 1000)
	}
}
