package javatime

import (
	"fmt"
	"time"
)

// letter returns what count times the letter c writes.
func letter(c byte, count int) (piece, error) {
	if f, ok := numbers[c]; ok {
		if count > f.most {
			return nil, tooMany(c, count)
		}
		return number(count, f.value), nil
	}
	switch c {
	case 'u', 'y', 'Y':
		if count > 19 {
			return nil, tooMany(c, count)
		}
		return year(count, map[byte]func(time.Time) int64{'u': prolepticYear, 'y': yearOfEra, 'Y': weekBasedYear}[c]), nil
	case 'G', 'E', 'M', 'L', 'Q', 'q', 'e', 'c', 'a':
		return text(c, count)
	case 'S':
		if count > 9 {
			return nil, tooMany(c, count)
		}
		return func(out []byte, t time.Time) []byte {
			return appendNumber(out, int64(t.Nanosecond())/pow10(9-count), count)
		}, nil
	case 'V', 'z', 'O', 'X', 'x', 'Z':
		return zone(c, count)
	}
	return nil, fmt.Errorf("unknown or unsupported pattern letter: %c", c)
}

func tooMany(c byte, count int) error {
	return fmt.Errorf("%d times the pattern letter %c", count, c)
}

// field is a letter that always writes a number; most is how often the letter may be repeated.
type field struct {
	most  int
	value func(time.Time) int64
}

var numbers = map[byte]field{
	'D': {3, func(t time.Time) int64 { return int64(t.YearDay()) }},
	'd': {2, func(t time.Time) int64 { return int64(t.Day()) }},
	'F': {1, func(t time.Time) int64 { return int64(t.Day()-1)/7 + 1 }},
	'H': {2, func(t time.Time) int64 { return int64(t.Hour()) }},
	'k': {2, func(t time.Time) int64 { return clockHour(t.Hour(), 24) }},
	'K': {2, func(t time.Time) int64 { return int64(t.Hour() % 12) }},
	'h': {2, func(t time.Time) int64 { return clockHour(t.Hour()%12, 12) }},
	'm': {2, func(t time.Time) int64 { return int64(t.Minute()) }},
	's': {2, func(t time.Time) int64 { return int64(t.Second()) }},
	'n': {19, func(t time.Time) int64 { return int64(t.Nanosecond()) }},
	'N': {19, nanoOfDay},
	'A': {19, func(t time.Time) int64 { return nanoOfDay(t) / 1e6 }},
	'w': {2, func(t time.Time) int64 { _, week := weekOf(t); return week }},
	'W': {1, weekOfMonth},
}

func clockHour(hour, of int) int64 {
	if hour == 0 {
		return int64(of)
	}
	return int64(hour)
}

func nanoOfDay(t time.Time) int64 {
	return int64(t.Hour()*3600+t.Minute()*60+t.Second())*1e9 + int64(t.Nanosecond())
}

func prolepticYear(t time.Time) int64 { return int64(t.Year()) }

// yearOfEra counts the years before year 1 backwards from 1.
func yearOfEra(t time.Time) int64 {
	if y := int64(t.Year()); y > 0 {
		return y
	}
	return 1 - int64(t.Year())
}

func weekBasedYear(t time.Time) int64 { year, _ := weekOf(t); return year }

// weekOf returns the week of en_US that t is in: weeks begin on Sunday, and the first is the one with January 1st. So the last days of
// December may be in week 1 of the next year, which is what YYYY then shows.
func weekOf(t time.Time) (year, week int64) {
	next := time.Date(t.Year()+1, time.January, 1, 0, 0, 0, 0, time.UTC)
	if days := next.AddDate(0, 0, -1).YearDay() - t.YearDay() + 1; days <= int(next.Weekday()) {
		return int64(t.Year()) + 1, 1
	}
	first := time.Date(t.Year(), time.January, 1, 0, 0, 0, 0, time.UTC).Weekday()
	return int64(t.Year()), int64(t.YearDay()-1+int(first))/7 + 1
}

// weekOfMonth counts from the week with the first of the month.
func weekOfMonth(t time.Time) int64 {
	first := time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC).Weekday()
	return int64(t.Day()-1+int(first))/7 + 1
}

// text returns the letters that write words, or numbers if there are one or two of them.
func text(c byte, count int) (piece, error) {
	if count > 5 || c == 'a' && count > 1 || c == 'c' && count == 2 {
		return nil, tooMany(c, count)
	}
	switch c {
	case 'a':
		return texts(3, func(t time.Time) string { return t.Format("PM") }, nil, nil), nil
	case 'G':
		return texts(count, era("BC", "AD"), era("Before Christ", "Anno Domini"), era("B", "A")), nil
	case 'M', 'L':
		if count <= 2 {
			return number(count, func(t time.Time) int64 { return int64(t.Month()) }), nil
		}
		month := func(t time.Time) string { return t.Month().String() }
		return texts(count, cut(month, 3), month, cut(month, 1)), nil
	case 'Q', 'q':
		if count <= 2 {
			return number(count, quarter), nil
		}
		return texts(count,
			func(t time.Time) string { return fmt.Sprintf("Q%d", quarter(t)) },
			func(t time.Time) string { return []string{"1st", "2nd", "3rd", "4th"}[quarter(t)-1] + " quarter" },
			func(t time.Time) string { return fmt.Sprint(quarter(t)) }), nil
	case 'e', 'c':
		if count <= 2 {
			return number(count, func(t time.Time) int64 { return int64(t.Weekday()) + 1 }), nil
		}
	}
	day := func(t time.Time) string { return t.Weekday().String() }
	return texts(count, cut(day, 3), day, cut(day, 1)), nil
}

func quarter(t time.Time) int64 { return int64(t.Month()-1)/3 + 1 }

func era(before, after string) func(time.Time) string {
	return func(t time.Time) string {
		if t.Year() <= 0 {
			return before
		}
		return after
	}
}

func cut(name func(time.Time) string, n int) func(time.Time) string {
	return func(t time.Time) string { return name(t)[:n] }
}
