package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ratel-sim/ratel/loadgen"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/rt"
)

// Bounds on what the engine waits for. Every wait of a run has one.
const (
	startDeadline    = 3 * time.Minute  // from the first container to a ready topology
	injectDeadline   = 30 * time.Second // a single injection or healing
	effectDeadline   = 20 * time.Second // from an injection to its observed effect
	recoverDeadline  = 60 * time.Second // from healing to a node that answers again
	drainDeadline    = 90 * time.Second // from the end of the load until the retrievers hold the whole log
	collectDeadline  = 3 * time.Minute  // reading the log and the holdings back
	samplePeriod     = time.Second
	sampleDeadline   = 2 * time.Second
	idleSlack        = 15 * time.Second // beyond what retrievers are configured to take until S3 has what an idle partition has
	drainPollPeriod  = 100 * time.Millisecond
	effectPollPeriod = 100 * time.Millisecond
	promptAnswers    = 5 // in a row, of a process that was starved
)

// Options are what a run needs beside its plan.
type Options struct {
	Seed    uint64
	Build   string   // version and commit, for the record
	Planted []string // bugs planted in the world, for the record
	// Progress, if set, is told about phases and once a sample. It must not block.
	Progress func(Progress)

	defect defect // of the guards' own machinery
}

// Progress is a moment of a run.
type Progress struct {
	At       time.Duration // since the load began, on the run's clock
	Total    time.Duration // planned length of all phases
	Phase    string        // "" before the first and after the last
	Note     string        // what began or ended, when the call is for that
	Offered  int64         // events
	Accepted int64
	Failed   int64 // answered otherwise, or not at all
	InFlight int64 // requests
}

// ErrCannot is matched by the error of a run whose plan the world cannot carry out. Nothing was started.
var ErrCannot = errors.New("the world cannot do this")

// ErrWorld is matched by the error of a run whose world could not be brought up or broke down.
var ErrWorld = errors.New("the world failed")

// Run carries the plan out in the world and returns the evidence. With an error, the evidence is nil if nothing was run
// yet; otherwise it holds what there is, its Run.Ended says why the run was cut short, and it is worth saving.
func Run(ctx context.Context, w World, p *plan.Plan, opts Options) (*evidence.Evidence, error) {
	if err := possible(w, p); err != nil {
		return nil, err
	}
	ev := &evidence.Evidence{
		Plan: p,
		Run: evidence.Run{
			Version: evidence.Version, Scenario: p.Scenario, World: w.Name(), Seed: opts.Seed,
			Build: opts.Build, Planted: opts.Planted, PlanHash: p.Hash(),
		},
	}
	bugs, err := planted.Parse(opts.Planted...)
	if err != nil {
		return nil, err
	}
	r := &run{w: w, p: p, opts: opts, ev: ev, placed: p.System.Whole().Place(bugs)}
	err = w.Drive(ctx, r.main)
	r.seal(err)
	if h, steps, ok := w.Trace(); ok {
		ev.Run.TraceHash, ev.Run.Steps = fmt.Sprintf("%016x", h), steps
	}
	if err != nil && !r.begun {
		return nil, err
	}
	return ev, err
}

// possible checks every fault of the plan against what the world can do.
func possible(w World, p *plan.Plan) error {
	for _, ph := range p.Phases {
		for _, f := range ph.Faults {
			err := w.Can(f.Kind, roleOf(p.System, f.Target), f.Aim != nil)
			for _, from := range f.From {
				err = cmp.Or(err, w.Can(f.Kind, roleOf(p.System, from), false))
			}
			if err != nil {
				return fmt.Errorf("%s: phase %q: fault %q in the %s world: %w: %w", f.Pos, ph.Name, f.Kind, w.Name(), ErrCannot, err)
			}
		}
	}
	return nil
}

func roleOf(t system.Topology, s plan.Selector) system.Role {
	switch s.Kind {
	case plan.SelectLeader, plan.SelectSubject:
		return system.RoleKafka
	case plan.SelectZK:
		return system.RoleZooKeeper
	case plan.SelectNode:
		n, _ := t.Node(s.Node)
		return n.Role
	case plan.SelectPair, plan.SelectOneOf:
		return system.RoleRetriever
	case plan.SelectAny, plan.SelectAll, plan.SelectPeers, plan.SelectZone, plan.SelectAnyZone:
		return s.Role
	}
	return s.Role
}

// run is one run in progress.
type run struct {
	w       World
	p       *plan.Plan
	opts    Options
	ev      *evidence.Evidence
	rec     *recorder
	load    *loadgen.Load
	commits *commits
	alerts  *alerting
	told    *telemetry
	readers *loadgen.Readers
	asked   []evidence.Query // after everything has settled
	placed  []system.Node    // where every node really is
	poisons poisons
	// partitions is how many the events topic has since the runbook made it larger; 0 before.
	partitions atomic.Int32
	begun      bool // the load has begun: from here on there is evidence
}

func (r *run) main(ctx context.Context) error {
	rtm := r.w.Runtime()
	r.told = &telemetry{rtm: rtm}
	r.w.Observe(r.told)
	startCtx, cancel := rtm.WithTimeout(ctx, startDeadline)
	defer cancel()
	if err := r.w.Start(startCtx, r.p.System); err != nil {
		return fmt.Errorf("%w: start the topology: %w", ErrWorld, err)
	}
	r.rec = newRecorder(rtm)
	r.ev.Run.Epoch = r.rec.start
	r.w.Subscribe(r.rec)

	r.alerts = newAlerting(r)
	if err := errors.Join(r.prepare(ctx), r.alerts.leads(ctx), r.alerts.define(ctx)); err != nil {
		return err
	}
	load, err := r.startLoad(ctx)
	if err != nil {
		return err
	}
	r.load, r.begun = load, true
	r.rec.add(evidence.Entry{Kind: evidence.LoadBegan})
	if r.readers, err = r.startReaders(ctx); err != nil {
		return err
	}
	r.commits = newCommits(r)
	commitCtx, stopCommits := rtm.WithCancel(ctx)
	defer stopCommits()
	watching, _ := rt.NewGroup(rtm, commitCtx)
	watching.Go("commits", func(ctx context.Context) error { r.commits.run(ctx); return nil })
	watching.Go("progress", func(ctx context.Context) error { r.alerts.watch(ctx); return nil })
	r.places(ctx)

	sampleCtx, stopSampling := rtm.WithCancel(ctx)
	defer stopSampling()
	sampler := newSampler(r)
	rtm.Go("sampler", func(context.Context) { sampler.run(sampleCtx) })

	faults, book := newFaults(r), &runbook{r: r, turn: rt.NewMutex(rtm)}
	if err := r.phases(ctx, faults, book); err != nil {
		return err
	}
	r.load.Stop(ctx)
	r.rec.add(evidence.Entry{Kind: evidence.LoadEnded})
	r.readers.Stop(ctx)
	faults.settle(ctx)
	r.drain(ctx)
	r.idle(ctx)
	r.alerts.settle(ctx)
	r.askAll(ctx)
	r.places(ctx)
	// What is read back below is to be compared with manifests that were seen before it, not with later ones.
	stopCommits()
	if err := watching.Wait(ctx); err != nil {
		return err
	}
	r.told.settle(ctx, r)
	sampler.sample(ctx) // the final state, after everything has settled
	r.alerts.collect(ctx)
	return r.collect(ctx)
}

// seal turns what the recorder and the load have gathered into evidence, also when the run was cut short.
func (r *run) seal(err error) {
	if !r.begun {
		return
	}
	r.ev.Timeline = r.rec.entries()
	r.ev.Samples = r.rec.samplesTaken()
	r.ev.Ops = opsOf(r.load)
	if r.readers != nil {
		r.ev.Queries = append(r.queriesOf(r.readers.Ops()), r.asked...)
	}
	if r.commits != nil {
		r.ev.Commits = r.commits.taken()
	}
	r.alerts.seal()
	r.told.seal(r)
	r.ev.Run.Length = r.rec.now()
	if err != nil {
		// "context canceled" is how Go says interrupted, and tells nobody else anything.
		r.ev.Run.Ended = strings.TrimSuffix(err.Error(), ": "+context.Canceled.Error())
		if r.ev.Run.Ended == context.Canceled.Error() {
			r.ev.Run.Ended = "interrupted"
		}
	}
}

// phases carries the plan's phases out, one after the other, as far as its guards let it.
func (r *run) phases(ctx context.Context, faults *faults, book *runbook) error {
	g := newGuards(ctx, r)
	defer g.cancel()
	for i := range r.p.Phases {
		if !g.letsBegin(i) {
			return nil
		}
		ph := &r.p.Phases[i]
		if err := r.phase(g.ctx, ph, faults, book); err != nil {
			if !g.hasAborted() {
				return err
			}
			r.rec.add(evidence.Entry{Kind: evidence.PhaseEnded, Phase: ph.Name, Pos: &ph.Pos, Detail: "aborted"})
		}
		if g.hasAborted() {
			return g.recover(ctx, faults)
		}
		g.ended(i)
	}
	return nil
}

// phase carries one phase out. ctx ends early if a guard aborts the experiment: then the phase ends, and nothing of it begins.
func (r *run) phase(ctx context.Context, ph *plan.Phase, faults *faults, book *runbook) error {
	rtm := r.w.Runtime()
	began := r.rec.now()
	r.rec.add(evidence.Entry{Kind: evidence.PhaseBegan, Phase: ph.Name, Pos: &ph.Pos})
	r.progress(ph.Name, "phase "+ph.Name+" began")
	phaseCtx, cancel := rtm.WithCancel(ctx)
	defer cancel()
	book.begin(phaseCtx, ph, faults)
	for i := range ph.Faults {
		faults.schedule(phaseCtx, ph, i)
	}
	if err := rtm.Sleep(ctx, began+time.Duration(ph.Length)-r.rec.now()); err != nil {
		return err
	}
	faults.endPhase(ctx, ph)
	r.rec.add(evidence.Entry{Kind: evidence.PhaseEnded, Phase: ph.Name, Pos: &ph.Pos})
	return nil
}

func (r *run) progress(phase, note string) {
	if r.opts.Progress == nil {
		return
	}
	pr := Progress{Phase: phase, Note: note, At: r.rec.now()}
	for _, ph := range r.p.Phases {
		pr.Total += time.Duration(ph.Length)
	}
	if r.load != nil {
		pr.Offered, pr.Accepted, pr.Failed, pr.InFlight = r.load.Counts()
	}
	r.opts.Progress(pr)
}

// random is a stream of its own for each purpose, so that adding one draw does not shift the others.
func (r *run) random(purpose string) *rand.Rand {
	h := uint64(14695981039346656037)
	for _, c := range []byte(purpose) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return rand.New(rand.NewPCG(r.opts.Seed, h))
}
