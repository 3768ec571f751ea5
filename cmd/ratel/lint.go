package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/ratel-sim/ratel/scenarios/lint"
	"github.com/ratel-sim/ratel/scenarios/plan"
)

func (c *cli) lintCommand() *cobra.Command {
	var set []string
	cmd := &cobra.Command{
		Use: "lint SCENARIO", Short: "Name the probable mistakes of a scenario without running it",
		Long: `Build a scenario's plan and read it as a reviewer does: columns that objectives and alerts read and no event has; in a runbook
partitions that are added and forgotten, names that nothing else knows, steps out of order, and what nothing would judge. Each finding is a line with its place in the script. 'ratel run' prints them as warnings.
The exit code is 0 if there are none and 65 if there are.`,
		Example: "  ratel lint scale-partitions\n  ratel lint scale-partitions --set mistake=topic",
		Args:    exactly("SCENARIO"),
		RunE: func(_ *cobra.Command, args []string) error {
			s, err := c.script(args[0])
			if err != nil {
				return err
			}
			p, err := c.plan(s, set, 1)
			if err != nil {
				return err
			}
			if n := tellLint(c.out, "", p); n > 0 {
				return fail(exitData, errors.New("the plan is probably not what is meant"), "")
			}
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&set, "set", nil, "a parameter of the scenario, as name=value")
	return cmd
}

// tellLint prints what the linter has found, a line each, and returns how many there are.
func tellLint(w io.Writer, before string, p *plan.Plan) int {
	list := lint.Lint(p)
	for _, found := range list {
		fmt.Fprintf(w, "%s%s\n", before, found)
	}
	return len(list)
}
