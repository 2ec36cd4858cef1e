package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
)

// row is one figure of one turn.
type row struct {
	run     int
	subject string
	measure string
	value   float64
	unit    string
}

// rows keeps the figures, prints each as it comes and writes it to a file: tab-separated run, subject, measure, value, unit.
type rows struct {
	file *os.File
	all  []row
}

func (r *rows) add(run int, subject, measure string, value float64, unit string) {
	r.all = append(r.all, row{run, subject, measure, value, unit})
	fmt.Printf("%d  %-14s %-34s %12s %s\n", run, subject, measure, figure(value), unit)
	if _, err := fmt.Fprintf(r.file, "%d\t%s\t%s\t%g\t%s\n", run, subject, measure, value, unit); err != nil {
		fmt.Fprintln(os.Stderr, "bench: keep row:", err)
	}
}

func (r *rows) close() {
	if err := r.file.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "bench: keep rows:", err)
	}
}

// figure prints three digits or more, no more than are meant.
func figure(v float64) string {
	switch {
	case v >= 100 || v == float64(int64(v)):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	default:
		return strconv.FormatFloat(v, 'f', 3, 64)
	}
}

// median of a non-empty list.
func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// summarize prints the median of each measure by subject, with the range, and the first subject's ratio to each other one.
func (r *rows) summarize() {
	var subjects, measures []string
	values := map[[2]string][]float64{}
	units := map[string]string{}
	for _, x := range r.all {
		if !slices.Contains(subjects, x.subject) {
			subjects = append(subjects, x.subject)
		}
		if !slices.Contains(measures, x.measure) {
			measures = append(measures, x.measure)
		}
		key := [2]string{x.measure, x.subject}
		values[key] = append(values[key], x.value)
		units[x.measure] = x.unit
	}
	if len(subjects) == 0 {
		return
	}
	fmt.Printf("\n| median (lowest to highest) | unit")
	for i, s := range subjects {
		fmt.Printf(" | %s", s)
		if i > 0 {
			fmt.Printf(" | %s / %s", subjects[0], s)
		}
	}
	fmt.Print(" |\n|---|---")
	for i := range subjects {
		fmt.Print("|--:")
		if i > 0 {
			fmt.Print("|--:")
		}
	}
	fmt.Println("|")
	for _, m := range measures {
		fmt.Printf("| %s | %s", m, units[m])
		ours := values[[2]string{m, subjects[0]}]
		for i, s := range subjects {
			v := values[[2]string{m, s}]
			fmt.Printf(" | %s", spread(v))
			if i > 0 {
				fmt.Printf(" | %s", ratio(ours, v))
			}
		}
		fmt.Println(" |")
	}
}

func spread(v []float64) string {
	if len(v) == 0 {
		return "–"
	}
	return fmt.Sprintf("%s (%s to %s)", figure(median(v)), figure(slices.Min(v)), figure(slices.Max(v)))
}

func ratio(ours, theirs []float64) string {
	if len(ours) == 0 || len(theirs) == 0 || median(theirs) == 0 {
		return "–"
	}
	return strconv.FormatFloat(median(ours)/median(theirs), 'f', 2, 64) + "x"
}
