package main

import (
	"errors"
	"os/exec"
	"strconv"
)

func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}

func itoa(n int) string { return strconv.Itoa(n) }
