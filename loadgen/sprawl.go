package loadgen

import (
	"strconv"
	"time"

	"github.com/ratel-sim/ratel/system/event"
)

const (
	// sprawlColumns is how many columns of its own each event has.
	sprawlColumns = 4
	sprawlFields  = smallFields + sprawlColumns
	// sprawlBytes is the size of an event with the shortest filler.
	sprawlBytes = smallBytes + sprawlColumns*16
	// sprawlPrefix begins the names of columns that hold an identifier, as a client makes them that puts values into names.
	sprawlPrefix = "attr."
)

// sprawl makes small events that each have columns which no other event has: the dataset's schema grows without end.
type sprawl struct{ *small }

// fill implements maker.
func (g sprawl) fill(buf *batch, producer uint32, first uint64, count int, sent time.Time) []event.Event {
	events := buf.room(count, sprawlFields)
	var plain batch
	for i, e := range g.small.fill(&plain, producer, first, count, sent) {
		seq := first + uint64(i)
		fields := append(buf.fields[i*sprawlFields:i*sprawlFields:(i+1)*sprawlFields], e.Fields...)
		var content uint64
		for c := range sprawlColumns {
			own := newNamed(sprawlPrefix + strconv.FormatUint(uint64(producer), 36) + "." + strconv.FormatUint(seq*sprawlColumns+uint64(c), 36))
			value := event.IntValue(int64(g.draw(producer, seq) >> (8 * c) & 0xff))
			fields = append(fields, event.Field{Name: own.name, Value: value})
			content += fieldSumOf(own.hash, value)
		}
		for j := smallFields - 5; j < smallFields; j++ {
			content += fieldSumOf(newNamed(fields[j].Name).hash, fields[j].Value)
		}
		fields[2].Value = event.IntValue(sumOf(producer, seq, content))
		events[i] = event.Event{Time: e.Time, SampleRate: 1, Fields: fields}
	}
	return events
}
