package shepherd

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/honeycombio/libhoney-go"
	"github.com/honeycombio/libhoney-go/transmission"
	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
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
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
)

// grpcServer serves a shepherd over HTTP/2 without TLS, and returns its address.
func grpcServer(t testing.TB, s *Shepherd) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: GRPC(s), Protocols: new(http.Protocols)}
	server.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	return l.Addr().String()
}

// show is an event as a test expects it: its fields by name.
func show(e *event.Event) string {
	var fields []string
	for i := range e.Fields {
		f := &e.Fields[i]
		fields = append(fields, f.Name+"="+f.Value.Kind().String()+":"+f.Value.String())
	}
	slices.Sort(fields)
	return strings.Join(fields, " ")
}

var clientHeaders = map[string]string{"x-honeycomb-team": "key"}

// TestTraceExporters: what the OpenTelemetry SDK's trace exporters send arrives, over either protocol.
func TestTraceExporters(t *testing.T) {
	t.Parallel()
	for _, zipped := range []bool{false, true} {
		for _, protocol := range []string{"grpc", "http"} {
			b := newBench(t, 3, nil)
			var exporter sdktrace.SpanExporter
			var err error
			if protocol == "grpc" {
				opts := []otlptracegrpc.Option{otlptracegrpc.WithEndpoint(grpcServer(t, b.Shepherd)), otlptracegrpc.WithInsecure(), otlptracegrpc.WithHeaders(clientHeaders)}
				if zipped {
					opts = append(opts, otlptracegrpc.WithCompressor("gzip"))
				}
				exporter, err = otlptracegrpc.New(t.Context(), opts...)
			} else {
				server := httptest.NewServer(Handler(b.Shepherd))
				defer server.Close()
				opts := []otlptracehttp.Option{otlptracehttp.WithEndpointURL(server.URL + "/v1/traces"), otlptracehttp.WithHeaders(clientHeaders)}
				if zipped {
					opts = append(opts, otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
				}
				exporter, err = otlptracehttp.New(t.Context(), opts...)
			}
			if err != nil {
				t.Fatal(err)
			}
			provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(resource.NewSchemaless(
				attribute.String("service.name", " checkout "), attribute.String("host", "h1"))))
			tracer := provider.Tracer("lib", trace.WithInstrumentationVersion("v1"))
			start := time.Now().Add(-time.Minute)
			ctx, parent := tracer.Start(t.Context(), "parent", trace.WithTimestamp(start), trace.WithSpanKind(trace.SpanKindServer))
			const children = 700 // more than one batch
			for i := range children {
				_, child := tracer.Start(ctx, fmt.Sprint("child ", i), trace.WithTimestamp(start), trace.WithAttributes(
					attribute.Int("n", i), attribute.Bool("odd", i%2 == 1), attribute.Float64("ratio", 0.5), attribute.StringSlice("list", []string{"a", "b"}),
					attribute.Int("sampleRate", 4)))
				child.End(trace.WithTimestamp(start.Add(1500 * time.Microsecond)))
			}
			parent.AddEvent("exception", trace.WithTimestamp(start.Add(time.Second)), trace.WithAttributes(attribute.String("exception.type", "E")))
			parent.AddLink(trace.Link{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{15: 7}, SpanID: trace.SpanID{7: 9}}),
				Attributes: []attribute.KeyValue{attribute.String("why", "because")}})
			parent.SetStatus(otelcodes.Error, "it broke")
			parent.End(trace.WithTimestamp(start.Add(2 * time.Second)))
			if err := provider.Shutdown(t.Context()); err != nil {
				t.Fatalf("%s: %v", protocol, err)
			}
			sc := parent.SpanContext()
			ids := func(e *event.Event) string {
				v, _ := e.Get("trace.trace_id")
				return v.Str()
			}
			seen := map[string]int{}
			stored := b.log.storedEvents(t)
			for i := range stored {
				e := &stored[i]
				if ids(e) != sc.TraceID().String() {
					t.Fatalf("%s", show(e))
				}
				name, _ := e.Get("name")
				kind, _ := e.Get("meta.annotation_type")
				seen[kind.Str()+name.Str()]++
				common := " host=string:h1 library.name=string:lib library.version=string:v1"
				switch own := show(e); {
				case kind.Str() == "link":
					want := "error=bool:true" + common + " meta.annotation_type=string:link meta.signal_type=string:trace parent_name=string:parent service.name=string: checkout  " +
						"trace.link.span_id=string:0000000000000009 trace.link.trace_id=string:0000000000000007 trace.parent_id=string:" + sc.SpanID().String() +
						" trace.trace_id=string:" + sc.TraceID().String() + " why=string:because"
					if own != want || !e.Time.Equal(start) {
						t.Errorf("link\n got %s\nwant %s", own, want)
					}
				case kind.Str() == "span_event":
					want := "error=bool:true exception.type=string:E" + common + " meta.annotation_type=string:span_event meta.signal_type=string:trace name=string:exception parent_name=string:parent service.name=string: checkout  " +
						"trace.parent_id=string:" + sc.SpanID().String() + " trace.trace_id=string:" + sc.TraceID().String()
					if own != want || !e.Time.Equal(start.Add(time.Second)) {
						t.Errorf("span event\n got %s\nwant %s", own, want)
					}
				case name.Str() == "parent":
					want := "duration_ms=float:2000 error=bool:true" + common + " meta.signal_type=string:trace name=string:parent service.name=string: checkout  span.kind=string:server span.num_events=int:1 span.num_links=int:1 " +
						"status_code=int:2 status_message=string:it broke trace.span_id=string:" + sc.SpanID().String() + " trace.trace_id=string:" + sc.TraceID().String() + " type=string:server"
					if own != want || e.SampleRate != 1 || !e.Time.Equal(start) {
						t.Errorf("parent\n got %s\nwant %s", own, want)
					}
				default:
					n, _ := e.Get("n")
					id, _ := e.Get("trace.span_id")
					want := "duration_ms=float:1.5" + common + ` list=string:["a","b"] meta.signal_type=string:trace n=int:` + n.String() + " name=string:child " + n.String() +
						" odd=bool:" + fmt.Sprint(n.Int()%2 == 1) + " ratio=float:0.5 service.name=string: checkout  span.kind=string:internal span.num_events=int:0 span.num_links=int:0 status_code=int:0 " +
						"trace.parent_id=string:" + sc.SpanID().String() + " trace.span_id=string:" + id.Str() + " trace.trace_id=string:" + sc.TraceID().String() + " type=string:internal"
					if own != want || e.SampleRate != 4 {
						t.Errorf("child\n got %s\nwant %s", own, want)
					}
				}
			}
			if len(seen) != children+3 || len(stored) != children+3 {
				t.Errorf("%s: %d events, %d different", protocol, len(stored), len(seen))
			}
			if _, ok := b.dir.datasets["checkout"]; !ok || len(b.dir.datasets) != 1 {
				t.Errorf("datasets: %v", b.dir.datasets)
			}
		}
	}
}

func TestLogExporters(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"grpc", "http"} {
		b := newBench(t, 3, nil)
		var exporter sdklog.Exporter
		var err error
		if protocol == "grpc" {
			exporter, err = otlploggrpc.New(t.Context(), otlploggrpc.WithEndpoint(grpcServer(t, b.Shepherd)), otlploggrpc.WithInsecure(), otlploggrpc.WithHeaders(clientHeaders))
		} else {
			server := httptest.NewServer(Handler(b.Shepherd))
			defer server.Close()
			exporter, err = otlploghttp.New(t.Context(), otlploghttp.WithEndpointURL(server.URL+"/v1/logs"), otlploghttp.WithHeaders(clientHeaders), otlploghttp.WithCompression(otlploghttp.GzipCompression))
		}
		if err != nil {
			t.Fatal(err)
		}
		provider := sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter)), sdklog.WithResource(resource.NewSchemaless(attribute.String("k8s.pod", "p"))))
		logger := provider.Logger("lib")
		at := time.Now().Add(-time.Minute).UTC()
		const records = 600
		for i := range records {
			var r log.Record
			r.SetTimestamp(at)
			r.SetSeverity(log.SeverityWarn2)
			r.SetSeverityText("WARNING")
			r.SetBody(log.MapValue(log.String("msg", "hello"), log.Int("n", i)))
			r.AddAttributes(log.Map("http", log.Map("req", log.String("method", "GET"))), log.Bytes("raw", []byte("hi")))
			logger.Emit(t.Context(), r)
		}
		if err := provider.Shutdown(t.Context()); err != nil {
			t.Fatalf("%s: %v", protocol, err)
		}
		seen := map[int64]bool{}
		stored := b.log.storedEvents(t)
		for i := range stored {
			e := &stored[i]
			n, _ := e.Get("body.n")
			seen[n.Int()] = true
			body, _ := e.Get("body")
			if want := fmt.Sprintf(`{"msg":"hello","n":%d}`, n.Int()); body.Str() != want && body.Str() != fmt.Sprintf(`{"n":%d,"msg":"hello"}`, n.Int()) {
				t.Errorf("body %s, want %s", body, want)
			}
			want := "body.msg=string:hello body.n=int:" + n.String() + ` body=string:` + body.Str() + ` flags=int:0 http.req.method=string:GET k8s.pod=string:p library.name=string:lib meta.signal_type=string:log raw=string:"aGk=" severity=string:warn severity_code=int:14 severity_text=string:WARNING`
			if own := show(e); own != want || !e.Time.Equal(at) {
				t.Errorf("\n got %s\nwant %s", own, want)
			}
		}
		if len(seen) != records || len(stored) != records {
			t.Errorf("%s: %d records, %d different", protocol, len(stored), len(seen))
		}
		if _, ok := b.dir.datasets["unknown_log_source"]; !ok || len(b.dir.datasets) != 1 {
			t.Errorf("datasets: %v", b.dir.datasets)
		}
	}
}

func TestMetricExporters(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"grpc", "http"} {
		b := newBench(t, 3, nil)
		var exporter sdkmetric.Exporter
		var err error
		if protocol == "grpc" {
			exporter, err = otlpmetricgrpc.New(t.Context(), otlpmetricgrpc.WithEndpoint(grpcServer(t, b.Shepherd)), otlpmetricgrpc.WithInsecure(), otlpmetricgrpc.WithHeaders(clientHeaders))
		} else {
			server := httptest.NewServer(Handler(b.Shepherd))
			defer server.Close()
			exporter, err = otlpmetrichttp.New(t.Context(), otlpmetrichttp.WithEndpointURL(server.URL+"/v1/metrics"), otlpmetrichttp.WithHeaders(clientHeaders))
		}
		if err != nil {
			t.Fatal(err)
		}
		reader := sdkmetric.NewPeriodicReader(exporter, sdkmetric.WithInterval(time.Hour))
		provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithResource(resource.NewSchemaless(attribute.String("service.name", "shop"))),
			sdkmetric.WithView(sdkmetric.NewView(sdkmetric.Instrument{Name: "expo"}, sdkmetric.Stream{Aggregation: sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20}})))
		meter := provider.Meter("lib")
		counter, _ := meter.Int64Counter("orders")
		gauge, _ := meter.Float64Gauge("load")
		histogram, _ := meter.Float64Histogram("latency")
		expo, _ := meter.Float64Histogram("expo")
		route := func(s string) attribute.Set { return attribute.NewSet(attribute.String("route", s)) }
		for _, r := range []string{"/a", "/b"} {
			counter.Add(t.Context(), 3, metric.WithAttributeSet(route(r)))
			gauge.Record(t.Context(), 0.5, metric.WithAttributeSet(route(r)))
			for i := range 100 {
				histogram.Record(t.Context(), float64(i), metric.WithAttributeSet(route(r)))
				expo.Record(t.Context(), float64(i), metric.WithAttributeSet(route(r)))
			}
		}
		if err := provider.Shutdown(t.Context()); err != nil {
			t.Fatalf("%s: %v", protocol, err)
		}
		columns := map[string]map[string]event.Value{}
		stored := b.log.storedEvents(t)
		for i := range stored {
			r, _ := stored[i].Get("route")
			if columns[r.Str()] == nil {
				columns[r.Str()] = map[string]event.Value{}
			}
			for _, f := range stored[i].Fields {
				columns[r.Str()][f.Name] = f.Value
			}
		}
		if len(columns) != 2 || len(stored) > 4 { // instruments are read one after the other: a second may end between them
			t.Fatalf("%s: %d events: %v", protocol, len(stored), columns)
		}
		for r, got := range columns {
			for name, want := range map[string]event.Value{
				"orders": event.IntValue(3), "load": event.FloatValue(0.5), "latency.count": event.IntValue(100), "latency.sum": event.FloatValue(4950), "latency.avg": event.FloatValue(49.5),
				"latency.min": event.FloatValue(0), "latency.max": event.FloatValue(99), "latency.p50": event.FloatValue(50), "latency.p99": event.FloatValue(99),
				"expo.count": event.IntValue(100), "expo.max": event.FloatValue(99), "service.name": event.StringValue("shop"), "meta.signal_type": event.StringValue("metric"),
			} {
				if got[name] != want {
					t.Errorf("%s %s: %s is %v, want %v", protocol, r, name, got[name], want)
				}
			}
			// An exponential histogram's buckets are narrow.
			if p := got["expo.p50"].Float(); p < 49 || p > 52 {
				t.Errorf("%s: p50 of 0 to 99 is %v", protocol, p)
			}
		}
	}
}

// TestLibhoney: what libhoney-go sends arrives, and it understands the answers, in either of its encodings.
func TestLibhoney(t *testing.T) {
	t.Parallel()
	for _, packed := range []bool{false, true} {
		for _, plain := range []bool{false, true} {
			b := newBench(t, 3, nil)
			server := httptest.NewServer(Handler(b.Shepherd))
			sender := &transmission.Honeycomb{MaxBatchSize: 50, BatchTimeout: 10 * time.Millisecond, MaxConcurrentBatches: 4, PendingWorkCapacity: 1000,
				EnableMsgpackEncoding: packed, DisableCompression: plain, UserAgentAddition: "test"}
			client, err := libhoney.NewClient(libhoney.ClientConfig{APIKey: "key", Dataset: "my data", APIHost: server.URL, Transmission: sender})
			if err != nil {
				t.Fatal(err)
			}
			at := time.Now().Add(-time.Minute).UTC()
			const events = 120
			for i := range events {
				e := client.NewEvent()
				e.Timestamp = at
				e.Metadata = i
				e.Add(map[string]any{"n": i, "f": 0.5, "s": "héllo", "ok": true, "m": map[string]any{"a": map[string]any{"b": int8(-3)}}, "list": []int{1, 2}})
				if i == 7 {
					e.AddField("s", strings.Repeat("x", 70_000))
				}
				e.SampleRate = 1
				if err := e.SendPresampled(); err != nil {
					t.Fatal(err)
				}
			}
			client.Close()
			good := 0
			for r := range client.TxResponses() {
				switch {
				case r.StatusCode == Accepted && r.Err == nil:
					good++
				case r.Metadata != 7 || r.StatusCode != Malformed || !strings.Contains(fmt.Sprint(r.Err), "70000 bytes"):
					t.Errorf("event %v: %d %v %s", r.Metadata, r.StatusCode, r.Err, r.Body)
				}
			}
			stored := b.log.storedEvents(t)
			for i := range stored {
				n, _ := stored[i].Get("n")
				want := `f=float:0.5 list=string:[1,2] m.a.b=int:-3 n=int:` + n.String() + ` ok=bool:true s=string:héllo`
				if got := show(&stored[i]); got != want || !stored[i].Time.Equal(at) {
					t.Errorf("\n got %s %v\nwant %s %v", got, stored[i].Time, want, at)
				}
			}
			if good != events-1 || len(stored) != events-1 {
				t.Errorf("msgpack %t: %d of %d accepted, %d stored", packed, good, events, len(stored))
			}
			server.Close()
		}
	}
}

// TestExportersUnderstandErrors: exporters are told why, try again what may pass later, and do not what never will.
func TestExportersUnderstandErrors(t *testing.T) {
	t.Parallel()
	span := func(ctx context.Context, e sdktrace.SpanExporter) error {
		provider := sdktrace.NewTracerProvider()
		_, s := provider.Tracer("lib").Start(ctx, "x")
		s.End()
		return e.ExportSpans(ctx, []sdktrace.ReadOnlySpan{s.(sdktrace.ReadOnlySpan)})
	}
	for _, protocol := range []string{"grpc", "http"} {
		exporter := func(b *bench, key string) sdktrace.SpanExporter {
			headers := map[string]string{"x-honeycomb-team": key}
			var e sdktrace.SpanExporter
			var err error
			if protocol == "grpc" {
				e, err = otlptracegrpc.New(t.Context(), otlptracegrpc.WithEndpoint(grpcServer(t, b.Shepherd)), otlptracegrpc.WithInsecure(), otlptracegrpc.WithHeaders(headers),
					otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{Enabled: true, InitialInterval: time.Millisecond, MaxInterval: time.Millisecond, MaxElapsedTime: time.Minute}))
			} else {
				server := httptest.NewServer(Handler(b.Shepherd))
				t.Cleanup(server.Close)
				e, err = otlptracehttp.New(t.Context(), otlptracehttp.WithEndpointURL(server.URL+"/v1/traces"), otlptracehttp.WithHeaders(headers),
					otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Millisecond, MaxInterval: time.Millisecond, MaxElapsedTime: time.Minute}))
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = e.Shutdown(context.Background()) })
			return e
		}
		b := newBench(t, 1, nil)
		if err := span(t.Context(), exporter(b, "other")); err == nil || !strings.Contains(err.Error(), "401") && !strings.Contains(err.Error(), "Unauthenticated") {
			t.Errorf("%s: an unknown key: %v", protocol, err)
		}
		// The first two attempts find that Kafka refuses, the third is accepted: the exporter is told nothing.
		b = newBench(t, 1, nil)
		n := 0
		b.log.decide = func(int32) error { // called with the log's lock
			if n++; n <= 2 {
				return fmt.Errorf("no leader: %w", port.ErrRefused)
			}
			return nil
		}
		if err := span(t.Context(), exporter(b, "key")); err != nil || len(b.log.storedEvents(t)) != 1 {
			t.Errorf("%s: %v, %d stored", protocol, err, len(b.log.storedEvents(t)))
		}
	}
}

// TestGRPCSpeaksToOthers: what is no gRPC request of ours is told so.
func TestGRPCSpeaksToOthers(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, nil)
	h := GRPC(b.Shepherd)
	good := "\x00\x00\x00\x00\x00"
	for name, c := range map[string]struct {
		method, path, kind, body string
		header                   map[string]string
		code                     string // grpc-status
		text                     string
	}{
		"good":           {body: good, code: "0"},
		"with a subtype": {body: good, kind: "application/grpc+proto", code: "0"},
		"JSON":           {body: good, kind: "application/grpc+json", code: "12", text: "application/grpc"},
		"other method":   {path: "/grpc.health.v1.Health/Check", body: good, code: "12", text: "unknown method"},
		"no key":         {body: good, header: map[string]string{"X-Honeycomb-Team": ""}, code: "16", text: "missing 'x-honeycomb-team' header"},
		"unknown key":    {body: good, header: map[string]string{"X-Honeycomb-Team": "other"}, code: "16", text: "unknown API key"},
		"classic key":    {body: good, header: map[string]string{"X-Honeycomb-Team": strings.Repeat("a1", 16)}, code: "16", text: "missing 'x-honeycomb-dataset' header"},
		"bad dataset":    {body: good, header: map[string]string{"X-Honeycomb-Dataset": "a/b"}, code: "13", text: "slash"},
		"no message":     {body: "", code: "13", text: "no message"},
		"cut head":       {body: "\x00\x00", code: "13", text: "no message"},
		"cut message":    {body: "\x00\x00\x00\x00\x05abc", code: "13", text: "ended early"},
		"two messages":   {body: good + good, code: "13", text: "more than one message"},
		"two, zipped":    {body: "\x01\x00\x00\x00" + string(rune(len(gzipped("")))) + gzipped("") + good, header: map[string]string{"Grpc-Encoding": "gzip"}, code: "13", text: "more than one message"},
		"huge message":   {body: "\x00\xff\xff\xff\xff", code: "8", text: "too large"},
		"odd flag":       {body: "\x07\x00\x00\x00\x00", code: "13", text: "flag"},
		"not said how":   {body: "\x01\x00\x00\x00\x00", code: "13", text: "grpc-encoding"},
		"unknown codec":  {body: "\x01\x00\x00\x00\x00", header: map[string]string{"Grpc-Encoding": "snappy"}, code: "12", text: "snappy"},
		"not gzip":       {body: "\x01\x00\x00\x00\x03abc", header: map[string]string{"Grpc-Encoding": "gzip"}, code: "13", text: "not gzip"},
		"garbage":        {body: "\x00\x00\x00\x00\x03abc", code: "13", text: "failed to parse OTLP request body"},
		"odd timeout":    {body: good, header: map[string]string{"Grpc-Timeout": "1x"}, code: "13", text: "grpc-timeout"},
		"a timeout":      {body: good, header: map[string]string{"Grpc-Timeout": "99999999H"}, code: "0"},
	} {
		path := c.path
		if path == "" {
			path = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
		}
		if strings.Contains(name, "classic") {
			path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
		}
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(c.body))
		r.Header.Set("Content-Type", "application/grpc")
		if c.kind != "" {
			r.Header.Set("Content-Type", c.kind)
		}
		r.Header.Set("X-Honeycomb-Team", "key")
		for k, v := range c.header {
			r.Header.Set(k, v)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		res := w.Result()
		_, _ = io.Copy(io.Discard, res.Body)
		status := res.Header.Get("Grpc-Status") + res.Header.Get(http.TrailerPrefix+"Grpc-Status") + res.Trailer.Get("Grpc-Status")
		if w.Code != 200 || status != c.code || !strings.Contains(res.Header.Get("Grpc-Message"), c.text) {
			t.Errorf("%s: %d, grpc-status %q, %q; want %s %q", name, w.Code, status, res.Header.Get("Grpc-Message"), c.code, c.text)
		}
		if h := b.Health(); h.InFlightBytes != 0 || h.Requests != 0 {
			t.Errorf("%s: left %+v", name, h)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("a browser: %d", w.Code)
	}
}
