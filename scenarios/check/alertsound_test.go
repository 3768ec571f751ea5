package check

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	field "github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/query/exec"
)

// recreate has both datasets recreated.
func recreate(e *evidence.Evidence) {
	for d, name := range []string{"load-0-0", "load-0-1"} {
		ph := &e.Plan.Phases[0]
		ph.Faults = append(ph.Faults, plan.Fault{Kind: system.FaultRecreate, Dataset: name, Team: "load"})
		id := plan.FaultID(ph.Name, d)
		for _, kind := range []evidence.EntryKind{evidence.FaultInjected, evidence.FaultObserved} {
			e.Timeline = append(e.Timeline, evidence.Entry{At: 20 * time.Second, Kind: kind, Phase: ph.Name, Fault: id, Node: name})
		}
	}
	slices.SortStableFunc(e.Timeline, func(a, b evidence.Entry) int { return int(a.At - b.At) })
}

// strike adds a fault on a node to the first phase.
func strike(e *evidence.Evidence, kind system.FaultKind, node string, from, to time.Duration) {
	ph := &e.Plan.Phases[0]
	ph.Faults = append(ph.Faults, plan.Fault{Kind: kind, Target: plan.Selector{Kind: plan.SelectNode, Node: node}})
	id := plan.FaultID(ph.Name, len(ph.Faults)-1)
	for _, x := range []evidence.Entry{{At: from, Kind: evidence.FaultInjected}, {At: from, Kind: evidence.FaultObserved}, {At: to, Kind: evidence.FaultHealed}, {At: to, Kind: evidence.HealObserved}} {
		x.Phase, x.Fault, x.Node = ph.Name, id, node
		e.Timeline = append(e.Timeline, x)
	}
	slices.SortStableFunc(e.Timeline, func(a, b evidence.Entry) int { return int(a.At - b.At) })
}

// alertingHoles are holes in the evidence of which the check must say that it cannot tell.
var alertingHoles = []struct {
	name, check, says string
	make              func(e *evidence.Evidence)
}{
	{"no SLOs", CheckSLOCounts, "no SLO was defined", func(e *evidence.Evidence) { e.SLOs = nil }},
	{"the counts are missing", CheckSLOCounts, "MySQL is away", func(e *evidence.Evidence) {
		e.Gaps, e.Counts = []evidence.Gap{{What: "counts", Why: "MySQL is away"}}, nil
	}},
	{"the log is missing", CheckSLOCounts, "could not be read back", func(e *evidence.Evidence) {
		e.Gaps, e.Log = []evidence.Gap{{What: "log", Why: "kafka1 is away"}}, nil
	}},
	{"the history is missing", CheckSLOCounts, "history is not whole", func(e *evidence.Evidence) { e.Gaps = []evidence.Gap{{What: "ops", Why: "lost"}} }},
	{"no epoch for counts", CheckSLOCounts, "clock of the events", func(e *evidence.Evidence) { e.Run.Epoch = time.Time{} }},
	{"an SLI that cannot be read", CheckSLOCounts, "cannot be read", func(e *evidence.Evidence) { e.SLOs[0].Expression = "LT($a" }},
	{"not counted to the end", CheckSLOCounts, "had not reached the end of 1 partition", func(e *evidence.Evidence) { finalProgress(e, 0).Next-- }},
	{"nobody looked how far counting was", CheckSLOCounts, "was not looked at in the end", func(e *evidence.Evidence) { e.Progress = nil }},
	{"nothing that an SLO counts", CheckSLOCounts, "nothing to count", func(e *evidence.Evidence) {
		e.Counts = nil
		for i := range e.SLOs {
			e.SLOs[i].Expression = "$nobody_has_it"
		}
	}},
	{"all datasets were recreated", CheckSLOCounts, "were recreated", func(e *evidence.Evidence) { recreate(e); e.Counts = nil }},
	{"cut short while counting", CheckSLOCounts, "cut short", func(e *evidence.Evidence) { e.Run.Ended = "interrupted" }},
	{"no progress", CheckProgress, "never looked at", func(e *evidence.Evidence) { e.Progress = nil }},
	{"progress could not be had", CheckProgress, "MySQL is away", func(e *evidence.Evidence) { e.Gaps = []evidence.Gap{{What: "progress", Why: "MySQL is away"}} }},
	{"looked in the end only", CheckProgress, "looked at in the end only", func(e *evidence.Evidence) {
		e.Progress = slices.DeleteFunc(e.Progress, func(p evidence.Progress) bool { return !p.Final })
	}},
	{"no announced steps", CheckProgress, "no step of counting was announced", func(e *evidence.Evidence) {
		e.Timeline = slices.DeleteFunc(e.Timeline, func(x evidence.Entry) bool { return x.Event == port.EventProgress })
	}},
	{"no final look", CheckProgress, "not looked at in the end", func(e *evidence.Evidence) {
		e.Progress = slices.DeleteFunc(e.Progress, func(p evidence.Progress) bool { return p.Final })
	}},
	{"looked too early", CheckProgress, "before its time to be counted was up", func(e *evidence.Evidence) {
		x := finalProgress(e, 0)
		x.At -= 30 * time.Second
		dropAnnounced(e, port.EventProgress)
		for i := range e.Progress {
			if e.Progress[i].Partition == x.Partition {
				e.Progress[i].Next = min(e.Progress[i].Next, x.End-1)
			}
		}
	}},
	{"the end is not known", CheckProgress, "ends is not known", func(e *evidence.Evidence) {
		e.Gaps, e.Log = []evidence.Gap{{What: "log", Why: "kafka1 is away"}}, nil
		for i := range e.Progress {
			e.Progress[i].End = -1
		}
	}},
	{"no alerts", CheckAlerts, "no alert was defined", func(e *evidence.Evidence) { e.Alerts, e.Evaluations, e.Deliveries = nil, nil, nil }},
	{"the evaluations are missing", CheckAlerts, "MySQL is away", func(e *evidence.Evidence) {
		e.Gaps, e.Evaluations = []evidence.Gap{{What: "evaluations", Why: "MySQL is away"}}, nil
	}},
	{"no epoch for alerts", CheckAlerts, "clock of the events", func(e *evidence.Evidence) { e.Run.Epoch = time.Time{} }},
	{"no window ended", CheckAlerts, "no window had to be evaluated", func(e *evidence.Evidence) {
		e.Evaluations, e.Deliveries = nil, nil
		for i := range e.Alerts {
			e.Alerts[i].Trigger.Frequency = 3600
		}
	}},
	{"defined too late", CheckAlerts, "no window had to be evaluated", func(e *evidence.Evidence) {
		e.Evaluations, e.Deliveries = nil, nil
		for i := range e.Alerts {
			e.Alerts[i].Defined = 130 * time.Second
		}
	}},
	{"a query that is not judged", CheckAlerts, "cannot be judged", func(e *evidence.Evidence) {
		e.Alerts[0].Trigger.Query = json.RawMessage(`{"calculations":[{"op":"RATE_SUM","column":"x"}]}`)
	}},
	{"nothing is certain", CheckAlerts, "none could be compared", func(e *evidence.Evidence) {
		for i := range e.Ops {
			e.Ops[i].Code, e.Ops[i].Parts, e.Ops[i].NotSent = 0, nil, false
		}
		for i := range e.Alerts {
			t := &e.Alerts[i].Trigger
			t.Query, t.Threshold.Op, t.Threshold.Value = json.RawMessage(`{"calculations":[{"op":"MAX","column":"duration_ms"}],"time_range":20}`), ">", 50
		}
	}},
	{"cut short while alerting", CheckAlerts, "cut short", func(e *evidence.Evidence) { e.Run.Ended = "interrupted" }},
	{"nothing was evaluated", CheckFencing, "nothing was evaluated", func(e *evidence.Evidence) { e.Evaluations = nil }},
	{"a leader that was not announced", CheckFencing, "trigger2 evaluated window", func(e *evidence.Evidence) {
		e.Timeline = slices.DeleteFunc(e.Timeline, func(x evidence.Entry) bool { return x.Event == port.EventLeaderUp && x.Node == "trigger2" })
	}},
	{"an epoch that nobody announced", CheckFencing, "as epoch 999", func(e *evidence.Evidence) {
		last := &e.Evaluations[0]
		for i := range e.Evaluations {
			if e.Evaluations[i].At > last.At {
				last = &e.Evaluations[i]
			}
		}
		last.Epoch = 999
	}},
	{"one of the SLOs is not known", CheckSLOCounts, "no definition of SLO slo1 for dataset load-0-1", func(e *evidence.Evidence) {
		e.SLOs = slices.DeleteFunc(e.SLOs, func(s evidence.SLO) bool { return s.ID == 12 })
		for _, s := range e.SLOs[:2] {
			e.Plan.Objectives = append(e.Plan.Objectives, plan.Objective{Name: s.Name, Traffic: e.Plan.Traffic[0].Name})
		}
	}},
	{"one of the alerts is not known", CheckAlerts, "no definition of alert alert7 for dataset load-0-1", func(e *evidence.Evidence) {
		e.Alerts = e.Alerts[:len(e.Alerts)-1]
		e.Evaluations = slices.DeleteFunc(e.Evaluations, func(v evidence.Evaluation) bool { return v.Alert == 117 })
		e.Deliveries = slices.DeleteFunc(e.Deliveries, func(d evidence.Delivery) bool { return strings.HasPrefix(d.Key, "117/") })
		for _, a := range e.Alerts[:8] {
			e.Plan.Alerts = append(e.Plan.Alerts, plan.Alert{Name: a.Name, Traffic: e.Plan.Traffic[0].Name})
		}
	}},
	{"nobody announced that it leads", CheckFencing, "nobody announced", func(e *evidence.Evidence) {
		dropAnnounced(e, port.EventLeaderUp)
		dropAnnounced(e, port.EventLeaderDown)
	}},
}

func TestHolesInTheEvidenceOfAlertingAreInconclusive(t *testing.T) {
	t.Parallel()
	made := defaultWatched().history()
	for _, c := range alertingHoles {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := ownCopy(made)
			c.make(e)
			res := result(Judge(e), c.check)
			if res.Verdict != Inconclusive || !strings.Contains(res.Summary, c.says) {
				t.Errorf("want inconclusive saying %q, got %v: %s %+v", c.says, res.Verdict, res.Summary, res.Findings)
			}
			for _, f := range res.Findings {
				if f.Verdict == Fail {
					t.Errorf("a finding fails in what is not known: %+v", f)
				}
			}
		})
	}
}

// TestWhatIsExcused: what looks wrong, and is not.
func TestWhatIsExcusedInAlerting(t *testing.T) {
	t.Parallel()
	made := defaultWatched().history()
	late := func(e *evidence.Evidence, from, to, at time.Duration) {
		for i := range e.Evaluations {
			if v := &e.Evaluations[i]; v.Window >= from && v.Window < to {
				v.At = max(v.At, at+time.Duration(i)*time.Millisecond)
				for k := range e.Deliveries {
					if d := &e.Deliveries[k]; d.Key == keyOf(v, noticeFires) || d.Key == keyOf(v, noticeResolves) {
						d.At = max(d.At, v.At+time.Second)
					}
				}
			}
		}
	}
	for _, c := range []struct {
		name, check string
		make        func(e *evidence.Evidence)
		want        Verdict
	}{
		{"one ZooKeeper node is away, and all is evaluated late", CheckAlerts, func(e *evidence.Evidence) {
			strike(e, system.FaultKill, "zk1", 20*time.Second, 65*time.Second)
			late(e, 20*time.Second, 30*time.Second, 75*time.Second)
		}, Fail},
		{"most of ZooKeeper is away, and all is evaluated after it", CheckAlerts, func(e *evidence.Evidence) {
			strike(e, system.FaultKill, "zk1", 20*time.Second, 65*time.Second)
			strike(e, system.FaultKill, "zk2", 20*time.Second, 60*time.Second)
			late(e, 20*time.Second, 65*time.Second, 70*time.Second)
		}, Pass},
		{"MySQL is away, and all is evaluated after it", CheckAlerts, func(e *evidence.Evidence) {
			strike(e, system.FaultKill, "mysql", 20*time.Second, 65*time.Second)
			late(e, 20*time.Second, 65*time.Second, 70*time.Second)
		}, Pass},
		{"MySQL is away, and all is evaluated much later", CheckAlerts, func(e *evidence.Evidence) {
			strike(e, system.FaultKill, "mysql", 20*time.Second, 30*time.Second)
			late(e, 20*time.Second, 30*time.Second, 85*time.Second)
		}, Fail},
		{"stale while most of Kafka is away", CheckAlerts, func(e *evidence.Evidence) {
			strike(e, system.FaultKill, "kafka1", 25*time.Second, 45*time.Second)
			strike(e, system.FaultKill, "kafka2", 25*time.Second, 45*time.Second)
			for i := range e.Evaluations {
				if v := &e.Evaluations[i]; v.Window > 26*time.Second && v.Window < 44*time.Second && !v.Resolves {
					dropDeliveries(e, keyOf(v, noticeFires))
					v.Stale, v.Fires = true, false
				}
			}
		}, Pass},
		{"a window ends after the evaluations were read back, and what it sends still comes", CheckAlerts, func(e *evidence.Evidence) {
			at := e.Run.Length
			e.Deliveries = append(e.Deliveries, evidence.Delivery{At: at, Key: fmt.Sprintf("101/%d/fires", testEpoch.Add(at).Truncate(watchedEvery*time.Second).UnixNano()), Body: json.RawMessage(`{}`)})
		}, Pass},
		{"one stale window during a fault", CheckAlerts, func(e *evidence.Evidence) {
			v := &e.Evaluations[slices.IndexFunc(e.Evaluations, func(v evidence.Evaluation) bool {
				return v.Window > 71*time.Second && v.Alert%10 == 6 && v.Window < 80*time.Second
			})]
			v.Stale = true
		}, Pass},
		{"a leader that is frozen cannot notice", CheckFencing, func(e *evidence.Evidence) {
			dropAnnounced(e, port.EventLeaderDown)
			strike(e, system.FaultPause, "trigger1", 68*time.Second, 100*time.Second)
			announce(e, 101*time.Second, port.EventLeaderDown, "trigger1", "epoch 100: the session is lost")
		}, Pass},
		{"a leader that is starved cannot notice", CheckFencing, func(e *evidence.Evidence) {
			dropAnnounced(e, port.EventLeaderDown)
			strike(e, system.FaultStarve, "trigger1", 68*time.Second, 100*time.Second)
			announce(e, 101*time.Second, port.EventLeaderDown, "trigger1", "epoch 100: the session is lost")
		}, Pass},
		{"a leader that was frozen and goes on leading", CheckFencing, func(e *evidence.Evidence) {
			dropAnnounced(e, port.EventLeaderDown)
			strike(e, system.FaultPause, "trigger1", 30*time.Second, 40*time.Second)
		}, Fail},
		{"a leader that is killed says nothing", CheckFencing, func(e *evidence.Evidence) {
			dropAnnounced(e, port.EventLeaderDown)
			strike(e, system.FaultKill, "trigger1", 68*time.Second, 100*time.Second)
		}, Pass},
		{"an accepted event that is gone may be counted or not", CheckSLOCounts, func(e *evidence.Evidence) {
			m := e.Log[len(e.Log)/2]
			e.Log = slices.DeleteFunc(e.Log, func(x evidence.LogMark) bool { return x.Producer == m.Producer && x.Seq == m.Seq })
		}, Pass},
		{"a record may be in two partitions", CheckSLOCounts, func(e *evidence.Evidence) {
			m := e.Log[0]
			m.Partition, m.Offset = e.Log[len(e.Log)-1].Partition, e.Log[len(e.Log)-1].Offset+1
			e.Log = append(e.Log, m)
			for i := range e.Progress {
				if p := &e.Progress[i]; p.Final && p.Partition == m.Partition {
					p.Next, p.End = p.Next+1, p.End+1
				}
			}
		}, Pass},
		{"counts and evaluations go with a recreated dataset", CheckAlerts, func(e *evidence.Evidence) {
			recreate(e)
			for i := range e.Evaluations {
				e.Evaluations[i].Triggered = !e.Evaluations[i].Triggered
			}
		}, Inconclusive},
		{"two workers believe that the same step was theirs", CheckProgress, func(e *evidence.Evidence) {
			i := slices.IndexFunc(e.Timeline, func(x evidence.Entry) bool { return x.Event == port.EventProgress })
			twin := e.Timeline[i]
			twin.Node = "beagle2"
			e.Timeline = slices.Insert(e.Timeline, i+1, twin)
		}, Pass},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := ownCopy(made)
			c.make(e)
			if res := result(Judge(e), c.check); res.Verdict != c.want {
				t.Errorf("want %v, got %v: %s %+v", c.want, res.Verdict, res.Summary, res.Findings)
			}
		})
	}
}

// TestConditionsHoldWhicheverEventsAreSeen compares what is said of a threshold with every choice of the events that may be
// counted: what is certain has to be so in all of them, and the value has to lie in its range.
func TestConditionsHoldWhicheverEventsAreSeen(t *testing.T) {
	t.Parallel()
	ops := []string{"COUNT", "SUM", "AVG", "MIN", "MAX", "COUNT_DISTINCT", "P50", "P90"}
	decided := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		op := rapid.SampledFrom(ops).Draw(t, "op")
		compare := rapid.SampledFrom([]string{">", ">=", "<", "<="}).Draw(t, "compare")
		threshold := float64(rapid.IntRange(-3, 12).Draw(t, "threshold"))
		n := rapid.IntRange(0, 7).Draw(t, "events")
		col := &column{name: "x", coded: true, values: []field.Value{{}}, index: map[field.Value]uint32{{}: 0}}
		sure := make([]bool, n)
		values := make([]float64, n)
		for i := range n {
			values[i] = float64(rapid.IntRange(-2, 6).Draw(t, "value"))
			sure[i] = rapid.Bool().Draw(t, "sure")
			col.add(field.FloatValue(values[i]))
		}
		calc := calculation{Op: op, Column: "x"}
		given := col
		if op == "COUNT" {
			calc.Column, given = "", nil
		}
		ask := &asking{Calculations: []calculation{calc}}
		v := evaluation{ask: ask, dims: []int{1}, set: &truthSet{}}
		v.layout()
		cell := exec.Cell{Value: field.FloatValue(threshold)}
		v.accs[0].expect(calc, &cell)
		for i := range n {
			v.mayRows[0]++
			v.accs[0].add(op, given, int32(i), 1, sure[i])
		}
		got := v.condition(compare, threshold)
		held, not := false, false
		for choice := range 1 << n {
			var seen []float64
			whole := true
			for i := range n {
				if choice>>i&1 == 1 {
					seen = append(seen, values[i])
				} else if sure[i] {
					whole = false
				}
			}
			if !whole {
				continue
			}
			value, ok := bruteNumber(op, seen)
			holds := ok && compareRange(compare, value, value, threshold) == yes
			held, not = held || holds, not || !holds
			if ok && !math.IsNaN(got.low) && !withinRange(value, got.low, got.high) {
				t.Fatalf("%s of %v can be %v, outside of %v to %v", op, values, value, got.low, got.high)
			}
		}
		if got.holds == yes && not || got.holds == no && held {
			t.Fatalf("%s %s %v over %v (certain: %v) is said to be: %v; there are choices for which it does: %t, does not: %t", op, compare, threshold, values, sure, got.holds, held, not)
		}
		if got.holds != perhaps {
			decided[op]++
		} else if !held || !not {
			if op == "COUNT" {
				t.Fatalf("%s %s %v over %v (certain: %v) could be decided", op, compare, threshold, values, sure)
			}
		}
	})
	for _, op := range ops {
		if decided[op] == 0 {
			t.Errorf("%s was never decided", op)
		}
	}
}

func bruteNumber(op string, seen []float64) (float64, bool) {
	slices.Sort(seen)
	sum := 0.0
	for _, x := range seen {
		sum += x
	}
	switch n := float64(len(seen)); {
	case op == "COUNT":
		return n, true
	case op == "COUNT_DISTINCT":
		return float64(len(slices.Compact(slices.Clone(seen)))), true
	case n == 0:
		return 0, false
	case op == "SUM":
		return sum, true
	case op == "AVG":
		return sum / n, true
	case op == "MIN":
		return seen[0], true
	case op == "MAX":
		return seen[len(seen)-1], true
	default:
		return seen[int(math.Ceil(percentiles[op]*n))-1], true
	}
}

// TestAnyLegalCountingIsLinear: however workers take turns, with steps that nobody announces, it is one register; going over
// a stretch again after it was announced is not.
func TestAnyLegalCountingIsLinear(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tr := track{}
		at, next := time.Duration(0), int64(0)
		for range rapid.IntRange(1, 15).Draw(t, "steps") {
			at += time.Duration(rapid.IntRange(1, 5).Draw(t, "pause")) * time.Second
			from := next
			next += int64(rapid.IntRange(1, 9).Draw(t, "records"))
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0: // its answer was lost
			case 1:
				tr.looks = append(tr.looks, evidence.Progress{At: at, Next: next})
			default:
				tr.steps = append(tr.steps, step{at, rapid.SampledFrom([]string{"beagle1", "beagle2"}).Draw(t, "node"), from, next})
			}
		}
		told := func(_ time.Duration, what string) bool { return what != "" }
		if told(tr.conflict()) {
			t.Fatalf("not linear: %+v", tr)
		}
		late := track{looks: tr.looks}
		for _, s := range tr.steps { // noticed late, in batches
			s.at = (s.at/stampSlack + 1) * stampSlack
			late.steps = append(late.steps, s)
		}
		if told(tr.disorder()) || told(late.disorder()) {
			t.Fatalf("not in order: %+v", tr)
		}
		if len(tr.steps) == 0 {
			return
		}
		last := tr.steps[len(tr.steps)-1]
		again := step{at + time.Second, last.node, last.from, last.to + 1}
		tr.steps = append(tr.steps, again)
		if !told(tr.conflict()) {
			t.Fatalf("linear, though a stretch was counted twice: %+v", tr)
		}
		much := last.at + 3*stampSlack
		tr.steps = append(slices.Clone(tr.steps), step{much, last.node, last.to + 1, last.to + 2}, step{much + time.Second, last.node, last.from, last.to})
		n := len(tr.steps)
		before, after := track{steps: tr.steps[:n-2]}, track{steps: append(tr.steps[:n-1:n-1], step{much + time.Second, last.node, last.from, last.to + 5})}
		if told(before.disorder()) || !told(after.disorder()) {
			t.Fatalf("in order, though a stretch was counted twice much later: %+v", tr)
		}
	})
}

// TestAnyLegalLockIsExplained: workers that take turns, notice late or die are explained by one lock; two at once are not.
func TestAnyLegalLockIsExplained(t *testing.T) {
	t.Parallel()
	const grace = 4 * time.Second
	rapid.Check(t, func(t *rapid.T) {
		var terms []term
		at, epoch := time.Duration(0), int64(0)
		over := map[string]time.Duration{}
		for range rapid.IntRange(1, 40).Draw(t, "terms") {
			node := rapid.SampledFrom([]string{"trigger1", "trigger2", "trigger3"}).Draw(t, "node")
			at = max(at, over[node]) + time.Duration(rapid.IntRange(0, 3).Draw(t, "pause"))*time.Second
			epoch += int64(rapid.IntRange(1, 9).Draw(t, "epoch"))
			x := term{node: node, epoch: epoch, acquire: over[node], began: at}
			at += time.Duration(rapid.IntRange(1, 20).Draw(t, "length")) * time.Second
			x.ended = at + time.Duration(rapid.IntRange(0, 4).Draw(t, "late"))*time.Second // than the lock was lost
			x.loose = max(x.began, x.ended-grace)
			over[node] = x.ended
			terms = append(terms, x)
		}
		if !exclusive(terms) {
			t.Fatalf("not explained: %+v", terms)
		}
		k := rapid.IntRange(0, len(terms)-1).Draw(t, "holder")
		x := terms[k]
		if x.loose <= x.began+time.Second {
			return
		}
		rival := term{node: "rival", epoch: x.epoch + 1, began: x.began + time.Second, acquire: x.began + time.Millisecond, ended: x.ended, loose: x.loose}
		terms = slices.Insert(terms, k+1, rival)
		if exclusive(terms) {
			t.Fatalf("explained, though two led at once: %+v", terms)
		}
	})
}
