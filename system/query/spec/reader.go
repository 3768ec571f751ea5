package spec

import (
	"strconv"
	"strings"

	"github.com/ratel-sim/ratel/system/document"
	"github.com/ratel-sim/ratel/system/event"
)

// str reads a string that is neither empty nor too long.
func str(v document.Value) (string, bool) {
	s, ok := v.Text()
	switch {
	case !ok:
		return "", false
	case s == "":
		v.Wrong(document.CodeInvalid, "must not be empty")
	case len(s) > MaxName:
		v.Wrong(document.CodeInvalid, "%d bytes, at most %d are allowed", len(s), MaxName)
	default:
		return s, true
	}
	return "", false
}

// value reads a string, number or boolean.
func value(v document.Value) (event.Value, bool) {
	switch document.KindOf(v.Raw) {
	case document.KindString:
		s, ok := v.Text()
		return event.StringValue(s), ok
	case document.KindBoolean:
		return event.BoolValue(v.True()), true
	case document.KindNumber:
		text := string(v.Raw)
		if !strings.ContainsAny(text, ".eE") {
			if i, err := strconv.ParseInt(text, 10, 64); err == nil {
				return event.IntValue(i), true
			}
		}
		f, ok := v.Number()
		return event.FloatValue(f), ok
	case document.KindNull:
		v.Wrong(document.CodeType, "null is not a value to compare with: use exists or does-not-exist")
		return event.Value{}, false
	}
	v.Wrong(document.CodeType, "expected a string, a number or a boolean, found %s", document.KindOf(v.Raw))
	return event.Value{}, false
}
