package lang

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system/nearest"
	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// source is a script's text and where its calls are.
type source struct {
	lines []string
	calls map[place]*syntax.CallExpr // by their opening parenthesis, which is what the interpreter knows of a call
	names []string                   // bound at the top level
	doc   string
}

type place struct{ line, col int }

func newSource(text []byte, f *syntax.File) *source {
	s := &source{lines: strings.Split(string(text), "\n"), calls: map[place]*syntax.CallExpr{}}
	if f == nil {
		return s
	}
	syntax.Walk(f, func(n syntax.Node) bool {
		if call, ok := n.(*syntax.CallExpr); ok {
			s.calls[place{int(call.Lparen.Line), int(call.Lparen.Col)}] = call
		}
		return true
	})
	for i, stmt := range f.Stmts {
		switch stmt := stmt.(type) {
		case *syntax.DefStmt:
			s.names = append(s.names, stmt.Name.Name)
		case *syntax.ExprStmt:
			if lit, ok := stmt.X.(*syntax.Literal); ok && i == 0 && lit.Token == syntax.STRING {
				s.doc, _ = lit.Value.(string)
			}
		}
	}
	return s
}

// textual says where a file is no text. The parser would end at a NUL byte as at the file's end, and take bytes that are
// no characters into strings, as another encoding has them.
func (u *unit) textual(file string, text []byte) error {
	const hint = "save the script as UTF-8, without a byte order mark"
	pos := plan.Pos{File: file, Line: 1, Col: 1}
	what := ""
	switch {
	case bytes.HasPrefix(text, []byte("\ufeff")):
		what = "the script begins with a byte order mark"
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")):
		what = "the script is UTF-16"
	}
	for rest := text; what == "" && len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && size == 1:
			what = fmt.Sprintf("byte 0x%02x is not UTF-8", rest[0])
		case r == 0:
			what = "the script has a NUL byte: it is no text"
		case r == '\n':
			pos.Line, pos.Col = pos.Line+1, 1
		default:
			pos.Col++
		}
		rest = rest[size:]
	}
	if what == "" {
		return nil
	}
	return &Error{Problems: []Problem{{Pos: pos, What: what, Hint: hint}}} // without its line, which may be anything
}

// unit is a script with all scripts that it loads.
type unit struct {
	file    string
	sources map[string]*source // by file name
	read    Reader             // of files below the script's folder; nil if there are none
}

func position(p syntax.Position) plan.Pos {
	return plan.Pos{File: p.Filename(), Line: int(p.Line), Col: int(p.Col)}
}

// call is the call whose opening parenthesis is at a position.
func (u *unit) call(p plan.Pos) *syntax.CallExpr {
	if src := u.sources[p.File]; src != nil {
		return src.calls[place{p.Line, p.Col}]
	}
	return nil
}

// start moves a position at a call's parenthesis to where the call begins, and leaves others.
func (u *unit) start(p plan.Pos) plan.Pos {
	if call := u.call(p); call != nil {
		begin, _ := call.Span()
		return position(begin)
	}
	return p
}

// unresolved explains an error of the resolver, with the nearest name for one that is not defined. The interpreter itself
// looks among the script's own names only.
func (u *unit) unresolved(r resolve.Error) Problem {
	what, hint := splitMeant(r.Msg)
	name, ok := strings.CutPrefix(what, "undefined: ")
	if !ok {
		return u.problem(position(r.Pos), what, hintFor(what))
	}
	if hint == "" {
		known := slices.Concat(predeclared().Keys(), starlark.Universe.Keys(), u.sources[r.Pos.Filename()].names)
		if slices.Contains(methodNames(), name) {
			hint = fmt.Sprintf("did you mean s.%s?", name)
		} else if near, ok := nearest.Name(name, known); ok {
			hint = fmt.Sprintf("did you mean %s?", near)
		} else if near, ok := nearest.Name(name, methodNames()); ok {
			hint = fmt.Sprintf("did you mean s.%s?", near)
		}
	}
	return u.problem(position(r.Pos), fmt.Sprintf("%q is not defined", name), hint)
}
