package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ratel-sim/ratel/scenarios/lang"
	"github.com/ratel-sim/ratel/scenarios/library"
	"github.com/ratel-sim/ratel/scenarios/plan"
)

// script is a scenario script that was found and read.
type script = *lang.Script

// script finds a scenario by its name in the library or by its path.
func (c *cli) script(ref string) (script, error) {
	s, err := library.Find(ref)
	if err == nil {
		return s, nil
	}
	var missing *library.NotFoundError
	if errors.As(err, &missing) {
		return nil, fail(exitUsage, err, "")
	}
	return nil, fail(exitData, err, "")
}

func scriptNames() []string { return library.Names() }

func (c *cli) scenariosCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "scenarios", Short: "List, describe and plan scenarios",
		Example: "  ratel scenarios list\n  ratel scenarios describe broker-loss\n  ratel scenarios plan broker-loss --set outage=5s",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q for %q%s", args[0], cmd.CommandPath(), suggestion(cmd, args[0]))
			}
			return cmd.Help()
		},
	}
	list := &cobra.Command{
		Use: "list", Short: "List the scenarios of the library", Args: exactly(),
		RunE: func(*cobra.Command, []string) error { return c.listScenarios() },
	}
	describe := &cobra.Command{
		Use: "describe SCENARIO", Short: "Say what a scenario does, and its parameters", Args: exactly("SCENARIO"),
		Example: "  ratel scenarios describe broker-loss\n  ratel scenarios describe ./mine.star",
		RunE:    func(_ *cobra.Command, args []string) error { return c.describe(args[0]) },
	}
	var (
		set  []string
		seed uint64
	)
	planCmd := &cobra.Command{
		Use: "plan SCENARIO", Short: "Print the plan that a scenario builds, as JSON, without running it", Args: exactly("SCENARIO"),
		Example: "  ratel scenarios plan broker-loss --set outage=5s",
		RunE: func(_ *cobra.Command, args []string) error {
			s, err := c.script(args[0])
			if err != nil {
				return err
			}
			p, err := c.plan(s, set, seed)
			if err != nil {
				return err
			}
			text, err := p.Encode()
			if err != nil {
				return err
			}
			_, err = c.out.Write(text)
			return err
		},
	}
	planCmd.Flags().StringArrayVar(&set, "set", nil, "a parameter of the scenario, as name=value")
	planCmd.Flags().Uint64Var(&seed, "seed", 1, "the seed that choose() draws from")
	cmd.AddCommand(list, describe, planCmd)
	return cmd
}

func (c *cli) listScenarios() error {
	all, err := library.List()
	if err != nil {
		return fail(exitData, err, "")
	}
	tw := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	for _, s := range all {
		p, err := s.Plan(nil, 1)
		if err != nil {
			return fail(exitData, err, "")
		}
		first, _, _ := strings.Cut(s.Doc, "\n")
		fmt.Fprintf(tw, "%s\t%s\t%s\n", s.Name, strings.Join(p.Worlds, ", "), first)
	}
	return tw.Flush()
}

func (c *cli) describe(ref string) error {
	s, err := c.script(ref)
	if err != nil {
		return err
	}
	p, err := c.plan(s, nil, 1)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s  (%s)\n\n%s\n\n", s.Name, strings.Join(p.Worlds, ", "), s.Doc)
	tw := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	if len(p.Params) > 0 {
		fmt.Fprintln(tw, "PARAMETER\tDEFAULT")
		for _, v := range p.Params {
			fmt.Fprintf(tw, "%s\t%s\n", v.Name, v.Default)
		}
		fmt.Fprintln(tw)
	}
	fmt.Fprintln(tw, "PHASE\tLENGTH\tSTAGE\tFAULTS")
	for i := range p.Phases {
		ph := &p.Phases[i]
		var faults []string
		for j := range ph.Faults {
			faults = append(faults, faultText(&ph.Faults[j]))
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", ph.Name, ph.Length, ph.Stage, strings.Join(faults, "; "))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if n, phase := p.AtOnce(); n > 1 {
		fmt.Fprintf(c.out, "\nIts faults have up to %d nodes at once (phase %s).\n", n, phase)
	}
	for i := range p.Guards {
		g := &p.Guards[i]
		fmt.Fprintf(c.out, "\nGuarded by %s: %.4g%% of the budget has to be left before the first fault; aborts at a burn rate above %.4g over %s.\n",
			g.Name(), 100*g.Gate, g.Burn, g.Window)
	}
	return nil
}

func faultText(f *plan.Fault) string {
	text := fmt.Sprintf("%s %s", f.Kind, targetText(f.Target))
	if f.Aim != nil {
		text += fmt.Sprintf(" on %s within %s", f.Aim.On, f.Aim.Within)
	}
	return text
}

// targetText is a selector as a script writes it.
func targetText(s plan.Selector) string {
	switch s.Kind {
	case plan.SelectNode:
		return s.Node
	case plan.SelectLeader:
		return fmt.Sprintf("leader_of(%q, %d)", s.Topic, s.Partition)
	case plan.SelectAny:
		return fmt.Sprintf("any_of(%q, %d)", s.Role, s.N)
	case plan.SelectAll, plan.SelectPeers:
		return fmt.Sprintf("%s(%q)", s.Kind, s.Role)
	case plan.SelectZK, plan.SelectSubject:
		return fmt.Sprintf("%s()", s.Kind)
	}
	return string(s.Kind)
}
