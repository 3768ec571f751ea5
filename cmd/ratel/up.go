package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/ratel-sim/ratel/scenarios/plan"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/containers"
	"github.com/ratel-sim/ratel/system/process"
	"github.com/ratel-sim/ratel/system/telemetry"
)

func (c *cli) upCommand() *cobra.Command {
	var (
		name, topology, scenario string
		show                     bool
		set                      []string
		into                     string
		observe                  process.Observe
		images                   imageFlags
	)
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start the pipeline on real servers and leave it up",
		Long: `Start ZooKeeper, Kafka, MySQL, S3 and the pipeline's own nodes in containers, leave them running, and print where each API is, how to send an event, also with an OpenTelemetry SDK, to query it, and to be
told of it by a webhook.
With --name several such worlds can be up at a time, and --observe-into has one describe itself into another, smaller one: see the example. 'ratel down' removes one. Runs of scenarios beside them do not touch them.

` + exitCodesHelp,
		Example: "  ratel up\n  ratel up --topology small.json\n  ratel up --scenario retriever-loss\n  ratel up --show\n  ratel down\n\n" +
			"  ratel up --name observer --topology docs/observer.json\n  ratel up --observe-into observer\n  ratel down --all",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			opt := images.options(c.talk)
			if err := containers.CheckName(name); err != nil {
				return usagef("--name: %v", err)
			}
			if show {
				return c.show(cmd.Context(), name, cmd.Flags().Changed("name"), opt)
			}
			if topology != "" && scenario != "" {
				return usagef("--topology and --scenario both say what to start: give one")
			}
			t, err := c.topologyOf(topology, scenario, set)
			if err != nil {
				return err
			}
			if err := checkObserve(&t, name, into, observe); err != nil {
				return err
			}
			opt.Observe, opt.ObserveInto = observe, into
			s, err := containers.Up(cmd.Context(), name, t, opt)
			if err != nil {
				return upError(err)
			}
			return c.printStanding(cmd.Context(), s, opt)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&name, "name", containers.DefaultName, "what to call this world, so that others can be up beside it")
	fl.StringVar(&topology, "topology", "", "a JSON file with the topology; what it does not say is as by default")
	fl.StringVar(&scenario, "scenario", "", "take the topology of this scenario")
	fl.StringArrayVar(&set, "set", nil, "with --scenario, a parameter of it: name=value")
	fl.StringVar(&into, "observe-into", "", "let every role describe itself in wide events to the world of this name, which is up")
	fl.StringVar(&observe.URL, "observe", "", "let every role describe itself in wide events to this ingest of the batch API's form: a URL that containers reach")
	fl.StringVar(&observe.Key, "observe-key", "", "with --observe, the API key there")
	images.register(cmd)
	fl.BoolVar(&show, "show", false, "print what is up already, of several a list or that of --name, and start nothing")
	return cmd
}

// checkObserve sees to it that what is to be observed says something, and to somebody.
func checkObserve(t *system.Topology, name, into string, at process.Observe) error {
	flag := "--observe-into"
	switch {
	case into != "" && at != (process.Observe{}):
		return usagef("--observe-into and --observe both say who observes: give one")
	case into != "":
		if err := containers.CheckName(into); err != nil {
			return usagef("--observe-into: %v", err)
		}
		if into == name {
			return usagef("--observe-into: the world %q cannot observe itself into itself: start another one with --name first", name)
		}
	case at != (process.Observe{}):
		flag = "--observe"
		if err := at.Check(); err != nil {
			return usagef("--observe: %v", err)
		}
	default:
		return nil
	}
	if t.Telemetry == (telemetry.Config{}) {
		t.Telemetry = telemetry.DefaultConfig()
	}
	if !t.Telemetry.Enabled {
		return usagef("%s: the topology says that telemetry is not enabled, so nothing would be said", flag)
	}
	return nil
}

// topologyOf is the topology that up's flags ask for.
func (c *cli) topologyOf(file, scenario string, set []string) (system.Topology, error) {
	switch {
	case file != "":
		data, err := os.ReadFile(file)
		if err != nil {
			return system.Topology{}, fail(exitIO, err, "")
		}
		t, err := plan.DecodeTopology(file, data, upDefault())
		if err != nil {
			return system.Topology{}, fail(exitData, err, "")
		}
		return t, nil
	case scenario != "":
		s, err := c.script(scenario)
		if err != nil {
			return system.Topology{}, err
		}
		p, err := c.plan(s, set, 1)
		if err != nil {
			return system.Topology{}, err
		}
		return p.System, nil
	case len(set) > 0:
		return system.Topology{}, usagef("--set gives a parameter of a scenario: name one with --scenario")
	}
	return upDefault(), nil
}

// upDefault is the whole pipeline: a scenario asks for workers that count and alert if it needs them, and somebody who tries
// it out has them.
func upDefault() system.Topology {
	t := system.Default()
	t.Beagles, t.Triggers = 2, 2
	t.Retriever.SealIdle = time.Minute // it is left to itself, and what it has is to be in S3
	return t
}
