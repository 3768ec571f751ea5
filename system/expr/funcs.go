package expr

import (
	"fmt"
	"slices"

	"github.com/ratel-sim/ratel/system/event"
)

// op is what a node does.
type op uint8

const (
	opLiteral op = iota
	opColumn
	opIf
	opSwitch
	opCoalesce
	opAnd
	opOr
	opNot
	opExists
	opEquals
	opIn
	opLT
	opLTE
	opGT
	opGTE
	opMin
	opMax
	opSum
	opSub
	opMul
	opDiv
	opMod
	opAbs
	opBucket
	opConcat
	opToLower
	opLength
	opStartsWith
	opEndsWith
	opContains
	opRegMatch
	opInt
	opFloat
	opBool
	opString
	opUnixTimestamp
	opEventTimestamp
)

// param is what a function takes at one place.
type param uint8

const (
	anything param = iota
	number
	text
	ordered // a number or a string
	pattern // a string literal
	size    // a literal number above 0
	limit   // a literal number
)

// function is one row of the language. Where it takes more arguments than params says, the last param holds for them.
type function struct {
	op          op
	name        string
	least, most int // arguments; most is -1 for any number
	params      []param
	typ         Type // of the result, unless result says
	result      func(args []*node) Type
	usage       string
}

// functions are ordered by op, beginning with the first that is one.
var functions = [...]function{
	{opIf, "IF", 2, -1, []param{anything}, Any, typeOfIf, "IF(condition, then [, condition2, then2]… [, else])"},
	{opSwitch, "SWITCH", 3, -1, []param{anything}, Any, typeOfSwitch, "SWITCH(value, case, result [, case2, result2]… [, else])"},
	{opCoalesce, "COALESCE", 1, -1, []param{anything}, Any, unified, "COALESCE(value, …)"},
	{opAnd, "AND", 1, -1, []param{anything}, Bool, nil, "AND(condition, …)"},
	{opOr, "OR", 1, -1, []param{anything}, Bool, nil, "OR(condition, …)"},
	{opNot, "NOT", 1, 1, []param{anything}, Bool, nil, "NOT(condition)"},
	{opExists, "EXISTS", 1, 1, []param{anything}, Bool, nil, "EXISTS($column)"},
	{opEquals, "EQUALS", 2, 2, []param{anything}, Bool, nil, "EQUALS(a, b)"},
	{opIn, "IN", 2, -1, []param{anything}, Bool, nil, "IN(value, a, …)"},
	{opLT, "LT", 2, 2, []param{ordered}, Bool, nil, "LT(a, b)"},
	{opLTE, "LTE", 2, 2, []param{ordered}, Bool, nil, "LTE(a, b)"},
	{opGT, "GT", 2, 2, []param{ordered}, Bool, nil, "GT(a, b)"},
	{opGTE, "GTE", 2, 2, []param{ordered}, Bool, nil, "GTE(a, b)"},
	{opMin, "MIN", 1, -1, []param{ordered}, Any, unified, "MIN(a, …)"},
	{opMax, "MAX", 1, -1, []param{ordered}, Any, unified, "MAX(a, …)"},
	{opSum, "SUM", 1, -1, []param{number}, Any, numeric, "SUM(a, …)"},
	{opSub, "SUB", 2, 2, []param{number}, Any, numeric, "SUB(a, b)"},
	{opMul, "MUL", 1, -1, []param{number}, Any, numeric, "MUL(a, …)"},
	{opDiv, "DIV", 2, 2, []param{number}, Float, nil, "DIV(a, b)"},
	{opMod, "MOD", 2, 2, []param{number}, Any, numeric, "MOD(a, b)"},
	{opAbs, "ABS", 1, 1, []param{number}, Any, numeric, "ABS(a)"},
	{opBucket, "BUCKET", 2, 4, []param{number, size, limit}, String, nil, "BUCKET(value, size [, min [, max]])"},
	{opConcat, "CONCAT", 1, -1, []param{anything}, String, nil, "CONCAT(value, …)"},
	{opToLower, "TO_LOWER", 1, 1, []param{text}, String, nil, "TO_LOWER(text)"},
	{opLength, "LENGTH", 1, 1, []param{text}, Int, nil, "LENGTH(text)"},
	{opStartsWith, "STARTS_WITH", 2, 2, []param{text}, Bool, nil, "STARTS_WITH(text, beginning)"},
	{opEndsWith, "ENDS_WITH", 2, 2, []param{text}, Bool, nil, "ENDS_WITH(text, end)"},
	{opContains, "CONTAINS", 2, 2, []param{text}, Bool, nil, "CONTAINS(text, part)"},
	{opRegMatch, "REG_MATCH", 2, 2, []param{text, pattern}, Bool, nil, "REG_MATCH(text, `regular expression`)"},
	{opInt, "INT", 1, 1, []param{anything}, Int, nil, "INT(value)"},
	{opFloat, "FLOAT", 1, 1, []param{anything}, Float, nil, "FLOAT(value)"},
	{opBool, "BOOL", 1, 1, []param{anything}, Bool, nil, "BOOL(value)"},
	{opString, "STRING", 1, 1, []param{anything}, String, nil, "STRING(value)"},
	{opUnixTimestamp, "UNIX_TIMESTAMP", 1, 1, []param{text}, Float, nil, "UNIX_TIMESTAMP(text)"},
	{opEventTimestamp, "EVENT_TIMESTAMP", 0, 0, nil, Float, nil, "EVENT_TIMESTAMP()"},
}

func (o op) function() *function { return &functions[o-opIf] }

func find(name string) (*function, bool) {
	for i := range functions {
		if functions[i].name == name {
			return &functions[i], true
		}
	}
	return nil, false
}

func names() []string {
	list := make([]string, len(functions))
	for i := range functions {
		list[i] = functions[i].name
	}
	return list
}

// Functions lists how each function is written.
func Functions() []string {
	list := make([]string, len(functions))
	for i := range functions {
		list[i] = functions[i].usage
	}
	return list
}

// unify is the type of what is one of two.
func unify(a, b Type) Type {
	switch {
	case a == b || b == Null:
		return a
	case a == Null:
		return b
	case isNumber(a) && isNumber(b):
		return Float
	}
	return Any
}

func unified(args []*node) Type {
	t := Null
	for _, a := range args {
		t = unify(t, a.typ)
	}
	return t
}

func isNumber(t Type) bool { return t == Int || t == Float }

// numeric is the type of a sum: whole if all its parts are.
func numeric(args []*node) Type {
	for _, a := range args {
		if a.typ != Int {
			return Float
		}
	}
	return Int
}

func typeOfIf(args []*node) Type {
	t := Null
	for i := 1; i < len(args); i += 2 {
		t = unify(t, args[i].typ)
	}
	if len(args)%2 == 1 {
		t = unify(t, args[len(args)-1].typ)
	}
	return t
}

func typeOfSwitch(args []*node) Type { return typeOfIf(args[1:]) }

// call makes a checked call of a function.
func (p *parser) call(o op, offset int, args []*node) (*node, *Error) {
	f := o.function()
	if len(args) < f.least || f.most >= 0 && len(args) > f.most {
		return nil, p.fail(offset, "write "+f.usage, "%s has %d arguments", f.name, len(args))
	}
	for i, a := range args {
		if want := f.params[min(i, len(f.params)-1)].refuses(a); want != "" {
			return nil, p.fail(a.offset, fmt.Sprintf("%s takes %s: write %s", f.name, want, f.usage), "found %s", a.what())
		}
	}
	n := &node{op: o, typ: f.typ, args: args, offset: offset}
	if err := p.comparable(f, n); err != nil {
		return nil, err
	}
	if f.result != nil {
		n.typ = f.result(args)
	}
	if o == opRegMatch {
		if err := p.pattern(n); err != nil {
			return nil, err
		}
	}
	if o == opBucket && len(args) == 4 && args[2].value.Float() >= args[3].value.Float() {
		return nil, p.fail(args[3].offset, "the maximum must be above the minimum", "found %s after the minimum %s", args[3].what(), args[2].value)
	}
	return p.add(n)
}

// what names a node in an error.
func (n *node) what() string {
	if n.op == opLiteral {
		return short(literal(n))
	}
	return n.typ.String()
}

// refuses says what is expected where an argument can never be right; empty if it may be. An argument of unknown type may
// be: where it is not, the call's value is null or false.
func (p param) refuses(a *node) string {
	literal := a.op == opLiteral
	switch p {
	case number:
		if !isNumber(a.typ) && a.typ != Any && a.typ != Null {
			return "a number here"
		}
	case text:
		if a.typ != String && a.typ != Any && a.typ != Null {
			return "a string here"
		}
	case ordered:
		if a.typ == Bool {
			return "numbers or strings"
		}
	case pattern:
		if !literal || a.typ != String {
			return "a regular expression as a string literal here"
		}
	case size:
		if !literal || !isNumber(a.typ) || a.value.Float() <= 0 {
			return "a literal number above 0 here"
		}
	case limit:
		if !literal || !isNumber(a.typ) {
			return "a literal number here"
		}
	}
	return ""
}

// comparable refuses comparisons that can never be true.
func (p *parser) comparable(f *function, n *node) *Error {
	var compared []*node
	switch f.op {
	case opEquals, opIn, opLT, opLTE, opGT, opGTE, opMin, opMax:
		compared = n.args
	case opSwitch:
		compared = []*node{n.args[0]}
		for i := 1; i+1 < len(n.args); i += 2 {
			compared = append(compared, n.args[i])
		}
	}
	known := slices.IndexFunc(compared, func(a *node) bool { return a.typ != Any && a.typ != Null })
	for _, a := range compared {
		switch {
		case a.typ == Null && f.op != opMin && f.op != opMax:
			return p.fail(a.offset, "ask whether a column is there with EXISTS($column)", "nothing compares with null, not null either")
		case a.typ == Any || known < 0 || group(a.typ) == group(compared[known].typ):
		default:
			return p.fail(a.offset, fmt.Sprintf("expected %s as before: convert one with STRING, INT, FLOAT or BOOL", group(compared[known].typ)), "%s compares %s with %s", f.name, compared[known].what(), a.what())
		}
	}
	return nil
}

// group is what compares with one another: numbers whether whole or not.
func group(t Type) Type {
	if t == Int {
		return Float
	}
	return t
}

// kindGroup is group for values.
func kindGroup(k event.Kind) event.Kind {
	if k == event.Int {
		return event.Float
	}
	return k
}
