package spec

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/nearest"
)

// member is one name and value of a JSON object.
type member struct {
	name string
	raw  json.RawMessage
}

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

// object reads the members of an object whose names are all known and given once. null values are left out.
func (p *problems) object(field string, raw json.RawMessage, known []string) (map[string]json.RawMessage, bool) {
	if kindOf(raw) != "an object" {
		p.add(field, CodeType, "expected an object, found %s", kindOf(raw))
		return nil, false
	}
	members, err := readMembers(raw)
	if err != nil {
		p.add(field, CodeInvalid, "the JSON cannot be read: %v", err)
		return nil, false
	}
	found := make(map[string]json.RawMessage, len(members))
	good := true
	for _, m := range members {
		at := join(field, short(m.name))
		switch _, twice := found[m.name]; {
		case !contains(known, m.name):
			p.add(at, CodeUnknown, "there is no such key: %s", nearest.Suggest(m.name, known))
			good = false
		case twice:
			p.add(at, CodeInvalid, "the key is given twice")
			good = false
		default:
			found[m.name] = m.raw
		}
	}
	for _, name := range known {
		if kindOf(found[name]) == "null" {
			delete(found, name)
		}
	}
	return found, good
}

func readMembers(raw json.RawMessage) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	var members []member
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		m := member{}
		m.name, _ = name.(string)
		if err := d.Decode(&m.raw); err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	return members, nil
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

func join(field, name string) string {
	if field == "" {
		return name
	}
	return field + "." + name
}

func at(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }

// array reads the elements of an array with at most so many. Absent is empty.
func (p *problems) array(field string, raw json.RawMessage, most int) []json.RawMessage {
	if raw == nil {
		return nil
	}
	if kindOf(raw) != "an array" {
		p.add(field, CodeType, "expected an array, found %s", kindOf(raw))
		return nil
	}
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		p.add(field, CodeInvalid, "the JSON cannot be read: %v", err)
		return nil
	}
	if len(items) > most {
		p.add(field, CodeTooMany, "%d elements, at most %d are allowed", len(items), most)
		return nil
	}
	return items
}

// str reads a string that is neither empty nor too long. Absent is "".
func (p *problems) str(field string, raw json.RawMessage) (string, bool) {
	if raw == nil {
		return "", false
	}
	if kindOf(raw) != "a string" {
		p.add(field, CodeType, "expected a string, found %s", kindOf(raw))
		return "", false
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		p.add(field, CodeInvalid, "the JSON cannot be read: %v", err)
		return "", false
	}
	switch {
	case s == "":
		p.add(field, CodeInvalid, "must not be empty")
	case len(s) > MaxName:
		p.add(field, CodeInvalid, "%d bytes, at most %d are allowed", len(s), MaxName)
	default:
		return s, true
	}
	return "", false
}

// choice reads a string that is one of the given. Absent is fallback.
func (p *problems) choice(field string, raw json.RawMessage, fallback string, among []string) (string, bool) {
	if raw == nil {
		return fallback, true
	}
	s, ok := p.str(field, raw)
	if !ok {
		return "", false
	}
	if !contains(among, s) {
		p.add(field, CodeInvalid, "%q is not known: %s", short(s), nearest.Suggest(s, among))
		return "", false
	}
	return s, true
}

// whole reads a whole number between two bounds. Absent is not ok, and no problem.
func (p *problems) whole(field string, raw json.RawMessage, low, high int64) (int64, bool) {
	if raw == nil {
		return 0, false
	}
	if kindOf(raw) != "a number" {
		p.add(field, CodeType, "expected a whole number, found %s", kindOf(raw))
		return 0, false
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		// 7200.0 and 7.2e3 are whole numbers too.
		f, ferr := strconv.ParseFloat(string(raw), 64)
		if ferr != nil || f != math.Trunc(f) || math.Abs(f) >= 1<<53 {
			p.add(field, CodeInvalid, "%s is not a whole number between %d and %d", short(string(raw)), low, high)
			return 0, false
		}
		n = int64(f)
	}
	if n < low || n > high {
		p.add(field, CodeInvalid, "%d is out of bounds: expected %d to %d", n, low, high)
		return 0, false
	}
	return n, true
}

// value reads a string, number or boolean.
func (p *problems) value(field string, raw json.RawMessage) (event.Value, bool) {
	switch kindOf(raw) {
	case "a string":
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			p.add(field, CodeInvalid, "the JSON cannot be read: %v", err)
			return event.Value{}, false
		}
		return event.StringValue(s), true
	case "a boolean":
		return event.BoolValue(raw[0] == 't'), true
	case "a number":
		text := string(raw)
		if !strings.ContainsAny(text, ".eE") {
			if i, err := strconv.ParseInt(text, 10, 64); err == nil {
				return event.IntValue(i), true
			}
		}
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			p.add(field, CodeInvalid, "%s does not fit into 64 bits", short(text))
			return event.Value{}, false
		}
		return event.FloatValue(f), true
	case "null":
		p.add(field, CodeType, "null is not a value to compare with: use exists or does-not-exist")
		return event.Value{}, false
	}
	p.add(field, CodeType, "expected a string, a number or a boolean, found %s", kindOf(raw))
	return event.Value{}, false
}
