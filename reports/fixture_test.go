package reports

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/scenarios/check"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/port"
)

// The fixtures are runs as they look, made up: a broker is lost at 30 s and comes back at 75 s.
const (
	fixtureLength = 122 * time.Second
	fixtureLoad   = 120 * time.Second
	lossAt        = 32 * time.Second
	healAt        = 75 * time.Second
	batchesASec   = 40
	batchEvents   = 10
)

func at(line int) *plan.Pos { return &plan.Pos{File: "broker-loss.star", Line: line, Col: 5} }

func fixturePlan() *plan.Plan {
	return &plan.Plan{
		Version: 1, Scenario: "broker-loss", Worlds: []string{"sim", "containers"}, System: system.Default(), Pos: *at(7),
		Doc:    "Lose the leader of one Kafka partition under steady ingest, then let it come back.\n\nNo event that was answered 202 may be lost, and ingest must stay up while one\nof three brokers is away.",
		Params: []plan.Param{{Name: "outage", Default: "60s", Value: "45s"}, {Name: "rate", Default: "400", Value: "400"}},
		Traffic: []plan.Traffic{{Name: "steady", Shape: plan.Steady, EventsPerSecond: batchesASec * batchEvents, EventsPerBatch: batchEvents, EventBytes: 300, Datasets: 20, Clients: 50,
			Timeout: plan.Duration(15 * time.Second), Pos: *at(16)}},
		Phases: []plan.Phase{
			{Name: "baseline", Length: plan.Duration(30 * time.Second), Stage: plan.Before, Pos: *at(18), Expect: []plan.Expectation{{Source: "ack.p99 < 150ms"}}},
			{Name: "outage", Length: plan.Duration(45 * time.Second), Stage: plan.During, Pos: *at(20), Faults: []plan.Fault{{Kind: system.FaultReplace, Target: plan.Selector{Kind: plan.SelectLeader, Topic: "events"}, At: plan.Duration(2 * time.Second), Pos: *at(23)}},
				Expect: []plan.Expectation{{Source: "ack.p99 < 2s"}, {Source: "ack.error_rate < 1%"}}},
			{Name: "recovery", Length: plan.Duration(45 * time.Second), Stage: plan.After, Pos: *at(27), Expect: []plan.Expectation{{Source: "kafka.under_replicated == 0 within 30s"}}},
		},
	}
}

// fixtureOps are the clients' requests, with a hump of latency after the loss and a few that were never answered.
func fixtureOps(r *rand.Rand) []evidence.Op {
	var ops []evidence.Op
	for i := range int(fixtureLoad.Seconds() * batchesASec) {
		intended := time.Duration(i) * time.Second / batchesASec
		wait := 4*time.Millisecond + time.Duration(r.ExpFloat64()*float64(2*time.Millisecond))
		if r.IntN(200) == 0 {
			wait += time.Duration(r.ExpFloat64() * float64(30*time.Millisecond))
		}
		code := 202
		switch since := intended - lossAt; {
		case since >= 0 && since < 6*time.Second && r.IntN(3) == 0: // a third of the partitions is without a leader
			wait += 6*time.Second - since + time.Duration(r.ExpFloat64()*float64(200*time.Millisecond))
			if r.IntN(25) == 0 {
				code, wait = 504, 12*time.Second
			}
		case since >= 6*time.Second && intended < healAt:
			wait += time.Duration(r.ExpFloat64() * float64(time.Millisecond))
		}
		if since := intended - healAt; since > 0 && since < 2*time.Second && r.IntN(12) == 0 {
			code = 429
		}
		op := evidence.Op{Producer: uint32(i % 50), FirstSeq: uint64(i / 50 * batchEvents), Count: batchEvents, Dataset: fmt.Sprintf("team-a/checkout-%d", i%20), Target: fmt.Sprintf("shepherd%d", i%2+1),
			Intended: intended, Sent: intended, Done: intended + wait, Code: 200, Parts: []evidence.Part{{Count: batchEvents, Code: code, Partition: int32(i % 6), Offset: int64(i / 6)}}}
		ops = append(ops, op)
	}
	return ops
}

func fixtureTimeline() []evidence.Entry {
	e := func(t time.Duration, kind evidence.EntryKind, phase string) evidence.Entry {
		return evidence.Entry{At: t, Kind: kind, Phase: phase}
	}
	fault := func(t time.Duration, kind evidence.EntryKind, detail string) evidence.Entry {
		return evidence.Entry{At: t, Kind: kind, Phase: "outage", Fault: "outage/0", Node: "kafka2", Detail: detail, Pos: at(23)}
	}
	said := func(t time.Duration, event, node, detail string) evidence.Entry {
		return evidence.Entry{At: t, Kind: evidence.Announced, Event: event, Node: node, Detail: detail}
	}
	list := []evidence.Entry{
		e(0, evidence.LoadBegan, ""), e(0, evidence.PhaseBegan, "baseline"), e(30*time.Second, evidence.PhaseEnded, "baseline"), e(30*time.Second, evidence.PhaseBegan, "outage"),
		fault(lossAt, evidence.FaultInjected, "replace kafka2"), fault(lossAt+300*time.Millisecond, evidence.FaultObserved, "connections are refused"),
		said(lossAt+3100*time.Millisecond, port.EventSessionExpired, "kafka2", "broker session"), said(lossAt+3200*time.Millisecond, port.EventLeaderElected, "kafka1", "events/0: kafka1, epoch 2"), said(lossAt+3210*time.Millisecond, port.EventLeaderElected, "kafka3", "events/3: kafka3, epoch 2"),
		said(lossAt+4100*time.Millisecond, port.EventISRChanged, "kafka1", "events/0: [1 3]"), said(lossAt+4150*time.Millisecond, port.EventISRChanged, "kafka3", "events/3: [1 3]"), said(lossAt+4900*time.Millisecond, port.EventISRChanged, "kafka3", "events/5: [1 3]"),
		e(75*time.Second, evidence.PhaseEnded, "outage"), fault(healAt, evidence.FaultHealed, "heal: replace kafka2"), e(75*time.Second, evidence.PhaseBegan, "recovery"), said(healAt+2*time.Second, port.EventNodeStarted, "kafka2", "empty disk"),
		fault(healAt+4*time.Second, evidence.HealObserved, "kafka2 answers and is in the metadata"), said(healAt+11*time.Second, port.EventISRChanged, "kafka1", "events/0: [1 2 3]"), said(healAt+14*time.Second, port.EventISRChanged, "kafka3", "events/3: [1 2 3]"),
		e(fixtureLoad, evidence.PhaseEnded, "recovery"), e(fixtureLoad, evidence.LoadEnded, ""), e(fixtureLoad+400*time.Millisecond, evidence.Drained, ""),
	}
	slices.SortStableFunc(list, func(a, b evidence.Entry) int { return int(a.At - b.At) })
	return list
}

// passing is a run that held.
func passing() (*evidence.Evidence, *check.Judgement) {
	r := rand.New(rand.NewPCG(8123, 0))
	ev := &evidence.Evidence{
		Run:  evidence.Run{Version: 1, Scenario: "broker-loss", World: "sim", Seed: 8123, Build: "v0.1.0-14-g0a1b2c3", PlanHash: "9f3c2a71d0e4", Length: fixtureLength, TraceHash: "5b1e07c29ad3f418", Steps: 8_412_930},
		Plan: fixturePlan(), Ops: fixtureOps(r), Timeline: fixtureTimeline(),
	}
	j := &check.Judgement{Version: 1, Verdict: check.Pass, Run: ev.Run}
	fillFigures(ev, j)
	j.Reason = "all 47,880 accepted events are held; the system recovered 14 s after the last healing"
	result := func(name, kind, summary string, pos *plan.Pos) check.Result {
		return check.Result{Name: name, Check: kind, Verdict: check.Pass, Summary: summary, Pos: pos}
	}
	j.Results = []check.Result{
		result("evidence", check.CheckEvidence, "whole and consistent", nil),
		result("traffic", check.CheckTraffic, "12,000 events were accepted before the first fault", nil),
		result("faults.observed", check.CheckFaults, "1 of 1 fault took effect and was healed", nil),
		result("durability", check.CheckDurability, "every accepted event is held", at(31)),
		result("duplicates", check.CheckDuplicates, "no event is held twice", at(31)),
		result("recovers(30s)", check.CheckRecovers, "well again 14 s after the last healing", at(32)),
		result("slo.ingest(99%)", check.CheckSLOIngest, "held before and after", at(33)),
		result("expect baseline: ack.p99 < 150ms", check.CheckExpect, "p99 was 14.2 ms", at(18)),
		result("expect outage: ack.p99 < 2s", check.CheckExpect, "p99 was 1.62 s", at(20)),
	}
	fillStores(j)
	fillAlerting(j)
	j.Results[5].Numbers = []check.Number{{Name: "recovered after", Value: 14, Unit: "s"}, {Name: "bound", Value: 30, Unit: "s"}}
	return ev, j
}

// failing is the same run, with a planted bug that lost events in Kafka.
func failing() (*evidence.Evidence, *check.Judgement) {
	ev, j := passing()
	ev.Run.Planted = []string{"K1"}
	j.Run = ev.Run
	j.Verdict = check.Fail
	j.Reason = "durability: 148 accepted events are lost, all in Kafka during replace kafka2 (outage/0)"
	l := &j.Ledger
	l.Lost, l.Held, l.InLog = 148, l.Held-148, l.InLog-148
	l.LostByStage[1].Count = 148
	for i := range l.Replicas {
		l.Replicas[i].Local -= 148
	}
	o, a := &j.Objectives[1], &j.Alerts[1]
	o.Total, o.Good, o.Wrong, o.Compliance, o.BudgetLeft = o.Total-148, o.Good-148, 2, 0.98, -1
	a.Evaluated, a.Missed, a.Late, a.Stale, a.Delivered = 7, 1, 1, 2, 1
	j.Queries.Total.Complete, j.Queries.Total.Wrong = j.Queries.Total.Complete-2, 2
	finding := check.Finding{
		Check: check.CheckDurability, Verdict: check.Fail, Title: "148 events were acknowledged by Kafka and are not in its final log",
		Evidence: []string{"receipts name offsets 5,310 to 5,334 of events/0 and 5,302 to 5,318 of events/3", "the final logs hold other events at these offsets: leader epoch 2 began there", "leadership of both moved from kafka2 3.2 s after the fault"},
		At:       lossAt - 20*time.Millisecond, Phase: "outage", Stage: check.LostInKafka, Fault: "during replace kafka2 (outage/0)", FaultID: "outage/0", Pos: at(23), Count: 148,
	}
	for i := range check.MaxExamples {
		finding.Examples = append(finding.Examples, check.Example{Producer: uint32(i * 3), Seq: uint64(250 + i), At: lossAt - time.Duration(10-i)*time.Millisecond, Answer: 202, Target: fmt.Sprintf("shepherd%d", i%2+1), Dataset: "team-a/checkout-3",
			Where: "another event is at its offset", Receipt: true, Part: int32(i % 2 * 3), Offset: int64(5310 + i)})
	}
	j.Results[3] = check.Result{Name: "durability", Check: check.CheckDurability, Verdict: check.Fail, Summary: "148 of 47,880 accepted events are lost, all in Kafka", Pos: at(31), Findings: []check.Finding{finding},
		Numbers: []check.Number{{Name: "accepted", Value: 47880, Unit: "events"}, {Name: "lost", Value: 148, Unit: "events"}, {Name: "share lost", Value: 148.0 / 47880, Unit: "ratio"}}}
	j.Results[8].Verdict, j.Results[8].Summary = check.Fail, "p99 was 4.39 s"
	j.Results[8].Findings = []check.Finding{{Check: check.CheckExpect, Verdict: check.Fail, Title: "ack.p99 was 4.39 s, which is not < 2s", At: 30 * time.Second, Phase: "outage", Pos: at(20), Count: 1}}
	slo := &j.Stages[1].SLOs[0]
	slo.Judged, slo.Verdict, slo.Bad.Lost = true, check.Fail, 148
	j.Results[6].Verdict, j.Results[6].Summary = check.Fail, "during: 96.8 % of the events were good, 99 % were asked for"
	return ev, j
}

// inconclusive is a run whose fault did not take effect and whose holdings could not be read.
func inconclusive() (*evidence.Evidence, *check.Judgement) {
	ev, j := passing()
	ev.Run.Ended = "interrupted"
	ev.Gaps = []evidence.Gap{{What: "held", Why: "the retriever of events/4: connection refused"}}
	j.Run = ev.Run
	j.Verdict = check.Inconclusive
	j.Reason = "faults.observed: replace kafka2 (outage/0) was not seen to take effect"
	j.Ledger = check.Ledger{Counts: j.Ledger.Counts}
	f := &j.Faults[0]
	f.Observed, f.Effect, f.Back, f.Recovery = check.None, "kafka2 still answered after 20 s", check.None, "kafka2 did not answer within 60 s"
	j.Faults = append(j.Faults, check.FaultSpan{ID: "outage/1", Phase: "outage", Kind: "pause", Injected: check.None, Observed: check.None, Healed: check.None, Back: check.None, Over: check.None, Effect: "not injected: no isr.changed was announced in the phase", Pos: at(24)})
	j.Results[2] = check.Result{Name: "faults.observed", Check: check.CheckFaults, Verdict: check.Inconclusive, Summary: "1 of 2 faults took no effect that could be seen, 1 was never injected",
		Findings: []check.Finding{{Check: check.CheckFaults, Verdict: check.Inconclusive, Title: "replace kafka2 was not seen to take effect", Evidence: []string{"kafka2 still answered after 20 s"}, At: lossAt, Phase: "outage", FaultID: "outage/0", Pos: at(23), Count: 1}}}
	j.Results[3].Verdict, j.Results[3].Summary = check.Inconclusive, "what retrievers hold is not known: the retriever of events/4: connection refused"
	j.Phases[2].Ran, j.Phases[2].Begin, j.Phases[2].End, j.Phases[2].Latency = false, check.None, check.None, check.Latency{}
	return ev, j
}

// fillFigures does what the checks would: only the reports are under test here.
func fillFigures(ev *evidence.Evidence, j *check.Judgement) {
	bins := int(fixtureLength / time.Second)
	columns := map[string]check.Values{}
	names := []string{"offered", "accepted", "throttled", "refused", "unknown", "latency.p50", "latency.p99", "latency.max", evidence.UnderReplicated, evidence.BelowMinISR, evidence.Offline, evidence.BrokersLive, evidence.RetrieverLag, evidence.InFlight}
	for _, n := range names {
		columns[n] = make(check.Values, bins)
	}
	waits := make([][]time.Duration, bins)
	phases := [3][]time.Duration{}
	counts := [3]check.Counts{}
	for _, op := range ev.Ops {
		bin, phase := int(op.Intended/time.Second), 0
		switch {
		case op.Intended >= healAt:
			phase = 2
		case op.Intended >= 30*time.Second:
			phase = 1
		}
		columns["offered"][bin] += batchEvents
		counts[phase].Offered += batchEvents
		switch op.Parts[0].Code {
		case 202:
			columns["accepted"][bin] += batchEvents
			counts[phase].Accepted += batchEvents
			waits[bin] = append(waits[bin], op.Done-op.Intended)
			phases[phase] = append(phases[phase], op.Done-op.Intended)
		case 429:
			columns["throttled"][bin] += batchEvents
			counts[phase].Throttled += batchEvents
		default:
			columns["unknown"][bin] += batchEvents
			counts[phase].Unknown += batchEvents
		}
	}
	for i := range bins {
		l := latencyOf(waits[i])
		columns["latency.p50"][i], columns["latency.p99"][i], columns["latency.max"][i] = l.P50.Seconds(), l.P99.Seconds(), l.Max.Seconds()
		if l.Events == 0 {
			columns["latency.p50"][i], columns["latency.p99"][i], columns["latency.max"][i] = math.NaN(), math.NaN(), math.NaN()
		}
		columns[evidence.BrokersLive][i] = 3
		columns[evidence.InFlight][i] = 2
		if i >= 32 && i < 89 {
			columns[evidence.UnderReplicated][i] = 6
		}
		if i >= 32 && i < 77 {
			columns[evidence.BrokersLive][i] = 2
		}
		if i >= 32 && i < 36 {
			columns[evidence.Offline][i] = 2
			columns[evidence.InFlight][i] = float64(14 * (i - 31))
		}
		columns[evidence.RetrieverLag][i] = float64(40 + i*7%13)
	}
	units := map[string]string{"latency.p50": "s", "latency.p99": "s", "latency.max": "s"}
	j.Series.Step = time.Second
	for _, n := range names {
		j.Series.Columns = append(j.Series.Columns, check.Column{Name: n, Unit: units[n], Values: columns[n]})
	}
	begin := []time.Duration{0, 30 * time.Second, healAt, fixtureLoad}
	stages := []plan.Stage{plan.Before, plan.During, plan.After}
	total := &j.Ledger.Counts
	for i, ph := range ev.Plan.Phases {
		c, l := counts[i], latencyOf(phases[i])
		j.Phases = append(j.Phases, check.PhaseStats{Name: ph.Name, Stage: stages[i], Ran: true, Begin: begin[i], End: begin[i+1], Counts: c, Latency: l, Pos: ph.Pos})
		late := int64(0)
		for _, w := range phases[i] {
			if w > time.Second {
				late += batchEvents
			}
		}
		s := check.SLO{Name: "slo.ingest(99%)", Target: 0.99, Within: time.Second, Judged: i != 1, Verdict: check.Pass, Events: c.Offered, Good: c.Accepted - late, Bad: check.BadEvents{Late: late, Throttled: c.Throttled, Unknown: c.Unknown}}
		s.Fraction = float64(s.Good) / float64(s.Events)
		s.Budget = (1 - s.Fraction) / (1 - s.Target)
		j.Stages = append(j.Stages, check.StageStats{Stage: stages[i], Counts: c, Latency: l, SLOs: []check.SLO{s}})
		total.Offered += c.Offered
		total.Accepted += c.Accepted
		total.Throttled += c.Throttled
		total.Unknown += c.Unknown
	}
	kept := total.Unknown / 2
	j.Ledger.Judged, j.Ledger.InLog, j.Ledger.Held, j.Ledger.UnknownKept, j.Ledger.LogCopies = true, total.Accepted+kept, total.Accepted+kept, kept, 20
	j.Ledger.LostByStage = []check.StageLoss{{Stage: check.LostBeforeKafka}, {Stage: check.LostInKafka}, {Stage: check.LostBeforeStorage}, {Stage: check.LostSomewhere}}
	j.Faults = []check.FaultSpan{{ID: "outage/0", Phase: "outage", Kind: "replace", Node: "kafka2", Detail: "replace kafka2", Injected: lossAt, Observed: lossAt + 300*time.Millisecond, Effect: "connections are refused; leadership of events/0 and events/3 moved",
		Healed: healAt, Back: healAt + 4*time.Second, Recovery: "kafka2 answers and is in the metadata", Over: healAt + 14*time.Second, Pos: at(23)}}
}

// fillStores adds what is behind Kafka, and the readers.
func fillStores(j *check.Judgement) {
	l := &j.Ledger
	l.Replicas = []check.ReplicaCount{{Replica: 0, Local: l.Held - 9_000, Aged: 9_000}, {Replica: 1, Local: l.Held - 11_000, Aged: 11_000}}
	l.InS3, l.Visible, l.Covered = 30_000, l.Accepted, l.Accepted
	l.LostByStage = []check.StageLoss{{Stage: check.LostBeforeKafka}, {Stage: check.LostInKafka}, {Stage: check.LostBeforeStorage}, {Stage: check.LostAtRetriever}, {Stage: check.LostBeforeStore}, {Stage: check.LostSomewhere}}
	ms := func(p50, p99, most int, n int64) check.Latency {
		return check.Latency{Events: n, P50: time.Duration(p50) * time.Millisecond, P99: time.Duration(p99) * time.Millisecond, P999: time.Duration(most) * time.Millisecond, Max: time.Duration(most) * time.Millisecond}
	}
	j.Queries = &check.QueryStats{
		Total: check.QueryCounts{Asked: 60, Complete: 55, Partial: 3, Failed: 1, Unanswered: 1}, Latency: ms(42, 2300, 3100, 58), Freshness: ms(310, 6200, 6200, 8),
		Shapes: []check.ShapeStats{
			{Shape: plan.QueryFresh, Counts: check.QueryCounts{Asked: 30, Complete: 28, Partial: 1, Unanswered: 1}, Latency: ms(30, 900, 900, 29)},
			{Shape: plan.QueryCover, Counts: check.QueryCounts{Asked: 30, Complete: 27, Partial: 2, Failed: 1}, Latency: ms(61, 3100, 3100, 29)},
		},
		Phases: []check.QueryPhase{
			{Phase: "baseline", Stage: plan.Before, Counts: check.QueryCounts{Asked: 15, Complete: 15}, Latency: ms(40, 66, 66, 15), Freshness: ms(290, 350, 350, 2)},
			{Phase: "outage", Stage: plan.During, Counts: check.QueryCounts{Asked: 23, Complete: 18, Partial: 3, Failed: 1, Unanswered: 1}, Latency: ms(55, 3100, 3100, 21), Freshness: ms(800, 6200, 6200, 3)},
			{Phase: "recovery", Stage: plan.After, Counts: check.QueryCounts{Asked: 22, Complete: 22}, Latency: ms(41, 80, 80, 22), Freshness: ms(300, 400, 400, 3)},
		},
	}
	fresh := make(check.Values, int(fixtureLength/time.Second))
	for i := range fresh {
		fresh[i] = math.NaN()
		if i%15 == 3 {
			fresh[i] = 0.3 + float64(i%7)
		}
	}
	j.Series.Columns = append(j.Series.Columns, check.Column{Name: "query.freshness", Unit: "s", Values: fresh})
	for i := range j.Stages {
		s := check.SLO{Name: "slo.query(99% within 10s)", Unit: "queries", Target: 0.99, Within: 10 * time.Second, Judged: i != 1, Verdict: check.Pass, Events: 20, Good: 20, Fraction: 1}
		j.Stages[i].SLOs = append(j.Stages[i].SLOs, s)
	}
}

// fillAlerting adds what was counted for SLOs and evaluated for alerts.
func fillAlerting(j *check.Judgement) {
	for i := range 2 {
		dataset := fmt.Sprintf("team-a/checkout-%d", i)
		j.Objectives = append(j.Objectives, check.ObjectiveStats{
			SLO: int64(i + 1), Name: "fast", Dataset: dataset, Target: 0.99, Good: 2387, Total: 2394, GoodLow: 2387, GoodHigh: int64(2387 + 4*i), TotalLow: 2394, TotalHigh: int64(2394 + 5*i),
			Minutes: 2, Compliance: 2387.0 / 2394, BudgetLeft: 0.7076, Judged: true,
		})
		ms := time.Millisecond
		a := check.AlertStats{Alert: int64(i + 7), Name: "errors", Dataset: dataset, Windows: 8, Evaluated: 8}
		if i == 1 {
			a.Stale, a.Fired, a.Resolved, a.Delivered, a.Duplicates, a.Latency = 1, 1, 1, 2, 1, check.Latency{Events: 2, P50: 6180 * ms, Max: 14_320 * ms}
		}
		j.Alerts = append(j.Alerts, a)
	}
}

func latencyOf(w []time.Duration) check.Latency {
	if len(w) == 0 {
		return check.Latency{}
	}
	slices.Sort(w)
	rank := func(q float64) time.Duration { return w[max(int(math.Ceil(q*float64(len(w))))-1, 0)] }
	return check.Latency{Events: int64(len(w) * batchEvents), P50: rank(0.5), P90: rank(0.9), P95: rank(0.95), P99: rank(0.99), P999: rank(0.999), Max: w[len(w)-1]}
}
