package expr

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// quoted reads a string: "…" with escapes, or `…` without.
func (l *lexer) quoted() (string, *Error) {
	start := l.at
	quote := l.text[start]
	l.at++
	if quote == '`' {
		n := strings.IndexByte(l.text[l.at:], '`')
		if n < 0 {
			return "", l.fail(start, "expected a closing `", "a string does not end")
		}
		s := l.text[l.at : l.at+n]
		l.at += n + 1
		return s, nil
	}
	var b []byte
	for {
		rest := l.text[l.at:]
		switch {
		case rest == "":
			return "", l.fail(start, `expected a closing "`, "a string does not end")
		case rest[0] == '"':
			l.at++
			if !utf8.Valid(b) {
				return "", l.fail(start, "expected escapes that make characters, such as \\u00e9", "a string is not UTF-8")
			}
			return string(b), nil
		case rest[0] == '\n':
			return "", l.fail(l.at, `write \n, or put the string in backquotes`, "there is a line break in a string")
		case strings.HasPrefix(rest, `\'`):
			b = append(b, '\'')
			l.at += 2
			continue
		}
		r, multibyte, tail, err := strconv.UnquoteChar(rest, '"')
		if err != nil {
			return "", l.fail(l.at, `there are \\ \" \' \a \b \f \n \r \t \v \123 \x7f \u00e9 \U0001f600; in backquotes, a backslash is itself`, "%s is not an escape", short(firstRunes(rest, 2)))
		}
		if r < utf8.RuneSelf || !multibyte {
			b = append(b, byte(r))
		} else {
			b = utf8.AppendRune(b, r)
		}
		l.at = len(l.text) - len(tail)
	}
}

func firstRunes(s string, n int) string {
	end := 0
	for ; n > 0 && end < len(s); n-- {
		_, size := utf8.DecodeRuneInString(s[end:])
		end += size
	}
	return s[:end]
}

// String is the expression in its plainest form: functions instead of operators. Parse reads it back as the same expression.
func (e *Expr) String() string {
	var b strings.Builder
	e.root.print(&b)
	return b.String()
}

func (n *node) print(b *strings.Builder) {
	switch n.op {
	case opLiteral:
		b.WriteString(literal(n))
	case opColumn:
		b.WriteByte('$')
		if plainColumn(n.name) {
			b.WriteString(n.name)
		} else {
			b.WriteString(strconv.Quote(n.name))
		}
	default:
		b.WriteString(n.op.function().name)
		b.WriteByte('(')
		for i, a := range n.args {
			if i > 0 {
				b.WriteString(", ")
			}
			a.print(b)
		}
		b.WriteByte(')')
	}
}

func literal(n *node) string {
	switch n.typ {
	case String:
		return strconv.Quote(n.value.Str())
	case Float:
		s := strconv.FormatFloat(n.value.Float(), 'g', -1, 64)
		if !strings.ContainsAny(s, ".e") {
			s += ".0"
		}
		return s
	}
	return n.value.String()
}

// plainColumn says whether a column's name needs no quotes.
func plainColumn(name string) bool {
	for _, r := range name {
		if !inColumn(r) || strings.ContainsRune("=+?", r) {
			return false
		}
	}
	first, _ := utf8.DecodeRuneInString(name)
	return unicode.IsLetter(first) || first == '_'
}
