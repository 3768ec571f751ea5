package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ratel-sim/ratel/system/containers"
)

func (c *cli) downCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "down [NAME]",
		Short:   "Remove the pipeline that 'ratel up' has started",
		Long:    "Remove the pipeline that 'ratel up' has started, with all of its data: the one of a name, without one the one that was given none, or all.\n\n" + exitCodesHelp,
		Example: "  ratel down\n  ratel down observer\n  ratel down --all",
		Args:    atMostOne,
		RunE: func(cmd *cobra.Command, args []string) error {
			opt := containers.Options{Log: c.talk}
			names, err := oneName(args)
			if err != nil {
				return err
			}
			if all {
				if len(args) > 0 {
					return usagef("%s --all removes %q too: give one of both", cmd.CommandPath(), args[0])
				}
				up, err := containers.AllUp(cmd.Context(), opt)
				if err == nil && len(up) == 0 {
					err = &containers.NotUpError{Name: containers.DefaultName}
				}
				if err != nil {
					return upError(err)
				}
				names = names[:0]
				for _, s := range slices.Backward(up) { // who is observed goes before who observes
					names = append(names, s.Name)
				}
			}
			for _, name := range names {
				s, err := containers.Down(cmd.Context(), name, opt)
				if err != nil {
					return upError(err)
				}
				if _, err := fmt.Fprintf(c.out, "removed: %srun %s, %d nodes\n", named(s.Name), s.Run, len(s.Nodes)); err != nil {
					return err
				}
				if !all {
					if err := c.sayUnobserved(cmd, s, opt); err != nil {
						return upError(err)
					}
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "remove all that are up")
	return cmd
}

// sayUnobserved names the worlds that described themselves into the one that was removed.
func (c *cli) sayUnobserved(cmd *cobra.Command, s *containers.Standing, opt containers.Options) error {
	up, err := containers.AllUp(cmd.Context(), opt)
	for _, other := range up {
		if other.Observer.Run == s.Run {
			fmt.Fprintf(c.talk, "the world %q described itself into it, and goes on without\n", other.Name)
		}
	}
	return err
}

// named is a world's name before other words, for those that have been given one.
func named(name string) string {
	if name == containers.DefaultName {
		return ""
	}
	return name + ", "
}

// oneName is the standing world that an argument names, or that has no name.
func oneName(args []string) ([]string, error) {
	if len(args) == 0 {
		return []string{containers.DefaultName}, nil
	}
	if err := containers.CheckName(args[0]); err != nil {
		return nil, usagef("%v", err)
	}
	return args[:1], nil
}

// upError gives an error of up and down its exit code and what to do.
func upError(err error) error {
	var none *containers.NotUpError
	switch {
	case errors.As(err, &none) && len(none.Up) > 0:
		return fail(exitWorld, err, "'ratel up --show' lists what is up.")
	case errors.Is(err, containers.ErrNotUp):
		return fail(exitWorld, err, "'ratel up' starts one.")
	case errors.Is(err, containers.ErrUp):
		return fail(exitWorld, err, "'ratel up --show' says what is up.")
	}
	return fail(exitWorld, err, worldHint(err))
}
