package firehose

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"

	"github.com/freshet/freshet/internal/flow"
)

// An aggregated record of the Kinesis Producer Library is
//
//	f3 89 9a c2 | protobuf AggregatedRecord | MD5 of the protobuf, 16 bytes
//
//	AggregatedRecord: 1 string partition_key_table*, 2 string explicit_hash_key_table*, 3 Record records*
//	Record:           1 uint64 partition_key_index, 2 uint64 explicit_hash_key_index, 3 bytes data, 4 Tag tags*
//
// Source: aggregation-format.md of the library. What has another form is a plain record.
var aggregateMagic = []byte{0xf3, 0x89, 0x9a, 0xc2}

// deaggregate is the flow.Transform that makes the user's records of an aggregated one.
func deaggregate(r *flow.Record, emit func(*flow.Record) error) error {
	values, ok := userRecords(r.Value)
	if !ok {
		return emit(r)
	}
	part := *r
	for part.Sub, part.Value = range values {
		if err := emit(&part); err != nil {
			return err
		}
	}
	return nil
}

// userRecords returns the data of the records in an aggregated one, which share its memory; ok is false for a plain record.
func userRecords(data []byte) (values [][]byte, ok bool) {
	if len(data) <= len(aggregateMagic)+md5.Size || !bytes.HasPrefix(data, aggregateMagic) {
		return nil, false
	}
	body, sum := data[len(aggregateMagic):len(data)-md5.Size], data[len(data)-md5.Size:]
	if got := md5.Sum(body); !bytes.Equal(got[:], sum) {
		return nil, false
	}
	ok = fields(body, func(number uint64, value []byte) bool {
		if number != 3 {
			return true
		}
		user, has := []byte(nil), false
		whole := fields(value, func(number uint64, value []byte) bool {
			if number == 3 {
				user, has = value, true
			}
			return true
		})
		values = append(values, user)
		return whole && has
	})
	return values, ok
}

// fields visits the length-delimited fields of a protobuf message and skips the others; false means that it is none, or that visit said so.
func fields(message []byte, visit func(number uint64, value []byte) bool) bool {
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		if n <= 0 || tag>>3 == 0 {
			return false
		}
		message = message[n:]
		switch tag & 7 {
		case 0: // varint
			if _, n = binary.Uvarint(message); n <= 0 {
				return false
			}
		case 1: // 64 bits
			n = 8
		case 5: // 32 bits
			n = 4
		case 2: // length-delimited
			size, m := binary.Uvarint(message)
			if m <= 0 || size > uint64(len(message)-m) {
				return false
			}
			n = m + int(size)
			if !visit(tag>>3, message[m:n:n]) {
				return false
			}
		default:
			return false
		}
		if n > len(message) {
			return false
		}
		message = message[n:]
	}
	return true
}
