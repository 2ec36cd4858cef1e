package kafka

import "encoding/binary"

// appendLength appends the length of an array or of bytes, -1 for null.
func appendLength(b []byte, n int, flexible bool) []byte {
	if flexible {
		return binary.AppendUvarint(b, uint64(n+1))
	}
	return binary.BigEndian.AppendUint32(b, uint32(n))
}

func appendText(b []byte, s string, flexible bool) []byte {
	if flexible {
		b = binary.AppendUvarint(b, uint64(len(s)+1))
	} else {
		b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	}
	return append(b, s...)
}

// appendNullableText appends s, or null for nil.
func appendNullableText(b []byte, s *string, flexible bool) []byte {
	switch {
	case s != nil:
		return appendText(b, *s, flexible)
	case flexible:
		return append(b, 0)
	}
	return append(b, 0xff, 0xff)
}

// appendNoTags appends an empty section of tagged fields, which flexible versions have.
func appendNoTags(b []byte, flexible bool) []byte {
	if flexible {
		return append(b, 0)
	}
	return b
}
