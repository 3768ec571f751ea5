package telemetry

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/rt"
)

// Observer takes batches of what a role says. It is [port.Observer], said here because that package knows this one.
type Observer interface {
	Observe(ctx context.Context, dataset string, batch []byte) error
}

// Identity is who speaks: it is in every event.
type Identity struct{ Node, Role, Zone string }

// Recorder is where a role says what it does. The nil Recorder is off: everything may be called, and nothing happens. It is
// safe for concurrent use. Nothing of it blocks but the tasks that it starts itself, and what waits for the observer is
// bounded: what finds no room is dropped and counted.
type Recorder struct {
	r   rt.Runtime
	to  Observer // nil: nobody listens; ticks are made all the same, for [Recorder.Latest]
	cfg Config
	id  Identity

	instance string
	constant []byte // the fields that are in every event, as JSON
	sources  []func([]Field) []Field
	loops    []func(tell func(...Field))

	bugs planted.Set

	mu      sync.Mutex // never held across a blocking call
	pending []byte     // a JSON array without its end
	count   int        // of the events in pending
	size    int        // of the last batch, to make room for the next at once
	seq     int64
	ticked  time.Time
	totals  Totals
	latest  Snapshot
}

// Totals count what became of events since the start.
type Totals struct {
	Sent    int64 // the observer has taken them
	Dropped int64 // there was no room for them
	Failed  int64 // they were sent, and the observer did not say that it has taken them
}

// Snapshot is what was said last: a tick, and each consumer loop's.
type Snapshot struct {
	Tick  []Field
	Loops [][]Field
}

// New makes a recorder; nil if cfg is not enabled. Nothing is said before Start but what is recorded.
func New(r rt.Runtime, to Observer, cfg Config, id Identity) *Recorder {
	if !cfg.Enabled {
		return nil
	}
	t := &Recorder{r: r, to: to, cfg: cfg, id: id}
	// The clock alone might have been set back between two incarnations.
	t.instance = fmt.Sprintf("%x-%08x", r.Now().UnixNano(), r.Rand().Uint32())
	for _, f := range []Field{Text("node", id.Node), Text("role", id.Role), Text("zone", id.Zone), Text("instance", t.instance)} {
		t.constant = appendField(t.constant, &f)
	}
	return t
}

// Plant plants bugs. It is called before anything else, and only by what starts roles.
func (t *Recorder) Plant(bugs planted.Set) {
	if t != nil {
		t.bugs = bugs
	}
}

// Planted says whether a bug is planted in what a role says about itself.
func (t *Recorder) Planted(bug string) bool { return t != nil && t.bugs.Has(bug) }

// On says whether anything that is recorded is listened to. Ask before something is computed only to be recorded.
func (t *Recorder) On() bool { return t != nil && t.to != nil }

// Identity is who speaks; the zero Identity if the recorder is off.
func (t *Recorder) Identity() Identity {
	if t == nil {
		return Identity{}
	}
	return t.id
}

// OnTick adds a source of the tick's fields: it appends to what it is given. It must be safe for concurrent use and must
// not block. Sources are added before Start.
func (t *Recorder) OnTick(source func([]Field) []Field) {
	if t != nil {
		t.sources = append(t.sources, source)
	}
}

// OnLoops adds a source of events of the kind loop, one for each consumer loop, made with each tick.
func (t *Recorder) OnLoops(source func(tell func(...Field))) {
	if t != nil {
		t.loops = append(t.loops, source)
	}
}

// Record says something that has happened. rate is the n of "one in n"; 1 if all of its kind are told.
func (t *Recorder) Record(kind string, rate int, fields ...Field) {
	if !t.On() {
		return
	}
	rt.Check(t.r)
	now := t.r.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	// A quarter of the room is the ticks': they are few, and say how much of the rest is missing.
	most, bytes := t.cfg.Queue-t.cfg.Queue/4, t.cfg.MaxBytes-t.cfg.MaxBytes/4
	if kind == KindTick || kind == KindLoop {
		most, bytes = t.cfg.Queue, t.cfg.MaxBytes
	}
	if t.bugs.Has(planted.TelemetryKept) {
		most, bytes = math.MaxInt, math.MaxInt
	}
	t.seq++
	before := len(t.pending)
	if t.count < most && before < bytes {
		t.append(kind, rate, now, fields)
	}
	if len(t.pending) == before || len(t.pending) > bytes {
		t.pending = t.pending[:before]
		t.totals.Dropped++
		return
	}
	t.count++
}

// append puts an event behind what is pending.
func (t *Recorder) append(kind string, rate int, now time.Time, fields []Field) {
	b := t.pending
	if b == nil {
		b = make([]byte, 0, t.size+t.size/8+512)
	}
	b = append(b, ",{\"time\":\""...)
	if len(b) == len(",{\"time\":\"") {
		b[0] = '['
	}
	b = now.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	if rate > 1 {
		b = append(b, `,"samplerate":`...)
		b = strconv.AppendInt(b, int64(rate), 10)
	}
	b = append(b, `,"data":{"meta.kind":`...)
	b = event.AppendJSONString(b, kind)
	b = append(b, `,"seq":`...)
	b = strconv.AppendInt(b, t.seq, 10)
	b = append(b, t.constant...)
	for i := range fields {
		b = appendField(b, &fields[i])
	}
	t.pending = append(b, "}}"...)
}

func appendField(b []byte, f *Field) []byte {
	b = append(b, ',')
	b = event.AppendJSONString(b, f.Name)
	b = append(b, ':')
	return f.Value.AppendJSON(b)
}

// Totals counts what became of what was said.
func (t *Recorder) Totals() Totals {
	if t == nil {
		return Totals{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.totals
}

// Latest is the last tick, for whoever asks for metrics. Nothing of it changes any more.
func (t *Recorder) Latest() Snapshot {
	if t == nil {
		return Snapshot{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.latest
}
