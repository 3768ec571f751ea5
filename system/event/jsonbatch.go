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
// Memory is bounded by what o grants. The result does not refer to body.
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
	e := Event{Time: d.now, SampleRate: 1}
	if at != "" {
		d.setTime(&e, at, true)
	}
	if rate != "" {
		head := scanner{s: rate}
		text, whole, ok := head.number()
		if !ok || head.i != len(rate) {
			d.fail("The samplerate %q is not a whole number of at least 1.", shorten(rate))
		} else {
			d.setRate(&e, text, whole)
		}
	}
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

// Sizes of what decoding takes, in bytes, for [Options].Reserve.
const (
	sizeOfField = 48
	// sizeOfItem has room for the answer to an event, too.
	sizeOfItem = 88 + 168
	// sizeOfName is about an entry of byName.
	sizeOfName = 48
	// sizeOfText is about a problem's text.
	sizeOfText = 160
	// reserveStep is the least that is reserved at a time once the body is copied.
	reserveStep = 4 << 10
)

func newDecoder(body []byte, o Options) (*batchDecoder, error) {
	d := &batchDecoder{now: o.Now, reserve: o.Reserve}
	// Text with escapes is copied: all of it together is no longer than the body.
	need := len(body)
	if bytes.IndexByte(body, '\\') >= 0 {
		need *= 2
	}
	if !d.need(need) {
		return nil, ErrNoRoom
	}
	d.scanner = scanner{s: string(body)}
	d.suspect = !utf8.ValidString(d.s)
	if d.peek() == 0 && d.i >= len(d.s) {
		return nil, ErrEmpty
	}
	return d, nil
}

// batchDecoder decodes one body.
type batchDecoder struct {
	scanner
	now     time.Time
	items   []Item
	tooMany bool
	suspect bool // something in the body is not UTF-8

	reserve func(bytes int64) bool
	granted int // reserved and not used yet
	noRoom  bool

	// Of the event being decoded.
	problem string
	fields  []Field        // at the front of slab
	size    int            // of its names and values once flattened
	joined  int            // bytes of names joined so far, those of replaced fields included
	before  []Field        // of the last event that was taken
	alike   bool           // so far its names are those of before, so none of them is there twice
	byName  map[string]int // index in fields; used once there are many, and not alike
	named   int            // the most entries that byName has had room granted for
	prefix  []byte         // of nested names
	slab    []Field        // room for fields
}

// linearFields is up to how many fields a name is searched one by one.
const linearFields = 16

func (d *batchDecoder) fail(format string, args ...any) {
	switch {
	case d.problem != "":
	case len(args) == 0:
		d.problem = format
	case d.need(sizeOfText):
		d.problem = fmt.Sprintf(format, args...)
	}
}

// syntax is the error for a body that is not JSON.
func (d *batchDecoder) syntax() error {
	return fmt.Errorf("%w Near byte %d of %d.", ErrMalformed, d.i, len(d.s)) //nolint:staticcheck // a sentence for clients
}

// need has memory granted before it is taken. Once it was not granted, the event being decoded is given up.
func (d *batchDecoder) need(n int) bool {
	if d.reserve == nil || n <= d.granted {
		d.granted -= n
		return true
	}
	ask := max(n-d.granted, reserveStep)
	if d.noRoom || !d.reserve(int64(ask)) {
		d.noRoom = true
		return false
	}
	d.granted += ask - n
	return true
}

// element reads one event of the batch.
func (d *batchDecoder) element() bool {
	if len(d.items) == MaxBatchEvents {
		d.tooMany = true
		return false
	}
	d.problem, d.odd, d.joined = "", "", 0
	d.restart()
	e := Event{Time: d.now, SampleRate: 1}
	var ok bool
	first := d.peek()
	start := d.i
	if first != '{' {
		d.fail("Request body is malformed and cannot be read. An event must be an object.")
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

// restart forgets the fields that were read.
func (d *batchDecoder) restart() {
	d.fields, d.size = d.slab[:0], 0
	d.alike = true
	clear(d.byName)
}

// finish makes an item of the event that was read, from start on.
func (d *batchDecoder) finish(e *Event, start int) {
	switch {
	case d.suspect && !utf8.ValidString(d.s[start:d.i]):
		d.problem = "" // what was found out of it may be wrong, and cannot be repeated
		d.fail("Request body is malformed and cannot be read. The event is not UTF-8.")
	case d.odd != "":
		d.fail("Request body is malformed and cannot be read. The event has %s, which JSON does not allow here.", d.odd)
	case len(d.fields) == 0:
		d.fail(TextEmpty)
	}
	if len(d.items) == cap(d.items) {
		more := min(max(cap(d.items), 4), MaxBatchEvents-cap(d.items))
		if !d.need(more * sizeOfItem) {
			return
		}
		d.items = append(make([]Item, 0, cap(d.items)+more), d.items...)
	}
	if d.problem != "" || d.noRoom {
		d.items = append(d.items, Item{Problem: d.problem})
		return
	}
	n := len(d.fields)
	e.Fields, d.slab = d.fields[:n:n], d.slab[n:]
	d.before = e.Fields
	d.items = append(d.items, Item{Event: *e})
}

// data reads an event's fields.
func (d *batchDecoder) data() bool {
	switch d.peek() {
	case '{':
	case 'n':
		return d.literal("null")
	default:
		d.fail("Request body is malformed and cannot be read. An event's data must be an object.")
		return d.skip(2)
	}
	d.restart() // a second "data" replaces the first
	start := d.i
	if !d.members("", 1) {
		return false
	}
	if n := d.i - start; n >= MaxEventBytes {
		d.fail("Event is too large: %d bytes, it must be below %d.", n, MaxEventBytes)
	}
	return true
}

// members reads an object's members as fields whose names begin with prefix.
func (d *batchDecoder) members(prefix string, depth int) bool {
	return d.object(func(key string) bool {
		name := key
		if depth > 1 && d.problem == "" {
			// After a problem nothing is stored any more, so nothing is joined either: that bounds the work.
			d.joined += len(prefix) + 1 + len(key)
			switch {
			case len(prefix)+1+len(key) > MaxStringBytes:
				d.fail("A field's name is longer than %d bytes.", MaxStringBytes)
			case d.joined > 2*MaxEventBytes:
				d.fail("Event is too large: its nested names alone exceed %d bytes.", MaxEventBytes)
			case d.need(len(prefix) + 1 + len(key)):
				d.prefix = append(append(append(d.prefix[:0], prefix...), '.'), key...)
				name = string(d.prefix)
			}
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
			d.text(name, s)
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
		d.set(name, BoolValue(true))
		return d.literal("true")
	case 'f':
		d.set(name, BoolValue(false))
		return d.literal("false")
	case 'n':
		d.set(name, Value{})
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
			d.fail("Field %q: the number %s does not fit into 64 bits.", shorten(name), shorten(text))
		}
		d.set(name, v)
		return true
	}
}

// emptyObject says whether the object that begins here has no members. It reads nothing.
func (d *batchDecoder) emptyObject() bool {
	ahead := scanner{s: d.s, i: d.i + 1}
	return ahead.peek() == '}'
}

func (d *batchDecoder) rawField(name string, depth int) bool {
	s, ok := d.raw(depth+2, d.need)
	if ok {
		d.text(name, s)
	}
	return ok
}

func (d *batchDecoder) text(name, s string) {
	if len(s) > MaxStringBytes {
		d.fail("Field %q: the string has %d bytes, at most %d are allowed.", shorten(name), len(s), MaxStringBytes)
	}
	d.set(name, StringValue(s))
}

// set stores a field, in the place of an earlier one of that name.
func (d *batchDecoder) set(name string, v Value) {
	if d.problem != "" || d.noRoom {
		return
	}
	if len(name) > MaxStringBytes {
		d.fail("A field's name is longer than %d bytes.", MaxStringBytes)
		return
	}
	n := len(d.fields)
	if d.alike && n < len(d.before) && d.before[n].Name == name {
		name = d.before[n].Name // one text for both: comparing them later costs nothing
	} else if at := d.find(name); at >= 0 {
		d.size += len(v.str) - len(d.fields[at].Value.str)
		d.fields[at].Value = v
		d.check()
		return
	}
	if n == MaxFields {
		d.fail(TextColumns)
		return
	}
	if n == len(d.slab) && !d.grow() {
		return
	}
	if n >= linearFields && !d.alike {
		d.byName[name] = n
	}
	d.fields = d.slab[:n+1]
	d.fields[n] = Field{Name: name, Value: v}
	d.size += len(name) + len(v.str)
	d.check()
}

// check refuses an event that has become too large: flattening repeats the outer names, so a small object may.
func (d *batchDecoder) check() {
	if d.size >= MaxEventBytes {
		d.fail("Event is too large: its fields have %d bytes once flattened, it must be below %d.", d.size, MaxEventBytes)
	}
}

// grow makes a new slab, which begins with the fields read so far.
func (d *batchDecoder) grow() bool {
	// What is left of the body tells about how many fields are to come.
	n := len(d.fields)
	size := n + max(n, linearFields, min(256, (len(d.s)-d.i)/16))
	if !d.need(size * sizeOfField) {
		return false
	}
	d.slab = make([]Field, size)
	copy(d.slab, d.fields)
	return true
}

// find returns the index of a field, -1 if there is none. From the first name on that is not that of the event before,
// names are looked for: one by one among the first, by a map among many.
func (d *batchDecoder) find(name string) int {
	n := len(d.fields)
	if d.alike {
		d.alike = false
		if d.byName == nil {
			d.byName = make(map[string]int)
		}
		for i := linearFields; i < n; i++ {
			d.byName[d.fields[i].Name] = i
		}
	}
	for i := range min(n, linearFields) {
		if d.fields[i].Name == name {
			return i
		}
	}
	if n >= linearFields {
		if n >= d.named {
			d.need((2*n - d.named) * sizeOfName)
			d.named = 2 * n
		}
		if i, ok := d.byName[name]; ok {
			return i
		}
	}
	return -1
}

// shorten keeps error texts readable.
func shorten(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
