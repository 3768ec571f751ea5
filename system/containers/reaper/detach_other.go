//go:build !unix

package reaper

import "syscall"

func detached() *syscall.SysProcAttr { return nil }
