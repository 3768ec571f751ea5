package otlp

import "github.com/ratel-sim/ratel/system/event"

// textBadSpan is why a span is refused.
const textBadSpan = "the span cannot be parsed"

// span is a Span's own fields.
type span struct {
	trace, id, parent, name, message string
	kind, code                       uint64
	start, end                       uint64
	events, links                    int64
	rate                             int64
	attributes                       string // where they are, with whatever is between them
}

func readSpan(raw string, bad *bool) (s span) {
	w := wire{s: raw}
	first := -1
	for {
		at := w.i
		tag := w.next()
		if tag == 0 {
			break
		}
		switch tag {
		case 9<<3 | typeBytes: // attributes come later
			w.bytes()
			for _, ok := w.short(9); ok; _, ok = w.short(9) {
			}
			if first < 0 {
				first = at
			}
			s.attributes = raw[first:w.i]
		case 1<<3 | typeBytes:
			s.trace = w.bytes()
		case 2<<3 | typeBytes:
			s.id = w.bytes()
		case 4<<3 | typeBytes:
			s.parent = w.bytes()
		case 5<<3 | typeBytes:
			s.name = w.bytes()
		case 6<<3 | typeVarint:
			s.kind = w.varint()
		case 7<<3 | typeFixed64:
			s.start = w.fixed64()
		case 8<<3 | typeFixed64:
			s.end = w.fixed64()
		case 11<<3 | typeBytes:
			w.bytes()
			s.events++
		case 13<<3 | typeBytes:
			w.bytes()
			s.links++
		case 15<<3 | typeBytes:
			status := wire{s: w.bytes()}
			for tag := status.next(); tag != 0; tag = status.next() {
				switch tag {
				case 2<<3 | typeBytes:
					s.message = status.bytes()
				case 3<<3 | typeVarint:
					s.code = status.varint()
				default:
					status.skip()
				}
			}
			w.bad = w.bad || status.bad
		default:
			w.skip()
		}
	}
	*bad = w.bad
	return s
}

// statusError is the StatusCode of a span that failed.
const statusError = 2

// span makes a span an event, and each of its events and links.
func (d *decoder) span(raw string) {
	bad := false
	s := readSpan(raw, &bad)
	if !d.begin(len(raw)) {
		return
	}
	e := d.new(s.start)
	kind := spanKind(s.kind)
	d.Set("trace.trace_id", d.traceID(s.trace))
	d.Set("trace.span_id", event.StringValue(d.hex(s.id)))
	if s.parent != "" {
		d.Set("trace.parent_id", event.StringValue(d.hex(s.parent)))
	}
	d.Set("type", kind)
	d.Set("span.kind", kind)
	d.str("name", s.name)
	// A span that ends before it begins has clocks that disagree: no duration is better than one of 584 years.
	if s.end >= s.start {
		d.Set("duration_ms", event.FloatValue(float64(s.end-s.start)/1e6))
	} else {
		d.Set("duration_ms", event.FloatValue(0))
		d.Set("meta.negative_duration", event.BoolValue(true))
	}
	d.Set("status_code", event.IntValue(int64(s.code)))
	d.Set("span.num_links", event.IntValue(s.links))
	d.Set("span.num_events", event.IntValue(s.events))
	d.Set("meta.signal_type", event.StringValue("trace"))
	if s.code == statusError {
		d.Set("error", event.BoolValue(true))
	}
	if s.message != "" {
		d.str("status_message", s.message)
	}
	d.shared()
	ofScope := d.rate
	if d.attributes(s.attributes, 9, &bad); bad {
		d.Fail(textBadSpan)
	}
	s.rate = max(d.rate, 1)
	d.rate = ofScope
	e.SampleRate = s.rate
	d.end(&e)
	if !bad && s.events+s.links > 0 {
		d.annotations(raw, &s)
	}
	d.owner++
}

func spanKind(kind uint64) event.Value {
	switch kind {
	case 1:
		return event.StringValue("internal")
	case 2:
		return event.StringValue("server")
	case 3:
		return event.StringValue("client")
	case 4:
		return event.StringValue("producer")
	case 5:
		return event.StringValue("consumer")
	}
	return event.StringValue("unspecified")
}

// annotations makes a span's events and links events.
func (d *decoder) annotations(raw string, s *span) {
	w := wire{s: raw}
	for tag := w.next(); tag != 0 && !d.tooMany && !d.NoRoom(); tag = w.next() {
		switch tag {
		case 11<<3 | typeBytes:
			d.spanEvent(w.bytes(), s)
		case 13<<3 | typeBytes:
			d.link(w.bytes(), s)
		default:
			w.skip()
		}
	}
}

func (d *decoder) spanEvent(raw string, s *span) {
	var at uint64
	var name string
	w := wire{s: raw}
	for tag := w.next(); tag != 0; tag = w.next() {
		switch tag {
		case 1<<3 | typeFixed64:
			at = w.fixed64()
		case 2<<3 | typeBytes:
			name = w.bytes()
		default:
			w.skip()
		}
	}
	if !d.begin(len(raw)) {
		return
	}
	e := d.new(at)
	if at == 0 {
		e = d.new(s.start)
	}
	d.ofSpan(s, "span_event")
	d.str("name", name)
	d.annotated(&e, s, raw, 3, w.bad)
}

func (d *decoder) link(raw string, s *span) {
	var trace, id string
	w := wire{s: raw}
	for tag := w.next(); tag != 0; tag = w.next() {
		switch tag {
		case 1<<3 | typeBytes:
			trace = w.bytes()
		case 2<<3 | typeBytes:
			id = w.bytes()
		default:
			w.skip()
		}
	}
	if !d.begin(len(raw)) {
		return
	}
	e := d.new(s.start)
	d.ofSpan(s, "link")
	own := d.lastID // the next span is of this trace again
	d.Set("trace.link.trace_id", d.traceID(trace))
	d.lastID = own
	d.Set("trace.link.span_id", event.StringValue(d.hex(id)))
	d.annotated(&e, s, raw, 4, w.bad)
}

// ofSpan sets what a span's events and links have in common.
func (d *decoder) ofSpan(s *span, kind string) {
	d.Set("trace.trace_id", d.traceID(s.trace))
	d.Set("trace.parent_id", event.StringValue(d.hex(s.id)))
	d.str("parent_name", s.name)
	d.Set("meta.annotation_type", event.StringValue(kind))
	d.Set("meta.signal_type", event.StringValue("trace"))
	if s.code == statusError {
		d.Set("error", event.BoolValue(true))
	}
}

// annotated ends a span's event or link, whose attributes are in the given field.
func (d *decoder) annotated(e *event.Event, s *span, raw string, field uint32, bad bool) {
	d.shared()
	ofScope := d.rate
	if d.attributes(raw, field, &bad); bad {
		d.Fail(textBadSpan)
	}
	d.rate = ofScope
	e.SampleRate = s.rate
	d.end(e)
}
