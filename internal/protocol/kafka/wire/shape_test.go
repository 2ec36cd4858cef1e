package wire

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// clientKeys are the requests that clients send, whether they are served or not.
var clientKeys = []int16{
	0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 28, 29, 30, 31, 32, 33, 35, 36, 37, 42, 43, 44, 45, 46, 47,
	48, 49, 50, 51, 57, 60, 61, 65, 66, 69, 74, 75,
}

// randomRequest fills every field of a request, arrays with up to three elements.
func randomRequest(r *rand.Rand, key, version int16) kmsg.Request {
	req := kmsg.RequestForKey(key)
	fillRandom(r, reflect.ValueOf(req).Elem())
	req.SetVersion(version)
	return req
}

func fillRandom(r *rand.Rand, v reflect.Value) {
	switch {
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "UnknownTags" {
				fillRandom(r, v.Field(i))
			}
		}
	case v.CanInt():
		v.SetInt(int64(int8(r.Uint32())))
	case v.CanUint():
		v.SetUint(uint64(uint8(r.Uint32())))
	case v.Kind() == reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case v.Kind() == reflect.String:
		v.SetString("some text"[:r.IntN(9)])
	case v.Kind() == reflect.Pointer:
		if r.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fillRandom(r, v.Elem())
		}
	case v.Kind() == reflect.Slice:
		n := r.IntN(4)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fillRandom(r, v.Index(i))
		}
	case v.Kind() == reflect.Array:
		for i := range v.Len() {
			fillRandom(r, v.Index(i))
		}
	}
}

func TestShapeOfEveryVersionFitsWhatIsEncoded(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for _, key := range clientKeys {
		for version := range kmsg.RequestForKey(key).MaxVersion() + 1 {
			for range 20 {
				req := randomRequest(r, key, version)
				body := req.AppendTo(nil)
				s, err := shapeOf(req)
				if err != nil {
					t.Fatal(err)
				}
				w := walker{rest: body, flexible: s.flexible}
				if err = w.fields(s.fields); err != nil || len(w.rest) != 0 {
					t.Fatalf("%s v%d: %v, %d of %d bytes left: %+v", kmsg.NameForKey(key), version, err, len(w.rest), len(body), req)
				}
			}
		}
	}
}

func TestNullIsOnlyTakenWhereAnArrayMayBeNull(t *testing.T) {
	null := []byte{0xff, 0xff, 0xff, 0xff}
	for name, row := range map[string]struct {
		key     kmsg.Key
		version int16
		body    []byte
		want    error
	}{
		"Metadata v0":                     {kmsg.Metadata, 0, null, errNull},
		"Metadata v1":                     {kmsg.Metadata, 1, null, nil},
		"DescribeGroups v0":               {kmsg.DescribeGroups, 0, null, errNull},
		"DescribeGroups v5":               {kmsg.DescribeGroups, 5, []byte{0, 0, 0}, errNull},
		"OffsetFetch v1":                  {kmsg.OffsetFetch, 1, append([]byte{0, 1, 'g'}, null...), errNull},
		"OffsetFetch v2":                  {kmsg.OffsetFetch, 2, append([]byte{0, 1, 'g'}, null...), nil},
		"names in DescribeConfigs v1":     {kmsg.DescribeConfigs, 1, append([]byte{0, 0, 0, 1, 2, 0, 1, 't'}, append(null, 0)...), nil},
		"partitions in OffsetFetch v1":    {kmsg.OffsetFetch, 1, append([]byte{0, 1, 'g', 0, 0, 0, 1, 0, 1, 't'}, null...), errNull},
		"no partitions in OffsetFetch v1": {kmsg.OffsetFetch, 1, []byte{0, 1, 'g', 0, 0, 0, 1, 0, 1, 't', 0, 0, 0, 0}, nil},
	} {
		req := kmsg.RequestForKey(row.key.Int16())
		req.SetVersion(row.version)
		if _, err := measure(req, row.body); !errors.Is(err, row.want) {
			t.Errorf("%s: %v, want %v", name, err, row.want)
		}
	}
}

func TestHostileArrayLengthsAllocateNothing(t *testing.T) {
	for _, key := range clientKeys {
		for version := range kmsg.RequestForKey(key).MaxVersion() + 1 {
			req := kmsg.RequestForKey(key)
			req.SetVersion(version)
			// Every byte may begin an array; 0x00ffffff and its uvarint kin claim 16 million elements, and the body has bytes for them.
			for _, pattern := range [][]byte{{0x00, 0xff, 0xff, 0xff}, {0xff, 0xff, 0xff, 0x07}, {0x00, 0x00, 0x00, 0x01}, {0x01}, {0x02}, {0x00}} {
				body := bytes.Repeat(pattern, 1<<20/len(pattern))
				memory, err := measure(req, body)
				if err == nil && memory > 64*int64(len(body)) {
					t.Errorf("%s v%d: %d bytes decode to %d", kmsg.NameForKey(key), version, len(body), memory)
				}
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, key := range clientKeys {
		for version := range kmsg.RequestForKey(key).MaxVersion() + 1 {
			f.Add(key, version, randomRequest(r, key, version).AppendTo(nil))
		}
	}
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		req := kmsg.RequestForKey(key)
		known := false
		for _, k := range clientKeys {
			known = known || k == key
		}
		if req == nil || !known || version < 0 || version > req.MaxVersion() {
			return
		}
		r := Request{Key: key, Version: version, Body: body}
		if err := r.Decode(context.Background(), req); err != nil {
			return
		}
		// What was decoded is encoded and decoded again to the same.
		once := req.AppendTo(nil)
		again := kmsg.RequestForKey(key)
		r.Body = once
		if err := r.Decode(context.Background(), again); err != nil {
			t.Fatalf("%s v%d: decode what was encoded: %v", kmsg.NameForKey(key), version, err)
		}
		if twice := again.AppendTo(nil); !bytes.Equal(once, twice) {
			t.Fatalf("%s v%d: %x, then %x", kmsg.NameForKey(key), version, once, twice)
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte{0, 3, 0, 12, 0, 0, 0, 1, 0xff, 0xff, 0}, true)
	f.Add([]byte{0, 18, 0, 3, 0, 0, 0, 1, 0, 2, 'i', 'd', 2, 0, 1, 7, 9, 0}, true)
	f.Add([]byte{0, 1, 0, 4, 0, 0, 0, 1, 0, 9, 'i', 'd'}, false)
	f.Fuzz(func(t *testing.T, frame []byte, flexible bool) {
		r, err := parseHeader(frame, func(int16, int16) bool { return flexible }, func(b []byte) string { return string(b) })
		if err == nil && 10+len(r.ClientID)+len(r.Body) > len(frame) {
			t.Fatalf("header %+v of %d bytes", r, len(frame))
		}
		if err == nil && r.CorrelationID != int32(binary.BigEndian.Uint32(frame[4:])) {
			t.Fatalf("correlation id %d", r.CorrelationID)
		}
	})
}
