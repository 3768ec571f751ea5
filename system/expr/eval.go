package expr

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ratel-sim/ratel/system/event"
)

// scope is the event that is looked at.
type scope struct {
	columns func(string) (event.Value, bool)
	at      time.Time
}

func (n *node) eval(s *scope) event.Value {
	switch n.op {
	case opLiteral:
		return n.value
	case opColumn:
		v, _ := s.columns(n.name)
		return v
	case opIf:
		return n.branch(s)
	case opSwitch:
		return n.choose(s)
	case opCoalesce:
		for _, a := range n.args {
			if v := a.eval(s); v.Kind() != event.Null {
				return v
			}
		}
		return event.Value{}
	case opAnd:
		for _, a := range n.args {
			if !Truthy(a.eval(s)) {
				return event.BoolValue(false)
			}
		}
		return event.BoolValue(true)
	case opOr:
		for _, a := range n.args {
			if Truthy(a.eval(s)) {
				return event.BoolValue(true)
			}
		}
		return event.BoolValue(false)
	case opIn:
		v := n.args[0].eval(s)
		for _, a := range n.args[1:] {
			if equal(v, a.eval(s)) {
				return event.BoolValue(true)
			}
		}
		return event.BoolValue(false)
	case opMin, opMax:
		return n.extreme(s)
	case opSum, opMul:
		return n.fold(s)
	case opConcat:
		return n.concat(s)
	case opEventTimestamp:
		return seconds(s.at)
	case opEquals, opLT, opLTE, opGT, opGTE, opSub, opDiv, opMod, opStartsWith, opEndsWith, opContains:
		return binary(n.op, n.args[0].eval(s), n.args[1].eval(s))
	}
	return n.unary(n.args[0].eval(s))
}

// branch is IF.
func (n *node) branch(s *scope) event.Value {
	i := 0
	for ; i+1 < len(n.args); i += 2 {
		if Truthy(n.args[i].eval(s)) {
			return n.args[i+1].eval(s)
		}
	}
	if i < len(n.args) {
		return n.args[i].eval(s)
	}
	return event.Value{}
}

// choose is SWITCH.
func (n *node) choose(s *scope) event.Value {
	v := n.args[0].eval(s)
	i := 1
	for ; i+1 < len(n.args); i += 2 {
		if equal(v, n.args[i].eval(s)) {
			return n.args[i+1].eval(s)
		}
	}
	if i < len(n.args) {
		return n.args[i].eval(s)
	}
	return event.Value{}
}

// extreme is MIN and MAX: of the arguments that are of the first one's kind. Of equal ones it is the first.
func (n *node) extreme(s *scope) event.Value {
	var best event.Value
	for _, a := range n.args {
		v := a.eval(s)
		if v.Kind() == event.Null || v.Kind() == event.Bool || isNaN(v) {
			continue
		}
		c, ok := compare(v, best)
		if best.Kind() == event.Null || ok && (n.op == opMin && c < 0 || n.op == opMax && c > 0) {
			best = v
		}
	}
	return best
}

// fold is SUM and MUL, from left to right.
func (n *node) fold(s *scope) event.Value {
	var sum event.Value
	for i, a := range n.args {
		v := a.eval(s)
		switch {
		case !isNumeric(v):
			return event.Value{}
		case i == 0:
			sum = finite(v)
		case n.op == opSum:
			sum = plus(sum, v)
		default:
			sum = times(sum, v)
		}
		if sum.Kind() == event.Null {
			return sum
		}
	}
	return sum
}

// concat joins what its arguments are as texts; null is nothing.
func (n *node) concat(s *scope) event.Value {
	if len(n.args) == 1 {
		if v := n.args[0].eval(s); v.Kind() == event.String {
			return v
		}
	}
	var b strings.Builder
	for _, a := range n.args {
		v := a.eval(s)
		if v.Kind() == event.Null {
			continue
		}
		t := v.String()
		if b.Len()+len(t) > MaxText {
			return event.Value{}
		}
		b.WriteString(t)
	}
	return event.StringValue(b.String())
}

// binary is what a call of two arguments gives.
func binary(o op, v, w event.Value) event.Value {
	switch o {
	case opEquals:
		return event.BoolValue(equal(v, w))
	case opLT, opLTE, opGT, opGTE:
		c, ok := compare(v, w)
		if v.Kind() == event.Bool {
			ok = false
		}
		switch o {
		case opLT:
			ok = ok && c < 0
		case opLTE:
			ok = ok && c <= 0
		case opGT:
			ok = ok && c > 0
		default:
			ok = ok && c >= 0
		}
		return event.BoolValue(ok)
	case opSub:
		return minus(v, w)
	case opDiv:
		return over(v, w)
	case opMod:
		return modulo(v, w)
	}
	if v.Kind() != event.String || w.Kind() != event.String {
		return event.BoolValue(false)
	}
	switch o {
	case opStartsWith:
		return event.BoolValue(strings.HasPrefix(v.Str(), w.Str()))
	case opEndsWith:
		return event.BoolValue(strings.HasSuffix(v.Str(), w.Str()))
	}
	return event.BoolValue(strings.Contains(v.Str(), w.Str()))
}

// unary is what a call gives whose only argument that varies is the first.
func (n *node) unary(v event.Value) event.Value {
	switch n.op {
	case opNot:
		return event.BoolValue(!Truthy(v))
	case opExists:
		return event.BoolValue(v.Kind() != event.Null)
	case opRegMatch:
		return event.BoolValue(v.Kind() == event.String && n.pattern.MatchString(cut(v.Str(), MaxMatch)))
	case opAbs:
		return absolute(v)
	case opBucket:
		return bucket(v, n.args[1:])
	case opInt:
		return toInt(v)
	case opFloat:
		return toFloat(v)
	}
	if v.Kind() == event.Null {
		return v
	}
	switch n.op {
	case opBool:
		return event.BoolValue(Truthy(v))
	case opString:
		return event.StringValue(v.String())
	}
	if v.Kind() != event.String {
		return event.Value{}
	}
	switch n.op {
	case opToLower:
		if low := strings.ToLower(v.Str()); len(low) <= max(MaxText, len(v.Str())) {
			return event.StringValue(low)
		}
	case opLength:
		return event.IntValue(int64(len(v.Str())))
	case opUnixTimestamp:
		if t, err := time.Parse(time.RFC3339, v.Str()); err == nil {
			return seconds(t)
		}
	}
	return event.Value{}
}

// cut is the beginning of a text, of at most so many bytes and whole characters.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}
