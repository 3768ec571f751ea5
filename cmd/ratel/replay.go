package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/ratel-sim/ratel/reports"
	"github.com/ratel-sim/ratel/scenarios/check"
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
the same; if they are not, that is a defect of Ratel (exit code 70), unless the build has changed (65). The run's folder is only read.

` + exitCodesHelp,
		Example: "  ratel replay runs/latest\n  ratel replay runs/latest --trace 2>steps.txt",
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
			"Run it again: "+reports.Replay(old))
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
	if errors.Is(err, context.Canceled) {
		return interruption("before there was anything to compare")
	}
	if err != nil {
		return c.worldError(runFlags{world: worldSim}, err)
	}
	wall := time.Since(began)
	if diff := evidence.FirstDifference(old, ev); diff.Found() {
		return c.differs(dir, old, diff)
	}
	fmt.Fprintf(c.out, "same seed, same bytes: %s (trace %s, %d steps)\n", dir, ev.Run.TraceHash, ev.Run.Steps)
	if old.Run.Build != c.build {
		fmt.Fprintf(c.out, "  although the run was made by build %s, and this is build %s\n", old.Run.Build, c.build)
	}
	// The reports are left as they are: a replay changes nothing, and works on a folder that may only be read.
	j := check.Judge(ev)
	report := filepath.Join(dir, reports.HTMLFile)
	if _, err := os.Stat(report); err != nil {
		report = ""
	}
	if err := c.print(formatText, ev, j, report, outcome{again: againLine(dir, ev), wall: wall}); err != nil {
		return err
	}
	return judged{j.Verdict}
}

// differs explains why a replay gave other bytes than the run that is saved in dir.
func (c *cli) differs(dir string, old *evidence.Evidence, diff evidence.Difference) error {
	err := fmt.Errorf("the replay differs from %s: %s", dir, diff)
	switch {
	case old.Run.Ended != "":
		return fail(exitData, fmt.Errorf("%s was cut short (%s): a replay goes to the end, so there is nothing to compare it with", dir, old.Run.Ended),
			"Its evidence is as it was: 'ratel check "+quoted(dir)+"' judges what there is of it.\nRun it whole: "+reports.Replay(old))
	case old.Run.Build != c.build:
		return fail(exitData, err, fmt.Sprintf("The run was made by build %s, and this is %s: replay it with the same build.", old.Run.Build, c.build))
	case !exact(c.build):
		return fail(exitData, err, fmt.Sprintf("Both builds are called %s, which does not tell changes apart that are in no commit. If the code has not changed since, this is a defect of Ratel.", c.build))
	}
	return fail(exitInternal, err, "The same build and seed must give the same bytes: this is a defect of Ratel.")
}
