package trigger_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/system/definition"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/trigger"
)

// TestWhateverHappens: over random faults each window has exactly one evaluation, with the decision that the data demand
// unless it is stale; the epochs of what is recorded never go down and are of one node each; terms do not overlap; what
// fires is delivered, and nothing else.
func TestWhateverHappens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.IntRange(0, 15), 1, 25).Draw(rt, "steps")
		failed := ""
		inBubble(t, func(_ *testing.T, w *world) { failed = w.play(steps) })
		if failed != "" {
			rt.Fatal(failed)
		}
	})
}

func (w *world) play(steps []int) (failed string) {
	value := func(at time.Time) float64 { return float64((at.Unix() / 60 * 2654435761) >> 7 % 20) }
	w.value = value
	ids := []int64{w.defineTrigger(nil), w.defineTrigger(func(t *definition.Trigger) { t.AlertType = definition.OnTrue })}
	names := []string{"trigger1", "trigger2"}
	nodes := map[string]*node{}
	for _, name := range names {
		nodes[name] = w.start(name)
	}
	cut := map[string]time.Time{}
	now := time.Duration(0)
	pass := func(d time.Duration) {
		now += d
		w.until(now)
	}
	pass(time.Second)
	for i, step := range steps {
		name := names[i%2]
		switch step {
		case 0, 1:
			if cut[name].IsZero() {
				w.Cut(name, true)
				cut[name] = time.Now()
			}
		case 2, 3:
			if at := cut[name]; !at.IsZero() {
				if time.Since(at) >= w.cfg.SessionTimeout {
					w.Expire(name)
				}
				w.Cut(name, false)
				delete(cut, name)
			}
		case 4:
			if at := cut[name]; !at.IsZero() && time.Since(at) >= w.cfg.SessionTimeout {
				w.Expire(name)
			}
		case 5:
			w.set(func() { w.lose += 2 })
		case 6:
			w.set(func() { w.away = !w.away })
		case 7:
			w.set(func() { w.down["http://receiver/a"] = !w.down["http://receiver/a"] })
		case 8:
			w.set(func() { w.partial = !w.partial })
		case 9: // stopped, and started again
			nodes[name].cancel()
			pass(10 * time.Second)
			if !nodes[name].ended.Done() {
				return name + " has not ended"
			}
			nodes[name] = w.start(name)
		case 10:
			w.LoseCreations(1, 0)
		case 11:
			w.set(func() { w.lag = func(time.Time) time.Duration { return time.Duration(i) * time.Second } })
		case 12:
			w.set(func() { w.lag = nil })
		}
		pass(time.Duration(step+3) * 7 * time.Second)
	}
	w.set(func() { w.away, w.partial, w.lag, w.lose = false, false, nil, 0; clear(w.down) })
	for _, name := range names {
		if at := cut[name]; !at.IsZero() {
			pass(w.cfg.SessionTimeout)
			w.Expire(name)
		}
		w.Cut(name, false)
	}
	pass(5 * time.Minute)
	pass((now + time.Minute).Truncate(time.Minute) + 40*time.Second - now)
	return w.judge(ids, int(now/time.Minute), value)
}

func (w *world) judge(ids []int64, minutes int, value func(at time.Time) float64) string {
	fires := map[string]bool{}
	for i, id := range ids {
		before := false
		for _, e := range w.of(id, 1, minutes) {
			holds := value(time.Unix(0, e.Window)) > 10
			if e.Stale {
				holds = before
			}
			wantFires, wantResolves := holds && !before, before && !holds
			if i == 1 {
				wantFires, wantResolves = holds, false
			}
			if e.Stale {
				wantFires, wantResolves = false, false
			}
			if e.Triggered != holds || e.Fires != wantFires || e.Resolves != wantResolves {
				return fmt.Sprintf("holds %v, before %v: %+v", holds, before, e)
			}
			what := "fires"
			if e.Resolves {
				what = "resolves"
			}
			if e.Fires || e.Resolves {
				fires[fmt.Sprintf("%d/%d/%s", id, e.Window, what)] = true
				if e.Delivered.IsZero() {
					return fmt.Sprintf("not delivered: %+v", e)
				}
			}
			before = holds
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	epoch, by := int64(0), map[int64]string{}
	for _, e := range w.evals {
		if e.Epoch < epoch || by[e.Epoch] != "" && by[e.Epoch] != e.By {
			return fmt.Sprintf("after epoch %d, which is %s's: %+v", epoch, by[e.Epoch], e)
		}
		epoch, by[e.Epoch] = e.Epoch, e.By
	}
	for _, d := range w.delivered {
		if !fires[d.key] {
			return fmt.Sprintf("delivered, but did not fire: %v", d)
		}
		var n map[string]any
		if err := json.Unmarshal([]byte(d.body), &n); err != nil || n["key"] != d.key {
			return fmt.Sprintf("%v: %s", err, d.body)
		}
	}
	for key := range fires {
		found := false
		for _, d := range w.delivered {
			found = found || d.key == key
		}
		if !found {
			return "fired, but not received: " + key
		}
	}
	leader := ""
	for _, e := range w.events {
		switch {
		case e.Kind == port.EventLeaderUp && leader != "":
			return fmt.Sprintf("%s leads with %s while %s does", e.Node, e.Detail, leader)
		case e.Kind == port.EventLeaderUp:
			leader = e.Node + " " + e.Detail
		case e.Kind == port.EventLeaderDown && !strings.HasPrefix(e.Node+" "+e.Detail, leader+": "):
			return fmt.Sprintf("%s: %s, but it is %s that leads", e.Node, e.Detail, leader)
		case e.Kind == port.EventLeaderDown:
			leader = ""
		}
	}
	return ""
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		w.defineTrigger(nil)
		a := w.start("trigger1")
		w.until(90 * time.Second)
		h := trigger.Handler(a.Worker)
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", "/status", nil))
		var st trigger.Status
		if err := json.Unmarshal(rec.Body.Bytes(), &st); err != nil || st != a.Status() || !st.Leading || st.Alerts != 1 || st.Node != "trigger1" {
			t.Errorf("%s, expected %+v", rec.Body, a.Status())
		}
		for _, c := range []struct {
			method, path string
			code         int
		}{{"GET", "/healthz", 200}, {"POST", "/status", 405}, {"GET", "/", 404}} {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequest(c.method, c.path, nil))
			if rec.Code != c.code {
				t.Errorf("%s %s: %d", c.method, c.path, rec.Code)
			}
		}
	})
}
