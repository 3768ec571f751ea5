package lang

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ratel-sim/ratel/scenarios/plan"
	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Error is everything that was found wrong with a script, in the order of the script where it is known. It is never empty.
type Error struct {
	Problems []Problem
	// Scenario is the call that was evaluated, such as scenario(outage="60s"); empty when the script did not get so far.
	Scenario string
}

// Problem is one mistake.
type Problem struct {
	Pos   plan.Pos
	What  string
	Hint  string // what to write instead; may be empty
	Line  string // the line of the script
	Calls []Call // from where the function with the mistake was called, innermost first
}

// Call is a call in a script.
type Call struct {
	Pos      plan.Pos
	Function string // in which the call stands
}

// Error renders every problem with its line and a caret below the place, for people.
func (e *Error) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		p.render(&b)
	}
	if e.Scenario != "" {
		fmt.Fprintf(&b, "\n   in %s", e.Scenario)
	}
	return b.String()
}

// widest is how much of a script's line is shown.
const widest = 160

func (p Problem) render(b *strings.Builder) {
	fmt.Fprintf(b, "%s: %s", p.Pos, p.What)
	line := []rune(strings.TrimRight(p.Line, " \t\r"))
	switch {
	case len(line) > 0 && p.Pos.Col >= 1 && p.Pos.Col <= min(len(line), widest)+1:
		if len(line) > widest {
			line = append(line[:widest:widest], '…')
		}
		pad := make([]rune, p.Pos.Col-1)
		for i := range pad {
			pad[i] = ' '
			if line[i] == '\t' {
				pad[i] = '\t'
			}
		}
		fmt.Fprintf(b, "\n%5d | %s\n      | %s^", p.Pos.Line, string(line), string(pad))
		if p.Hint != "" {
			b.WriteString(" " + p.Hint)
		}
	case p.Hint != "":
		b.WriteString("\n   " + p.Hint)
	}
	for _, c := range p.Calls {
		fmt.Fprintf(b, "\n   called from %s in %s", c.Pos, c.Function)
	}
}

// ParamError says that a value given for a parameter (by --set) cannot be used. The script itself may be well.
type ParamError struct {
	Scenario string
	Name     string
	What     string
	Hint     string
}

// Error is one line.
func (e *ParamError) Error() string {
	s := fmt.Sprintf("scenario %s: parameter %q %s", e.Scenario, e.Name, e.What)
	if e.Hint != "" {
		s += ": " + e.Hint
	}
	return s
}

// mistake is how a builtin says what is wrong. Without a position it is at the call.
type mistake struct {
	pos  plan.Pos
	what string
	hint string
}

type mistakes []mistake

// Error implements error; it is what a Starlark backtrace would show.
func (m mistakes) Error() string {
	lines := make([]string, len(m))
	for i := range m {
		lines[i] = m[i].what
	}
	return strings.Join(lines, "; ")
}

// explain turns whatever the interpreter returned into an [Error].
func (u *unit) explain(err error) *Error {
	var own *Error
	var syntaxErr syntax.Error
	var unresolved resolve.ErrorList
	var eval *starlark.EvalError
	var told mistakes
	switch {
	case errors.As(err, &own): // of a loaded script
		return own
	case errors.As(err, &syntaxErr):
		return &Error{Problems: []Problem{u.problem(position(syntaxErr.Pos), "syntax: "+syntaxErr.Msg, hintFor(syntaxErr.Msg))}}
	case errors.As(err, &unresolved):
		e := &Error{}
		for _, r := range unresolved { // its Error method would tell the first only
			e.Problems = append(e.Problems, u.unresolved(r))
		}
		return e
	case errors.As(err, &eval):
		return u.evaluation(eval)
	case errors.As(err, &told): // without a stack: each has its position
		return u.told(told, plan.Pos{File: u.file, Line: 1, Col: 1}, nil)
	}
	return &Error{Problems: []Problem{u.problem(plan.Pos{File: u.file, Line: 1, Col: 1}, err.Error(), "")}}
}

// evaluation explains an error with a stack: what is wrong is where the innermost frame of a script is, or where a builtin says.
func (u *unit) evaluation(eval *starlark.EvalError) *Error {
	var at []Call
	for i := range eval.CallStack {
		if fr := eval.CallStack.At(i); u.sources[fr.Pos.Filename()] != nil {
			at = append(at, Call{Pos: u.start(position(fr.Pos)), Function: fr.Name})
		}
	}
	here := plan.Pos{File: u.file, Line: 1, Col: 1}
	if len(at) > 0 {
		here, at = at[0].Pos, at[1:]
	}
	var told mistakes
	if !errors.As(eval, &told) {
		what, meant := splitMeant(eval.Msg)
		if meant == "" {
			meant = hintFor(what)
		}
		told = mistakes{{what: reword(what), hint: meant}}
	}
	return u.told(told, here, at)
}

// told makes an error of mistakes; those without a position are here.
func (u *unit) told(list mistakes, here plan.Pos, calls []Call) *Error {
	e := &Error{}
	for _, m := range list {
		pos := m.pos
		if pos == (plan.Pos{}) {
			pos = here
		}
		p := u.problem(pos, m.what, m.hint)
		p.Calls = calls
		e.Problems = append(e.Problems, p)
	}
	return e
}

// problem adds the line of the script.
func (u *unit) problem(pos plan.Pos, what, hint string) Problem {
	p := Problem{Pos: pos, What: what, Hint: hint}
	if src := u.sources[pos.File]; src != nil && pos.Line >= 1 && pos.Line <= len(src.lines) {
		p.Line = src.lines[pos.Line-1]
	}
	return p
}

// splitMeant takes the interpreter's "(did you mean X?)" off a message.
func splitMeant(msg string) (what, hint string) {
	if i := strings.LastIndex(msg, " (did you mean "); i >= 0 && strings.HasSuffix(msg, ")") {
		return msg[:i], strings.TrimSuffix(msg[i+2:], ")")
	}
	return msg, ""
}

// reword says in a user's words what the interpreter says in its own.
func reword(msg string) string {
	if strings.Contains(msg, "too many steps") {
		return fmt.Sprintf("the script did not end within %d steps", maxSteps)
	}
	return msg
}

// hintFor says what to do about some errors of the interpreter.
func hintFor(msg string) string {
	switch {
	case strings.Contains(msg, "too many steps"):
		return "is this loop endless? A scenario needs a few hundred steps"
	case strings.Contains(msg, "not an identifier"):
		return "load, for, from, in, not, … are words of the language and cannot be names"
	case msg == "got for, want primary expression":
		return `for is a word of the language: the argument is called for_, as in for_ = "10s"`
	case strings.Contains(msg, "while"):
		return "write for i in range(n): a script must come to an end"
	case strings.Contains(msg, "called recursively"):
		return "write a loop: functions must not call themselves"
	case strings.Contains(msg, "cannot reassign"):
		return "use another name, or a variable inside a function"
	case strings.Contains(msg, "not within a function"):
		return "put it into def scenario(s)"
	case strings.Contains(msg, "frozen"):
		return "what is made outside scenario cannot be changed inside: make a new one"
	}
	return ""
}
