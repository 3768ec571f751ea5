package engine

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/system/observer"
	"github.com/ratel-sim/ratel/system/rt"
)

// telemetry records what the observer takes. It implements observer.Sink.
type telemetry struct {
	rtm rt.Runtime

	mu      sync.Mutex
	events  []taken
	size    int64
	taken   int64
	refused int64
	beyond  int64 // events that were not kept
}

type taken struct {
	at      time.Time
	dataset string
	event   observer.Event
}

// Observed implements observer.Sink.
func (t *telemetry) Observed(dataset string, events []observer.Event) {
	at := t.rtm.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken += int64(len(events))
	for _, e := range events {
		if t.size += int64(len(e.Data) + len(dataset)); t.size > evidence.MaxTelemetry {
			t.beyond++
			continue
		}
		t.events = append(t.events, taken{at, dataset, e})
	}
}

// Refused implements observer.Sink.
func (t *telemetry) Refused(events int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refused += int64(events)
}

// counts are how many events were taken and refused so far.
func (t *telemetry) counts() (taken, refused int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.taken, t.refused
}

// seal hands over what was taken, in the order in which it was.
func (t *telemetry) seal(r *run) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.events {
		e := &t.events[i]
		data := e.event.Data
		var compact bytes.Buffer
		if json.Compact(&compact, data) == nil { // as it reads after it was saved
			data = compact.Bytes()
		}
		r.ev.Telemetry = append(r.ev.Telemetry, evidence.Telemetry{
			At: e.at.Sub(r.rec.start), Time: e.event.Time.Sub(r.rec.start), Dataset: e.dataset, SampleRate: e.event.SampleRate, Data: data,
		})
	}
	slices.SortStableFunc(r.ev.Telemetry, func(a, b evidence.Telemetry) int { return cmp.Compare(a.At, b.At) })
	if t.beyond > 0 {
		r.gap("telemetry", fmt.Sprintf("%d events came after %d bytes had been kept", t.beyond, int64(evidence.MaxTelemetry)))
	}
}

// lastTicks is how many more ticks every role gets to say how it ended, and the observer to take them.
const lastTicks = 4

// settle waits until every role had time to tell how it ended.
func (t *telemetry) settle(ctx context.Context, r *run) {
	if r.p.System.Observed() {
		_ = r.w.Runtime().Sleep(ctx, lastTicks*r.p.System.Telemetry.Every)
	}
}
