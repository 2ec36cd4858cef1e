package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/protocol/kafka/refusal"
	"github.com/freshet/freshet/internal/stream"
)

// zstdProduce is the first version of Produce whose clients may send zstd (KIP-110).
const zstdProduce = 7

// checkBatch checks the records of one partition in a Produce request, and corrects their batch's largest timestamp. The log looks at the checksum
// of what passes; of what does not it is looked at here, since bytes damaged on the way may seem to be anything: a client gives up a batch that is
// wrong, and sends one that is damaged again.
func (s *Server) checkBatch(ctx context.Context, st *stream.Stream, b []byte, version int16, named bool) error {
	h, err := checkHeader(b, version, named)
	if err == nil {
		err = s.checkRecords(ctx, st, b, &h)
	}
	if err != nil {
		var fault *batch.Error
		if _, damage := batch.Verify(b); errors.As(damage, &fault) && fault.Fault == batch.Checksum {
			return damage
		}
	}
	return err
}

// checkHeader checks what a log does not: that the records of one partition in a Produce request are one batch that a client may send. The log
// checks the rest of the header. named says that the request has a transactional id, without which nothing is part of a transaction.
func checkHeader(b []byte, version int16, named bool) (batch.Header, error) {
	h, err := batch.Parse(b)
	if err != nil {
		if size, ok := batch.Size(b); ok && size > len(b) || len(b) < batch.Prefix {
			return h, refuse(kerr.InvalidRecord, "a partition takes exactly one record batch, not %d bytes of one", len(b))
		}
		return h, err
	}
	switch {
	case int(h.Length) != len(b):
		return h, refuse(kerr.InvalidRecord, "a partition takes exactly one record batch: %d bytes follow one of %d", len(b)-int(h.Length), h.Length)
	case h.BaseOffset != 0:
		return h, refuse(kerr.InvalidRecord, "a producer's batch has base offset 0, not %d: the log assigns offsets", h.BaseOffset)
	case h.Attributes.Control():
		return h, refuse(kerr.InvalidRecord, "clients may not write control batches")
	case h.Attributes.Transactional() && !named:
		return h, errTransactionalDenied // as Apache Kafka says it of an id that is not there
	case h.Attributes.LogAppendTime():
		return h, refuse(kerr.InvalidTimestamp, "producers may not set the timestamp type LogAppendTime")
	case h.Attributes.Codec() == batch.Zstd && version < zstdProduce:
		return h, refuse(kerr.UnsupportedCompressionType, "zstd needs Produce v%d, not v%d", zstdProduce, version)
	case h.Records <= 0 || h.Records-1 != h.LastOffsetDelta:
		return h, refuse(kerr.InvalidRecord, "%d records do not fit last offset delta %d", h.Records, h.LastOffsetDelta)
	}
	return h, nil
}

// checkRecords checks the records of a batch, those that are compressed only if something asks for it: the topic, or a header that must not be
// trusted with how long the records are kept.
func (s *Server) checkRecords(ctx context.Context, st *stream.Stream, b []byte, h *batch.Header) error {
	c, now, latest := &st.Config, s.clock.Now(), h.MaxTimestamp
	timed := c.Timestamps == stream.CreateTime
	each := compacted(st) || timed && timesBounded(c)
	if h.Attributes.Codec() == batch.None {
		most, at, ok := walkRecords(b[batch.HeaderSize:], h.Records)
		if !ok {
			return refuse(kerr.InvalidRecord, "record %d of %d cannot be read", at, h.Records)
		}
		latest = h.BaseTimestamp + most
		each = each || timed && !timeAllowed(c, latest, now)
	} else {
		each = each || timed && !plausible(h, now)
	}
	if each {
		var err error
		if latest, err = s.checkEach(ctx, st, b, now); err != nil {
			return err
		}
	}
	if !timed || latest == h.MaxTimestamp {
		return nil
	}
	if _, err := batch.Verify(b); err != nil {
		return err // before a new checksum hides it
	}
	batch.SetMaxTimestamp(b, latest)
	return nil
}

// trusted is how far from the server's time the largest timestamp of a compressed batch may be without its records being looked at.
const trusted = time.Hour

// plausible says whether a header's largest timestamp is the records' for all that it shows. There are clients that write the last one's or none,
// and a log that believed them would delete what is new as old, or miss it in searches by time.
func plausible(h *batch.Header, now time.Time) bool {
	return h.MaxTimestamp >= h.BaseTimestamp && now.Sub(time.UnixMilli(h.MaxTimestamp)).Abs() <= trusted
}

// maxPlain bounds the memory of records that are decompressed at the same time, to be looked at one by one.
const maxPlain = 2 * batch.DefaultMaxDecompressed

// checkEach checks record by record what the topic asks of each: that it has a key, if the topic is compacted, and that its timestamp is within the
// topic's bounds. It returns the largest timestamp. Compressed records wait for memory to be decompressed in.
func (s *Server) checkEach(ctx context.Context, st *stream.Stream, b []byte, now time.Time) (latest int64, err error) {
	keyed, timed := compacted(st), st.Config.Timestamps == stream.CreateTime
	if h, err := batch.Parse(b); err == nil && h.Attributes.Codec() != batch.None {
		if err = s.plain.Take(ctx, batch.DefaultMaxDecompressed); err != nil {
			return 0, err
		}
		defer s.plain.Give(batch.DefaultMaxDecompressed)
	}
	noKey := badRecords{kind: kerr.InvalidRecord, reason: "a compacted topic takes no record without key"}
	badTime := badRecords{kind: kerr.InvalidTimestamp, reason: "the topic takes no timestamp so far from the server's time"}
	latest, n := int64(math.MinInt64), int32(0)
	err = batch.Records(b, 0, func(r *batch.Record) bool {
		if keyed && r.Key == nil {
			noKey.at = append(noKey.at, n)
		}
		if timed && !timeAllowed(&st.Config, r.Timestamp, now) {
			badTime.at = append(badTime.at, n)
		}
		latest = max(latest, r.Timestamp)
		n++
		return len(noKey.at) < maxBadRecords && len(badTime.at) < maxBadRecords
	})
	switch {
	case err != nil:
		return 0, err
	case badTime.at != nil:
		return 0, &badTime
	case noKey.at != nil:
		return 0, &noKey
	}
	return latest, nil
}

// timesBounded says whether the topic bounds producers' timestamps otherwise than by default.
func timesBounded(c *stream.Config) bool {
	return c.TimestampBefore > 0 || c.TimestampAfter > 0 && c.TimestampAfter != defaultTimestampAfter
}

func timeAllowed(c *stream.Config, ms int64, now time.Time) bool {
	return ms == noTimestamp ||
		(c.TimestampBefore == 0 || ms >= now.Add(-c.TimestampBefore).UnixMilli()) &&
			(c.TimestampAfter == 0 || ms <= now.Add(c.TimestampAfter).UnixMilli())
}

// noTimestamp is the timestamp of a record that has none.
const noTimestamp = -1

// maxBadRecords bounds the records of a batch that an answer names.
const maxBadRecords = 100

// badRecords refuses a batch for some of its records.
type badRecords struct {
	kind   *kerr.Error
	reason string  // the same for each
	at     []int32 // their places in the batch, ascending
}

// Error names the first of the records, for the log.
func (e *badRecords) Error() string { return fmt.Sprintf("record %d: %s", e.at[0], e.reason) }

// Unwrap is what clients are told of the whole batch.
func (e *badRecords) Unwrap() error { return &refusal.Error{Kind: e.kind, Reason: e.reason} }

// walkRecords reads the n records in b without looking at keys, values or headers beyond their lengths, and returns the largest timestamp delta.
// If one is malformed, or bytes are left over, it returns which, and false. Layout: see batch.Records. Varints are compared as they are on the wire,
// in zigzag form: 2n for n >= 0, 1 for -1, which is null.
func walkRecords(b []byte, n int32) (latest int64, at int32, ok bool) {
	latest = math.MinInt64
	p := 0
	for i := range n {
		size, from := zigzag(b, p)
		if from < 0 || size&1 != 0 || size == 0 || size>>1 > uint64(len(b)-from) {
			return 0, i, false
		}
		p = from + int(size>>1)
		time, rest := zigzag(b[:p], from+1) // behind the attributes
		if rest < 0 || !walkRecord(b[:p], rest, uint64(i)<<1) {
			return 0, i, false
		}
		latest = max(latest, int64(time>>1)^-int64(time&1))
	}
	return latest, n, p == len(b)
}

// walkRecord reads the record that ends where b does, from its offset delta at p on.
func walkRecord(b []byte, p int, delta uint64) bool {
	d, p := zigzag(b, p)
	if p < 0 || d != delta {
		return false
	}
	if p = skipField(b, p); p < 0 {
		return false
	}
	if p = skipField(b, p); p < 0 {
		return false
	}
	headers, p := zigzag(b, p)
	if p < 0 || headers&1 != 0 || headers>>1 > uint64(len(b)) {
		return false
	}
	for range headers >> 1 {
		if name, _ := zigzag(b, p); name == null {
			return false
		}
		if p = skipField(b, p); p < 0 {
			return false
		}
		if p = skipField(b, p); p < 0 {
			return false
		}
	}
	return p == len(b)
}

const null = 1

// skipField skips a length and that many bytes, none for null. It returns where they end, -1 if b is shorter.
func skipField(b []byte, p int) int {
	size, p := zigzag(b, p)
	if p < 0 || size == null {
		return p
	}
	if size&1 != 0 || size>>1 > uint64(len(b)-p) {
		return -1
	}
	return p + int(size>>1)
}

// zigzag reads a varint at p and returns where it ends, -1 if it does not. It is small enough to be inlined, for the many of one byte.
func zigzag(b []byte, p int) (uint64, int) {
	if p < len(b) && b[p] < 0x80 {
		return uint64(b[p]), p + 1
	}
	return longZigzag(b, p)
}

func longZigzag(b []byte, p int) (uint64, int) {
	if p+1 < len(b) && b[p+1] < 0x80 {
		return uint64(b[p]&0x7f) | uint64(b[p+1])<<7, p + 2
	}
	v, n := binary.Uvarint(b[min(p, len(b)):])
	if n <= 0 {
		return 0, -1
	}
	return v, p + n
}
