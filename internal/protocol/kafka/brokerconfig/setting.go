package brokerconfig

import (
	"math"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Effect says what setting a config does.
type Effect string

// The effects.
const (
	Enforced Effect = "enforced" // the broker does what it says
	Stored   Effect = "stored"   // it is kept and returned, and changes nothing
	Refused  Effect = "refused"  // it cannot be set
)

// Scope says when and for whom a setting can be set, as in Kafka.
type Scope int

// The scopes.
const (
	Static      Scope = iota // when the broker starts
	PerBroker                // while it runs, for one broker
	ClusterWide              // while it runs, for one broker or all
	PerListener              // while it runs, for one listener of one broker: none can be set here
)

// Setting is one config of a broker: a row of the ledger.
type Setting struct {
	Key      string
	Type     kmsg.ConfigType
	Default  string
	None     bool // there is no default
	Unlisted bool // it is described only where it is set
	Scope    Scope
	Effect   Effect
	Doc      string   // what it does, or why it does nothing or cannot be set
	Coarser  []string // settings that its value comes from if it has none, the first that has one
	// Valid says what is wrong with a value of the right type, "" = nothing. nil = each is good.
	Valid func(value string) string
}

// sensitive says that values are never told.
func (t *Setting) sensitive() bool { return t.Type == kmsg.ConfigTypePassword }

// Sensitive says that values are never told.
func (t *Setting) Sensitive() bool { return t.sensitive() }

// ReadOnly says that the setting cannot be changed while the broker runs.
func (t *Setting) ReadOnly() bool { return t.Scope == Static }

// mayBeSet says whether the setting can be set at a level while the broker runs, and is not refused here.
func (t *Setting) mayBeSet(level Level) bool {
	return t.Effect != Refused && (t.Scope == ClusterWide || t.Scope == PerBroker && level == Broker)
}

// Check refuses a value that the setting cannot have.
func (t *Setting) Check(value string) error {
	v := strings.TrimSpace(value)
	if reason := typed(t.Type, v); reason != "" {
		return Refuse("Invalid value %s for configuration %s: %s", v, t.Key, reason)
	}
	if t.Valid == nil {
		return nil
	}
	reason := t.Valid(v)
	switch whole, isWhole := strings.CutPrefix(reason, "="); {
	case reason == "":
		return nil
	case isWhole:
		return Refuse("%s", whole)
	}
	if f, err := strconv.ParseFloat(v, 64); t.Type == kmsg.ConfigTypeDouble && err == nil {
		v = Double(f)
	}
	return Refuse("Invalid value %s for configuration %s: %s", v, t.Key, reason)
}

// typed says what is wrong with the form of a value.
func typed(kind kmsg.ConfigType, v string) string {
	var err error
	switch kind {
	case kmsg.ConfigTypeBoolean:
		if !strings.EqualFold(v, "true") && !strings.EqualFold(v, "false") {
			return "Expected value to be either true or false"
		}
	case kmsg.ConfigTypeShort:
		_, err = strconv.ParseInt(v, 10, 16)
	case kmsg.ConfigTypeInt:
		_, err = strconv.ParseInt(v, 10, 32)
	case kmsg.ConfigTypeLong:
		_, err = strconv.ParseInt(v, 10, 64)
	case kmsg.ConfigTypeDouble:
		_, err = strconv.ParseFloat(v, 64)
	}
	if err != nil {
		return "Not a number of type " + kind.String()
	}
	return ""
}

// Between returns a check of whole numbers.
func Between(low, high int64) func(string) string {
	return func(v string) string {
		switch n, _ := strconv.ParseInt(v, 10, 64); {
		case n < low:
			return "Value must be at least " + strconv.FormatInt(low, 10)
		case n > high:
			return "Value must be no more than " + strconv.FormatInt(high, 10)
		}
		return ""
	}
}

// AtLeast returns a check of whole numbers.
func AtLeast(low int64) func(string) string { return Between(low, math.MaxInt64) }

// Required returns a check of whole numbers that Kafka makes apart from those of a setting's own, and words in its own way.
func Required(key, what string, good func(int64) bool) func(string) string {
	return func(v string) string {
		if n, _ := strconv.ParseInt(v, 10, 64); !good(n) {
			return "=requirement failed: " + key + " " + what
		}
		return ""
	}
}

// Double writes a number as Java does.
func Double(f float64) string {
	if a := math.Abs(f); a != 0 && (a < 1e-3 || a >= 1e7) {
		text := strconv.FormatFloat(f, 'E', -1, 64)
		mantissa, exponent, _ := strings.Cut(text, "E")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		sign, digits := "", strings.TrimLeft(exponent, "+-0")
		if strings.HasPrefix(exponent, "-") {
			sign = "-"
		}
		return mantissa + "E" + sign + digits
	}
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}
