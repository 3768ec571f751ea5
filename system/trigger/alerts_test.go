package trigger_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/definition"
	"github.com/ratel-sim/ratel/system/port"
)

// TestDefinitionsChange: a definition that changes, is disabled, cannot be read or is deleted.
func TestDefinitionsChange(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		w.value = func(time.Time) float64 { return 12 }
		changed, disabled, deleted := w.defineTrigger(nil), w.defineTrigger(nil), w.defineTrigger(nil)
		bad := w.define(port.KindTrigger, "bad", json.RawMessage(`{"recipients":[]}`))
		a := w.start("trigger1")
		w.until(2*time.Minute + 30*time.Second)
		w.redefine(changed, body(func(t *definition.Trigger) { t.Threshold.Value, t.Frequency = 20, 30 }))
		w.redefine(disabled, body(func(t *definition.Trigger) { t.Disabled = true }))
		w.set(func() { w.defs[deleted-1] = port.Definition{} })
		if st := a.Status(); st.Alerts != 3 || st.Invalid != 1 {
			t.Errorf("%+v", st)
		}
		w.until(4*time.Minute + 40*time.Second)
		w.redefine(disabled, body(nil))
		w.until(6*time.Minute + 20*time.Second)
		w.of(deleted, 1, 2)
		w.of(bad, 1, 0)
		n := 0
		for _, e := range w.evals {
			m := time.Unix(0, e.Window).Sub(w.begin)
			if e.Alert == disabled && m > 2*time.Minute && m < 5*time.Minute {
				t.Errorf("evaluated while it was disabled: %v", m)
			}
			if e.Alert == changed && m > 2*time.Minute {
				n++
				if e.Triggered || e.Resolves != (m == 150*time.Second) {
					t.Errorf("%v: %+v", m, e)
				}
			}
		}
		if n != 8 { // from 2m30s to 6m
			t.Errorf("%d evaluations of the one that was changed", n)
		}
	})
}

// TestReceivers: one that fails gets it later, and does not hold up the others.
func TestReceivers(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		w.value = w.high(1)
		w.down["http://dead"] = true
		w.define(port.KindRecipient, "r", json.RawMessage(`{"type":"webhook","target":"http://receiver/b"}`))
		for range 20 {
			w.defineTrigger(func(t *definition.Trigger) {
				t.Recipients = []definition.Recipient{{Type: "webhook", Target: "http://dead"}, {ID: "1"}, {Type: "webhook", Target: "http://receiver/a"}}
			})
		}
		w.start("trigger1")
		w.until(67 * time.Second)
		if len(w.delivered) != 40 {
			t.Errorf("%d delivered within two seconds, expected 40", len(w.delivered))
		}
		w.until(110 * time.Second)
		w.set(func() { w.down["http://dead"] = false })
		w.until(200 * time.Second)
		got := map[string]int{}
		for _, d := range w.delivered {
			got[d.url+" "+d.key]++
		}
		if len(got) != 120 || len(w.delivered) != 120 { // 20 that fire and 20 that resolve, to three each
			t.Errorf("%d different ones, %d in all", len(got), len(w.delivered))
		}
		if open := w.announced(port.EventAlertDelivered); len(open) != 40 {
			t.Errorf("%d alerts are delivered", len(open))
		}
	})
}

// TestANewLeaderKnowsWhomToTell: one that has not read the definitions yet reads the receiver that an alert names by its ID.
func TestANewLeaderKnowsWhomToTell(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		w.value = w.high(1)
		w.down["http://receiver/b"] = true
		w.define(port.KindRecipient, "r", json.RawMessage(`{"type":"webhook","target":"http://receiver/b"}`))
		w.defineTrigger(func(t *definition.Trigger) { t.Recipients = []definition.Recipient{{ID: "1"}, {ID: "99"}} })
		a := w.start("trigger1")
		w.until(70 * time.Second)
		w.set(func() { w.listless = true })
		a.cancel()
		w.start("trigger2")
		w.until(90 * time.Second)
		if n := len(w.announced(port.EventAlertDelivered)); n != 0 {
			t.Errorf("%d alerts are said to be delivered to a receiver that is down", n)
		}
		w.set(func() { w.down["http://receiver/b"] = false })
		w.until(115 * time.Second)
		if n := len(w.announced(port.EventAlertDelivered)); n != 1 || len(w.delivered) != 1 {
			t.Errorf("%d alerts are said to be delivered; %v", n, w.delivered)
		}
	})
}

// TestWhoIsGoneForGood: however much waits for one that nobody answers at, others get what is theirs.
func TestWhoIsGoneForGood(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		w.down["http://dead"] = true
		dead := w.defineTrigger(func(t *definition.Trigger) {
			t.Disabled, t.Recipients = true, []definition.Recipient{{Type: "webhook", Target: "http://dead"}}
		})
		well := w.defineTrigger(func(t *definition.Trigger) { t.Disabled = true })
		wait := func(alert int64, at time.Time) {
			w.evals = append(w.evals, port.Evaluation{Alert: alert, Window: at.UnixNano(), At: at, Fires: true, Triggered: true, Notice: json.RawMessage(`{}`)})
		}
		for i := range 2500 { // more than are listed at once, and older than the other's
			wait(dead, w.begin.Add(time.Duration(i-3000)*time.Minute))
		}
		wait(well, w.begin)
		k := w.start("trigger1")
		w.until(30 * time.Second)
		if len(w.delivered) != 1 || w.delivered[0].url != "http://receiver/a" {
			t.Errorf("%v", w.delivered)
		}
		if n := k.Status().Undelivered; n < 1 || n > 100 {
			t.Errorf("%d are on their way to one that is gone", n)
		}
		w.set(func() { w.down["http://dead"] = false })
		w.until(10 * time.Minute)
		if len(w.delivered) != 2501 || k.Status().Undelivered != 0 {
			t.Errorf("%d delivered", len(w.delivered))
		}
	})
}

// TestBurnAlerts: they are judged by the counts, once everything is counted that the log had.
func TestBurnAlerts(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		w.ends, w.progress = []int64{100, 0}, map[int32]int64{0: 100}
		slo := w.define(port.KindSLO, "s", definition.Encode(definition.SLO{Name: "s", SLI: definition.SLI{Alias: "ok"}, TimePeriodDays: 30, TargetPerMillion: 990_000}))
		zero := 0
		to := []definition.Recipient{{Type: "webhook", Target: "http://receiver/a"}}
		ref := definition.SLORef{ID: fmt.Sprint(slo)}
		gone := w.define(port.KindBurnAlert, "exhausted", definition.Encode(definition.BurnAlert{AlertType: definition.ExhaustionTime, SLO: ref, ExhaustionMinutes: &zero, Recipients: to}))
		rate := w.define(port.KindBurnAlert, "burning", definition.Encode(definition.BurnAlert{
			AlertType: definition.BudgetRate, SLO: ref, BudgetRateWindowMinutes: 60, BudgetRateDecreaseThresholdPerMillion: 500_000, Recipients: to}))
		for m := range 6 * 60 {
			w.counts = append(w.counts, port.SLOCount{SLO: slo, Minute: w.begin.Add(time.Duration(m-360) * time.Minute).Unix(), Good: 1000, Total: 1000})
		}
		w.start("trigger1")
		w.until(time.Minute + 30*time.Second)
		w.set(func() { // of 361,000 events 3,610 may be bad
			w.counts = append(w.counts, port.SLOCount{SLO: slo, Minute: w.begin.Add(time.Minute).Unix(), Good: 0, Total: 2000})
		})
		w.until(2*time.Minute + 30*time.Second)
		w.set(func() {
			w.counts = append(w.counts, port.SLOCount{SLO: slo, Minute: w.begin.Add(2 * time.Minute).Unix(), Good: 0, Total: 2000})
		})
		w.until(3*time.Minute + 30*time.Second)
		w.set(func() { w.ends[0] = 200 }) // nobody counts any more
		w.until(4*time.Minute + 40*time.Second)
		for i, e := range w.of(rate, 1, 4) {
			if e.Stale != (i == 3) || e.Triggered != (i > 0) || e.Fires != (i == 1) {
				t.Errorf("%+v", e)
			}
		}
		for i, e := range w.of(gone, 1, 4) {
			if e.Stale != (i == 3) || e.Triggered != (i > 1) || e.Fires != (i == 2) {
				t.Errorf("%+v", e)
			}
		}
		if len(w.delivered) != 2 || !strings.Contains(w.delivered[0].body, `"kind":"burn_alert"`) || !strings.Contains(w.delivered[0].body, fmt.Sprintf(`"slo":"%d"`, slo)) {
			t.Errorf("%v", w.delivered)
		}
	})
}
