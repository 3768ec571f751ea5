package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/rt"
)

// faults injects the plan's faults, watches for their effect, and heals them.
type faults struct {
	r *run

	mu       sync.Mutex
	active   []*strike
	over     []*plan.Phase // phases that have ended: nothing of theirs strikes any more, and what was striking then heals at once
	aborted  bool          // nothing more is injected, and everything heals
	busy     int           // injections and healings in progress
	watching int           // observations in progress
}

// strike is one planned fault that has been injected, on all nodes that its target was resolved to.
type strike struct {
	id     string
	plan   *plan.Fault
	phase  *plan.Phase
	nodes  []system.Fault
	healed int // of nodes, so many have been told to heal
}

func newFaults(r *run) *faults {
	return &faults{r: r}
}

// schedule starts the task of one planned fault of a phase that begins now. ctx ends with the phase.
func (f *faults) schedule(ctx context.Context, ph *plan.Phase, index int) {
	pf := &ph.Faults[index]
	s := &strike{id: fmt.Sprintf("%s/%d", ph.Name, index), plan: pf, phase: ph}
	rtm := f.r.w.Runtime()
	var watch *watcher
	if pf.Aim != nil && pf.At == 0 {
		// Watch from the phase's very start: a fault aimed at what another fault of this phase provokes must not miss it.
		watch = f.r.rec.watch(pf.Aim.On)
	}
	rtm.Go("fault "+s.id, func(context.Context) {
		if rtm.Sleep(ctx, time.Duration(pf.At)) != nil {
			return
		}
		subject := ""
		if pf.Aim != nil {
			if watch == nil {
				watch = f.r.rec.watch(pf.Aim.On)
			}
			defer f.r.rec.unwatch(watch)
			var err error
			if subject, err = f.await(ctx, s, watch); err != nil {
				f.r.rec.add(evidence.Entry{Kind: evidence.FaultUnseen, Phase: ph.Name, Fault: s.id, Pos: &pf.Pos,
					Detail: fmt.Sprintf("not injected: no %s was announced in the phase", pf.Aim.On)})
				return
			}
		}
		f.inject(ctx, s, subject)
		if pf.For > 0 && rtm.Sleep(ctx, time.Duration(pf.For)) == nil {
			f.heal(s)
		}
	})
}

// await waits for the event that the fault is aimed at and a seeded moment longer.
func (f *faults) await(ctx context.Context, s *strike, w *watcher) (subject string, err error) {
	aim := s.plan.Aim
	for skip := aim.Skip; ; skip-- {
		e, err := w.queue.Pop(ctx)
		if err != nil {
			return "", err
		}
		if skip > 0 {
			continue
		}
		delay := time.Duration(0)
		if aim.Within > 0 {
			delay = time.Duration(f.r.random("aim " + s.id).Int64N(int64(aim.Within)))
		}
		return e.Node, f.r.w.Runtime().Sleep(ctx, delay)
	}
}

func (f *faults) inject(ctx context.Context, s *strike, subject string) {
	targets, err := f.r.resolve(ctx, s, subject)
	note := func(kind evidence.EntryKind, node, detail string) {
		f.r.rec.add(evidence.Entry{Kind: kind, Phase: s.phase.Name, Fault: s.id, Node: node, Detail: detail, Pos: &s.plan.Pos})
	}
	if err != nil {
		note(evidence.FaultUnseen, "", fmt.Sprintf("not injected: its target could not be found: %v", err))
		return
	}
	rtm := f.r.w.Runtime()
	strike := func(target system.Fault) {
		if why := f.begin(s.phase); why != "" {
			note(evidence.FaultUnseen, "", "not injected: "+why)
			return
		}
		defer f.end()
		var led []int32
		if s.plan.Aim == nil && target.Node != "" { // asking takes longer than the moment that an aimed fault is meant for
			led = f.r.ledBy(ctx, target.Node)
		}
		// The injection itself is not cut short by the end of the phase: a half-done fault could not be healed.
		injectCtx, cancel := rtm.WithTimeout(context.WithoutCancel(ctx), injectDeadline)
		var err error
		if target.Kind == system.FaultPoison {
			err = f.r.poison(injectCtx, s.id, target)
		} else {
			err = f.r.w.Inject(injectCtx, target)
		}
		cancel()
		if err != nil {
			note(evidence.FaultUnseen, target.Node, fmt.Sprintf("injecting %s failed: %v", target, err))
			return
		}
		f.mu.Lock()
		s.nodes = append(s.nodes, target)
		if len(s.nodes) == 1 {
			f.active = append(f.active, s)
		}
		late := f.aborted || !s.plan.Permanent && slices.Contains(f.over, s.phase)
		f.mu.Unlock()
		if late { // it was half done when its time was up, and nobody else heals it any more
			defer f.heal(s)
		}
		note(evidence.FaultInjected, target.Node, target.String())
		f.r.progress(s.phase.Name, "fault: "+target.String())
		f.observe("effect of "+s.id, func(obsCtx context.Context) {
			how, seen := f.r.effect(obsCtx, target)
			if !seen {
				note(evidence.FaultUnseen, target.Node, how)
				return
			}
			note(evidence.FaultObserved, target.Node, how)
			if how := f.r.leadershipMoved(obsCtx, target.Node, led); how != "" {
				note(evidence.FaultObserved, target.Node, how)
			}
		})
	}
	if len(targets) == 1 {
		strike(targets[0])
		return
	}
	// A zone goes at once, not node by node.
	group, _ := rt.NewGroup(rtm, context.WithoutCancel(ctx))
	for _, target := range targets {
		group.Go("strike "+target.Node, func(context.Context) error { strike(target); return nil })
	}
	_ = group.Wait(context.WithoutCancel(ctx))
}

// observe runs an observation beside the run; settle waits for all of them.
func (f *faults) observe(name string, watch func(ctx context.Context)) {
	f.mu.Lock()
	f.watching++
	f.mu.Unlock()
	f.r.w.Runtime().Go(name, func(ctx context.Context) {
		defer func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.watching--
		}()
		watch(ctx)
	})
}

// endPhase heals what the phase injected and is not permanent.
func (f *faults) endPhase(_ context.Context, ph *plan.Phase) {
	f.mu.Lock()
	f.over = append(f.over, ph)
	var due []*strike
	for _, s := range f.active {
		if s.phase == ph && !s.plan.Permanent {
			due = append(due, s)
		}
	}
	f.mu.Unlock()
	for _, s := range due {
		f.heal(s)
	}
}

// abort heals everything that was injected, permanent or not, and sees to it that nothing more is.
func (f *faults) abort() {
	f.mu.Lock()
	f.aborted = true
	due := slices.Clone(f.active)
	f.mu.Unlock()
	for _, s := range due {
		f.heal(s)
	}
}

// begin notes that an injection is in progress, or says why it may not begin any more.
func (f *faults) begin(ph *plan.Phase) (why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.aborted:
		return "the experiment was aborted"
	case slices.Contains(f.over, ph):
		return "its phase was over before its target was known"
	}
	f.busy++
	return ""
}

func (f *faults) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy--
}

// idle says whether no injection and no healing is in progress.
func (f *faults) idle() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.busy == 0
}

func (f *faults) heal(s *strike) {
	f.mu.Lock()
	nodes := s.nodes[s.healed:]
	s.healed = len(s.nodes)
	f.busy += len(nodes)
	f.mu.Unlock()
	note := func(kind evidence.EntryKind, node, detail string) {
		f.r.rec.add(evidence.Entry{Kind: kind, Phase: s.phase.Name, Fault: s.id, Node: node, Detail: detail, Pos: &s.plan.Pos})
	}
	for _, target := range nodes {
		// A node that was replaced or killed may take a while to start, so healing goes on beside the run.
		f.observe("heal "+s.id, func(ctx context.Context) {
			defer f.end()
			rtm := f.r.w.Runtime()
			note(evidence.FaultHealed, target.Node, "heal: "+target.String())
			f.r.progress("", "heal: "+target.String())
			healCtx, cancel := rtm.WithTimeout(ctx, recoverDeadline)
			defer cancel()
			if target.Kind == system.FaultRecreate || target.Kind == system.FaultPoison {
				note(evidence.HealObserved, target.Node, "there is nothing to heal")
				return
			}
			if err := f.r.w.Heal(healCtx, target); err != nil {
				note(evidence.HealUnseen, target.Node, fmt.Sprintf("healing %s failed: %v", target, err))
				return
			}
			how, seen := f.r.healed(healCtx, target)
			if seen {
				note(evidence.HealObserved, target.Node, how)
			} else {
				note(evidence.HealUnseen, target.Node, how)
			}
		})
	}
}

// settle waits until every injection, healing and observation in progress has ended; each has its own deadline. All phases are over by then, so
// nothing more begins to strike; but what takes long to inject may strike only now, and is healed and seen to be back like all else.
func (f *faults) settle(ctx context.Context) {
	for {
		f.mu.Lock()
		quiet := f.busy == 0 && f.watching == 0
		f.mu.Unlock()
		if quiet || f.r.w.Runtime().Sleep(ctx, effectPollPeriod) != nil {
			return
		}
	}
}
