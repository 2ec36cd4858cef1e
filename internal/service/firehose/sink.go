package firehose

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"

	"github.com/freshet/freshet/internal/flow"
	"github.com/freshet/freshet/internal/object"
)

// suffixTime is how the time stands in the second part of an object's key.
const suffixTime = "2006-01-02-15-04-05"

// label is all that decides an object beside its records. It is fixed when the object's batch is planned, so that a later attempt makes
// the same object, also after an update of the destination.
type label struct {
	Bucket    string `json:"bucket"`
	Key       string `json:"key"`
	Gzip      bool   `json:"gzip,omitempty"`
	Delimiter string `json:"delimiter,omitempty"`
}

// label names the object of a batch: prefix, <stream>-<version>-<time>-<uuid>, extension. The time is the arrival of the oldest record.
func (l *layout) label(b *flow.Batch) (string, error) {
	at := b.Oldest.In(l.zone)
	key := fmt.Sprintf("%s%s-%d-%s-%s%s", l.prefix.evaluate(at, b.ID), l.stream, l.version, at.Format(suffixTime), objectUUID(b.ID), l.extension)
	text, err := json.Marshal(label{Bucket: l.bucket, Key: key, Gzip: l.gzip, Delimiter: l.delimiter})
	return string(text), err
}

// objectUUID returns the name-based UUID (RFC 9562, version 5) of a batch.
func objectUUID(batch string) string {
	sum := sha1.Sum([]byte("freshet firehose object " + batch))
	sum[6] = sum[6]&0x0f | 0x50
	sum[8] = sum[8]&0x3f | 0x80
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// sink writes batches as objects; it is the flow.Sink of a delivery stream. Records go from the log through the compressor into the object, so
// that memory does not depend on the size of objects.
type sink struct {
	service *Service
	meter   *meter
}

// Connect implements flow.Sink: an object store has no connection.
func (*sink) Connect(context.Context) error { return nil }

// Close implements flow.Sink.
func (*sink) Close() error { return nil }

// Write implements flow.Sink. A batch without records makes no object.
func (k *sink) Write(ctx context.Context, b *flow.Batch) error {
	var l label
	if err := json.Unmarshal([]byte(b.Label), &l); err != nil {
		return fmt.Errorf("label of batch %s: %w", b.ID, err)
	}
	w := &objectWriter{service: k.service, ctx: ctx, label: &l}
	defer w.abort()
	if err := b.Each(ctx, w.add); err != nil {
		k.meter.failures.Add(1)
		return err
	}
	size, err := w.commit(ctx)
	if err != nil {
		k.meter.failures.Add(1)
		return err
	}
	if w.records > 0 {
		k.meter.objects.Add(1)
		k.meter.deliveredBytes.Add(size)
		k.meter.deliveredRecords.Add(w.records)
	}
	return nil
}

// objectWriter makes one object, which it begins with the first record.
type objectWriter struct {
	service *Service
	ctx     context.Context
	label   *label
	records int64

	object object.Writer // nil before the first record
	zip    *gzip.Writer  // nil if the object is not compressed
	out    io.Writer     // one of them
}

func (w *objectWriter) add(r *flow.Record) error {
	if w.object == nil {
		if err := w.begin(); err != nil {
			return err
		}
	}
	w.records++
	if _, err := w.out.Write(r.Value); err != nil {
		return err
	}
	if w.label.Delimiter == "" {
		return nil
	}
	_, err := io.WriteString(w.out, w.label.Delimiter)
	return err
}

func (w *objectWriter) begin() error {
	var err error
	if w.object, err = w.service.objects.Create(w.ctx, object.Name{Bucket: w.label.Bucket, Key: w.label.Key}); err != nil {
		return err
	}
	w.out = w.object
	if w.label.Gzip {
		pooled, _ := w.service.zips.Get().(*gzip.Writer)
		if pooled == nil {
			pooled = gzip.NewWriter(w.object)
		}
		pooled.Reset(w.object)
		w.zip, w.out = pooled, pooled
	}
	return nil
}

// commit ends the object and returns its size.
func (w *objectWriter) commit(ctx context.Context) (int64, error) {
	if w.object == nil {
		return 0, nil
	}
	if w.zip != nil {
		if err := w.zip.Close(); err != nil {
			return 0, err
		}
	}
	info, err := w.object.Commit(ctx)
	return info.Size, err
}

// abort drops what is not committed, and gives the compressor back.
func (w *objectWriter) abort() {
	if w.object != nil {
		w.object.Abort()
	}
	if w.zip != nil {
		w.zip.Reset(io.Discard)
		w.service.zips.Put(w.zip)
		w.zip = nil
	}
}
