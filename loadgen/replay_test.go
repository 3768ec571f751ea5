package loadgen

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
)

func TestReplayTakesBothForms(t *testing.T) {
	t.Parallel()
	r := parsed(t, replayText)
	if r.Len() != 3 {
		t.Fatalf("%d events", r.Len())
	}
	events := r.fill(&batch{}, 0, 0, 4, time.Unix(5, 0))
	own := func(e *event.Event) string {
		var parts []string
		for _, f := range e.Fields[identityFields:] {
			parts = append(parts, f.Name+"="+f.Value.Kind().String()+":"+f.Value.String())
		}
		return fmt.Sprint(e.SampleRate, " ", strings.Join(parts, " "))
	}
	for i, want := range []string{
		"1 service.name=string:checkout name=string:POST /order duration_ms=float:12.5 status_code=int:500 nested.a=int:1 nested.b=string:[1,2]",
		"7 service.name=string:cart duration_ms=int:3 status_code=string:404 none=null:null",
		"1 unrelated=bool:true",
		"1 service.name=string:checkout name=string:POST /order duration_ms=float:12.5 status_code=int:500 nested.a=int:1 nested.b=string:[1,2]",
	} {
		if got := own(&events[i]); got != want {
			t.Errorf("event %d is %s\nexpected   %s", i, got, want)
		}
		if at := time.Unix(5, int64(i)*1000); !events[i].Time.Equal(at) {
			t.Errorf("event %d is of %v, expected %v", i, events[i].Time, at)
		}
	}
	if other := r.fill(&batch{}, 1, 0, 1, time.Unix(5, 0)); own(&other[0]) != own(&events[1]) {
		t.Error("all producers begin at one line")
	}
}

func TestReplayErrorsNameTheLine(t *testing.T) {
	t.Parallel()
	good := `{"a":1}` + "\n"
	many := strings.Builder{}
	many.WriteString(`{"a":1`)
	for i := range event.MaxFields - identityFields {
		fmt.Fprintf(&many, `,"c%d":1`, i)
	}
	many.WriteString("}")
	large := `{"a":[` + strings.Repeat(`1,`, 30_000) + `1]`
	for i := range 20 {
		large += fmt.Sprintf(`,"t%d":%q`, i, strings.Repeat("x", 60_000))
	}
	large += "}"
	for text, want := range map[string][]string{
		"":                                  {"f:", "no event"},
		"\n \r\n":                           {"f:", "no event"},
		good + "nonsense":                   {"f:2:", "one event"},
		good + "\n" + `{"a":}`:              {"f:3:", "malformed"},
		good + `{"a":1},{"a":2}`:            {"f:2:", "one event"},
		good + `{"a":1}]`:                   {"f:2:", "malformed"},
		good + `{"a":1},"time":{"b":1}`:     {"f:2:"},
		`[{"a":1}]`:                         {"f:1:", "one event"},
		good + `{"data":5}`:                 {"f:2:", "data must be an object"},
		good + `{"data":{}}`:                {"f:2:", "empty"},
		`{"data":null,"a":1}`:               {"f:1:", "empty"},
		`{}`:                                {"f:1:", "empty"},
		`{"ratel.seq":3}`:                   {"f:1:", "empty"},
		`{"a":1e999}`:                       {"f:1:", "64 bits"},
		`{"data":{"a":1},"samplerate":-1}`:  {"f:1:", "samplerate"},
		`{"data":{"a":1},"time":"morning"}`: {"f:1:", "time"},
		good + `{"a":"` + "\xff" + `"}`:     {"f:2:", "UTF-8"},
		many.String():                       {"f:1:", "columns"},
		large:                               {"f:1:", "too large"},
	} {
		_, err := ParseReplay("f", []byte(text))
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%.60q: the error is %v, expected one with %q", text, err, w)
			}
		}
	}
	most := strings.Replace(many.String(), `"a":1,`, "", 1)
	if r, err := ParseReplay("f", []byte(most)); err != nil || r.most != event.MaxFields {
		t.Errorf("an event of %d columns with its identity: %v", event.MaxFields, err)
	}
}

// FuzzReplay holds the parser to this: it never panics, an error names the text, and what it takes is sent as events that
// are recognised, fit the API's limits and come through JSON unchanged.
func FuzzReplay(f *testing.F) {
	f.Add([]byte(replayText))
	f.Add([]byte(`{"data":{"a":{"b":{"c":{"d":{"e":{"f":1}}}}}},"samplerate":0}`))
	f.Add([]byte(`{"a":-0.0,"b":1e300,"c":9223372036854775808,"a":null,"":"\ud800"}`))
	f.Add([]byte("{\"a\":1}\r\n{\"a\":1}]\n"))
	f.Add([]byte(`{"ratel.sum":1,"data":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseReplay("f", text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f:") {
				t.Fatalf("the error does not name the text: %v", err)
			}
			return
		}
		if r.Len() == 0 || r.Len() > bytes.Count(text, []byte{'\n'})+1 {
			t.Fatalf("%d events", r.Len())
		}
		n := min(r.Len(), 50)
		found := 0
		at := time.Unix(1, 0).UTC()
		events := r.fill(&batch{}, 2, 40, n, at)
		items, err := event.DecodeBatchJSON(event.AppendBatchJSON(nil, events), at)
		if err != nil || len(items) != n {
			t.Fatal(err)
		}
		var inPlace Recogniser
		err = inPlace.Chunk(event.AppendChunk(nil, event.Dataset{ID: 1, Name: "d"}, events), func(p uint32, seq uint64, state State) {
			if p != 2 || seq != 40+uint64(found) || state != Intact {
				t.Fatalf("in a chunk event %d is %d/%d, state %d", found, p, seq, state)
			}
			found++
		})
		if err != nil || found != n {
			t.Fatalf("%d of %d events found in a chunk: %v", found, n, err)
		}
		for i := range events {
			if p, seq, state := Identify(&events[i]); p != 2 || seq != 40+uint64(i) || state != Intact {
				t.Fatalf("event %d is %d/%d, state %d", i, p, seq, state)
			}
			if items[i].Problem != "" {
				t.Fatalf("event %d cannot be sent: %s", i, items[i].Problem)
			}
			// A float's zero may lose its sign, a number its fraction, on the way; what counts is that it is recognised.
			if p, seq, state := Identify(&items[i].Event); p != 2 || seq != 40+uint64(i) || state != Intact {
				t.Fatalf("through JSON event %d is %d/%d, state %d", i, p, seq, state)
			}
			names := map[string]bool{}
			for _, f := range events[i].Fields {
				if names[f.Name] {
					t.Fatalf("event %d has %q twice", i, f.Name)
				}
				names[f.Name] = true
			}
			row := r.row(2, 40+uint64(i))
			checkRow(t, row, &events[i])
			if !slices.Equal(events[i].Fields, r.fill(&batch{}, 2, 40+uint64(i), 1, at)[0].Fields) {
				t.Fatalf("event %d is another one alone", i)
			}
		}
	})
}
