package trigger_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/definition"
	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/query/exec"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/trigger"
)

// high is above the threshold in some minutes.
func (w *world) high(minutes ...int) func(at time.Time) float64 {
	return func(at time.Time) float64 {
		for _, m := range minutes {
			if at.Equal(w.begin.Add(time.Duration(m) * time.Minute)) {
				return 10 + float64(m)
			}
		}
		return 3
	}
}

func TestEachWindowOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		w.value = w.high(3, 4, 8)
		id := w.defineTrigger(nil)
		a, b := w.start("trigger1"), w.start("trigger2")
		w.until(10*time.Minute + 30*time.Second)
		if a.Status().Leading == b.Status().Leading {
			t.Fatalf("leading: %v and %v", a.Status().Leading, b.Status().Leading)
		}
		list := w.of(id, 1, 10)
		for _, e := range list {
			m := int(time.Unix(0, e.Window).Sub(w.begin) / time.Minute)
			if e.Triggered != (m == 3 || m == 4 || m == 8) || e.Fires != (m == 3 || m == 8) || e.Resolves != (m == 5 || m == 9) || e.Stale {
				t.Errorf("minute %d: %+v", m, e)
			}
			if late := e.At.Sub(time.Unix(0, e.Window)); late < w.cfg.Settle || late > w.cfg.Settle+time.Second {
				t.Errorf("minute %d was evaluated %v late", m, late)
			}
			if (e.Fires || e.Resolves) != !e.Delivered.IsZero() {
				t.Errorf("minute %d: delivered %v", m, e.Delivered)
			}
		}
		var keys []string
		for _, d := range w.delivered {
			keys = append(keys, d.key)
		}
		key := func(m int, what string) string {
			return fmt.Sprintf("%d/%d/%s", id, w.begin.Add(time.Duration(m)*time.Minute).UnixNano(), what)
		}
		if want := []string{key(3, "fires"), key(5, "resolves"), key(8, "fires"), key(9, "resolves")}; !reflect.DeepEqual(keys, want) {
			t.Errorf("delivered %v, expected %v", keys, want)
		}
		var n map[string]any
		if err := json.Unmarshal([]byte(w.delivered[0].body), &n); err != nil {
			t.Fatal(err)
		}
		if n["status"] != "TRIGGERED" || n["id"] != fmt.Sprint(id) || n["name"] != "too many" || n["value"] != 13.0 || n["key"] != keys[0] || n["kind"] != "trigger" ||
			n["window"] != w.begin.Add(3*time.Minute).Format(time.RFC3339) || !reflect.DeepEqual(n["threshold"], map[string]any{"op": ">", "value": 10.0}) {
			t.Errorf("%v", n)
		}
		if req := w.requests[0]; req.TeamID != 7 || req.DatasetID != 3 || !req.DisableSeries || !strings.Contains(string(req.Spec), `"time_range":60`) {
			t.Errorf("%+v %s", req, req.Spec)
		}
		st := a.Status()
		if b.Status().Leading {
			st = b.Status()
		}
		if st.Alerts != 1 || st.Behind != 0 || st.Totals.Evaluated != 10 || st.Totals.Fired != 2 || st.Totals.Resolved != 2 || st.Totals.Delivered != 4 || st.Epoch == 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestOnTrueInARow(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		w.value = w.high(2, 4, 5, 6, 7)
		id := w.defineTrigger(func(t *definition.Trigger) {
			t.AlertType, t.Threshold.ExceededLimit = definition.OnTrue, 3
		})
		a := w.start("trigger1")
		w.until(5*time.Minute + 30*time.Second)
		w.set(func() { w.partial = true }) // minute 6 is stale
		w.until(6*time.Minute + 40*time.Second)
		w.set(func() { w.partial = false })
		a.cancel() // the next leader must know of the row
		w.until(6*time.Minute + 50*time.Second)
		if !a.ended.Done() || a.Status().Leading {
			t.Fatal("it goes on")
		}
		w.start("trigger2")
		w.until(8*time.Minute + 30*time.Second)
		for i, e := range w.of(id, 1, 8) {
			if want := i+1 == 7; e.Triggered != want || e.Fires != want || e.Resolves || e.Stale != (i+1 == 6) {
				t.Errorf("minute %d: %+v", i+1, e)
			}
		}
		if got := w.announced(port.EventAlertStale); len(got) != 1 || !strings.Contains(got[0], "not complete") {
			t.Errorf("%v", got)
		}
	})
}

func TestWaitsForFreshData(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		w.value = w.high(1, 2, 3, 4, 5)
		w.lag = func(at time.Time) time.Duration {
			switch at.Sub(w.begin).Truncate(time.Minute) {
			case 2 * time.Minute:
				return 12 * time.Second
			case 3 * time.Minute:
				return time.Hour
			}
			return 0
		}
		id := w.defineTrigger(nil)
		w.start("trigger1")
		w.until(4*time.Minute + 30*time.Second)
		list := w.of(id, 1, 4)
		late := func(i int) time.Duration { return list[i].At.Sub(time.Unix(0, list[i].Window)) }
		if list[1].Stale || late(1) < 12*time.Second || late(1) > 15*time.Second {
			t.Errorf("the late one: %v, %+v", late(1), list[1])
		}
		if e := list[2]; !e.Stale || !e.Triggered || e.Fires || e.Resolves || late(2) < w.cfg.Settle+w.cfg.Patience || late(2) > w.cfg.Settle+w.cfg.Patience+time.Second {
			t.Errorf("the stale one: %v, %+v", late(2), e)
		}
		if e := list[3]; e.Stale || !e.Triggered || e.Fires {
			t.Errorf("after it: %+v", e)
		}
	})
}

// TestHopeless: what the query node refuses is not asked again and again.
func TestHopeless(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		id := w.defineTrigger(nil)
		w.code = 422 // such as one that needs too much memory
		w.start("trigger1")
		w.until(2*time.Minute + 30*time.Second)
		for _, e := range w.of(id, 1, 2) {
			if !e.Stale {
				t.Errorf("%+v", e)
			}
		}
		if len(w.asked) != 2 {
			t.Errorf("it was asked %d times", len(w.asked))
		}
		if said := w.announced(port.EventAlertStale); len(said) != 2 || !strings.Contains(said[0], "the query node answers 422: refused") {
			t.Errorf("%q", said)
		}
	})
}

// TestOtherQueryNode: one that fails does not make windows stale.
func TestOtherQueryNode(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		id := w.defineTrigger(nil)
		w.queryErr["query1"] = errors.New("connection refused")
		w.start("trigger1")
		w.until(5*time.Minute + 30*time.Second)
		for _, e := range w.of(id, 1, 5) {
			if e.Stale {
				t.Errorf("%+v", e)
			}
		}
		if len(w.asked) != 6 {
			t.Errorf("%v", w.asked)
		}
	})
}

func TestGroups(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		w.groups = func(time.Time) []exec.Row {
			row := func(name string, v event.Value) exec.Row {
				return exec.Row{Group: []event.Value{event.StringValue(name)}, Values: []exec.Cell{{Value: v}}}
			}
			return []exec.Row{row("a", event.IntValue(4)), row("b", event.Value{}), row("c", event.IntValue(2)), row("d", event.IntValue(7))}
		}
		id := w.defineTrigger(func(t *definition.Trigger) {
			t.Query = json.RawMessage(`{"calculations":[{"op":"COUNT"}],"breakdowns":["service"],"time_range":60}`)
			t.Threshold = definition.Threshold{Op: "<", Value: 5}
		})
		w.start("trigger1")
		w.until(90 * time.Second)
		if e := w.of(id, 1, 1)[0]; e.Value != 2 || !e.Fires {
			t.Errorf("%+v", e)
		}
		if !strings.Contains(w.delivered[0].body, `"groups":[{"group":{"service":"c"},"value":2},{"group":{"service":"a"},"value":4}]`) {
			t.Errorf("%s", w.delivered[0].body)
		}
		if !strings.Contains(string(w.requests[0].Spec), `"orders":[{"op":"COUNT","order":"ascending"}]`) {
			t.Errorf("%s", w.requests[0].Spec)
		}
	})
}

// TestNothingEndsALeader: a threshold that every number exceeds has a quiet value, and a notice that would be too large names
// fewer groups.
func TestNothingEndsALeader(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		long := event.StringValue(strings.Repeat("<", 200))
		w.groups = func(at time.Time) []exec.Row {
			if at.Sub(w.begin) > 90*time.Second {
				return []exec.Row{{Group: make([]event.Value, 60), Values: []exec.Cell{{}}}}
			}
			var rows []exec.Row
			for i := range 20 {
				rows = append(rows, exec.Row{Group: slices.Repeat([]event.Value{long}, 60), Values: []exec.Cell{{Value: event.IntValue(int64(20 - i))}}})
			}
			return rows
		}
		w.columns = 60
		id := w.defineTrigger(func(t *definition.Trigger) { t.Threshold = definition.Threshold{Op: "<=", Value: math.MaxFloat64} })
		k := w.start("trigger1")
		w.until(3*time.Minute + 30*time.Second)
		list := w.of(id, 1, 3)
		if !list[0].Fires || !list[1].Resolves || list[1].Value != math.MaxFloat64 || !k.Status().Leading || len(w.delivered) != 2 {
			t.Errorf("%s\n%+v", w.say(list), k.Status())
		}
		if n := strings.Count(w.delivered[0].body, `"value":`); len(w.delivered[0].body) > port.MaxBodyBytes || n < 5 {
			t.Errorf("%d bytes, %d values", len(w.delivered[0].body), n)
		}
	})
}

// TestTakeOver: the other goes on where a leader stopped that is cut off, also with what it could not deliver.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		w.value = w.high(2, 3, 4, 5, 6, 7, 8, 9)
		id := w.defineTrigger(nil)
		w.start("trigger1")
		w.until(time.Second)
		b := w.start("trigger2")
		w.until(time.Minute)
		w.set(func() { w.down["http://receiver/a"] = true })
		w.until(2*time.Minute + 10*time.Second)
		w.Cut("trigger1", true)
		w.until(2*time.Minute + 17*time.Second)
		w.Expire("trigger1")
		w.until(3 * time.Minute)
		if !b.Status().Leading || b.Status().Undelivered != 1 {
			t.Fatalf("%+v", b.Status())
		}
		w.set(func() { w.down["http://receiver/a"] = false })
		w.until(9*time.Minute + 30*time.Second)
		list := w.of(id, 1, 9)
		if list[1].By != "trigger1" || list[2].By != "trigger2" || list[2].Epoch <= list[1].Epoch || list[2].Fires || list[1].Delivered.IsZero() {
			t.Errorf("%s", w.say(list))
		}
		if len(w.delivered) != 1 {
			t.Errorf("%v", w.delivered)
		}
		up, down := w.announced(port.EventLeaderUp), w.announced(port.EventLeaderDown)
		if len(up) != 2 || len(down) != 1 || !strings.HasPrefix(down[0], fmt.Sprintf("trigger1 epoch %d: ", list[1].Epoch)) || up[1] != fmt.Sprintf("trigger2 epoch %d", list[2].Epoch) {
			t.Errorf("%v %v", up, down)
		}
	})
}

// TestFenced: a leader that is told that it is none stops at once.
func TestFenced(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		w.value = w.high(2)
		id := w.defineTrigger(nil)
		w.start("trigger1")
		w.until(90 * time.Second)
		w.set(func() { w.epoch = 1000 })
		w.until(3 * time.Minute)
		w.of(id, 1, 1)
		if down := w.announced(port.EventLeaderDown); len(down) == 0 || !strings.Contains(down[0], "fenced") || len(w.delivered) != 0 {
			t.Errorf("%v", down)
		}
	})
}

// TestCatchUp: windows that nobody was there for are evaluated late, all of the last day, oldest first.
func TestCatchUp(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		id := w.defineTrigger(func(t *definition.Trigger) { t.Frequency = 300 })
		a := w.start("trigger1")
		w.until(11 * time.Minute)
		a.cancel()
		w.until(25*time.Hour + time.Minute)
		w.start("trigger1")
		w.until(25*time.Hour + 4*time.Minute)
		n, last := 0, int64(0)
		for _, e := range w.evals {
			if e.Stale || e.Alert != id || e.Window <= last {
				t.Errorf("%+v after window %d", e, last)
			}
			n, last = n+1, e.Window
		}
		if n != 2+24*12 { // two before, and those of a day
			t.Errorf("%d evaluations", n)
		}
	})
}

// TestLostAnswer: what was recorded without an answer is not recorded again, and delivered.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		w.value = w.high(1, 2)
		w.lose = 2
		id := w.defineTrigger(nil)
		w.start("trigger1")
		w.until(4*time.Minute + 30*time.Second)
		list := w.of(id, 1, 4)
		if !list[0].Fires || list[1].Fires || len(w.delivered) != 2 {
			t.Errorf("%s\n%v", w.say(list), w.delivered)
		}
	})
}

// TestStoreAway: while the metadata store is away nothing is lost.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		w.value = w.high(3)
		id := w.defineTrigger(nil)
		a := w.start("trigger1")
		w.until(2 * time.Minute)
		w.set(func() { w.away = true })
		w.until(6 * time.Minute)
		if st := a.Status(); st.Behind < 3 || st.Totals.Troubles == 0 {
			t.Errorf("%+v", st)
		}
		w.set(func() { w.away = false })
		w.until(7*time.Minute + 30*time.Second)
		if list := w.of(id, 1, 7); !list[2].Fires || len(w.delivered) != 2 {
			t.Errorf("%s", w.say(list))
		}
	})
}

func TestWrongSetups(t *testing.T) {
	t.Parallel()
	r := rt.NewWall(1)
	w := &world{}
	s := store{world: w}
	good := port.Ports{Coordination: w.Client(r, "a"), Definitions: s, Evaluations: s, Peers: peers{w, ""}, Webhooks: webhooks{w}}
	for name, change := range map[string]func(p *port.Ports, c *trigger.Config, queries *[]string){
		"no query nodes":  func(_ *port.Ports, _ *trigger.Config, q *[]string) { *q = nil },
		"no parallel":     func(_ *port.Ports, c *trigger.Config, _ *[]string) { c.Parallel = 0 },
		"no session":      func(_ *port.Ports, c *trigger.Config, _ *[]string) { c.SessionTimeout = 0 },
		"no refresh":      func(_ *port.Ports, c *trigger.Config, _ *[]string) { c.RefreshEvery = 0 },
		"no store":        func(p *port.Ports, _ *trigger.Config, _ *[]string) { p.Evaluations = nil },
		"negative settle": func(_ *port.Ports, c *trigger.Config, _ *[]string) { c.Settle = -1 },
	} {
		p, c, q := good, trigger.DefaultConfig(), []string{"query1"}
		change(&p, &c, &q)
		if _, err := trigger.New(r, p, c, q, "a", planted.Set{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := trigger.New(r, good, trigger.DefaultConfig(), []string{"q"}, "a", planted.Set{}); err != nil {
		t.Error(err)
	}
}
