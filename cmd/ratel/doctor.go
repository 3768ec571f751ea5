package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ratel-sim/ratel/system/containers"
)

func (c *cli) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine has and lacks for each world, and the command that mends it",
		Long: `Say what this machine has and lacks for each world, and the command that mends it. The simulated world needs nothing but this program. The exit code is 69 when the
containers world lacks something.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			tw := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
			fmt.Fprintln(tw, "sim\tok\tthe simulated world needs nothing but this program")
			lacking := 0
			for _, f := range containers.Doctor(cmd.Context()) {
				state := "ok"
				if !f.OK {
					state = "lacks"
					if f.Fatal {
						lacking++
					}
				}
				fmt.Fprintf(tw, "containers\t%s\t%s: %s\n", state, f.Name, f.Detail)
				if f.Fix != "" && !f.OK {
					fmt.Fprintf(tw, "\t\t  to mend it: %s\n", f.Fix)
				}
			}
			if err := tw.Flush(); err != nil {
				return err
			}
			if lacking > 0 {
				return fail(exitWorld, fmt.Errorf("the containers world lacks something on this machine (%d of the lines above)", lacking), "")
			}
			return nil
		},
	}
}
