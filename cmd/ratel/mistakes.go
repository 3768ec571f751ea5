package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ratel-sim/ratel/scenarios/explore"
	"github.com/ratel-sim/ratel/scenarios/library"
	"github.com/ratel-sim/ratel/scenarios/lint"
	"github.com/ratel-sim/ratel/scenarios/plan"
)

// mistakesOf splits what --only names into mistakes of plans and IDs of planted bugs; nothing stands for all mistakes.
func mistakesOf(only []string) (mistakes []library.Mistake, bugs []string) {
	bugs = slices.Clone(only)
	for _, m := range library.Mistakes() {
		if len(only) == 0 || slices.Contains(only, m.ID) {
			mistakes = append(mistakes, m)
			bugs = slices.DeleteFunc(bugs, func(id string) bool { return id == m.ID })
		}
	}
	return mistakes, bugs
}

func mistakeIDs() string {
	var ids []string
	for _, m := range library.Mistakes() {
		ids = append(ids, m.ID)
	}
	return strings.Join(ids, ", ")
}

// setFlags are a scenario's parameters as they are given to a command, in a stable order.
func setFlags(set map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(set)) {
		fmt.Fprintf(&b, " --set %s=%s", name, set[name])
	}
	return b.String()
}

// plans runs each mistake of a plan under its scenario, if that is among those asked for, and notes what the linter says of it.
func (h *hunt) plans(ctx context.Context, res *hunted) error {
	for _, m := range h.mistakes {
		if !slices.ContainsFunc(h.sources, func(s explore.Scenario) bool { return s.Name == m.Scenario }) {
			continue
		}
		s, err := h.c.script(m.Scenario)
		if err != nil {
			return err
		}
		p, err := s.Plan(m.Set, 1)
		if err != nil {
			return err
		}
		fmt.Fprintf(h.c.talk, "making %s: %s%s\n", m.ID, m.Scenario, setFlags(m.Set))
		found := explore.FindMistake(ctx, explore.Scenario{Name: m.Scenario, Plan: func(seed uint64) (*plan.Plan, error) { return s.Plan(m.Set, seed) }}, h.seeds, h.c.build)
		if ctx.Err() != nil && !found.Caught {
			return ctx.Err()
		}
		if found.Err != nil {
			return fail(exitInternal, found.Err, "A run broke down with a mistake in its plan.")
		}
		row := rowOf(m.ID, m.Name, found)
		for _, line := range lint.Lint(p) {
			row.Linted = append(row.Linted, line.String())
		}
		res.Bugs = append(res.Bugs, row)
	}
	return nil
}

// missed lists the mistakes of plans that no run or not the linter told, of those that were made.
func (h *hunt) missed(res hunted) []error {
	var problems []error
	for _, row := range res.Bugs {
		if !slices.ContainsFunc(h.mistakes, func(m library.Mistake) bool { return m.ID == row.Bug }) {
			continue
		}
		if !row.Caught {
			problems = append(problems, fmt.Errorf("%s (%s) was not caught by %s in %d seeds", row.Bug, row.Name, row.Scenario, row.Seeds))
		}
		if len(row.Linted) == 0 {
			problems = append(problems, fmt.Errorf("%s (%s) is not named by the linter before the run", row.Bug, row.Name))
		}
	}
	return problems
}
