package trigger

import (
	"time"

	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/telemetry"
)

// tick says how the worker is. See docs/telemetry.md for what its fields mean.
func (w *Worker) tick(f []telemetry.Field) []telemetry.Field {
	st := w.Status()
	t := &st.Totals
	return append(f,
		telemetry.Bool("leading", st.Leading), telemetry.Int("epoch", st.Epoch), telemetry.Int("terms", t.Terms),
		telemetry.Int("alerts", int64(st.Alerts)), telemetry.Int("alerts.invalid", int64(st.Invalid)), telemetry.Int("windows.behind", st.Behind),
		telemetry.Int("evaluations", t.Evaluated), telemetry.Int("evaluations.stale", t.Stale), telemetry.Int("evaluations.overtaken", t.Overtaken),
		telemetry.Int("alerts.fired", t.Fired), telemetry.Int("alerts.resolved", t.Resolved),
		telemetry.Int("deliveries", t.Delivered), telemetry.Int("deliveries.open", int64(st.Undelivered)), telemetry.Int("troubles", t.Troubles),
	)
}

// tellEvaluation tells of an evaluation that was recorded.
func (w *Worker) tellEvaluation(r *rule, e *port.Evaluation, stale error) {
	if !w.ports.Telemetry.On() {
		return
	}
	fields := [...]telemetry.Field{
		telemetry.Int("alert", e.Alert), telemetry.Text("alert.name", r.def.Name), telemetry.Text("window", time.Unix(0, e.Window).UTC().Format(time.RFC3339Nano)), telemetry.Int("epoch", e.Epoch),
		telemetry.Bool("stale", e.Stale), telemetry.Bool("triggered", e.Triggered), telemetry.Bool("fires", e.Fires), telemetry.Bool("resolves", e.Resolves),
		telemetry.Float("value", e.Value), telemetry.Float("threshold", r.threshold.Value),
		telemetry.Millis("delay_ms", w.r.Now().Sub(time.Unix(0, e.Window))), telemetry.Text("error", ""),
	}
	told := fields[:]
	if stale == nil {
		told = told[:len(told)-1]
	} else {
		told[len(told)-1] = telemetry.Text("error", brief(stale.Error()))
	}
	w.ports.Telemetry.Record(telemetry.KindEvaluation, 1, told...)
}

// tellDelivery tells of an attempt to deliver an alert.
func (w *Worker) tellDelivery(d *delivery, began time.Time, err error) {
	if !w.ports.Telemetry.On() {
		return
	}
	fields := [...]telemetry.Field{
		telemetry.Int("alert", d.Alert), telemetry.Text("window", time.Unix(0, d.Window).UTC().Format(time.RFC3339Nano)), telemetry.Text("key", d.key),
		telemetry.Bool("delivered", err == nil), telemetry.Millis("duration_ms", w.r.Now().Sub(began)), telemetry.Text("error", ""),
	}
	told := fields[:]
	if err == nil {
		told = told[:len(told)-1]
	} else {
		told[len(told)-1] = telemetry.Text("error", brief(err.Error()))
	}
	w.ports.Telemetry.Record(telemetry.KindDelivery, 1, told...)
}
