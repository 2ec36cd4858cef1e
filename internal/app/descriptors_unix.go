//go:build linux || darwin

package app

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// descriptorLimit returns how many files the process may have open, 0 = as many as it likes. Package os has raised the soft limit to the hard one.
func descriptorLimit() (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("limit of open files: %w", err)
	}
	if limit.Cur > math.MaxInt32 {
		return 0, nil
	}
	return int(limit.Cur), nil
}
