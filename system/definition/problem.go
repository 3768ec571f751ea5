package definition

import (
	"fmt"
	"strings"
)

// Codes of problems, as the API names them.
const (
	CodeInvalid     = "invalid"
	CodeMissing     = "missing"
	CodeType        = "incorrect type"
	CodeUnknown     = "unknown"
	CodeUnsupported = "unsupported" // the API has it, this system has not
	CodeTooMany     = "too many"
)

// Problem is one thing that is wrong with a definition.
type Problem struct {
	Code  string
	Field string // such as threshold.op or recipients[0].target; empty for the whole
	Text  string
}

// Error is what is wrong with a definition: at least one problem.
type Error struct{ Problems []Problem }

// Error implements error.
func (e *Error) Error() string {
	texts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		texts[i] = p.Text
		if p.Field != "" {
			texts[i] = p.Field + ": " + p.Text
		}
	}
	return strings.Join(texts, "; ")
}

// maxProblems bounds what is reported about one definition.
const maxProblems = 50

// problems gathers what is wrong.
type problems struct{ list []Problem }

func (p *problems) add(field, code, format string, args ...any) {
	if len(p.list) < maxProblems {
		p.list = append(p.list, Problem{code, field, fmt.Sprintf(format, args...)})
	}
}

// err is nil without problems.
func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	return &Error{p.list}
}

// short shows a text of a client in an error, cut where it is long.
func short(s string) string {
	const most = 60
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
