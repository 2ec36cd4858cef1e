//go:build unix

package hostile

import (
	"fmt"
	"syscall"
)

// raiseFileLimit makes sure that this process may open n files. The node has a limit of its own, which Go raises to the hard one at start.
func raiseFileLimit(n uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if uint64(limit.Max) < n {
		return fmt.Errorf("%d needed, %d allowed", n, limit.Max)
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}
