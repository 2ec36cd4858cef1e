package engine

import (
	"encoding/binary"
	"fmt"

	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
)

// Changes are encoded as signed varints, strings with their length before them, and shards as stream id and index.

func appendInt(dst []byte, v int64) []byte { return binary.AppendVarint(dst, v) }

func appendString(dst []byte, s string) []byte {
	return append(appendInt(dst, int64(len(s))), s...)
}

func appendShard(dst []byte, s stream.Shard) []byte {
	return appendInt(append(dst, s.Stream[:]...), int64(s.Index))
}

// reader takes values off b; after the first failure it returns zeros.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(reason string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", format.ErrFormat, reason)
	}
	r.b = nil
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail("bytes end within a number")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail("bytes end within a value")
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) string() string {
	n := r.int()
	if n < 0 || n > int64(len(r.b)) {
		r.fail("bytes end within a string")
		return ""
	}
	return string(r.bytes(int(n)))
}

// count reads the number of values that follow, of at least size bytes each.
func (r *reader) count(size int) int {
	n := r.int()
	if n < 0 || n > int64(len(r.b)/size) {
		r.fail("more values than bytes")
		return 0
	}
	return int(n)
}

func (r *reader) shard() stream.Shard {
	var s stream.Shard
	copy(s.Stream[:], r.bytes(len(s.Stream)))
	s.Index = int32(r.int())
	return s
}

func (r *reader) rest() []byte { return r.bytes(len(r.b)) }

func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail(fmt.Sprintf("%d bytes too many", len(r.b)))
	}
	return r.err
}
