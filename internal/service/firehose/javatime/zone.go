package javatime

import (
	"fmt"
	"time"
)

// zone returns the letters that write the time zone or its offset from UTC.
func zone(c byte, count int) (piece, error) {
	switch {
	case c == 'V' && count == 2:
		return func(out []byte, t time.Time) []byte { return append(out, t.Location().String()...) }, nil
	case c == 'V':
		return nil, fmt.Errorf("pattern letter count must be 2: V")
	case c == 'z' && count <= 3:
		return func(out []byte, t time.Time) []byte { return append(out, t.Format("MST")...) }, nil
	case c == 'z' && count == 4:
		return nil, fmt.Errorf("full zone names (zzzz) are not supported")
	case c == 'O' && (count == 1 || count == 4), c == 'Z' && count == 4:
		return localized(c == 'O' && count == 1), nil
	case c == 'X' && count <= 5:
		return offset(offsetForms[count-1], "Z"), nil
	case c == 'x' && count <= 5:
		return offset(offsetForms[count-1], []string{"+00", "+0000", "+00:00", "+0000", "+00:00"}[count-1]), nil
	case c == 'Z' && count <= 3:
		return offset(offsetForms[1], "+0000"), nil
	case c == 'Z' && count == 5:
		return offset(offsetForms[4], "Z"), nil
	}
	return nil, tooMany(c, count)
}

// offsetForm is how an offset is written: with a colon or not, with its minutes only where there are some, with its seconds where there are some.
type offsetForm struct {
	colon, optionalMinutes, seconds bool
}

// offsetForms are those of one to five letters: +HHmm, +HHMM, +HH:MM, +HHMMss, +HH:MM:ss.
var offsetForms = []offsetForm{{optionalMinutes: true}, {}, {colon: true}, {seconds: true}, {colon: true, seconds: true}}

func offset(form offsetForm, zero string) piece {
	return func(out []byte, t time.Time) []byte {
		_, seconds := t.Zone()
		if seconds == 0 {
			return append(out, zero...)
		}
		out, seconds = appendSign(out, seconds)
		out = appendNumber(out, int64(seconds/3600), 2)
		minutes := seconds / 60 % 60
		if minutes > 0 || !form.optionalMinutes {
			out = appendPart(out, minutes, form.colon)
		}
		if form.seconds && seconds%60 > 0 {
			out = appendPart(out, seconds%60, form.colon)
		}
		return out
	}
}

func appendSign(out []byte, seconds int) ([]byte, int) {
	if seconds < 0 {
		return append(out, '-'), -seconds
	}
	return append(out, '+'), seconds
}

func appendPart(out []byte, v int, colon bool) []byte {
	if colon {
		out = append(out, ':')
	}
	return appendNumber(out, int64(v), 2)
}

// localized writes GMT and the offset: short as GMT+8, else as GMT+08:00.
func localized(short bool) piece {
	return func(out []byte, t time.Time) []byte {
		out = append(out, "GMT"...)
		_, seconds := t.Zone()
		if seconds == 0 {
			return out
		}
		out, seconds = appendSign(out, seconds)
		width := 2
		if short {
			width = 1
		}
		out = appendNumber(out, int64(seconds/3600), width)
		if minutes := seconds / 60 % 60; minutes > 0 || !short {
			out = appendPart(out, minutes, true)
		}
		if seconds%60 > 0 {
			out = appendPart(out, seconds%60, true)
		}
		return out
	}
}
