package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestSummary(t *testing.T) {
	cases := map[string]struct {
		events         string
		passed, failed int
		says           []string
	}{
		"a test that passes": {
			events: `{"Action":"pass","Package":"p","Test":"T"}
{"Action":"pass","Package":"p","Elapsed":1.25}`,
			passed: 1, says: []string{"ok    p", "1 passed, 0 failed"},
		},
		"a test that fails": {
			events: `{"Action":"output","Package":"p","Test":"T","Output":"why\n"}
{"Action":"fail","Package":"p","Test":"T"}
{"Action":"fail","Package":"p"}`,
			failed: 1, says: []string{"why", "failed: p T", "0 passed, 1 failed"},
		},
		"a package that fails without a failed test": {
			events: `{"Action":"output","Package":"p","Output":"found unexpected goroutines\n"}
{"Action":"fail","Package":"p"}`,
			failed: 1, says: []string{"found unexpected goroutines", "failed: p"},
		},
		"a test that a panic cuts off": {
			events: `{"Action":"output","Package":"p","Test":"T","Output":"panic: oh\n"}
{"Action":"fail","Package":"p"}`,
			failed: 1, says: []string{"panic: oh", "p T did not end"},
		},
		"a test that is skipped": {
			events: `{"Action":"output","Package":"p","Test":"T","Output":"    a_test.go:1: needs root\n"}
{"Action":"output","Package":"p","Test":"T","Output":"--- SKIP: T (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"T"}`,
			says: []string{"skipped: p T: a_test.go:1: needs root"},
		},
		"a package that does not build": {
			events: `{"ImportPath":"p","Action":"build-output","Output":"undefined: x\n"}
{"ImportPath":"p","Action":"build-fail"}
{"Action":"fail","Package":"p","Elapsed":0}`,
			failed: 1, says: []string{"undefined: x", "p does not build"},
		},
		"the go command's own words": {events: "go: no such module", says: []string{"go: no such module"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			s := &summary{out: &out, running: map[testKey][]string{}, build: map[string][]string{}}
			if err := s.read(strings.NewReader(c.events)); err != nil {
				t.Fatal(err)
			}
			s.close()
			if s.passed != c.passed || s.failed != c.failed {
				t.Errorf("%d passed, %d failed; want %d and %d", s.passed, s.failed, c.passed, c.failed)
			}
			for _, want := range c.says {
				if !strings.Contains(out.String(), want) {
					t.Errorf("output lacks %q:\n%s", want, out.String())
				}
			}
		})
	}
}

func TestTestsThatPassSpeakIfAsked(t *testing.T) {
	const events = `{"Action":"output","Package":"p","Test":"T","Output":"seed 7\n"}
{"Action":"pass","Package":"p","Test":"T"}`
	for _, c := range []struct {
		args  []string
		speak bool
	}{
		{[]string{"-v", "./..."}, true},
		{[]string{"./..."}, false},
		{[]string{"./p", "-args", "-v"}, false},
	} {
		var out bytes.Buffer
		s := &summary{out: &out, verbose: verbose(c.args), running: map[testKey][]string{}, build: map[string][]string{}}
		if err := s.read(strings.NewReader(events)); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(out.String(), "seed 7"); got != c.speak {
			t.Errorf("%v: what a test said is printed: %v, want %v", c.args, got, c.speak)
		}
	}
}
