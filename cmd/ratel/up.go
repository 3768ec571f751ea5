package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
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
		topology, scenario string
		show               bool
		set                []string
		observe            process.Observe
		images             imageFlags
	)
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start the pipeline on real servers and leave it up",
		Long: `Start ZooKeeper, Kafka, MySQL, S3 and the pipeline's own nodes in containers, leave them running, and print where each API is, how to send an event, also with an OpenTelemetry SDK, to query it, and to be
told of it by a webhook.
One such world can be up at a time; 'ratel down' removes it. Runs of scenarios beside it do not touch it.

` + exitCodesHelp,
		Example: "  ratel up\n  ratel up --topology small.json\n  ratel up --scenario retriever-loss\n  ratel up --show\n  ratel down",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			opt := images.options(c.talk)
			if show {
				s, err := containers.IsUp(cmd.Context(), opt)
				if err != nil {
					return upError(err)
				}
				return c.printStanding(s)
			}
			if topology != "" && scenario != "" {
				return usagef("--topology and --scenario both say what to start: give one")
			}
			t, err := c.topologyOf(topology, scenario, set)
			if err != nil {
				return err
			}
			if observe != (process.Observe{}) {
				if err := observe.Check(); err != nil {
					return usagef("--observe: %v", err)
				}
				if opt.Observe = observe; t.Telemetry == (telemetry.Config{}) {
					t.Telemetry = telemetry.DefaultConfig()
				}
			}
			s, err := containers.Up(cmd.Context(), t, opt)
			if err != nil {
				return upError(err)
			}
			return c.printStanding(s)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&topology, "topology", "", "a JSON file with the topology; what it does not say is as by default")
	fl.StringVar(&scenario, "scenario", "", "take the topology of this scenario")
	fl.StringArrayVar(&set, "set", nil, "with --scenario, a parameter of it: name=value")
	fl.StringVar(&observe.URL, "observe", "", "let every role describe itself in wide events to this ingest of the batch API's form: a URL that containers reach")
	fl.StringVar(&observe.Key, "observe-key", "", "with --observe, the API key there")
	images.register(cmd)
	fl.BoolVar(&show, "show", false, "print what is up already, and start nothing")
	return cmd
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

func (c *cli) downCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "down",
		Short:   "Remove the pipeline that 'ratel up' has started",
		Long:    "Remove the pipeline that 'ratel up' has started, with all of its data.\n\n" + exitCodesHelp,
		Example: "  ratel down",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := containers.Down(cmd.Context(), containers.Options{Log: c.talk})
			if err != nil {
				return upError(err)
			}
			_, err = fmt.Fprintf(c.out, "removed: run %s, %d nodes\n", s.Run, len(s.Nodes))
			return err
		},
	}
}

// upError gives an error of up and down its exit code and what to do.
func upError(err error) error {
	switch {
	case errors.Is(err, containers.ErrNotUp):
		return fail(exitWorld, err, "'ratel up' starts one.")
	case errors.Is(err, containers.ErrUp):
		return fail(exitWorld, err, "'ratel up --show' says where it is.")
	}
	return fail(exitWorld, err, "'ratel doctor' says what this machine lacks for the containers world.")
}

// printStanding says where everything is, and how to send and query an event.
func (c *cli) printStanding(s *containers.Standing) error {
	tw := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(tw, "NODE\tZONE\tAT\n")
	for _, n := range s.Nodes {
		at := n.URL
		if at == "" {
			at = n.Address
		}
		if n.GRPC != "" {
			at += "  OTLP over gRPC: " + n.GRPC
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\n", n.Name, orDash(n.Zone), at)
	}
	fmt.Fprintf(tw, "\nTEAM\tKEY\n")
	for _, t := range s.Teams {
		fmt.Fprintf(tw, "%s\t%s\n", t.Name, t.Key)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	shepherds, queries := s.Of(system.RoleShepherd), s.Of(system.RoleQuery)
	if len(shepherds) == 0 || len(queries) == 0 || len(s.Teams) == 0 {
		return nil
	}
	_, err := io.WriteString(c.out, recipes(shepherds[0], queries[0], s.Teams[0].Key, s.Webhooks))
	return err
}

// recipes are lines that can be run as they are.
func recipes(shepherd, query containers.StandingNode, key, webhooks string) string {
	curl := "-H 'X-Honeycomb-Team: " + key + "' -H 'Content-Type: application/json'"
	var b strings.Builder
	fmt.Fprintf(&b, `
Send an event:
  curl -s %[1]s/1/batch/demo %[3]s -d '[{"data":{"service.name":"shop","duration_ms":12.5}}]'

Query it:
  Q=$(curl -s %[2]s/1/queries/demo %[3]s -d '{"calculations":[{"op":"COUNT"},{"op":"AVG","column":"duration_ms"}],"breakdowns":["service.name"]}' | %[4]s); \
  R=$(curl -s %[2]s/1/query_results/demo %[3]s -d "{\"query_id\":\"$Q\"}" | %[4]s); sleep 1; \
  curl -s %[2]s/1/query_results/demo/$R %[3]s

Send traces, logs and metrics with an OpenTelemetry SDK, over gRPC:
  export OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_ENDPOINT=%[5]s
  export OTEL_EXPORTER_OTLP_HEADERS=x-honeycomb-team=%[6]s,x-honeycomb-dataset=demo

Or over HTTP:
  export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf OTEL_EXPORTER_OTLP_ENDPOINT=%[1]s
  export OTEL_EXPORTER_OTLP_HEADERS=x-honeycomb-team=%[6]s,x-honeycomb-dataset=demo
`, shepherd.URL, query.URL, curl, `sed -E 's/.*"id": ?"([^"]+)".*/\1/'`, shepherd.GRPC, key)
	if webhooks != "" {
		fmt.Fprintf(&b, `
Receive webhooks, in another terminal:
  ratel webhooks

Define a trigger, which is evaluated each minute:
  curl -s %[1]s/1/triggers/demo %[2]s -d '{"name":"slow requests","query":{"calculations":[{"op":"COUNT"}],"filters":[{"column":"duration_ms","op":">","value":1000}]},"threshold":{"op":">","value":0},"frequency":60,"recipients":[{"type":"webhook","target":"%[3]s"}]}'

Make it fire, soon after the minute is over:
  curl -s %[1]s/1/batch/demo %[2]s -d '[{"data":{"service.name":"shop","duration_ms":2500}}]'
`, shepherd.URL, curl, webhooks)
	}
	return b.String() + "\nRemove it all: ratel down\n"
}

func orDash(s string) string {
	if strings.TrimSpace(s) == "" {
		return "-"
	}
	return s
}
