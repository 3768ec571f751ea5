package main

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/ratel-sim/ratel/scenarios/check"
	"github.com/ratel-sim/ratel/scenarios/explore"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system/planted"
)

// maxListed bounds how many failing seeds are printed in full.
const maxListed = 20

func (c *cli) exploreCommand() *cobra.Command {
	var (
		seeds, workers int
		from           uint64
		set, bugs      []string
		format         string
		quiet          bool
	)
	cmd := &cobra.Command{
		Use:   "explore SCENARIO",
		Short: "Run a scenario under many seeds in the simulation, on all cores",
		Long: `Run a scenario under many seeds in the simulated world, on all cores, and list every seed that did not pass with the command that replays it. The exit
code is the worst verdict of all seeds.

` + exitCodesHelp,
		Example: "  ratel explore broker-loss --seeds 2000\n  ratel explore broker-loss --from 5000 --seeds 500 --format json",
		Args:    exactly("SCENARIO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if seeds <= 0 {
				return usagef("--seeds %d: must be at least 1", seeds)
			}
			if format != formatText && format != formatJSON {
				return usagef("--format %q: explore prints %q or %q", format, formatText, formatJSON)
			}
			if workers < 0 {
				return usagef("--workers %d: must be at least 1, or 0 for one per CPU", workers)
			}
			if from+uint64(seeds)-1 < from {
				return usagef("--from %d --seeds %d: the last seed would be more than %d", from, seeds, uint64(math.MaxUint64))
			}
			planted, err := planted.Parse(bugs...)
			if err != nil {
				return usagef("--planted: %w", err)
			}
			s, err := c.script(args[0])
			if err != nil {
				return err
			}
			if _, err := c.plan(s, set, from); err != nil {
				return err
			}
			t := &tally{c: c, name: args[0], set: set, bugs: bugs, total: seeds, quiet: quiet, began: time.Now()}
			if !c.terminal {
				t.drawn = t.began
			}
			simulating()
			outcomes := explore.Seeds(cmd.Context(), explore.Options{
				Plan: func(seed uint64) (*plan.Plan, error) { return c.plan(s, set, seed) },
				From: from, Count: seeds, Workers: workers, Planted: planted, Build: c.build, Each: t.each,
			})
			t.done()
			return t.report(cmd.Context().Err(), outcomes, format)
		},
	}
	fl := cmd.Flags()
	fl.IntVar(&seeds, "seeds", 1000, "how many seeds")
	fl.Uint64Var(&from, "from", 1, "the first seed")
	fl.IntVar(&workers, "workers", 0, "how many at once (default: one per CPU)")
	fl.StringArrayVar(&set, "set", nil, "a parameter of the scenario, as name=value")
	fl.StringVar(&format, "format", formatText, "what to print on stdout: text or json")
	fl.BoolVar(&quiet, "quiet", false, "no progress on stderr")
	fl.StringArrayVar(&bugs, "planted", nil, "plant a bug")
	_ = fl.MarkHidden("planted")
	return cmd
}

// tally counts outcomes as they come.
type tally struct {
	c         *cli
	name      string
	set, bugs []string
	total     int
	quiet     bool
	began     time.Time
	drawn     time.Time
	seen, bad int
	virtual   time.Duration
}

func (t *tally) each(o explore.Outcome) bool {
	t.seen++
	t.virtual += o.Virtual
	if o.Verdict != check.Pass {
		t.bad++
	}
	every := redrawEvery
	if !t.c.terminal {
		every = 30 * time.Second
	}
	if now := time.Now(); !t.quiet && now.Sub(t.drawn) >= every && t.seen < t.total {
		t.drawn = now
		line := fmt.Sprintf("%d of %d seeds, %d not passed, %.0fx real time", t.seen, t.total, t.bad, t.speed())
		if t.c.terminal {
			fmt.Fprint(t.c.talk, "\r\x1b[K", line)
		} else {
			fmt.Fprintln(t.c.talk, line)
		}
	}
	return true
}

func (t *tally) done() {
	if t.c.terminal && !t.quiet {
		fmt.Fprint(t.c.talk, "\r\x1b[K")
	}
}

func (t *tally) speed() float64 { return float64(t.virtual) / float64(max(time.Since(t.began), 1)) }

// exploration is the machine-readable result.
type exploration struct {
	Scenario string  `json:"scenario"`
	Verdict  string  `json:"verdict"`
	Asked    int     `json:"asked"` // seeds that were to be run
	Seeds    int     `json:"seeds"` // seeds that were run
	Passed   int     `json:"passed"`
	VirtualS float64 `json:"virtual_seconds"`
	// Traces is a digest of all seeds' traces, in the order of the seeds: two explorations of the same build agree in it.
	Traces      string       `json:"traces"`
	Interrupted bool         `json:"interrupted,omitempty"`
	NotPassed   []seedResult `json:"not_passed"`
}

type seedResult struct {
	Seed    uint64   `json:"seed"`
	Verdict string   `json:"verdict"`
	Checks  []string `json:"checks"`
	Reason  string   `json:"reason"`
	Again   string   `json:"again"`
}

func (t *tally) report(interrupted error, outcomes []explore.Outcome, format string) error {
	verdict := check.Pass
	res := exploration{Scenario: t.name, Asked: t.total, Seeds: len(outcomes), VirtualS: t.virtual.Seconds(), Interrupted: interrupted != nil, NotPassed: []seedResult{}}
	var broken error
	traces := fnv.New64a()
	for _, o := range outcomes {
		fmt.Fprintln(traces, o.Seed, o.TraceHash, o.Steps)
		if o.Err != nil && broken == nil {
			broken = o.Err
		}
		if o.Verdict == check.Pass {
			res.Passed++
			continue
		}
		verdict = check.Merge(verdict, o.Verdict)
		res.NotPassed = append(res.NotPassed, seedResult{Seed: o.Seed, Verdict: o.Verdict.String(), Checks: o.Caught, Reason: o.Reason, Again: t.again(o.Seed)})
	}
	if len(outcomes) < t.total { // what the others would have shown, nobody knows
		verdict = check.Merge(verdict, check.Inconclusive)
	}
	res.Verdict, res.Traces = verdict.String(), fmt.Sprintf("%016x", traces.Sum64())
	if format == formatJSON {
		enc := json.NewEncoder(t.c.out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(res); err != nil {
			return err
		}
	} else {
		t.text(res)
	}
	switch {
	case interrupted != nil:
		return fmt.Errorf("%d of %d seeds were run: %w", len(outcomes), t.total, interrupted)
	case broken != nil:
		return fail(exitInternal, broken, "A run broke down; its seed repeats it.")
	}
	return judged{verdict}
}

func (t *tally) again(seed uint64) string {
	line := fmt.Sprintf("ratel run %s --seed %d", quoted(t.name), seed)
	for _, s := range t.set {
		line += " --set " + quoted(s)
	}
	for _, b := range t.bugs {
		line += " --planted " + b
	}
	return line
}

func (t *tally) text(res exploration) {
	unrun := ""
	if n := res.Asked - res.Seeds; n > 0 {
		unrun = fmt.Sprintf(", %d were not run", n)
	}
	fmt.Fprintf(t.c.out, "%s: %s: %d of %d seeds passed%s, %s of virtual time, %.0fx real time, traces %s\n",
		res.Verdict, res.Scenario, res.Passed, res.Seeds, unrun, seconds(res.VirtualS), t.speed(), res.Traces)
	if len(res.NotPassed) == 0 {
		return
	}
	for i, r := range res.NotPassed {
		if i == maxListed {
			fmt.Fprintf(t.c.out, "… and %d more; --format json lists them all\n", len(res.NotPassed)-maxListed)
			break
		}
		// The command stands alone on its line, to be copied.
		fmt.Fprintf(t.c.out, "\nseed %d  %s  %s\n  %s\n", r.Seed, r.Verdict, r.Reason, r.Again)
	}
}
