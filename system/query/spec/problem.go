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

// nearest finds the name that is most like word, to suggest it; empty if none is.
func nearest(word string, names []string) string {
	if len(word) > 64 {
		return ""
	}
	best, least := "", len(word)/2+2
	for _, name := range names {
		if d := distance(strings.ToLower(word), strings.ToLower(name)); d < least {
			best, least = name, d
		}
	}
	return best
}

// suggest is the end of an error about an unknown name.
func suggest(word string, names []string) string {
	if n := nearest(word, names); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	return "there are " + strings.Join(names, ", ")
}

// distance counts the insertions, removals and replacements of bytes between two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost++
			}
			before = row[j+1]
			row[j+1] = min(cost, row[j]+1, before+1)
		}
	}
	return row[len(b)]
}

// short shows a text of a client in an error, cut where it is long.
func short(s string) string {
	const most = 60
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
