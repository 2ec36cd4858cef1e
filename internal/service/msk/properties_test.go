package msk

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestPropertiesAreReadAsJavaReadsThem(t *testing.T) {
	for file, want := range map[string]string{
		"":                             "[]",
		"a=1\r\nb : 2\r\n":             "[{a 1} {b 2}]",
		"  # c\n! d\n\n a\t=\t1 2 \n":  "[{a 1 2}]",
		"a 1\nb=x=y\nc":                "[{a 1} {b x=y} {c }]",
		"a=1,\\\n   2,\\\n   3\nb=4\\": "[{a 1,2,3} {b 4}]",
		"a=1\nb=2\na=3":                "[{a 3} {b 2}]",
	} {
		got, err := readProperties([]byte(file))
		if fmt.Sprint(got) != want || err != nil {
			t.Errorf("%q is %v, %v", file, got, err)
		}
	}
}

func TestTheLedgerOfPropertiesIsOrdered(t *testing.T) {
	if !slices.IsSortedFunc(properties, func(a, b Property) int { return strings.Compare(a.Key, b.Key) }) {
		t.Error("properties are not in order")
	}
	if got := applied([]byte("num.partitions=3\nnum.io.threads=8")); len(got) != 1 || got["num.partitions"] != "3" {
		t.Errorf("applied %v", got)
	}
}

// FuzzProperties reads files of strangers: what is accepted has known keys only, and reads the same written out again.
func FuzzProperties(f *testing.F) {
	f.Add([]byte("auto.create.topics.enable = true\nlog.retention.hours:1\n"))
	f.Add([]byte("a\\\n\\\n b=\\"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if checkProperties(file) != nil {
			return
		}
		set, err := readProperties(file)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, p := range set {
			b.WriteString(p.key + "=" + p.value + "\n")
		}
		if err := checkProperties([]byte(b.String())); err != nil {
			t.Errorf("%q was accepted, %q is not: %v", file, b.String(), err)
		}
	})
}
