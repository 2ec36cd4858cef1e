//go:build !windows

package demo

import "os"

// enableANSI says whether a terminal obeys escape sequences.
func enableANSI(*os.File) bool { return os.Getenv("TERM") != "dumb" }
