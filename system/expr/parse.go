package expr

import (
	"fmt"
	"math"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/nearest"
)

// Parse reads and checks an expression. An error is an *[Error].
func Parse(text string) (*Expr, error) {
	if len(text) > MaxBytes {
		return nil, place("", 0, fmt.Sprintf("the expression has %d bytes", len(text)), fmt.Sprintf("at most %d are allowed", MaxBytes))
	}
	for i, r := range text {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
				return nil, place(text, i, "the expression is not UTF-8", "expected valid text")
			}
		}
	}
	p := parser{lex: lexer{text: text}}
	root, err := p.whole()
	if err != nil {
		return nil, err
	}
	names := root.collect(nil)
	slices.Sort(names)
	return &Expr{root: root, columns: slices.Compact(names)}, nil
}

type parser struct {
	lex          lexer
	tok          token // the next one
	nodes        int
	depth        int
	instructions int // of regular expressions
}

func (p *parser) fail(offset int, want, format string, args ...any) *Error {
	return p.lex.fail(offset, want, format, args...)
}

func (p *parser) advance() (err *Error) {
	p.tok, err = p.lex.next()
	return err
}

func (p *parser) whole() (*node, *Error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	n, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tokEnd {
		return nil, p.fail(p.tok.offset, "expected an operator or the end", "found %s after the expression", p.tok.shown())
	}
	return n, nil
}

// binding is an infix operator: the higher its strength, the tighter it binds.
type binding struct {
	sign     string
	op       op
	strength int
	not      bool // the opposite of op
}

func infix(t token) (binding, bool) {
	if t.kind == tokSign || t.kind == tokName {
		for _, b := range [...]binding{
			{"OR", opOr, 1, false},
			{"AND", opAnd, 2, false},
			{"=", opEquals, 3, false}, {"!=", opEquals, 3, true},
			{"<", opLT, 3, false}, {"<=", opLTE, 3, false}, {">", opGT, 3, false}, {">=", opGTE, 3, false},
			{"+", opSum, 4, false}, {"-", opSub, 4, false},
			{"*", opMul, 5, false}, {"/", opDiv, 5, false}, {"%", opMod, 5, false},
		} {
			if b.sign == t.text {
				return b, true
			}
		}
	}
	return binding{}, false
}

// expression reads operands with operators that bind tighter than strength, from left to right.
func (p *parser) expression(strength int) (*node, *Error) {
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	chain := false // left was made here by an operator that takes any number of operands
	for {
		b, ok := infix(p.tok)
		if !ok || b.strength <= strength {
			return left, nil
		}
		at := p.tok.offset
		if err := p.advance(); err != nil {
			return nil, err
		}
		right, err := p.expression(b.strength)
		if err != nil {
			return nil, err
		}
		if again, ok := infix(p.tok); ok && b.strength == 3 && again.strength == 3 {
			return nil, p.fail(p.tok.offset, "put parentheses around one of them, or join two with AND", "%s follows the comparison %s", p.tok.text, b.sign)
		}
		args := []*node{left, right}
		if chain && left.op == b.op && slices.Contains([]op{opAnd, opOr, opSum, opMul}, b.op) {
			args = append(left.args, right)
			p.nodes--
		}
		if left, err = p.call(b.op, at, args); err != nil {
			return nil, err
		}
		if b.not {
			if left, err = p.call(opNot, at, []*node{left}); err != nil {
				return nil, err
			}
		}
		chain = !b.not
	}
}

// within goes one deeper.
func (p *parser) within(offset int, read func() (*node, *Error)) (*node, *Error) {
	if p.depth++; p.depth > MaxDepth {
		return nil, p.fail(offset, fmt.Sprintf("at most %d levels are allowed", MaxDepth), "the expression is nested too deeply")
	}
	n, err := read()
	p.depth--
	return n, err
}

func (p *parser) operand() (*node, *Error) {
	t := p.tok
	if err := p.advance(); err != nil {
		return nil, err
	}
	switch {
	case t.kind == tokNumber:
		return p.number(t, t.text)
	case t.kind == tokString:
		return p.add(&node{op: opLiteral, typ: String, value: event.StringValue(t.text), offset: t.offset})
	case t.kind == tokColumn:
		return p.add(&node{op: opColumn, typ: Any, name: t.text, offset: t.offset})
	case t.kind == tokName:
		return p.named(t)
	case t.text == "-" && p.tok.kind == tokNumber && p.tok.offset == t.end:
		digits := p.tok
		if err := p.advance(); err != nil {
			return nil, err
		}
		return p.number(t, "-"+digits.text)
	case t.text == "-":
		return nil, p.fail(t.offset, "subtract from 0: 0 - $column", "a minus stands before what is not a number")
	case t.text == "!":
		return p.within(t.offset, func() (*node, *Error) {
			n, err := p.operand()
			if err != nil {
				return nil, err
			}
			return p.call(opNot, t.offset, []*node{n})
		})
	case t.text == "(":
		return p.within(t.offset, func() (*node, *Error) {
			n, err := p.expression(0)
			if err != nil {
				return nil, err
			}
			return n, p.closing(t, "(")
		})
	}
	return nil, p.fail(t.offset, "expected a function, a $column or a literal", "found %s", t.shown())
}

// closing reads the parenthesis that ends what began with a token.
func (p *parser) closing(open token, what string) *Error {
	if p.tok.text != ")" || p.tok.kind != tokSign {
		return p.fail(p.tok.offset, "expected ) or an operator", "%s is not closed, found %s", what, p.tok.shown())
	}
	return p.advance()
}

// add counts a node.
func (p *parser) add(n *node) (*node, *Error) {
	if p.nodes++; p.nodes > MaxNodes {
		return nil, p.fail(n.offset, fmt.Sprintf("at most %d literals, columns and calls are allowed", MaxNodes), "the expression is too large")
	}
	for _, a := range n.args {
		n.depth = max(n.depth, a.depth)
	}
	if n.depth++; n.depth > MaxDepth {
		return nil, p.fail(n.offset, fmt.Sprintf("at most %d levels are allowed", MaxDepth), "the expression is nested too deeply")
	}
	return n, nil
}

func (p *parser) number(t token, text string) (*node, *Error) {
	n := &node{op: opLiteral, typ: Int, offset: t.offset}
	i, err := strconv.ParseInt(text, 10, 64)
	n.value = event.IntValue(i)
	if err != nil {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsInf(f, 0) || !slices.ContainsFunc([]byte(text), func(c byte) bool { return c == '.' || c == 'e' || c == 'E' }) {
			return nil, p.fail(t.offset, "expected a whole number of 64 bits, or a number with a fraction or exponent up to 1.8e308", "%s does not fit", short(text))
		}
		n.typ, n.value = Float, event.FloatValue(f)
	}
	return p.add(n)
}

// named reads true, false, null or a function with its arguments.
func (p *parser) named(t token) (*node, *Error) {
	called := p.tok.kind == tokSign && p.tok.text == "("
	switch t.text {
	case "true", "false":
		return p.add(&node{op: opLiteral, typ: Bool, value: event.BoolValue(t.text == "true"), offset: t.offset})
	case "null":
		return p.add(&node{op: opLiteral, typ: Null, offset: t.offset})
	}
	f, ok := find(t.text)
	switch {
	case !ok && !called:
		return nil, p.fail(t.offset, suggestWord(t.text), "found the word %s", short(t.text))
	case !ok:
		return nil, p.fail(t.offset, nearest.Suggest(t.text, names()), "there is no function %s", short(t.text))
	case !called:
		return nil, p.fail(p.tok.offset, fmt.Sprintf("expected ( as in %s", f.usage), "%s is a function, found %s after it", f.name, p.tok.shown())
	}
	var args []*node
	_, err := p.within(t.offset, func() (*node, *Error) {
		if err := p.advance(); err != nil {
			return nil, err
		}
		for p.tok.text != ")" || p.tok.kind != tokSign {
			a, err := p.expression(0)
			if err != nil {
				return nil, err
			}
			args = append(args, a)
			if p.tok.kind != tokSign || p.tok.text != "," {
				break
			}
			if err := p.advance(); err != nil {
				return nil, err
			}
		}
		return nil, p.closing(t, f.name+"(")
	})
	if err != nil {
		return nil, err
	}
	return p.call(f.op, t.offset, args)
}

// suggestWord is what to do about a word that is neither a literal nor followed by arguments.
func suggestWord(word string) string {
	switch name, ok := nearest.Name(word, append(names(), "true", "false", "null")); {
	case name == "true" || name == "false" || name == "null":
		return fmt.Sprintf("did you mean %s? A column is written $%s, a text %q", name, short(word), short(word))
	case ok:
		return fmt.Sprintf("did you mean %s(…)? A column is written $%s, a text %q", name, short(word), short(word))
	}
	return fmt.Sprintf("a column is written $%s, a text %q", short(word), short(word))
}

// pattern compiles the regular expression of a REG_MATCH.
func (p *parser) pattern(n *node) *Error {
	lit := n.args[1]
	text := lit.value.Str()
	if len(text) > MaxPattern {
		return p.fail(lit.offset, fmt.Sprintf("at most %d are allowed", MaxPattern), "the regular expression has %d bytes", len(text))
	}
	const want = "expected Go's syntax (RE2), best in backquotes"
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return p.fail(lit.offset, want, "the regular expression cannot be read (%v)", err)
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return p.fail(lit.offset, want, "the regular expression cannot be read (%v)", err)
	}
	if p.instructions += len(prog.Inst); p.instructions > MaxInstructions {
		return p.fail(lit.offset, "use shorter ones, or smaller repetitions", "the regular expressions of this expression compile to more than %d instructions", MaxInstructions)
	}
	if n.pattern, err = regexp.Compile(text); err != nil {
		return p.fail(lit.offset, want, "the regular expression cannot be read (%v)", err)
	}
	return nil
}
