package otlp

import (
	"bytes"
	"fmt"
	"testing"

	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/event"
)

// asDecoded is what a request becomes, as text and as it is stored.
func asDecoded(signal Signal, body []byte, o Options) (text string, chunk []byte) {
	r, err := Decode(signal, body, o)
	if err != nil {
		return err.Error(), nil
	}
	var events []event.Event
	var items []string
	for _, item := range r.Items {
		if item.Problem == "" {
			events = append(events, item.Event)
		}
		e := item.Event
		items = append(items, fmt.Sprint(item.Problem, e.ID, e.Time, e.SampleRate, e.Fields))
	}
	return fmt.Sprintf("%q %+v %v %v", items, r.Runs, r.owners, r.weights), event.AppendChunkFrom(nil, event.Dataset{ID: 1, Name: "d"}, events, event.ID{Source: 1, Seq: 2})
}

// TestMemoryUsedAgainMakesTheSame decodes one request after another into the same memory, bodies included, and into fresh memory.
func TestMemoryUsedAgainMakesTheSame(t *testing.T) {
	t.Parallel()
	bodies := seeds(t)
	var m event.Memory
	var space []byte
	rapid.Check(t, func(t *rapid.T) {
		signal := rapid.SampledFrom([]Signal{Traces, Logs, Metrics}).Draw(t, "signal")
		body := bytes.Repeat(bodies[signal], rapid.IntRange(1, 20).Draw(t, "times"))
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			body[rapid.IntRange(0, len(body)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		wantText, want := asDecoded(signal, body, options)
		space = append(space[:0], body...)
		o := options
		o.Memory = &m
		if gotText, got := asDecoded(signal, space, o); gotText != wantText || !bytes.Equal(got, want) {
			t.Fatalf("%s with memory used again, %s with fresh", gotText, wantText)
		}
		if rapid.Bool().Draw(t, "clear") {
			m.Clear()
		}
	})
}

// TestDatasetsOutliveTheRequest: caches may keep a dataset's name, so it must not be a part of memory that is used again.
func TestDatasetsOutliveTheRequest(t *testing.T) {
	t.Parallel()
	body := marshal(t, spans(&trace.Span{Name: "x"}))
	o := options
	o.Memory = new(event.Memory)
	r, err := Decode(Traces, body, o)
	if err != nil {
		t.Fatal(err)
	}
	clear(body)
	if r.Runs[0].Dataset != "shop" {
		t.Errorf("the dataset's name is now %q", r.Runs[0].Dataset)
	}
}
