package loadgen

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/system/event"
)

const (
	wideColumns = 30
	// wideFields is the most fields an event has: its identity, its columns and those of a span.
	wideFields = 3 + wideColumns + 3
	// wideBytes and tracesBytes are the mean sizes of events with the shortest filler.
	wideBytes   = 680
	tracesBytes = 800
	// wideText is the most text of its own that an event has: user, request, order, trace, span, parent.
	wideText = 10 + 16 + 8 + 32 + 16 + 16
	orders   = 1 << 26 // how many order numbers there are
)

// wideMaker makes events of thirty columns, on request as spans of traces.
type wideMaker struct {
	*wideTables
	traces bool
	batch  uint64 // events per batch: no trace goes beyond one
	filler int
	text   string
}

func newWideMaker(s *Spec, traces bool) *wideMaker {
	minBytes := wideBytes
	if traces {
		minBytes = tracesBytes
	}
	g := &wideMaker{wideTables: tablesOfWide(), traces: traces, batch: uint64(max(s.EventsPerBatch, 1)), filler: fillerFor(s.EventBytes, minBytes)}
	g.text = fillerText(g.filler)
	return g
}

// span is what decides about an event.
type span struct {
	h, shared uint64 // draws for this event, and for what a trace's spans have in common
	place     place  // in its trace
	service   int
	route     int // of the service's
	status    int
	duration  uint64 // eighths of a millisecond
	rate      int64
}

// Salts of draws that must differ.
const (
	saltShared = 0x51ed270b0a5f3c11
	saltMore   = 0x2b7e151628aed2a6
	saltTrace  = 0x71ce8a5d9e3779b9
)

// span draws one event.
func (g *wideMaker) span(producer uint32, seq uint64) span {
	s := span{h: mix(uint64(producer)+1, seq)}
	h := s.h
	s.status = int(h >> 40 & 255)
	s.service = int(serviceSkew[h>>58])
	s.route = int(routeSkew[h>>55&7])
	if g.traces {
		s.place = placeOf(producer, seq, g.batch)
		s.shared = s.place.trace
		s.duration = s.place.duration()
		if s.place.index == 0 {
			s.service = entryService
		}
		s.rate = rateOf(s.shared)
		return s
	}
	s.shared = mix(h, saltShared)
	s.duration = skewed(h>>20) + 1
	switch {
	case statusCodes[s.status] >= 500:
		s.duration += 40_000 // five seconds of waiting
		s.rate = 1           // who samples keeps errors
	case s.route == healthRoute:
		s.rate = 20
	default:
		s.rate = rateOf(s.shared)
	}
	return s
}

// skewed is a number up to 16,000 that is mostly small, from sixteen bits.
func skewed(h uint64) uint64 { return (h & 0x3ff) * (h >> 10 & 0x3f) >> 2 }

// rateOf is a sample rate: mostly 1.
func rateOf(shared uint64) int64 {
	switch x := shared >> 60; {
	case x < 2:
		return 10
	case x < 5:
		return 2
	}
	return 1
}

// row implements maker.
func (g *wideMaker) row(producer uint32, seq uint64) Row {
	s := g.span(producer, seq)
	return Row{
		Service: g.services[s.service].field.Value, Route: g.routes[s.service][s.route].field.Value,
		Duration: eighths(s.duration), Status: g.statuses[s.status].field.Value, SampleRate: s.rate,
	}
}

// writer collects one event's fields.
type writer struct {
	fields  []event.Field
	n       int
	content uint64
}

func (w *writer) made(c *choice) {
	w.fields[w.n] = c.field
	w.n++
	w.content += c.sum
}

func (w *writer) value(n *named, v event.Value) {
	w.fields[w.n] = event.Field{Name: n.name, Value: v}
	w.n++
	w.content += fieldSumOf(n.hash, v)
}

// fill implements maker.
func (g *wideMaker) fill(buf *batch, producer uint32, first uint64, count int, sent time.Time) []event.Event {
	events := buf.room(count, wideFields)
	// All texts of the batch's own share one allocation.
	var text strings.Builder
	text.Grow(count * wideText)
	for i := range events {
		seq := first + uint64(i)
		s := g.span(producer, seq)
		w := writer{fields: buf.fields[i*wideFields : (i+1)*wideFields], n: 3}
		g.write(&w, &s, &text)
		w.fields[0] = event.Field{Name: FieldProducer, Value: event.IntValue(int64(producer))}
		w.fields[1] = event.Field{Name: FieldSeq, Value: event.IntValue(int64(seq))}
		w.fields[2] = event.Field{Name: FieldSum, Value: event.IntValue(sumOf(producer, seq, w.content))}
		events[i] = event.Event{Time: sent.Add(time.Duration(i) * time.Microsecond), SampleRate: s.rate, Fields: w.fields[:w.n:w.n]}
	}
	return events
}

// write makes the columns of one event.
func (g *wideMaker) write(w *writer, s *span, text *strings.Builder) {
	h, more := s.h, mix(s.h, saltMore)
	status := statusCodes[s.status]
	customer := int(cube(s.shared>>10&0xffff) * customers >> 48)
	user := mix(uint64(customer), square20(s.shared>>38&0xfffff))
	order := more >> 38 & (orders - 1)

	// The texts that are nobody else's.
	var own [wideText]byte
	own[0], own[1] = 'u', '-'
	binary.BigEndian.PutUint64(own[2:], hex8(uint32(user)))
	hex16(own[10:], s.shared)
	digits8(own[26:], order)
	used := 34
	if g.traces {
		used += s.place.ids(own[34:])
	}
	from := text.Len()
	text.Write(own[:used])
	texts := text.String()[from:]

	w.made(&g.services[s.service])
	w.made(&g.routes[s.service][s.route])
	w.value(&g.duration, eighths(s.duration))
	w.made(&g.statuses[s.status])
	w.made(&g.methods[s.service][s.route])
	host := h >> 8 & (hostsPerService - 1)
	w.made(&g.hosts[s.service][host])
	w.made(&g.zones[host%uint64(len(g.zones))])
	version := s.service & 3
	if h>>12&15 == 0 {
		version++ // a canary
	}
	w.made(&g.versions[version])
	w.value(&g.cpu, eighths(more&1023))
	w.value(&g.memory, event.IntValue(int64(256+more>>10&1023)))
	w.made(&g.customers[customer])
	w.made(&g.plans[planOf(customer)])
	w.value(&g.user, event.StringValue(texts[:10]))
	w.value(&g.request, event.StringValue(texts[10:26]))
	w.made(&g.clients[user>>32&(clientIPs-1)])
	country := user >> 48 & 255
	w.made(&g.countries[country*country*uint64(len(g.countries))>>16])
	agent := user >> 56
	w.made(&g.agents[agent*agent*uint64(len(g.agents))>>16])
	w.value(&g.requestBytes, event.IntValue(int64(100+skewed(more>>20))))
	w.value(&g.responseBytes, event.IntValue(int64(skewed(more>>20)*skewed(more>>4)>>3)))
	if g.reads[s.service][s.route] {
		w.made(&g.cacheHits[h>>16&1])
	}
	if h>>17&7 < 5 { // it asked a database
		w.made(&g.databases[h>>36&3])
		w.value(&g.dbRows, event.IntValue(int64(more>>36&63)))
		w.value(&g.dbDuration, eighths(s.duration*(more>>42&255)>>8))
	}
	if more>>50&3 == 0 {
		w.value(&g.queueWait, eighths(more>>52&127))
	}
	if status >= 500 {
		w.made(&g.failed)
		w.made(&g.messages[more>>60&uint64(len(g.messages)-1)])
	}
	if more>>56&15 == 0 {
		w.value(&g.retries, event.IntValue(int64(1+more>>61&3)))
	}
	if takesOrders[s.service] { // clients disagree whether this is a number
		if customer&1 == 0 {
			w.value(&g.order, event.IntValue(int64(order)))
		} else {
			w.value(&g.order, event.StringValue(texts[26:34]))
		}
	}
	if h>>37&1 == 0 {
		w.made(&g.flags[s.shared>>58&1])
	}
	if g.traces {
		w.value(&g.traceID, event.StringValue(texts[34:66]))
		w.value(&g.spanID, event.StringValue(texts[66:82]))
		if used == wideText {
			w.value(&g.parentID, event.StringValue(texts[82:98]))
		}
	}
	start := more >> 30 & (textBytes - 1)
	w.value(&g.payload, event.StringValue(g.text[start:start+uint64(g.filler)]))
}

// cube of sixteen bits has forty-eight: few customers are frequent, most are rare.
func cube(u uint64) uint64 { return u * u * u }

// square20 skews twenty bits.
func square20(v uint64) uint64 { return v * v >> 20 }

// hex8 is the eight hexadecimal digits of x, the first in the highest byte.
func hex8(x uint32) uint64 {
	v := uint64(x)
	v = (v<<16 | v) & 0x0000ffff0000ffff
	v = (v<<8 | v) & 0x00ff00ff00ff00ff
	v = (v<<4 | v) & 0x0f0f0f0f0f0f0f0f
	letters := (v + 0x0606060606060606) >> 4 & 0x0101010101010101
	return v + 0x3030303030303030 + letters*('a'-'0'-10)
}

// hex16 writes sixteen hexadecimal digits.
func hex16(dst []byte, x uint64) {
	binary.BigEndian.PutUint64(dst, hex8(uint32(x>>32)))
	binary.BigEndian.PutUint64(dst[8:], hex8(uint32(x)))
}

// digits8 writes eight decimal digits.
func digits8(dst []byte, x uint64) {
	for i := 7; i >= 0; i-- {
		dst[i] = '0' + byte(x%10)
		x /= 10
	}
}
