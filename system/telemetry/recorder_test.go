package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/rt"
)

// told is one event as an observer gets it.
type told struct {
	Time       time.Time      `json:"time"`
	SampleRate int            `json:"samplerate"`
	Data       map[string]any `json:"data"`
}

// observer keeps what it is told; while it is stuck, it answers nothing.
type observer struct {
	t     *testing.T
	stuck *rt.Future[struct{}] // nil: not stuck
	err   error

	mu      sync.Mutex
	calls   int
	dataset string
	events  []told
}

func (o *observer) Observe(ctx context.Context, dataset string, batch []byte) error {
	o.mu.Lock()
	o.calls++
	o.mu.Unlock()
	if o.stuck != nil {
		if _, err := o.stuck.Wait(ctx); err != nil {
			return err
		}
	}
	if o.err != nil {
		return o.err
	}
	var events []told
	if err := json.Unmarshal(batch, &events); err != nil {
		o.t.Errorf("a batch is not JSON: %v\n%s", err, batch)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dataset = dataset
	o.events = append(o.events, events...)
	return nil
}

func recorder(t *testing.T, o Observer, edit func(*Config)) *Recorder {
	t.Helper()
	w := rt.NewWall(1)
	t.Cleanup(w.Kill)
	cfg := DefaultConfig()
	if edit != nil {
		edit(&cfg)
	}
	return New(w, o, cfg, Identity{Node: "shepherd1", Role: "shepherd", Zone: "a"})
}

func TestWhatIsSaidArrives(t *testing.T) {
	t.Parallel()
	o := &observer{t: t}
	r := recorder(t, o, nil)
	r.OnTick(func(f []Field) []Field { return append(f, Int("events.accepted", 7), Bool("draining", false)) })
	r.OnLoops(func(tell func(...Field)) { tell(Int("partition", 3), Float("lag.share", 0.5)) })
	r.Record("odd", 10, Text("text", "a\"b\\c\n\x00\xff"), Millis("took_ms", 1500*time.Microsecond))
	r.tick()
	r.ship(t.Context(), time.Second)
	if o.dataset != "shepherd" || len(o.events) != 3 {
		t.Fatalf("%d events of %q arrived: %v", len(o.events), o.dataset, o.events)
	}
	odd, tick, loop := o.events[0], o.events[1], o.events[2]
	if odd.SampleRate != 10 || odd.Data["text"] != "a\"b\\c\n\x00\ufffd" || odd.Data["took_ms"] != 1.5 || odd.Data["meta.kind"] != "odd" {
		t.Errorf("the odd event is %v", odd)
	}
	if tick.SampleRate != 0 || tick.Data["events.accepted"] != 7.0 || tick.Data["draining"] != false || tick.Data["meta.kind"] != KindTick {
		t.Errorf("the tick is %v", tick)
	}
	if loop.Data["partition"] != 3.0 || loop.Data["meta.kind"] != KindLoop {
		t.Errorf("the loop is %v", loop)
	}
	for i, e := range o.events {
		if e.Data["seq"] != float64(i+1) || e.Data["node"] != "shepherd1" || e.Data["role"] != "shepherd" || e.Data["zone"] != "a" || e.Data["instance"] != r.instance || e.Time.IsZero() {
			t.Errorf("event %d is %v", i, e)
		}
	}
	if got := r.Totals(); got != (Totals{Sent: 3}) {
		t.Errorf("totals are %+v", got)
	}
	if latest := r.Latest(); len(latest.Tick) < 2 || len(latest.Loops) != 1 {
		t.Errorf("the latest snapshot is %v", latest)
	}
}

// TestAStuckObserverCostsNothing: the role goes on, what finds no room is counted, and memory stays bounded.
func TestAStuckObserverCostsNothing(t *testing.T) {
	t.Parallel()
	w := rt.NewWall(1)
	t.Cleanup(w.Kill)
	o := &observer{t: t, stuck: rt.NewFuture[struct{}](w)}
	r := New(w, o, Config{Enabled: true, Every: time.Hour, ProduceSample: 1, BatchSample: 1, Queue: 100, MaxBytes: 1 << 20, Timeout: time.Hour}, Identity{Node: "n", Role: "shepherd"})
	r.Record("first", 1)
	shipped := rt.NewFuture[struct{}](w)
	w.Go("ship", func(ctx context.Context) {
		r.ship(ctx, time.Hour)
		shipped.Complete(struct{}{}, nil)
	})
	for shipping := false; !shipping; { // until the observer has it
		o.mu.Lock()
		shipping = o.calls == 1
		o.mu.Unlock()
		_ = w.Sleep(t.Context(), time.Millisecond)
	}
	const more = 100_000
	for range more { // none of these waits, or the test would not end
		r.Record("more", 1, Text("text", strings.Repeat("x", 100)))
	}
	for range 40 {
		r.tick() // finds the room that is kept for it, then none
	}
	r.mu.Lock()
	waiting, held := r.count, cap(r.pending)
	r.mu.Unlock()
	if waiting != 100 || held > 1<<20 {
		t.Errorf("%d events wait in %d bytes, expected 100 in at most a MiB", waiting, held)
	}
	if got := r.Totals(); got.Dropped != more-75+15 || got.Sent != 0 {
		t.Errorf("totals are %+v", got)
	}
	o.stuck.Complete(struct{}{}, nil)
	if _, err := shipped.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.ship(t.Context(), time.Hour)
	if got := r.Totals(); got.Sent != 101 {
		t.Errorf("totals are %+v", got)
	}
	kinds := map[any]int{}
	for _, e := range o.events {
		kinds[e.Data["meta.kind"]]++
	}
	if kinds["first"] != 1 || kinds["more"] != 75 || kinds[KindTick] != 25 {
		t.Errorf("what arrived is %v", kinds)
	}
	if last := o.events[len(o.events)-1].Data["seq"].(float64); last != more+1+25 {
		t.Errorf("the last number is %v: numbers of what was dropped must be missing", last)
	}
}

func TestBytesAreBounded(t *testing.T) {
	t.Parallel()
	o := &observer{t: t}
	r := recorder(t, o, func(c *Config) { c.MaxBytes = 1 << 14 })
	for range 100 {
		r.Record("large", 1, Text("text", strings.Repeat("x", 1000)))
	}
	r.Record("huge", 1, Text("text", strings.Repeat("x", 1<<20)))
	if len(r.pending) > 1<<14*3/4 {
		t.Errorf("%d bytes wait", len(r.pending))
	}
	r.tick()
	r.ship(t.Context(), time.Second)
	if got := r.Totals(); got.Sent+got.Dropped != 102 || got.Sent < 10 {
		t.Errorf("totals are %+v", got)
	}
	if kind := o.events[len(o.events)-1].Data["meta.kind"]; kind != KindTick {
		t.Errorf("the last event is a %v, expected the tick", kind)
	}
}

func TestWhatTheObserverDoesNotTakeIsGivenUp(t *testing.T) {
	t.Parallel()
	o := &observer{t: t, err: errors.New("no")}
	r := recorder(t, o, nil)
	r.Record("odd", 1)
	r.ship(t.Context(), time.Second)
	r.ship(t.Context(), time.Second)
	if got := r.Totals(); o.calls != 1 || got != (Totals{Failed: 1}) {
		t.Errorf("%d calls, totals %+v", o.calls, got)
	}
}

func TestWhatTheObserverTakesInPart(t *testing.T) {
	t.Parallel()
	o := &observer{t: t, err: fmt.Errorf("observe: %w", &PartlyTakenError{Taken: 1, Of: 3, Why: "slow down"})}
	r := recorder(t, o, nil)
	for range 3 {
		r.Record("odd", 1)
	}
	r.ship(t.Context(), time.Second)
	if got := r.Totals(); got != (Totals{Sent: 1, Failed: 2}) {
		t.Errorf("totals %+v", got)
	}
}

func TestOffIsNothing(t *testing.T) {
	t.Parallel()
	r := New(rt.NewWall(1), &observer{t: t}, Config{}, Identity{})
	r.OnTick(nil)
	r.OnLoops(nil)
	r.Record("odd", 1)
	r.Start()
	r.End(t.Context())
	if r != nil || r.On() || r.Totals() != (Totals{}) || r.Latest().Tick != nil || r.Identity() != (Identity{}) {
		t.Error("a recorder that is off is something")
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	var c Config
	if err := json.Unmarshal([]byte(`{"every": "2s"}`), &c); err != nil {
		t.Fatal(err)
	}
	want := DefaultConfig()
	want.Every = 2 * time.Second
	if c != want {
		t.Errorf("what is not said is %+v, expected as by default", c)
	}
	if err := errors.Join(c.Check(), Config{}.Check()); err != nil {
		t.Error(err)
	}
	err := Config{Enabled: true}.Check()
	for _, name := range []string{"every", "produce_sample", "batch_sample", "queue", "max_bytes", "timeout"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is 0, and the error is %v", name, err)
		}
	}
}
