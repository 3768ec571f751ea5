package otlp

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	collectorlogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/ratel-sim/ratel/system/event"
)

// hexIDs writes the IDs in protobuf's JSON in hex instead of base64.
func hexIDs(text []byte) ([]byte, error) {
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, err
	}
	var walk func(v any) error
	walk = func(v any) error {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				if err := walk(x); err != nil {
					return err
				}
			}
		case map[string]any:
			for name, x := range v {
				s, isText := x.(string)
				if !isText || name != "traceId" && name != "spanId" && name != "parentSpanId" {
					if err := walk(x); err != nil {
						return err
					}
					continue
				}
				raw, err := base64.StdEncoding.DecodeString(s)
				if err != nil {
					return err
				}
				v[name] = hex.EncodeToString(raw)
			}
		}
		return nil
	}
	if err := walk(tree); err != nil {
		return nil, err
	}
	return json.Marshal(tree)
}

func requestOf(signal Signal) proto.Message {
	switch signal {
	case Logs:
		return &collectorlogs.ExportLogsServiceRequest{}
	case Metrics:
		return &collectormetrics.ExportMetricsServiceRequest{}
	}
	return &collectortrace.ExportTraceServiceRequest{}
}

func seeds(t testing.TB) map[Signal][]byte {
	at := uint64(now.UnixNano())
	return map[Signal][]byte{
		Traces: marshal(t, spans(&trace.Span{TraceId: traceID, SpanId: spanID, ParentSpanId: spanID, Name: "x", StartTimeUnixNano: at, EndTimeUnixNano: at + 5, Status: &trace.Status{Code: 2, Message: "m"},
			Attributes: attrs{kv("a", []any{1, attrs{kv("b", 1.5)}}), kv("m", attrs{kv("n", attrs{kv("o", true)})}), kv("sampleRate", 3), kv("raw", []byte("x"))},
			Events:     []*trace.Span_Event{{Name: "e", TimeUnixNano: at, Attributes: attrs{kv("a", 1)}}}, Links: []*trace.Span_Link{{TraceId: traceID, SpanId: spanID}}})),
		Logs: marshal(t, &collectorlogs.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{ScopeLogs: []*logs.ScopeLogs{{LogRecords: []*logs.LogRecord{
			{TimeUnixNano: at, Body: val(attrs{kv("a", 1)}), SeverityNumber: 9, Attributes: attrs{kv("b", "x")}, TraceId: traceID, Flags: 1}}}}}}}),
		Metrics: marshal(t, &collectormetrics.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{ScopeMetrics: []*metrics.ScopeMetrics{{Metrics: []*metrics.Metric{
			{Name: "g", Data: &metrics.Metric_Gauge{Gauge: &metrics.Gauge{DataPoints: []*metrics.NumberDataPoint{{TimeUnixNano: at, Value: &metrics.NumberDataPoint_AsInt{AsInt: 3}, Attributes: attrs{kv("k", "v")}}}}}},
			{Name: "h", Data: &metrics.Metric_Histogram{Histogram: &metrics.Histogram{DataPoints: []*metrics.HistogramDataPoint{{TimeUnixNano: at, Count: 3, BucketCounts: []uint64{1, 2}, ExplicitBounds: []float64{5}}}}}},
			{Name: "e", Data: &metrics.Metric_ExponentialHistogram{ExponentialHistogram: &metrics.ExponentialHistogram{DataPoints: []*metrics.ExponentialHistogramDataPoint{{TimeUnixNano: at, Count: 3, Scale: 2,
				Positive: &metrics.ExponentialHistogramDataPoint_Buckets{Offset: -3, BucketCounts: []uint64{1, 2}}}}}}},
			{Name: "s", Data: &metrics.Metric_Summary{Summary: &metrics.Summary{DataPoints: []*metrics.SummaryDataPoint{{TimeUnixNano: at, QuantileValues: []*metrics.SummaryDataPoint_ValueAtQuantile{{Quantile: 0.5, Value: 2}}}}}}},
		}}}}}}),
	}
}

// sound checks what holds for whatever was decoded.
func sound(t *testing.T, r *Request, asked int64) {
	t.Helper()
	last := 0
	for _, run := range r.Runs {
		if run.End <= last || run.Dataset == "" || len(run.Dataset) > 255 {
			t.Fatalf("runs %v", r.Runs)
		}
		last = run.End
	}
	if last != len(r.Items) || len(r.owners) != len(r.Items) {
		t.Fatalf("%d items, %d owners, runs %v", len(r.Items), len(r.owners), r.Runs)
	}
	var events []event.Event
	for _, item := range r.Items {
		if item.Problem != "" {
			continue
		}
		seen := map[string]bool{}
		for _, f := range item.Event.Fields {
			if seen[f.Name] || len(f.Value.Str()) > maxText || !utf8.ValidString(f.Name) || !utf8.ValidString(f.Value.Str()) {
				t.Fatalf("field %q=%.80q", f.Name, f.Value.Str())
			}
			seen[f.Name] = true
		}
		if item.Event.SampleRate < 1 || item.Event.Time.Unix() < 0 || len(seen) > event.MaxFields {
			t.Fatalf("%+v", item.Event)
		}
		events = append(events, item.Event)
	}
	if again, err := event.DecodeChunk(event.AppendChunk(nil, event.Dataset{ID: 1, Name: "d"}, events)); err != nil || len(again.Events) != len(events) {
		t.Fatal(err)
	}
	_ = r.Rejected(func(i int) bool { return i%2 == 0 })
}

func fuzzProtobuf(f *testing.F, signal Signal) {
	f.Add(seeds(f)[signal])
	f.Add([]byte("\x0a\x04\x12\x02\x12\x00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		asked := int64(0)
		o := options
		o.Reserve = func(n int64) bool { asked += n; return asked < 1<<28 }
		r, err := Decode(signal, body, o)
		reference := requestOf(signal)
		valid := proto.Unmarshal(body, reference) == nil
		if err != nil {
			if valid && len(body) < 10_000 {
				t.Fatalf("%q: %v, although it is a request", body, err)
			}
			return
		}
		sound(t, r, asked)
		if !valid || len(reference.ProtoReflect().GetUnknown()) > 0 {
			return
		}
		for _, item := range r.Items {
			if strings.Contains(item.Problem, "cannot be parsed") && !strings.Contains(item.Problem, "no name") {
				t.Fatalf("%q: %s", body, item.Problem)
			}
		}
		if want := countItems(reference); want != countOwners(r) {
			t.Fatalf("%q: %d items, want %d", body, countOwners(r), want)
		}
	})
}

// countOwners is how many spans, records or points were read.
func countOwners(r *Request) int {
	if r.weights != nil {
		n := 0
		for _, w := range r.weights {
			n += int(w)
		}
		return n
	}
	if len(r.owners) == 0 {
		return 0
	}
	return int(r.owners[len(r.owners)-1]) + 1
}

func countItems(m proto.Message) (n int) {
	switch m := m.(type) {
	case *collectortrace.ExportTraceServiceRequest:
		for _, r := range m.ResourceSpans {
			for _, s := range r.ScopeSpans {
				n += len(s.Spans)
			}
		}
	case *collectorlogs.ExportLogsServiceRequest:
		for _, r := range m.ResourceLogs {
			for _, s := range r.ScopeLogs {
				n += len(s.LogRecords)
			}
		}
	case *collectormetrics.ExportMetricsServiceRequest:
		for _, r := range m.ResourceMetrics {
			for _, s := range r.ScopeMetrics {
				for _, x := range s.Metrics {
					n += len(x.GetGauge().GetDataPoints()) + len(x.GetSum().GetDataPoints()) + len(x.GetHistogram().GetDataPoints()) +
						len(x.GetExponentialHistogram().GetDataPoints()) + len(x.GetSummary().GetDataPoints())
				}
			}
		}
	}
	return n
}

// FuzzTraces, FuzzLogs and FuzzMetrics: whatever is sent, what is decoded is sound, and what protobuf's own decoder takes is taken.
func FuzzTraces(f *testing.F) { fuzzProtobuf(f, Traces) }

func FuzzLogs(f *testing.F) { fuzzProtobuf(f, Logs) }

func FuzzMetrics(f *testing.F) { fuzzProtobuf(f, Metrics) }

// FuzzJSON: whatever is sent as JSON, what is decoded is sound, and what is taken is JSON.
func FuzzJSON(f *testing.F) {
	for signal, body := range seeds(f) {
		m := requestOf(signal)
		if err := proto.Unmarshal(body, m); err != nil {
			f.Fatal(err)
		}
		text, err := otlpJSON(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(signal), text)
	}
	f.Fuzz(func(t *testing.T, signal uint8, body []byte) {
		asked := int64(0)
		o := options
		o.Reserve = func(n int64) bool { asked += n; return asked < 1<<28 }
		r, err := DecodeJSON(Signal(signal%3), body, o)
		if err != nil {
			return
		}
		sound(t, r, asked)
		if utf8.Valid(body) && !json.Valid(body) {
			t.Fatalf("%q is not JSON", body)
		}
	})
}

// hostile bodies take much more memory decoded than as they are sent.
func hostile(t testing.TB) map[string]struct {
	signal Signal
	body   []byte
} {
	type c = struct {
		signal Signal
		body   []byte
	}
	many := make([]*trace.Span, 20_000)
	for i := range many {
		many[i] = &trace.Span{}
	}
	annotated := &trace.Span{Name: strings.Repeat("n", 60_000)}
	for range 10_000 {
		annotated.Events = append(annotated.Events, &trace.Span_Event{})
	}
	var wide attrs
	for i := range 1900 {
		wide = append(wide, kv(fmt.Sprint("attribute ", i), i))
	}
	shared := spans(many[:200]...)
	shared.ResourceSpans[0].Resource = &resource.Resource{Attributes: wide}
	nested := kv(strings.Repeat("n", 60_000), attrs{kv("a", 1), kv("b", 1), kv("c", 1), kv("d", 1), kv("e", 1)})
	points := make([]*metrics.NumberDataPoint, 10_000)
	for i := range points {
		points[i] = &metrics.NumberDataPoint{TimeUnixNano: uint64(i) * 1e9}
	}
	counts := make([]uint64, 400_000)
	bodies := map[string]c{
		"empty spans":      {Traces, marshal(t, spans(many...))},
		"span events":      {Traces, marshal(t, spans(annotated))},
		"wide resource":    {Traces, marshal(t, shared)},
		"nested names":     {Traces, marshal(t, spans(&trace.Span{Attributes: attrs{nested}}, &trace.Span{Attributes: attrs{nested}}))},
		"control bytes":    {Traces, marshal(t, spans(&trace.Span{Attributes: attrs{kv("a", []any{strings.Repeat("\x00", 60_000)})}}))},
		"points":           {Metrics, marshal(t, &collectormetrics.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{ScopeMetrics: []*metrics.ScopeMetrics{{Metrics: []*metrics.Metric{{Name: "g", Data: &metrics.Metric_Gauge{Gauge: &metrics.Gauge{DataPoints: points}}}}}}}}})},
		"exponential bomb": {Metrics, marshal(t, &collectormetrics.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{ScopeMetrics: []*metrics.ScopeMetrics{{Metrics: []*metrics.Metric{{Name: "g", Data: &metrics.Metric_ExponentialHistogram{ExponentialHistogram: &metrics.ExponentialHistogram{DataPoints: []*metrics.ExponentialHistogramDataPoint{{Positive: &metrics.ExponentialHistogramDataPoint_Buckets{BucketCounts: counts}}}}}}}}}}}})},
	}
	return bodies
}

// TestMemoryIsGrantedBeforeItIsTaken compares what decoding hostile bodies allocates with what was granted.
func TestMemoryIsGrantedBeforeItIsTaken(t *testing.T) { // not parallel: it measures the whole process's memory
	for name, c := range hostile(t) {
		asked := int64(0)
		o := options
		o.Reserve = func(n int64) bool { asked += n; return true }
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		r, err := Decode(c.signal, c.body, o)
		runtime.GC()
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > asked+asked/8+256<<10 {
			t.Errorf("%s: %d bytes keep %d decoded, asked for %d", name, len(c.body), kept, asked)
		}
		runtime.KeepAlive(r)
		for _, share := range []int64{0, 20, 90} {
			left := asked * share / 100
			limit := left
			o.Reserve = func(n int64) bool { left -= n; return left >= 0 }
			runtime.ReadMemStats(&before)
			if r, err := Decode(c.signal, c.body, o); !errors.Is(err, event.ErrNoRoom) || r != nil {
				t.Errorf("%s with %d%%: %v", name, share, err)
			}
			runtime.ReadMemStats(&after)
			if n := int64(after.TotalAlloc - before.TotalAlloc); n > 6*limit+1<<20 {
				t.Errorf("%s with %d%%: %d bytes allocated, %d granted", name, share, n, limit)
			}
		}
	}
}
