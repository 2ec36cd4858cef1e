package firehose

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/freshet/freshet/internal/flow"
)

// aggregate makes an aggregated record as the producer library does.
func aggregate(data ...string) []byte {
	field := func(out []byte, number uint64, value []byte) []byte {
		out = binary.AppendUvarint(out, number<<3|2)
		out = binary.AppendUvarint(out, uint64(len(value)))
		return append(out, value...)
	}
	body := field(nil, 1, []byte("partition key"))
	for _, d := range data {
		record := binary.AppendUvarint(nil, 1<<3)
		record = binary.AppendUvarint(record, 0)
		body = field(body, 3, field(record, 3, []byte(d)))
	}
	sum := md5.Sum(body)
	return slices.Concat(aggregateMagic, body, sum[:])
}

func values(t *testing.T, data []byte) []string {
	t.Helper()
	r := flow.Record{}
	r.Value = data
	var got []string
	err := deaggregate(&r, func(part *flow.Record) error {
		if part.Sub != len(got) {
			t.Errorf("record %d has number %d", len(got), part.Sub)
		}
		got = append(got, string(part.Value))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestDeaggregate(t *testing.T) {
	if got := values(t, aggregate("one", "", "three")); !slices.Equal(got, []string{"one", "", "three"}) {
		t.Errorf("records %q", got)
	}
	if got := values(t, aggregate()); len(got) != 0 {
		t.Errorf("records %q in an aggregate of none", got)
	}
	whole := aggregate("one", "two")
	flipped := bytes.Clone(whole)
	flipped[10] ^= 1
	body := []byte{3<<3 | 2, 200} // a length beyond the end
	sum := md5.Sum(body)
	for name, data := range map[string][]byte{
		"plain": []byte("plain"), "empty": {}, "magic only": aggregateMagic, "cut": whole[:len(whole)-1], "flipped": flipped,
		"not protobuf": slices.Concat(aggregateMagic, body, sum[:]),
	} {
		if got := values(t, data); len(got) != 1 || got[0] != string(data) {
			t.Errorf("%s: records %q, want the one that it is", name, got)
		}
	}
}

func FuzzDeaggregate(f *testing.F) {
	f.Add([]byte("plain"))
	f.Add(aggregate("one", "two")[4:])
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := md5.Sum(body)
		data := slices.Concat(aggregateMagic, body, sum[:])
		total := 0
		for _, v := range values(t, data) {
			total += len(v)
		}
		if total > len(data) {
			t.Fatalf("%d bytes came out of %d", total, len(data))
		}
	})
}
