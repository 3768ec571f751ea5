package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/containers"
)

// show prints the world of a name, or without one the only one that is up, or a list of several.
func (c *cli) show(ctx context.Context, name string, given bool, opt containers.Options) error {
	if given {
		s, err := containers.IsUp(ctx, name, opt)
		if err != nil {
			return upError(err)
		}
		return c.printStanding(ctx, s, opt)
	}
	up, err := containers.AllUp(ctx, opt)
	switch {
	case err != nil:
		return upError(err)
	case len(up) == 0:
		return upError(&containers.NotUpError{Name: containers.DefaultName})
	case len(up) == 1:
		return c.printStanding(ctx, up[0], opt)
	}
	tw := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(tw, "NAME\tUP SINCE\tNODES\tOBSERVED BY\tRUN\n")
	for _, s := range up {
		fmt.Fprintf(tw, "%s\t%s\t%d\t%s\t%s\n", s.Name, s.Since.Format(time.DateTime), len(s.Nodes), orDash(s.Observer.Name), s.Run)
	}
	fmt.Fprintf(tw, "\nWhere each API is: ratel up --show --name NAME\n")
	return tw.Flush()
}

// printStanding says where everything is, and how to send and query an event.
func (c *cli) printStanding(ctx context.Context, s *containers.Standing, opt containers.Options) error {
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
	telemetry, err := telemetryLines(ctx, s, opt)
	if err != nil {
		return upError(err)
	}
	name := ""
	if s.Name != containers.DefaultName {
		name = " " + s.Name
	}
	_, err = io.WriteString(c.out, recipes(shepherds[0], queries[0], s.Teams[0].Key, s.Webhooks, name)+telemetry+"\nRemove it all: ratel down"+name+"\n")
	return err
}

// telemetryLines ask the world that a world describes itself into; empty if there is none.
func telemetryLines(ctx context.Context, s *containers.Standing, opt containers.Options) (string, error) {
	if s.Observer == (containers.StandingObserver{}) {
		return "", nil
	}
	by, err := containers.IsUp(ctx, s.Observer.Name, opt)
	if errors.Is(err, containers.ErrNotUp) {
		by, err = &containers.Standing{}, nil
	}
	if err != nil {
		return "", err
	}
	if by.Run != s.Observer.Run || len(by.Of(system.RoleQuery)) == 0 {
		return fmt.Sprintf("\nWhat it says about itself is lost: the world %q that it was to go to is not up any more.\n", s.Observer.Name), nil
	}
	at, key := by.Of(system.RoleQuery)[0].URL, by.Teams[0].Key
	return fmt.Sprintf(`
Query what it says about itself, which goes to the world %[1]q: ticks, by role:
  %[2]s

Follow chunks of events from ingest to index; %[3]s is told of:
  %[4]s
`, by.Name,
		queryLine(at, key, "__all__", `{"time_range":600,"calculations":[{"op":"COUNT"}],"breakdowns":["role"],"filters":[{"column":"meta.kind","op":"=","value":"tick"}]}`), oneIn(s.Topology.Telemetry.ProduceSample),
		queryLine(at, key, "__all__", `{"time_range":600,"calculations":[{"op":"SUM","column":"events"},{"op":"MAX","column":"delay_ms"}],"breakdowns":["trace.trace_id","meta.kind","node"],"filters":[{"column":"trace.trace_id","op":"exists"}],"orders":[{"column":"trace.trace_id"}]}`)), nil
}

func oneIn(n int) string {
	if n == 1 {
		return "each"
	}
	return fmt.Sprintf("one in %d", n)
}

// apiHeaders are curl's arguments for a request with a team's key.
func apiHeaders(key string) string {
	return "-H 'X-Honeycomb-Team: " + key + "' -H 'Content-Type: application/json'"
}

// queryLine is a shell's line that asks a query node and prints the result.
func queryLine(url, key, dataset, spec string) string {
	const id = `sed -E 's/.*"id": ?"([^"]+)".*/\1/'`
	return fmt.Sprintf(`Q=$(curl -s %[1]s/1/queries/%[2]s %[3]s -d '%[4]s' | %[5]s); \
  R=$(curl -s %[1]s/1/query_results/%[2]s %[3]s -d "{\"query_id\":\"$Q\"}" | %[5]s); sleep 1; \
  curl -s %[1]s/1/query_results/%[2]s/$R %[3]s`, url, dataset, apiHeaders(key), spec, id)
}

// recipes are lines that can be run as they are. name is that of the world with a space before it; empty for the default.
func recipes(shepherd, query containers.StandingNode, key, webhooks, name string) string {
	curl := apiHeaders(key)
	var b strings.Builder
	fmt.Fprintf(&b, `
Send an event:
  curl -s %[1]s/1/batch/demo %[3]s -d '[{"data":{"service.name":"shop","duration_ms":12.5}}]'

Query it:
  %[2]s

Send traces, logs and metrics with an OpenTelemetry SDK, over gRPC:
  export OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_ENDPOINT=%[4]s
  export OTEL_EXPORTER_OTLP_HEADERS=x-honeycomb-team=%[5]s,x-honeycomb-dataset=demo

Or over HTTP:
  export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf OTEL_EXPORTER_OTLP_ENDPOINT=%[1]s
  export OTEL_EXPORTER_OTLP_HEADERS=x-honeycomb-team=%[5]s,x-honeycomb-dataset=demo
`, shepherd.URL, queryLine(query.URL, key, "demo", `{"calculations":[{"op":"COUNT"},{"op":"AVG","column":"duration_ms"}],"breakdowns":["service.name"]}`),
		curl, shepherd.GRPC, key)
	if webhooks != "" {
		fmt.Fprintf(&b, `
Receive webhooks, in another terminal:
  ratel webhooks%[4]s

Define a trigger, which is evaluated each minute:
  curl -s %[1]s/1/triggers/demo %[2]s -d '{"name":"slow requests","query":{"calculations":[{"op":"COUNT"}],"filters":[{"column":"duration_ms","op":">","value":1000}]},"threshold":{"op":">","value":0},"frequency":60,"recipients":[{"type":"webhook","target":"%[3]s"}]}'

Make it fire, soon after the minute is over:
  curl -s %[1]s/1/batch/demo %[2]s -d '[{"data":{"service.name":"shop","duration_ms":2500}}]'
`, shepherd.URL, curl, webhooks, name)
	}
	return b.String()
}

func orDash(s string) string {
	if strings.TrimSpace(s) == "" {
		return "-"
	}
	return s
}
