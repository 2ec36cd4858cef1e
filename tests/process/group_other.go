//go:build !unix

package process

import (
	"os"
	"os/exec"
)

var interruptSignal = os.Interrupt

func ownGroup(*exec.Cmd) {}

func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
