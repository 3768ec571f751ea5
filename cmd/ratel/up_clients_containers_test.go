//go:build containers

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// exported is the environment that lines of a shell set.
func exported(t *testing.T, lines string) map[string]string {
	t.Helper()
	env := map[string]string{}
	for line := range strings.Lines(lines) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "export" {
			t.Fatalf("no line for a shell's environment: %q", line)
		}
		for _, w := range words[1:] {
			name, value, _ := strings.Cut(w, "=")
			env[name] = value
		}
	}
	return env
}

// countsByExporters sends spans with the SDK's exporters, told by nothing but the environment that was printed.
func countsByExporters(ctx context.Context, t *testing.T, out string) {
	const spans = 1000
	var want []string
	for _, c := range []struct {
		heading, service, protocol string
		open                       func() (sdktrace.SpanExporter, error)
	}{
		{"Send traces, logs and metrics with an OpenTelemetry SDK, over gRPC:", "by-grpc", "grpc", func() (sdktrace.SpanExporter, error) { return otlptracegrpc.New(ctx) }},
		{"Or over HTTP:", "by-http", "http/protobuf", func() (sdktrace.SpanExporter, error) { return otlptracehttp.New(ctx) }},
	} {
		for name, value := range exported(t, strings.ReplaceAll(block(t, out, c.heading), "=demo", "=exported")) {
			t.Setenv(name, value)
			if name == "OTEL_EXPORTER_OTLP_PROTOCOL" && value != c.protocol {
				t.Errorf("%s names the protocol %q", c.heading, value)
			}
		}
		exporter, err := c.open()
		if err != nil {
			t.Fatal(err)
		}
		provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", c.service))))
		for i := range spans {
			_, span := provider.Tracer("first").Start(ctx, fmt.Sprint("step ", i))
			span.End()
		}
		if err := provider.Shutdown(ctx); err != nil {
			t.Fatalf("%s: %v", c.service, err)
		}
		want = append(want, fmt.Sprintf("%s:%d", c.service, spans))
	}
	apiOf(t, out).counts(ctx, t, "exported", strings.Join(want, " "))
}

// webhookComes runs the lines about a trigger as they were printed, and expects its webhook.
func (u *user) webhookComes(ctx context.Context, out string) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	words := strings.Fields(block(u.t, out, "Receive webhooks, in another terminal:"))
	if len(words) != 2 || words[0] != "ratel" {
		u.t.Fatalf("to receive webhooks up printed %q", words)
	}
	receiver := exec.CommandContext(ctx, binary(u.t), append(words[1:], "--count", "1")...)
	receiver.Env = u.env
	talk, err := receiver.StderrPipe()
	if err != nil {
		u.t.Fatal(err)
	}
	var came strings.Builder
	receiver.Stdout = &came
	if err := receiver.Start(); err != nil {
		u.t.Fatal(err)
	}
	ready, err := bufio.NewReader(talk).ReadString('\n')
	if err != nil || !strings.HasPrefix(ready, "receiving webhooks") {
		u.t.Fatalf("the receiver says %q, %v", ready, err)
	}
	var defined struct{ ID string }
	if answer := u.sh(ctx, block(u.t, out, "Define a trigger, which is evaluated each minute:")); json.Unmarshal([]byte(answer), &defined) != nil || defined.ID == "" {
		u.t.Errorf("defining a trigger answered %s", answer)
	}
	began := time.Now()
	if got := u.sh(ctx, block(u.t, out, "Make it fire, soon after the minute is over:")); !strings.Contains(got, `"status":202`) {
		u.t.Errorf("sending answered %s", got)
	}
	if err := receiver.Wait(); err != nil {
		u.t.Errorf("no webhook: %v", err)
	}
	u.t.Logf("after %v: %s", time.Since(began).Round(time.Second), came.String())
	_, body, _ := strings.Cut(came.String(), "{")
	var notice struct {
		ID, Status, Name string
		Value            float64
	}
	if err := json.Unmarshal([]byte("{"+body), &notice); err != nil || notice.ID != defined.ID || notice.Status != "TRIGGERED" || notice.Name != "slow requests" || notice.Value != 1 {
		u.t.Errorf("what came is %+v, %v", notice, err)
	}
}
