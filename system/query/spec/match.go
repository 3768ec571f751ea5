package spec

import (
	"cmp"
	"math"
	"strings"

	"github.com/ratel-sim/ratel/system/event"
)

// Filter operators.
const (
	opEqual        = "="
	opNotEqual     = "!="
	opGreater      = ">"
	opGreaterEqual = ">="
	opLess         = "<"
	opLessEqual    = "<="
	opExists       = "exists"
	opNotExists    = "does-not-exist"
	opIn           = "in"
	opNotIn        = "not-in"
	opStarts       = "starts-with"
	opNotStarts    = "does-not-start-with"
	opEnds         = "ends-with"
	opNotEnds      = "does-not-end-with"
	opContains     = "contains"
	opNotContains  = "does-not-contain"
)

// FilterOps lists the filters' operators.
func FilterOps() []string {
	return []string{
		opEqual, opNotEqual, opGreater, opGreaterEqual, opLess, opLessEqual, opStarts, opNotStarts, opEnds, opNotEnds, opExists,
		opNotExists, opContains, opNotContains, opIn, opNotIn,
	}
}

// Positive is the operator that a negative one is the opposite of, or the operator itself.
func Positive(op string) (positive string, negated bool) {
	switch op {
	case opNotEqual:
		return opEqual, true
	case opNotExists:
		return opExists, true
	case opNotIn:
		return opIn, true
	case opNotStarts:
		return opStarts, true
	case opNotEnds:
		return opEnds, true
	case opNotContains:
		return opContains, true
	}
	return op, false
}

// Match says whether a row with this value of the filter's column (null if it has none) is kept. Numbers compare with
// numbers, whole or not; strings with strings by bytes; booleans only equal booleans. Anything else does not match a
// positive operator, and so matches its negative one.
func (f *Filter) Match(v event.Value) bool {
	op, negated := Positive(f.Op)
	return f.match(op, v) != negated
}

func (f *Filter) match(op string, v event.Value) bool {
	switch op {
	case opExists:
		return v.Kind() != event.Null
	case opIn:
		for _, w := range f.Values {
			if equal(v, w) {
				return true
			}
		}
		return false
	}
	if len(f.Values) == 0 {
		return false
	}
	w := f.Values[0]
	switch op {
	case opEqual:
		return equal(v, w)
	case opStarts:
		return text(v, w) && strings.HasPrefix(v.Str(), w.Str())
	case opEnds:
		return text(v, w) && strings.HasSuffix(v.Str(), w.Str())
	case opContains:
		return text(v, w) && strings.Contains(v.Str(), w.Str())
	}
	if !text(v, w) && !(number(v) && number(w)) {
		return false
	}
	return Holds(op, Compare(v, w))
}

// Holds says whether a comparison that came out as c (negative, zero, positive) is what = != > >= < or <= demands.
func Holds(op string, c int) bool {
	switch op {
	case opEqual:
		return c == 0
	case opNotEqual:
		return c != 0
	case opGreater:
		return c > 0
	case opGreaterEqual:
		return c >= 0
	case opLess:
		return c < 0
	case opLessEqual:
		return c <= 0
	}
	return false
}

func text(v, w event.Value) bool { return v.Kind() == event.String && w.Kind() == event.String }

func number(v event.Value) bool {
	return v.Kind() == event.Int || v.Kind() == event.Float && !math.IsNaN(v.Float())
}

func equal(v, w event.Value) bool {
	return v.Kind() != event.Null && Compare(v, w) == 0 && (number(v) || v.Kind() != event.Float)
}

// rank orders kinds: null, booleans, numbers, strings.
func rank(v event.Value) int {
	switch v.Kind() {
	case event.Bool:
		return 1
	case event.Int, event.Float:
		return 2
	case event.String:
		return 3
	}
	return 0
}

// Compare orders values: null, then false and true, then numbers by their exact value (not-a-number first), then strings by
// bytes. Values that compare as equal are one group: 1 and 1.0 are, and 0.0 and -0.0.
func Compare(v, w event.Value) int {
	if c := cmp.Compare(rank(v), rank(w)); c != 0 {
		return c
	}
	switch v.Kind() {
	case event.Bool:
		return cmp.Compare(truth(v), truth(w))
	case event.String:
		return strings.Compare(v.Str(), w.Str())
	case event.Int:
		if w.Kind() == event.Int {
			return cmp.Compare(v.Int(), w.Int())
		}
		return compareIntFloat(v.Int(), w.Float())
	case event.Float:
		if w.Kind() == event.Int {
			return -compareIntFloat(w.Int(), v.Float())
		}
		return cmp.Compare(v.Float(), w.Float())
	}
	return 0
}

func truth(v event.Value) int {
	if v.Bool() {
		return 1
	}
	return 0
}

// compareIntFloat compares exactly: an int64 has more digits than a float64.
func compareIntFloat(i int64, f float64) int {
	switch {
	case math.IsNaN(f):
		return 1
	case f >= 1<<63:
		return -1
	case f < -(1 << 63):
		return 1
	}
	whole := math.Trunc(f)
	if c := cmp.Compare(i, int64(whole)); c != 0 {
		return c
	}
	return cmp.Compare(whole, f)
}

// Canonical is one value for all that compare as equal: a float that is a whole number of 64 bits becomes an int.
func Canonical(v event.Value) event.Value {
	if v.Kind() != event.Float {
		return v
	}
	f := v.Float()
	switch {
	case math.IsNaN(f):
		return event.FloatValue(math.NaN())
	case f == math.Trunc(f) && f >= -(1<<63) && f < 1<<63:
		return event.IntValue(int64(f))
	}
	return v
}
