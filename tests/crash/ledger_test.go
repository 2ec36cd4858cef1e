package crash

import (
	"strings"
	"testing"
)

func TestVerifyTellsWhatIsWrong(t *testing.T) {
	at := func(shard, number, value string) Entry { return Entry{Place{shard, number}, value} }
	acked := map[Place]string{{"0", "9"}: "w/1/1", {"0", "10"}: "w/1/2", {"1", "0"}: "w/2/1"}
	whole := []Entry{at("0", "9", "w/1/1"), at("0", "10", "w/1/2"), at("1", "0", "w/2/1")}
	cases := map[string]struct {
		reading []Entry
		wrong   string
	}{
		"all there":                          {whole, ""},
		"more than acknowledged":             {append([]Entry{at("0", "8", "w/1/0")}, whole...), ""},
		"a record lost":                      {whole[:2], "w/2/1 was acknowledged at 1@0 and is not there"},
		"a record moved":                     {[]Entry{whole[0], at("0", "11", "w/1/2"), whole[2]}, "acknowledged at 0@10 and is not there"},
		"another record in its place":        {[]Entry{whole[0], at("0", "10", "w/1/3"), whole[2]}, "where w/1/3 is"},
		"a record twice":                     {append(whole[:3:3], at("1", "1", "w/2/1")), "twice"},
		"offsets that go back":               {[]Entry{whole[1], whole[0], whole[2]}, "0@9 comes after 10"},
		"a key's records in the wrong order": {[]Entry{at("0", "9", "w/1/2"), at("0", "10", "w/1/1"), whole[2]}, "comes after 2"},
		"bytes that nobody wrote":            {append(whole[:3:3], at("1", "1", "garbage")), "nobody wrote"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := Verify(acked, c.reading)
			if c.wrong == "" && err != nil {
				t.Fatalf("complained: %v", err)
			}
			if c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
				t.Fatalf("said %v; want %q", err, c.wrong)
			}
		})
	}
}

func TestVerifyCommits(t *testing.T) {
	if err := VerifyCommits(map[int32]int64{0: 5}, map[int32]int64{0: 6, 1: 2}); err != nil {
		t.Errorf("a commit that moved on: %v", err)
	}
	if VerifyCommits(map[int32]int64{0: 5}, map[int32]int64{0: 4}) == nil {
		t.Error("a commit that went back was not noticed")
	}
	if VerifyCommits(map[int32]int64{0: 0}, nil) == nil {
		t.Error("a lost commit was not noticed")
	}
}

func TestOnePlaceForTwoRecordsIsNoticed(t *testing.T) {
	l := NewLedger()
	l.Acknowledge(Entry{Place{"0", "1"}, "w/1/1"})
	l.Acknowledge(Entry{Place{"0", "1"}, "w/1/2"})
	if l.Err() == nil {
		t.Error("not noticed")
	}
}
