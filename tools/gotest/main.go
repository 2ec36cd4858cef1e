// Command gotest runs `go test` with its own arguments and says at the end how many tests there were: a line per package while it runs, the output of
// what failed, with -v that of what passed too, the skipped tests with their reasons, and last "N passed, N failed".
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// event is one line of `go test -json` (go doc test2json) and of `go build -json`.
type event struct {
	Action     string
	Package    string
	ImportPath string // of build output
	Test       string
	Elapsed    float64 // seconds
	Output     string
}

// testKey names one test or subtest.
type testKey struct{ pkg, test string }

// summary is what the events add up to.
type summary struct {
	out             io.Writer
	verbose         bool // tests that pass may speak
	passed, failed  int
	running         map[testKey][]string // output of tests that have not ended, and of whole packages under test ""
	skipped, broken []string
	build           map[string][]string // the compiler's words, by import path
}

func main() {
	cmd := exec.Command("go", append([]string{"test", "-json"}, os.Args[1:]...)...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
		os.Exit(1)
	}
	s := &summary{out: os.Stdout, verbose: verbose(os.Args[1:]), running: map[testKey][]string{}, build: map[string][]string{}}
	readErr := s.read(stdout)
	waitErr := cmd.Wait()
	s.close()
	if readErr != nil {
		fmt.Fprintln(os.Stderr, "gotest:", readErr)
	}
	if readErr != nil || waitErr != nil || s.failed > 0 {
		os.Exit(1)
	}
}

// verbose says whether -v is among go test's own arguments.
func verbose(args []string) bool {
	if end := slices.Index(args, "-args"); end >= 0 {
		args = args[:end]
	}
	return slices.Contains(args, "-v")
}

func (s *summary) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				fmt.Fprintf(s.out, "%s", line) // not an event: the go command itself speaks
			} else {
				s.add(e)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *summary) add(e event) {
	key := testKey{e.Package, e.Test}
	switch e.Action {
	case "output":
		s.running[key] = append(s.running[key], e.Output)
	case "build-output":
		s.build[e.ImportPath] = append(s.build[e.ImportPath], e.Output)
	case "build-fail":
		s.failed++
		s.broken = append(s.broken, e.ImportPath+" does not build")
		fmt.Fprint(s.out, strings.Join(s.build[e.ImportPath], ""))
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.endPackage(e)
		} else {
			s.endTest(e)
		}
		delete(s.running, key)
	}
}

func (s *summary) endTest(e event) {
	switch e.Action {
	case "pass":
		s.passed++
		if s.verbose {
			fmt.Fprint(s.out, strings.Join(s.running[testKey{e.Package, e.Test}], ""))
		}
	case "skip":
		s.skipped = append(s.skipped, e.Package+" "+e.Test+": "+reason(s.running[testKey{e.Package, e.Test}]))
	case "fail":
		s.failed++
		s.broken = append(s.broken, e.Package+" "+e.Test)
		fmt.Fprint(s.out, strings.Join(s.running[testKey{e.Package, e.Test}], ""))
	}
}

// reason is what a test said when it skipped: its last line that is not the framework's.
func reason(output []string) string {
	for i := len(output) - 1; i >= 0; i-- {
		if line := strings.TrimSpace(output[i]); line != "" && !strings.HasPrefix(line, "---") && !strings.HasPrefix(line, "===") {
			return line
		}
	}
	return "no reason given"
}

func (s *summary) endPackage(e event) {
	switch e.Action {
	case "pass":
		fmt.Fprintf(s.out, "ok    %-70s %6.1f s\n", e.Package, e.Elapsed)
	case "fail":
		fmt.Fprintf(s.out, "FAIL  %-70s %6.1f s\n", e.Package, e.Elapsed)
		// A package can fail without a failed test: a panic, a leak check, a timeout. Its own output says which, and tests cut off speak too.
		before := s.failed
		for key, output := range s.running {
			if key.pkg != e.Package {
				continue
			}
			fmt.Fprint(s.out, strings.Join(output, ""))
			if key.test != "" {
				s.failed++
				s.broken = append(s.broken, key.pkg+" "+key.test+" did not end")
			}
			delete(s.running, key)
		}
		if s.failed == before && !s.blamed(e.Package) {
			s.failed++
			s.broken = append(s.broken, e.Package)
		}
	}
}

// blamed reports whether a failure of the package is already in the list.
func (s *summary) blamed(pkg string) bool {
	for _, b := range s.broken {
		if strings.HasPrefix(b, pkg+" ") {
			return true
		}
	}
	return false
}

func (s *summary) close() {
	for _, line := range s.skipped {
		fmt.Fprintln(s.out, "skipped:", line)
	}
	for _, line := range s.broken {
		fmt.Fprintln(s.out, "failed:", line)
	}
	fmt.Fprintf(s.out, "%d passed, %d failed\n", s.passed, s.failed)
}
