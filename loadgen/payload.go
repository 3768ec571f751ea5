package loadgen

import (
	"math/rand/v2"
	"time"

	"github.com/ratel-sim/ratel/system/event"
)

// fieldsPerEvent is how many fields generated events have.
const fieldsPerEvent = 8

// textBytes is how much text fillers are cut from.
const textBytes = 8 << 10

// generator makes events. It is immutable, hence safe for concurrent use.
type generator struct {
	service, route, duration, status, filler named
	services, routes                         []event.Value
	serviceSums, routeSums                   []uint64
	statuses                                 []event.Value
	text                                     string
}

func newGenerator() *generator {
	g := &generator{
		service: newNamed("service.name"), route: newNamed("name"), duration: newNamed("duration_ms"),
		status: newNamed("status_code"), filler: newNamed("payload"),
	}
	for _, s := range []string{"checkout", "cart", "catalog", "search", "payment", "shipping", "login", "frontend"} {
		g.services = append(g.services, event.StringValue(s))
	}
	for _, s := range []string{"GET /", "GET /item", "POST /cart", "GET /search", "POST /order", "GET /health", "PUT /user", "GET /img"} {
		g.routes = append(g.routes, event.StringValue(s))
	}
	for i := range g.services {
		g.serviceSums = append(g.serviceSums, fieldSumOf(g.service.hash, g.services[i]))
		g.routeSums = append(g.routeSums, fieldSumOf(g.route.hash, g.routes[i]))
	}
	for _, code := range []int64{200, 200, 200, 200, 200, 201, 204, 304, 400, 404, 500, 503, 200, 200, 302, 200} {
		g.statuses = append(g.statuses, event.IntValue(code))
	}
	// The text is the same in every run: what differs between events is where each filler begins.
	random := rand.New(rand.NewPCG(20, 26))
	text := make([]byte, textBytes+maxFiller)
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789 -_./=:abcdefghijklmnopqrstu"
	for i := range text {
		text[i] = letters[random.Uint64()&63]
	}
	g.text = string(text)
	return g
}

// maxFiller bounds a filler; it follows from the bound on EventBytes.
const maxFiller = 60_000

// batch is a reusable buffer of events.
type batch struct {
	events []event.Event
	fields []event.Field
}

// fill makes the events of one batch, in buf's memory if it has room: sequences from first on, at a moment.
func (g *generator) fill(buf *batch, producer uint32, first uint64, count, fillerBytes int, at time.Time) []event.Event {
	if cap(buf.events) < count {
		buf.events = make([]event.Event, count)
		buf.fields = make([]event.Field, count*fieldsPerEvent)
		for i := range buf.events {
			fields := buf.fields[i*fieldsPerEvent : (i+1)*fieldsPerEvent : (i+1)*fieldsPerEvent]
			fields[0].Name, fields[1].Name, fields[2].Name = fieldProducer, fieldSeq, fieldSum
			fields[3].Name, fields[4].Name, fields[5].Name = g.service.name, g.route.name, g.duration.name
			fields[6].Name, fields[7].Name = g.status.name, g.filler.name
			buf.events[i] = event.Event{SampleRate: 1, Fields: fields}
		}
	}
	events := buf.events[:count]
	for i := range events {
		e := &events[i]
		e.Time = at
		seq := first + uint64(i)
		h := mix(uint64(producer)+1, seq)
		service, route := h>>61, h>>58&7
		// A skewed duration in steps of 1/8 ms, which JSON and binary floats hold alike.
		duration := event.FloatValue(float64((h>>20&0x3ff)*(h>>30&0x3f)>>2)/8 + 0.125)
		status := g.statuses[h>>40&15]
		start := int(h>>44&(textBytes-1)) & (textBytes - 1)
		filler := event.StringValue(g.text[start : start+fillerBytes])
		content := g.serviceSums[service] + g.routeSums[route] + fieldSumOf(g.duration.hash, duration) +
			fieldSumOf(g.status.hash, status) + fieldSumOf(g.filler.hash, filler)
		f := e.Fields
		f[0].Value = event.IntValue(int64(producer))
		f[1].Value = event.IntValue(int64(seq))
		f[2].Value = event.IntValue(sumOf(producer, seq, content))
		f[3].Value, f[4].Value, f[5].Value = g.services[service], g.routes[route], duration
		f[6].Value, f[7].Value = status, filler
	}
	return events
}

// fillerFor is how long the filler is for events of about the given size.
func fillerFor(eventBytes int) int { return max(eventBytes-MinEventBytes, 0) + 4 }
