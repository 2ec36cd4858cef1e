package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process has cost so far, as Linux counts it.
type Usage struct {
	CPU      time.Duration // user and system, to a hundredth of a second
	Resident int64         // bytes now
	Peak     int64         // bytes at most so far
}

// ticksPerSecond is USER_HZ, 100 on every Linux that Go runs on.
const ticksPerSecond = 100

// Usage reads the child's cost from /proc. It fails where there is no /proc, and after the child's end.
func (p *Process) Usage() (Usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		return Usage{}, fmt.Errorf("usage of %s: %w", p.name, err)
	}
	// The command in parentheses may hold spaces; the fields after its last parenthesis begin with the state, field 3 of proc(5).
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	const utime, stime = 14 - 3, 15 - 3
	if len(fields) <= stime {
		return Usage{}, fmt.Errorf("usage of %s: short /proc stat", p.name)
	}
	var ticks int64
	for _, f := range []string{fields[utime], fields[stime]} {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return Usage{}, fmt.Errorf("usage of %s: %w", p.name, err)
		}
		ticks += n
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return Usage{}, fmt.Errorf("usage of %s: %w", p.name, err)
	}
	return Usage{
		CPU:      time.Duration(ticks) * (time.Second / ticksPerSecond),
		Resident: kibibytes(string(status), "VmRSS:"),
		Peak:     kibibytes(string(status), "VmHWM:"),
	}, nil
}

// kibibytes returns the value of one line of /proc/PID/status in bytes, or 0.
func kibibytes(status, key string) int64 {
	_, rest, _ := strings.Cut(status, key)
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(line), "kB")), 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}
