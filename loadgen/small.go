package loadgen

import (
	"time"

	"github.com/ratel-sim/ratel/system/event"
)

const (
	smallFields = 8
	// smallBytes is the size of an event with the shortest filler: its identity and a few fields of a web request.
	smallBytes = 170
)

// small makes events of eight fields.
type small struct {
	service, route, duration, status, filler named
	services, routes, statuses               []choice
	text                                     string
	length                                   int // of the filler
}

func newSmall(filler int) *small {
	g := &small{
		service: newNamed(FieldService), route: newNamed(FieldRoute), duration: newNamed(FieldDuration),
		status: newNamed(FieldStatus), filler: newNamed("payload"), length: filler, text: fillerText(filler),
	}
	g.services = texts(g.service, "checkout", "cart", "catalog", "search", "payment", "shipping", "login", "frontend")
	g.routes = texts(g.route, "GET /", "GET /item", "POST /cart", "GET /search", "POST /order", "GET /health", "PUT /user", "GET /img")
	codes := []int64{200, 200, 200, 200, 200, 201, 204, 304, 400, 404, 500, 503, 200, 200, 302, 200}
	for _, code := range codes {
		g.statuses = append(g.statuses, choices(g.status, event.IntValue(code))...)
	}
	return g
}

// draw is what an event's content is made from.
func (g *small) draw(producer uint32, seq uint64) uint64 { return mix(uint64(producer)+1, seq) }

// durationOf is skewed, in steps of 1/8 ms.
func (g *small) durationOf(h uint64) event.Value {
	return event.FloatValue(float64((h>>20&0x3ff)*(h>>30&0x3f)>>2)/8 + 0.125)
}

// row implements maker.
func (g *small) row(producer uint32, seq uint64) Row {
	h := g.draw(producer, seq)
	return Row{
		Service: g.services[h>>61].field.Value, Route: g.routes[h>>58&7].field.Value,
		Duration: g.durationOf(h), Status: g.statuses[h>>40&15].field.Value, SampleRate: 1,
	}
}

// fill implements maker.
func (g *small) fill(buf *batch, producer uint32, first uint64, count int, sent time.Time) []event.Event {
	fresh := len(buf.events) < count
	events := buf.room(count, smallFields)
	if fresh {
		g.name(buf)
	}
	for i := range events {
		e := &events[i]
		e.Time = sent.Add(time.Duration(i) * time.Microsecond)
		seq := first + uint64(i)
		h := g.draw(producer, seq)
		service, route, status := &g.services[h>>61], &g.routes[h>>58&7], &g.statuses[h>>40&15]
		duration := g.durationOf(h)
		start := int(h>>44) & (textBytes - 1)
		filler := event.StringValue(g.text[start : start+g.length])
		content := service.sum + route.sum + fieldSumOf(g.duration.hash, duration) + status.sum + fieldSumOf(g.filler.hash, filler)
		f := e.Fields
		f[0].Value = event.IntValue(int64(producer))
		f[1].Value = event.IntValue(int64(seq))
		f[2].Value = event.IntValue(sumOf(producer, seq, content))
		f[3].Value, f[4].Value, f[5].Value = service.field.Value, route.field.Value, duration
		f[6].Value, f[7].Value = status.field.Value, filler
	}
	return events
}

// name writes what all events have in common into a new buffer.
func (g *small) name(buf *batch) {
	for i := range buf.events {
		fields := buf.fields[i*smallFields : (i+1)*smallFields : (i+1)*smallFields]
		for j, name := range [smallFields]string{FieldProducer, FieldSeq, FieldSum, FieldService, FieldRoute, FieldDuration, FieldStatus, g.filler.name} {
			fields[j].Name = name
		}
		buf.events[i] = event.Event{SampleRate: 1, Fields: fields}
	}
}
