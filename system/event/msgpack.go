package event

import (
	"encoding/base64"
	"fmt"
	"math"
	"time"
	"unicode/utf8"
)

// DecodeBatchMsgpack is [DecodeBatch] for a body in MessagePack: an array of maps {"data": {…}, "time": …, "samplerate": n}.
// What is of the same meaning in both is treated alike. A time is MessagePack's own timestamp (extension -1), or what JSON
// has: RFC 3339 or Unix time, as a text or a number. Beyond JSON, a value may be a timestamp, which becomes its RFC 3339
// text, or binary, which becomes base64, as encoding/json writes bytes; other extensions refuse their event. A float that
// is NaN or infinite refuses its event. A body that is not MessagePack cannot be read on from where it is damaged, so all
// of it is refused.
func DecodeBatchMsgpack(body []byte, o Options) ([]Item, error) {
	d, err := newMsgpack(body, o)
	if err != nil {
		return nil, err
	}
	n, isArray := d.arrayHead()
	if !isArray {
		return nil, fmt.Errorf("%w Expected an array of events.", ErrMalformed) //nolint:staticcheck // a sentence for clients
	}
	for range n {
		if !d.element() {
			break
		}
	}
	switch {
	case d.noRoom:
		return nil, ErrNoRoom
	case d.tooMany:
		return nil, fmt.Errorf("%w It has more than %d events.", ErrMalformed, MaxBatchEvents) //nolint:staticcheck // as above
	case d.bad || d.i != len(d.s):
		return nil, d.syntax()
	case len(d.items) == 0:
		return nil, ErrEmpty
	}
	return d.items, nil
}

// DecodeEventMsgpack is [DecodeEvent] for a body in MessagePack.
func DecodeEventMsgpack(body []byte, at, rate string, o Options) (Item, error) {
	d, err := newMsgpack(body, o)
	if err != nil {
		return Item{}, err
	}
	d.Begin(len(d.s))
	e := d.head(at, rate)
	n, isMap := d.mapHead()
	if !isMap {
		return Item{}, fmt.Errorf("%w Expected a map.", ErrMalformed) //nolint:staticcheck // as above
	}
	d.members("", n, 1)
	switch {
	case d.noRoom:
		return Item{}, ErrNoRoom
	case d.bad || d.i != len(d.s):
		return Item{}, d.syntax()
	case len(d.s) >= MaxEventBytes:
		d.Fail("Event is too large: %d bytes, it must be below %d.", len(d.s), MaxEventBytes)
	}
	if !d.End(&e) {
		return Item{}, ErrNoRoom
	}
	return d.items[0], nil
}

func newMsgpack(body []byte, o Options) (*msgpackDecoder, error) {
	d := &msgpackDecoder{Builder: *NewBuilder(o)}
	if len(body) == 0 {
		return nil, ErrEmpty
	}
	text, ok := d.Body(o, body)
	if !ok {
		return nil, ErrNoRoom
	}
	d.s = text
	return d, nil
}

// msgpackDecoder decodes one body.
type msgpackDecoder struct {
	Builder
	packed
	tooMany bool
	text    []byte // of a value that becomes JSON text
}

func (d *msgpackDecoder) syntax() error {
	return fmt.Errorf("%w Near byte %d of %d.", ErrMalformed, d.i, len(d.s)) //nolint:staticcheck // a sentence for clients
}

// element reads one event of the batch. It returns false if nothing after it can be read.
func (d *msgpackDecoder) element() bool {
	if !d.Begin(len(d.s) - d.i) {
		d.tooMany = true
		return false
	}
	e := Event{Time: d.now, SampleRate: 1}
	n, isMap := d.mapHead()
	if !isMap {
		d.Fail("Request body is malformed and cannot be read. An event must be a map.")
		d.skip()
	}
	for range n {
		if d.bad || d.noRoom {
			return false
		}
		key, isText := d.str()
		if !isText {
			d.Fail("Request body is malformed and cannot be read. The names of an event's parts must be strings.")
			d.skip()
		}
		switch key {
		case "data":
			d.data()
		case "time":
			d.time(&e)
		case "samplerate":
			d.rate(&e)
		default:
			d.skip()
		}
	}
	return !d.bad && d.End(&e)
}

// data reads an event's fields.
func (d *msgpackDecoder) data() {
	start := d.i
	n, isMap := d.mapHead()
	if !isMap {
		if !d.null() {
			d.Fail("Request body is malformed and cannot be read. An event's data must be a map.")
			d.skip()
		}
		return
	}
	d.restart() // a second "data" replaces the first
	d.members("", n, 1)
	if n := d.i - start; n >= MaxEventBytes {
		d.Fail("Event is too large: %d bytes, it must be below %d.", n, MaxEventBytes)
	}
}

// members reads the n members of a map as fields whose names begin with prefix.
func (d *msgpackDecoder) members(prefix string, n, depth int) {
	for range n {
		if d.bad || d.noRoom {
			return
		}
		name, isText := d.str()
		switch {
		case depth == 1 && isText && name == d.Expected():
		case !isText:
			d.Fail("A field's name is not a string.")
			d.skip()
			d.skip()
			continue
		case !utf8.ValidString(name):
			d.Fail("Request body is malformed and cannot be read. A field's name is not UTF-8.")
		case depth > 1:
			name, _ = d.Join(prefix, name)
		}
		d.member(name, depth)
	}
}

// member reads the value of one field.
func (d *msgpackDecoder) member(name string, depth int) {
	c := d.peek()
	switch kind := kindOf(c); kind {
	case packedNil:
		d.i++
		d.Set(name, Value{})
	case packedBool:
		d.i++
		d.Set(name, BoolValue(c == 0xc3))
	case packedInt, packedFloat:
		v, ok := d.number()
		if !ok {
			d.notFinite()
		}
		d.Set(name, v)
	case packedStr:
		s, _ := d.str()
		if !utf8.ValidString(s) {
			d.Fail("Request body is malformed and cannot be read. The event is not UTF-8.")
		}
		d.SetText(name, s)
	case packedMap:
		back := d.i
		n, _ := d.mapHead()
		if depth < maxFlatten && n > 0 {
			d.members(name, n, depth+1)
			return
		}
		d.i = back
		d.asText(name)
	case packedArray:
		d.asText(name)
	case packedBin:
		s := d.bytes()
		if d.room(base64.StdEncoding.EncodedLen(len(s)), name) {
			d.SetText(name, base64.StdEncoding.EncodeToString([]byte(s)))
		}
	case packedExt:
		at, ok := d.timestamp()
		switch {
		case !ok:
			d.Fail("Field %q: a MessagePack extension that is not a timestamp is not supported.", shorten(name))
		case d.Need(len(time.RFC3339Nano)):
			d.Set(name, StringValue(at.UTC().Format(time.RFC3339Nano)))
		}
	default:
		d.bad = true
	}
}

func (d *msgpackDecoder) notFinite() {
	d.Fail("Request body is malformed and cannot be read. The event has %s, which is not allowed here.", oddNumber)
}

// room has memory for a text of n bytes granted, if a field may have as long a one and the event is not refused yet.
func (d *msgpackDecoder) room(n int, name string) bool {
	if n > MaxStringBytes {
		d.Fail("Field %q: the string has %d bytes, at most %d are allowed.", shorten(name), n, MaxStringBytes)
	}
	return !d.Failed() && d.Need(n)
}

// asText reads any value and stores it as JSON text.
func (d *msgpackDecoder) asText(name string) {
	if d.Failed() {
		d.skip()
		return
	}
	back := d.i
	d.text = d.appendJSON(d.text[:0], 0)
	switch {
	case d.bad:
	case d.Failed():
		d.i = back
		d.skip()
	case d.room(len(d.text), name):
		d.Set(name, StringValue(string(d.text)))
	}
}

// appendJSON appends a value as JSON. Once it is longer than a field may be, the event is refused and what follows is not read.
func (d *msgpackDecoder) appendJSON(dst []byte, depth int) []byte {
	if len(dst) > MaxStringBytes {
		d.Fail("A field's text has more than %d bytes.", MaxStringBytes)
	}
	if d.bad || d.Failed() {
		return dst
	}
	c := d.peek()
	switch kindOf(c) {
	case packedNil:
		d.i++
		return append(dst, "null"...)
	case packedBool:
		d.i++
		return BoolValue(c == 0xc3).AppendJSON(dst)
	case packedInt, packedFloat:
		v, ok := d.number()
		if !ok {
			d.notFinite()
		}
		return v.AppendJSON(dst)
	case packedStr, packedBin:
		return d.appendText(dst, c)
	case packedExt:
		at, ok := d.timestamp()
		if !ok {
			d.Fail("A MessagePack extension that is not a timestamp is not supported.")
		}
		return append(at.UTC().AppendFormat(append(dst, '"'), time.RFC3339Nano), '"')
	}
	if depth == maxDepth {
		d.Fail("Request body is malformed and cannot be read. The event has %s, which is not allowed here.", oddDepth)
		return dst
	}
	if n, isMap := d.mapHead(); isMap {
		dst = append(dst, '{')
		for i := 0; i < n && !d.bad && !d.Failed(); i++ {
			if i > 0 {
				dst = append(dst, ',')
			}
			if kindOf(d.peek()) != packedStr {
				d.Fail("A field's name is not a string.")
				return dst
			}
			dst = append(d.appendText(dst, d.peek()), ':')
			dst = d.appendJSON(dst, depth+1)
		}
		return append(dst, '}')
	}
	n, isArray := d.arrayHead()
	if !isArray {
		d.bad = true
		return dst
	}
	dst = append(dst, '[')
	for i := 0; i < n && !d.bad && !d.Failed(); i++ {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = d.appendJSON(dst, depth+1)
	}
	return append(dst, ']')
}

// appendText appends a string, or binary, whose head begins with c, as a JSON string.
func (d *msgpackDecoder) appendText(dst []byte, c byte) []byte {
	var s string
	if kindOf(c) == packedBin {
		s = d.bytes()
	} else {
		s, _ = d.str()
	}
	switch {
	case len(s) > MaxStringBytes:
		d.Fail("A field's text has more than %d bytes.", MaxStringBytes)
		return dst
	case kindOf(c) == packedBin:
		return append(base64.StdEncoding.AppendEncode(append(dst, '"'), []byte(s)), '"')
	case !utf8.ValidString(s):
		d.Fail("Request body is malformed and cannot be read. The event is not UTF-8.")
	}
	return AppendJSONString(dst, s)
}

// time reads an event's time.
func (d *msgpackDecoder) time(e *Event) {
	const text = "Event time cannot be read: expected a timestamp, RFC 3339 or Unix time."
	switch kindOf(d.peek()) {
	case packedNil:
		d.i++
	case packedExt:
		at, ok := d.timestamp()
		switch {
		case d.bad:
		case !ok || at.Unix() < firstSecond || at.Unix() > lastSecond:
			d.Fail(text)
		default:
			d.SetTime(e, at.UTC())
		}
	case packedStr:
		if s, _ := d.str(); s != "" {
			d.setTime(e, s, true)
		}
	case packedInt, packedFloat:
		if v, ok := d.number(); ok {
			if f := v.Float(); v.Kind() == Float && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
				v = IntValue(int64(f)) // JavaScript has no other numbers
			}
			d.setTime(e, v.String(), false)
		} else {
			d.Fail(text)
		}
	default:
		d.Fail(text)
		d.skip()
	}
}

// rate reads an event's sample rate.
func (d *msgpackDecoder) rate(e *Event) {
	switch kindOf(d.peek()) {
	case packedNil:
		d.i++
	case packedInt, packedFloat:
		v, ok := d.number()
		if !ok {
			v = IntValue(-1)
		}
		d.setRate(e, v.String(), v.Kind() == Int)
	default:
		d.Fail("The samplerate must be a whole number, at least 1.")
		d.skip()
	}
}

// number reads a number; ok is false if it is not finite, and the number is then null.
func (d *msgpackDecoder) number() (v Value, ok bool) {
	v = d.packed.number()
	if f := v.Float(); v.Kind() == Float && (math.IsNaN(f) || math.IsInf(f, 0)) {
		return Value{}, false
	}
	return v, true
}
