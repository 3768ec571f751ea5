package otlp

import (
	"encoding/base64"
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ratel-sim/ratel/system/event"
)

const (
	// maxText is where texts are cut.
	maxText = 65_535
	// maxFlatten is the depth to which maps become fields, as in JSON events.
	maxFlatten = 5
	// maxDepth bounds how deep values may nest.
	maxDepth = 1000
)

// attributes sets the attributes that a message has in the given field.
func (d *decoder) attributes(raw string, field uint32, bad *bool) {
	w := wire{s: raw}
	for {
		for short, ok := w.short(field); ok; short, ok = w.short(field) {
			d.attribute(short, &w.bad)
		}
		tag := w.next()
		if tag == 0 {
			break
		}
		if tag == field<<3|typeBytes {
			d.attribute(w.bytes(), &w.bad)
		} else {
			w.skip()
		}
	}
	*bad = *bad || w.bad
}

// keyValue reads a KeyValue's key and its value's message, if it has one.
func keyValue(raw string, bad *bool) (key, value string, ok bool) {
	// Nearly all are a short key and a short value, in this order, and nothing else.
	if len(raw) > 4 && raw[0] == 1<<3|typeBytes && raw[1] < 0x80 {
		if at := 2 + int(raw[1]); at+2 <= len(raw) && raw[at] == 2<<3|typeBytes && raw[at+1] < 0x80 && at+2+int(raw[at+1]) == len(raw) {
			return raw[2:at], raw[at+2:], true
		}
	}
	w := wire{s: raw}
	for tag := w.next(); tag != 0; tag = w.next() {
		switch tag {
		case 1<<3 | typeBytes:
			key = w.bytes()
		case 2<<3 | typeBytes:
			value, ok = w.bytes(), true
		default:
			w.skip()
		}
	}
	*bad = *bad || w.bad
	return key, value, ok
}

func (d *decoder) attribute(raw string, bad *bool) {
	key, value, ok := keyValue(raw, bad)
	if !ok || key == "" {
		return
	}
	if len(key) == len("sampleRate") && (key == "sampleRate" || key == "SampleRate") {
		d.sampleRate(value, bad)
		return
	}
	// Mostly it is the attribute that the event before has here, whose name is known to be as it is kept.
	if name := d.Expected(); name == key {
		d.value(name, value, 1, bad)
		return
	}
	d.value(d.clean(key), value, 1, bad)
}

// any is the value of an AnyValue: which of its fields is set, 0 for none, and what.
type anyValue struct {
	field uint32
	num   uint64
	str   string
}

// Fields of AnyValue.
const (
	anyString = 1
	anyBool   = 2
	anyInt    = 3
	anyDouble = 4
	anyArray  = 5
	anyMap    = 6
	anyBytes  = 7
)

func readAny(raw string, bad *bool) (v anyValue) {
	// Most are a short string.
	if len(raw) >= 2 && raw[0] == anyString<<3|typeBytes && raw[1] < 0x80 && 2+int(raw[1]) == len(raw) {
		return anyValue{field: anyString, str: raw[2:]}
	}
	// Numbers have a form of their own, too.
	if len(raw) == 9 && raw[0] == anyDouble<<3|typeFixed64 {
		return anyValue{field: anyDouble, num: word(raw[1:])}
	}
	if len(raw) == 2 && raw[0] == anyInt<<3|typeVarint && raw[1] < 0x80 {
		return anyValue{field: anyInt, num: uint64(raw[1])}
	}
	w := wire{s: raw}
	for tag := w.next(); tag != 0; tag = w.next() {
		switch tag {
		case anyString<<3 | typeBytes, anyArray<<3 | typeBytes, anyMap<<3 | typeBytes, anyBytes<<3 | typeBytes:
			v = anyValue{field: tag >> 3, str: w.bytes()}
		case anyBool<<3 | typeVarint, anyInt<<3 | typeVarint:
			v = anyValue{field: tag >> 3, num: w.varint()}
		case anyDouble<<3 | typeFixed64:
			v = anyValue{field: tag >> 3, num: w.fixed64()}
		default:
			w.skip()
		}
	}
	*bad = *bad || w.bad
	return v
}

// scalar is the value as a field's, unless it is an array, a map or bytes.
func (v *anyValue) scalar() (event.Value, bool) {
	switch v.field {
	case anyBool:
		return event.BoolValue(v.num != 0), true
	case anyInt:
		return event.IntValue(int64(v.num)), true
	case anyDouble:
		return float(math.Float64frombits(v.num)), true
	}
	return event.Value{}, false
}

// float is a number as a field's value; one that is not finite is null.
func float(f float64) event.Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return event.Value{}
	}
	return event.FloatValue(f)
}

// value sets a field, or several, to an AnyValue.
func (d *decoder) value(name, raw string, depth int, bad *bool) {
	v := readAny(raw, bad)
	switch v.field {
	case 0:
	case anyString:
		d.str(name, v.str)
	case anyMap:
		if depth < maxFlatten && v.str != "" {
			d.members(name, v.str, depth, bad)
		} else {
			d.asText(name, &v, bad)
		}
	case anyArray, anyBytes:
		d.asText(name, &v, bad)
	default:
		scalar, _ := v.scalar()
		d.Set(name, scalar)
	}
}

// members sets the members of a KeyValueList.
func (d *decoder) members(name, raw string, depth int, bad *bool) {
	w := wire{s: raw}
	for tag := w.next(); tag != 0; tag = w.next() {
		if tag != 1<<3|typeBytes {
			w.skip()
			continue
		}
		key, value, ok := keyValue(w.bytes(), &w.bad)
		if !ok {
			continue
		}
		if joined, ok := d.Join(name, d.clean(key)); ok {
			d.value(joined, value, depth+1, &w.bad)
		}
	}
	*bad = *bad || w.bad
}

// str sets a field to a text.
func (d *decoder) str(name, s string) { d.Set(name, event.StringValue(d.clean(s))) }

// clean is s as it is kept: cut, and UTF-8.
func (d *decoder) clean(s string) string {
	s = cut(s, maxText)
	if ascii(s) || utf8.ValidString(s) {
		return s
	}
	if !d.Need(2 * len(s)) {
		return ""
	}
	return cut(strings.ToValidUTF8(s, "\uFFFD"), maxText)
}

// ascii says whether all of s is ASCII, eight bytes at a time: texts are mostly short and mostly that.
func ascii(s string) bool {
	const high = 0x8080808080808080
	if len(s) < 8 {
		bits := byte(0)
		for i := range len(s) {
			bits |= s[i]
		}
		return bits < utf8.RuneSelf
	}
	for i := 0; i+8 < len(s); i += 8 {
		if word(s[i:])&high != 0 {
			return false
		}
	}
	return word(s[len(s)-8:])&high == 0
}

// word is the first eight bytes of s as a number.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// cut shortens s to at most n bytes, between characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := n; i > n-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			return s[:i]
		}
	}
	return s[:n]
}

// asText sets a field to a value's JSON text.
func (d *decoder) asText(name string, v *anyValue, bad *bool) {
	if d.Failed() {
		return
	}
	// JSON is at most six times as long, and the last text in it may go beyond where it is cut.
	if need := 6 * min(len(v.str), maxText); need > d.textPaid {
		if !d.Need(need - d.textPaid) {
			return
		}
		d.textPaid = need
	}
	d.text = d.appendJSON(d.text[:0], v, 0, bad)
	if n := min(len(d.text), maxText); d.Need(n) {
		d.Set(name, event.StringValue(cut(string(d.text[:min(len(d.text), maxText+1)]), maxText)))
	}
}

// appendJSON appends a value as JSON. What lies beyond maxText is left out.
func (d *decoder) appendJSON(dst []byte, v *anyValue, depth int, bad *bool) []byte {
	if len(dst) > maxText || *bad {
		return dst
	}
	if depth > maxDepth {
		d.Fail("An attribute has more than %d levels of nesting.", maxDepth)
		return dst
	}
	switch v.field {
	case anyString:
		return event.AppendJSONString(dst, cut(v.str, maxText))
	case anyBytes:
		// Four bytes for three, so this much is enough.
		return append(base64.StdEncoding.AppendEncode(append(dst, '"'), []byte(v.str[:min(len(v.str), maxText)])), '"')
	case anyArray, anyMap:
		open, shut := byte('['), byte(']')
		if v.field == anyMap {
			open, shut = '{', '}'
		}
		dst = append(dst, open)
		w := wire{s: v.str}
		first := true
		for tag := w.next(); tag != 0 && len(dst) <= maxText && !d.Failed(); tag = w.next() {
			if tag != 1<<3|typeBytes {
				w.skip()
				continue
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			member := w.bytes()
			if v.field == anyMap {
				key, value, _ := keyValue(member, &w.bad)
				dst = append(event.AppendJSONString(dst, cut(key, maxText)), ':')
				member = value
			}
			element := readAny(member, &w.bad)
			dst = d.appendJSON(dst, &element, depth+1, &w.bad)
		}
		*bad = *bad || w.bad
		return append(dst, shut)
	}
	scalar, _ := v.scalar()
	return scalar.AppendJSON(dst)
}

// sampleRate takes an attribute off that says a sample rate. What is not a number says none, and 0 means 1.
func (d *decoder) sampleRate(raw string, bad *bool) {
	v := readAny(raw, bad)
	rate := int64(1)
	switch v.field {
	case anyInt:
		rate = int64(v.num)
	case anyDouble:
		if f := math.Float64frombits(v.num); f >= 1 && f <= math.MaxInt32 {
			rate = int64(f)
		}
	case anyString:
		if n, err := strconv.ParseInt(v.str, 10, 64); err == nil {
			rate = n
		}
	}
	d.rate = min(max(rate, 1), math.MaxInt32)
}

// new begins an event at a time in nanoseconds since 1970; 0 is the time of receipt.
func (d *decoder) new(nanos uint64) event.Event {
	e := event.Event{Time: d.Now(), SampleRate: 1}
	if nanos != 0 && nanos <= math.MaxInt64 {
		d.SetTime(&e, time.Unix(0, int64(nanos)).UTC())
	}
	return e
}

// id is the last trace ID that was read, and how it is shown: spans of one trace follow one another.
type id struct{ raw, shown string }

// traceID shows a trace ID.
func (d *decoder) traceID(raw string) event.Value {
	if raw != d.lastID.raw || d.lastID.shown == "" {
		short := raw
		if len(raw) == 16 && raw[:8] == "\x00\x00\x00\x00\x00\x00\x00\x00" {
			short = raw[8:]
		}
		d.lastID = id{raw, d.hex(short)}
	}
	return event.StringValue(d.lastID.shown)
}

// hex shows an ID.
func (d *decoder) hex(raw string) string {
	raw = cutBytes(raw, maxText/2)
	text, ok := d.Text(2 * len(raw))
	if !ok {
		return ""
	}
	return d.Made(hex.AppendEncode(text, []byte(raw)))
}

func cutBytes(s string, n int) string { return s[:min(len(s), n)] }
