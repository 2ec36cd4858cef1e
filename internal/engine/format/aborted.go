package format

import "github.com/freshet/freshet/internal/stream"

// AbortedSize is the size in bytes of an aborted transaction on disk, in a group and in an index.
//
//	0 producer i64 | 8 first i64 | 16 last i64
const AbortedSize = 24

// AppendAborted appends the bytes of aborted transactions to dst.
func AppendAborted(dst []byte, aborted ...stream.Aborted) []byte {
	for i := range aborted {
		a := &aborted[i]
		dst = le.AppendUint64(dst, uint64(a.ProducerID))
		dst = le.AppendUint64(dst, uint64(a.First))
		dst = le.AppendUint64(dst, uint64(a.Last))
	}
	return dst
}

// ReadAborted reads the payload of a KindAborted entry.
func ReadAborted(b []byte) (stream.Aborted, error) {
	if len(b) != AbortedSize {
		return stream.Aborted{}, wrong("%d bytes are no aborted transaction", len(b))
	}
	a := stream.Aborted{ProducerID: int64(le.Uint64(b)), First: stream.Offset(le.Uint64(b[8:])), Last: stream.Offset(le.Uint64(b[16:]))}
	if a.ProducerID < 0 || a.First < 0 || a.First >= a.Last {
		return a, wrong("an aborted transaction of producer %d from offset %d to %d", a.ProducerID, a.First, a.Last)
	}
	return a, nil
}

// readAborted reads the aborted transactions of the shard that span describes, and checks them.
func readAborted(b []byte, span *Span) ([]stream.Aborted, error) {
	if len(b) == 0 {
		return nil, nil
	}
	aborted := make([]stream.Aborted, 0, len(b)/AbortedSize)
	before, first := span.First-1, span.Next
	for ; len(b) > 0; b = b[AbortedSize:] {
		a, err := ReadAborted(b[:AbortedSize])
		if err != nil {
			return nil, err
		}
		if a.Last <= before || a.Last >= span.Next {
			return nil, wrong("transaction aborted at offset %d does not lie between %d and %d", a.Last, before, span.Next)
		}
		before, first = a.Last, min(first, a.First)
		aborted = append(aborted, a)
	}
	if first != span.FirstAborted {
		return nil, wrong("aborted transactions begin at offset %d, not at %d", first, span.FirstAborted)
	}
	return aborted, nil
}
