package check

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/query"
)

// watchedPipe is asked for everything of each of two datasets every 4 s, for 120 s. The fault is in the middle.
func watchedPipe() pipeShape {
	s := defaultPipe()
	s.events, s.partial, s.before, s.during, s.after, s.every = plan.EventsSmall, 0, 40*time.Second, 40*time.Second, 40*time.Second, 250*time.Millisecond
	return s
}

// asksAll says whether a query is for everything of a dataset while the load goes on.
func asksAll(q *evidence.Query, dataset string) bool {
	return q.Shape == plan.QueryCover && q.Dataset == dataset && q.Intended < 120*time.Second
}

// keepAsking leaves only those queries for everything of the second dataset, while the load goes on, that keep says.
func keepAsking(e *evidence.Evidence, keep func(q *evidence.Query) bool) {
	var kept []evidence.Query
	for i := range e.Queries {
		q := &e.Queries[i]
		if asksAll(q, "load-0-1") && !keep(q) {
			continue
		}
		kept = append(kept, *q)
	}
	e.Queries = kept
}

func none(*evidence.Query) bool { return false }

// seldom makes the plan's readers come to each dataset once in 2 s for each dataset of so many.
func seldom(e *evidence.Evidence, datasets int) { e.Plan.Traffic[0].Datasets = datasets }

// onceIn leaves one query for everything of the second dataset, with a partial answer.
func onceIn(e *evidence.Evidence, from time.Duration) {
	seldom(e, 40)
	kept := false
	keepAsking(e, func(q *evidence.Query) bool {
		if kept || q.Sent < from {
			return false
		}
		kept = true
		q.Complete, q.Missing = false, []query.Missing{{Partition: 0, Why: "no retriever answered"}}
		return true
	})
}

// recreateSecond recreates the second dataset.
func recreateSecond(e *evidence.Evidence, at time.Duration) {
	ph := &e.Plan.Phases[1]
	ph.Faults = append(ph.Faults, plan.Fault{Kind: system.FaultRecreate, Team: "load", Dataset: "load-0-1", Pos: scriptPos})
	for _, kind := range []evidence.EntryKind{evidence.FaultInjected, evidence.FaultObserved, evidence.FaultHealed, evidence.HealObserved} {
		e.Timeline = append(e.Timeline, evidence.Entry{At: at, Kind: kind, Phase: "outage", Fault: fmt.Sprintf("outage/%d", len(ph.Faults)-1), Node: "mysql"})
	}
	slices.SortStableFunc(e.Timeline, func(a, b evidence.Entry) int { return int(a.At - b.At) })
}

// TestFreshnessIsJudgedForEachDataset: of one that was there to be asked about for long enough, too few answers are no pass because another
// dataset has many. What no reader could know by plan is a number.
func TestFreshnessIsJudgedForEachDataset(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		make   func(e *evidence.Evidence)
		want   Verdict
		says   string
		judged float64
	}{
		"both are known": {func(*evidence.Evidence) {}, Pass, "bound 12s", 2},
		"never asked":    {func(e *evidence.Evidence) { keepAsking(e, none) }, Inconclusive, "dataset load-0-1: 0 of 26 queries for everything counted everything, and at least 3 are needed", 1},
		"asked twice": {func(e *evidence.Evidence) {
			keepAsking(e, func(q *evidence.Query) bool { return q.Sent > 50*time.Second && q.Sent < 58*time.Second })
		}, Inconclusive, "dataset load-0-1: 2 of 26 queries", 1},
		"asked in warm-up only": {func(e *evidence.Evidence) {
			e.Plan.Phases[0].Stage = plan.Warmup
			keepAsking(e, func(q *evidence.Query) bool { return q.Sent < 40*time.Second })
		}, Inconclusive, "dataset load-0-1: 0 of 19", 1},
		"asked before anything could be late": {func(e *evidence.Evidence) {
			keepAsking(e, func(q *evidence.Query) bool { return q.Sent < 12*time.Second })
		}, Inconclusive, "dataset load-0-1: 0 of", 1},
		"asked in the end only": {func(e *evidence.Evidence) {
			e.Queries = slices.DeleteFunc(e.Queries, func(q evidence.Query) bool { return asksAll(&q, "load-0-0") || asksAll(&q, "load-0-1") })
		}, Inconclusive, "0 answers counted everything (shape \"cover\") where a late event would have shown", 0},
		"never sent": {func(e *evidence.Evidence) {
			seldom(e, 1000) // the history alone says that it was asked
			for i := range e.Queries {
				if q := &e.Queries[i]; asksAll(q, "load-0-1") {
					q.Sent, q.Code, q.Result, q.Spec, q.Complete, q.Error = -1, 0, nil, nil, false, "not sent"
				}
			}
		}, Inconclusive, "dataset load-0-1: 0 of 27", 1},
		"answered in part during all of a long fault": {func(e *evidence.Evidence) {
			e.Plan.Phases[0].Stage = plan.Warmup
			for i := range e.Queries {
				if q := &e.Queries[i]; asksAll(q, "load-0-1") && q.Sent > 40*time.Second && q.Sent < 114*time.Second {
					q.Complete, q.Missing = false, []query.Missing{{Partition: 0, Why: "no retriever answered"}}
				}
			}
			for i := range e.Timeline {
				if x := &e.Timeline[i]; x.Kind == evidence.FaultHealed || x.Kind == evidence.HealObserved {
					x.At = 118 * time.Second
				}
			}
			slices.SortStableFunc(e.Timeline, func(a, b evidence.Entry) int { return int(a.At - b.At) })
		}, Inconclusive, "dataset load-0-1", 1},
		"no reader asks for everything": {func(e *evidence.Evidence) {
			e.Plan.Traffic = append(e.Plan.Traffic, e.Plan.Traffic[0])
			e.Plan.Traffic[1].Name = "unread"
			for i := range e.Ops {
				if o := &e.Ops[i]; o.Dataset == "load-0-1" {
					o.Traffic = 1
				}
			}
			e.Queries = slices.DeleteFunc(e.Queries, func(q evidence.Query) bool { return q.Dataset == "load-0-1" })
		}, Pass, "known of 1 of 2 datasets; no reader asks for everything of load-0-1", 1},
		"no reader gets there in time": {func(e *evidence.Evidence) {
			seldom(e, 400)
			keepAsking(e, none)
		}, Pass, "known of 1 of 2 datasets; no reader came to ask for everything in time of load-0-1", 1},
		"a reader has time for one round": {func(e *evidence.Evidence) {
			seldom(e, 40)
			keepAsking(e, none)
		}, Inconclusive, "dataset load-0-1: 0 of 1 query", 1},
		"asked once, under the fault":   {func(e *evidence.Evidence) { onceIn(e, 60*time.Second) }, Pass, "a fault kept the answer of load-0-1", 1},
		"asked once, and without cause": {func(e *evidence.Evidence) { onceIn(e, 20*time.Second) }, Inconclusive, "dataset load-0-1: 0 of 1 query", 1},
		"a dataset of the last seconds": {func(e *evidence.Evidence) {
			for i := range e.Ops {
				if o := &e.Ops[i]; o.Dataset == "load-0-1" && o.Sent < 107*time.Second {
					o.Code, o.Parts = 429, nil
				}
			}
			keepAsking(e, none)
		}, Pass, "no reader came to ask for everything in time of load-0-1", 1},
		"recreated": {func(e *evidence.Evidence) { recreateSecond(e, 75*time.Second) }, Pass, "bound 12s", 2},
		"asked since recreated only": {func(e *evidence.Evidence) {
			recreateSecond(e, 75*time.Second)
			keepAsking(e, func(q *evidence.Query) bool { return q.Sent > 65*time.Second && q.Sent < 97*time.Second })
		}, Inconclusive, "dataset load-0-1: 0 of", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := watchedPipe().history()
			for i := range e.Plan.Checks {
				if x := &e.Plan.Checks[i]; x.Name == plan.CheckFreshness {
					x.Args.Within = plan.Duration(12 * time.Second)
				}
			}
			c.make(e)
			res := result(Judge(e), CheckFreshness)
			if res.Verdict != c.want || !strings.Contains(res.Summary, c.says) {
				t.Errorf("%v: %s; want %v saying %q", res.Verdict, res.Summary, c.want, c.says)
			}
			for _, n := range res.Numbers {
				if n.Name == "datasets judged" && n.Value != c.judged || n.Name == "datasets with accepted events" && n.Value != 2 {
					t.Errorf("%s: %v, want %v of 2", n.Name, n.Value, c.judged)
				}
			}
		})
	}
}

// TestTheLevelOfFreshnessDoesNotCountUnknownDatasets: that all is visible in the end says little of when it became so.
func TestTheLevelOfFreshnessDoesNotCountUnknownDatasets(t *testing.T) {
	t.Parallel()
	e := watchedPipe().history()
	if res := result(Judge(e), CheckSLOFresh); res.Verdict != Pass {
		t.Fatalf("%v: %s", res.Verdict, res.Summary)
	}
	keepAsking(e, none)
	if res := result(Judge(e), CheckSLOFresh); res.Verdict != Inconclusive {
		t.Errorf("a dataset that was asked about in the end only: %v: %s", res.Verdict, res.Summary)
	}
}

func TestNamesOfManyDatasetsAreCounted(t *testing.T) {
	t.Parallel()
	sights := []sight{{dataset: "a", read: true, due: 3, told: 3}}
	for i := range 12 {
		sights = append(sights, sight{dataset: fmt.Sprintf("d%d", i), read: true, due: 6, told: 2})
	}
	f := unknownSets(sights)
	if len(f) != 1 || f[0].Count != 12 || len(f[0].Evidence) != MaxExamples || !strings.Contains(f[0].Title, "and 11 more datasets") {
		t.Errorf("%+v", f)
	}
	for i := range sights[1:] {
		sights[1+i].due, sights[1+i].told = 0, 0
	}
	if got, want := unjudgedSets(sights), "known of 1 of 13 datasets; no reader came to ask for everything in time of d0, d1, d2 and 9 more"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
