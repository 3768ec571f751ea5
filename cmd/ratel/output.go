package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/ratel-sim/ratel/reports"
	"github.com/ratel-sim/ratel/scenarios/check"
	"github.com/ratel-sim/ratel/scenarios/evidence"
)

// Formats of what goes to stdout.
const (
	formatText  = "text"
	formatJSON  = "json"
	formatJUnit = "junit"
)

func checkFormat(f string) error {
	switch f {
	case formatText, formatJSON, formatJUnit:
		return nil
	}
	return usagef("--format %q: there are %q, %q and %q", f, formatText, formatJSON, formatJUnit)
}

func stack() []byte { return debug.Stack() }

// gcPercent is how much the heap may grow between two garbage collections while simulating. A simulated run keeps little
// and lets go of much, so Go's default of 100 would spend a good part of the time on collecting.
const gcPercent = 400

// simulating prepares the program for simulated runs. Roles on real servers keep Go's default, and whoever sets GOGC has
// the last word.
func simulating() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// load reads a run's folder.
func load(dir string) (*evidence.Evidence, error) {
	ev, err := evidence.Load(dir)
	if err != nil {
		return nil, fail(exitData, err, "")
	}
	return ev, nil
}

// writeReports puts the reports into the run's folder and returns the path of the one for people.
func (c *cli) writeReports(dir string, ev *evidence.Evidence, j *check.Judgement, _ outcome) (string, error) {
	if err := reports.Write(dir, ev, j); err != nil {
		return "", err
	}
	return filepath.Join(dir, reports.HTMLFile), nil
}

// print prints a judgement on stdout.
func (c *cli) print(format string, ev *evidence.Evidence, j *check.Judgement, report string, o outcome) error {
	switch format {
	case formatJSON:
		return reports.JSON(c.out, ev, j)
	case formatJUnit:
		return reports.JUnit(c.out, ev, j)
	}
	return reports.Text(c.out, ev, j, reports.TextOptions{Color: c.color, Report: report, Replay: o.again, Wall: o.wall, Width: width()})
}

// width is how wide a summary may be.
func width() int {
	var n int
	if _, err := fmt.Sscan(os.Getenv("COLUMNS"), &n); err == nil && n >= 40 {
		return n
	}
	return 120
}
