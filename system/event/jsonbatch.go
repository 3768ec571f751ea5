package event

import (
	"bytes"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Limits of Honeycomb's API on one event.
const (
	MaxEventBytes  = 1_000_000 // of its data as JSON without white space around it; an event must stay below
	MaxFields      = 2_000
	MaxStringBytes = 64 << 10 // of a string value, a name, or an array's text
	// MaxBatchEvents is our own bound, so that a body of empty events cannot ask for hundreds of megabytes.
	MaxBatchEvents = 50_000
	// maxFlatten is the depth to which objects become fields joined by dots.
	maxFlatten = 5
)

// Texts of refused events, as the API documents them.
const (
	TextEmpty   = "Request body should not be empty."
	TextColumns = "Event has too many columns."
)

// ErrEmpty marks a batch without events.
var ErrEmpty = errors.New(TextEmpty) //nolint:staticcheck // the API's documented text

// ErrNoRoom marks a body that was not decoded because its memory was not granted: see [Options].
var ErrNoRoom = errors.New("no room to decode the body")

// Options is what decoding depends on beside the body.
type Options struct {
	// Now is the time of receipt.
	Now time.Time
	// Reserve is asked before memory is taken: about what decoding needs in all, in steps, and what the body's copy
	// needs first. If it returns false, decoding ends with [ErrNoRoom]; the caller gives everything back. nil grants all.
	Reserve func(bytes int64) bool
	// Memory, if not nil, is used in place of fresh memory, and what is decoded refers to the body, too: see [Memory].
	Memory *Memory
}

// Item is one event of a batch as it was decoded. Problem, if not empty, says why the event cannot be accepted.
type Item struct {
	Event   Event
	Problem string
}

// DecodeBatchJSON is [DecodeBatch] without a bound on memory but the body's own.
func DecodeBatchJSON(body []byte, now time.Time) ([]Item, error) {
	return DecodeBatch(body, Options{Now: now})
}

// DecodeBatch decodes the body of a batch request: an array of {"data": {…}, "time": …, "samplerate": n}. Numbers
// become Int if they are whole and fit, else Float; objects are flattened with dots to a depth of 5; what is deeper,
// arrays, and empty objects become their JSON text. Of fields with one name the last wins. A missing time, or one more
// than an hour ahead of now, becomes now; one before 1970 is refused, any other is kept.
//
// What is wrong with one event is in its Item, and the others are decoded: wrong types, limits exceeded, numbers out of
// range or NaN, nesting deeper than 1,000, text that is not UTF-8. A body that is not JSON, not an array or empty is an
// error, which matches [ErrMalformed] or [ErrEmpty].
//
// Memory is bounded by what o grants. The result does not refer to body, unless o has memory to use.
func DecodeBatch(body []byte, o Options) ([]Item, error) {
	d, err := newDecoder(body, o)
	if err != nil {
		return nil, err
	}
	if d.peek() != '[' {
		return nil, fmt.Errorf("%w Expected an array of events.", ErrMalformed) //nolint:staticcheck // a sentence for clients
	}
	ok := d.array(d.element)
	if ok {
		d.space()
		ok = d.i == len(d.s)
	}
	switch {
	case d.noRoom:
		return nil, ErrNoRoom
	case d.tooMany:
		return nil, fmt.Errorf("%w It has more than %d events.", ErrMalformed, MaxBatchEvents) //nolint:staticcheck // as above
	case !ok:
		return nil, d.syntax()
	case len(d.items) == 0:
		return nil, ErrEmpty
	}
	return d.items, nil
}

// DecodeEvent decodes the body of a request with one event: its data. at and rate are its time and sample rate as
// text; empty means none. All else is as [DecodeBatch] has it.
func DecodeEvent(body []byte, at, rate string, o Options) (Item, error) {
	d, err := newDecoder(body, o)
	if err != nil {
		return Item{}, err
	}
	d.Begin(len(d.s))
	e := d.head(at, rate)
	if d.peek() != '{' {
		return Item{}, fmt.Errorf("%w Expected an object.", ErrMalformed) //nolint:staticcheck // as above
	}
	ok := d.data()
	if ok {
		d.space()
		ok = d.i == len(d.s)
	}
	switch {
	case d.noRoom:
		return Item{}, ErrNoRoom
	case !ok:
		return Item{}, d.syntax()
	}
	d.finish(&e, 0)
	if d.noRoom {
		return Item{}, ErrNoRoom
	}
	return d.items[0], nil
}

func newDecoder(body []byte, o Options) (*batchDecoder, error) {
	d := &batchDecoder{Builder: *NewBuilder(o)}
	// Text with escapes is copied: all of it together is no longer than the body.
	if bytes.IndexByte(body, '\\') >= 0 && !d.Need(len(body)) {
		return nil, ErrNoRoom
	}
	text, ok := d.Body(o, body)
	if !ok {
		return nil, ErrNoRoom
	}
	d.scanner = scanner{s: text}
	d.suspect = !utf8.ValidString(d.s)
	if d.peek() == 0 && d.i >= len(d.s) {
		return nil, ErrEmpty
	}
	return d, nil
}

// batchDecoder decodes one body.
type batchDecoder struct {
	scanner
	Builder
	tooMany bool
	suspect bool // something in the body is not UTF-8
}

// syntax is the error for a body that is not JSON.
func (d *batchDecoder) syntax() error {
	return fmt.Errorf("%w Near byte %d of %d.", ErrMalformed, d.i, len(d.s)) //nolint:staticcheck // a sentence for clients
}

// element reads one event of the batch.
func (d *batchDecoder) element() bool {
	if !d.Begin(len(d.s) - d.i) {
		d.tooMany = true
		return false
	}
	d.odd = ""
	e := Event{Time: d.now, SampleRate: 1}
	var ok bool
	first := d.peek()
	start := d.i
	if first != '{' {
		d.Fail("Request body is malformed and cannot be read. An event must be an object.")
		ok = d.skip(1)
	} else {
		ok = d.object(func(key string) bool {
			switch key {
			case "data":
				return d.data()
			case "time":
				return d.time(&e)
			case "samplerate":
				return d.sampleRate(&e)
			}
			return d.skip(2)
		})
	}
	if !ok {
		return false
	}
	d.finish(&e, start)
	return !d.noRoom
}

// finish makes an item of the event that was read, from start on.
func (d *batchDecoder) finish(e *Event, start int) {
	switch {
	case d.suspect && !utf8.ValidString(d.s[start:d.i]):
		d.problem = "" // what was found out of it may be wrong, and cannot be repeated
		d.Fail("Request body is malformed and cannot be read. The event is not UTF-8.")
	case d.odd != "":
		d.Fail("Request body is malformed and cannot be read. The event has %s, which JSON does not allow here.", d.odd)
	}
	d.End(e)
}

// data reads an event's fields.
func (d *batchDecoder) data() bool {
	switch d.peek() {
	case '{':
	case 'n':
		return d.literal("null")
	default:
		d.Fail("Request body is malformed and cannot be read. An event's data must be an object.")
		return d.skip(2)
	}
	d.restart() // a second "data" replaces the first
	start := d.i
	if !d.members("", 1) {
		return false
	}
	if n := d.i - start; n >= MaxEventBytes {
		d.Fail("Event is too large: %d bytes, it must be below %d.", n, MaxEventBytes)
	}
	return true
}

// members reads an object's members as fields whose names begin with prefix.
func (d *batchDecoder) members(prefix string, depth int) bool {
	return d.object(func(key string) bool {
		name := key
		if depth > 1 {
			name, _ = d.Join(prefix, key)
		}
		return d.member(name, depth)
	})
}

// member reads the value of one field.
func (d *batchDecoder) member(name string, depth int) bool {
	switch c := d.peek(); c {
	case '"':
		s, ok := d.str()
		if ok {
			d.SetText(name, s)
		}
		return ok
	case '{':
		if depth < maxFlatten && !d.emptyObject() {
			return d.members(name, depth+1)
		}
		return d.rawField(name, depth)
	case '[':
		return d.rawField(name, depth)
	case 't':
		d.Set(name, BoolValue(true))
		return d.literal("true")
	case 'f':
		d.Set(name, BoolValue(false))
		return d.literal("false")
	case 'n':
		d.Set(name, Value{})
		return d.literal("null")
	default:
		text, whole, ok := d.number()
		if !ok {
			return false
		}
		if d.odd != "" {
			return true // no number at all: the event is refused in the end
		}
		v, inRange := numberValue(text, whole)
		if !inRange {
			d.Fail("Field %q: the number %s does not fit into 64 bits.", shorten(name), shorten(text))
		}
		d.Set(name, v)
		return true
	}
}

// emptyObject says whether the object that begins here has no members. It reads nothing.
func (d *batchDecoder) emptyObject() bool {
	ahead := scanner{s: d.s, i: d.i + 1}
	return ahead.peek() == '}'
}

func (d *batchDecoder) rawField(name string, depth int) bool {
	s, ok := d.raw(depth+2, d.Need)
	if ok {
		d.SetText(name, s)
	}
	return ok
}
