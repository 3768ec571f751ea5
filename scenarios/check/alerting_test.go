package check

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system/definition"
	field "github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/expr"
	"github.com/ratel-sim/ratel/system/port"
)

// watched is a shape whose events are counted for SLOs and looked at by alerts.
type watched struct {
	shape
	events string
	settle time.Duration // from a window's end to its evaluation
}

func defaultWatched() watched {
	w := watched{shape: defaultShape(), events: plan.EventsWide, settle: 6 * time.Second}
	w.perSecond, w.batch, w.before, w.during, w.after = 5, 4, 70*time.Second, 15*time.Second, 50*time.Second
	return w
}

func drawWatched(t *rapid.T) watched {
	w := watched{shape: drawShape(t), events: rapid.SampledFrom([]string{plan.EventsSmall, plan.EventsWide}).Draw(t, "events"), settle: time.Duration(rapid.IntRange(5000, 20_000).Draw(t, "settle")) * time.Millisecond}
	w.perSecond, w.batch, w.producers = 4, min(2+w.batch, 5), max(w.producers, 2)
	w.before = 55 * time.Second
	return w
}

// What is defined for each dataset.
var (
	watchedSLIs = []string{`LT($duration_ms, 100)`, `IF(EQUALS($status_code, 500), false, GT($duration_ms, 20), true)`}
	watchedASK  = []struct {
		query, op string
		value     float64
		kind      definition.AlertType
	}{
		{`{"calculations":[{"op":"COUNT"}],"time_range":10}`, ">", 99, definition.OnChange},
		{`{"calculations":[{"op":"COUNT"}],"time_range":10}`, ">=", 0, definition.OnTrue},
		{`{"calculations":[{"op":"P95","column":"duration_ms"}],"time_range":20}`, ">", 1e6, definition.OnChange},
		{`{"calculations":[{"op":"AVG","column":"duration_ms"}],"breakdowns":["service.name"],"time_range":15}`, ">", 1, definition.OnTrue},
		{`{"calculations":[{"op":"MAX","column":"duration_ms"}],"filters":[{"column":"status_code","op":">=","value":500}],"time_range":10}`, "<", -1, definition.OnChange},
		{`{"calculations":[{"op":"COUNT_DISTINCT","column":"name"}],"time_range":10}`, "<=", 0, definition.OnChange},
		{`{"calculations":[{"op":"SUM","column":"duration_ms"}],"time_range":10}`, ">", 1e9, definition.OnChange},
		{`{"calculations":[{"op":"MIN","column":"duration_ms"}],"time_range":30}`, "<", 1e9, definition.OnChange},
	}
)

const watchedEvery = 5 // seconds

func (w watched) plan() *plan.Plan {
	p := w.shape.plan()
	p.System.Beagles, p.System.Triggers = 2, 2
	p.System.Trigger.RefreshEvery, p.System.Trigger.SessionTimeout = time.Second, 4*time.Second
	p.Traffic[0].Events, p.Traffic[0].Datasets = w.events, 2
	p.Checks = nil
	for i, name := range []string{plan.CheckDurability, plan.CheckSLOCounts, plan.CheckProgress, plan.CheckAlerts, plan.CheckFencing} {
		p.Checks = append(p.Checks, plan.Check{Name: name, Pos: plan.Pos{File: scriptPos.File, Line: 300 + i, Col: 5}})
	}
	return p
}

// history makes the evidence of a run in which everything was counted and evaluated as it should be.
func (w watched) history() *evidence.Evidence {
	e := w.shape.history()
	e.Plan = w.plan()
	e.Run.Epoch = testEpoch
	total := w.before + w.during + w.after
	e.Run.Length = total + 62*time.Second
	for i := range e.Ops {
		e.Ops[i].Dataset = fmt.Sprintf("load-0-%d", e.Ops[i].Producer%2)
	}
	r := rand.New(rand.NewPCG(w.seed, 3))
	all, sure := w.stored(e), acceptedEvents(e)
	for d := range 2 {
		name := fmt.Sprintf("load-0-%d", d)
		for i, sli := range watchedSLIs {
			slo := evidence.SLO{ID: int64(1 + d*10 + i), Name: fmt.Sprintf("slo%d", i), Dataset: name, Expression: sli, TargetPerMillion: 900_000}
			e.SLOs = append(e.SLOs, slo)
			e.Counts = append(e.Counts, countAll(&slo, all)...)
		}
		for i, a := range watchedASK {
			alert := evidence.Alert{ID: int64(100 + d*10 + i), Name: fmt.Sprintf("alert%d", i), Dataset: name, Trigger: definition.Trigger{
				Name: fmt.Sprintf("alert%d", i), Query: json.RawMessage(a.query), Threshold: definition.Threshold{Op: a.op, Value: a.value}, Frequency: watchedEvery, AlertType: a.kind,
			}}
			e.Alerts = append(e.Alerts, alert)
			w.evaluate(e, &alert, all, sure, r)
		}
	}
	w.progress(e, total)
	w.lead(e)
	slices.SortStableFunc(e.Timeline, func(a, b evidence.Entry) int { return int(a.At - b.At) })
	slices.SortStableFunc(e.Deliveries, func(a, b evidence.Delivery) int { return int(a.At - b.At) })
	return e
}

// stored is every event that is in the log, once.
func (w watched) stored(e *evidence.Evidence) []stored {
	truth, err := loadTruth(e.Plan, testEpoch)
	if err != nil {
		panic(err)
	}
	where := map[event]int32{}
	for _, m := range e.Log {
		where[event{m.Producer, m.Seq}] = m.Partition
	}
	var all []stored
	for i := range e.Ops {
		o := &e.Ops[i]
		for k := range o.Count {
			if p, ok := where[event{o.Producer, o.FirstSeq + uint64(k)}]; ok {
				at := truth.Time(o.Sent, k)
				all = append(all, stored{o, k, p, at, truth.Event(0, o.Producer, o.FirstSeq+uint64(k), at)})
			}
		}
	}
	return all
}

// countAll counts the slow and simple way.
func countAll(slo *evidence.SLO, all []stored) []evidence.SLOCount {
	sli, err := expr.Parse(slo.Expression)
	if err != nil {
		panic(err)
	}
	rows := map[int64]*evidence.SLOCount{}
	for _, x := range all {
		if x.op.Dataset != slo.Dataset {
			continue
		}
		good, relevant := expr.Good(sli.Event(&x.event))
		if !relevant {
			continue
		}
		minute := x.at.Truncate(time.Minute).Unix()
		if rows[minute] == nil {
			rows[minute] = &evidence.SLOCount{SLO: slo.ID, Minute: minute}
		}
		rows[minute].Total += x.event.SampleRate
		if good {
			rows[minute].Good += x.event.SampleRate
		}
	}
	var list []evidence.SLOCount
	for _, row := range rows {
		list = append(list, *row)
	}
	slices.SortFunc(list, func(a, b evidence.SLOCount) int { return int(a.Minute - b.Minute) })
	return list
}

// leader is who leads at a moment: the other one a while after the fault.
func (w watched) leader(at time.Duration) (string, int64) {
	if at < w.before+3*time.Second {
		return "trigger1", 100
	}
	return "trigger2", 205
}

// evaluate evaluates all windows of an alert by brute force, and delivers what fires.
func (w watched) evaluate(e *evidence.Evidence, a *evidence.Alert, all []stored, accepted map[event]bool, r *rand.Rand) {
	var spec map[string]any
	if err := json.Unmarshal(a.Trigger.Query, &spec); err != nil {
		panic(err)
	}
	length := int64(spec["time_range"].(float64))
	delete(spec, "time_range")
	before := false
	total := w.before + w.during + w.after
	for unix := testEpoch.Unix()/watchedEvery*watchedEvery + watchedEvery; ; unix += watchedEvery {
		end := time.Unix(unix, 0).Sub(testEpoch)
		if end > total {
			return
		}
		spec["start_time"], spec["end_time"] = unix-length, unix
		text, _ := json.Marshal(spec)
		var seen []stored
		for _, x := range all {
			// What came late, and what nobody knows of, may be seen or not.
			if x.op.Dataset != a.Dataset || x.at.Unix() >= unix || x.at.Unix() < unix-length {
				continue
			}
			sure := x.op.Done >= 0 && x.op.Done <= end && accepted[event{x.op.Producer, x.op.FirstSeq + uint64(x.index)}]
			if sure || r.IntN(2) == 0 {
				seen = append(seen, x)
			}
		}
		v := evidence.Evaluation{Alert: a.ID, Window: end, At: end + w.settle + time.Duration(r.IntN(300))*time.Millisecond, Delivered: -1}
		v.By, v.Epoch = w.leader(v.At)
		found := false
		for _, row := range brute(text, seen).Rows {
			value := row.Values[0].Value
			if value.Kind() == field.Null {
				continue
			}
			x, t := value.Float(), a.Trigger.Threshold
			if far := x > v.Value; !found || far == (t.Op[0] == '>') {
				v.Value = x
			}
			found = true
			v.Triggered = v.Triggered || compareRange(t.Op, x, x, t.Value) == yes
		}
		if a.Trigger.AlertType == definition.OnTrue {
			v.Fires = v.Triggered
		} else {
			v.Fires, v.Resolves = v.Triggered && !before, !v.Triggered && before
		}
		before = v.Triggered
		for _, kind := range noticesOf(&v) {
			v.Delivered = v.At + 300*time.Millisecond
			v.Notice = json.RawMessage(fmt.Sprintf(`{"id":"%d","status":"%s"}`, a.ID, kind))
			for range 1 + r.IntN(5)/4 {
				e.Deliveries = append(e.Deliveries, evidence.Delivery{At: v.At + 200*time.Millisecond, Key: fmt.Sprintf("%d/%d/%s", a.ID, unix*1e9, kind), Body: json.RawMessage(fmt.Sprintf(`{"status": "%s", "id": "%d"}`, kind, a.ID))})
			}
		}
		e.Evaluations = append(e.Evaluations, v)
	}
}

// progress is looked at every two seconds; a beagle takes over from another after the fault.
func (w watched) progress(e *evidence.Evidence, total time.Duration) {
	ends := make([]int64, w.partitions)
	for _, m := range e.Log {
		ends[m.Partition] = max(ends[m.Partition], m.Offset+1)
	}
	for p := range w.partitions {
		next := int64(0)
		last := total / (2 * time.Second) * (2 * time.Second)
		for at := 2 * time.Second; at <= last; at += 2 * time.Second {
			by := "beagle1"
			if at > w.before {
				by = "beagle2"
			}
			end := ends[p] * int64(at) / int64(last)
			to := ends[p] * int64(at-time.Second) / int64(last)
			if at == last {
				to = end
			}
			if to > next {
				e.Timeline = append(e.Timeline, evidence.Entry{At: at - 500*time.Millisecond, Kind: evidence.Announced, Event: port.EventProgress, Node: by, Topic: "events", Part: p, Detail: fmt.Sprintf("from offset %d to %d", next, to)})
				next = to
			}
			e.Progress = append(e.Progress, evidence.Progress{At: at, Partition: p, Next: next, Marked: at - time.Second, By: by, End: end})
		}
		e.Progress = append(e.Progress, evidence.Progress{At: total + 61*time.Second, Partition: p, Next: ends[p], Marked: total + 60*time.Second, By: "beagle2", End: ends[p], Final: true})
	}
	slices.SortStableFunc(e.Progress, func(a, b evidence.Progress) int { return int(a.At - b.At) })
}

func (w watched) lead(e *evidence.Evidence) {
	say := func(at time.Duration, kind, node, detail string) {
		e.Timeline = append(e.Timeline, evidence.Entry{At: at, Kind: evidence.Announced, Event: kind, Node: node, Detail: detail})
	}
	say(time.Second, port.EventLeaderUp, "trigger1", "epoch 100")
	say(w.before+time.Second, port.EventLeaderDown, "trigger1", "epoch 100: the session is lost")
	say(w.before+2*time.Second, port.EventLeaderUp, "trigger2", "epoch 205")
}

var alertingChecks = []string{CheckSLOCounts, CheckProgress, CheckAlerts, CheckFencing}

func TestSoundCountingAndAlertingPass(t *testing.T) {
	t.Parallel()
	e := defaultWatched().history()
	j := Judge(e)
	if j.Verdict != Pass {
		for _, check := range alertingChecks {
			for _, f := range result(j, check).Findings {
				t.Logf("%s: %s %q", check, f.Title, f.Evidence)
			}
		}
		t.Fatal(verdicts(j))
	}
	if len(j.Objectives) != 4 || len(j.Alerts) != 16 {
		t.Fatalf("%d objectives, %d alerts", len(j.Objectives), len(j.Alerts))
	}
	for _, o := range j.Objectives {
		if !o.Judged || o.Total == 0 || o.Minutes < 3 || o.Total < o.TotalLow || o.Total > o.TotalHigh || o.Compliance <= 0 {
			t.Errorf("%+v", o)
		}
	}
	fired, duplicates := int64(0), int64(0)
	for _, a := range j.Alerts {
		fired, duplicates = fired+a.Fired, duplicates+a.Duplicates
		if a.Windows == 0 || a.Missed != 0 || a.Late != 0 || a.Evaluated < a.Windows || a.Fired > 0 && (a.Delivered != a.Fired+a.Resolved || a.Latency.P50 < 5*time.Second || a.Latency.Max > 10*time.Second) {
			t.Errorf("%+v", a)
		}
	}
	if fired == 0 || duplicates == 0 {
		t.Errorf("%d fired, %d duplicates", fired, duplicates)
	}
}

// TestNoFalseAlarms: sound runs of any shape pass, whatever part of the uncertain events was seen.
func TestNoFalseAlarmsOfAlerting(t *testing.T) {
	t.Parallel()
	for seed := range runsDrawn / 3 {
		w := rapid.Custom(drawWatched).Example(seed)
		j := Judge(w.history())
		for _, check := range alertingChecks {
			if res := result(j, check); res.Verdict != Pass {
				t.Errorf("%+v: %s: %v: %s %+v", w, check, res.Verdict, res.Summary, res.Findings)
			}
		}
	}
}

// TestNothingCountedBurnsNoBudget: an SLO of which nothing was counted has its whole error budget.
func TestNothingCountedBurnsNoBudget(t *testing.T) {
	t.Parallel()
	e := defaultWatched().history()
	e.Counts = nil
	for _, o := range Judge(e).Objectives {
		if o.Total != 0 || o.Compliance != 0 || o.BudgetLeft != 1 {
			t.Errorf("%+v", o)
		}
	}
}
