package otlp

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/ratel-sim/ratel/system/event"
)

// TestOneBadPointSparesTheOthers: points that would have become one event with it are stored without it.
func TestOneBadPointSparesTheOthers(t *testing.T) {
	t.Parallel()
	gauge := func(name string) *metrics.Metric {
		return &metrics.Metric{Name: name, Data: &metrics.Metric_Gauge{Gauge: &metrics.Gauge{DataPoints: []*metrics.NumberDataPoint{{TimeUnixNano: 1e9, Value: &metrics.NumberDataPoint_AsInt{AsInt: 1}}}}}}
	}
	odd := func(name string) *metrics.Metric {
		return &metrics.Metric{Name: name, Data: &metrics.Metric_Histogram{Histogram: &metrics.Histogram{DataPoints: []*metrics.HistogramDataPoint{{TimeUnixNano: 1e9, BucketCounts: []uint64{1}, ExplicitBounds: []float64{1, 2}}}}}}
	}
	wide := func(name string) *metrics.Metric { // has more columns than an event
		p := &metrics.SummaryDataPoint{TimeUnixNano: 1e9}
		for i := range 2500 {
			p.QuantileValues = append(p.QuantileValues, &metrics.SummaryDataPoint_ValueAtQuantile{Quantile: float64(i+1) / 10_000})
		}
		return &metrics.Metric{Name: name, Data: &metrics.Metric_Summary{Summary: &metrics.Summary{DataPoints: []*metrics.SummaryDataPoint{p}}}}
	}
	for name, c := range map[string]struct {
		list          []*metrics.Metric
		want, weights string
	}{
		"in the middle":   {[]*metrics.Metric{gauge("a"), gauge("b"), odd("h"), gauge("c"), gauge("d")}, "a b | ! | c d |", "[2 1 2]"},
		"first":           {[]*metrics.Metric{odd("h"), gauge("a"), gauge("b")}, "! | a b |", "[1 2]"},
		"last":            {[]*metrics.Metric{gauge("a"), odd("h")}, "a | ! |", "[1 1]"},
		"several":         {[]*metrics.Metric{gauge("a"), odd("h"), odd("i"), gauge("b"), wide("s"), gauge("c")}, "a | ! | ! | b | ! | c |", "[1 1 1 1 1 1]"},
		"none but bad":    {[]*metrics.Metric{odd("h"), odd("i")}, "! | ! |", "[1 1]"},
		"too many at all": {[]*metrics.Metric{gauge("a"), wide("s"), gauge("b")}, "a | ! | b |", "[1 1 1]"},
	} {
		r := decodeBoth(t, Metrics, &collectormetrics.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{ScopeMetrics: []*metrics.ScopeMetrics{{Metrics: c.list}}}}}, options)
		var got strings.Builder
		for i := range r.Items {
			if r.Items[i].Problem != "" {
				got.WriteString("! ")
			}
			for _, f := range r.Items[i].Event.Fields {
				if !strings.HasPrefix(f.Name, "meta.") {
					got.WriteString(f.Name + " ")
				}
			}
			got.WriteString("| ")
		}
		if strings.TrimSpace(got.String()) != c.want || fmt.Sprint(r.weights) != c.weights {
			t.Errorf("%s: %s, weights %v; want %s %s", name, got.String(), r.weights, c.want, c.weights)
		}
	}
}

// TestScopesWithoutItemsCostTheirBytesOnly: what the resource says is not set once more for each of them, of which a small body
// can have very many.
func TestScopesWithoutItemsCostTheirBytesOnly(t *testing.T) {
	t.Parallel()
	of := &resource.Resource{}
	for i := range 1500 {
		of.Attributes = append(of.Attributes, kv(fmt.Sprint("a", i), i))
	}
	resourceSpans := &trace.ResourceSpans{Resource: of}
	body := marshal(t, resourceSpans)
	body = append(body, strings.Repeat("\x12\x00", 200_000)...)
	body = append([]byte{0x0a}, append(uvarint(len(body)), body...)...)
	for _, signal := range []Signal{Traces, Logs, Metrics} {
		d := newDecoder(options)
		if r, err := d.decode(signal, string(body)); err != nil || len(r.Items) != 0 || cap(d.common) != 0 {
			t.Errorf("%s: %v, %d fields were gathered", signal, err, cap(d.common))
		}
	}
	// A metric without data points is no item, either.
	d := newDecoder(options)
	if r, err := d.decode(Metrics, "\x0a\x12\x0a\x08\x0a\x06\x0a\x01k\x12\x01\x00"+"\x12\x06\x12\x04\x0a\x00\x2a\x00"); err == nil {
		t.Errorf("an attribute's value with a bad tag was read: %+v", r)
	}
	d = newDecoder(options)
	if r, err := d.decode(Metrics, "\x0a\x13\x0a\x09\x0a\x07\x0a\x01k\x12\x02\x10\x01"+"\x12\x06\x12\x04\x0a\x00\x2a\x00"); err != nil || len(r.Items) != 0 || cap(d.common) != 0 {
		t.Errorf("%v, %d fields were gathered", err, cap(d.common))
	}
	// What cannot be read is found in a scope without items as in any other.
	if _, err := newDecoder(options).decode(Traces, "\x0a\x05\x12\x03\x0a\x01\x0a"); !errors.Is(err, ErrMalformed) {
		t.Errorf("a damaged scope: %v", err)
	}
}

// TestRefusedItemsCountAsOthersDo: setting what the resource says takes its time for an item that is refused in the end, too.
func TestRefusedItemsCountAsOthersDo(t *testing.T) {
	t.Parallel()
	of := &resource.Resource{}
	for i := range 1500 {
		of.Attributes = append(of.Attributes, kv(fmt.Sprint("a", i), i))
	}
	body := marshal(t, &trace.ResourceSpans{Resource: of})
	items := strings.Repeat("\x12\x05\x32\x03\x0a\x01\x0a", 1000) // a record whose attribute ends early
	body = append(append(append(body, 0x12), uvarint(len(items))...), items...)
	body = append([]byte{0x0a}, append(uvarint(len(body)), body...)...)
	taken := int64(0)
	o := options
	o.Reserve = func(n int64) bool { taken += n; return taken < 8<<20 }
	if _, err := Decode(Logs, body, o); !errors.Is(err, event.ErrNoRoom) {
		t.Errorf("%v, %d bytes for %d", err, taken, len(body))
	}
}

func uvarint(n int) (b []byte) {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// TestJSONNumbersOutOfRange: a number that its field cannot hold is an error, not another number.
func TestJSONNumbersOutOfRange(t *testing.T) {
	t.Parallel()
	attribute := func(v string) string {
		return `{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"key":"a","value":{"intValue":` + v + `}}]}]}]}]}`
	}
	point := func(member string) string {
		return `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","sum":{"dataPoints":[{` + member + `}]}}]}]}]}`
	}
	for _, c := range []struct {
		signal Signal
		body   string
		good   bool
	}{
		{Traces, attribute(`"9223372036854775807"`), true},
		{Traces, attribute(`"-9223372036854775808"`), true},
		{Traces, attribute(`1e3`), true},
		{Traces, attribute(`"9223372036854775808"`), false},
		{Traces, attribute(`18446744073709551615`), false},
		{Metrics, point(`"asInt":"-5"`), true},
		{Metrics, point(`"asInt":"9223372036854775808"`), false},
		{Metrics, point(`"timeUnixNano":"18446744073709551615"`), true},
		{Metrics, point(`"timeUnixNano":"-1"`), false},
		{Metrics, point(`"timeUnixNano":-1.0`), false},
		{Metrics, point(`"flags":4294967295`), true},
		{Metrics, point(`"flags":4294967296`), false},
		{Metrics, point(`"flags":-1`), false},
		{Traces, `{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":2147483648}]}]}]}`, false},
		{Traces, `{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":-1}]}]}]}`, true}, // a value that is not known
	} {
		if _, err := DecodeJSON(c.signal, []byte(c.body), options); (err == nil) != c.good || err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", c.body, err)
		}
	}
}
