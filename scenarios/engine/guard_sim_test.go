package engine_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/scenarios/check"
	"github.com/ratel-sim/ratel/scenarios/engine"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/sim"
	"github.com/ratel-sim/ratel/system/planted"
)

const (
	guardStep = `s.guard("ingest", target = "99%", within = "3s", burn = 5, window = "5s")
		`
	// tooMuch is more than the pipeline can bear, for ever unless the run is aborted, and would go on with more.
	tooMuch = guardStep + `s.phase("baseline", "6s")
		s.phase("outage", "25s", faults = [kill(any_of("kafka", 2), permanent = True), kill(node("retriever1"))])
		s.phase("more", "8s", faults = [kill(node("shepherd1"))])
		s.phase("recovery", "10s")`
	// broken has no steady state: the guard measures one in which two brokers are away.
	broken = guardStep + `s.phase("baseline", "15s")
		s.phase("outage", "8s", faults = [kill(node("shepherd1"))])
		s.phase("recovery", "10s")`
	bearable = guardStep + `s.phase("baseline", "6s")
		s.phase("outage", "8s", faults = [kill(node("zk1"))])
		s.phase("recovery", "10s")`
)

// refusing is the planted bug that uses up budget before any fault.
const refusing = planted.RefusesAShare

func bugs(t *testing.T, ids ...string) planted.Set {
	t.Helper()
	set, err := planted.Parse(ids...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func runGuarded(t *testing.T, p *plan.Plan, opts engine.Options, ids ...string) (*evidence.Evidence, *check.Judgement, check.Result) {
	t.Helper()
	opts.Seed, opts.Planted = 3, ids
	ev, err := engine.Run(context.Background(), sim.New(sim.Options{Seed: 3, Planted: bugs(t, ids...)}), p, opts)
	if err != nil {
		t.Fatal(err)
	}
	j := check.Judge(ev)
	i := slices.IndexFunc(j.Results, func(r check.Result) bool { return r.Check == check.CheckGuard })
	if i < 0 {
		t.Fatal("the guard was not judged")
	}
	return ev, j, j.Results[i]
}

func count(ev *evidence.Evidence, kind evidence.EntryKind) int {
	n := 0
	for i := range ev.Timeline {
		if ev.Timeline[i].Kind == kind {
			n++
		}
	}
	return n
}

func finds(r check.Result, v check.Verdict, part string) bool {
	return slices.ContainsFunc(r.Findings, func(f check.Finding) bool { return f.Verdict == v && strings.Contains(f.Title, part) })
}

func TestGuardLetsABearableFaultPass(t *testing.T) {
	t.Parallel()
	ev, j, r := runGuarded(t, planOf(t, bearable), engine.Options{})
	if j.Verdict != check.Pass || r.Verdict != check.Pass {
		t.Errorf("%v: %s", j.Verdict, j.Reason)
	}
	gate := entry(t, ev, evidence.GateOpened)
	if g := j.Guards[0]; !g.Opened || g.Left != 1-gate.Burn || g.Counted < 500 || g.StoppedAt != check.None {
		t.Errorf("guard %+v, gate %+v", g, gate)
	}
}

// TestGuardAborts shows the whole of an abort: everything heals, permanent or not, nothing more is injected, the load goes on
// until the system has recovered, and what was not reached is not called a pass.
func TestGuardAborts(t *testing.T) {
	t.Parallel()
	p := planOf(t, tooMuch)
	p.Checks = append(p.Checks, plan.Check{Name: plan.CheckRecovers, Args: plan.CheckArgs{Within: plan.Duration(20 * time.Second)}})
	p.Checks = append(p.Checks, plan.Check{Name: plan.CheckSLOIngest, Args: plan.CheckArgs{Target: 0.5, Stage: plan.After}})
	ev, j, r := runGuarded(t, p, engine.Options{})
	stop := entry(t, ev, evidence.Aborted)
	outage, within := entry(t, ev, evidence.FaultInjected).At, 3*time.Second
	if stop.Guard != 1 || stop.Burn <= 5 || stop.At < outage || stop.At > outage+within+2*time.Second {
		t.Errorf("aborted by %+v, outage at %v", stop, outage)
	}
	if n := count(ev, evidence.PhaseBegan); n != 2 {
		t.Errorf("%d phases began, expected 2", n)
	}
	for i := range j.Faults {
		f := &j.Faults[i]
		if f.Phase == "outage" && (f.Healed < stop.At || f.Healed > stop.At+time.Second || f.Back == check.None) {
			t.Errorf("not healed by the abort: %+v", f)
		}
		if f.Phase == "more" && f.Injected != check.None {
			t.Errorf("injected after the abort: %+v", f)
		}
	}
	if ended := entry(t, ev, evidence.LoadEnded).At; ended < stop.At+20*time.Second {
		t.Errorf("the load ended at %v, %v after the abort", ended, ended-stop.At)
	}
	entry(t, ev, evidence.Drained)
	if j.Verdict != check.Fail || r.Verdict != check.Fail || len(r.Findings) != 1 || !finds(r, check.Fail, "aborted") {
		t.Errorf("%v %v %+v", j.Verdict, r.Verdict, r.Findings)
	}
	if f := r.Findings[0]; f.FaultID != "outage/0" || f.Pos == nil || j.Guards[0].StoppedAt != stop.At || j.Guards[0].MaxBurn != stop.Burn {
		t.Errorf("finding %+v, guard %+v", f, j.Guards[0])
	}
	for _, r := range j.Results {
		want := check.Pass
		switch r.Check {
		case check.CheckGuard:
			want = check.Fail
		case check.CheckSLOIngest, check.CheckFaults:
			want = check.Inconclusive
		}
		if r.Verdict != want {
			t.Errorf("%s is %v, expected %v: %s", r.Name, r.Verdict, want, r.Summary)
		}
	}
}

// TestTheLoadGoesOnAfterAnAbort: also if the plan's phases would be over before the system can be seen to be well again.
func TestTheLoadGoesOnAfterAnAbort(t *testing.T) {
	t.Parallel()
	p := planOf(t, tooMuch)
	p.Phases = p.Phases[:2]
	p.Checks = append(p.Checks, plan.Check{Name: plan.CheckRecovers, Args: plan.CheckArgs{Within: plan.Duration(30 * time.Second)}})
	ev, _, _ := runGuarded(t, p, engine.Options{})
	stop, end := entry(t, ev, evidence.Aborted).At, entry(t, ev, evidence.LoadEnded).At
	if last := ev.Ops[len(ev.Ops)-1].Intended; end < stop+30*time.Second || last < end-time.Second || last < p.Length() {
		t.Errorf("aborted at %v; the last request was to be sent at %v, and the load ended at %v", stop, last, end)
	}
}

// TestGuardKeepsTheGateClosed plants a bug that uses up the budget before any fault.
func TestGuardKeepsTheGateClosed(t *testing.T) {
	t.Parallel()
	ev, j, r := runGuarded(t, planOf(t, broken), engine.Options{}, refusing)
	entry(t, ev, evidence.GateClosed)
	if count(ev, evidence.FaultInjected) > 0 || count(ev, evidence.PhaseBegan) != 1 {
		t.Errorf("the experiment was started: %+v", ev.Timeline)
	}
	if j.Verdict != check.Inconclusive || !finds(r, check.Inconclusive, "the experiment was not started, because") {
		t.Errorf("%v: %s", j.Verdict, j.Reason)
	}
	if !strings.HasPrefix(j.Reason, r.Name) {
		t.Errorf("the reason is not the guard's: %s", j.Reason)
	}
}

// TestGuardWithoutEvidenceStaysClosed sends less than was planned: too little to tell is never enough.
func TestGuardWithoutEvidenceStaysClosed(t *testing.T) {
	t.Parallel()
	p := planOf(t, bearable)
	p.Guards[0].AtLeast = 100_000
	ev, j, r := runGuarded(t, p, engine.Options{})
	entry(t, ev, evidence.GateClosed)
	if count(ev, evidence.FaultInjected) > 0 || j.Verdict != check.Inconclusive || r.Verdict != check.Inconclusive {
		t.Errorf("%v: %s", j.Verdict, j.Reason)
	}
}

// TestGuardOfQueries aborts because queries are not answered completely.
func TestGuardOfQueries(t *testing.T) {
	t.Parallel()
	ev, _, r := runGuarded(t, planOf(t, `s.readers("r", every = "200ms")
		s.guard("query", target = "90%", within = "3s", burn = 5, window = "6s")
		s.phase("warm-up", "5s", stage = "warmup")
		s.phase("baseline", "10s")
		s.phase("outage", "60s", faults = [kill(all_of("query"))])
		s.phase("recovery", "10s")`), engine.Options{})
	stop := entry(t, ev, evidence.Aborted)
	if r.Verdict != check.Fail || len(r.Findings) != 1 || stop.At > 25*time.Second {
		t.Errorf("%+v: %+v", stop, r.Findings)
	}
}

// TestGuardsMachinery plants bugs into the gate and the abort themselves: the check computes both anew.
func TestGuardsMachinery(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		steps   string
		opts    engine.Options
		planted []string
		want    string
	}{
		{"gate always open", broken, engine.Options{}.WithDefect(engine.Defects.GateIsOpen), []string{refusing}, "started without enough error budget"},
		{"closed gate not obeyed", broken, engine.Options{}.WithDefect(engine.Defects.GateIsTold), []string{refusing}, "the experiment was started all the same"},
		{"no gate", bearable, engine.Options{}.WithDefect(engine.Defects.GateIsGone), nil, "nobody had looked at the gate"},
		{"H6, abort does not abort", tooMuch, engine.Options{}.WithDefect(engine.Defects.AbortIsTold), nil, "the abort did not abort: phase"},
		{"no abort", tooMuch, engine.Options{}.WithDefect(engine.Defects.AbortIsGone), nil, "and the run did not stop"},
		{"H5, abort does not heal", tooMuch, engine.Options{}.WithDefect(engine.Defects.HealIsGone), nil, "the abort did not heal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, j, r := runGuarded(t, planOf(t, c.steps), c.opts, c.planted...)
			if j.Verdict != check.Fail || !finds(r, check.Fail, c.want) {
				t.Errorf("%v %q, findings %+v", r.Verdict, r.Summary, r.Findings)
			}
		})
	}
}

// TestGuardIsDeterministic runs a seed twice.
func TestGuardIsDeterministic(t *testing.T) {
	t.Parallel()
	a, _, _ := runGuarded(t, planOf(t, tooMuch), engine.Options{})
	b, _, _ := runGuarded(t, planOf(t, tooMuch), engine.Options{})
	if a.Run.TraceHash != b.Run.TraceHash || a.Run.Steps != b.Run.Steps {
		t.Errorf("%s after %d steps, then %s after %d", a.Run.TraceHash, a.Run.Steps, b.Run.TraceHash, b.Run.Steps)
	}
}
