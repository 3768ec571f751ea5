package main

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/term"

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

// sink is stdout. It keeps the first error of writing, so that no command can end well when its result was not printed.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if s.err == nil {
		s.err = err
	}
	return n, err
}

// unknownBuild is a build that does not know what it was made from.
const unknownBuild = "unknown"

// buildName is what the linker was told, or else the commit that the Go tool wrote into the program.
func buildName() string {
	if build != unknownBuild {
		return build
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unknownBuild
	}
	name, dirty := unknownBuild, ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 7:
			name = s.Value[:7]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = dirtyBuild
		}
	}
	if name == unknownBuild {
		return name
	}
	return name + dirty
}

// dirtyBuild ends the name of a build with changes that are in no commit: two of the same name need not be the same.
const dirtyBuild = "-dirty"

// exact says whether a build's name tells it from every other build.
func exact(build string) bool { return build != unknownBuild && !strings.HasSuffix(build, dirtyBuild) }

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

// width is how wide a summary may be: as wide as the terminal, or as COLUMNS says.
func width() int {
	const least, usual = 40, 120
	var n int
	if _, err := fmt.Sscan(os.Getenv("COLUMNS"), &n); err == nil && n >= least {
		return n
	}
	if n, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && n >= least {
		return min(n, 2*usual)
	}
	return usual
}

// quoted makes an argument one that a shell reads as it is.
func quoted(arg string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./=:,%+@", r)
	}
	if arg != "" && strings.IndexFunc(arg, func(r rune) bool { return !plain(r) }) < 0 {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}
