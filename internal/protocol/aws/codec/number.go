package codec

import (
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/protocol/aws/shape"
)

// setInteger stores a whole number, clamped to the field's range as AWS does.
func setInteger(field reflect.Value, n int64) {
	if field.Kind() == reflect.Int32 {
		n = min(max(n, math.MinInt32), math.MaxInt32)
	}
	field.SetInt(n)
}

// setFloat stores f in a number of any kind: whole ones lose the fraction.
func setFloat(s *shape.Shape, field reflect.Value, f float64) {
	if s.Kind == shape.Float || s.Kind == shape.Double {
		field.SetFloat(f)
		return
	}
	setInteger(field, truncate(f))
}

// truncate drops the fraction and stays within int64.
func truncate(f float64) int64 {
	switch {
	case math.IsNaN(f):
		return 0
	case f >= math.MaxInt64:
		return math.MaxInt64
	case f <= math.MinInt64:
		return math.MinInt64
	}
	return int64(f)
}

// setNumber stores a JSON number.
func setNumber(s *shape.Shape, field reflect.Value, text string) {
	if s.Kind == shape.Integer || s.Kind == shape.Long {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			setInteger(field, n)
			return
		}
	}
	// Out of range is an infinity, which truncate clamps.
	f, _ := strconv.ParseFloat(text, 64)
	setFloat(s, field, f)
}

// The times that a request can name. Beyond, arithmetic on instants would wrap around.
const (
	minMillis = -62_135_596_800_000 // year 1
	maxMillis = 253_402_300_799_999 // year 9999
)

// instant returns the time of a count of milliseconds, clamped to the years 1 to 9999.
func instant(ms int64) time.Time { return time.UnixMilli(min(max(ms, minMillis), maxMillis)).UTC() }

// parseSeconds reads seconds with a fraction as JSON writes them. Plain decimals keep their milliseconds exactly; a double would not always.
func parseSeconds(text string) time.Time {
	whole, fraction, _ := strings.Cut(text, ".")
	if n, err := strconv.ParseInt(whole, 10, 64); err == nil && n >= 0 && n <= maxMillis/1000 && len(fraction) <= 9 {
		if fraction == "" {
			return instant(n * 1000)
		}
		if f, err := strconv.ParseUint(fraction, 10, 32); err == nil {
			for i := len(fraction); i < 9; i++ {
				f *= 10
			}
			return instant(n*1000 + int64(f/1e6))
		}
	}
	f, _ := strconv.ParseFloat(text, 64)
	return secondsToInstant(f)
}

func secondsToInstant(f float64) time.Time {
	return instant(truncate(math.Round(min(max(f, minMillis/1000), maxMillis/1000) * 1000)))
}
