package javatime_test

import (
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/freshet/freshet/internal/service/firehose/javatime"
)

func in(t *testing.T, zone string, at time.Time) time.Time {
	t.Helper()
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	return at.In(location)
}

func TestFormat(t *testing.T) {
	at := time.Date(2026, 3, 7, 15, 4, 5, 67_008_009, time.UTC) // a Saturday
	early := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)        // a Sunday
	tokyo, kolkata, newYork := in(t, "Asia/Tokyo", at), in(t, "Asia/Kolkata", at), in(t, "America/New_York", at)
	for _, row := range []struct {
		at            time.Time
		pattern, want string
	}{
		{at, "", ""},
		{at, "yyyy/MM/dd/HH/", "2026/03/07/15/"},
		{at, "y yy yyy yyyyy u uu uuuu", "2026 26 2026 02026 2026 26 2026"},
		{time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC), "y yy yyyy yyyyy", "12345 45 +12345 12345"},
		{time.Date(-3, 1, 1, 0, 0, 0, 0, time.UTC), "y u uuuu G", "4 -3 -0003 BC"},
		{at, "G GGGG GGGGG", "AD Anno Domini A"},
		{at, "M MM MMM MMMM MMMMM L LL LLL LLLL LLLLL", "3 03 Mar March M 3 03 Mar March M"},
		{at, "Q QQ QQQ QQQQ QQQQQ q", "1 01 Q1 1st quarter 1 1"},
		{at, "d dd D DD DDD", "7 07 66 66 066"},
		{at, "E EEE EEEE EEEEE e ee eee eeee c ccc", "Sat Sat Saturday S 7 07 Sat Saturday 7 Sat"},
		{early, "e F W w", "1 1 1 10"},
		{at, "F W w ww", "1 1 10 10"},
		{at, "h hh K KK k kk H HH a", "3 03 3 03 15 15 15 15 PM"},
		{early, "h K k H a", "12 0 24 0 AM"},
		{at, "m mm s ss", "4 04 5 05"},
		{at, "S SS SSS SSSSSS SSSSSSSSS", "0 06 067 067008 067008009"},
		{at, "n A N", "67008009 54245067 54245067008009"},
		{at, "pppH pph ppm", " 15  3  4"},
		{at, "'year='yyyy'/month='MM", "year=2026/month=03"},
		{at, "yyyy''MM '''' '''x'", "2026'03 ' 'x"},
		{at, "'o''clock'", "o'clock"},
		{at, "yyyy[-MM[-dd]]", "2026-03-07"},
		{at, "yyyy年MM月", "2026年03月"},
		{at, "VV z X XX XXX XXXX XXXXX", "UTC UTC Z Z Z Z Z"},
		{at, "x xx xxx Z ZZZZ ZZZZZ O OOOO", "+00 +0000 +00:00 +0000 GMT Z GMT GMT"},
		{tokyo, "yyyy-MM-dd'T'HH VV z X XX XXX O OOOO", "2026-03-08T00 Asia/Tokyo JST +09 +0900 +09:00 GMT+9 GMT+09:00"},
		{kolkata, "X x Z ZZZZ ZZZZZ O", "+0530 +0530 +0530 GMT+05:30 +05:30 GMT+5:30"},
		{newYork, "HH z X xxx", "10 EST -05 -05:00"},
		// The trap of YYYY: the last days of December are in the first week of the next year.
		{time.Date(2026, 12, 26, 0, 0, 0, 0, time.UTC), "YYYY-'W'ww", "2026-W52"},
		{time.Date(2026, 12, 27, 0, 0, 0, 0, time.UTC), "YYYY-'W'ww YY", "2027-W01 27"},
		{time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC), "YYYY yyyy", "2027 2026"},
		{time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC), "YYYY-'W'w", "2027-W1"},
		{time.Date(2027, 1, 3, 0, 0, 0, 0, time.UTC), "YYYY-'W'w", "2027-W2"},
		{time.Date(2022, 12, 31, 0, 0, 0, 0, time.UTC), "YYYY-'W'w", "2022-W53"}, // the next year begins on a Sunday
		{time.Date(2024, 12, 28, 0, 0, 0, 0, time.UTC), "YYYY-'W'w W", "2024-W52 4"},
	} {
		p, err := javatime.Parse(row.pattern)
		if err != nil {
			t.Errorf("%q: %v", row.pattern, err)
			continue
		}
		if got := p.Format(row.at); got != row.want {
			t.Errorf("%q of %s is %q, want %q", row.pattern, row.at, got, row.want)
		}
	}
}

func TestPatternsThatJavaRefuses(t *testing.T) {
	for _, pattern := range []string{
		"b", "C", "f", "g", "i", "I", "j", "J", "l", "o", "P", "r", "R", "t", "T", "U", "B", "v",
		"ddd", "DDDD", "HHH", "hhh", "mmm", "sss", "SSSSSSSSSS", "aa", "FF", "WW", "www", "MMMMMM", "EEEEEE", "cc", "QQQQQQ", "GGGGGG",
		"V", "VVV", "zzzz", "zzzzz", "OO", "XXXXXX", "xxxxxx", "ZZZZZZ", "yyyyyyyyyyyyyyyyyyyy",
		"'open", "{yyyy}", "yyyy#", "]", "[yyyy]]", "p", "pp", "p-", "p'x'",
	} {
		if p, err := javatime.Parse(pattern); err == nil {
			t.Errorf("%q is taken and gives %q", pattern, p.Format(time.Unix(0, 0).UTC()))
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"yyyy/MM/dd", "'a''b'", "[pH]", "SSSSSSSSS", "\xff年"} {
		f.Add(pattern)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		p, err := javatime.Parse(pattern)
		if err != nil {
			return
		}
		for _, at := range []time.Time{{}, time.Unix(0, 0), time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC), time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC)} {
			p.Format(at)
		}
	})
}
