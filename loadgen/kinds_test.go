package loadgen

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/shepherd"
)

// replayText is events as people have them in files.
const replayText = `{"service.name":"checkout","name":"POST /order","duration_ms":12.5,"status_code":500,"nested":{"a":1,"b":[1,2]}}

{"data":{"service.name":"cart","duration_ms":3,"status_code":"404","none":null},"time":"2020-01-01T00:00:00Z","samplerate":7}
{"ratel.seq":1,"unrelated":true}
`

func parsed(t interface{ Fatal(...any) }, text string) *Replay {
	r, err := ParseReplay("events.ndjson", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// kinds is one spec of each kind of events.
func kinds(t interface{ Fatal(...any) }) []Spec {
	var out []Spec
	for _, kind := range []Events{Small, Wide, Traces, Sprawl} {
		s := fast()
		s.Events = kind
		out = append(out, s)
	}
	s := fast()
	s.Replay = parsed(t, replayText)
	return append(out, s)
}

// keeper is an Ingest that keeps copies of what it gets.
type keeper struct {
	mu     sync.Mutex
	events []event.Event
	teams  map[string]string // by dataset
}

func (k *keeper) Send(ctx context.Context, req shepherd.Request) (shepherd.Answer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, e := range req.Events {
		e.Fields = slices.Clone(e.Fields)
		k.events = append(k.events, e)
	}
	k.teams[req.Dataset] = req.Team
	return accept(ctx, req)
}

// TestTruthIsWhatWasSent sends every kind of events, several batches with the same memory, and makes all of it again from
// the history alone.
func TestTruthIsWhatWasSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := rt.NewWall(1)
		specs := kinds(t)
		specs[1].Team, specs[1].EventsPerBatch = "other", 37
		specs[2].EventsPerBatch = 50
		k := &keeper{teams: map[string]string{}}
		epoch := time.Now().Add(-time.Minute)
		l, err := Start(context.Background(), r, Options{Epoch: epoch, Team: "mine"}, specs, []Target{{"shepherd1", k}})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(200*time.Millisecond + time.Nanosecond)
		l.Stop(context.Background())
		truth, err := NewTruth(epoch, specs)
		if err != nil {
			t.Fatal(err)
		}
		type id struct {
			producer uint32
			seq      uint64
		}
		sent := map[id]event.Event{}
		for i := range k.events {
			producer, seq, state := Identify(&k.events[i])
			if state != Intact {
				t.Fatalf("%v is not intact", k.events[i])
			}
			sent[id{producer, seq}] = k.events[i]
		}
		byTraffic := make([]int, len(specs))
		for _, op := range l.Ops() {
			for i := range op.Count {
				who := id{op.Producer, op.FirstSeq + uint64(i)}
				at := truth.Time(op.Sent, i)
				want, came := sent[who]
				if got := truth.Event(op.Traffic, who.producer, who.seq, at); !came || !got.Equal(&want) {
					t.Fatalf("traffic %d, %v: the truth is %v, sent was %v", op.Traffic, who, got, want)
				}
				checkRow(t, truth.Fields(op.Traffic, who.producer, who.seq), &want)
				byTraffic[op.Traffic]++
				delete(sent, who)
			}
		}
		if len(sent) != 0 || slices.Min(byTraffic) < 500 {
			t.Errorf("%d events are not in the history; it has %v", len(sent), byTraffic)
		}
		for d, team := range k.teams {
			if want := map[bool]string{true: "other", false: "mine"}[strings.HasPrefix(d, "load-1-")]; team != want {
				t.Errorf("dataset %s is sent with key %q, expected %q", d, team, want)
			}
		}
		r.Kill()
		r.Wait()
	})
}

// checkRow compares a row with the event.
func checkRow(t interface{ Fatalf(string, ...any) }, row Row, e *event.Event) {
	want := Row{SampleRate: e.SampleRate}
	want.Service, _ = e.Get(FieldService)
	want.Route, _ = e.Get(FieldRoute)
	want.Duration, _ = e.Get(FieldDuration)
	want.Status, _ = e.Get(FieldStatus)
	if row != want {
		t.Fatalf("the row is %+v, the event %v", row, e)
	}
}

// TestEventsSurviveTheirEncodings sends events of all kinds through JSON and through a chunk.
func TestEventsSurviveTheirEncodings(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SampledFrom(kinds(t)).Draw(t, "kind")
		s.EventsPerBatch = rapid.IntRange(1, 40).Draw(t, "events per batch")
		s.EventBytes = rapid.IntRange(0, 2000).Draw(t, "event bytes")
		truth, err := NewTruth(time.Unix(0, 0), []Spec{s})
		if err != nil {
			t.Fatal(err)
		}
		producer, first := rapid.Uint32().Draw(t, "producer"), rapid.Uint64Range(0, 1<<50).Draw(t, "batch")*uint64(s.EventsPerBatch)
		at := time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "second"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanosecond")).UTC()
		events := s.maker().fill(&batch{}, producer, first, s.EventsPerBatch, at)
		items, err := event.DecodeBatchJSON(event.AppendBatchJSON(nil, events), at)
		if err != nil || len(items) != len(events) {
			t.Fatal(err, len(items))
		}
		for i := range events {
			seq := first + uint64(i)
			if p, n, state := Identify(&events[i]); p != producer || n != seq || state != Intact {
				t.Fatalf("event %d is %d/%d, state %d", i, p, n, state)
			}
			if got := items[i].Event; items[i].Problem != "" || !got.Equal(&events[i]) {
				t.Fatalf("through JSON %v became %v: %s", events[i], got, items[i].Problem)
			}
			alone := truth.Event(0, producer, seq, truth.Time(time.Duration(at.UnixNano()), i))
			if !alone.Equal(&events[i]) {
				t.Fatalf("alone event %d is %v, in its batch %v", i, alone, events[i])
			}
			checkRow(t, truth.Fields(0, producer, seq), &alone)
			if i > 0 && !events[i].Time.Equal(events[i-1].Time.Add(time.Microsecond)) {
				t.Fatalf("event %d is not a microsecond after the one before", i)
			}
		}
		var inPlace Recogniser
		n := first
		err = inPlace.Chunk(event.AppendChunk(nil, event.Dataset{ID: 1, Name: "d"}, events), func(p uint32, seq uint64, state State) {
			if p != producer || seq != n || state != Intact {
				t.Fatalf("in a chunk event %d/%d is %d/%d, state %d", producer, n, p, seq, state)
			}
			n++
		})
		if err != nil || n != first+uint64(len(events)) {
			t.Fatal(err, n)
		}
	})
}

// shares counts how often each value of a column comes, as text with its type.
func shares(events []event.Event, column string) map[string]int {
	out := map[string]int{}
	for i := range events {
		if v, ok := events[i].Get(column); ok {
			out[v.Kind().String()+" "+v.String()]++
		}
	}
	return out
}

func made(kind Events, count int) []event.Event {
	s := fast()
	s.Events, s.EventsPerBatch = kind, 50
	var out []event.Event
	for first := 0; first < count; first += 50 {
		out = append(out, s.maker().fill(&batch{}, 7, uint64(first), 50, time.Unix(100, 0))...)
	}
	return out
}

func TestWideEventsAreLikeRealOnes(t *testing.T) {
	t.Parallel()
	events := made(Wide, 20_000)
	n := float64(len(events))
	columns := map[string]int{}
	rates := map[int64]int{}
	weight, errs := 0.0, 0
	for i := range events {
		e := &events[i]
		names := map[string]bool{}
		for _, f := range e.Fields {
			columns[f.Name]++
			if names[f.Name] {
				t.Fatalf("an event has %s twice", f.Name)
			}
			names[f.Name] = true
		}
		rates[e.SampleRate]++
		weight += float64(e.SampleRate)
		status, _ := e.Get(FieldStatus)
		message, has := e.Get("error.message")
		if isError := status.Int() >= 500; has != isError || has && message.Str() == "" || names["error"] != isError {
			t.Fatalf("status %d with message %v", status.Int(), message)
		} else if isError {
			errs++
		}
		duration, _ := e.Get(FieldDuration)
		if d := duration.Float(); d <= 0 || d*8 != math.Trunc(d*8) {
			t.Fatalf("duration %v is not in eighths", d)
		}
		if e.SampleRate > 1 && status.Int() >= 500 {
			t.Fatal("an error was sampled away")
		}
	}
	always, sometimes := 0, 0
	for name, count := range columns {
		switch {
		case count == len(events):
			always++
		case float64(count) < 0.9*n:
			sometimes++
		default:
			t.Errorf("%s is in %d of %d events: neither always nor clearly sometimes", name, count, len(events))
		}
	}
	if always+sometimes != wideColumns+3 || sometimes < 8 {
		t.Errorf("%d columns always, %d sometimes: %v", always, sometimes, columns)
	}
	if len(rates) < 4 || rates[1] < len(events)/4 || weight < 1.5*n {
		t.Errorf("sample rates %v", rates)
	}
	if share := float64(errs) / n; share < 0.015 || share > 0.035 {
		t.Errorf("%v of the events are errors", share)
	}
	top := func(column string) (distinct int, most float64) {
		s := shares(events, column)
		m := 0
		for _, count := range s {
			m = max(m, count)
		}
		return len(s), float64(m) / n
	}
	if distinct, most := top("customer.id"); distinct < 1000 || most < 0.04 || most > 0.15 {
		t.Errorf("%d customers, the most frequent has %v", distinct, most)
	}
	if distinct, most := top("user.id"); distinct < 10_000 || most > 0.02 {
		t.Errorf("%d users, the most frequent has %v", distinct, most)
	}
	if distinct, _ := top("request.id"); distinct != len(events) {
		t.Errorf("%d requests", distinct)
	}
	if distinct, most := top(FieldService); distinct != wideServices || most < 0.25 {
		t.Errorf("%d services, the most frequent has %v", distinct, most)
	}
	if distinct, _ := top("host.name"); distinct != wideServices*hostsPerService {
		t.Errorf("%d hosts", distinct)
	}
	types := map[string]int{}
	for key, count := range shares(events, "order.id") {
		kind, text, _ := strings.Cut(key, " ")
		types[kind] += count
		if kind == "string" && len(text) != 8 {
			t.Fatalf("order %q", text)
		}
	}
	if len(types) != 2 || types["int"] < 1000 || types["string"] < 1000 {
		t.Errorf("types of order.id: %v", types)
	}
}

// TestTracesNest looks at every trace of many batches, of all sizes.
func TestTracesNest(t *testing.T) {
	t.Parallel()
	type node struct {
		start, end time.Time
		trace      string
	}
	sizes := map[int]int{}
	seen := map[string]bool{} // all traces and spans
	for _, size := range []int{1, 5, 16, 50} {
		s := fast()
		s.Events, s.EventsPerBatch = Traces, size
		for b := range uint64(200) {
			events := s.maker().fill(&batch{}, uint32(size), b*uint64(size), size, time.Unix(100, 0))
			spans := map[string]node{}
			ofTrace := map[string][]*event.Event{}
			for i := range events {
				e := &events[i]
				get := func(name string) string { v, _ := e.Get(name); return v.Str() }
				trace, span, parent := get("trace.trace_id"), get("trace.span_id"), get("trace.parent_id")
				if len(trace) != 32 || len(span) != 16 || seen[span] {
					t.Fatalf("trace %q, span %q (seen before: %v)", trace, span, seen[span])
				}
				seen[span] = true
				v, _ := e.Get(FieldDuration)
				me := node{e.Time, e.Time.Add(time.Duration(v.Float() * float64(time.Millisecond))), trace}
				if _, has := e.Get("trace.parent_id"); !has {
					if seen[trace] {
						t.Fatalf("trace %s has two roots, or is in two batches", trace)
					}
					seen[trace] = true
				} else if up, known := spans[parent]; !known || up.trace != trace || me.start.Before(up.start) || me.end.After(up.end) || me.end.Sub(me.start) >= up.end.Sub(up.start) {
					t.Fatalf("span %s %v is not within its parent %s %v", span, me, parent, up)
				}
				spans[span] = me
				ofTrace[trace] = append(ofTrace[trace], e)
			}
			for _, list := range ofTrace {
				sizes[len(list)]++
				for _, e := range list[1:] {
					for _, name := range []string{"customer.id", "user.id", "request.id", "client.ip"} {
						a, _ := list[0].Get(name)
						if b, _ := e.Get(name); a != b || e.SampleRate != list[0].SampleRate {
							t.Fatalf("spans of one trace differ: %v, %v", list[0], e)
						}
					}
				}
			}
		}
	}
	if len(sizes) < 10 || sizes[16] == 0 || sizes[1] == 0 {
		t.Errorf("sizes of traces: %v", sizes)
	}
}

func TestEventsHaveAboutTheSizeAskedFor(t *testing.T) {
	t.Parallel()
	for _, kind := range []Events{Small, Wide, Traces, Sprawl} {
		for _, want := range []int{0, 400, 2000, 50_000} {
			s := fast()
			s.Events, s.EventBytes, s.EventsPerBatch = kind, want, 200
			events := s.maker().fill(&batch{}, 3, 1000, 200, time.Unix(1, 0))
			total := 0
			for i := range events {
				events[i].SampleRate = 1
				body := event.AppendBatchJSON(nil, events[i:i+1])
				total += len(body) - len(`[{"data":,"time":"1970-01-01T00:00:01.000123Z"}]`)
			}
			want = max(want, MinBytes(kind))
			if mean := total / len(events); mean < want*9/10 || mean > want*11/10 {
				t.Errorf("%s: asked for %d bytes, got %d", kind, want, mean)
			}
		}
	}
}

func TestHexAndDecimalDigits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Uint64().Draw(t, "x")
		var b [16]byte
		if hex16(b[:], x); string(b[:]) != fmt.Sprintf("%016x", x) {
			t.Fatalf("%x became %s", x, b[:])
		}
		x %= 100_000_000
		if digits8(b[:], x); string(b[:8]) != fmt.Sprintf("%08d", x) {
			t.Fatalf("%d became %s", x, b[:8])
		}
	})
}
