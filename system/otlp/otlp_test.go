package otlp

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	collectorlogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/ratel-sim/ratel/system/event"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

var options = Options{Options: event.Options{Now: now}}

func kv(key string, value any) *common.KeyValue { return &common.KeyValue{Key: key, Value: val(value)} }

func val(v any) *common.AnyValue {
	switch v := v.(type) {
	case nil:
		return &common.AnyValue{}
	case string:
		return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: v}}
	case int:
		return &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: int64(v)}}
	case float64:
		return &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: v}}
	case bool:
		return &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: v}}
	case []byte:
		return &common.AnyValue{Value: &common.AnyValue_BytesValue{BytesValue: v}}
	case []any:
		list := &common.ArrayValue{}
		for _, x := range v {
			list.Values = append(list.Values, val(x))
		}
		return &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: list}}
	case []*common.KeyValue:
		return &common.AnyValue{Value: &common.AnyValue_KvlistValue{KvlistValue: &common.KeyValueList{Values: v}}}
	}
	panic(fmt.Sprintf("%T", v))
}

type attrs = []*common.KeyValue

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func show(fields []event.Field) string {
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&b, "%s=%s:%s ", f.Name, f.Value.Kind(), f.Value)
	}
	return strings.TrimSpace(b.String())
}

// decodeBoth decodes a request in protobuf, and checks that in JSON it is the same.
func decodeBoth(t testing.TB, signal Signal, m proto.Message, o Options) *Request {
	t.Helper()
	got, err := Decode(signal, marshal(t, m), o)
	if err != nil {
		t.Fatal(err)
	}
	text, err := otlpJSON(m)
	if err != nil {
		t.Fatal(err)
	}
	again, err := DecodeJSON(signal, text, o)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if a, b := describe(got), describe(again); a != b {
		t.Fatalf("%s\nprotobuf %s\n    JSON %s", text, a, b)
	}
	return got
}

func describe(r *Request) string {
	var b strings.Builder
	for i := range r.Items {
		item := &r.Items[i]
		fmt.Fprintf(&b, "%q %v %d %d %s\n", item.Problem, item.Event.Time, item.Event.SampleRate, r.owners[i], show(item.Event.Fields))
	}
	return fmt.Sprint(b.String(), r.Runs, r.weights)
}

// otlpJSON is a request as OTLP's JSON has it: protobuf's, but for IDs, which are in hex.
func otlpJSON(m proto.Message) ([]byte, error) {
	text, err := protojson.Marshal(m)
	if err != nil {
		return nil, err
	}
	return hexIDs(text)
}

func spans(list ...*trace.Span) *collectortrace.ExportTraceServiceRequest {
	return &collectortrace.ExportTraceServiceRequest{ResourceSpans: []*trace.ResourceSpans{{
		Resource: &resource.Resource{Attributes: attrs{kv("service.name", "shop")}}, ScopeSpans: []*trace.ScopeSpans{{Spans: list}}}}}
}

var traceID, spanID = []byte("0123456789abcdef"), []byte("fedcba98")

func TestSpans(t *testing.T) {
	t.Parallel()
	start := uint64(now.Add(-time.Minute).UnixNano())
	deep := func(n int) *common.AnyValue {
		v := val("x")
		for range n {
			v = val(attrs{{Key: "k", Value: v}})
		}
		return v
	}
	const base = `trace.trace_id=string:30313233343536373839616263646566 trace.span_id=string:6665646362613938 type=string:unspecified span.kind=string:unspecified name=string: ` +
		`duration_ms=float:0 status_code=int:0 span.num_links=int:0 span.num_events=int:0 meta.signal_type=string:trace service.name=string:shop`
	for name, c := range map[string]struct {
		attributes attrs
		more       string
		rate       int64
		problem    string
	}{
		"none":              {rate: 1},
		"every type":        {attributes: attrs{kv("s", "x"), kv("i", -7), kv("f", 1.5), kv("b", true), kv("n", nil)}, more: `s=string:x i=int:-7 f=float:1.5 b=bool:true`, rate: 1},
		"no value, no name": {attributes: attrs{{Key: "a"}, kv("", 1)}, rate: 1},
		"not finite":        {attributes: attrs{kv("a", math.NaN()), kv("b", []any{math.Inf(1)})}, more: `a=null:null b=string:[null]`, rate: 1},
		"arrays":            {attributes: attrs{kv("a", []any{1, "x\"", 1.5, true, nil, []byte("hi"), attrs{kv("k", 1)}}), kv("e", []any{})}, more: `a=string:[1,"x\"",1.5,true,null,"aGk=",{"k":1}] e=string:[]`, rate: 1},
		"bytes":             {attributes: attrs{kv("a", []byte("hi"))}, more: `a=string:"aGk="`, rate: 1},
		"maps":              {attributes: attrs{kv("a", attrs{kv("b", attrs{kv("c", 1)}), kv("d", 2)}), kv("e", attrs{})}, more: `a.b.c=int:1 a.d=int:2 e=string:{}`, rate: 1},
		"deep maps":         {attributes: attrs{{Key: "a", Value: deep(6)}}, more: `a.k.k.k.k=string:{"k":{"k":"x"}}`, rate: 1},
		"overrides":         {attributes: attrs{kv("service.name", "mine"), kv("name", "other"), kv("x", 1), kv("x", 2)}, more: `x=int:2`, rate: 1},
		"sample rate":       {attributes: attrs{kv("sampleRate", 16)}, rate: 16},
		"SampleRate":        {attributes: attrs{kv("SampleRate", "20")}, rate: 20},
		"rate of 0":         {attributes: attrs{kv("sampleRate", 0)}, rate: 1},
		"rate below 0":      {attributes: attrs{kv("sampleRate", -5)}, rate: 1},
		"odd rate":          {attributes: attrs{kv("sampleRate", "many")}, rate: 1},
		"large rate":        {attributes: attrs{kv("sampleRate", math.MaxInt64)}, rate: math.MaxInt32},
		"float rate":        {attributes: attrs{kv("sampleRate", 8.0)}, rate: 8},
	} {
		r := decodeBoth(t, Traces, spans(&trace.Span{TraceId: traceID, SpanId: spanID, StartTimeUnixNano: start, EndTimeUnixNano: start, Attributes: c.attributes}), options)
		e := &r.Items[0].Event
		want := strings.TrimSpace(base + " " + c.more)
		if name == "overrides" {
			want = strings.Replace(strings.Replace(want, "service.name=string:shop", "service.name=string:mine", 1), " name=string: ", " name=string:other ", 1)
		}
		if got := show(e.Fields); got != want || e.SampleRate != c.rate || uint64(e.Time.UnixNano()) != start || r.Items[0].Problem != c.problem {
			t.Errorf("%s:\n got %s %d %q\nwant %s %d", name, got, e.SampleRate, r.Items[0].Problem, want, c.rate)
		}
	}
}

func TestSpanLimits(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 40_000)
	r := decodeBoth(t, Traces, spans(&trace.Span{Attributes: attrs{kv("a", long), kv("b", []any{long}), kv("c", []byte(long))}}), options)
	for _, name := range []string{"a", "b", "c"} {
		v, _ := r.Items[0].Event.Get(name)
		if n := len(v.Str()); n < 65_532 || n > 65_535 || !strings.HasPrefix(strings.TrimLeft(v.Str(), `["`), map[bool]string{true: "w6nD", false: "é"}[name == "c"]) {
			t.Errorf("%s: %d bytes, %.20s", name, n, v.Str())
		}
	}
	bad, err := Decode(Traces, marshal(t, spans(&trace.Span{Attributes: attrs{kv("a", "xxxx"), kv("aaa", "y")}}))[:], options)
	if err != nil || bad.Items[0].Problem != "" {
		t.Fatal(err)
	}
	body := []byte(strings.Replace(strings.Replace(string(marshal(t, spans(&trace.Span{Attributes: attrs{kv("a", "xxxx"), kv("aaa", "y")}}))), "xxxx", "x\xff\xffx", 1), "aaa", "a\xfea", 1))
	r, err = Decode(Traces, body, options)
	if err != nil || !strings.HasSuffix(show(r.Items[0].Event.Fields), "a=string:x\uFFFDx a\uFFFDa=string:y") {
		t.Errorf("not UTF-8: %v %s", err, show(r.Items[0].Event.Fields))
	}
	var many attrs
	for i := range 2001 {
		many = append(many, kv(fmt.Sprint("f", i), i))
	}
	var deep any = 1
	for range 1100 {
		deep = []any{deep}
	}
	for name, c := range map[string]struct {
		span *trace.Span
		want string
	}{
		"columns":     {&trace.Span{Attributes: many}, event.TextColumns},
		"deep arrays": {&trace.Span{Attributes: attrs{kv("a", deep)}}, "1000 levels"},
		"too large": {&trace.Span{Attributes: attrs{kv("a", strings.Repeat("x", 65_000)), kv("b", attrs{kv(strings.Repeat("n", 60_000), attrs{kv("1", 1), kv("2", 1), kv("3", 1), kv("4", 1), kv("5", 1), kv("6", 1),
			kv("7", 1), kv("8", 1), kv("9", 1), kv("10", 1), kv("11", 1), kv("12", 1), kv("13", 1), kv("14", 1), kv("15", 1), kv("16", 1), kv("17", 1)})})}}, "too large"},
	} {
		good := &trace.Span{Name: "good"}
		r, err := Decode(Traces, marshal(t, spans(good, c.span, good)), options)
		if err != nil || len(r.Items) != 3 || !strings.Contains(r.Items[1].Problem, c.want) || r.Items[0].Problem+r.Items[2].Problem != "" {
			t.Errorf("%s: %v %+v", name, err, r)
			continue
		}
		if n := r.Rejected(func(i int) bool { return r.Items[i].Problem != "" }); n != 1 {
			t.Errorf("%s: %d rejected", name, n)
		}
	}
}

// TestOneBadSpanSparesTheOthers: a span that cannot be parsed is refused, those around it are not.
func TestOneBadSpanSparesTheOthers(t *testing.T) {
	t.Parallel()
	good := "\x2a\x04good"
	for name, bad := range map[string]string{"cut string": "\x2a\x09x", "cut number": "\x39\x01", "bad status": "\x7a\x02\x12\x09", "bad attribute": "\x4a\x02\x0a\x09", "bad value": "\x4a\x07\x0a\x01a\x12\x02\x0a\x09",
		"no field": "\x00\x00", "end without group": "\x0c", "open group": "\x0b", "long varint": "\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "bad type": "\x0f"} {
		scope := ""
		for _, s := range []string{good, bad, good} {
			scope += "\x12" + string(rune(len(s))) + s
		}
		body := "\x12" + string(rune(len(scope))) + scope
		body = "\x0a" + string(rune(len(body))) + body
		r, err := Decode(Traces, []byte(body), options)
		if err != nil || len(r.Items) != 3 || r.Items[0].Problem != "" || r.Items[1].Problem != textBadSpan || r.Items[2].Problem != "" {
			t.Errorf("%s: %v %+v", name, err, r)
		}
	}
	// Unknown fields are passed over, groups too.
	unknown := "\x2a\x01x" + "\x9b\x06\x08\x01\x9b\x06\x9c\x06\x9c\x06" + "\xa5\x06\x01\x02\x03\x04"
	body := "\x0a" + string(rune(len(unknown)+4)) + "\x12" + string(rune(len(unknown)+2)) + "\x12" + string(rune(len(unknown))) + unknown
	if r, err := Decode(Traces, []byte(body), options); err != nil || r.Items[0].Problem != "" || !strings.Contains(show(r.Items[0].Event.Fields), " name=string:x ") {
		t.Errorf("%v %+v", err, r)
	}
}

func TestTimesAndDurations(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		start, end uint64
		at         time.Time
		ms         float64
	}{
		{0, 0, now, 0},
		{1, 2_500_001, time.Unix(0, 1), 2.5},
		{5e9, 4e9, time.Unix(5, 0), 0},
		{math.MaxUint64, math.MaxUint64, now, 0},
		{uint64(now.Add(2 * time.Hour).UnixNano()), uint64(now.Add(3 * time.Hour).UnixNano()), now, 3.6e6},
		{uint64(now.Add(30 * time.Minute).UnixNano()), uint64(now.Add(30 * time.Minute).UnixNano()), now.Add(30 * time.Minute), 0},
	} {
		r := decodeBoth(t, Traces, spans(&trace.Span{StartTimeUnixNano: c.start, EndTimeUnixNano: c.end}), options)
		ms, _ := r.Items[0].Event.Get("duration_ms")
		negative, _ := r.Items[0].Event.Get("meta.negative_duration")
		if !r.Items[0].Event.Time.Equal(c.at) || ms.Float() != c.ms || negative.Bool() != (c.end < c.start) {
			t.Errorf("%d to %d: %v, %v ms", c.start, c.end, r.Items[0].Event.Time, ms)
		}
	}
}

func TestDatasets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		service any
		header  string
		classic bool
		spans   string
		logs    string
	}{
		{"shop", "", false, "shop", "shop"},
		{"  shop ", "head", false, "shop", "shop"},
		{"", "", false, "unknown_service", "unknown_log_source"},
		{nil, "head", false, "unknown_service", "head"},
		{"unknown_service:go", "", false, "unknown_service", "unknown_log_source"},
		{7, " ", false, "unknown_service", "unknown_log_source"},
		{"a/b\n", "", false, "a-b", "a-b"},
		{strings.Repeat("é", 200), "", false, strings.Repeat("é", 127), strings.Repeat("é", 127)},
		{"shop", "head", true, "head", "shop"},
	} {
		o := options
		o.Dataset, o.Classic = c.header, c.classic
		of := &resource.Resource{Attributes: attrs{kv("service.name", c.service)}}
		r := decodeBoth(t, Traces, &collectortrace.ExportTraceServiceRequest{ResourceSpans: []*trace.ResourceSpans{{Resource: of, ScopeSpans: []*trace.ScopeSpans{{Spans: []*trace.Span{{}}}}}}}, o)
		l := decodeBoth(t, Logs, &collectorlogs.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{Resource: of, ScopeLogs: []*logs.ScopeLogs{{LogRecords: []*logs.LogRecord{{}}}}}}}, o)
		if r.Runs[0].Dataset != c.spans || l.Runs[0].Dataset != c.logs {
			t.Errorf("%v with header %q: %q and %q, want %q and %q", c.service, c.header, r.Runs[0].Dataset, l.Runs[0].Dataset, c.spans, c.logs)
		}
	}
}

func TestLogs(t *testing.T) {
	t.Parallel()
	at := uint64(now.Add(-time.Minute).UnixNano())
	decode := func(l *logs.LogRecord) *event.Item {
		r := decodeBoth(t, Logs, &collectorlogs.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{ScopeLogs: []*logs.ScopeLogs{{
			Scope: &common.InstrumentationScope{Name: "lib", Attributes: attrs{kv("scope", 1)}}, LogRecords: []*logs.LogRecord{l}}}}}}, options)
		return &r.Items[0]
	}
	item := decode(&logs.LogRecord{ObservedTimeUnixNano: at, SeverityNumber: 9, SeverityText: "Info", Body: val("hello"), TraceId: append(make([]byte, 8), spanID...), SpanId: spanID,
		Flags: 1, EventName: "click", Attributes: attrs{kv("a", 1)}})
	const want = `severity=string:info severity_code=int:9 meta.signal_type=string:log flags=int:1 trace.trace_id=string:6665646362613938 meta.annotation_type=string:span_event ` +
		`trace.parent_id=string:6665646362613938 severity_text=string:Info event.name=string:click body=string:hello library.name=string:lib scope=int:1 a=int:1`
	if got := show(item.Event.Fields); got != want || uint64(item.Event.Time.UnixNano()) != at {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	for body, want := range map[*common.AnyValue]string{
		val(7): "body=int:7", val([]any{1}): "body=string:[1]", val(attrs{kv("a", attrs{kv("b", 1)})}): `body=string:{"a":{"b":1}} body.a.b=int:1`, val(nil): "",
	} {
		got := show(decode(&logs.LogRecord{Body: body}).Event.Fields)
		if got != strings.Join(strings.Fields("severity=string:unspecified severity_code=int:0 meta.signal_type=string:log flags=int:0 "+want+" library.name=string:lib scope=int:1"), " ") {
			t.Errorf("%v: %s", body, got)
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	at := uint64(now.Add(-time.Minute).UnixNano())
	f := func(x float64) *float64 { return &x }
	number := func(v any, at uint64, a ...*common.KeyValue) *metrics.NumberDataPoint {
		p := &metrics.NumberDataPoint{TimeUnixNano: at, Attributes: a}
		switch v := v.(type) {
		case int:
			p.Value = &metrics.NumberDataPoint_AsInt{AsInt: int64(v)}
		case float64:
			p.Value = &metrics.NumberDataPoint_AsDouble{AsDouble: v}
		}
		return p
	}
	gauge := func(name string, p ...*metrics.NumberDataPoint) *metrics.Metric {
		return &metrics.Metric{Name: name, Data: &metrics.Metric_Gauge{Gauge: &metrics.Gauge{DataPoints: p}}}
	}
	for name, c := range map[string]struct {
		metrics []*metrics.Metric
		want    []string
		weights string
		problem string
	}{
		"grouped": {[]*metrics.Metric{gauge("g", number(1.5, at, kv("k", "a")), number(2, at, kv("k", "b"))),
			{Name: "s", Data: &metrics.Metric_Sum{Sum: &metrics.Sum{DataPoints: []*metrics.NumberDataPoint{number(7, at+999, kv("k", "a"))}}}},
			gauge("late", number(3, at+1e9, kv("k", "a")))},
			[]string{"k=string:a g=float:1.5 s=int:7", "k=string:b g=int:2", "k=string:a late=int:3"}, "[2 1 1]", ""},
		"twice":          {[]*metrics.Metric{gauge("g", number(1, at), number(2, at)), gauge("h", number(3, at)), gauge("g", number(4, at))}, []string{"g=int:1", "g=int:2 h=int:3", "g=int:4"}, "[1 2 1]", ""},
		"named alike":    {[]*metrics.Metric{gauge("k", number(1, at, kv("k", "a")))}, []string{"k=int:1"}, "[1]", ""},
		"no value":       {[]*metrics.Metric{gauge("g", number(nil, at), &metrics.NumberDataPoint{TimeUnixNano: at + 1e9, Flags: 1, Value: &metrics.NumberDataPoint_AsInt{AsInt: 3}}), gauge("h", number(math.NaN(), at))}, []string{"g=null:null h=null:null", "g=null:null"}, "[2 1]", ""},
		"without a name": {[]*metrics.Metric{gauge("", number(1, at))}, []string{""}, "[1]", "no name"},
		"histogram": {[]*metrics.Metric{{Name: "h", Data: &metrics.Metric_Histogram{Histogram: &metrics.Histogram{DataPoints: []*metrics.HistogramDataPoint{
			{TimeUnixNano: at, Count: 10, Sum: f(50), BucketCounts: []uint64{5, 4, 1}, ExplicitBounds: []float64{1, 10}, Min: f(0.5), Max: f(20)}}}}}},
			[]string{"h.count=int:10 h.sum=float:50 h.avg=float:5 h.min=float:0.5 h.max=float:20 h.p001=float:1 h.p01=float:1 h.p05=float:1 h.p10=float:1 h.p25=float:1 h.p50=float:1 h.p75=float:10 h.p90=float:10 h.p95=float:10 h.p99=float:10 h.p999=float:10"}, "[1]", ""},
		"a gauge as a histogram's column": {[]*metrics.Metric{gauge("h.max", number(9, at)), gauge("g", number(1, at)),
			{Name: "h", Data: &metrics.Metric_Histogram{Histogram: &metrics.Histogram{DataPoints: []*metrics.HistogramDataPoint{{TimeUnixNano: at, Count: 1, Max: f(2)}}}}}, gauge("i", number(3, at)), gauge("h.max", number(8, at))},
			[]string{"h.max=int:9 g=int:1", "h.count=int:1 h.max=float:2 i=int:3", "h.max=int:8"}, "[2 2 1]", ""},
		"a gauge as a summary's quantile": {[]*metrics.Metric{gauge("s.p50", number(9, at)), {Name: "s", Data: &metrics.Metric_Summary{Summary: &metrics.Summary{DataPoints: []*metrics.SummaryDataPoint{{TimeUnixNano: at, Count: 1, Sum: 2,
			QuantileValues: []*metrics.SummaryDataPoint_ValueAtQuantile{{Quantile: 0.5, Value: 1}, {Quantile: 0.5, Value: 2}}}}}}}},
			[]string{"s.p50=int:9", "s.count=int:1 s.sum=float:2 s.avg=float:2 s.p50=float:2"}, "[1 1]", ""},
		"histogram without buckets": {[]*metrics.Metric{{Name: "h", Data: &metrics.Metric_Histogram{Histogram: &metrics.Histogram{DataPoints: []*metrics.HistogramDataPoint{{TimeUnixNano: at}}}}}},
			[]string{"h.count=int:0"}, "[1]", ""},
		"odd histogram": {[]*metrics.Metric{{Name: "h", Data: &metrics.Metric_Histogram{Histogram: &metrics.Histogram{DataPoints: []*metrics.HistogramDataPoint{{TimeUnixNano: at, BucketCounts: []uint64{1}, ExplicitBounds: []float64{1, 2}}}}}}},
			[]string{""}, "[1]", "1 buckets and 2 bounds"},
		"exponential": {[]*metrics.Metric{{Name: "e", Data: &metrics.Metric_ExponentialHistogram{ExponentialHistogram: &metrics.ExponentialHistogram{DataPoints: []*metrics.ExponentialHistogramDataPoint{
			{TimeUnixNano: at, Count: 10, Sum: f(1), Scale: 0, ZeroCount: 2, Positive: &metrics.ExponentialHistogramDataPoint_Buckets{Offset: 1, BucketCounts: []uint64{2, 2}},
				Negative: &metrics.ExponentialHistogramDataPoint_Buckets{Offset: -1, BucketCounts: []uint64{3, 1}}}}}}}},
			// Values: one in [-2, -1), three in [-1, -0.5), two zeros, two in (2, 4], two in (4, 8].
			[]string{"e.count=int:10 e.sum=float:1 e.avg=float:0.1 e.p001=float:-1 e.p01=float:-1 e.p05=float:-1 e.p10=float:-1 e.p25=float:-0.5 e.p50=float:0 e.p75=float:4 e.p90=float:8 e.p95=float:8 e.p99=float:8 e.p999=float:8"}, "[1]", ""},
		"summary": {[]*metrics.Metric{{Name: "s", Data: &metrics.Metric_Summary{Summary: &metrics.Summary{DataPoints: []*metrics.SummaryDataPoint{{TimeUnixNano: at, Count: 4, Sum: 8,
			QuantileValues: []*metrics.SummaryDataPoint_ValueAtQuantile{{Quantile: 0, Value: 1}, {Quantile: 0.5, Value: 2}, {Quantile: 0.999, Value: 3}, {Quantile: 1, Value: 4}, {Quantile: 7, Value: 4}}}}}}}},
			[]string{"s.count=int:4 s.sum=float:8 s.avg=float:2 s.min=float:1 s.p50=float:2 s.p999=float:3 s.max=float:4"}, "[1]", ""},
	} {
		r := decodeBoth(t, Metrics, &collectormetrics.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{ScopeMetrics: []*metrics.ScopeMetrics{{Metrics: c.metrics}}}}}, options)
		if len(r.Items) != len(c.want) || fmt.Sprint(r.weights) != c.weights {
			t.Errorf("%s: %s", name, describe(r))
			continue
		}
		for i := range c.want {
			got := show(r.Items[i].Event.Fields)
			if c.problem != "" {
				if !strings.Contains(r.Items[i].Problem, c.problem) {
					t.Errorf("%s: %q", name, r.Items[i].Problem)
				}
			} else if want := "meta.signal_type=string:metric meta.annotation_type=string:metric_event " + c.want[i]; got != want || r.Items[i].Problem != "" || r.Items[i].Event.Time.Nanosecond() != 0 {
				t.Errorf("%s:\n got %s %s\nwant %s", name, got, r.Items[i].Problem, want)
			}
		}
	}
	// More metrics than an event has columns become several events; none is lost.
	var many []*metrics.Metric
	for i := range 4500 {
		many = append(many, gauge(fmt.Sprint("m", i), number(i, at)))
	}
	r := decodeBoth(t, Metrics, &collectormetrics.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{ScopeMetrics: []*metrics.ScopeMetrics{{Metrics: many}}}}}, options)
	n := 0
	for _, item := range r.Items {
		n += len(item.Event.Fields) - 2
	}
	if n != 4500 || len(r.Items) != 3 {
		t.Errorf("%d columns in %d events", n, len(r.Items))
	}
	if n := r.Rejected(func(i int) bool { return i == 0 }); n != int64(len(r.Items[0].Event.Fields)-2) {
		t.Errorf("%d points rejected with the first event", n)
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	good := marshal(t, spans(&trace.Span{Name: "x"}))
	for i := 1; i < len(good); i++ {
		if r, err := Decode(Traces, good[:i], options); err == nil && r.Items != nil && r.Items[0].Problem == "" && i < len(good)-1 {
			t.Errorf("cut after %d of %d bytes: %+v", i, len(good), r)
		}
	}
	for _, body := range []string{"\x0a", "\x0a\xff\xff\xff\xff\x0f", "hello, world", "\x0a\x02\x12\x05", "\x00"} {
		if _, err := Decode(Traces, []byte(body), options); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", body, err)
		}
	}
	if r, err := Decode(Traces, nil, options); err != nil || len(r.Items) != 0 {
		t.Errorf("empty: %v", err)
	}
	for _, body := range []string{"", "[]", "{", `{"resourceSpans":{}}`, `{"resourceSpans":[7]}`, `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"xyz"}]}]}]}`, `{} {}`,
		`{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":7}]}]}]}`, `{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":"SPAN_KIND_ODD"}]}]}]}`,
		`{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":1.5}]}]}]}`, `{"x":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}`,
		`{"resourceSpans":[{"resource":{"attributes":[{"key":"a","value":` + strings.Repeat(`{"arrayValue":{"values":[`, 3000) + strings.Repeat(`]}}`, 3000) + `}]}}]}`} {
		if _, err := DecodeJSON(Traces, []byte(body), options); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.80q: %v", body, err)
		}
	}
	for _, body := range []string{"{}", `{"resourceSpans":null}`, `{"resource_spans":[{"scope_spans":[{"spans":[{"trace_id":"0A","kind":"SPAN_KIND_SERVER","start_time_unix_nano":"1","end_time_unix_nano":2,"odd":[{}]}]}]}]}`} {
		r, err := DecodeJSON(Traces, []byte(body), options)
		if err != nil {
			t.Errorf("%s: %v", body, err)
		}
		if len(r.Items) > 0 && !strings.HasPrefix(show(r.Items[0].Event.Fields), "trace.trace_id=string:0a trace.span_id=string: type=string:server") {
			t.Errorf("%s: %s", body, show(r.Items[0].Event.Fields))
		}
	}
	tooMany := &collectortrace.ExportTraceServiceRequest{ResourceSpans: []*trace.ResourceSpans{{ScopeSpans: []*trace.ScopeSpans{{Spans: make([]*trace.Span, event.MaxBatchEvents+1)}}}}}
	for i := range tooMany.ResourceSpans[0].ScopeSpans[0].Spans {
		tooMany.ResourceSpans[0].ScopeSpans[0].Spans[i] = &trace.Span{}
	}
	if _, err := Decode(Traces, marshal(t, tooMany), options); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "50000") {
		t.Errorf("%v", err)
	}
}
