package document

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/ratel-sim/ratel/system/nearest"
)

// The types of JSON's values, as errors name them.
const (
	KindObject  = "an object"
	KindArray   = "an array"
	KindString  = "a string"
	KindBoolean = "a boolean"
	KindNull    = "null"
	KindNumber  = "a number"
)

// KindOf names the type of a valid value.
func KindOf(raw json.RawMessage) string {
	if len(raw) > 0 {
		switch raw[0] {
		case '{':
			return KindObject
		case '[':
			return KindArray
		case '"':
			return KindString
		case 't', 'f':
			return KindBoolean
		case 'n':
			return KindNull
		}
	}
	return KindNumber
}

// Value is a place in a document and what is there. What its methods find wrong is added to the document's problems.
type Value struct {
	Field string          // the place, such as filters[2].op; empty for the whole
	Raw   json.RawMessage // nil where nothing is
	p     *Problems
}

// Read reads the whole of a body of at most so many bytes. There is nothing if that cannot be read.
func Read(p *Problems, body []byte, most int) Value {
	v := Value{p: p}
	switch {
	case len(body) > most:
		v.Wrong(CodeInvalid, "%d bytes, at most %d are allowed", len(body), most)
	case !utf8.Valid(body):
		v.Wrong(CodeInvalid, "not valid UTF-8")
	default:
		if err := json.Unmarshal(body, &v.Raw); err != nil {
			v.Raw = nil
			v.Wrong(CodeInvalid, "not valid JSON: %v", err)
		}
	}
	return v
}

// Wrong adds a problem of this place.
func (v Value) Wrong(code, format string, args ...any) { v.p.Add(v.Field, code, format, args...) }

// There says whether there is anything.
func (v Value) There() bool { return v.Raw != nil }

// Need reports that nothing is there.
func (v Value) Need(hint string) {
	if !v.There() {
		v.Wrong(CodeMissing, "%s", hint)
	}
}

// Is says whether there is something of a type; if it is of another, that is a problem.
func (v Value) Is(kind string) bool {
	if !v.There() {
		return false
	}
	if k := KindOf(v.Raw); k != kind {
		v.Wrong(CodeType, "expected %s, found %s", kind, k)
		return false
	}
	return true
}

// Text reads a string.
func (v Value) Text() (s string, ok bool) {
	ok = v.Is(KindString) && v.into(&s)
	return s, ok
}

// Choice reads one of several strings; fallback if nothing is there.
func (v Value) Choice(fallback string, among ...string) (string, bool) {
	if !v.There() {
		return fallback, true
	}
	s, ok := v.Text()
	if ok && !slices.Contains(among, s) {
		v.Wrong(CodeInvalid, "%q is not known: %s", Short(s), nearest.Suggest(s, among))
		return "", false
	}
	return s, ok
}

// True says whether there is the value true.
func (v Value) True() bool { return v.Is(KindBoolean) && v.Raw[0] == 't' }

// Whole reads a whole number between two bounds.
func (v Value) Whole(low, high int64) (n int64, ok bool) {
	if !v.Is(KindNumber) {
		return 0, false
	}
	raw := string(v.Raw)
	n, err := strconv.ParseInt(raw, 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(raw, 64) // 900.0 and 9e2 are whole numbers, too
		if ferr != nil || f != math.Trunc(f) || math.Abs(f) >= 1<<53 {
			v.Wrong(CodeInvalid, "%s is not a whole number from %d to %d", Short(raw), low, high)
			return 0, false
		}
		n = int64(f)
	}
	if n < low || n > high {
		v.Wrong(CodeInvalid, "%d is out of bounds: expected %d to %d", n, low, high)
		return 0, false
	}
	return n, true
}

// Number reads a number that fits into 64 bits.
func (v Value) Number() (float64, bool) {
	if !v.Is(KindNumber) {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(v.Raw), 64)
	if err != nil {
		v.Wrong(CodeInvalid, "%s does not fit into 64 bits", Short(string(v.Raw)))
		return 0, false
	}
	return f, true
}

// Elements reads an array of at most so many.
func (v Value) Elements(most int) []Value {
	var items []json.RawMessage
	if !v.Is(KindArray) || !v.into(&items) {
		return nil
	}
	if len(items) > most {
		v.Wrong(CodeTooMany, "%d elements, at most %d are allowed", len(items), most)
		return nil
	}
	list := make([]Value, len(items))
	for i, raw := range items {
		list[i] = Value{Field: v.Field + "[" + strconv.Itoa(i) + "]", Raw: raw, p: v.p}
	}
	return list
}

// into decodes what is there.
func (v Value) into(to any) bool {
	if err := json.Unmarshal(v.Raw, to); err != nil {
		v.Wrong(CodeInvalid, "the JSON cannot be read: %v", err)
		return false
	}
	return true
}

// Object is an object's members by name. One that is null is as if it were not there.
type Object struct {
	Value
	members map[string]json.RawMessage
}

// Object reads an object whose names are all known and given once. ok is false if there is none; one with other names, which
// are problems, is one all the same.
func (v Value) Object(known ...string) (o Object, ok bool) {
	o = Object{Value: v, members: map[string]json.RawMessage{}}
	if !v.Is(KindObject) {
		return o, false
	}
	d := json.NewDecoder(bytes.NewReader(v.Raw))
	_, err := d.Token()
	seen := map[string]bool{}
	for err == nil && d.More() {
		var name json.Token
		if name, err = d.Token(); err != nil {
			break
		}
		key, _ := name.(string)
		var raw json.RawMessage
		if err = d.Decode(&raw); err != nil {
			break
		}
		switch {
		case !slices.Contains(known, key):
			o.At(Short(key)).Wrong(CodeUnknown, "there is no such field: %s", nearest.Suggest(key, known))
		case seen[key]:
			o.At(key).Wrong(CodeInvalid, "the field is given twice")
		case KindOf(raw) != KindNull:
			o.members[key] = raw
		}
		seen[key] = true
	}
	if err != nil {
		v.Wrong(CodeInvalid, "the JSON cannot be read: %v", err)
	}
	return o, true
}

// At is a member's place, and what is there.
func (o Object) At(name string) Value {
	field := name
	if o.Field != "" {
		field = o.Field + "." + name
	}
	return Value{Field: field, Raw: o.members[name], p: o.p}
}
