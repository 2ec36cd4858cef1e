//go:build unix

package process

import (
	"os/exec"
	"syscall"
)

const interruptSignal = syscall.SIGTERM

// ownGroup makes the child lead a process group, so that its own children can be ended with it and a terminal's Ctrl-C reaches only us.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup cannot fail in a way that matters: the group is ours, or already gone.
func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
