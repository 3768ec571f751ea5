package spec

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
	CodeUnsupported = "unsupported"
	CodeTooMany     = "too many"
)

// Problem is one thing that is wrong with a specification.
type Problem struct {
	Field string // such as filters[2].op; empty for the whole
	Code  string
	Text  string
}

// Error is what is wrong with a specification: at least one problem, in the order of the text.
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

// maxProblems bounds what is reported about one specification.
const maxProblems = 50

// problems gathers what is wrong.
type problems struct{ list []Problem }

func (p *problems) add(field, code, format string, args ...any) {
	if len(p.list) < maxProblems {
		p.list = append(p.list, Problem{field, code, fmt.Sprintf(format, args...)})
	}
}

// short shows a text of a client in an error, cut where it is long.
func short(s string) string {
	const most = 60
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
