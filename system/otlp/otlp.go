// Package otlp reads OpenTelemetry's protocol, OTLP 1.x: requests with traces, logs or metrics in protobuf or JSON become
// wide events, and answers are written in either encoding. It has no generated code: a request is read once, from the wire
// format straight into events, within the memory that is granted. JSON is first written as protobuf, so that there is one
// translation.
//
// # Traces
//
// A span becomes an event at its start time with name, trace.trace_id, trace.span_id, trace.parent_id, type and span.kind,
// duration_ms, status_code, status_message and error if there are any, span.num_events, span.num_links and
// meta.signal_type "trace". Its events and links become events of their own (meta.annotation_type span_event, at their own
// time, and link, at the span's start), with trace.parent_id and parent_name of the span. A trace ID whose first 8 bytes
// are zero is shown by its last 8.
//
// # Logs
//
// A record becomes an event at its time, else the time at which it was observed, with body, severity (trace to fatal, by
// its number), severity_code, severity_text, flags, trace.trace_id and trace.parent_id, event.name and meta.signal_type
// "log". A body that is a map is kept as JSON text and flattened to body.x, too.
//
// # Metrics
//
// The data points of one resource and scope that have the same attributes and fall into the same second become one event
// at that second, with a column for each metric and meta.signal_type "metric". A gauge or sum gives one column, named as
// the metric. A histogram gives .count, .sum, .avg, .min and .max, and .p001 to .p999, each the upper bound of the bucket
// in which the quantile lies; a summary gives .count, .sum, .avg and its quantiles. Two points that set the same column, such as
// two of one metric, or a histogram h and a gauge h.max, are never merged: the second begins another event. A point that says
// that it has no value, or has one that is not finite, gives a null.
//
// # Attributes
//
// Attributes of the resource, the scope (library.name and library.version first) and the item, in this order, override what
// is there. Maps are flattened as JSON events are; arrays, bytes (in base64) and what is nested deeper become JSON text.
// Strings are cut at 65,535 bytes; what is not UTF-8 in them becomes U+FFFD. An attribute without a name or value is left
// out. The attribute sampleRate, or SampleRate, is taken off and becomes the event's sample rate.
package otlp

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ratel-sim/ratel/system/event"
)

// Signal is what a request carries.
type Signal uint8

// Signals. Each has its own path, service and answer.
const (
	Traces Signal = iota
	Logs
	Metrics
)

// ErrMalformed marks a body that cannot be read.
var ErrMalformed = errors.New("failed to parse OTLP request body")

// Options says how a request is read.
type Options struct {
	event.Options
	// Dataset is what the request's header names, if anything; Classic that its key is a classic one, for which that
	// counts and not the resource's service.name.
	Dataset string
	Classic bool
}

// Request is what was read. Items are in the order of the request, one for each event that it becomes.
type Request struct {
	Items []event.Item
	Runs  []Run
	// owners is, for each item, which span, log record or group of data points it is of; weights how many of what the
	// signal counts an owner is, nil if one each.
	owners  []int32
	weights []int32
}

// Run is a part of the items, up to End, whose dataset is Dataset. It begins where the one before ends.
type Run struct {
	Dataset string
	End     int
}

// Rejected counts the spans, log records or data points of which an event was refused; refused says so of an item.
func (r *Request) Rejected(refused func(item int) bool) int64 {
	n, last := int64(0), int32(-1)
	for i, owner := range r.owners {
		if owner == last || !refused(i) {
			continue
		}
		last = owner
		if r.weights == nil {
			n++
		} else {
			n += int64(r.weights[owner])
		}
	}
	return n
}

// Decode reads a request in protobuf. What is wrong with one item is in its events' Problem. Errors: what matches
// [ErrMalformed] if it is no such request, and event.ErrNoRoom if memory was not granted. The result does not refer to body,
// unless o has memory to use.
func Decode(signal Signal, body []byte, o Options) (*Request, error) {
	d := newDecoder(o)
	text, ok := d.Body(o.Options, body)
	if !ok {
		return nil, event.ErrNoRoom
	}
	return d.decode(signal, text)
}

// DecodeJSON is [Decode] for a request in OTLP's JSON: IDs in hex, numbers of 64 bits as numbers or strings, enums as
// numbers or names, members that are not known passed over.
func DecodeJSON(signal Signal, body []byte, o Options) (*Request, error) {
	d := newDecoder(o)
	text, err := transcode(signal, body, d.Need)
	if err != nil {
		return nil, err
	}
	return d.decode(signal, text)
}

// decoder reads one request.
type decoder struct {
	*event.Builder
	o       Options
	signal  Signal
	request Request
	owner   int32
	tooMany bool
	left    int // bytes of the scope that come after the item

	// Of the resource and scope that is being read.
	common  []event.Field
	rate    int64  // 0 if nothing says one
	refused string // what is wrong with all of its items

	text     []byte // of a value that becomes JSON text
	textPaid int    // of its memory
	lastID   id
	counts   []uint64 // of a histogram's buckets
	bounds   []float64
	points   pointSet
	earlier  int  // of the event's fields, how many are from before the point
	clashes  bool // the point sets one of those
}

func newDecoder(o Options) *decoder {
	return &decoder{Builder: event.NewBuilder(o.Options), o: o}
}

func (d *decoder) decode(signal Signal, body string) (*Request, error) {
	d.signal = signal
	w := wire{s: body}
	for tag := w.next(); tag != 0; tag = w.next() {
		if tag != 1<<3|typeBytes {
			w.skip()
			continue
		}
		if !d.resource(w.bytes()) {
			w.bad = true
		}
	}
	switch {
	case d.NoRoom():
		return nil, event.ErrNoRoom
	case d.tooMany:
		return nil, fmt.Errorf("%w: it would be more than %d events", ErrMalformed, event.MaxBatchEvents)
	case w.bad:
		return nil, fmt.Errorf("%w: near byte %d of %d", ErrMalformed, w.i, len(body))
	}
	d.request.Items = d.Items()
	return &d.request, nil
}

// resource reads ResourceSpans, ResourceLogs or ResourceMetrics, whose fields have the same numbers: 1 the resource, 2 the
// scopes. It returns false if it cannot be read.
func (d *decoder) resource(raw string) bool {
	d.Begin(len(raw))
	d.rate = 0
	w := wire{s: raw}
	for tag := w.next(); tag != 0; tag = w.next() {
		if tag == 1<<3|typeBytes {
			d.attributes(w.bytes(), 1, &w.bad)
		} else {
			w.skip()
		}
	}
	if w.bad {
		return false
	}
	of, rate := append([]event.Field(nil), d.Fields()...), d.rate
	refused := d.Problem()
	dataset := d.dataset()
	w = wire{s: raw}
	for tag := w.next(); tag != 0; tag = w.next() {
		if tag != 2<<3|typeBytes {
			w.skip()
			continue
		}
		d.rate, d.refused = rate, refused
		if !d.scope(w.bytes(), of) {
			return false
		}
	}
	d.endRun(dataset)
	return true
}

// scope reads ScopeSpans, ScopeLogs or ScopeMetrics: 1 the scope, 2 the items. of is what the resource says.
func (d *decoder) scope(raw string, of []event.Field) bool {
	d.Begin(len(raw))
	if d.refused == "" && d.hasItems(raw) { // else it would take time for nothing, for each of very many scopes
		for i := range of {
			d.Set(of[i].Name, of[i].Value)
		}
	}
	w := wire{s: raw}
	for tag := w.next(); tag != 0; tag = w.next() {
		if tag == 1<<3|typeBytes {
			d.library(w.bytes(), &w.bad)
		} else {
			w.skip()
		}
	}
	if w.bad || d.NoRoom() {
		return false
	}
	if d.refused == "" {
		d.refused = d.Problem()
	}
	// What is common is set again in every event, so it is kept apart from the builder.
	d.common = append(d.common[:0], d.Fields()...)
	w = wire{s: raw}
	for tag := w.next(); tag != 0; tag = w.next() {
		if tag != 2<<3|typeBytes {
			w.skip()
			continue
		}
		item := w.bytes()
		d.left = len(w.s) - w.i
		switch d.signal {
		case Traces:
			d.span(item)
		case Logs:
			d.log(item)
		case Metrics:
			d.metric(item)
		}
		if d.tooMany || d.NoRoom() {
			return false
		}
	}
	if d.signal == Metrics && !w.bad {
		d.endPoints()
	}
	return !w.bad && !d.tooMany && !d.NoRoom()
}

// hasItems says whether a scope has anything that becomes an event, if only a refused one.
func (d *decoder) hasItems(raw string) bool {
	w := wire{s: raw}
	for tag := w.next(); tag != 0; tag = w.next() {
		if tag != 2<<3|typeBytes {
			w.skip()
		} else if item := w.bytes(); d.signal != Metrics || hasPoints(item) {
			return true
		}
	}
	return false
}

// library reads an InstrumentationScope.
func (d *decoder) library(raw string, bad *bool) {
	w := wire{s: raw}
	for tag := w.next(); tag != 0; tag = w.next() {
		switch tag {
		case 1<<3 | typeBytes:
			if name := w.bytes(); name != "" {
				d.str("library.name", name)
			}
		case 2<<3 | typeBytes:
			if version := w.bytes(); version != "" {
				d.str("library.version", version)
			}
		default:
			w.skip()
		}
	}
	*bad = *bad || w.bad
	d.attributes(raw, 3, bad)
}

// Names of datasets for what does not say where it is from.
const (
	unknownService = "unknown_service"
	unknownLogs    = "unknown_log_source"
)

// dataset is where the events of the resource whose attributes are set go.
func (d *decoder) dataset() string {
	if d.o.Classic && d.signal != Logs {
		return d.o.Dataset
	}
	for _, f := range d.Fields() {
		if f.Name != "service.name" {
			continue
		}
		if name := strings.TrimSpace(f.Value.Str()); name != "" && !strings.HasPrefix(name, unknownService) {
			return datasetName(name)
		}
	}
	switch {
	case d.signal != Logs:
		return unknownService
	case strings.TrimSpace(d.o.Dataset) != "":
		return d.o.Dataset
	}
	return unknownLogs
}

// datasetName makes a dataset's name of a service's, which may have what a dataset's name must not: slashes and control
// characters become dashes, and what is beyond 255 bytes is cut.
func datasetName(service string) string {
	name := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '/' {
			return '-'
		}
		return r
	}, service)
	return cut(name, 255)
}

// endRun says that all items since the last run are of dataset.
func (d *decoder) endRun(dataset string) {
	runs := d.request.Runs
	end := len(d.Items())
	last := 0
	if len(runs) > 0 {
		last = runs[len(runs)-1].End
	}
	switch {
	case end == last:
	case len(runs) > 0 && runs[len(runs)-1].Dataset == dataset:
		runs[len(runs)-1].End = end
	case d.Need(32):
		d.request.Runs = append(runs, Run{Dataset: strings.Clone(dataset), End: end}) // not the whole request that it is a part of
	}
}

// sizeOfField is about what a field takes, in bytes.
const sizeOfField = 48

// begin begins an event. size is about how long what it is made of is.
func (d *decoder) begin(size int) bool {
	if !d.Begin(size + d.left) {
		d.tooMany = true
		return false
	}
	if d.refused != "" {
		d.Fail("%s", d.refused)
	}
	return true
}

// shared sets what the resource and the scope say.
func (d *decoder) shared() {
	for i := range d.common {
		d.Set(d.common[i].Name, d.common[i].Value)
	}
}

// end ends an event of the current owner. One that is refused counts for as much memory as another, since it took as much time: a
// small body can ask for very many of the resource's fields.
func (d *decoder) end(e *event.Event) {
	if d.Problem() != "" && !d.Need(sizeOfField*d.Len()) {
		return
	}
	if d.End(e) && d.Need(4) {
		d.request.owners = append(d.request.owners, d.owner)
	}
}
