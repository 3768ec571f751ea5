package event

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// maxAhead is how far in the future an event's time may lie before the time of receipt replaces it.
const maxAhead = time.Hour

// time reads an event's time.
func (d *batchDecoder) time(e *Event) bool {
	var text string
	quoted := false
	switch d.peek() {
	case '"':
		s, ok := d.str()
		if !ok {
			return false
		}
		text, quoted = s, true
		if text == "" {
			return true
		}
	case 'n':
		return d.literal("null")
	case '{', '[', 't', 'f':
		d.Fail("Event time cannot be read: expected RFC 3339 or Unix time.")
		return d.skip(2)
	default:
		s, _, ok := d.number()
		if !ok {
			return false
		}
		text = s
	}
	d.setTime(e, text, quoted)
	return true
}

// setTime gives an event the time that text says.
func (d *Builder) setTime(e *Event, text string, quoted bool) {
	shown := shorten(text)
	if quoted {
		shown = strconv.Quote(shown)
	}
	at, ok := ParseTime(text)
	switch {
	case !ok:
		d.Fail("Event time %s cannot be read: expected RFC 3339 or Unix time.", shown)
	case at.Before(firstTime):
		d.Fail("Event time %s lies before 1970: expected the time at which the event happened.", shown)
	case at.Sub(d.now) > maxAhead:
		e.Time = d.now
	default:
		e.Time = at
	}
}

// firstTime is the earliest time that an event may have. Storage counts from it.
var firstTime = time.Unix(0, 0).UTC()

// Bounds of times: years 1 to 9999.
var (
	firstSecond = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	lastSecond  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
)

// ParseTime reads a time as the API takes it: RFC 3339 with or without a fraction; or Unix time, in seconds, or with a
// fraction, or in milliseconds, microseconds or nanoseconds: of a whole number with more than 10 digits, the first 10 are the seconds.
func ParseTime(s string) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t.UTC(), t.Unix() >= firstSecond && t.Unix() <= lastSecond
	}
	if len(s) > 40 {
		return time.Time{}, false
	}
	if len(s) <= 19 && allDigits(s) { // up to nanoseconds
		if len(s) <= 10 {
			whole, _ := smallInt(s)
			return time.Unix(whole, 0).UTC(), true
		}
		seconds, _ := smallInt(s[:10])
		nanos, _ := smallInt((s[10:] + "000000000")[:9])
		return time.Unix(seconds, nanos).UTC(), true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || strings.ContainsAny(s, "xX") || !(f >= float64(firstSecond) && f <= float64(lastSecond)) {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(f)
	return time.Unix(int64(whole), int64(math.Round(fraction*1e9))).UTC(), true
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// sampleRate reads n of "one in n". 0 means 1, as it does for Honeycomb.
func (d *batchDecoder) sampleRate(e *Event) bool {
	switch d.peek() {
	case 'n':
		return d.literal("null")
	case '{', '[', '"', 't', 'f':
		d.Fail("The samplerate must be a whole number, at least 1.")
		return d.skip(2)
	}
	text, whole, ok := d.number()
	if ok {
		d.setRate(e, text, whole)
	}
	return ok
}

// setRate gives an event the sample rate that a number's text says.
func (d *Builder) setRate(e *Event, text string, whole bool) {
	v, _ := numberValue(text, whole)
	rate := v.Int()
	if f := v.Float(); v.Kind() == Float && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		rate = int64(f)
	} else if v.Kind() == Float {
		rate = -1
	}
	switch {
	case rate < 0:
		d.Fail("The samplerate %s is not a whole number of at least 1.", shorten(text))
	case rate > 0:
		e.SampleRate = rate
	}
}

// head begins an event whose time and sample rate are texts; empty means none.
func (d *Builder) head(at, rate string) Event {
	e := Event{Time: d.now, SampleRate: 1}
	if at != "" {
		d.setTime(&e, at, true)
	}
	if rate != "" {
		head := scanner{s: rate}
		text, whole, ok := head.number()
		if !ok || head.i != len(rate) {
			d.Fail("The samplerate %q is not a whole number of at least 1.", shorten(rate))
		} else {
			d.setRate(&e, text, whole)
		}
	}
	return e
}
