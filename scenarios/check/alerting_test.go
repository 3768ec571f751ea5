package check

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
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
		rows[minute].Total++
		if good {
			rows[minute].Good++
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

// alertingPlanting is a defect of counting or alerting. plant says false where the run has no place for it.
type alertingPlanting struct {
	name, check, says string
	plant             func(e *evidence.Evidence, n int) bool
}

// evaluationOf finds the n-th evaluation that fits, late enough to be due.
func evaluationOf(e *evidence.Evidence, n int, fits func(v *evidence.Evaluation) bool) *evidence.Evaluation {
	var list []*evidence.Evaluation
	for i := range e.Evaluations {
		v := &e.Evaluations[i]
		if v.Window > 25*time.Second && v.Window < 60*time.Second && fits(v) {
			list = append(list, v)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[n%len(list)]
}

func always(*evidence.Evaluation) bool   { return true }
func onTrue(v *evidence.Evaluation) bool { return v.Alert%10 == 1 }

// keyOf is the key of an evaluation's notice.
func keyOf(v *evidence.Evaluation, kind string) string {
	return fmt.Sprintf("%d/%d/%s", v.Alert, testEpoch.UnixNano()+int64(v.Window), kind)
}

func dropDeliveries(e *evidence.Evidence, key string) {
	e.Deliveries = slices.DeleteFunc(e.Deliveries, func(d evidence.Delivery) bool { return d.Key == key })
}

func announce(e *evidence.Evidence, at time.Duration, kind, node, detail string) {
	e.Timeline = append(e.Timeline, evidence.Entry{At: at, Kind: evidence.Announced, Event: kind, Node: node, Detail: detail})
	slices.SortStableFunc(e.Timeline, func(a, b evidence.Entry) int { return int(a.At - b.At) })
}

func dropAnnounced(e *evidence.Evidence, kind string) {
	e.Timeline = slices.DeleteFunc(e.Timeline, func(x evidence.Entry) bool { return x.Event == kind })
}

func finalProgress(e *evidence.Evidence, n int) *evidence.Progress {
	var list []*evidence.Progress
	for i := range e.Progress {
		if e.Progress[i].Final && e.Progress[i].End > 1 {
			list = append(list, &e.Progress[i])
		}
	}
	return list[n%len(list)]
}

var alertingPlantings = []alertingPlanting{
	{"a minute lacks events", CheckSLOCounts, "events that an SLO has to count", func(e *evidence.Evidence, n int) bool {
		// As many as may be there without anybody knowing are no proof.
		c := &e.Counts[n%len(e.Counts)]
		c.Total, c.Good = c.Total/2, c.Good/2
		return true
	}},
	{"a row is missing", CheckSLOCounts, "events that an SLO has to count", func(e *evidence.Evidence, n int) bool {
		e.Counts = slices.Delete(e.Counts, n%len(e.Counts), n%len(e.Counts)+1)
		return true
	}},
	{"counted twice", CheckSLOCounts, "more events than were sent", func(e *evidence.Evidence, n int) bool {
		c := &e.Counts[n%len(e.Counts)]
		c.Total, c.Good = 2*c.Total, 2*c.Good
		return c.Total > 0
	}},
	{"one event too many", CheckSLOCounts, "more events than were sent", func(e *evidence.Evidence, n int) bool {
		c := &e.Counts[0] // of the first minute: nothing is uncertain
		c.Total++
		return true
	}},
	{"one good event is bad", CheckSLOCounts, "not the right number of good", func(e *evidence.Evidence, n int) bool {
		c := &e.Counts[0]
		c.Good--
		return c.Good >= 0
	}},
	{"a row of a minute without events", CheckSLOCounts, "more events than were sent", func(e *evidence.Evidence, n int) bool {
		c := e.Counts[n%len(e.Counts)]
		c.Minute += 3600
		e.Counts = append(e.Counts, c)
		return true
	}},
	{"a row of nothing", CheckSLOCounts, "more events than were sent", func(e *evidence.Evidence, _ int) bool {
		e.Counts = append(e.Counts, evidence.SLOCount{SLO: e.SLOs[0].ID, Minute: 60})
		return true
	}},
	{"two rows of one minute", CheckSLOCounts, "several rows", func(e *evidence.Evidence, n int) bool {
		e.Counts = append(e.Counts, e.Counts[n%len(e.Counts)])
		return true
	}},
	{"counted in the next minute", CheckSLOCounts, "events that an SLO has to count", func(e *evidence.Evidence, _ int) bool {
		e.Counts[0].Minute += 60 * 5
		return true
	}},
	{"a partition without progress", CheckProgress, "has no progress", func(e *evidence.Evidence, n int) bool {
		p := finalProgress(e, n).Partition
		for i := range e.Progress {
			if e.Progress[i].Partition == p {
				e.Progress[i].Next = -1
			}
		}
		return true
	}},
	{"not counted to the end", CheckProgress, "not counted to its end", func(e *evidence.Evidence, n int) bool {
		x := finalProgress(e, n)
		for i := range e.Progress {
			if e.Progress[i].Partition == x.Partition {
				e.Progress[i].Next = min(e.Progress[i].Next, x.End-1)
			}
		}
		return true
	}},
	{"not marked lately", CheckProgress, "looks stuck", func(e *evidence.Evidence, n int) bool {
		x := finalProgress(e, n)
		x.Marked = x.At - 62*time.Second
		return true
	}},
	{"backwards", CheckProgress, "went backwards", func(e *evidence.Evidence, n int) bool {
		for i := len(e.Progress) - 1; i >= 0; i-- {
			if x := &e.Progress[i]; !x.Final && x.Next > 1 {
				x.Next--
				e.Progress = append(e.Progress, evidence.Progress{At: x.At - time.Millisecond, Partition: x.Partition, Next: x.Next + 1, End: x.End, By: "beagle1"})
				slices.SortStableFunc(e.Progress, func(a, b evidence.Progress) int { return int(a.At - b.At) })
				return true
			}
		}
		return false
	}},
	{"the row vanished", CheckProgress, "went backwards", func(e *evidence.Evidence, n int) bool {
		for i := len(e.Progress) - 1; i >= 0; i-- {
			if x := &e.Progress[i]; !x.Final && x.Next > 1 {
				x.Next = -1
				return true
			}
		}
		return false
	}},
	{"beyond the end", CheckProgress, "beyond the end", func(e *evidence.Evidence, n int) bool {
		finalProgress(e, n).Next++
		return true
	}},
	{"a stretch counted twice", CheckProgress, "counted twice", func(e *evidence.Evidence, n int) bool {
		k := 0
		for i := range e.Timeline {
			if x := &e.Timeline[i]; x.Event == port.EventProgress {
				if s, _ := stepOf(x); s.from > 2 {
					if k++; k > n%5 {
						x.Detail = fmt.Sprintf("from offset %d to %d", s.from-1, s.to)
						return true
					}
				}
			}
		}
		return false
	}},
	{"a window is missing", CheckAlerts, "never evaluated", func(e *evidence.Evidence, n int) bool {
		v := evaluationOf(e, n, func(v *evidence.Evaluation) bool { return !v.Fires && !v.Resolves })
		i := slices.IndexFunc(e.Evaluations, func(x evidence.Evaluation) bool { return x.Alert == v.Alert && x.Window == v.Window })
		e.Evaluations = slices.Delete(e.Evaluations, i, i+1)
		return true
	}},
	{"nothing was evaluated at all", CheckAlerts, "never evaluated", func(e *evidence.Evidence, _ int) bool {
		e.Evaluations, e.Deliveries = nil, nil
		return true
	}},
	{"a window twice", CheckAlerts, "evaluated twice", func(e *evidence.Evidence, n int) bool {
		v := *evaluationOf(e, n, always)
		v.By = "trigger2"
		e.Evaluations = append(e.Evaluations, v)
		return true
	}},
	{"a window that is none", CheckAlerts, "of a window that is none", func(e *evidence.Evidence, n int) bool {
		v := *evaluationOf(e, n, func(v *evidence.Evaluation) bool { return !v.Fires })
		v.Window, v.Triggered, v.Resolves = v.Window+time.Second, false, false
		e.Evaluations = append(e.Evaluations, v)
		return true
	}},
	{"evaluated before its end", CheckAlerts, "before its end", func(e *evidence.Evidence, n int) bool {
		v := evaluationOf(e, n, always)
		v.At = v.Window - 2*time.Second
		return true
	}},
	{"evaluated late", CheckAlerts, "evaluated too late", func(e *evidence.Evidence, n int) bool {
		v := evaluationOf(e, n, func(v *evidence.Evaluation) bool { return v.Window < 35*time.Second })
		v.At = v.Window + 33*time.Second
		return true
	}},
	{"stopped for minutes while one node was away", CheckAlerts, "evaluated too late", func(e *evidence.Evidence, n int) bool {
		v := evaluationOf(e, n, always)
		v.At = v.Window + 50*time.Second // the fault allows for 9 s more
		return true
	}},
	{"did not trigger", CheckAlerts, "did not trigger", func(e *evidence.Evidence, n int) bool {
		v := evaluationOf(e, n, onTrue)
		v.Triggered, v.Fires = false, false
		dropDeliveries(e, keyOf(v, noticeFires))
		return true
	}},
	{"triggered for nothing", CheckAlerts, "does not hold by what was sent", func(e *evidence.Evidence, n int) bool {
		v := evaluationOf(e, n, func(v *evidence.Evaluation) bool { return v.Alert%10 == 6 })
		v.Triggered = true
		return true
	}},
	{"a wrong value", CheckAlerts, "compared a value", func(e *evidence.Evidence, n int) bool {
		evaluationOf(e, n, onTrue).Value += 1000
		return true
	}},
	{"a wrong mean of the worst group", CheckAlerts, "compared a value", func(e *evidence.Evidence, n int) bool {
		evaluationOf(e, n, func(v *evidence.Evaluation) bool { return v.Alert%10 == 3 }).Value += 1e7
		return true
	}},
	{"stale without a reason", CheckAlerts, "stale while no fault", func(e *evidence.Evidence, n int) bool {
		v := evaluationOf(e, n, func(v *evidence.Evaluation) bool { return v.Window < 50*time.Second && !v.Fires && !v.Resolves })
		v.Stale = true
		return true
	}},
	{"stale and sent", CheckAlerts, "decided nothing and sent", func(e *evidence.Evidence, n int) bool {
		evaluationOf(e, n, onTrue).Stale = true
		return true
	}},
	{"stale all through a fault", CheckAlerts, "stale windows is too large", func(e *evidence.Evidence, _ int) bool {
		for i := range e.Evaluations {
			if v := &e.Evaluations[i]; v.Window > 71*time.Second && v.Window < 96*time.Second && !v.Fires && !v.Resolves {
				v.Stale = true
			} else if v.Window > 60*time.Second && v.Window < 100*time.Second {
				v.Stale, v.Fires, v.Resolves = true, false, false
				dropDeliveries(e, keyOf(v, noticeFires))
				dropDeliveries(e, keyOf(v, noticeResolves))
			}
		}
		return true
	}},
	{"did not fire", CheckAlerts, "did not fire, though it triggered", func(e *evidence.Evidence, n int) bool {
		v := evaluationOf(e, n, onTrue)
		v.Fires = false
		dropDeliveries(e, keyOf(v, noticeFires))
		return true
	}},
	{"fired again", CheckAlerts, "fired again", func(e *evidence.Evidence, n int) bool {
		v := evaluationOf(e, n, func(v *evidence.Evaluation) bool { return v.Alert%10 == 7 })
		v.Fires = true
		e.Deliveries = append(e.Deliveries, evidence.Delivery{At: v.At + 1, Key: keyOf(v, noticeFires), Body: json.RawMessage(`{}`)})
		return true
	}},
	{"fired without being triggered", CheckAlerts, "fired without being triggered", func(e *evidence.Evidence, n int) bool {
		v := evaluationOf(e, n, func(v *evidence.Evaluation) bool { return v.Alert%10 == 6 })
		v.Fires = true
		e.Deliveries = append(e.Deliveries, evidence.Delivery{At: v.At + 1, Key: keyOf(v, noticeFires), Body: json.RawMessage(`{}`)})
		return true
	}},
	{"never delivered", CheckAlerts, "never delivered", func(e *evidence.Evidence, n int) bool {
		v := evaluationOf(e, n, onTrue)
		v.Delivered = -1
		dropDeliveries(e, keyOf(v, noticeFires))
		return true
	}},
	{"marked as delivered", CheckAlerts, "never received", func(e *evidence.Evidence, n int) bool {
		dropDeliveries(e, keyOf(evaluationOf(e, n, onTrue), noticeFires))
		return true
	}},
	{"delivered late", CheckAlerts, "delivered too late", func(e *evidence.Evidence, n int) bool {
		v := evaluationOf(e, n, onTrue)
		for i := range e.Deliveries {
			if e.Deliveries[i].Key == keyOf(v, noticeFires) {
				e.Deliveries[i].At = v.Window + 90*time.Second
			}
		}
		return true
	}},
	{"delivered what did not fire", CheckAlerts, "no effective evaluation sent", func(e *evidence.Evidence, n int) bool {
		v := evaluationOf(e, n, onTrue)
		e.Deliveries = append(e.Deliveries, evidence.Delivery{At: v.At, Key: keyOf(v, noticeResolves), Body: json.RawMessage(`{}`)})
		return true
	}},
	{"delivered of an unknown alert", CheckAlerts, "no effective evaluation sent", func(e *evidence.Evidence, _ int) bool {
		e.Deliveries = append(e.Deliveries, evidence.Delivery{At: 50 * time.Second, Key: "9999/1000000000/fires", Body: json.RawMessage(`{}`)})
		return true
	}},
	{"a key of another form", CheckAlerts, "key of another form", func(e *evidence.Evidence, _ int) bool {
		e.Deliveries = append(e.Deliveries, evidence.Delivery{At: 50 * time.Second, Key: "fires", Body: json.RawMessage(`{}`)})
		return true
	}},
	{"another body", CheckAlerts, "another body", func(e *evidence.Evidence, n int) bool {
		e.Deliveries[n%len(e.Deliveries)].Body = json.RawMessage(`{"id":"0"}`)
		return true
	}},
	{"an epoch of two workers", CheckFencing, "is of two workers", func(e *evidence.Evidence, n int) bool {
		evaluationOf(e, n, always).By = "trigger2"
		return true
	}},
	{"an old leader is effective", CheckFencing, "was effective as epoch 100 after", func(e *evidence.Evidence, _ int) bool {
		for i := len(e.Evaluations) - 1; i >= 0; i-- {
			if v := &e.Evaluations[i]; v.Epoch == 205 && v.At > 100*time.Second {
				v.Epoch, v.By = 100, "trigger1"
				return true
			}
		}
		return false
	}},
	{"a leader that does not notice", CheckFencing, "while another leads", func(e *evidence.Evidence, _ int) bool {
		dropAnnounced(e, port.EventLeaderDown)
		return true
	}},
	{"a leader that notices late", CheckFencing, "while another leads", func(e *evidence.Evidence, _ int) bool {
		dropAnnounced(e, port.EventLeaderDown)
		announce(e, 90*time.Second, port.EventLeaderDown, "trigger1", "epoch 100: fenced")
		return true
	}},
	{"an epoch that is not above the one before", CheckFencing, "not above epoch 205", func(e *evidence.Evidence, _ int) bool {
		announce(e, 110*time.Second, port.EventLeaderDown, "trigger2", "epoch 205: stopped")
		announce(e, 112*time.Second, port.EventLeaderUp, "trigger1", "epoch 150")
		return true
	}},
}

// ownCopy is the evidence again, what plantings change being its own.
func ownCopy(e *evidence.Evidence) *evidence.Evidence {
	c := *e
	c.Plan = e.Plan.Clone()
	c.SLOs, c.Counts, c.Progress, c.Alerts = slices.Clone(e.SLOs), slices.Clone(e.Counts), slices.Clone(e.Progress), slices.Clone(e.Alerts)
	c.Evaluations, c.Deliveries, c.Timeline, c.Gaps, c.Ops, c.Log = slices.Clone(e.Evaluations), slices.Clone(e.Deliveries), slices.Clone(e.Timeline), slices.Clone(e.Gaps), slices.Clone(e.Ops), slices.Clone(e.Log)
	return &c
}

func TestPlantedDefectsOfAlertingAreCaught(t *testing.T) {
	t.Parallel()
	w := defaultWatched()
	w.unknown, w.events = 0, plan.EventsSmall
	made := w.history()
	for n, c := range alertingPlantings {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := ownCopy(made)
			if !c.plant(e, 7) {
				t.Fatal("the history has no place for it")
			}
			j := Judge(e)
			res := result(j, c.check)
			if res.Verdict != Fail || !slices.ContainsFunc(res.Findings, func(f Finding) bool {
				return f.Verdict == Fail && strings.Contains(f.Title, c.says) && len(f.Evidence) > 0 && f.Count > 0
			}) {
				t.Fatalf("want %q of %s, got %v: %s; %+v", c.says, c.check, res.Verdict, res.Summary, res.Findings)
			}
			if n%10 != 0 {
				return
			}
			if again, _ := json.Marshal(Judge(e)); string(again) != string(must2(json.Marshal(j))) {
				t.Error("judged again it is another judgement")
			}
		})
	}
}
