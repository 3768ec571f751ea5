package event

import (
	"math"
	"strconv"
)

// BoolValue is a boolean.
func BoolValue(b bool) Value {
	v := Value{kind: Bool}
	if b {
		v.num = 1
	}
	return v
}

// IntValue is a whole number.
func IntValue(i int64) Value { return Value{kind: Int, num: uint64(i)} }

// FloatValue is a number with a fraction, or one too large for an int64.
func FloatValue(f float64) Value { return Value{kind: Float, num: math.Float64bits(f)} }

// StringValue is a text.
func StringValue(s string) Value { return Value{kind: String, str: s} }

// Kind says which of the accessors applies.
func (v Value) Kind() Kind { return v.kind }

// Bool is the value of a Bool; false for other kinds.
func (v Value) Bool() bool { return v.kind == Bool && v.num != 0 }

// Int is the value of an Int; 0 for other kinds.
func (v Value) Int() int64 {
	if v.kind != Int {
		return 0
	}
	return int64(v.num)
}

// Float is the value of a Float, or of an Int as a float64; 0 for other kinds.
func (v Value) Float() float64 {
	switch v.kind {
	case Float:
		return math.Float64frombits(v.num)
	case Int:
		return float64(int64(v.num))
	}
	return 0
}

// Str is the value of a String; empty for other kinds.
func (v Value) Str() string { return v.str }

// String is any value as text, for people.
func (v Value) String() string {
	switch v.kind {
	case Bool:
		return strconv.FormatBool(v.num != 0)
	case Int:
		return strconv.FormatInt(int64(v.num), 10)
	case Float:
		return strconv.FormatFloat(math.Float64frombits(v.num), 'g', -1, 64)
	case String:
		return v.str
	}
	return "null"
}

// Equal says whether two values have the same kind and content. Floats are compared by their bits, so a NaN equals itself.
func (v Value) Equal(w Value) bool { return v == w }

// String names the kind.
func (k Kind) String() string {
	switch k {
	case Null:
		return "null"
	case Bool:
		return "bool"
	case Int:
		return "int"
	case Float:
		return "float"
	case String:
		return "string"
	}
	return "unknown kind"
}

// Get finds a field's value by name.
func (e *Event) Get(name string) (Value, bool) {
	for i := range e.Fields {
		if e.Fields[i].Name == name {
			return e.Fields[i].Value, true
		}
	}
	return Value{}, false
}

// Equal says whether two events carry the same identity, instant, sample rate and fields in the same order.
func (e *Event) Equal(o *Event) bool {
	if e.ID != o.ID || !e.Time.Equal(o.Time) || e.SampleRate != o.SampleRate || len(e.Fields) != len(o.Fields) {
		return false
	}
	for i := range e.Fields {
		if e.Fields[i] != o.Fields[i] {
			return false
		}
	}
	return true
}

// Size is about how many bytes the event's names and values take, without its envelope. It is what limits are compared with.
func (e *Event) Size() int {
	n := 0
	for i := range e.Fields {
		f := &e.Fields[i]
		n += len(f.Name) + len(f.Value.str) + 9
	}
	return n
}
