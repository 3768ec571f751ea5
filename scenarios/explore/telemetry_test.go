package explore_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/explore"
	"github.com/ratel-sim/ratel/scenarios/lang"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system/telemetry"
)

// talkative is a small pipeline with every role, of which a server fails for a while.
const talkative = `
def scenario(s, observed = True, away = False, loss = True):
    set = dict(kafka = kafka(partitions = 3), retriever = retriever(seal_every = "3s", snapshot_every = "3s", keep_local = "10s"), beagles = 1, triggers = 1,
        trigger = trigger(settle = "1s", patience = "5s", refresh_every = "5s", deliver_every = "1s"))
    if observed:
        set["telemetry"] = telemetry(produce_sample = 1, batch_sample = 1)
        set["observer"] = observer(events_per_second = 2000, queue = 4000)
    s.system(**set)
    s.traffic("steady", events_per_second = 50)
    s.readers("dashboards")
    s.objective("fast", "LT($duration_ms, 500)", target = "90%")
    s.alert("flowing", query = '{"calculations": [{"op": "COUNT"}], "time_range": 8}', value = 1, every = "8s", type = "on_true")
    s.phase("baseline", "10s", stage = "before")
    faults = [kill(leader_of("events", 0), for_ = "3s")] if loss else []
    if away:
        faults = [kill(node("observer"))]
    s.phase("middle", "15s", faults = faults)
    s.phase("after", "15s", stage = "after")
    s.check(durability())
`

func talk(t *testing.T, seed uint64, set map[string]string) *evidence.Evidence {
	t.Helper()
	s, err := lang.Load("talkative.star", []byte(talkative), nil)
	if err != nil {
		t.Fatal(err)
	}
	e, err := explore.Evidence(context.Background(), explore.Options{Plan: func(seed uint64) (*plan.Plan, error) { return s.Plan(set, seed) }}, seed)
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Gaps) > 0 || e.Run.Ended != "" {
		t.Fatalf("the run is not whole: %v %q", e.Gaps, e.Run.Ended)
	}
	return e
}

// lines is what is kept of something, as it would be saved.
func lines[T any](t *testing.T, list []T) []byte {
	t.Helper()
	var b bytes.Buffer
	for i := range list {
		line, err := json.Marshal(&list[i])
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	return b.Bytes()
}

// TestTelemetryIsAFunctionOfTheSeed runs a seed twice: what roles say about themselves, what is measured and what happens are the same bytes. Another seed's are not.
func TestTelemetryIsAFunctionOfTheSeed(t *testing.T) {
	t.Parallel()
	same := func(what string, a, b []byte) {
		t.Helper()
		if bytes.Equal(a, b) {
			return
		}
		p, q := bytes.SplitAfter(a, []byte("\n")), bytes.SplitAfter(b, []byte("\n"))
		for i := range min(len(p), len(q)) {
			if !bytes.Equal(p[i], q[i]) {
				t.Fatalf("%s, line %d:\n%s%s", what, i+1, p[i], q[i])
			}
		}
		t.Fatalf("%s: %d lines, then %d", what, len(p), len(q))
	}
	a, b, other := talk(t, 7, nil), talk(t, 7, nil), talk(t, 8, nil)
	same("telemetry", lines(t, a.Telemetry), lines(t, b.Telemetry))
	same("samples", lines(t, a.Samples), lines(t, b.Samples))
	same("timeline", lines(t, a.Timeline), lines(t, b.Timeline))
	if a.Run.TraceHash != b.Run.TraceHash {
		t.Errorf("trace %s, then %s", a.Run.TraceHash, b.Run.TraceHash)
	}
	if bytes.Equal(lines(t, a.Telemetry), lines(t, other.Telemetry)) {
		t.Error("two seeds say the same")
	}
}

// TestWhatIsSaidIsInTheCatalogue: roles say what the catalogue lists of them, with all that is not optional, and nothing else. The
// documentation's lists are the catalogue's (package telemetry tests that).
func TestWhatIsSaidIsInTheCatalogue(t *testing.T) {
	t.Parallel()
	kinds := map[string]telemetry.Kind{}
	for _, k := range telemetry.Catalogue() {
		kinds[k.Name] = k
	}
	said := map[string]bool{} // kind and role
	for _, x := range talk(t, 7, nil).Telemetry {
		var data map[string]any
		if err := json.Unmarshal(x.Data, &data); err != nil {
			t.Fatal(err)
		}
		kind, _ := data["meta.kind"].(string)
		k, known := kinds[kind]
		if !known || data["role"] != x.Dataset {
			t.Fatalf("kind %q of %v in dataset %s", kind, data["role"], x.Dataset)
		}
		said[kind+" "+x.Dataset] = true
		for _, m := range append(telemetry.Common(), k.Fields...) {
			if m.Role != "" && m.Role != x.Dataset {
				continue
			}
			if _, has := data[m.Name]; !has && !m.Optional {
				t.Errorf("%s of %s lacks %s", kind, x.Dataset, m.Name)
			}
			delete(data, m.Name)
		}
		if len(data) > 0 {
			t.Errorf("%s of %s says what the catalogue does not list: %v", kind, x.Dataset, slices.Sorted(maps.Keys(data)))
		}
		if t.Failed() {
			return
		}
	}
	for _, role := range telemetry.Roles() {
		if !said[telemetry.KindTick+" "+role] {
			t.Errorf("no tick of a %s", role)
		}
	}
	for name, k := range kinds {
		if name != telemetry.KindTick && !said[name+" "+k.Fields[0].Role] {
			t.Errorf("nobody said %q, so nothing is known of its fields", name)
		}
	}
}

// TestTheObservedDoesNotKnow: without telemetry, with it, and with an observer that dies and stays away, clients are answered the same, and the
// same is stored, counted and alerted. (That even latencies stay within bounds while the observer is slow, frozen and overloaded is for dogfood-overload.)
func TestTheObservedDoesNotKnow(t *testing.T) {
	t.Parallel()
	outcome := func(e *evidence.Evidence) map[string]string {
		var answers, counts, alerts strings.Builder
		slowest := time.Duration(0)
		slices.SortFunc(e.Ops, func(a, b evidence.Op) int {
			return cmp.Or(cmp.Compare(a.Intended, b.Intended), cmp.Compare(a.Producer, b.Producer))
		})
		for _, o := range e.Ops {
			codes := map[int]int{}
			for _, part := range o.Parts {
				codes[part.Code] += part.Count
			}
			fmt.Fprintln(&answers, o.Producer, o.FirstSeq, o.Count, o.Dataset, o.Code, codes)
			slowest = max(slowest, o.Done-o.Intended)
		}
		held := map[string]int{}
		for _, m := range e.Held {
			held[fmt.Sprint(m.Producer, m.Seq)] = 1
		}
		for _, c := range e.Counts {
			fmt.Fprintln(&counts, c)
		}
		for _, v := range e.Evaluations {
			if v.Window > 40*time.Second {
				continue // the load has ended, and what is read back then takes its time
			}
			// The load begins a moment later where there is an observer to wait for, so times are not the same to the microsecond.
			fmt.Fprintln(&alerts, v.Alert, v.Window.Round(time.Second), v.Triggered, v.Fires, v.Resolves, v.Stale)
		}
		return map[string]string{
			"answers": answers.String(), "held": fmt.Sprint(len(held), slices.Sorted(maps.Keys(held))), "counts": counts.String(), "alerts": alerts.String(),
			"a request took longer than 50ms": fmt.Sprint(slowest > 50*time.Millisecond),
		}
	}
	off, on, away := talk(t, 7, map[string]string{"observed": "false", "loss": "false"}), talk(t, 7, map[string]string{"loss": "false"}), talk(t, 7, map[string]string{"away": "true"})
	if len(off.Telemetry) > 0 || len(on.Telemetry) == 0 || len(away.Telemetry) >= len(on.Telemetry) {
		t.Fatalf("events of telemetry: %d when off, %d when on, %d when the observer goes", len(off.Telemetry), len(on.Telemetry), len(away.Telemetry))
	}
	want := outcome(off)
	for name, e := range map[string]*evidence.Evidence{"on": on, "on, and the observer away": away} {
		got := outcome(e)
		for what, w := range want {
			if g := got[what]; g != w {
				t.Errorf("telemetry %s: %s: %s\nwithout: %s", name, what, g[:min(len(g), 600)], w[:min(len(w), 600)])
			}
		}
	}
}
