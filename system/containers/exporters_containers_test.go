//go:build containers

package containers

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/query"
)

const (
	exportedTo  = "exported"     // the dataset
	keyItem     = "item"         // an item's number in its stream
	itemsEvery  = 20             // milliseconds between two handfuls of a stream
	itemsAtOnce = 4              // in a handful
	flushEvery  = 200            // milliseconds between two exports of a stream
	underWay    = exportKey("x") // the export that a request belongs to
)

type exportKey string

// stream sends items of one signal over one protocol with the SDK as it is, but that what it exports is written down.
type stream struct {
	exports
	name   string
	next   atomic.Int64
	emit   func(ctx context.Context, first, n int64) // nil: items are collected when they are exported
	finish func(context.Context) error
}

// note writes an export down.
func (s *stream) note(ctx context.Context, items []int64, send func(ctx context.Context) error) error {
	x := s.begin(items)
	err := send(context.WithValue(ctx, underWay, x))
	s.end(x, err)
	return err
}

// attempted counts one request of an export.
func attempted(ctx context.Context) {
	if x, ok := ctx.Value(underWay).(*export); ok {
		x.attempts.Add(1)
	}
}

type countingTransport struct{}

// RoundTrip implements http.RoundTripper.
func (countingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	attempted(r.Context())
	return http.DefaultTransport.RoundTrip(r)
}

func countCall(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	attempted(ctx)
	return invoke(ctx, method, req, reply, cc, opts...)
}

// itemOf finds an item's number among attributes.
func itemOf(attributes []attribute.KeyValue) (int64, bool) {
	for _, a := range attributes {
		if a.Key == keyItem {
			return a.Value.AsInt64(), true
		}
	}
	return 0, false
}

type spanExporter struct {
	sdktrace.SpanExporter
	s *stream
}

// ExportSpans implements the SDK's SpanExporter.
func (e spanExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	var items []int64
	for _, span := range spans {
		if item, ok := itemOf(span.Attributes()); ok {
			items = append(items, item)
		}
	}
	return e.s.note(ctx, items, func(ctx context.Context) error { return e.SpanExporter.ExportSpans(ctx, spans) })
}

type logExporter struct {
	sdklog.Exporter
	s *stream
}

// Export implements the SDK's log Exporter.
func (e logExporter) Export(ctx context.Context, records []sdklog.Record) error {
	var items []int64
	for i := range records {
		records[i].WalkAttributes(func(a log.KeyValue) bool {
			if a.Key == keyItem {
				items = append(items, a.Value.AsInt64())
			}
			return true
		})
	}
	return e.s.note(ctx, items, func(ctx context.Context) error { return e.Exporter.Export(ctx, records) })
}

type metricExporter struct {
	sdkmetric.Exporter
	s *stream
}

// Export implements the SDK's metric Exporter.
func (e metricExporter) Export(ctx context.Context, rm *metricdata.ResourceMetrics) error {
	var items []int64
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			if gauge, ok := m.Data.(metricdata.Gauge[int64]); ok {
				for _, p := range gauge.DataPoints {
					if item, ok := p.Attributes.Value(keyItem); ok {
						items = append(items, item.AsInt64())
					}
				}
			}
		}
	}
	return e.s.note(ctx, items, func(ctx context.Context) error { return e.Exporter.Export(ctx, rm) })
}

// resourceOf is what the items of a stream have in common.
func resourceOf(s *stream) *resource.Resource {
	return resource.NewSchemaless(attribute.String("stream", s.name))
}

func traces(ctx context.Context, s *stream, headers map[string]string, n *node, overGRPC bool) (err error) {
	var to sdktrace.SpanExporter
	if overGRPC {
		to, err = otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL("http://"+n.grpc()), otlptracegrpc.WithHeaders(headers), otlptracegrpc.WithDialOption(grpc.WithUnaryInterceptor(countCall)))
	} else {
		to, err = otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(n.url()+"/v1/traces"), otlptracehttp.WithHeaders(headers), otlptracehttp.WithHTTPClient(&http.Client{Transport: countingTransport{}}))
	}
	p := sdktrace.NewTracerProvider(sdktrace.WithBatcher(spanExporter{to, s}, sdktrace.WithBatchTimeout(flushEvery*time.Millisecond)), sdktrace.WithResource(resourceOf(s)))
	tracer := p.Tracer("test")
	s.finish = p.Shutdown
	s.emit = func(ctx context.Context, first, n int64) {
		for i := range n {
			_, span := tracer.Start(ctx, "step")
			span.SetAttributes(attribute.Int64(keyItem, first+i))
			span.End()
		}
	}
	return err
}

func logs(ctx context.Context, s *stream, headers map[string]string, n *node, overGRPC bool) (err error) {
	var to sdklog.Exporter
	if overGRPC {
		to, err = otlploggrpc.New(ctx, otlploggrpc.WithEndpointURL("http://"+n.grpc()), otlploggrpc.WithHeaders(headers), otlploggrpc.WithDialOption(grpc.WithUnaryInterceptor(countCall)))
	} else {
		to, err = otlploghttp.New(ctx, otlploghttp.WithEndpointURL(n.url()+"/v1/logs"), otlploghttp.WithHeaders(headers), otlploghttp.WithHTTPClient(&http.Client{Transport: countingTransport{}}))
	}
	p := sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewBatchProcessor(logExporter{to, s}, sdklog.WithExportInterval(flushEvery*time.Millisecond))), sdklog.WithResource(resourceOf(s)))
	logger := p.Logger("test")
	s.finish = p.Shutdown
	s.emit = func(ctx context.Context, first, n int64) {
		for i := range n {
			var r log.Record
			r.SetTimestamp(time.Now())
			r.AddAttributes(log.Int64(keyItem, first+i))
			logger.Emit(ctx, r)
		}
	}
	return err
}

func metrics(ctx context.Context, s *stream, headers map[string]string, n *node, overGRPC bool) (err error) {
	var to sdkmetric.Exporter
	if overGRPC {
		to, err = otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpointURL("http://"+n.grpc()), otlpmetricgrpc.WithHeaders(headers), otlpmetricgrpc.WithDialOption(grpc.WithUnaryInterceptor(countCall)))
	} else {
		to, err = otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(n.url()+"/v1/metrics"), otlpmetrichttp.WithHeaders(headers), otlpmetrichttp.WithHTTPClient(&http.Client{Transport: countingTransport{}}))
	}
	p := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(metricExporter{to, s}, sdkmetric.WithInterval(flushEvery*time.Millisecond))), sdkmetric.WithResource(resourceOf(s)))
	s.finish = p.Shutdown
	if err != nil {
		return err
	}
	// Each collection has points of its own.
	_, err = p.Meter("test").Int64ObservableGauge("level", metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
		const n = itemsAtOnce * flushEvery / itemsEvery
		first := s.next.Add(n) - n
		for i := range int64(n) {
			o.Observe(i, metric.WithAttributes(attribute.Int64(keyItem, first+i)))
		}
		return nil
	}))
	return err
}

// streams opens one for each signal and protocol, spread over the shepherds.
func streams(ctx context.Context, b *bench) (list []*stream, err error) {
	headers := map[string]string{"x-honeycomb-team": system.TeamKey(system.DefaultTeam), "x-honeycomb-dataset": exportedTo}
	shepherds := b.of(system.RoleShepherd)
	for i, signal := range []struct {
		name string
		open func(ctx context.Context, s *stream, headers map[string]string, n *node, overGRPC bool) error
	}{{"traces", traces}, {"logs", logs}, {"metrics", metrics}} {
		for k, protocol := range []string{"gRPC", "HTTP"} {
			s := &stream{name: signal.name + " over " + protocol}
			if err := signal.open(ctx, s, headers, shepherds[(i+k)%len(shepherds)], protocol == "gRPC"); err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			list = append(list, s)
		}
	}
	return list, nil
}

// run emits until ctx ends, and then sends what is left.
func (s *stream) run(ctx context.Context) error {
	tick := time.NewTicker(itemsEvery * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		if s.emit != nil {
			s.emit(ctx, s.next.Add(itemsAtOnce)-itemsAtOnce, itemsAtOnce)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return s.finish(last)
}

// exportUnder exports all signals over both protocols while a broker is lost for good and replaced by an empty one, and then
// while all brokers stand still and a shepherd is killed; it returns what became of each stream's items.
func exportUnder(t *testing.T, b *bench) map[string]judgement {
	list, err := streams(b.ctx, b)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.ctx)
	defer stop()
	var wg sync.WaitGroup
	for _, s := range list {
		wg.Go(func() {
			if err := s.run(ctx); err != nil {
				t.Logf("%s: its last export: %v", s.name, err) // what it says of its items is what counts
			}
		})
	}
	_ = pause(ctx, 5*time.Second)
	lost := system.Fault{Kind: system.FaultReplace, Node: b.leader(t)}
	b.inject(t, lost)
	b.leaves(t, lost.Node)
	_ = pause(ctx, 3*time.Second)
	b.heal(t, lost)
	b.reaches(t, lost.Node, system.Answers)
	_ = pause(ctx, 3*time.Second)

	var still []system.Fault
	for _, k := range b.of(system.RoleKafka) {
		still = append(still, system.Fault{Kind: system.FaultPause, Node: k.Name})
		b.inject(t, still[len(still)-1])
	}
	_ = pause(ctx, 600*time.Millisecond)
	killed := system.Fault{Kind: system.FaultKill, Node: "shepherd1"}
	b.inject(t, killed)
	for _, f := range still {
		b.heal(t, f)
	}
	b.heal(t, killed)
	b.reaches(t, killed.Node, system.Answers)
	_ = pause(ctx, 5*time.Second)
	stop()
	wg.Wait()

	judged := map[string]judgement{}
	for began := time.Now(); time.Since(began) < time.Minute; _ = pause(b.ctx, time.Second) {
		missing := false
		for _, s := range list {
			j := s.judge(b.exported(t, s))
			judged[s.name] = j
			missing = missing || j.wrong()
		}
		if !missing {
			break
		}
	}
	return judged
}

// exported counts a stream's items by queries, waiting for complete answers.
func (b *bench) exported(t *testing.T, s *stream) found {
	t.Helper()
	const most = 4000 // items in an answer
	there := found{}
	for first := int64(0); first < s.next.Load(); first += most {
		b.table(t, exportedTo, map[string]any{
			"calculations": []map[string]string{{"op": "COUNT"}}, "breakdowns": []string{keyItem},
			"filters": []map[string]any{{"column": "stream", "op": "=", "value": s.name}, {"column": keyItem, "op": ">=", "value": first}, {"column": keyItem, "op": "<", "value": first + most}},
		}, func(item, count int64) { there[item] += count })
	}
	return there
}

// table runs a query over the last hour, with as many groups as there may be, until its answer is complete, and hands over its
// single breakdown, a number, and its single calculation, a count.
func (b *bench) table(t *testing.T, dataset string, spec map[string]any, row func(group, count int64)) {
	t.Helper()
	now := time.Now().Unix()
	spec["start_time"], spec["end_time"] = now-3600, now+60
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a complete answer", func() (string, bool) {
		ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
		defer cancel()
		a, err := b.Queriers()[0].Query(ctx, query.Request{Team: system.TeamKey(system.DefaultTeam), Dataset: dataset, Spec: text, DisableSeries: true, Limit: 10_000})
		if err != nil || a.Code != http.StatusOK || !a.Complete || a.Result == nil || a.Result.Truncated {
			return fmt.Sprintf("code %d %s, complete %v, missing %+v, %v", a.Code, a.Error, a.Complete, a.Missing, err), false
		}
		for _, r := range a.Result.Rows {
			count, err := strconv.ParseInt(r.Values[0].Value.String(), 10, 64)
			if err != nil || r.Group[0].Kind() != event.Int {
				t.Errorf("a row with the group %s and the count %s", r.Group[0].String(), r.Values[0].Value.String())
			}
			row(r.Group[0].Int(), count)
		}
		return "", true
	})
}

// TestContainersExporters: what the OpenTelemetry SDK's exporters were told is stored is found, over both protocols, though a
// broker is lost for good, all brokers stand still, and a shepherd is killed meanwhile.
func TestContainersExporters(t *testing.T) {
	disturbed := 0 // exports that the faults met
	for stream, j := range exportersOn(t) {
		if j.wrong() {
			t.Errorf("%s: %s", stream, &j)
		}
		if disturbed += j.failed + j.retried; j.acked < 1000 {
			t.Errorf("%s: too few items to say anything: %s", stream, &j)
		}
	}
	if disturbed == 0 {
		t.Error("no export failed or was sent again: the faults met nothing")
	}
}

// TestAtLengthExportersPlanted: where a shepherd answers before Kafka has, the same exporters' items are found to be lost.
func TestAtLengthExportersPlanted(t *testing.T) {
	lost := 0
	for _, j := range exportersOn(t, planted.AcceptBeforeKafka) {
		lost += len(j.lost)
	}
	if lost == 0 {
		t.Error("nothing that was acknowledged is missed, although the shepherds answered before Kafka had it")
	}
}

// exportersOn starts a world whose roles have bugs, and exports to it.
func exportersOn(t *testing.T, bugs ...string) (judged map[string]judgement) {
	t.Helper()
	set, err := planted.Parse(bugs...)
	if err != nil {
		t.Fatal(err)
	}
	top := system.Default()
	top.ZooKeeper.Nodes, top.Replicas = 1, 1
	w := newWorld(t, func(o *Options) { o.Planted = set })
	began := time.Now()
	err = w.Drive(t.Context(), func(ctx context.Context) error {
		if err := w.Start(ctx, top); err != nil {
			return err
		}
		judged = exportUnder(t, &bench{World: w, ctx: ctx, seen: &recorder{}})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, stream := range slices.Sorted(maps.Keys(judged)) {
		j := judged[stream]
		t.Logf("%s: %s", stream, &j)
	}
	t.Logf("in %v", time.Since(began).Round(time.Second))
	return judged
}
