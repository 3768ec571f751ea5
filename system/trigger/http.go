package trigger

import (
	"net/http"
	"time"

	"github.com/ratel-sim/ratel/system/status"
)

// Status is what a worker says about itself.
type Status struct {
	Node    string
	Leading bool
	Epoch   int64 // while it leads
	// Alerts are evaluated, Invalid ones cannot be, because their definitions cannot be read.
	Alerts, Invalid int
	// Behind is how many windows are due and not recorded; Undelivered how many alerts are on their way.
	Behind      int64
	Undelivered int
	Totals      Totals
}

// Totals count since the worker's start.
type Totals struct {
	Terms     int64 // times that it has led
	Evaluated int64 // windows recorded, of which Stale ones without a decision
	Stale     int64
	Fired     int64
	Resolved  int64
	Delivered int64
	Overtaken int64 // windows that turned out to be recorded by somebody else
	Troubles  int64 // operations that failed and were tried again
	Trouble   string
}

// Status describes the worker at this moment.
func (w *Worker) Status() Status {
	w.mu.Lock()
	st, t := Status{Node: w.name, Totals: w.totals}, w.term
	w.mu.Unlock()
	if t == nil {
		return st
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return st
	}
	st.Leading, st.Epoch, st.Invalid, st.Undelivered = true, t.held.Epoch, t.invalid, len(t.deliveries)
	due := w.r.Now().Add(-w.cfg.Settle)
	for _, a := range t.alerts { // order: they are only added up
		if a.disabled {
			continue
		}
		st.Alerts++
		if late := due.Sub(time.Unix(0, a.next)); a.next > 0 && late >= 0 {
			st.Behind += 1 + int64(late/a.frequency)
		}
	}
	return st
}

// Handler serves GET /status (JSON, [Status]) and GET /healthz (200: whoever does not lead is as well as the one that does).
func Handler(w *Worker) http.Handler {
	return status.Handler(func() (any, bool, string) { return w.Status(), true, "" })
}
