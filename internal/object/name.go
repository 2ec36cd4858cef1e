package object

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// MaxKeyBytes is the longest key.
const MaxKeyBytes = 1024

// Name addresses an object.
type Name struct {
	Bucket string
	Key    string
}

// String returns the name as an S3 URI.
func (n Name) String() string { return "s3://" + n.Bucket + "/" + n.Key }

// Check returns ErrInvalid with a reason if n cannot name an object.
func (n Name) Check() error {
	if err := CheckBucket(n.Bucket); err != nil {
		return err
	}
	if n.Key == "" || len(n.Key) > MaxKeyBytes {
		return fmt.Errorf("%w: key of %d bytes must have 1 to %d", ErrInvalid, len(n.Key), MaxKeyBytes)
	}
	if !utf8.ValidString(n.Key) {
		return fmt.Errorf("%w: key %q is not UTF-8", ErrInvalid, n.Key)
	}
	return nil
}

// CheckBucket returns ErrInvalid with a reason if bucket cannot name a general-purpose S3 bucket: 3..63 of [a-z0-9.-], ends and dotted
// parts being letters or digits at their ends, and not in the form of an IPv4 address.
func CheckBucket(bucket string) error {
	if len(bucket) < 3 || len(bucket) > 63 {
		return fmt.Errorf("%w: bucket name %q must have 3 to 63 characters", ErrInvalid, bucket)
	}
	for _, c := range []byte(bucket) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' {
			return fmt.Errorf("%w: bucket name %q may only have lower-case letters, digits, '.' and '-'", ErrInvalid, bucket)
		}
	}
	if strings.Trim(bucket, ".-") != bucket || strings.Contains(bucket, "..") {
		return fmt.Errorf("%w: bucket name %q must begin and end with a letter or digit and have no \"..\"", ErrInvalid, bucket)
	}
	if _, err := netip.ParseAddr(bucket); err == nil {
		return fmt.Errorf("%w: bucket name %q is an IP address", ErrInvalid, bucket)
	}
	return nil
}

// PageLimit returns how many objects a query wants. ErrInvalid if it cannot be.
func (q Query) PageLimit() (int, error) {
	switch {
	case q.Limit == 0:
		return MaxPage, nil
	case q.Limit < 0 || q.Limit > MaxPage:
		return 0, fmt.Errorf("%w: limit %d must be between 1 and %d", ErrInvalid, q.Limit, MaxPage)
	}
	return q.Limit, nil
}

// Extent returns where a Get of length bytes from from ends in an object of size bytes. ErrInvalid, ErrRange.
func Extent(size, from, length int64) (end int64, err error) {
	switch {
	case from < 0:
		return 0, fmt.Errorf("%w: range begins at %d", ErrInvalid, from)
	case from > size:
		return 0, fmt.Errorf("%w: it begins at %d of %d bytes", ErrRange, from, size)
	case length < 0 || length > size-from:
		return size, nil
	}
	return from + length, nil
}

// CheckParts returns ErrInvalid with a reason if parts cannot complete an upload: none, not ascending, or one but the last too small.
func CheckParts(parts []Part) error {
	if len(parts) == 0 {
		return fmt.Errorf("%w: an upload needs at least one part", ErrInvalid)
	}
	for i, p := range parts {
		if i > 0 && p.Number <= parts[i-1].Number {
			return fmt.Errorf("%w: part %d comes after part %d", ErrInvalid, p.Number, parts[i-1].Number)
		}
		if i < len(parts)-1 && p.Size < MinPartBytes {
			return fmt.Errorf("%w: part %d has %d bytes, all but the last need %d", ErrInvalid, p.Number, p.Size, MinPartBytes)
		}
	}
	return nil
}

// CheckPartNumber returns ErrInvalid if number cannot be a part's.
func CheckPartNumber(number int) error {
	if number < 1 || number > MaxParts {
		return fmt.Errorf("%w: part number %d must be between 1 and %d", ErrInvalid, number, MaxParts)
	}
	return nil
}
