package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/ratel-sim/ratel/scenarios/check"
	"github.com/ratel-sim/ratel/scenarios/engine"
)

// Exit codes. Those from 64 on follow sysexits.h where it has a fitting one.
const (
	exitPass         = 0   // every check passed
	exitFail         = 1   // a check failed: something was lost, duplicated, late or not as expected
	exitInconclusive = 3   // the evidence does not say
	exitUsage        = 64  // a wrong command, flag or argument
	exitData         = 65  // a bad script, parameter or run folder
	exitWorld        = 69  // the world is not available (no Docker, say) or cannot do what the plan asks
	exitInternal     = 70  // a defect of Ratel itself
	exitIO           = 74  // something could not be read or written
	exitInterrupted  = 130 // ended by the user
)

const exitCodesHelp = `Exit codes:
  0    pass: every check passed
  1    fail: a check failed
  3    inconclusive: the evidence does not say
  64   usage: a wrong command, flag or argument
  65   bad script, parameter or run folder
  69   the world is not available, or cannot do what the plan asks
  70   internal error: a defect of Ratel
  74   something could not be read or written
  130  interrupted`

// failure is an error with the exit code and, for people, what to do about it.
type failure struct {
	code int
	err  error
	hint string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func fail(code int, err error, hint string) error { return &failure{code: code, err: err, hint: hint} }

func usagef(format string, args ...any) error {
	return &failure{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// judged is returned by a command that did its work: the verdict is the exit code, and nothing more is printed.
type judged struct{ verdict check.Verdict }

func (j judged) Error() string { return "verdict: " + j.verdict.String() }

func verdictCode(v check.Verdict) int {
	switch v {
	case check.Pass:
		return exitPass
	case check.Fail:
		return exitFail
	case check.Inconclusive:
		return exitInconclusive
	}
	return exitInconclusive
}

// codeOf finds the exit code of a command's error.
func codeOf(err error) int {
	var j judged
	var f *failure
	switch {
	case err == nil:
		return exitPass
	case errors.As(err, &j):
		return verdictCode(j.verdict)
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &f):
		return f.code
	case errors.Is(err, engine.ErrCannot), errors.Is(err, engine.ErrWorld):
		return exitWorld
	}
	return exitInternal
}
