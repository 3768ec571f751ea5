package otlp

import "github.com/ratel-sim/ratel/system/event"

// log makes a LogRecord an event.
func (d *decoder) log(raw string) {
	var at, observed, severity, flags uint64
	var text, trace, span, name, body string
	hasBody := false
	w := wire{s: raw}
	for tag := w.next(); tag != 0; tag = w.next() {
		switch tag {
		case 1<<3 | typeFixed64:
			at = w.fixed64()
		case 2<<3 | typeVarint:
			severity = w.varint()
		case 3<<3 | typeBytes:
			text = w.bytes()
		case 5<<3 | typeBytes:
			body, hasBody = w.bytes(), true
		case 8<<3 | typeFixed32:
			flags = uint64(w.fixed32())
		case 9<<3 | typeBytes:
			trace = w.bytes()
		case 10<<3 | typeBytes:
			span = w.bytes()
		case 11<<3 | typeFixed64:
			observed = w.fixed64()
		case 12<<3 | typeBytes:
			name = w.bytes()
		default:
			w.skip()
		}
	}
	if !d.begin(len(raw)) {
		return
	}
	if at == 0 {
		at = observed
	}
	e := d.new(at)
	d.Set("severity", severityName(severity))
	d.Set("severity_code", event.IntValue(int64(int32(severity))))
	d.Set("meta.signal_type", event.StringValue("log"))
	d.Set("flags", event.IntValue(int64(flags)))
	if trace != "" {
		d.Set("trace.trace_id", d.traceID(trace))
		d.Set("meta.annotation_type", event.StringValue("span_event"))
	}
	if span != "" {
		d.Set("trace.parent_id", event.StringValue(d.hex(span)))
	}
	if text != "" {
		d.str("severity_text", text)
	}
	if name != "" {
		d.str("event.name", name)
	}
	if hasBody {
		if v := readAny(body, &w.bad); v.field == anyMap {
			d.asText("body", &v, &w.bad)
		}
		d.value("body", body, 1, &w.bad)
	}
	d.shared()
	ofScope := d.rate
	if d.attributes(raw, 6, &w.bad); w.bad {
		d.Fail("the log record cannot be parsed")
	}
	e.SampleRate = max(d.rate, 1)
	d.rate = ofScope
	d.end(&e)
	d.owner++
}

// severityName is the range that a SeverityNumber lies in.
func severityName(n uint64) event.Value {
	if n < 1 || n > 24 {
		return event.StringValue("unspecified")
	}
	return event.StringValue([...]string{"trace", "debug", "info", "warn", "error", "fatal"}[(n-1)/4])
}
