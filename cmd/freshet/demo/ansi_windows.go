package demo

import (
	"os"

	"golang.org/x/sys/windows"
)

// enableANSI makes a console obey escape sequences; false means that it cannot.
func enableANSI(f *os.File) bool {
	var mode uint32
	console := windows.Handle(f.Fd())
	if err := windows.GetConsoleMode(console, &mode); err != nil {
		return false
	}
	return windows.SetConsoleMode(console, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
