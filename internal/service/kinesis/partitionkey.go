package kinesis

import (
	"crypto/sha256"
	"encoding/hex"
	"unicode/utf8"
)

// Every Kinesis record has a partition key of 1 to 256 characters; a Kafka record has any bytes, or none. What cannot be shown as it is
// begins with "kafka:": the same key always looks the same, and two different ones differ.
const (
	absentKey        = "kafka:null"    // no key
	emptyKey         = "kafka:empty"   // a key of no bytes
	hexKeyPrefix     = "kafka:hex:"    // and the bytes, if they are not UTF-8 text
	digestKeyPrefix  = "kafka:sha256:" // and the SHA-256 of the bytes, if the key is longer than a partition key can be
	maxPartitionKey  = 256             // characters
	maxHexedKeyBytes = (maxPartitionKey - len(hexKeyPrefix)) / 2
)

// appendPartitionKey appends what a record's key is shown as.
func appendPartitionKey(dst, key []byte) []byte {
	switch {
	case key == nil:
		return append(dst, absentKey...)
	case len(key) == 0:
		return append(dst, emptyKey...)
	case utf8.Valid(key):
		if len(key) <= maxPartitionKey || utf8.RuneCount(key) <= maxPartitionKey {
			return append(dst, key...)
		}
	case len(key) <= maxHexedKeyBytes:
		return hex.AppendEncode(append(dst, hexKeyPrefix...), key)
	}
	sum := sha256.Sum256(key)
	return hex.AppendEncode(append(dst, digestKeyPrefix...), sum[:])
}
