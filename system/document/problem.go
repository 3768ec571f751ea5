// Package document reads the JSON documents of clients strictly: each name must be known and given once, each value be of its type
// and within its bounds. Everything that is wrong is gathered, each problem with its place in the document.
package document

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

// Problem is one thing that is wrong with a document.
type Problem struct {
	Field string // such as threshold.op or filters[2].op; empty for the whole
	Code  string
	Text  string
}

// Error is what is wrong with a document: at least one problem, in the order in which they were found.
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

// maxProblems bounds what is reported about one document.
const maxProblems = 50

// Problems gathers what is wrong. The zero value is ready.
type Problems struct{ list []Problem }

// Add adds a problem, unless there are very many already.
func (p *Problems) Add(field, code, format string, args ...any) {
	if len(p.list) < maxProblems {
		p.list = append(p.list, Problem{Field: field, Code: code, Text: fmt.Sprintf(format, args...)})
	}
}

// Count is how many there are.
func (p *Problems) Count() int { return len(p.list) }

// Err is an *[Error], or nil without problems.
func (p *Problems) Err() error {
	if len(p.list) == 0 {
		return nil
	}
	return &Error{p.list}
}

// Short shows a text of a client in an error, cut where it is long.
func Short(s string) string {
	const most = 60
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
