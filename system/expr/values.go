package expr

import (
	"cmp"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system/event"
)

// Truthy says whether a value counts as true in a condition: true, a number other than 0, and the string "true".
func Truthy(v event.Value) bool {
	switch v.Kind() {
	case event.Bool:
		return v.Bool()
	case event.Int:
		return v.Int() != 0
	case event.Float:
		return v.Float() != 0 && !math.IsNaN(v.Float())
	case event.String:
		return v.Str() == "true"
	}
	return false
}

func isNumeric(v event.Value) bool { return v.Kind() == event.Int || v.Kind() == event.Float }

func isNaN(v event.Value) bool { return v.Kind() == event.Float && math.IsNaN(v.Float()) }

func equal(v, w event.Value) bool {
	c, ok := compare(v, w)
	return ok && c == 0
}

// compare orders two values of one kind: numbers by their exact value, strings by bytes, false before true. ok is false for
// values that do not compare: of different kinds, null, or not a number.
func compare(v, w event.Value) (c int, ok bool) {
	if kindGroup(v.Kind()) != kindGroup(w.Kind()) || isNaN(v) || isNaN(w) {
		return 0, false
	}
	switch {
	case v.Kind() == event.Null:
		return 0, false
	case v.Kind() == event.String:
		return strings.Compare(v.Str(), w.Str()), true
	case v.Kind() == event.Bool:
		switch {
		case v.Bool() == w.Bool():
			return 0, true
		case w.Bool():
			return -1, true
		}
		return 1, true
	case v.Kind() == event.Int && w.Kind() == event.Int:
		return cmp.Compare(v.Int(), w.Int()), true
	case v.Kind() == event.Int:
		return compareMixed(v.Int(), w.Float()), true
	case w.Kind() == event.Int:
		return -compareMixed(w.Int(), v.Float()), true
	}
	return cmp.Compare(v.Float(), w.Float()), true
}

// compareMixed compares exactly: a float64 cannot hold every int64. f is a number.
func compareMixed(i int64, f float64) int {
	const beyond = 1 << 63
	if f >= beyond {
		return -1
	}
	if f < -beyond {
		return 1
	}
	low := math.Floor(f)
	if c := cmp.Compare(i, int64(low)); c != 0 {
		return c
	}
	if f > low {
		return -1
	}
	return 0
}

// finite is a calculation's result, or null if it is none.
func finite(v event.Value) event.Value {
	if v.Kind() == event.Float && (math.IsNaN(v.Float()) || math.IsInf(v.Float(), 0)) {
		return event.Value{}
	}
	return v
}

func float(f float64) event.Value { return finite(event.FloatValue(f)) }

// whole says whether both are whole numbers.
func whole(v, w event.Value) bool { return v.Kind() == event.Int && w.Kind() == event.Int }

// numbers says whether both are numbers.
func numbers(v, w event.Value) bool { return isNumeric(v) && isNumeric(w) }

func plus(v, w event.Value) event.Value {
	if whole(v, w) {
		sum := v.Int() + w.Int()
		if (sum > v.Int()) != (w.Int() > 0) {
			return event.Value{}
		}
		return event.IntValue(sum)
	}
	return float(v.Float() + w.Float())
}

func minus(v, w event.Value) event.Value {
	switch {
	case !numbers(v, w):
		return event.Value{}
	case whole(v, w):
		difference := v.Int() - w.Int()
		if (difference < v.Int()) != (w.Int() > 0) {
			return event.Value{}
		}
		return event.IntValue(difference)
	}
	return float(v.Float() - w.Float())
}

func times(v, w event.Value) event.Value {
	if !whole(v, w) {
		return float(v.Float() * w.Float())
	}
	a, b := v.Int(), w.Int()
	if a == 0 || b == 0 {
		return event.IntValue(0)
	}
	product := a * b
	if product/b != a || b == -1 && a == math.MinInt64 {
		return event.Value{}
	}
	return event.IntValue(product)
}

func over(v, w event.Value) event.Value {
	if !numbers(v, w) || w.Float() == 0 {
		return event.Value{}
	}
	return float(v.Float() / w.Float())
}

func modulo(v, w event.Value) event.Value {
	switch {
	case !numbers(v, w) || w.Float() == 0:
		return event.Value{}
	case whole(v, w):
		return event.IntValue(v.Int() % w.Int())
	}
	return float(math.Mod(v.Float(), w.Float()))
}

func absolute(v event.Value) event.Value {
	switch {
	case v.Kind() == event.Int && v.Int() == math.MinInt64:
		return event.Value{}
	case v.Kind() == event.Int:
		return event.IntValue(max(v.Int(), -v.Int()))
	case v.Kind() == event.Float:
		return float(math.Abs(v.Float()))
	}
	return event.Value{}
}

// bucket is the range that a number is in, such as "10 - 20". limits are the size, and the minimum and maximum if given.
func bucket(v event.Value, limits []*node) event.Value {
	x := v.Float()
	if !isNumeric(v) || finite(v).Kind() == event.Null {
		return event.Value{}
	}
	size, base, top := limits[0].value.Float(), 0.0, math.Inf(1)
	if len(limits) > 1 {
		if base = limits[1].value.Float(); x < base {
			return event.StringValue("< " + decimal(base))
		}
	}
	if len(limits) > 2 {
		if top = limits[2].value.Float(); x >= top {
			return event.StringValue(">= " + decimal(top))
		}
	}
	low := base + math.Floor((x-base)/size)*size
	high := min(low+size, top)
	if math.IsNaN(low) || math.IsInf(low, 0) || math.IsInf(high, 0) {
		return event.Value{}
	}
	return event.StringValue(decimal(low) + " - " + decimal(high))
}

func decimal(f float64) string { return strconv.FormatFloat(f+0, 'g', -1, 64) }

// maxDigits bounds the texts that are read as numbers.
const maxDigits = 400

// parsed reads a text as a number: whole if it can be.
func parsed(s string) event.Value {
	if len(s) > maxDigits || strings.Trim(s, "0123456789+-.eE") != "" {
		return event.Value{} // neither 0x1p-2 nor Inf
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return event.IntValue(i)
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return float(f)
	}
	return event.Value{}
}

func toInt(v event.Value) event.Value {
	switch v.Kind() {
	case event.Int:
		return v
	case event.Bool:
		if v.Bool() {
			return event.IntValue(1)
		}
		return event.IntValue(0)
	case event.Float:
		f := math.Trunc(v.Float())
		if f >= -(1<<63) && f < 1<<63 {
			return event.IntValue(int64(f))
		}
	case event.String:
		if n := parsed(v.Str()); n.Kind() != event.Null {
			return toInt(n)
		}
	}
	return event.Value{}
}

func toFloat(v event.Value) event.Value {
	switch v.Kind() {
	case event.Int, event.Float:
		return float(v.Float())
	case event.Bool:
		return float(toInt(v).Float())
	case event.String:
		if n := parsed(v.Str()); n.Kind() != event.Null {
			return float(n.Float())
		}
	}
	return event.Value{}
}

// seconds is a moment in Unix seconds, with a fraction.
func seconds(t time.Time) event.Value {
	return float(float64(t.Unix()) + float64(t.Nanosecond())/1e9)
}
