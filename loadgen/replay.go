package loadgen

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/system/event"
)

// Replay is events that are sent in a loop instead of made ones. It is immutable, hence safe for concurrent use.
type Replay struct {
	lines []replayed
	most  int // fields of an event, its identity included
}

// replayed is one line.
type replayed struct {
	fields  []event.Field
	content uint64 // their part of the checksum
	row     Row
}

// identityFields is how many fields a replayed event gets.
const identityFields = 3

// identityBytes is the most that they and an event's envelope take as JSON.
const identityBytes = 200

// ParseReplay reads events from NDJSON: one JSON object a line, either an event's fields, or an element of a batch
// request: {"data": {…}, "samplerate": n}. Its time, if any, is not used: an event's time is when it is sent. Empty lines
// are skipped. Fields by which the load generator recognises its events are left out, because each event gets its own.
// name is what errors call the text; they name the line too.
func ParseReplay(name string, text []byte) (*Replay, error) {
	r := &Replay{}
	number := 0
	for rest := text; len(rest) > 0; {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte{'\n'})
		number++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		one, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, number, err)
		}
		r.lines = append(r.lines, one)
		r.most = max(r.most, len(one.fields)+identityFields)
	}
	if len(r.lines) == 0 {
		return nil, fmt.Errorf("%s: there is no event in it: expected one JSON object a line", name)
	}
	return r, nil
}

// errNotOne says what a line has to be.
var errNotOne = errors.New("expected one event, a JSON object, on one line")

func parseLine(line []byte) (replayed, error) {
	if line[0] != '{' {
		return replayed{}, errNotOne
	}
	item, err := decodeOne(line)
	if err == nil && item.Problem == event.TextEmpty {
		// No "data" in it: the object is the fields themselves.
		wrapped := append(append([]byte(`{"data":`), line...), '}')
		item, err = decodeOne(wrapped)
		if v, has := item.Event.Get("data"); has && (v.Kind() == event.Null || v.Str() == "{}") {
			item.Problem = event.TextEmpty // there is, but nothing in it
		}
	}
	if err != nil {
		return replayed{}, err
	}
	if item.Problem != "" {
		return replayed{}, errors.New(item.Problem)
	}
	one := replayed{row: Row{SampleRate: item.Event.SampleRate}}
	for _, f := range item.Event.Fields {
		n := meaningOf(f.Name)
		if n.role != other {
			continue
		}
		one.fields = append(one.fields, f)
		one.content += fieldSumOf(n.hash, f.Value)
		switch f.Name {
		case FieldService:
			one.row.Service = f.Value
		case FieldRoute:
			one.row.Route = f.Value
		case FieldDuration:
			one.row.Duration = f.Value
		case FieldStatus:
			one.row.Status = f.Value
		}
	}
	sent := event.Event{SampleRate: 1, Fields: one.fields}
	size := len(event.AppendBatchJSON(nil, []event.Event{sent})) + identityBytes
	switch {
	case len(one.fields) == 0:
		return replayed{}, errors.New(event.TextEmpty)
	case len(one.fields) > event.MaxFields-identityFields:
		return replayed{}, fmt.Errorf("the event has %d columns, at most %d can be replayed", len(one.fields), event.MaxFields-identityFields)
	case size >= event.MaxEventBytes:
		return replayed{}, fmt.Errorf("the event is too large: %d bytes with its identity, it must be below %d", size, event.MaxEventBytes)
	}
	return one, nil
}

// decodeOne decodes a batch of one element.
func decodeOne(element []byte) (event.Item, error) {
	body := append(append([]byte{'['}, element...), ']')
	// No time is ahead of this moment by chance, and the event's own is not used.
	items, err := event.DecodeBatchJSON(body, time.Unix(0, 0))
	if err != nil {
		return event.Item{}, err
	}
	if len(items) != 1 {
		return event.Item{}, errNotOne
	}
	return items[0], nil
}

// Len is how many events there are.
func (r *Replay) Len() int { return len(r.lines) }

// line is what an event is made from: producers begin at different lines.
func (r *Replay) line(producer uint32, seq uint64) *replayed {
	return &r.lines[(seq+uint64(producer))%uint64(len(r.lines))]
}

// row implements maker.
func (r *Replay) row(producer uint32, seq uint64) Row { return r.line(producer, seq).row }

// fill implements maker.
func (r *Replay) fill(buf *batch, producer uint32, first uint64, count int, sent time.Time) []event.Event {
	events := buf.room(count, r.most)
	for i := range events {
		seq := first + uint64(i)
		line := r.line(producer, seq)
		fields := buf.fields[i*r.most : i*r.most+identityFields+len(line.fields) : (i+1)*r.most]
		fields[0] = event.Field{Name: FieldProducer, Value: event.IntValue(int64(producer))}
		fields[1] = event.Field{Name: FieldSeq, Value: event.IntValue(int64(seq))}
		fields[2] = event.Field{Name: FieldSum, Value: event.IntValue(sumOf(producer, seq, line.content))}
		copy(fields[identityFields:], line.fields)
		events[i] = event.Event{Time: sent.Add(time.Duration(i) * time.Microsecond), SampleRate: line.row.SampleRate, Fields: fields}
	}
	return events
}
