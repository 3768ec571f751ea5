package definition

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/ratel-sim/ratel/system/nearest"
)

// MaxBytes bounds the JSON of a definition.
const MaxBytes = 64 << 10

// object is a JSON object that is being read. Members that are null are as if they were not there.
type object struct {
	p       *problems
	field   string // of the object; empty for the whole
	members map[string]json.RawMessage
}

// replied are members of replies, which clients send back when they change a definition. They say nothing.
var replied = []string{"id", "created_at", "updated_at", "dataset_slug", "triggered", "warnings"}

// read reads the whole of a body. The object is empty if it cannot be read.
func read(p *problems, body []byte, known ...string) object {
	o := object{p: p}
	var raw json.RawMessage
	switch {
	case len(body) > MaxBytes:
		p.add("", CodeInvalid, "%d bytes, at most %d are allowed", len(body), MaxBytes)
		return o
	case !utf8.Valid(body):
		p.add("", CodeInvalid, "not valid UTF-8")
		return o
	}
	if err := json.Unmarshal(body, &raw); err != nil {
		p.add("", CodeInvalid, "not valid JSON: %v", err)
		return o
	}
	o.load(raw, append(slices.Clone(known), replied...))
	return o
}

// load reads the members of an object. Each name must be known and given once.
func (o *object) load(raw json.RawMessage, known []string) {
	o.members = map[string]json.RawMessage{}
	if k := kindOf(raw); k != "an object" {
		o.p.add(o.field, CodeType, "expected an object, found %s", k)
		return
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	_, err := d.Token()
	seen := map[string]bool{}
	for err == nil && d.More() {
		var name json.Token
		if name, err = d.Token(); err != nil {
			break
		}
		key, _ := name.(string)
		var value json.RawMessage
		if err = d.Decode(&value); err != nil {
			break
		}
		switch {
		case !slices.Contains(known, key):
			o.p.add(o.at(short(key)), CodeUnknown, "there is no such field: %s", nearest.Suggest(key, known))
		case seen[key]:
			o.p.add(o.at(key), CodeInvalid, "the field is given twice")
		case kindOf(value) != "null":
			o.members[key] = value
		}
		seen[key] = true
	}
	if err != nil {
		o.p.add(o.field, CodeInvalid, "the JSON cannot be read: %v", err)
	}
}

// at is the path of a member.
func (o object) at(name string) string {
	if o.field == "" {
		return name
	}
	return o.field + "." + name
}

func (o object) has(name string) bool { return o.members[name] != nil }

// kindOf names the JSON type of a valid value.
func kindOf(raw json.RawMessage) string {
	if len(raw) > 0 {
		switch raw[0] {
		case '{':
			return "an object"
		case '[':
			return "an array"
		case '"':
			return "a string"
		case 't', 'f':
			return "a boolean"
		case 'n':
			return "null"
		}
	}
	return "a number"
}

// is says whether a member is there and of a type; if it is there and of another, that is a problem.
func (o object) is(name, kind string) bool {
	raw := o.members[name]
	if raw == nil {
		return false
	}
	if k := kindOf(raw); k != kind {
		o.p.add(o.at(name), CodeType, "expected %s, found %s", kind, k)
		return false
	}
	return true
}

// need reports a member that is missing.
func (o object) need(name, hint string) {
	if !o.has(name) {
		o.p.add(o.at(name), CodeMissing, "%s", hint)
	}
}

// text reads a string of at most so many characters; empty if it is not there.
func (o object) text(name string, most int) string {
	if !o.is(name, "a string") {
		return ""
	}
	var s string
	if err := json.Unmarshal(o.members[name], &s); err != nil {
		o.p.add(o.at(name), CodeInvalid, "the JSON cannot be read: %v", err)
		return ""
	}
	if n := utf8.RuneCountInString(s); n > most {
		o.p.add(o.at(name), CodeInvalid, "%d characters, at most %d are allowed", n, most)
		return ""
	}
	return s
}

// maxNameBytes is what the metadata store takes as a definition's name.
const maxNameBytes = 255

// name reads a string that must be there, of 1 to so many characters and at most 255 bytes.
func (o object) name(name string, most int) string {
	o.need(name, "it is needed")
	before := len(o.p.list)
	s := o.text(name, most)
	switch {
	case !o.has(name) || len(o.p.list) > before:
	case s == "":
		o.p.add(o.at(name), CodeInvalid, "must not be empty")
	case len(s) > maxNameBytes:
		o.p.add(o.at(name), CodeInvalid, "%d bytes, at most %d are allowed", len(s), maxNameBytes)
	}
	return s
}

// choice reads one of several strings; fallback if it is not there.
func (o object) choice(name, fallback string, among ...string) string {
	if !o.has(name) {
		return fallback
	}
	before := len(o.p.list)
	s := o.text(name, maxNameBytes)
	if len(o.p.list) == before && !slices.Contains(among, s) {
		o.p.add(o.at(name), CodeInvalid, "%q is not known: %s", short(s), nearest.Suggest(s, among))
	}
	return s
}

// boolean is false if it is not there.
func (o object) boolean(name string) bool {
	return o.is(name, "a boolean") && o.members[name][0] == 't'
}

// whole reads a whole number between two bounds; fallback if it is not there.
func (o object) whole(name string, fallback, low, high int64) int64 {
	if !o.is(name, "a number") {
		return fallback
	}
	raw := string(o.members[name])
	n, err := strconv.ParseInt(raw, 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(raw, 64) // 900.0 and 9e2 are whole numbers, too
		if ferr != nil || f != math.Trunc(f) || math.Abs(f) >= 1<<53 {
			o.p.add(o.at(name), CodeInvalid, "%s is not a whole number from %d to %d", short(raw), low, high)
			return fallback
		}
		n = int64(f)
	}
	if n < low || n > high {
		o.p.add(o.at(name), CodeInvalid, "%d is out of bounds: expected %d to %d", n, low, high)
		return fallback
	}
	return n
}

// number reads a number that fits into 64 bits.
func (o object) number(name string) float64 {
	if !o.is(name, "a number") {
		return 0
	}
	f, err := strconv.ParseFloat(string(o.members[name]), 64)
	if err != nil {
		o.p.add(o.at(name), CodeInvalid, "%s does not fit into 64 bits", short(string(o.members[name])))
		return 0
	}
	return f
}

// object reads an object; ok is false if it is not there or none.
func (o object) object(name string, known ...string) (inner object, ok bool) {
	inner = object{p: o.p, field: o.at(name)}
	if o.is(name, "an object") {
		inner.load(o.members[name], known)
		return inner, true
	}
	return inner, false
}

// list reads the elements of an array of at most so many.
func (o object) list(name string, most int) []json.RawMessage {
	if !o.is(name, "an array") {
		return nil
	}
	var items []json.RawMessage
	if err := json.Unmarshal(o.members[name], &items); err != nil {
		o.p.add(o.at(name), CodeInvalid, "the JSON cannot be read: %v", err)
		return nil
	}
	if len(items) > most {
		o.p.add(o.at(name), CodeTooMany, "%d elements, at most %d are allowed", len(items), most)
		return nil
	}
	return items
}

// element is an object in an array.
func (o object) element(name string, i int, raw json.RawMessage, known ...string) object {
	inner := object{p: o.p, field: o.at(name) + "[" + strconv.Itoa(i) + "]"}
	inner.load(raw, known)
	return inner
}

// unsupported refuses what the API has and this system does not do, rather than to ignore it.
func (o object) unsupported(name, instead string) {
	if raw := o.members[name]; raw != nil && string(raw) != "{}" && string(raw) != "[]" && string(raw) != `""` {
		o.p.add(o.at(name), CodeUnsupported, "not supported here: %s", instead)
	}
}

// compact is the canonical form of a JSON value that was read.
func compact(raw json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return raw // it was read before
	}
	return b.Bytes()
}
