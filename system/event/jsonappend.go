package event

import (
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendBatchJSON appends the body of a batch request to dst, as a client library sends it: times in RFC 3339 with
// nanoseconds, a samplerate only if it is not 1. Names are written as they are, dots included. A Float that is whole
// is written with a fraction, so that it comes back as a Float; NaN and infinities, which JSON cannot say, become null.
func AppendBatchJSON(dst []byte, events []Event) []byte {
	dst = append(dst, '[')
	for i := range events {
		e := &events[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"data":{`...)
		for j := range e.Fields {
			if j > 0 {
				dst = append(dst, ',')
			}
			dst = AppendJSONString(dst, e.Fields[j].Name)
			dst = append(dst, ':')
			dst = e.Fields[j].Value.AppendJSON(dst)
		}
		dst = append(dst, `},"time":"`...)
		dst = e.Time.UTC().AppendFormat(dst, time.RFC3339Nano)
		dst = append(dst, '"')
		if e.SampleRate > 1 {
			dst = append(dst, `,"samplerate":`...)
			dst = strconv.AppendInt(dst, e.SampleRate, 10)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// AppendJSON appends the value as JSON. NaN and infinities, which JSON cannot say, become null.
func (v Value) AppendJSON(dst []byte) []byte {
	switch v.kind {
	case Bool:
		return strconv.AppendBool(dst, v.num != 0)
	case Int:
		return strconv.AppendInt(dst, int64(v.num), 10)
	case Float:
		f := math.Float64frombits(v.num)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return append(dst, "null"...)
		}
		start := len(dst)
		dst = strconv.AppendFloat(dst, f, 'g', -1, 64)
		for _, c := range dst[start:] {
			if c == '.' || c == 'e' {
				return dst
			}
		}
		return append(dst, ".0"...)
	case String:
		return AppendJSONString(dst, v.str)
	}
	return append(dst, "null"...)
}

// AppendJSONString appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func AppendJSONString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
		i++
	}
	return append(dst, '"')
}
