package principal

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Rules make the name of a principal of a distinguished name, as Apache Kafka's ssl.principal.mapping.rules: the first rule whose pattern is
// all of the name decides. The zero Rules leave names as they are.
type Rules struct{ rules []rule }

type rule struct {
	keep        bool           // DEFAULT
	pattern     *regexp.Regexp // nil if keep
	replacement []fragment
	letters     byte // 'L', 'U' or 0
}

// fragment is a part of a replacement: text, or the group of a pattern.
type fragment struct {
	text  string
	group int // used if text is ""
}

// ErrNoRule means that no rule is for a name: it is no principal.
var ErrNoRule = errors.New("no mapping rule is for the name")

// maxRules bounds how many rules are looked at for each client.
const maxRules = 100

// ParseRules reads rules separated by commas, each DEFAULT or RULE:pattern/replacement/ with an L or U behind it for lower or upper letters.
// Patterns are of RE2, which has no lookaround and no references back: Java's that have them are errors. A slash in either
// part is written \/; $1 to $9 in a replacement stand for a group of the pattern.
func ParseRules(text string) (Rules, error) {
	var r Rules
	rest := strings.TrimSpace(text)
	for rest != "" {
		if len(r.rules) == maxRules {
			return Rules{}, fmt.Errorf("more than %d rules are given", maxRules)
		}
		var parsed rule
		var err error
		if after, ok := strings.CutPrefix(rest, "DEFAULT"); ok {
			parsed.keep, rest = true, after
		} else if parsed, rest, err = parseRule(rest); err != nil {
			return Rules{}, fmt.Errorf("rule %d: %w", len(r.rules)+1, err)
		}
		r.rules = append(r.rules, parsed)
		if rest = strings.TrimSpace(rest); rest == "" {
			break
		}
		after, ok := strings.CutPrefix(rest, ",")
		if !ok {
			return Rules{}, fmt.Errorf("%q follows rule %d, where a comma should be", rest, len(r.rules))
		}
		rest = strings.TrimSpace(after)
	}
	return r, nil
}

func parseRule(text string) (rule, string, error) {
	rest, ok := strings.CutPrefix(text, "RULE:")
	if !ok {
		return rule{}, "", fmt.Errorf("%q is neither DEFAULT nor RULE:pattern/replacement/", text)
	}
	pattern, rest, ok := upToSlash(rest)
	if !ok {
		return rule{}, "", errors.New("the pattern has no / at its end")
	}
	replacement, rest, ok := upToSlash(rest)
	if !ok {
		return rule{}, "", errors.New("the replacement has no / at its end")
	}
	var r rule
	var err error
	if r.pattern, err = regexp.Compile(`^(?:` + pattern + `)$`); err != nil {
		return rule{}, "", fmt.Errorf("pattern %q: %w", pattern, err)
	}
	if r.replacement, err = parseReplacement(replacement, r.pattern.NumSubexp()); err != nil {
		return rule{}, "", fmt.Errorf("replacement %q: %w", replacement, err)
	}
	if rest != "" && (rest[0] == 'L' || rest[0] == 'U') {
		r.letters, rest = rest[0], rest[1:]
	}
	return r, rest, nil
}

// upToSlash cuts text at the first slash that no backslash is before.
func upToSlash(text string) (before, after string, found bool) {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '/':
			return text[:i], text[i+1:], true
		}
	}
	return "", "", false
}

// parseReplacement reads a replacement as Java's Matcher has it: \ before a character to be taken as it is, $ before a group's number, of which
// as many digits count as make a group that the pattern has. One that it has not is no reference, as in Kafka.
func parseReplacement(text string, groups int) ([]fragment, error) {
	var all []fragment
	literal := func(s string) {
		if n := len(all); n > 0 && all[n-1].text != "" {
			all[n-1].text += s
		} else if s != "" {
			all = append(all, fragment{text: s})
		}
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			i++
			literal(text[i : i+1])
		case c == '\\':
			return nil, errors.New("a single \\ is at its end")
		case c != '$':
			literal(text[i : i+1])
		default:
			group, digits := 0, 0
			for _, d := range text[i+1:] {
				if d < '0' || d > '9' || group*10+int(d-'0') > groups {
					break
				}
				group, digits = group*10+int(d-'0'), digits+1
			}
			if digits == 0 {
				literal("$")
				continue
			}
			all = append(all, fragment{group: group})
			i += digits
		}
	}
	return all, nil
}

// Map returns what the rules make of a name, or ErrNoRule.
func (r Rules) Map(name string) (string, error) {
	if len(r.rules) == 0 {
		return name, nil
	}
	for i := range r.rules {
		if mapped, ok := r.rules[i].apply(name); ok {
			return mapped, nil
		}
	}
	return "", fmt.Errorf("%w: %s", ErrNoRule, strconv.Quote(name))
}

func (r *rule) apply(name string) (string, bool) {
	if r.keep {
		return name, true
	}
	groups := r.pattern.FindStringSubmatch(name)
	if groups == nil {
		return "", false
	}
	var b strings.Builder
	for _, f := range r.replacement {
		if f.text != "" {
			b.WriteString(f.text)
		} else {
			b.WriteString(groups[f.group])
		}
	}
	switch r.letters {
	case 'L':
		return strings.ToLower(b.String()), true
	case 'U':
		return strings.ToUpper(b.String()), true
	}
	return b.String(), true
}
