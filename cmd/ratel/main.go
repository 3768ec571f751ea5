// Command ratel runs scenarios against a streaming pipeline, in a deterministic simulation or on real servers in
// containers, and judges what became of every event.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// build is the version and commit, set by the linker.
var build = "unknown"

func main() {
	os.Exit(mainCode())
}

func mainCode() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	c := &cli{
		out: &sink{w: os.Stdout}, talk: os.Stderr, build: buildName(),
		terminal: term.IsTerminal(int(os.Stderr.Fd())) && os.Getenv("TERM") != "dumb",
		color:    term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
	}
	return c.main(ctx, os.Args[1:])
}

// cli is what a command may touch of its surroundings. Results go to out, everything else to talk.
type cli struct {
	out      *sink
	talk     io.Writer
	build    string
	terminal bool // talk is a terminal: progress may rewrite its lines
	color    bool // out may be coloured
}

func (c *cli) main(ctx context.Context, args []string) (code int) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(c.talk, "ratel: internal error: %v\n\n%s\nThis is a defect of Ratel. Please report it with the command that was run.\n", p, stack())
			code = exitInternal
		}
	}()
	root := c.root()
	root.SetArgs(args)
	root.SetOut(c.out)
	root.SetErr(c.talk)
	err := root.ExecuteContext(ctx)
	if c.out.err != nil && !errors.Is(err, context.Canceled) {
		err = fail(exitIO, fmt.Errorf("the result could not be printed: %w", c.out.err), "")
	}
	c.explain(err)
	return codeOf(err)
}

// explain prints what went wrong and what to do about it.
func (c *cli) explain(err error) {
	var j judged
	if err == nil || errors.As(err, &j) {
		return
	}
	if errors.Is(err, context.Canceled) {
		say := strings.TrimSuffix(strings.TrimSuffix(err.Error(), context.Canceled.Error()), ": ")
		if say == "" {
			say = "before there was a result"
		}
		fmt.Fprintf(c.talk, "ratel: interrupted: %s\n", say)
	} else {
		fmt.Fprintf(c.talk, "ratel: %v\n", err)
	}
	for _, hint := range hints(err) {
		fmt.Fprintf(c.talk, "%s\n", hint)
	}
}

// hints are those of an error, or of all errors that were joined.
func hints(err error) (list []string) {
	switch e := err.(type) { //nolint:errorlint // goes down by itself
	case *failure:
		if e.hint != "" {
			list = append(list, e.hint)
		}
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			list = append(list, hints(one)...)
		}
	case interface{ Unwrap() error }:
		list = hints(e.Unwrap())
	}
	return list
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "ratel",
		Short: "Simulate and load-test a stateful streaming pipeline, and judge what became of every event",
		Long: `Ratel runs scenario scripts against a complete telemetry pipeline (HTTP ingest, Kafka, indexing workers), in one of two
worlds: "sim", a deterministic simulation in this process, and "containers", real Kafka and ZooKeeper in containers.
The same checks judge both: nothing that was accepted may be lost, duplicated or corrupted, and service levels must hold.

` + exitCodesHelp,
		Example: `  ratel run broker-loss                        # in the simulation; prints the verdict, the report and the replay command
  ratel run broker-loss --world containers     # the same script on real servers
  ratel run broker-loss --seed 8123 --set outage=5s
  ratel explore broker-loss --seeds 2000       # many seeds on all cores
  ratel check runs/latest                      # judge saved evidence again`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q%s\nRun 'ratel --help' for the commands", args[0], suggestion(cmd, args[0]))
			}
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w\nRun '%s --help' for its flags", plainFlagError(err), cmd.CommandPath())
	})
	root.SetHelpCommand(helpCommand(root))
	root.AddCommand(c.runCommand(), c.exploreCommand(), c.replayCommand(), c.checkCommand(), c.scenariosCommand(), c.lintCommand(),
		c.bugsCommand(), c.upCommand(), c.downCommand(), c.webhooksCommand(), c.doctorCommand(), c.versionCommand(), c.roleCommand(), c.reaperCommand())
	return root
}

// plainFlagError says of a value that a flag cannot take what it takes, instead of which function refused it.
func plainFlagError(err error) error {
	var bad *pflag.InvalidValueError
	if !errors.As(err, &bad) {
		return err
	}
	var takes string
	switch bad.GetFlag().Value.Type() {
	case "uint64":
		takes = fmt.Sprintf("a whole number from 0 to %d", uint64(math.MaxUint64))
	case "int":
		takes = "a whole number"
	case "bool":
		takes = "true or false"
	default:
		return err
	}
	return fmt.Errorf("--%s %q: it takes %s", bad.GetFlag().Name, bad.GetValue(), takes)
}

// helpCommand is cobra's, but that a command that does not exist is a usage error.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Help about any command",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || cmd == nil || len(rest) > 0 || cmd == root && len(args) > 0 {
				return usagef("unknown command %q%s\nRun 'ratel --help' for the commands", strings.Join(args, " "), suggestion(root, args[len(args)-1]))
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
	}
}

func suggestion(cmd *cobra.Command, arg string) string {
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(arg); len(near) > 0 {
		return fmt.Sprintf("; did you mean %q?", near[0])
	}
	return ""
}

// exactly makes an argument check whose error is a usage error that names what is missing.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usagef("%s: missing the argument %s\nRun '%s --help' for an example", cmd.CommandPath(), names[len(args)], cmd.CommandPath())
		}
		if len(args) > len(names) {
			return usagef("%s: unexpected argument %q\nRun '%s --help' for an example", cmd.CommandPath(), args[len(names)], cmd.CommandPath())
		}
		return nil
	}
}

// atMostOne makes an argument check for a command with one argument, which may be left out.
func atMostOne(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usagef("%s: unexpected argument %q\nRun '%s --help' for an example", cmd.CommandPath(), args[1], cmd.CommandPath())
	}
	return nil
}

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(c.out, "ratel", c.build)
			return err
		},
	}
}
