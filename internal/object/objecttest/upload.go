package objecttest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/freshet/freshet/internal/object"
)

func testUpload(t *testing.T, s object.Store) {
	big := bytes.Repeat([]byte("0123456789abcdef"), object.MinPartBytes/16)
	id, err := s.StartUpload(t.Context(), name("up/load"))
	if err != nil {
		t.Fatal(err)
	}
	parts := make([]object.Part, 3)
	for _, p := range []struct {
		at, number int
		data       []byte
	}{{2, 10_000, []byte("end")}, {0, 1, []byte("replaced")}, {1, 7, big}, {0, 1, big}} {
		if parts[p.at], err = s.PutPart(t.Context(), name("up/load"), id, p.number, bytes.NewReader(p.data)); err != nil {
			t.Fatalf("part %d: %v", p.number, err)
		}
		if parts[p.at].Number != p.number || parts[p.at].Size != int64(len(p.data)) {
			t.Fatalf("part %d of %d bytes is %+v", p.number, len(p.data), parts[p.at])
		}
	}
	if _, err := s.PutPart(t.Context(), name("up/load"), id, 8, bytes.NewReader([]byte("unused"))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(t.Context(), name("up/load")); !errors.Is(err, object.ErrNotFound) {
		t.Fatalf("stat before completion: %v", err)
	}
	if keys := Keys(t, s, bucket, object.Query{}); len(keys) != 0 {
		t.Fatalf("listed before completion: %q", keys)
	}
	info, err := s.CompleteUpload(t.Context(), name("up/load"), id, parts)
	if err != nil || info.Size != int64(2*len(big)+3) || info.Name != name("up/load") {
		t.Fatalf("complete: %+v, %v", info, err)
	}
	if got := Get(t, s, name("up/load")); !bytes.Equal(got, bytes.Join([][]byte{big, big, []byte("end")}, nil)) {
		t.Fatalf("%d bytes are not the parts", len(got))
	}
	_, err = s.CompleteUpload(t.Context(), name("up/load"), id, parts)
	expect(t, err, object.ErrNoUpload, "second completion")
	expect(t, s.AbortUpload(t.Context(), name("up/load"), id), object.ErrNoUpload, "abort after completion")
}

func testUploadErrors(t *testing.T, s object.Store) {
	n := name("u")
	id, err := s.StartUpload(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	small, err := s.PutPart(t.Context(), n, id, 1, bytes.NewReader([]byte("small")))
	if err != nil {
		t.Fatal(err)
	}
	last, err := s.PutPart(t.Context(), n, id, 2, bytes.NewReader(nil))
	if err != nil {
		t.Fatal(err)
	}
	wrong := last
	wrong.ETag += "0"
	for what, parts := range map[string][]object.Part{
		"no parts": nil, "small part": {small, last}, "descending": {last, small}, "twice": {last, last},
		"unknown": {{Number: 3, ETag: "00"}}, "other bytes": {wrong},
	} {
		_, err := s.CompleteUpload(t.Context(), n, id, parts)
		expect(t, err, object.ErrInvalid, what)
	}
	for _, number := range []int{0, -1, object.MaxParts + 1} {
		_, err := s.PutPart(t.Context(), n, id, number, bytes.NewReader(nil))
		expect(t, err, object.ErrInvalid, "part number")
	}
	for _, other := range []string{"", "..", "nothing", "../" + id, id + "0"} {
		_, err := s.PutPart(t.Context(), n, other, 1, bytes.NewReader(nil))
		expect(t, err, object.ErrNoUpload, "part of "+other)
		expect(t, s.AbortUpload(t.Context(), n, other), object.ErrNoUpload, "abort of "+other)
	}
	_, err = s.PutPart(t.Context(), name("v"), id, 1, bytes.NewReader(nil))
	expect(t, err, object.ErrNoUpload, "part for another key")
	if err := s.AbortUpload(t.Context(), n, id); err != nil {
		t.Fatal(err)
	}
	_, err = s.CompleteUpload(t.Context(), n, id, []object.Part{small})
	expect(t, err, object.ErrNoUpload, "completion after abort")
	if keys := Keys(t, s, bucket, object.Query{}); len(keys) != 0 {
		t.Fatalf("an aborted upload left %q", keys)
	}
}
