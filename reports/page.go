package reports

import (
	"strconv"
	"strings"
	"time"

	"github.com/ratel-sim/ratel/scenarios/check"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
)

// maxEntries bounds the timeline's table.
const maxEntries = 300

// page is everything that the template of report.html shows, in its order.
type page struct {
	Scenario    string
	Verdict     string
	Mark        string // the verdict's sign, for those who do not see its colour
	Reason      string
	Replay      string
	Planted     []string
	PlantedNote string
	Ended       string
	Gaps        []evidence.Gap
	Machine     string
	Headline    []fact
	Checks      []checkView
	Tally       string
	Failed      int

	Data      chartData
	Lanes     lanes
	Heat      *heat
	Flow      flow
	Stages    []stageView
	Queries   *check.QueryStats
	SLOs      []objectiveView
	Alerts    []alertView
	Phases    []check.PhaseStats
	Faults    []faultView
	Entries   []evidence.Entry
	EntriesUp string // how many entries were left out
	Plan      planView
	Facts     []fact
	License   string
}

type fact struct{ Name, Value string }

type checkView struct {
	ID   string
	Open bool
	check.Result
	Shown []findingView
	Rest  string
}

type findingView struct {
	check.Finding
	Place    string
	Lines    []string
	Rest     string
	Examples []check.Example
}

type stageView struct {
	check.StageStats
	Latency []string
	SLOs    []sloView
}

type sloView struct {
	check.SLO
	Reached string
	Used    string
	BarW    float64 // of the bar of the budget, per cent of its box; the box ends at twice the budget
	Over    bool
	Bad     string
}

type faultView struct {
	check.FaultSpan
	Name     string
	Seen     string
	BackSeen string
}

type planView struct {
	Doc     string
	Pos     string
	Params  []plan.Param
	Nodes   []nodeGroup
	Facts   []fact
	Traffic []plan.Traffic
	Phases  []phaseView
}

type nodeGroup struct {
	Role  string
	Nodes []nodeView
}

type nodeView struct {
	Name   string
	Struck string // by which faults; "" if by none
}

type phaseView struct {
	plan.Phase
	Length string
	Faults []string
}

func newPage(ev *evidence.Evidence, j *check.Judgement) page {
	length := ev.Run.Length
	bins := 0
	for _, c := range j.Series.Columns {
		bins = max(bins, len(c.Values))
	}
	length = max(length, time.Duration(bins)*j.Series.Step)
	p := page{
		Scenario: ev.Run.Scenario, Verdict: j.Verdict.String(), Mark: mark(j.Verdict), Reason: j.Reason,
		Replay: Replay(ev), Planted: ev.Run.Planted, PlantedNote: plantedNote(j.Verdict), Ended: ev.Run.Ended, Gaps: ev.Gaps, Machine: machineNote(j),
		Data: charts(j), Lanes: drawLanes(ev, j, length), Heat: latencyHeat(ev.Ops, length), Flow: drawFlow(j.Ledger), Phases: j.Phases, Queries: j.Queries,
		SLOs: viewed(j.Objectives, viewObjective), Alerts: viewed(j.Alerts, viewAlert),
		Plan: newPlanView(ev.Plan, j.Faults), License: uplotLicense,
	}
	p.Data.frame(j, length)
	p.addChecks(j.Results)
	for _, s := range j.Stages {
		p.Stages = append(p.Stages, newStageView(s))
	}
	for _, f := range j.Faults {
		p.Faults = append(p.Faults, newFaultView(f))
	}
	entries, rest := bounded(eventful(ev.Timeline), maxEntries)
	p.Entries = entries
	if rest > 0 {
		p.EntriesUp = plural(rest, "more entry")
		if rest > 1 {
			p.EntriesUp = count(rest) + " more entries"
		}
	}
	p.addFacts(ev, j)
	return p
}

// frame adds what is drawn behind every chart and the stretches to zoom to.
func (d *chartData) frame(j *check.Judgement, length time.Duration) {
	d.Length = number(length.Seconds())
	d.Zooms = append(d.Zooms, zooming{Name: "whole run", From: 0, To: d.Length})
	for _, p := range j.Phases {
		if p.Ran && p.End > p.Begin {
			d.Bands = append(d.Bands, band{From: number(p.Begin.Seconds()), To: number(p.End.Seconds()), Kind: "phase"})
			d.Zooms = append(d.Zooms, zooming{Name: p.Name, From: number(p.Begin.Seconds()), To: number(p.End.Seconds())})
		}
	}
	faults, _ := bounded(j.Faults, maxFaultLanes)
	for _, f := range faults {
		if f.Injected < 0 {
			continue
		}
		until := length
		if f.Healed >= 0 {
			until = f.Healed
		}
		d.Bands = append(d.Bands, band{From: number(f.Injected.Seconds()), To: number(until.Seconds()), Kind: "fault"})
	}
}

// mark is a sign for a verdict.
func mark(v check.Verdict) string {
	switch v {
	case check.Pass:
		return "✓"
	case check.Fail:
		return "✕"
	case check.Inconclusive:
		return "?"
	}
	return "?"
}

func (p *page) addChecks(results []check.Result) {
	tally := map[check.Verdict]int{}
	for i, r := range results {
		v := checkView{ID: "check-" + strconv.Itoa(i+1), Result: r, Open: r.Verdict != check.Pass}
		tally[r.Verdict]++
		findings, rest := bounded(r.Findings, maxFindings)
		for _, f := range findings {
			v.Shown = append(v.Shown, newFindingView(f))
		}
		if rest > 0 {
			v.Rest = "And " + plural(rest, "more finding") + " in " + VerdictFile + "."
		}
		p.Checks = append(p.Checks, v)
	}
	var parts []string
	for _, v := range []check.Verdict{check.Fail, check.Inconclusive, check.Pass} {
		if n := tally[v]; n > 0 {
			parts = append(parts, strconv.Itoa(n)+" "+map[check.Verdict]string{check.Fail: "failed", check.Inconclusive: "inconclusive", check.Pass: "passed"}[v])
		}
	}
	p.Tally = strings.Join(parts, ", ")
	p.Failed = tally[check.Fail]
}

func newFindingView(f check.Finding) findingView {
	v := findingView{Finding: f, Place: strings.TrimSuffix(strings.TrimPrefix(findingPlace(f), " ("), ")")}
	lines, rest := bounded(f.Evidence, maxEvidence)
	for _, line := range lines {
		v.Lines = append(v.Lines, clip(line, maxLine))
	}
	if rest > 0 {
		v.Rest = "and " + plural(rest, "more line") + " in " + VerdictFile
	}
	v.Examples, _ = bounded(f.Examples, check.MaxExamples)
	return v
}

func newStageView(s check.StageStats) stageView {
	v := stageView{StageStats: s, Latency: quantiles(s.Latency)}
	for _, slo := range asked(s.SLOs) {
		o := sloView{SLO: slo, Reached: fraction(slo), Used: budget(slo)}
		used := slo.Budget
		if used < 0 {
			used = 2
		}
		o.BarW, o.Over = round(min(used, 2)*50), slo.Budget > 1 || slo.Budget < 0
		b := slo.Bad
		var bad []string
		for _, part := range []struct {
			n    int64
			name string
		}{{b.Lost, "lost"}, {b.Late, "late"}, {b.Unknown, "unknown"}, {b.Throttled, "throttled"}, {b.Refused, "refused"}, {b.Malformed, "malformed"}, {b.NotSent, "not sent"}, {b.Stale, "stale"}, {b.Wrong, "wrong"}, {b.Partial, "partial"}, {b.Failed, "failed"}, {b.Unanswered, "unanswered"}} {
			if part.n > 0 {
				bad = append(bad, count(part.n)+" "+part.name)
			}
		}
		o.Bad = strings.Join(bad, ", ")
		if o.Bad == "" {
			o.Bad = "none"
		}
		v.SLOs = append(v.SLOs, o)
	}
	return v
}

func newFaultView(f check.FaultSpan) faultView {
	return faultView{FaultSpan: f, Name: faultName(f), Seen: after(f.Observed, f.Injected), BackSeen: after(f.Back, f.Healed)}
}

func newPlanView(p *plan.Plan, spans []check.FaultSpan) planView {
	if p == nil {
		return planView{}
	}
	v := planView{Doc: p.Doc, Pos: p.Pos.String(), Params: p.Params, Traffic: p.Traffic}
	struck := map[string][]string{}
	for _, f := range spans {
		if f.Injected >= 0 {
			struck[f.Node] = append(struck[f.Node], f.Kind+" ("+f.ID+")")
		}
	}
	for _, n := range p.System.Nodes() {
		if len(v.Nodes) == 0 || v.Nodes[len(v.Nodes)-1].Role != string(n.Role) {
			v.Nodes = append(v.Nodes, nodeGroup{Role: string(n.Role)})
		}
		g := &v.Nodes[len(v.Nodes)-1]
		g.Nodes = append(g.Nodes, nodeView{Name: n.Name, Struck: strings.Join(struck[n.Name], ", ")})
	}
	k := p.System.Kafka
	v.Facts = []fact{
		{"partitions", count(k.Partitions)}, {"replication", strconv.Itoa(int(k.Replication))}, {"min.insync.replicas", strconv.Itoa(k.MinISR)},
		{"zones", strconv.Itoa(p.System.Zones)}, {"retrievers a partition", strconv.Itoa(p.System.Replicas)}, {"query nodes", strconv.Itoa(p.System.Queries)},
		{"replica.lag.time.max", duration(k.ReplicaLagTimeMax)}, {"ZooKeeper session", duration(k.SessionTimeout)},
	}
	for _, ph := range p.Phases {
		pv := phaseView{Phase: ph, Length: duration(time.Duration(ph.Length))}
		for _, f := range ph.Faults {
			pv.Faults = append(pv.Faults, faultPlanned(f))
		}
		v.Phases = append(v.Phases, pv)
	}
	return v
}

// faultPlanned says what the script asked for, before its target was known.
func faultPlanned(f plan.Fault) string {
	s := string(f.Kind) + " " + selector(f.Target)
	if len(f.From) > 0 {
		from := make([]string, len(f.From))
		for i, x := range f.From {
			from[i] = selector(x)
		}
		s += " from " + strings.Join(from, ", ")
	}
	if f.Direction != "" {
		s += " (" + string(f.Direction) + ")"
	}
	if f.At > 0 {
		s += " at +" + duration(time.Duration(f.At))
	}
	if f.For > 0 {
		s += " for " + duration(time.Duration(f.For))
	}
	if f.Aim != nil {
		s += ", aimed at " + f.Aim.On
	}
	if f.Permanent {
		s += ", permanent"
	}
	return s
}

// selector is a selector as a script writes it.
func selector(s plan.Selector) string {
	switch s.Kind {
	case plan.SelectNode:
		return s.Node
	case plan.SelectAny:
		return "any_of(" + string(s.Role) + ", " + strconv.Itoa(s.N) + ")"
	case plan.SelectAll:
		return "all_of(" + string(s.Role) + ")"
	case plan.SelectLeader:
		return "leader_of(" + s.Topic + ", " + strconv.Itoa(int(s.Partition)) + ")"
	case plan.SelectZK:
		return "zk_leader()"
	case plan.SelectPeers:
		return "others(" + string(s.Role) + ")"
	case plan.SelectSubject:
		return "subject()"
	case plan.SelectPair:
		return "pair_of(" + strconv.Itoa(int(s.Partition)) + ")"
	case plan.SelectOneOf:
		return "one_of(" + strconv.Itoa(int(s.Partition)) + ")"
	case plan.SelectZone:
		return "zone(" + s.Zone + ")"
	case plan.SelectAnyZone:
		return "any_zone()"
	}
	return string(s.Kind)
}

func (p *page) addFacts(ev *evidence.Evidence, j *check.Judgement) {
	r := ev.Run
	l := j.Ledger
	p.Headline = []fact{
		{"world", r.World}, {"seed", strconv.FormatUint(r.Seed, 10)}, {"length", duration(r.Length)},
		{"offered", plural(l.Offered, "event")}, {"accepted", count(l.Accepted)},
	}
	if l.Judged {
		p.Headline = append(p.Headline, fact{"held", count(l.Held)}, fact{"lost", count(l.Lost)})
	}
	add := func(name, value string) {
		if value != "" {
			p.Facts = append(p.Facts, fact{name, value})
		}
	}
	add("scenario", r.Scenario)
	add("world", r.World)
	add("seed", strconv.FormatUint(r.Seed, 10))
	add("build", r.Build)
	add("plan", r.PlanHash)
	add("length on the run's clock", r.Length.String())
	add("trace hash", r.TraceHash)
	if r.Steps > 0 {
		add("scheduler steps", count(r.Steps))
	}
	add("planted bugs", strings.Join(r.Planted, ", "))
	add("ended", r.Ended)
	add("formats", "evidence "+strconv.Itoa(r.Version)+", verdict "+strconv.Itoa(j.Version))
}
