// Package javatime formats times by the patterns of Java's java.time.format.DateTimeFormatter, in which Firehose's prefixes are written.
// Pattern is one of them, parsed.
//
// Texts are those of the locale en_US, whose weeks begin on Sunday; numbers, widths and errors are those of Java's documentation of
// DateTimeFormatterBuilder.appendPattern. It refuses to parse times, and refuses the letters and widths that need a database of
// localized names (B, v, zzzz) as it refuses those that Java does not know.
package javatime

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Pattern is a parsed pattern. It is immutable, and safe for concurrent use.
type Pattern struct {
	text   string
	pieces []piece
}

// piece appends one part of the pattern to out.
type piece func(out []byte, t time.Time) []byte

// String returns the pattern as it was given.
func (p *Pattern) String() string { return p.text }

// Append appends t, in its own location, to out.
func (p *Pattern) Append(out []byte, t time.Time) []byte {
	for _, one := range p.pieces {
		out = one(out, t)
	}
	return out
}

// Format returns t as text, in its own location.
func (p *Pattern) Format(t time.Time) string { return string(p.Append(nil, t)) }

// Parse reads a pattern. The error says what Java would not take.
func Parse(text string) (*Pattern, error) {
	p := &Pattern{text: text}
	optional, pad := 0, 0
	add := func(one piece) {
		if pad > 0 {
			one = padded(one, pad)
			pad = 0
		}
		p.pieces = append(p.pieces, one)
	}
	for rest := text; rest != ""; {
		c := rest[0]
		count := len(rest) - len(strings.TrimLeft(rest, string(c)))
		switch {
		case pad > 0 && !isLetter(c):
			return nil, fmt.Errorf("pattern %q: p must be followed by a letter to pad", text)
		case c == 'p':
			pad, rest = count, rest[count:]
			if rest == "" || rest[0] == 'p' {
				return nil, fmt.Errorf("pattern %q: p must be followed by a letter to pad", text)
			}
		case isLetter(c):
			one, err := letter(c, count)
			if err != nil {
				return nil, fmt.Errorf("pattern %q: %w", text, err)
			}
			add(one)
			rest = rest[count:]
		case c == '\'':
			quoted, after, err := unquote(rest)
			if err != nil {
				return nil, fmt.Errorf("pattern %q: %w", text, err)
			}
			add(literal(quoted))
			rest = after
		case c == '[': // all a time has can be written, so that an optional part always is
			optional++
			rest = rest[1:]
		case c == ']':
			if optional--; optional < 0 {
				return nil, fmt.Errorf("pattern %q: ] without [", text)
			}
			rest = rest[1:]
		case strings.IndexByte("{}#", c) >= 0:
			return nil, fmt.Errorf("pattern %q: %c is reserved", text, c)
		default:
			_, size := utf8.DecodeRuneInString(rest)
			add(literal(rest[:size]))
			rest = rest[size:]
		}
	}
	return p, nil
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// unquote reads a text in single quotes at the start of s; two quotes stand for one, inside and by themselves.
func unquote(s string) (quoted, rest string, err error) {
	if strings.HasPrefix(s, "''") && !strings.HasPrefix(s, "'''") {
		return "'", s[2:], nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] != '\'' {
			b.WriteByte(s[i])
			continue
		}
		if i+1 == len(s) || s[i+1] != '\'' {
			return b.String(), s[i+1:], nil
		}
		b.WriteByte('\'')
		i++
	}
	return "", "", fmt.Errorf("quote at %q does not end", s)
}

func literal(s string) piece {
	return func(out []byte, _ time.Time) []byte { return append(out, s...) }
}

// padded puts spaces before a piece until it has width characters.
func padded(one piece, width int) piece {
	return func(out []byte, t time.Time) []byte {
		text := one(nil, t)
		for range width - utf8.RuneCount(text) {
			out = append(out, ' ')
		}
		return append(out, text...)
	}
}

// number writes a value with at least width digits.
func number(width int, value func(time.Time) int64) piece {
	return func(out []byte, t time.Time) []byte { return appendNumber(out, value(t), width) }
}

func appendNumber(out []byte, v int64, width int) []byte {
	if v < 0 {
		out = append(out, '-')
		v = -v
	}
	digits := strconv.FormatInt(v, 10)
	for range width - len(digits) {
		out = append(out, '0')
	}
	return append(out, digits...)
}

// texts writes one of several forms of a text: short, full and narrow are three, four and five letters of the pattern.
func texts(count int, short, full, narrow func(time.Time) string) piece {
	form := short
	switch count {
	case 4:
		form = full
	case 5:
		form = narrow
	}
	return func(out []byte, t time.Time) []byte { return append(out, form(t)...) }
}

// year writes a year as y, u and Y do: two letters are the last two digits, four or more show a sign where there are more digits than letters.
func year(count int, value func(time.Time) int64) piece {
	if count == 2 {
		return func(out []byte, t time.Time) []byte { return appendNumber(out, ((value(t)%100)+100)%100, 2) }
	}
	return func(out []byte, t time.Time) []byte {
		v := value(t)
		if count >= 4 && v >= pow10(count) {
			out = append(out, '+')
		}
		return appendNumber(out, v, count)
	}
}

func pow10(n int) int64 {
	v := int64(1)
	for range min(n, 18) {
		v *= 10
	}
	return v
}
