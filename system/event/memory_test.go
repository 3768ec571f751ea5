package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

// decoders are those of batches.
func decoders() map[string]func([]byte, Options) ([]Item, error) {
	return map[string]func([]byte, Options) ([]Item, error){"JSON": DecodeBatch, "MessagePack": DecodeBatchMsgpack}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// asDecoded is what a request becomes.
func asDecoded(how func([]byte, Options) ([]Item, error), body []byte, m *Memory) (text string, chunk []byte) {
	items, err := how(body, Options{Now: now, Memory: m})
	var events []Event
	var texts []string
	for _, item := range items {
		if item.Problem == "" {
			events = append(events, item.Event)
		}
		e := item.Event
		texts = append(texts, fmt.Sprint(item.Problem, e.ID, e.Time, e.SampleRate, e.Fields))
	}
	return fmt.Sprintf("%q, %v", texts, err), AppendChunkFrom(nil, Dataset{1, "d"}, events, ID{1, 2})
}

// TestMemoryUsedAgainMakesTheSame decodes one body after another into the same memory, bodies included, and into fresh memory.
func TestMemoryUsedAgainMakesTheSame(t *testing.T) {
	t.Parallel()
	var m Memory
	var space []byte
	rapid.Check(t, func(t *rapid.T) {
		batch := []any{}
		for range rapid.IntRange(0, 40).Draw(t, "events") {
			e := anyMap{"data": genMap(t, 1), "time": rapid.Int64Range(-1, 1<<31).Draw(t, "time"), "samplerate": rapid.IntRange(-1, 5).Draw(t, "rate")}
			for range rapid.IntRange(1, 3).Draw(t, "alike") {
				batch = append(batch, e)
			}
		}
		for kind, body := range map[string][]byte{"JSON": must(json.Marshal(batch)), "MessagePack": must(msgpack.Marshal(batch))} {
			if damage := rapid.IntRange(0, 3*len(body)).Draw(t, "damage"); damage < len(body) {
				body[damage] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
			}
			wantText, want := asDecoded(decoders()[kind], body, nil)
			space = append(space[:0], body...)
			if gotText, got := asDecoded(decoders()[kind], space, &m); gotText != wantText || !bytes.Equal(got, want) {
				t.Fatalf("%s: %s with memory used again, %s with fresh", kind, gotText, wantText)
			}
			if rapid.Bool().Draw(t, "clear") {
				m.Clear()
			}
		}
	})
}

// TestClearedMemoryKeepsNothing: what hostile bodies leave behind is empty.
func TestClearedMemoryKeepsNothing(t *testing.T) {
	t.Parallel()
	var m Memory
	for name, body := range hostile() {
		if _, err := DecodeBatch(body, Options{Now: now, Memory: &m}); err != nil {
			t.Fatal(name, err)
		}
		m.Clear()
		for _, slab := range m.slabs {
			for i := range slab[:cap(slab)] {
				if !reflect.ValueOf(slab[:cap(slab)][i]).IsZero() {
					t.Fatalf("%s: a field is kept", name)
				}
			}
		}
		for i := range m.items[:cap(m.items)] {
			if !reflect.ValueOf(m.items[:cap(m.items)][i]).IsZero() {
				t.Fatalf("%s: an item is kept", name)
			}
		}
	}
}

// TestTextsDoNotOverlap: each text stays as it was made.
func TestTextsDoNotOverlap(t *testing.T) {
	t.Parallel()
	var m Memory
	for round := range 3 {
		b := NewBuilder(Options{Now: now, Memory: &m})
		var made, want []string
		for i := range 500 {
			text := strings.Repeat(string(rune('a'+(i+round)%26)), i*7%1500)
			room, ok := b.Text(len(text) + i%3)
			if !ok || len(room) != 0 || cap(room) != len(text)+i%3 {
				t.Fatalf("room for %d of %d bytes, %v", cap(room), len(text), ok)
			}
			made, want = append(made, b.Made(append(room, text...))), append(want, text)
		}
		if !reflect.DeepEqual(made, want) {
			t.Fatal("texts have changed")
		}
	}
}

// TestAlikeEventsAreAlike: events that are said to have the same names and kinds do, and a chunk of them is the same as without that
// being known.
func TestAlikeEventsAreAlike(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		batch := []any{}
		for range rapid.IntRange(1, 20).Draw(t, "events") {
			e := anyMap{"data": genMap(t, 1)}
			for range rapid.IntRange(1, 3).Draw(t, "alike") {
				batch = append(batch, e)
			}
		}
		items, err := DecodeBatch(must(json.Marshal(batch)), Options{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		var events, plain []Event
		for _, item := range items {
			if item.Problem != "" {
				continue
			}
			e := item.Event
			for j := range events {
				o := &events[j]
				if !e.Alike(o) {
					continue
				}
				if !sameNames(e.Fields, o.Fields) {
					t.Fatalf("%v and %v have other names", e.Fields, o.Fields)
				}
				for k := range e.Fields {
					if e.Fields[k].Value.kind != o.Fields[k].Value.kind {
						t.Fatalf("%v and %v have other kinds", e.Fields, o.Fields)
					}
				}
			}
			events = append(events, e)
			plain = append(plain, Event{Time: e.Time, SampleRate: e.SampleRate, Fields: e.Fields})
		}
		if !bytes.Equal(AppendChunkFrom(nil, Dataset{1, "d"}, events, ID{1, 2}), AppendChunkFrom(nil, Dataset{1, "d"}, plain, ID{1, 2})) {
			t.Fatal("another chunk")
		}
	})
}

// TestAlikeIsKnown of events that follow one another, whichever is held against which.
func TestAlikeIsKnown(t *testing.T) {
	t.Parallel()
	one, kind, name, short := `{"data":{"a":1,"b":"x"}}`, `{"data":{"a":1,"b":2}}`, `{"data":{"a":1,"c":"x"}}`, `{"data":{"a":1}}`
	for _, c := range []struct {
		second, third string
		want          [3]bool // first and second, second and third, first and third
	}{
		{one, one, [3]bool{true, true, true}}, {`{"data":5}`, one, [3]bool{false, false, true}},
		{kind, kind, [3]bool{false, true, false}}, {name, name, [3]bool{false, true, false}}, {short, short, [3]bool{false, true, false}}, {short, one, [3]bool{}},
	} {
		items, err := DecodeBatch([]byte("["+one+","+c.second+","+c.third+"]"), Options{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		a, b, d := &items[0].Event, &items[1].Event, &items[2].Event
		if got := [3]bool{a.Alike(b), b.Alike(d), a.Alike(d)}; got != c.want {
			t.Errorf("%s, %s: %v, want %v", c.second, c.third, got, c.want)
		}
	}
}
