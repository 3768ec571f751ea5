package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
)

const (
	// guardPeriod is how often burn rates are looked at.
	guardPeriod = 250 * time.Millisecond
	// recoveryStretch is how long the load goes on after an abort at the least, so that it can be seen to recover.
	recoveryStretch = 15 * time.Second
	// recoveryMargin is how much longer than the bound of the check recovers.
	recoveryMargin = 5 * time.Second
)

// defect is a bug that a test plants in the guards' own machinery, to prove that the check of that name tells it.
type defect string

const (
	gateIsOpen  defect = "the gate is open whatever the budget"
	gateIsTold  defect = "the gate is closed, and everything goes through"
	gateIsGone  defect = "nobody looks at the gate"
	abortIsTold defect = "the abort is told and not carried out"
	abortIsGone defect = "the burn is not looked at"
	healIsGone  defect = "the abort heals nothing"
)

// guards let the experiment begin if there is error budget left, and abort it when the budget burns too fast.
type guards struct {
	r      *run
	ctx    context.Context // of the phases: ends when the experiment is aborted
	cancel context.CancelFunc
	unlook context.CancelFunc // ends the watch; nil while there is none

	first, last int // phases with faults
	permanent   bool

	mu        sync.Mutex
	aborted   bool
	abortedAt time.Duration
}

func newGuards(ctx context.Context, r *run) *guards {
	g := &guards{r: r, ctx: ctx, cancel: func() {}, first: -1, last: -1}
	if len(r.p.Guards) == 0 {
		return g
	}
	g.first, g.last, g.permanent, _ = r.p.Experiment()
	g.ctx, g.cancel = r.w.Runtime().WithCancel(ctx)
	return g
}

// letsBegin says whether a phase may begin. Before the first with faults it looks at the gate, and then watches.
func (g *guards) letsBegin(phase int) bool {
	if phase != g.first {
		return true
	}
	if g.r.opts.defect != gateIsGone && !g.gate() && g.r.opts.defect != gateIsTold {
		return false
	}
	lookCtx, stop := g.r.w.Runtime().WithCancel(g.ctx)
	g.unlook = stop
	if g.r.opts.defect != abortIsGone {
		g.r.w.Runtime().Go("guards", func(context.Context) { g.watch(lookCtx) })
	}
	return true
}

// ended is told that a phase is over. After the last with faults there is nothing left to stop, unless one of them stays.
func (g *guards) ended(phase int) {
	if phase == g.last && !g.permanent && g.unlook != nil {
		g.unlook()
	}
}

// gate measures the steady state and tells what each guard makes of it.
func (g *guards) gate() (open bool) {
	now, from := g.r.rec.now(), g.steadySince()
	open = true
	for i := range g.r.p.Guards {
		pg := &g.r.p.Guards[i]
		m := g.r.newMeter(pg, now-from)
		m.since = from
		m.advance(now)
		n := m.long.good + m.long.bad
		rate, known := pg.Rate(m.long.good, m.long.bad)
		e := evidence.Entry{Kind: evidence.GateOpened, Guard: i + 1, Burn: rate, Pos: &pg.Pos}
		switch {
		case g.r.opts.defect == gateIsOpen:
			e.Detail = "the gate is open"
		case !known:
			e.Kind, e.Detail = evidence.GateClosed, fmt.Sprintf("only %d %s were decided in the steady state, and it wants at least %d", n, m.unit(), pg.AtLeast)
			open = false
		case 1-rate < pg.Gate:
			e.Kind, e.Detail = evidence.GateClosed, fmt.Sprintf("%s of the error budget is left after the steady state, and it wants %s: %d of %d %s were bad", percent(1-rate), percent(pg.Gate), m.long.bad, n, m.unit())
			open = false
		default:
			e.Detail = fmt.Sprintf("%s of the error budget is left after the steady state: %d of %d %s were bad", percent(1-rate), m.long.bad, n, m.unit())
		}
		g.r.rec.add(e)
	}
	if !open {
		g.r.progress("", "the gate is closed: the experiment is not started")
	}
	return open
}

// percent writes a share of the budget.
func percent(v float64) string { return fmt.Sprintf("%.4g%%", 100*v) }

// steadySince is when the first phase of stage before began: what was to be sent earlier is none of the steady state.
func (g *guards) steadySince() time.Duration {
	for i := range g.first {
		if ph := &g.r.p.Phases[i]; ph.Stage == plan.Before {
			return g.r.rec.phaseBegan(ph.Name)
		}
	}
	return g.r.rec.now()
}

// watch looks at the burn rates until one passes its limit.
func (g *guards) watch(ctx context.Context) {
	rtm := g.r.w.Runtime()
	meters := make([]*meter, len(g.r.p.Guards))
	for i := range meters {
		meters[i] = g.r.newMeter(&g.r.p.Guards[i], time.Duration(g.r.p.Guards[i].Window))
	}
	for rtm.Sleep(ctx, guardPeriod) == nil {
		for i, m := range meters {
			now := g.r.rec.now()
			m.advance(now)
			if m.plan.Stops(m.long.good, m.long.bad, m.short.good, m.short.bad) {
				g.abort(i, m, now)
				return
			}
		}
	}
}

// abort ends the phases. They heal when their task notices, which is at once.
func (g *guards) abort(guard int, m *meter, now time.Duration) {
	rate, _ := m.plan.Rate(m.long.good, m.long.bad)
	say := fmt.Sprintf("the error budget burns %.3g times too fast over %s, the limit is %.3g: %d of %d %s were bad", rate, m.plan.Window, m.plan.Burn, m.long.bad, m.long.good+m.long.bad, m.unit())
	g.r.rec.add(evidence.Entry{Kind: evidence.Aborted, Guard: guard + 1, Burn: rate, Detail: say, Pos: &m.plan.Pos})
	g.r.progress("", "aborted: "+say)
	if g.r.opts.defect == abortIsTold {
		return
	}
	g.mu.Lock()
	g.aborted, g.abortedAt = true, now
	g.mu.Unlock()
	g.r.load.Extend() // recovery may take longer than what was left of the plan
	g.cancel()
}

func (g *guards) hasAborted() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.aborted
}

// recover heals everything and lets the load go on until it can be seen that the system is well again.
func (g *guards) recover(ctx context.Context, f *faults) error {
	if g.r.opts.defect != healIsGone {
		f.abort()
	}
	rtm := g.r.w.Runtime()
	stretch := recoveryStretch
	for i := range g.r.p.Checks {
		if c := &g.r.p.Checks[i]; c.Name == plan.CheckRecovers {
			stretch = max(stretch, time.Duration(c.Args.Within)+recoveryMargin)
		}
	}
	g.mu.Lock()
	until := g.abortedAt + stretch
	g.mu.Unlock()
	last := g.r.rec.now() + injectDeadline + recoverDeadline
	for g.r.rec.now() < until || !f.idle() && g.r.rec.now() < last {
		if err := rtm.Sleep(ctx, effectPollPeriod); err != nil {
			return err
		}
	}
	return nil
}
