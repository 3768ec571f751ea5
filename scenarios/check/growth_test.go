package check

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
)

// grownHistory is a run whose runbook gave the topic two partitions more, early in its second phase, and their retrievers.
func grownHistory() *evidence.Evidence {
	e := defaultShape().history()
	p := e.Plan
	p.System.Kafka.Partitions = 4
	p.Checks = append(p.Checks, plan.Check{Name: plan.CheckCoverage, Pos: scriptPos})
	p.Phases[1].Runbook = []plan.Step{
		{Kind: plan.StepAddPartitions, Topic: system.EventsTopic, To: 6, Pos: plan.Pos{File: scriptPos.File, Line: 30, Col: 9}},
		{Kind: plan.StepStartRetrievers, First: 4, To: 6, Pos: plan.Pos{File: scriptPos.File, Line: 31, Col: 9}},
		{Kind: plan.StepOpenPartitions, First: 4, To: 6, Pos: plan.Pos{File: scriptPos.File, Line: 32, Col: 9}},
	}
	for i, s := range p.Steps() {
		at := 11*sec + time.Duration(i)*sec
		for _, kind := range []evidence.EntryKind{evidence.StepBegan, evidence.StepDone} {
			e.Timeline = append(e.Timeline, evidence.Entry{At: at, Kind: kind, Phase: s.Phase, Fault: s.ID(), Event: string(s.Kind), Detail: s.String(), Pos: &s.Pos})
			at += sec / 2
		}
	}
	slices.SortStableFunc(e.Timeline, func(a, b evidence.Entry) int { return int(a.At - b.At) })
	// What the new partitions have was sent after they were there.
	for i := range e.Ops {
		for k := range e.Ops[i].Parts {
			if part := &e.Ops[i].Parts[k]; part.Partition >= 4 && e.Ops[i].Intended < 13*sec {
				part.Partition -= 4
			}
		}
	}
	for part := range int32(6) {
		for _, name := range grown(e).System.Retrievers(part) {
			for _, at := range []time.Duration{sec, 14 * sec, 40 * sec} {
				if part < 4 || at > 13*sec {
					e.Places = append(e.Places, evidence.Place{At: at, Retriever: name, Partition: part, Zone: "a", Claimed: true})
				}
			}
		}
	}
	slices.SortStableFunc(e.Places, func(a, b evidence.Place) int { return int(a.At - b.At) })
	return e
}

// unclaim says of a retriever that it had no partition, whenever it was asked from a moment on.
func unclaim(e *evidence.Evidence, name string, from time.Duration) {
	for i := range e.Places {
		if x := &e.Places[i]; x.Retriever == name && x.At >= from {
			x.Claimed = false
		}
	}
}

func TestRunbookAndCoverage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		plant             func(e *evidence.Evidence)
		runbook, coverage Verdict
		says              string // by the one of both that does not pass
	}{
		"as it should be": {func(*evidence.Evidence) {}, Pass, Pass, ""},
		"a retriever that was never started": {func(e *evidence.Evidence) {
			e.Places = slices.DeleteFunc(e.Places, func(x evidence.Place) bool { return x.Retriever == "retriever6" })
		}, Pass, Fail, "partition 5 was added, and retriever6 does not follow it"},
		"one that answers and does not follow": {func(e *evidence.Evidence) { unclaim(e, "retriever5", 0) }, Pass, Fail, "has not claimed the partition"},
		"one that has lost it at last":         {func(e *evidence.Evidence) { unclaim(e, "retriever5", 40*sec) }, Pass, Fail, "partition 4 was added, and retriever5 does not follow it"},
		"one that was late": {func(e *evidence.Evidence) {
			unclaim(e, "retriever5", 0)
			e.Places[len(e.Places)-2].Claimed = true
		}, Pass, Pass, ""},
		"an old one is for others to judge": {func(e *evidence.Evidence) { unclaim(e, "retriever1", 0) }, Pass, Pass, ""},
		"a new partition without events": {func(e *evidence.Evidence) {
			e.Log = slices.DeleteFunc(e.Log, func(m evidence.LogMark) bool { return m.Partition == 5 })
		}, Pass, Inconclusive, "1 partition of 2 that were added never had an event"},
		"the log is not known": {func(e *evidence.Evidence) {
			e.Log, e.Gaps = nil, []evidence.Gap{{What: "log", Why: "no broker answered"}}
		}, Pass, Inconclusive, "not known: "},
		"cut short": {func(e *evidence.Evidence) {
			unclaim(e, "retriever5", 0)
			e.Run.Ended = "interrupted"
		}, Pass, Inconclusive, "cut short"},
		"nobody asked": {func(e *evidence.Evidence) { e.Places = nil }, Pass, Inconclusive, "was not asked"},
		"a step that failed": {func(e *evidence.Evidence) {
			for i := range e.Timeline {
				if x := &e.Timeline[i]; x.Kind == evidence.StepDone && x.Event == string(plan.StepOpenPartitions) {
					x.Kind, x.Detail = evidence.StepFailed, "open_partitions(4, 6): the database did not answer"
				}
			}
		}, Inconclusive, Pass, "step open_partitions(4, 6) was not done: open_partitions(4, 6): the database did not answer"},
		"a step that nobody tells of": {func(e *evidence.Evidence) {
			e.Timeline = slices.DeleteFunc(e.Timeline, func(x evidence.Entry) bool {
				return x.Kind == evidence.StepDone && x.Event == string(plan.StepStartRetrievers)
			})
		}, Inconclusive, Pass, "step start_retrievers(4, 6) was not done"},
		"nothing was added": {func(e *evidence.Evidence) {
			for i := range e.Timeline {
				if x := &e.Timeline[i]; x.Kind == evidence.StepDone && x.Event == string(plan.StepAddPartitions) {
					x.Kind = evidence.StepFailed
				}
			}
		}, Inconclusive, Inconclusive, "no partition was seen to be added"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := grownHistory()
			c.plant(e)
			j := Judge(e)
			book, cover := result(j, plan.CheckRunbook), result(j, plan.CheckCoverage)
			if book.Verdict != c.runbook || cover.Verdict != c.coverage {
				t.Fatalf("runbook %v, coverage %v; want %v, %v: %s", book.Verdict, cover.Verdict, c.runbook, c.coverage, verdicts(j))
			}
			all := book.Summary + "\n" + cover.Summary
			for _, f := range slices.Concat(book.Findings, cover.Findings) {
				all += "\n" + f.Title + "\n" + strings.Join(f.Evidence, "\n")
				if f.Check == plan.CheckRunbook && (f.Pos == nil || f.Pos.Line < 30) {
					t.Errorf("a finding of the runbook without its step's place: %+v", f)
				}
			}
			if !strings.Contains(all, c.says) {
				t.Errorf("%q is not said:\n%s", c.says, all)
			}
		})
	}
}
