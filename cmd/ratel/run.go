package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ratel-sim/ratel/reports"
	"github.com/ratel-sim/ratel/scenarios/check"
	"github.com/ratel-sim/ratel/scenarios/engine"
	"github.com/ratel-sim/ratel/scenarios/evidence"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/sim"
	"github.com/ratel-sim/ratel/system/containers"
	"github.com/ratel-sim/ratel/system/planted"
)

// Names of the worlds.
const (
	worldSim        = "sim"
	worldContainers = "containers"
)

// runFlags are the flags of one run.
type runFlags struct {
	world   string
	seed    uint64
	set     []string
	runs    string
	format  string
	quiet   bool
	planted []string
	images  imageFlags
}

func (f *runFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.world, "world", worldSim, `where to run: "sim" or "containers"`)
	fl.Uint64Var(&f.seed, "seed", 1, "the seed of every random choice; in the simulation it decides the whole run")
	fl.StringArrayVar(&f.set, "set", nil, "a parameter of the scenario, as name=value; may be given several times")
	fl.StringVar(&f.runs, "runs", "runs", "the folder under which the run's folder is made")
	fl.StringVar(&f.format, "format", formatText, "what to print on stdout: text, json or junit")
	fl.BoolVar(&f.quiet, "quiet", false, "no progress on stderr")
	f.images.register(cmd)
	fl.StringArrayVar(&f.planted, "planted", nil, "plant a bug, by its ID in 'ratel bugs --list'; the run says so everywhere")
	_ = fl.MarkHidden("planted")
}

func (c *cli) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run SCENARIO",
		Short: "Run one scenario and judge it",
		Long: `Run one scenario, by its name in 'ratel scenarios list' or as a path to a .star file, and judge it. The evidence is saved before it is
judged; the run's folder then also holds verdict.json, junit.xml and report.html.

` + exitCodesHelp,
		Example: `  ratel run broker-loss
  ratel run broker-loss --seed 8123 --set outage=5s
  ratel run ./my_scenario.star --world containers --format junit`,
		Args: exactly("SCENARIO"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args[0], f) },
	}
	f.register(cmd)
	return cmd
}

func (c *cli) run(ctx context.Context, name string, f runFlags) error {
	if err := checkFormat(f.format); err != nil {
		return err
	}
	if f.world != worldSim && f.world != worldContainers {
		return usagef("--world %q: there are %q and %q", f.world, worldSim, worldContainers)
	}
	if f.runs == "" {
		return usagef("--runs is empty: name the folder under which the run's folder is made, such as runs")
	}
	bugs, err := planted.Parse(f.planted...)
	if err != nil {
		return usagef("--planted: %w", err)
	}
	script, err := c.script(name)
	if err != nil {
		return err
	}
	p, err := c.plan(script, f.set, f.seed)
	if err != nil {
		return err
	}
	if !slices.Contains(p.Worlds, f.world) {
		return fail(exitWorld, fmt.Errorf("%s: %s does not run in the %s world, only in: %s", p.Pos, p.Scenario, f.world, strings.Join(p.Worlds, ", ")), "")
	}
	if err := evidence.Writable(f.runs); err != nil {
		return fail(exitIO, err, "Nothing was run.")
	}
	if !f.quiet {
		fmt.Fprintf(c.talk, "%s in the %s world, seed %d\n", p.Scenario, f.world, f.seed)
		if n, phase := p.AtOnce(); n > 1 {
			fmt.Fprintf(c.talk, "its faults have up to %d nodes at once (phase %s)\n", n, phase)
		}
	}
	if !f.quiet {
		tellLint(c.talk, "warning: ", p)
	}
	began := time.Now()
	bar := newProgress(c, f.quiet)
	logs, err := nodeLogs(f)
	if err != nil {
		return fail(exitIO, err, "Nothing was run.")
	}
	w, err := c.world(f, bugs, logs)
	if err != nil {
		return logs.orExplain(err)
	}
	ev, err := engine.Run(ctx, w, p, engine.Options{Seed: f.seed, Build: c.build, Planted: bugs.IDs(), Progress: bar.update})
	bar.done()
	if ev == nil {
		if errors.Is(err, context.Canceled) {
			return interruption("before the load began, so there is nothing to save or to judge" + logs.left())
		}
		return c.worldError(f, logs.orExplain(err))
	}
	wall := time.Since(began)
	dir, saveErr := c.save(f.runs, began, ev)
	saveErr = errors.Join(saveErr, logs.into(dir))
	if dir == "" {
		if !errors.Is(err, context.Canceled) { // who has interrupted it knows
			saveErr = errors.Join(err, saveErr)
		}
		return fail(exitIO, logs.orExplain(saveErr), "The run's evidence could not be saved, so it was not judged.")
	}
	j, judgeErr := c.judge(dir, ev, f.format, outcome{again: c.replayLine(dir, name, f), wall: wall})
	told := errors.Join(saveErr, judgeErr)
	switch {
	case errors.Is(err, context.Canceled) && told == nil:
		return interruption("the run was cut short; what it had shown until then is saved and judged")
	case errors.Is(err, context.Canceled):
		return errors.Join(told, interruption("the run was cut short"))
	case err != nil:
		return errors.Join(c.worldError(f, err), told)
	case told != nil:
		return told
	}
	return judged{j.Verdict}
}

// interruption keeps the exit code of an interrupt and says what there is of what was interrupted.
func interruption(what string) error { return fmt.Errorf("%s: %w", what, context.Canceled) }

// save saves the evidence under root. A run on real servers took minutes and cannot be had again, so where there is no
// space left under root it is saved among the temporary files, and the error says where.
func (c *cli) save(root string, began time.Time, ev *evidence.Evidence) (string, error) {
	dir, err := evidence.SaveRun(root, began, ev)
	if err == nil {
		return dir, nil
	}
	if dir != "" { // only the link to the latest run could not be made
		return dir, fail(exitIO, err, "The run itself is saved in "+dir+".")
	}
	elsewhere, tempErr := os.MkdirTemp("", "ratel-runs-")
	if tempErr == nil {
		dir, tempErr = evidence.SaveRun(elsewhere, began, ev)
	}
	if dir == "" {
		return "", errors.Join(err, tempErr)
	}
	return dir, fail(exitIO, err, "The run is saved in "+dir+" instead: move that folder to where it is to be kept.")
}

// world makes the world that the flags ask for. Nothing is started yet.
func (c *cli) world(f runFlags, bugs planted.Set, logs logFolder) (engine.World, error) {
	switch f.world {
	case worldSim:
		simulating()
		return sim.New(sim.Options{Seed: f.seed, Planted: bugs, OverHTTP: sim.TravelsOverHTTP(f.seed)}), nil
	case worldContainers:
		opt := f.images.options(c.talk)
		opt.Planted, opt.LogDir = bugs, logs.dir
		w, err := containers.New(opt)
		if err != nil {
			// Nothing was begun: whatever it is, it is this machine that lacks it.
			return nil, c.worldError(f, fmt.Errorf("%w: %w", engine.ErrWorld, err))
		}
		return w, nil
	}
	return nil, usagef("--world %q: there are %q and %q", f.world, worldSim, worldContainers)
}

// worldError says how to look at what a world lacks.
func (c *cli) worldError(f runFlags, err error) error {
	if errors.Is(err, engine.ErrCannot) || errors.Is(err, engine.ErrWorld) || containers.Unavailable(err) {
		hint := ""
		if f.world == worldContainers {
			hint = worldHint(err)
		}
		return fail(exitWorld, err, hint)
	}
	return fail(exitInternal, err, "This is a defect of Ratel or of a role, not of the scenario.")
}

// worldHint says what helps with an error of the containers world: what this machine lacks, or what a node has printed.
func worldHint(err error) string {
	if n, ok := errors.AsType[*containers.NotReadyError](err); ok && !containers.Unavailable(err) {
		if n.Machine {
			return fmt.Sprintf("Look at what %s printed. If that shows nothing wrong, it had too little memory or time: 'ratel doctor' says what this machine has.", n.Node)
		}
		return fmt.Sprintf("%s was started and ended by itself: what it printed last says why.", n.Node)
	}
	return "'ratel doctor' says what this machine lacks for the containers world."
}

// replayLine is the command that repeats the run.
func (c *cli) replayLine(dir, name string, f runFlags) string {
	if f.world == worldSim {
		return "ratel replay " + quoted(filepath.ToSlash(dir))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "ratel run %s --world %s --seed %d", quoted(name), f.world, f.seed)
	for _, s := range f.set {
		fmt.Fprintf(&b, " --set %s", quoted(s))
	}
	for _, bug := range f.planted {
		fmt.Fprintf(&b, " --planted %s", bug)
	}
	for _, a := range f.images.arguments() {
		fmt.Fprintf(&b, " %s", quoted(a))
	}
	return b.String()
}

// outcome is what a summary says beside the judgement.
type outcome struct {
	again string        // the command that repeats the run
	wall  time.Duration // how long it took for real; 0 if that is not known
}

func (c *cli) checkCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "check RUN",
		Short: "Judge the saved evidence of a run again",
		Long: `Judge the saved evidence of a run again, with the checks of this build, and write its verdict and reports anew. The evidence itself is not touched.

` + exitCodesHelp,
		Example: "  ratel check runs/latest\n  ratel check runs/broker-loss/20300101T000000Z-1 --format json",
		Args:    exactly("RUN"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			ev, err := load(args[0])
			if err != nil {
				return err
			}
			j, err := c.judge(args[0], ev, format, outcome{again: againLine(args[0], ev)})
			if err != nil {
				return err
			}
			return judged{j.Verdict}
		},
	}
	cmd.Flags().StringVar(&format, "format", formatText, "what to print on stdout: text, json or junit")
	return cmd
}

// againLine is the command that repeats a saved run.
func againLine(dir string, ev *evidence.Evidence) string {
	if ev.Run.World == worldSim {
		return "ratel replay " + quoted(filepath.ToSlash(dir))
	}
	return reports.Replay(ev)
}

// judge judges evidence, writes the reports beside it and prints the result, also if they could not be written.
func (c *cli) judge(dir string, ev *evidence.Evidence, format string, o outcome) (*check.Judgement, error) {
	j := check.Judge(ev)
	report, err := filepath.Join(dir, reports.HTMLFile), reports.Write(dir, ev, j)
	if err != nil {
		report = ""
		err = fail(exitIO, err, "The evidence is safe in "+dir+", and was judged: 'ratel check "+quoted(dir)+"' writes the reports again.")
	}
	return j, errors.Join(err, c.print(format, ev, j, report, o))
}

func (c *cli) plan(s script, set []string, seed uint64) (*plan.Plan, error) {
	values := map[string]string{}
	for _, kv := range set {
		name, value, ok := strings.Cut(kv, "=")
		if !ok {
			return nil, usagef("--set %q: write name=value", kv)
		}
		if _, twice := values[name]; twice {
			return nil, usagef("--set %q: %s is set twice: give it once", kv, name)
		}
		values[name] = value
	}
	p, err := s.Plan(values, seed)
	if err != nil {
		return nil, fail(exitData, err, "")
	}
	return p, nil
}
