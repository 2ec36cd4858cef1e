package kafka

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

func number(v string) int64 {
	n, _ := strconv.ParseInt(v, 10, 64) // check has passed it
	return n
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// retention reads a retention.ms, in which 0 is the shortest and not the default.
func retention(v string) time.Duration {
	switch ms := number(v); {
	case ms < 0 || ms > math.MaxInt64/int64(time.Millisecond):
		return -1
	case ms == 0:
		return 1
	default:
		return time.Duration(ms) * time.Millisecond
	}
}

// retentionBytes reads a retention.bytes, in which 0 is the least and not the default.
func retentionBytes(v string) int64 {
	switch n := number(v); {
	case n < 0:
		return 0
	case n == 0:
		return 1
	default:
		return n
	}
}

// bound reads a bound in milliseconds; those too large to be reached are none.
func bound(v string) time.Duration {
	ms := number(v)
	if ms > math.MaxInt64/int64(time.Millisecond) {
		return 0
	}
	return max(1, time.Duration(ms)*time.Millisecond)
}

func boundText(d time.Duration) string {
	if d == 0 {
		return noLimit
	}
	return millis(d)
}

func anything(string) error { return nil }

func between(low, high int64) func(string) error {
	return func(v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		switch {
		case err != nil:
			return fmt.Errorf("Not a number of type LONG")
		case n < low:
			return fmt.Errorf("Value must be at least %d", low)
		case n > high:
			return fmt.Errorf("Value must be no more than %d", high)
		}
		return nil
	}
}

func atLeast(low int64) func(string) error { return between(low, math.MaxInt64) }

func gzipLevel(v string) error {
	if v == "-1" {
		return nil
	}
	return between(1, 9)(v)
}

func oneOf(values ...string) func(string) error {
	return func(v string) error {
		if slices.Contains(values, v) {
			return nil
		}
		return fmt.Errorf("String must be one of: %s", strings.Join(values, ", "))
	}
}

func boolText(v string) error {
	if v = strings.ToLower(v); v == "true" || v == "false" {
		return nil
	}
	return fmt.Errorf("Expected value to be either true or false")
}

func ratio(v string) error {
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || math.IsNaN(f) || f < 0 || f > 1 {
		return fmt.Errorf("Value must be between 0 and 1")
	}
	return nil
}

// errEmptyItem is what is wrong with a list that has nothing between two commas.
var errEmptyItem = errors.New("values must not be empty")

// listOf checks a list, which may be empty (KIP-1161).
func listOf(values ...string) func(string) error {
	one := oneOf(values...)
	return func(v string) error {
		if v == "" {
			return nil
		}
		for item := range strings.SplitSeq(v, ",") {
			if item = strings.TrimSpace(item); item == "" {
				return errEmptyItem
			}
			if err := one(item); err != nil {
				return err
			}
		}
		return nil
	}
}

var replicaPattern = regexp.MustCompile(`^([0-9]+:[0-9]+)?$`)

// replicas checks a list of replicas to hold back. Apache Kafka lets items be empty.
func replicas(v string) error {
	if v == "*" {
		return nil
	}
	for item := range strings.SplitSeq(v, ",") {
		if !replicaPattern.MatchString(strings.TrimSpace(item)) {
			return errors.New("must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...")
		}
	}
	return nil
}
