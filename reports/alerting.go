package reports

import (
	"strconv"

	"github.com/ratel-sim/ratel/scenarios/check"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/system/port"
)

// maxDefined bounds how many objectives and alerts the terminal shows; the page has all.
const maxDefined = 20

// isRoutine says whether an announcement tells only that all goes on, every second or so: the timeline leaves it out.
func isRoutine(e *evidence.Entry) bool {
	return e.Kind == evidence.Announced && e.Event == port.EventProgress
}

// eventful is the timeline without what is routine.
func eventful(all []evidence.Entry) []evidence.Entry {
	list := make([]evidence.Entry, 0, len(all))
	for i := range all {
		if !isRoutine(&all[i]) {
			list = append(list, all[i])
		}
	}
	return list
}

// objectiveView is one SLO as it is shown.
type objectiveView struct {
	Name, Dataset, Target         string
	Good, Total, TruthGood, Truth string
	Minutes, Wrong                string
	Bad                           bool // something is wrong with what was counted
	Compliance, Budget            string
	Overspent                     bool
}

func viewObjective(o *check.ObjectiveStats) objectiveView {
	v := objectiveView{
		Name: o.Name, Dataset: o.Dataset, Target: percent(o.Target), Good: count(o.Good), Total: count(o.Total),
		TruthGood: extent(o.GoodLow, o.GoodHigh), Truth: extent(o.TotalLow, o.TotalHigh), Minutes: count(o.Minutes), Wrong: count(o.Wrong), Bad: o.Wrong > 0,
		Compliance: "no data", Budget: "–", Overspent: o.BudgetLeft < 0,
	}
	if !o.Judged {
		v.TruthGood, v.Truth, v.Wrong = "not known", "not known", "–"
	}
	if o.Total > 0 {
		v.Compliance, v.Budget = percent(o.Compliance), strconv.FormatFloat(100*o.BudgetLeft, 'f', 1, 64)+" %"
	}
	return v
}

// extent is a range of counts.
func extent(low, high int64) string {
	if low == high {
		return count(low)
	}
	return count(low) + "–" + count(high)
}

// alertView is one alert as it is shown.
type alertView struct {
	Name, Dataset                                                                   string
	Windows, Evaluated, Missed, Late, Stale, Fired, Resolved, Delivered, Duplicates string
	P50, Max                                                                        string
	Bad                                                                             bool // a window is missing or late, or a notice was not delivered
}

func viewAlert(a *check.AlertStats) alertView {
	v := alertView{
		Name: a.Name, Dataset: a.Dataset, Windows: count(a.Windows), Evaluated: count(a.Evaluated), Missed: count(a.Missed), Late: count(a.Late), Stale: count(a.Stale),
		Fired: count(a.Fired), Resolved: count(a.Resolved), Delivered: count(a.Delivered), Duplicates: count(a.Duplicates), P50: "–", Max: "–",
		Bad: a.Missed > 0 || a.Late > 0 || a.Delivered < a.Fired+a.Resolved,
	}
	if a.Latency.Events > 0 {
		v.P50, v.Max = duration(a.Latency.P50), duration(a.Latency.Max)
	}
	return v
}

func viewed[T, V any](list []T, view func(*T) V) []V {
	var views []V
	for i := range list {
		views = append(views, view(&list[i]))
	}
	return views
}

// objectives says what was counted for SLOs, against what was sent.
func (t *text) objectives() {
	if len(t.j.Objectives) == 0 {
		return
	}
	t.heading("OBJECTIVES, events counted by sample rate against those that were sent")
	g := grid{numeric: true, head: []string{"objective, dataset", "target", "good", "sent good", "total", "sent", "wrong minutes", "compliance", "budget left"}}
	shown, rest := bounded(t.j.Objectives, maxDefined)
	for _, v := range viewed(shown, viewObjective) {
		g.rows = append(g.rows, []string{v.Name + ", " + v.Dataset, v.Target, v.Good, v.TruthGood, v.Total, v.Truth, v.Wrong + " of " + v.Minutes, v.Compliance, v.Budget})
	}
	t.grid(g)
	if rest > 0 {
		t.indent("", "and "+plural(rest, "more objective")+" in the report")
	}
}

// alerts says how each alert was evaluated and delivered.
func (t *text) alerts() {
	if len(t.j.Alerts) == 0 {
		return
	}
	t.heading("ALERTS, latency from a window's end to the first delivery")
	g := grid{numeric: true, head: []string{"alert, dataset", "windows", "evaluated", "missed", "late", "stale", "fired", "resolved", "delivered", "duplicates", "p50", "max"}}
	shown, rest := bounded(t.j.Alerts, maxDefined)
	for _, v := range viewed(shown, viewAlert) {
		g.rows = append(g.rows, []string{v.Name + ", " + v.Dataset, v.Windows, v.Evaluated, v.Missed, v.Late, v.Stale, v.Fired, v.Resolved, v.Delivered, v.Duplicates, v.P50, v.Max})
	}
	t.grid(g)
	if rest > 0 {
		t.indent("", "and "+plural(rest, "more alert")+" in the report")
	}
}
