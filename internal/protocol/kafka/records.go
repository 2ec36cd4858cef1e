package kafka

import (
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/batch"
)

// zstdProduce is the first version of Produce whose clients may send zstd (KIP-110), zstdFetch of Fetch whose clients understand it.
const (
	zstdProduce = 7
	zstdFetch   = 10
)

// checkRecords checks what a log does not: that the records of one partition in a Produce request are one batch that a client may send, and that
// those that are not compressed can be read. The log checks the rest of the header and the checksum; compressed records are trusted by it.
func checkRecords(b []byte, version int16, needKeys bool) error {
	h, err := batch.Parse(b)
	if err != nil {
		return err
	}
	codec := h.Attributes.Codec()
	switch {
	case int(h.Length) != len(b):
		return refuse(kerr.InvalidRecord, "a partition takes exactly one record batch: %d bytes follow one of %d", len(b)-int(h.Length), h.Length)
	case h.Attributes.Control():
		return refuse(kerr.InvalidRecord, "clients may not write control batches")
	case h.Attributes.Transactional():
		return refuse(kerr.InvalidTxnState, "transactions are not supported")
	case h.Attributes.LogAppendTime():
		return refuse(kerr.InvalidTimestamp, "producers may not set the timestamp type LogAppendTime")
	case codec == batch.Zstd && version < zstdProduce:
		return refuse(kerr.UnsupportedCompressionType, "zstd needs Produce v%d, not v%d", zstdProduce, version)
	case h.Records <= 0 || h.Records-1 != h.LastOffsetDelta:
		return refuse(kerr.InvalidRecord, "%d records do not fit last offset delta %d", h.Records, h.LastOffsetDelta)
	}
	if codec == batch.None {
		if at, ok := walkRecords(b[batch.HeaderSize:], h.Records); !ok {
			if _, err = batch.Verify(b); err != nil {
				return err // damaged on the way: the client sends it again
			}
			return refuse(kerr.InvalidRecord, "record %d of %d cannot be read", at, h.Records)
		}
	}
	if needKeys {
		return checkKeys(b)
	}
	return nil
}

// checkKeys checks that every record has a key.
func checkKeys(b []byte) error {
	n, missing := 0, -1
	err := batch.Records(b, 0, func(r *batch.Record) bool {
		if r.Key == nil {
			missing = n
			return false
		}
		n++
		return true
	})
	if err == nil && missing >= 0 {
		return refuse(kerr.InvalidRecord, "record %d has no key, which a compacted topic needs", missing)
	}
	return err
}

// walkRecords reads the n records in b without looking at keys, values or headers beyond their lengths. If one is malformed, or bytes are left
// over, it returns which, and false. Layout: see batch.Records.
func walkRecords(b []byte, n int32) (at int32, ok bool) {
	for i := range n {
		size, m := varint(b)
		if m <= 0 || size <= 0 || size > int64(len(b)-m) {
			return i, false
		}
		end := m + int(size)
		if !walkRecord(b[m:end], int64(i)) {
			return i, false
		}
		b = b[end:]
	}
	return n, len(b) == 0
}

func walkRecord(b []byte, delta int64) bool {
	_, n := varint(b[1:]) // behind the attributes: the timestamp delta
	if n <= 0 {
		return false
	}
	b = b[1+n:]
	d, n := varint(b)
	if n <= 0 || d != delta {
		return false
	}
	b, ok := skipField(b[n:], -1)
	if !ok {
		return false
	}
	if b, ok = skipField(b, -1); !ok {
		return false
	}
	headers, n := varint(b)
	if n <= 0 || headers < 0 || headers > int64(len(b)) {
		return false
	}
	b = b[n:]
	for range headers {
		if b, ok = skipField(b, 0); !ok {
			return false
		}
		if b, ok = skipField(b, -1); !ok {
			return false
		}
	}
	return len(b) == 0
}

// skipField skips a varint length of at least least, -1 standing for null, and that many bytes.
func skipField(b []byte, least int64) ([]byte, bool) {
	size, n := varint(b)
	if n <= 0 || size < least || size > int64(len(b)-n) {
		return nil, false
	}
	return b[n+int(max(size, 0)):], true
}

// varint is binary.Varint, quicker for the many that have one byte.
func varint(b []byte) (int64, int) {
	if len(b) > 0 && b[0] < 0x80 {
		return int64(b[0]>>1) ^ -int64(b[0]&1), 1
	}
	return binary.Varint(b)
}
