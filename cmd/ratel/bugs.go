package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ratel-sim/ratel/scenarios/explore"
	"github.com/ratel-sim/ratel/scenarios/library"
	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system/planted"
)

func (c *cli) bugsCommand() *cobra.Command {
	var (
		seeds, clean int
		list, all    bool
		format       string
		only         []string
		scenarios    []string
	)
	cmd := &cobra.Command{
		Use:   "bugs",
		Short: "Plant each known bug and say which check catches it, and how often the clean system is called bad",
		Long: `Plant each registered bug in the simulated world, run the scenarios that are meant to catch it until a check fails, and print which check caught it, in which seed and
after how much virtual time; with --all, run every scenario with every bug. Likewise for the mistakes of a runbook, which are parameters of a scenario and which 'ratel lint' has to name before the run.
Then run the system as it should be, and print how many seeds did not pass. What no scenario catches, a mistake that the linter does not name, or a false alarm, makes the command fail.
The bugs take some minutes of a core, each clean seed of a scenario about 0.6 s of one: the 200 of each by default more than an hour of a core, --clean 20 a tenth of that.

` + exitCodesHelp,
		Example: "  ratel bugs --clean 20\n  ratel bugs --seeds 5000 --clean 2000\n  ratel bugs --only K5",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != formatText && format != formatJSON {
				return usagef("--format %q: bugs prints %q or %q", format, formatText, formatJSON)
			}
			mistakes, bugs := mistakesOf(only)
			if _, err := planted.Parse(bugs...); err != nil {
				return usagef("--only: %w; and of mistakes %s", err, mistakeIDs())
			}
			if list {
				return c.listBugs()
			}
			if seeds <= 0 || clean < 0 {
				return usagef("--seeds must be at least 1 and --clean at least 0")
			}
			h := hunt{c: c, seeds: seeds, clean: clean, all: all || len(scenarios) > 0, mistakes: mistakes}
			if err := h.scenarios(scenarios); err != nil {
				return err
			}
			for _, b := range planted.All() {
				if len(only) == 0 || slices.Contains(only, b.ID) {
					h.bugs = append(h.bugs, b)
				}
			}
			return h.run(cmd, format)
		},
	}
	fl := cmd.Flags()
	fl.IntVar(&seeds, "seeds", 1000, "how many seeds to try for each bug and scenario")
	fl.IntVar(&clean, "clean", 200, "how many seeds of each scenario to run without a bug")
	fl.BoolVar(&all, "all", false, "run every scenario with every bug, not only those that are meant to catch it")
	fl.BoolVar(&list, "list", false, "only list the bugs")
	fl.StringVar(&format, "format", formatText, "what to print on stdout: text or json")
	fl.StringArrayVar(&only, "only", nil, "only this bug; may be given several times")
	fl.StringArrayVar(&scenarios, "scenario", nil, "only this scenario; may be given several times (default: all)")
	return cmd
}

func (c *cli) listBugs() error {
	tw := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	for _, b := range planted.All() {
		where := "both worlds"
		if b.SimOnly {
			where = "simulation only"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", b.ID, b.Name, where, b.Mechanism)
	}
	for _, m := range library.Mistakes() {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", m.ID, m.Name, m.Scenario+setFlags(m.Set), m.Mechanism)
	}
	return tw.Flush()
}

// hunt is one run of the bugs command.
type hunt struct {
	c            *cli
	seeds, clean int
	all          bool
	bugs         []planted.Bug
	mistakes     []library.Mistake
	sources      []explore.Scenario
}

// scenarios takes the named scripts, or all of the library that run in the simulation.
func (h *hunt) scenarios(names []string) error {
	if len(names) == 0 {
		names = scriptNames()
	}
	for _, name := range names {
		s, err := h.c.script(name)
		if err != nil {
			return err
		}
		p, err := h.c.plan(s, nil, 1)
		if err != nil {
			return err
		}
		if slices.Contains(p.Worlds, worldSim) {
			h.sources = append(h.sources, explore.Scenario{Name: name, Plan: func(seed uint64) (*plan.Plan, error) { return s.Plan(nil, seed) }})
		}
	}
	return nil
}

// hunted is the machine-readable result.
type hunted struct {
	Bugs        []huntRow  `json:"bugs"`
	Alarms      []alarmRow `json:"clean"`
	Interrupted bool       `json:"interrupted,omitempty"`
}

type huntRow struct {
	Bug      string  `json:"bug"`
	Name     string  `json:"name"`
	Scenario string  `json:"scenario"`
	Caught   bool    `json:"caught"`
	Check    string  `json:"check,omitempty"`
	Seed     uint64  `json:"seed,omitempty"`
	Seeds    int     `json:"seeds"`
	VirtualS float64 `json:"virtual_seconds"`
	Reason   string  `json:"reason,omitempty"`
	// Linted is what the linter says before the run; only of mistakes of a plan.
	Linted []string `json:"linted,omitempty"`
}

func rowOf(id, name string, h explore.Hunt) huntRow {
	return huntRow{
		Bug: id, Name: name, Scenario: h.Scenario, Caught: h.Caught, Check: h.Check, Seed: h.Seed,
		Seeds: h.Seeds, VirtualS: h.Virtual.Seconds(), Reason: h.Reason,
	}
}

type alarmRow struct {
	Scenario string   `json:"scenario"`
	Seeds    int      `json:"seeds"`
	False    int      `json:"not_passed"`
	VirtualS float64  `json:"virtual_seconds"`
	Examples []string `json:"examples,omitempty"`
}

func (h *hunt) run(cmd *cobra.Command, format string) error {
	simulating()
	ctx := cmd.Context()
	var res hunted
	caught := map[string]bool{}
	for _, b := range h.bugs {
		for _, s := range h.sources {
			if !h.all && (caught[b.ID] || !slices.Contains(library.Hunts(b.ID), s.Name)) {
				continue
			}
			fmt.Fprintf(h.c.talk, "planting %s under %s\n", b.ID, s.Name)
			found := explore.Find(ctx, b, s, h.seeds, h.c.build)
			if ctx.Err() != nil && !found.Caught {
				return h.interrupted(ctx, res, format)
			}
			if found.Err != nil {
				return fail(exitInternal, found.Err, "A run broke down with a planted bug.")
			}
			caught[b.ID] = caught[b.ID] || found.Caught
			res.Bugs = append(res.Bugs, rowOf(b.ID, b.Name, found))
		}
	}
	if err := h.plans(ctx, &res); err != nil {
		if ctx.Err() != nil {
			return h.interrupted(ctx, res, format)
		}
		return err
	}
	alarms := 0
	for _, s := range h.sources {
		if h.clean == 0 {
			break
		}
		fmt.Fprintf(h.c.talk, "%d clean seeds of %s\n", h.clean, s.Name)
		a := explore.FalseAlarms(ctx, s, h.clean, h.c.build)
		if ctx.Err() != nil {
			return h.interrupted(ctx, res, format)
		}
		row := alarmRow{Scenario: s.Name, Seeds: a.Seeds, False: len(a.False), VirtualS: a.Virtual.Seconds()}
		for _, o := range a.False[:min(len(a.False), maxListed)] {
			row.Examples = append(row.Examples, fmt.Sprintf("seed %d: %s: %s", o.Seed, o.Verdict, o.Reason))
		}
		alarms += len(a.False)
		res.Alarms = append(res.Alarms, row)
	}
	if err := h.print(res, format); err != nil {
		return err
	}
	var problems []error
	for _, b := range h.bugs {
		if !caught[b.ID] {
			problems = append(problems, fmt.Errorf("%s (%s) was not caught by any scenario in %d seeds", b.ID, b.Name, h.seeds))
		}
	}
	problems = append(problems, h.missed(res)...)
	if alarms > 0 {
		problems = append(problems, fmt.Errorf("%d clean seeds did not pass", alarms))
	}
	if len(problems) > 0 {
		return fail(exitFail, errors.Join(problems...), "")
	}
	return nil
}

// interrupted prints what had been found until then.
func (h *hunt) interrupted(ctx context.Context, res hunted, format string) error {
	res.Interrupted = true
	if len(res.Bugs)+len(res.Alarms) > 0 || format == formatJSON {
		if err := h.print(res, format); err != nil {
			return err
		}
	}
	return fmt.Errorf("%d pairs of a bug and a scenario were tried, and %d of %d scenarios without a bug: %w",
		len(res.Bugs), len(res.Alarms), len(h.sources), ctx.Err())
}

func (h *hunt) print(res hunted, format string) error {
	if format == formatJSON {
		enc := json.NewEncoder(h.c.out)
		enc.SetIndent("", "  ")
		return enc.Encode(res)
	}
	tw := tabwriter.NewWriter(h.c.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "BUG\tSCENARIO\tCAUGHT BY\tSEED\tSEEDS\tVIRTUAL TIME\tREASON")
	for _, r := range res.Bugs {
		by, seed := "not caught", "-"
		if r.Caught {
			by, seed = r.Check, fmt.Sprint(r.Seed)
		}
		fmt.Fprintf(tw, "%s %s\t%s\t%s\t%s\t%d\t%s\t%s\n", r.Bug, r.Name, r.Scenario, by, seed, r.Seeds, seconds(r.VirtualS), r.Reason)
		for _, line := range r.Linted {
			fmt.Fprintf(tw, "  before the run: %s\n", line)
		}
	}
	if len(res.Alarms) > 0 {
		if err := tw.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(tw, "\nWITHOUT A BUG\tSEEDS\tNOT PASSED\tVIRTUAL TIME")
		for _, a := range res.Alarms {
			fmt.Fprintf(tw, "%s\t%d\t%d\t%s\n", a.Scenario, a.Seeds, a.False, seconds(a.VirtualS))
			for _, e := range a.Examples {
				fmt.Fprintf(tw, "\t%s\n", e)
			}
		}
	}
	return tw.Flush()
}

func seconds(s float64) string {
	return (time.Duration(s * float64(time.Second))).Round(time.Second).String()
}
