// Package explore runs a plan under many seeds in the simulated world, on all cores, and says which seeds failed and why.
package explore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ratel-sim/ratel/scenarios/check"
	"github.com/ratel-sim/ratel/scenarios/engine"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/sim"
	"github.com/ratel-sim/ratel/system/planted"
)

// Options say what to explore.
type Options struct {
	// Plan makes the plan for a seed: a script may draw from the seed.
	Plan    func(seed uint64) (*plan.Plan, error)
	From    uint64 // the first seed
	Count   int
	Workers int // 0 means one per CPU
	Planted planted.Set
	Build   string
	// Each, if set, is told each outcome, in the order in which they end, by one caller at a time. Returning false ends the exploration.
	Each func(Outcome) bool
}

// Outcome is what one seed gave.
type Outcome struct {
	Seed    uint64
	Verdict check.Verdict
	// Caught names the checks that did not pass, worst first.
	Caught []string
	// Reason is the first finding, for people.
	Reason    string
	TraceHash string
	Steps     uint64
	Virtual   time.Duration // length of the run on its own clock
	Wall      time.Duration
	// Err is set when the run could not be carried out at all: the world broke down.
	Err error
}

// Seeds explores. The outcomes come in the order of their seeds; seeds that were not reached before ctx or Each ended the
// exploration are left out.
func Seeds(ctx context.Context, o Options) []Outcome {
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	outcomes := make([]*Outcome, o.Count)
	var (
		next atomic.Int64
		stop atomic.Bool
		each sync.Mutex
		wg   sync.WaitGroup
	)
	for range min(workers, o.Count) {
		wg.Go(func() {
			for ctx.Err() == nil && !stop.Load() {
				i := int(next.Add(1)) - 1
				if i >= o.Count {
					return
				}
				out := One(ctx, o, o.From+uint64(i))
				if errors.Is(out.Err, context.Canceled) {
					return
				}
				outcomes[i] = &out
				if o.Each != nil {
					each.Lock()
					if !stop.Load() && !o.Each(out) {
						stop.Store(true)
					}
					each.Unlock()
				}
			}
		})
	}
	wg.Wait()
	var done []Outcome
	for _, out := range outcomes {
		if out != nil {
			done = append(done, *out)
		}
	}
	return done
}

// One runs and judges a single seed.
func One(ctx context.Context, o Options, seed uint64) Outcome {
	out := Outcome{Seed: seed, Verdict: check.Inconclusive}
	began := time.Now()
	ev, err := Evidence(ctx, o, seed)
	out.Wall = time.Since(began)
	if err != nil {
		out.Err = err
		out.Reason = err.Error()
		return out
	}
	out.TraceHash, out.Steps, out.Virtual = ev.Run.TraceHash, ev.Run.Steps, ev.Run.Length
	j := check.Judge(ev)
	out.Verdict = j.Verdict
	for _, want := range []check.Verdict{check.Fail, check.Inconclusive} {
		for _, r := range j.Results {
			if r.Verdict == want {
				out.Caught = append(out.Caught, r.Name)
				if out.Reason == "" {
					out.Reason = r.Name + ": " + r.Summary
				}
			}
		}
	}
	return out
}

// Evidence runs a single seed without judging it.
func Evidence(ctx context.Context, o Options, seed uint64) (*evidence.Evidence, error) {
	p, err := o.Plan(seed)
	if err != nil {
		return nil, err
	}
	w := sim.New(sim.Options{Seed: seed, Planted: o.Planted, OverHTTP: sim.TravelsOverHTTP(seed)})
	ev, err := engine.Run(ctx, w, p, engine.Options{Seed: seed, Build: o.Build, Planted: o.Planted.IDs()})
	if err != nil {
		return nil, fmt.Errorf("seed %d: %w", seed, err)
	}
	return ev, nil
}
