package loadgen

import (
	"math/rand/v2"
	"time"

	"github.com/ratel-sim/ratel/system/event"
)

// Names of the fields by which a stored event is recognised.
const (
	FieldProducer = "ratel.producer"
	FieldSeq      = "ratel.seq"
	FieldSum      = "ratel.sum"
)

// Names of the fields that the readers' queries look at.
const (
	FieldService  = "service.name"
	FieldRoute    = "name"
	FieldDuration = "duration_ms"
	FieldStatus   = "status_code"
)

// maker makes a traffic's events. It is immutable, hence safe for concurrent use, and its events are a pure function of
// producer and sequence.
type maker interface {
	// fill makes the events of one batch, in buf's memory if it has room: sequences from first on, sent at a moment. buf
	// belongs to one maker.
	fill(buf *batch, producer uint32, first uint64, count int, sent time.Time) []event.Event
	// row is what the queries look at of one of these events.
	row(producer uint32, seq uint64) Row
	// schema is which columns these events have.
	schema() Schema
}

// Row is what the readers' queries look at of one event. A field that the event has not is null.
type Row struct {
	Service, Route, Duration, Status event.Value
	SampleRate                       int64
}

// batch is a reusable buffer of events.
type batch struct {
	events []event.Event
	fields []event.Field
}

// room makes room for a number of events of at most so many fields.
func (b *batch) room(events, fields int) []event.Event {
	if len(b.events) < events {
		b.events = make([]event.Event, events)
		b.fields = make([]event.Field, events*fields)
	}
	return b.events[:events]
}

// maker is what makes the spec's events.
func (s *Spec) maker() maker {
	if s.Replay != nil {
		return s.Replay
	}
	switch s.Events {
	case Wide:
		return newWideMaker(s, false)
	case Traces:
		return newWideMaker(s, true)
	case Sprawl:
		return sprawl{newSmall(fillerFor(s.EventBytes, sprawlBytes))}
	case Small:
	}
	return newSmall(fillerFor(s.EventBytes, smallBytes))
}

// MinBytes is the size as JSON of a kind's events with the shortest filler. EventBytes below it have no effect.
func MinBytes(kind Events) int {
	switch kind {
	case Wide:
		return wideBytes
	case Traces:
		return tracesBytes
	case Sprawl:
		return sprawlBytes
	case Small:
	}
	return smallBytes
}

// fillerFor is how long the filler is for events of about the given size.
func fillerFor(eventBytes, minBytes int) int { return max(eventBytes-minBytes, 0) + 4 }

// textBytes is how much text fillers are cut from.
const textBytes = 8 << 10

// fillerText is what fillers are cut from: the same in every run, and what differs between events is where a filler begins.
func fillerText(filler int) string {
	random := rand.New(rand.NewPCG(20, 26))
	text := make([]byte, textBytes+filler)
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789 -_./=:abcdefghijklmnopqrstu"
	for i := range text {
		text[i] = letters[random.Uint64()&63]
	}
	return string(text)
}

// choice is a field that is made in advance, with its part of the checksum.
type choice struct {
	field event.Field
	sum   uint64
}

// choices makes one field for each value.
func choices(name named, values ...event.Value) []choice {
	out := make([]choice, len(values))
	for i, v := range values {
		out[i] = choice{event.Field{Name: name.name, Value: v}, fieldSumOf(name.hash, v)}
	}
	return out
}

func texts(name named, values ...string) []choice {
	out := make([]event.Value, len(values))
	for i, s := range values {
		out[i] = event.StringValue(s)
	}
	return choices(name, out...)
}

// eighths is a duration of so many eighths of a millisecond: JSON and binary floats hold it alike, and sums of it are exact.
func eighths(n uint64) event.Value { return event.FloatValue(float64(n) / 8) }
