package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// difference is one path of one answer whose values differ.
type difference struct{ scenario, request, path, kafka, freshet string }

// alike are differences that are one but for the request's version.
type alike struct{ scenario, api, path, kafka, freshet string }

// report counts comparisons and keeps what differed.
type report struct {
	compared   int
	unexpected map[alike][]string // the versions
	order      []alike
	explained  int
	used       []int // how often each entry of allowed explained a difference
}

func newReport() *report {
	return &report{used: make([]int, len(allowed)), unexpected: map[alike][]string{}}
}

// versioned is how scenarios name what they make for a version of a request.
var versioned = regexp.MustCompile(`-v[0-9]+`)

// add counts a comparison and notes what differed in it.
func (r *report) add(scenario, request string, differences []difference) {
	r.compared++
	for _, d := range differences {
		d.scenario, d.request = scenario, request
		r.note(d)
	}
}

// explained says whether differences are all allowed.
func explained(scenario, request string, differences []difference) bool {
	for _, d := range differences {
		d.scenario, d.request = scenario, request
		if allowanceOf(d) < 0 {
			return false
		}
	}
	return true
}

// allowanceOf is the index of the allowance that explains a difference; -1 = none does.
func allowanceOf(d difference) int {
	return slices.IndexFunc(allowed, func(a allowance) bool { return a.explains(d) })
}

func (r *report) note(d difference) {
	if i := allowanceOf(d); i >= 0 {
		r.used[i]++
		r.explained++
		return
	}
	api, version, _ := strings.Cut(d.request, " ")
	key := alike{versioned.ReplaceAllString(d.scenario, "-v*"), api, versioned.ReplaceAllString(d.path, "-v*"), shorten(d.kafka), shorten(d.freshet)}
	if r.unexpected[key] == nil {
		r.order = append(r.order, key)
	}
	if !slices.Contains(r.unexpected[key], version) {
		r.unexpected[key] = append(r.unexpected[key], version)
	}
}

// finish prints the report. An error says that there are differences nobody explained, or, after a whole run, explanations without a difference.
func (r *report) finish(w io.Writer, whole bool) error {
	for _, d := range r.order {
		fmt.Fprintf(w, "DIFFERS %s: %s %s: %s\n  kafka   %s\n  freshet %s\n", d.scenario, d.api, strings.Join(r.unexpected[d], " "), d.path, d.kafka, d.freshet)
	}
	stale := 0
	for i, a := range allowed {
		switch {
		case r.used[i] > 0:
			fmt.Fprintf(w, "allowed %5d times: %s\n", r.used[i], a.reason)
		case whole && !a.lucky():
			stale++
			fmt.Fprintf(w, "STALE, explains nothing: %s\n", a.reason)
		}
	}
	fmt.Fprintf(w, "%d answers compared, %d values differ as explained, %d differences unexplained\n", r.compared, r.explained, len(r.order))
	if len(r.order) > 0 || stale > 0 {
		return fmt.Errorf("%d differences are not explained, %d explanations are stale", len(r.order), stale)
	}
	return nil
}
