package check

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/query"
)

// pipeHoles are holes in the evidence of which the check must say that it cannot tell.
var pipeHoles = []struct {
	name, check, says string
	make              func(e *evidence.Evidence)
}{
	{"no pairs in the topology", CheckPairs, "no pairs", func(e *evidence.Evidence) { e.Plan.System.Replicas = 1 }},
	{"no ranges", CheckPairs, "nothing could be compared", func(e *evidence.Evidence) { e.Pairs = nil }},
	{"a retriever's ranges are missing", CheckPairs, "connection refused", func(e *evidence.Evidence) {
		e.Gaps = []evidence.Gap{{What: "pairs", Why: "retriever3: connection refused"}}
	}},
	{"one retriever has no ranges", CheckPairs, "nothing could be compared", func(e *evidence.Evidence) {
		e.Pairs = slices.DeleteFunc(e.Pairs, func(p evidence.PairRange) bool { return p.Retriever == "retriever3" })
	}},
	{"no manifests", CheckCommitted, "no manifest was seen", func(e *evidence.Evidence) {
		e.Commits = nil
		e.Held = slices.DeleteFunc(e.Held, func(m evidence.HeldMark) bool { return m.Retriever == evidence.StoreS3 })
	}},
	{"S3 could not be read", CheckCommitted, "what S3 holds is not known", func(e *evidence.Evidence) {
		e.Gaps = []evidence.Gap{{What: "s3", Why: "events/0: the manifest: slow down"}}
	}},
	{"no writer said what it held", CheckCommitted, "no writer of a manifest said", func(e *evidence.Evidence) {
		for i := range e.Commits {
			e.Commits[i].Durable = -1
		}
	}},
	{"S3 unread, and duplicates", CheckDuplicates, "what S3 holds is not known", func(e *evidence.Evidence) { e.Gaps = []evidence.Gap{{What: "s3", Why: "no answer"}} }},
	{"S3 unread, and corruption", CheckCorruption, "what S3 holds is not known", func(e *evidence.Evidence) { e.Gaps = []evidence.Gap{{What: "s3", Why: "no answer"}} }},
	{"S3 unread, and phantoms", CheckPhantoms, "what S3 holds is not known", func(e *evidence.Evidence) { e.Gaps = []evidence.Gap{{What: "s3", Why: "no answer"}} }},
	{"S3 unread, and agreement", CheckAgreement, "what S3 holds is not known", func(e *evidence.Evidence) { e.Gaps = []evidence.Gap{{What: "s3", Why: "no answer"}} }},
	{"nothing is committed", CheckCommitted, "nothing that S3 had to hold", func(e *evidence.Evidence) {
		for i := range e.Commits {
			e.Commits[i].Next, e.Commits[i].Durable = 0, 0
		}
	}},
	{"no zones", CheckZones, "1 zone", func(e *evidence.Evidence) { e.Plan.System.Zones = 1 }},
	{"no places", CheckZones, "was not asked", func(e *evidence.Evidence) { e.Places = nil }},
	{"a retriever was never seen", CheckZones, "never seen", func(e *evidence.Evidence) {
		e.Places = slices.DeleteFunc(e.Places, func(p evidence.Place) bool { return p.Retriever == "retriever3" })
	}},
	{"no memory samples", CheckMemory, "was not measured", func(e *evidence.Evidence) { dropSamples(e, 0, end, evidence.RetrieverMemory) }},
	{"memory samples broke off", CheckMemory, "was not measured after", func(e *evidence.Evidence) { dropSamples(e, 40*sec, end, evidence.InFlightShare) }},
	{"no queries", CheckQueries, "no query was asked", func(e *evidence.Evidence) { e.Queries = nil }},
	{"few queries", CheckQueries, "at least 5 are needed", func(e *evidence.Evidence) { e.Queries = e.Queries[len(e.Queries)-4:] }},
	{"no old data", CheckQueries, "asks for old data", func(e *evidence.Evidence) {
		e.Queries = slices.DeleteFunc(e.Queries, func(q evidence.Query) bool { return q.Shape == plan.QueryOld })
	}},
	{"no epoch", CheckQueries, "clock of the events is not known", func(e *evidence.Evidence) { e.Run.Epoch = time.Time{} }},
	{"a specification that is not judged", CheckQueries, "could not be judged", func(e *evidence.Evidence) {
		e.Queries[len(e.Queries)-1].Spec = json.RawMessage(`{"calculations":[{"op":"CONCURRENCY"}],"start_time":1,"end_time":2}`)
	}},
	{"no answer that counts everything", CheckFreshness, "at least 3 are needed", func(e *evidence.Evidence) {
		e.Queries = slices.DeleteFunc(e.Queries, func(q evidence.Query) bool { return q.Shape == plan.QueryCover })
	}},
	{"freshness without answers", CheckSLOFresh, "no accepted event was looked for", func(e *evidence.Evidence) {
		e.Queries = slices.DeleteFunc(e.Queries, func(q evidence.Query) bool { return q.Shape == plan.QueryCover })
	}},
	{"freshness that nothing answered about a dataset shows", CheckSLOFresh, "visible in time cannot be said", func(e *evidence.Evidence) {
		for i := range e.Queries {
			if q := &e.Queries[i]; q.Shape == plan.QueryCover && q.Dataset == "load-0-0" {
				q.Code, q.Result, q.Error, q.Complete = 503, nil, "away", false
			}
		}
	}},
	{"a service level without queries", CheckSLOQuery, "no query was asked", func(e *evidence.Evidence) { e.Queries = nil }},
}

func TestHolesInTheEvidenceAreInconclusive(t *testing.T) {
	t.Parallel()
	s := defaultPipe()
	for _, c := range pipeHoles {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := s.history()
			c.make(e)
			res := result(Judge(e), c.check)
			if res.Verdict != Inconclusive || !strings.Contains(res.Summary, c.says) {
				t.Errorf("want inconclusive saying %q, got %v: %s", c.says, res.Verdict, res.Summary)
			}
		})
	}
}

// TestLateDataIsTold delays what queries see: freshness and its service level fail, and the wrong answers say that they are late.
func TestLateDataIsTold(t *testing.T) {
	t.Parallel()
	s := defaultPipe()
	s.lag, s.partial = 35*time.Second, 0
	e := s.history()
	for i := range e.Plan.Checks {
		if c := &e.Plan.Checks[i]; c.Name == plan.CheckFreshness {
			c.Args.Within = plan.Duration(12 * time.Second)
		}
	}
	j := Judge(e)
	for _, check := range []string{CheckFreshness, CheckQueries} {
		if res := result(j, check); res.Verdict != Fail {
			t.Errorf("%s: %v: %s", check, res.Verdict, res.Summary)
		}
	}
	told := slices.ContainsFunc(result(j, CheckQueries).Findings, func(f Finding) bool {
		return f.Stage == LostBeforeQuery && slices.ContainsFunc(f.Evidence, func(l string) bool { return strings.Contains(l, "its data are late") })
	})
	if !told {
		t.Errorf("nothing says that data are late: %+v", result(j, CheckQueries).Findings)
	}
	if j.Queries.Freshness.Max < 12*time.Second {
		t.Errorf("freshness is %+v", j.Queries.Freshness)
	}
}

// TestQueriesOutOfTimeCostTheServiceLevel: slow, failed and lost answers are bad queries, and no wrong ones.
func TestQueriesOutOfTimeCostTheServiceLevel(t *testing.T) {
	t.Parallel()
	e := defaultPipe().history()
	bad := int64(0)
	for i := range e.Queries[:12] {
		q := &e.Queries[i]
		if q.Code != 200 {
			continue
		}
		switch bad++; i % 3 {
		case 0:
			q.Code, q.Result, q.Error, q.Complete = 503, nil, "away", false
		case 1:
			q.Code, q.Result, q.Error, q.Complete = 0, nil, "no answer within 10s", false
		case 2:
			q.Done = q.Sent + 6*time.Second
		}
	}
	j := Judge(e)
	if res := result(j, CheckSLOQuery); res.Verdict != Fail {
		t.Errorf("%v: %s", res.Verdict, res.Summary)
	}
	if res := result(j, CheckQueries); res.Verdict != Pass {
		t.Errorf("%v: %s", res.Verdict, res.Summary)
	}
	slo := j.Stages[0].SLOs[len(j.Stages[0].SLOs)-1]
	if slo.Unit != "queries" || slo.Events-slo.Good != bad || slo.Bad.Late == 0 || slo.Bad.Failed == 0 || slo.Bad.Unanswered == 0 {
		t.Errorf("%d bad ones: %+v", bad, slo)
	}
}

// TestARecreatedDatasetIsForgotten: what a dataset had before it was deleted must not be counted after, and what it had
// around that moment may be.
func TestARecreatedDatasetIsForgotten(t *testing.T) {
	t.Parallel()
	s := defaultPipe()
	s.partial = 0
	at := s.before + time.Second
	make := func(forget bool) *Judgement {
		e := s.history()
		e.Plan.Phases[1].Faults = append(e.Plan.Phases[1].Faults, plan.Fault{Kind: system.FaultRecreate, Team: "load", Dataset: "load-0-0", Pos: scriptPos})
		for _, kind := range []evidence.EntryKind{evidence.FaultInjected, evidence.FaultObserved, evidence.FaultHealed, evidence.HealObserved} {
			e.Timeline = append(e.Timeline, evidence.Entry{At: at, Kind: kind, Phase: "outage", Fault: "outage/1", Node: "mysql"})
		}
		slices.SortStableFunc(e.Timeline, func(a, b evidence.Entry) int { return int(a.At - b.At) })
		truth, _ := loadTruth(e.Plan, testEpoch)
		held := map[event]bool{}
		for _, m := range e.Held {
			held[event{m.Producer, m.Seq}] = true
		}
		for i := range e.Queries {
			q := &e.Queries[i]
			if q.Dataset != "load-0-0" || q.Sent < at || q.Result == nil {
				continue
			}
			var seen []stored
			for k := range e.Ops {
				o := &e.Ops[k]
				if o.Dataset != q.Dataset || o.Sent > q.Sent || forget && o.Sent < at {
					continue
				}
				for n := range o.Count {
					if seq := o.FirstSeq + uint64(n); held[event{o.Producer, seq}] {
						when := truth.Time(o.Sent, n)
						seen = append(seen, stored{o, n, 0, when, truth.Event(0, o.Producer, seq, when)})
					}
				}
			}
			q.Result = brute(q.Spec, seen)
		}
		return Judge(e)
	}
	if res := result(make(true), CheckQueries); res.Verdict != Pass {
		t.Errorf("forgotten as it should: %v: %s %+v", res.Verdict, res.Summary, res.Findings)
	}
	if res := result(make(false), CheckQueries); res.Verdict != Fail {
		t.Errorf("remembered: %v: %s", res.Verdict, res.Summary)
	}
}

// TestPartialAnswersAreNoProofOfFreshness: what a partial answer lacks may be just what is waited for, and a query that fails says nothing at all. Under a fault that may be so; in quiet, or to the end, it is a hole in the evidence.
func TestPartialAnswersAreNoProofOfFreshness(t *testing.T) {
	t.Parallel()
	s := defaultPipe()
	s.partial, s.before, s.during, s.after, s.every = 0, 40*time.Second, 40*time.Second, 40*time.Second, 250*time.Millisecond
	lacks := func(q *evidence.Query) {
		q.Complete, q.Missing = false, []query.Missing{{Partition: 0, From: 0, To: 1 << 40, Why: "no retriever answered"}}
		for k := range q.Result.Rows { // just what was waited for
			q.Result.Rows[k].Values = nil
		}
	}
	refused := func(q *evidence.Query) { q.Code, q.Result, q.Error, q.Complete = 503, nil, "away", false }
	lost := func(q *evidence.Query) { q.Code, q.Result, q.Error, q.Complete = 0, nil, "no answer within 10s", false }
	for name, c := range map[string]struct {
		from, to time.Duration
		want     Verdict
	}{
		"none":                      {0, 0, Pass},
		"during the fault":          {s.before + 2*time.Second, s.before + s.during - time.Second, Pass},
		"before it":                 {5 * time.Second, 35 * time.Second, Inconclusive},
		"for less than the bound":   {5 * time.Second, 14 * time.Second, Pass},
		"from the fault to the end": {s.before + 2*time.Second, end, Inconclusive},
		"all the time":              {0, end, Inconclusive},
	} {
		for how, spoil := range map[string]func(*evidence.Query){"partial": lacks, "refused": refused, "lost": lost} {
			t.Run(how+" "+name, func(t *testing.T) {
				t.Parallel()
				e := s.history()
				for i := range e.Plan.Checks {
					if c := &e.Plan.Checks[i]; c.Name == plan.CheckFreshness {
						c.Args.Within = plan.Duration(12 * time.Second)
					}
				}
				for i := range e.Queries {
					if q := &e.Queries[i]; q.Shape == plan.QueryCover && q.Sent >= c.from && q.Sent < c.to {
						spoil(q)
					}
				}
				res := result(Judge(e), CheckFreshness)
				if res.Verdict != c.want {
					t.Errorf("%v, want %v: %s", res.Verdict, c.want, res.Summary)
				}
				if how == "refused" && len(res.Findings) > 0 && !strings.Contains(strings.Join(res.Findings[0].Evidence, "\n"), "says: away") {
					t.Errorf("nobody knows why: %+v", res.Findings[0])
				}
			})
		}
	}
}

// TestBlindnessIsExcusedByWhatStruck: by a fault that did, also of those who were on their way then, and not by one that never did.
func TestBlindnessIsExcusedByWhatStruck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(e *evidence.Evidence, struck time.Duration)
		from  time.Duration // after it struck
		want  Verdict
	}{
		"on its way": {func(e *evidence.Evidence, struck time.Duration) {
			for i := range e.Queries {
				if q := &e.Queries[i]; q.Sent < struck && q.Sent >= struck-4*time.Second {
					q.Done = struck + time.Second
				}
			}
		}, -4 * time.Second, Pass},
		"before": {func(*evidence.Evidence, time.Duration) {}, -4 * time.Second, Inconclusive},
		"never struck": {func(e *evidence.Evidence, _ time.Duration) {
			for _, kind := range []evidence.EntryKind{evidence.FaultInjected, evidence.FaultObserved, evidence.FaultHealed, evidence.HealObserved} {
				dropEntries(e, kind)
			}
		}, 2 * time.Second, Inconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := defaultPipe()
			s.partial, s.before, s.during, s.after, s.every = 0, 40*time.Second, 40*time.Second, 40*time.Second, 250*time.Millisecond
			e := s.history()
			for i := range e.Plan.Checks {
				if c := &e.Plan.Checks[i]; c.Name == plan.CheckFreshness {
					c.Args.Within = plan.Duration(12 * time.Second)
				}
			}
			struck := None
			for i := range e.Timeline {
				if x := &e.Timeline[i]; x.Kind == evidence.FaultInjected && struck == None {
					struck = x.At
				}
			}
			c.spoil(e, struck)
			for i := range e.Queries {
				if q := &e.Queries[i]; q.Shape == plan.QueryCover && q.Sent >= struck+c.from && q.Sent < s.before+s.during-time.Second {
					q.Complete, q.Missing = false, []query.Missing{{Partition: 0, Why: "no retriever answered"}}
				}
			}
			if res := result(Judge(e), CheckFreshness); res.Verdict != c.want {
				t.Errorf("%v, want %v: %s", res.Verdict, c.want, res.Summary)
			}
		})
	}
}

// TestPlannedEvents: a load's shape says how many it has in a stretch.
func TestPlannedEvents(t *testing.T) {
	t.Parallel()
	r := &run{plan: &plan.Plan{Phases: []plan.Phase{{Length: plan.Duration(100 * time.Second)}}}}
	s := time.Second
	for _, c := range []struct {
		load     plan.Traffic
		from, to time.Duration
		want     float64
	}{
		{plan.Traffic{Shape: plan.Steady, EventsPerSecond: 10}, 10 * s, 30 * s, 200},
		{plan.Traffic{Shape: plan.Ramp, EventsPerSecond: 10, ToPerSecond: 30}, 0, 100 * s, 2000},
		{plan.Traffic{Shape: plan.Wave, EventsPerSecond: 10}, 0, 100 * s, 1000},
		{plan.Traffic{Shape: plan.Wave, EventsPerSecond: 10}, 0, 50 * s, 500 + 500/math.Pi},
		{plan.Traffic{Shape: plan.Wave, EventsPerSecond: 10}, 74 * s, 76 * s, 10},
		{plan.Traffic{Shape: plan.Burst, EventsPerSecond: 10, ToPerSecond: 100, BurstEvery: plan.Duration(20 * s), BurstLength: plan.Duration(5 * s)}, 0, 20 * s, 200},
		{plan.Traffic{Shape: plan.Burst, EventsPerSecond: 10, ToPerSecond: 100, BurstEvery: plan.Duration(20 * s), BurstLength: plan.Duration(5 * s)}, 20 * s, 25 * s, 500},
		{plan.Traffic{Shape: plan.Burst, EventsPerSecond: 10, ToPerSecond: 100, BurstEvery: plan.Duration(20 * s), BurstLength: plan.Duration(5 * s)}, 22 * s, 43 * s, 210 + 6*90},
	} {
		if got := r.planned(&c.load, c.from, c.to); math.Abs(got-c.want) > 0.01*c.want {
			t.Errorf("%s from %v to %v: %v, expected %v", c.load.Shape, c.from, c.to, got, c.want)
		}
	}
}

// TestQueriesOfADay: seconds of a long phase are all looked at.
func TestQueriesOfADay(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	r := &run{e: &evidence.Evidence{}, plan: &plan.Plan{}}
	for at := time.Duration(0); at < day; at += time.Hour {
		r.e.Queries = append(r.e.Queries, evidence.Query{Intended: at, Sent: at, Done: at + time.Duration(len(r.e.Queries)+1)*time.Millisecond})
		r.ask.outcomes = append(r.ask.outcomes, complete)
	}
	points, _ := r.queryPoints("query.max", 0, day)
	if len(points) != 24 || points[23].from != 23*time.Hour || math.Abs(points[23].value-0.024) > 0.001 {
		t.Errorf("%+v", points)
	}
	if v, ok := r.queryValue("query.errors", 0, day); !ok || v != 0 {
		t.Errorf("%v %v", v, ok)
	}
}
