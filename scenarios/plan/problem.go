package plan

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong with a plan.
type Problem struct {
	Pos   Pos    // where: the step in the script, or the place in a JSON file
	Field string // which argument of the step, as scripts and JSON name it; empty when it is not about one
	What  string // what is wrong, and with what value
	Hint  string // what to write instead; may be empty
}

// String is one line.
func (p Problem) String() string {
	s := p.What
	if p.Pos.File != "" {
		s = p.Pos.String() + ": " + s
	}
	if p.Hint != "" {
		s += ": " + p.Hint
	}
	return s
}

// Problems is an error that lists all that was found wrong. It is never empty.
type Problems []Problem

// Error is one line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// found gathers problems of one step.
type found struct {
	pos  Pos
	step string // such as `phase "outage"`; begins every What
	list Problems
}

func (f *found) add(field, hint, format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	if f.step != "" {
		what = f.step + ": " + what
	}
	f.list = append(f.list, Problem{Pos: f.pos, Field: field, What: what, Hint: hint})
}
