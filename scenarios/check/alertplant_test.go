package check

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system/port"
)

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
	{"two steps swapped", CheckProgress, "counted twice", func(e *evidence.Evidence, n int) bool {
		var steps []*evidence.Entry
		for i := range e.Timeline {
			if x := &e.Timeline[i]; x.Event == port.EventProgress && x.Part == 1 && x.Node == "beagle1" {
				steps = append(steps, x)
			}
		}
		a, b := steps[n], steps[n+1]
		a.Detail, b.Detail = b.Detail, a.Detail
		// Nobody looked between the two, so only their order tells.
		e.Progress = slices.DeleteFunc(e.Progress, func(p evidence.Progress) bool { return p.Partition == 1 && p.At >= a.At && p.At <= b.At })
		return true
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
	{"did not fire in its first window", CheckAlerts, "did not fire, though it began to be triggered", func(e *evidence.Evidence, _ int) bool {
		for i := range e.Evaluations {
			// The first of this alert, whose condition always holds.
			if v := &e.Evaluations[i]; v.Alert == 105 || v.Alert == 107 {
				if v.Fires {
					v.Fires = false
					dropDeliveries(e, keyOf(v, noticeFires))
					return true
				}
			}
		}
		return false
	}},
	{"resolved in its first window", CheckAlerts, "resolved what was not triggered before", func(e *evidence.Evidence, _ int) bool {
		v := &e.Evaluations[0]
		if v.Triggered || v.Alert != 100 {
			return false
		}
		v.Resolves = true
		return true
	}},
	{"triggered before there were as many windows as it takes", CheckAlerts, "does not hold by what was sent", func(e *evidence.Evidence, _ int) bool {
		for i := range e.Alerts {
			if e.Alerts[i].ID == 101 {
				e.Alerts[i].Trigger.Threshold.ExceededLimit = 3
			}
		}
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
