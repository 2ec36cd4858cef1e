package codec

import (
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"github.com/segmentio/asm/base64"
)

// strictBase64 refuses bits behind the last byte. It uses vector instructions where there are some: blobs are most of what clients send, and
// the standard library takes several times as long for a kilobyte.
var strictBase64 = base64.StdEncoding.Strict()

// appendBase64 appends the encoding of blob.
func appendBase64(dst, blob []byte) []byte {
	n := strictBase64.EncodedLen(len(blob))
	dst = slices.Grow(dst, n)
	strictBase64.Encode(dst[len(dst):len(dst)+n], blob)
	return dst[:len(dst)+n]
}

// base64 decodes a blob.
func (s *slab) base64(text string) ([]byte, error) {
	if text == "" {
		return []byte{}, nil // present, unlike nil
	}
	out := s.take(strictBase64.DecodedLen(len(text)))
	n, err := strictBase64.Decode(out[:cap(out)], unsafe.Slice(unsafe.StringData(text), len(text)))
	// The library skips line ends, which AWS does not: then n falls short of what the length promises.
	if padding := len(text) - len(strings.TrimRight(text, "=")); err == nil && len(text)%4 == 0 && n == len(text)/4*3-padding {
		return out[:n:n], nil
	}
	return nil, base64Fault(text)
}

// base64Fault says what is wrong with a text that is not base64.
func base64Fault(text string) error {
	prefix := quoteValue(text) + " can not be converted to a Blob: "
	if len(text)%4 != 0 {
		return &SerializationError{fmt.Sprintf("%sBase64 encoded length is expected a multiple of 4 bytes but found: %d", prefix, len(text))}
	}
	for i := range len(text) {
		c := text[i]
		inner := c == '=' && i+1 < len(text) && text[i+1] != '='
		if inner || c != '=' && !strings.ContainsRune(base64Alphabet, rune(c)) {
			return &SerializationError{fmt.Sprintf("%sInvalid Base64 character: '%c'", prefix, c)}
		}
	}
	return &SerializationError{prefix + "Invalid last non-pad Base64 character dectected"}
}

const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
