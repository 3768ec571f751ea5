//go:build unix

package reaper

import "syscall"

// detached puts a process into a session of its own, where Ctrl-C and a closing terminal do not reach it.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
