// Package reports tells people and machines what a run showed: a summary for the terminal, verdict.json and junit.xml for
// machines, and report.html, one offline file. All but the terminal's are functions of the evidence and its judgement
// alone: the same evidence gives the same bytes.
package reports

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ratel-sim/ratel/scenarios/check"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/library"
)

// Names of the files that [Write] puts into a run's folder.
const (
	VerdictFile = "verdict.json"
	JUnitFile   = "junit.xml"
	HTMLFile    = "report.html"
)

// Write writes verdict.json, junit.xml and report.html into the run's folder. Each file appears whole or not at all, and
// replaces what an earlier judgement of the same run has left there.
func Write(dir string, ev *evidence.Evidence, j *check.Judgement) error {
	files := []struct {
		name  string
		write func(io.Writer, *evidence.Evidence, *check.Judgement) error
	}{
		{VerdictFile, JSON},
		{JUnitFile, JUnit},
		{HTMLFile, HTML},
	}
	for _, f := range files {
		var b bytes.Buffer
		if err := f.write(&b, ev, j); err != nil {
			return fmt.Errorf("report %s: %w", f.name, err)
		}
		if err := evidence.WriteFileAtomic(filepath.Join(dir, f.name), b.Bytes()); err != nil {
			return fmt.Errorf("report %s: %w", f.name, err)
		}
	}
	return nil
}

// verdictFile is verdict.json: the judgement and how to see it again. docs/verdict.md describes the fields, which
// [check.Judgement] defines; its version is [check.Version].
type verdictFile struct {
	*check.Judgement
	Replay string `json:"replay"`
}

// JSON writes verdict.json: the whole judgement, indented, with the command that replays the run.
func JSON(w io.Writer, ev *evidence.Evidence, j *check.Judgement) error {
	// The series can be thousands of numbers: they stay on one line each, the rest is indented for people and for diffs.
	series := j.Series
	short := *j
	short.Series = check.Series{Step: series.Step, Columns: []check.Column{}}
	b, err := json.MarshalIndent(verdictFile{&short, Replay(ev)}, "", "  ")
	if err != nil {
		return err
	}
	columns := make([]string, len(series.Columns))
	for i, c := range series.Columns {
		line, err := json.Marshal(c)
		if err != nil {
			return err
		}
		columns[i] = "\n      " + string(line)
	}
	end := ""
	if len(columns) > 0 {
		end = "\n    "
	}
	empty := []byte(`"columns": []`)
	if bytes.Count(b, empty) != 1 {
		return fmt.Errorf("internal: the place of the series is not unique in %s", VerdictFile)
	}
	b = bytes.Replace(b, empty, []byte(`"columns": [`+strings.Join(columns, ",")+end+"]"), 1)
	_, err = w.Write(append(b, '\n'))
	return err
}

// Replay is the command that does the run again: in the simulation to the same bytes, elsewhere with the same plan and draws.
func Replay(ev *evidence.Evidence) string {
	parts := []string{"ratel run", shellQuote(scriptOf(ev)), "--world", shellQuote(ev.Run.World), "--seed", strconv.FormatUint(ev.Run.Seed, 10)}
	if ev.Plan != nil {
		for _, p := range ev.Plan.Params {
			if p.Value != p.Default {
				parts = append(parts, "--set", shellQuote(p.Name+"="+p.Value))
			}
		}
	}
	for _, bug := range ev.Run.Planted {
		parts = append(parts, "--planted", shellQuote(bug))
	}
	return strings.Join(parts, " ")
}

// scriptOf is how the command line names a run's script: by its name in the library, else by the path that it had.
func scriptOf(ev *evidence.Evidence) string {
	if ev.Plan == nil || slices.Contains(library.Names(), ev.Run.Scenario) {
		return ev.Run.Scenario
	}
	return ev.Plan.Pos.File
}

// shellQuote quotes s for a POSIX shell where it needs it.
func shellQuote(s string) string {
	plain := s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./=:,+@%", r))
	}) < 0
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
