package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ratel-sim/ratel/scenarios/engine"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/sim"
	"github.com/ratel-sim/ratel/system/planted"
)

func (c *cli) replayCommand() *cobra.Command {
	var quiet, trace bool
	cmd := &cobra.Command{
		Use:   "replay RUN",
		Short: "Run a simulated run again from its plan and seed, and compare every byte",
		Long: `Run a simulated run again from its saved plan and seed, compare the evidence byte for byte, and print the verdict. With the build that made the run, the bytes are
the same; if they are not, that is a defect of Ratel (exit code 70), unless the build has changed.

` + exitCodesHelp,
		Example: "  ratel replay runs/latest",
		Args:    exactly("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.replay(cmd.Context(), args[0], quiet, trace)
		},
	}
	cmd.Flags().BoolVar(&quiet, "quiet", false, "no progress on stderr")
	cmd.Flags().BoolVar(&trace, "trace", false, "print every step of the scheduler on stderr: many lines")
	return cmd
}

func (c *cli) replay(ctx context.Context, dir string, quiet, trace bool) error {
	old, err := load(dir)
	if err != nil {
		return err
	}
	if old.Run.World != worldSim {
		return fail(exitWorld, fmt.Errorf("%s ran in the %s world: only simulated runs can be replayed", dir, old.Run.World),
			fmt.Sprintf("Run it again: ratel run %s --world %s --seed %d", old.Run.Scenario, old.Run.World, old.Run.Seed))
	}
	bugs, err := planted.Parse(old.Run.Planted...)
	if err != nil {
		return fail(exitData, fmt.Errorf("%s: %w", dir, err), "The run was made by a build that knows other bugs.")
	}
	opts := sim.Options{Seed: old.Run.Seed, Planted: bugs, OverHTTP: sim.TravelsOverHTTP(old.Run.Seed)}
	if trace {
		opts.OnStep = func(step uint64, desc string) { fmt.Fprintln(c.talk, step, desc) }
	}
	simulating()
	bar := newProgress(c, quiet || trace)
	began := time.Now()
	ev, err := engine.Run(ctx, sim.New(opts), old.Plan, engine.Options{Seed: old.Run.Seed, Build: old.Run.Build, Planted: old.Run.Planted, Progress: bar.update})
	bar.done()
	if err != nil {
		return c.worldError(runFlags{world: worldSim}, err)
	}
	wall := time.Since(began)
	if diff := evidence.FirstDifference(old, ev); diff.Found() {
		err := fmt.Errorf("the replay differs from %s: %s", dir, diff)
		if old.Run.Build != c.build {
			return fail(exitData, err, fmt.Sprintf("The run was made by build %s, and this is %s: replay it with the same build.", old.Run.Build, c.build))
		}
		return fail(exitInternal, err, "The same build and seed must give the same bytes: this is a defect of Ratel.")
	}
	fmt.Fprintf(c.out, "same seed, same bytes: %s (trace %s, %d steps)\n", dir, ev.Run.TraceHash, ev.Run.Steps)
	j, err := c.judge(dir, ev, formatText, outcome{again: "ratel replay " + dir, wall: wall})
	if err != nil {
		return err
	}
	return judged{j.Verdict}
}
