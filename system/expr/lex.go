package expr

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind of a token.
type kind uint8

const (
	tokEnd kind = iota
	tokNumber
	tokString
	tokColumn
	tokName
	tokSign // operators, parentheses and commas
)

type token struct {
	kind   kind
	offset int
	end    int
	text   string // a number's digits, a name, a sign; the content of a string; the name of a column
}

// shown is a token as errors show it.
func (t token) shown() string {
	switch t.kind {
	case tokEnd:
		return "the end"
	case tokNumber:
		return "the number " + short(t.text)
	case tokString:
		return "a string"
	case tokColumn:
		return "the column " + short(t.text)
	}
	return short(t.text)
}

// short shows a text in an error, cut where it is long.
func short(s string) string {
	const most = 60
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// place makes an error from an offset.
func place(text string, offset int, what, want string) *Error {
	before := text[:offset]
	line := strings.Count(before, "\n")
	column := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return &Error{Offset: offset, Line: line + 1, Column: column + 1, Text: what, Want: want}
}

// lexer cuts a text that is valid UTF-8 into tokens.
type lexer struct {
	text string
	at   int
}

func (l *lexer) fail(offset int, want, format string, args ...any) *Error {
	return place(l.text, offset, fmt.Sprintf(format, args...), want)
}

func (l *lexer) next() (token, *Error) {
	for {
		r, size := utf8.DecodeRuneInString(l.text[l.at:])
		if size == 0 {
			return token{kind: tokEnd, offset: l.at, end: l.at}, nil
		}
		if !unicode.IsSpace(r) {
			break
		}
		l.at += size
	}
	start, c := l.at, l.text[l.at]
	switch {
	case c == '$':
		return l.column(start)
	case c == '"' || c == '`':
		s, err := l.quoted()
		return token{tokString, start, l.at, s}, err
	case digit(c) || c == '.' && start+1 < len(l.text) && digit(l.text[start+1]):
		return l.number(start)
	case letter(c):
		for l.at < len(l.text) && (letter(l.text[l.at]) || digit(l.text[l.at])) {
			l.at++
		}
		return token{tokName, start, l.at, l.text[start:l.at]}, nil
	}
	return l.sign(start)
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

func (l *lexer) sign(start int) (token, *Error) {
	two := l.text[start:min(start+2, len(l.text))]
	for _, x := range [...]struct{ sign, better string }{{"==", "="}, {"<>", "!="}, {"&&", "AND"}, {"||", "OR"}} {
		if two == x.sign {
			return token{}, l.fail(start, "write "+x.better, "there is no operator %s", x.sign)
		}
	}
	n := 1
	switch two {
	case "!=", "<=", ">=":
		n = 2
	default:
		if !strings.Contains("=<>!+-*/%(),", two[:1]) {
			r, _ := utf8.DecodeRuneInString(l.text[start:])
			return token{}, l.fail(start, "expected a function, a $column, a literal or an operator", "%q does not belong here", r)
		}
	}
	l.at += n
	return token{tokSign, start, l.at, l.text[start:l.at]}, nil
}

// inColumn says whether a character belongs to a column's name without quotes.
func inColumn(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_./:=+?-", r)
}

// column reads $name, $"name" or $`name`.
func (l *lexer) column(start int) (token, *Error) {
	l.at++
	t := token{kind: tokColumn, offset: start}
	if l.at < len(l.text) && (l.text[l.at] == '"' || l.text[l.at] == '`') {
		s, err := l.quoted()
		if err != nil {
			return token{}, err
		}
		t.text = s
	} else {
		for l.at < len(l.text) {
			r, size := utf8.DecodeRuneInString(l.text[l.at:])
			if !inColumn(r) {
				break
			}
			l.at += size
		}
		t.text = l.text[start+1 : l.at]
		// The API takes these into the name. Nearly always an operator was meant, which would go unnoticed.
		if i := strings.IndexAny(t.text, "=+?"); i >= 0 {
			return token{}, l.fail(start+1+i, fmt.Sprintf("if it is an operator, put spaces around it; if it belongs to the name, write $\"%s\"", short(t.text)),
				"the name of column %s contains %q", short(t.text), t.text[i])
		}
	}
	t.end = l.at
	switch {
	case t.text == "":
		return token{}, l.fail(start, "expected a name after $, such as $duration_ms or $\"name with spaces\"", "the name of a column is missing")
	case len(t.text) > MaxName:
		return token{}, l.fail(start, fmt.Sprintf("at most %d bytes are allowed", MaxName), "the name of a column has %d bytes", len(t.text))
	}
	return t, nil
}

// number reads digits with a fraction and an exponent.
func (l *lexer) number(start int) (token, *Error) {
	digits := func() {
		for l.at < len(l.text) && digit(l.text[l.at]) {
			l.at++
		}
	}
	digits()
	if l.at < len(l.text) && l.text[l.at] == '.' {
		l.at++
		digits()
	}
	if rest := l.text[l.at:]; rest != "" && (rest[0] == 'e' || rest[0] == 'E') {
		n := 1
		if len(rest) > n && (rest[n] == '+' || rest[n] == '-') {
			n++
		}
		if len(rest) > n && digit(rest[n]) {
			l.at += n
			digits()
		}
	}
	if l.at < len(l.text) && (letter(l.text[l.at]) || l.text[l.at] == '.') {
		return token{}, l.fail(start, "expected a number such as 12, 0.5 or 4e+2", "%s is not a number", short(l.text[start:l.at+1]))
	}
	return token{tokNumber, start, l.at, l.text[start:l.at]}, nil
}
