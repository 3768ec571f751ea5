package shepherd

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// wideSpans is a request of spans with 30 attributes, about 900 bytes each.
func wideSpans(n int) *collector.ExportTraceServiceRequest {
	start := uint64(time.Now().Add(-time.Minute).UnixNano())
	scope := &trace.ScopeSpans{Scope: &common.InstrumentationScope{Name: "go.example.org/checkout", Version: "v1.2.3"}}
	for i := range n {
		s := &trace.Span{TraceId: fmt.Appendf(nil, "%016x", i/10*7919), SpanId: fmt.Appendf(nil, "%08x", i), ParentSpanId: fmt.Appendf(nil, "%08x", i/10), Name: []string{"GET /cart", "POST /order", "GET /item/:id"}[i%3],
			Kind: 2, StartTimeUnixNano: start + uint64(i)*1000, EndTimeUnixNano: start + uint64(i)*2000}
		for j := range 18 {
			s.Attributes = append(s.Attributes, attr(fmt.Sprintf("app.attribute_%d", j), fmt.Sprintf("value %d of %d", i%5, j)))
		}
		for j := range 8 {
			s.Attributes = append(s.Attributes, &common.KeyValue{Key: fmt.Sprintf("app.count_%d", j), Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: int64(i * j)}}})
		}
		for j := range 4 {
			s.Attributes = append(s.Attributes, &common.KeyValue{Key: fmt.Sprintf("app.ratio_%d", j), Value: &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: float64(i+j) / 7}}})
		}
		scope.Spans = append(scope.Spans, s)
	}
	return &collector.ExportTraceServiceRequest{ResourceSpans: []*trace.ResourceSpans{{ScopeSpans: []*trace.ScopeSpans{scope},
		Resource: &resource.Resource{Attributes: []*common.KeyValue{attr("service.name", "checkout"), attr("host.name", "node-17"), attr("k8s.pod.name", "checkout-7d9f")}}}}}
}

// packedBatch is events as a batch in MessagePack.
func packedBatch(b *testing.B, events []event.Event) []byte {
	var batch []any
	for _, e := range events {
		data := map[string]any{}
		for _, f := range e.Fields {
			switch f.Value.Kind() {
			case event.Bool:
				data[f.Name] = f.Value.Bool()
			case event.Int:
				data[f.Name] = f.Value.Int()
			case event.Float:
				data[f.Name] = f.Value.Float()
			default:
				data[f.Name] = f.Value.Str()
			}
		}
		batch = append(batch, map[string]any{"data": data, "time": e.Time})
	}
	var out bytes.Buffer
	enc := msgpack.NewEncoder(&out)
	enc.SetSortMapKeys(true)
	if err := enc.Encode(batch); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}

// cpuSeconds is the CPU time that the process has had.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// BenchmarkIngest is a shepherd's whole work on 50 events of 30 columns, or spans of 30 attributes, in each protocol, on one
// core, with a log that accepts at once: events/s/core, by the clock and by CPU time.
func BenchmarkIngest(b *testing.B) {
	const events = 50
	spans := []byte(wireOf(b, wideSpans(events)))
	batch := wideBatch(events)
	framed := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(spans))), spans...)
	for _, c := range []struct {
		name, path, media, encoding string
		body                        []byte
		face                        func(*Shepherd) http.Handler
	}{
		{"json", "/1/batch/data", typeJSON, "", event.AppendBatchJSON(nil, batch), Handler},
		{"msgpack", "/1/batch/data", typeMsgpack, "", packedBatch(b, batch), Handler},
		{"msgpack-zstd", "/1/batch/data", typeMsgpack, "zstd", []byte(zstded(string(packedBatch(b, batch)))), Handler},
		{"otlp-http", "/v1/traces", typeXProto, "", spans, Handler},
		{"otlp-http-gzip", "/v1/traces", typeXProto, "gzip", []byte(gzipped(string(spans))), Handler},
		{"otlp-http-zstd", "/v1/traces", typeXProto, "zstd", []byte(zstded(string(spans))), Handler},
		{"otlp-grpc-frame", "/opentelemetry.proto.collector.trace.v1.TraceService/Export", "application/grpc", "", framed, GRPC},
	} {
		b.Run(c.name, func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // garbage collection is a part of the work
			r := rt.NewWall(1)
			defer func() { r.Kill(); r.Wait() }()
			s, err := New(r, port.Ports{Log: &nullLog{r: r}, Catalog: newMemCatalog()}, DefaultConfig(), 6, "shepherd1", planted.Set{})
			if err != nil {
				b.Fatal(err)
			}
			h := c.face(s)
			w := &answerWriter{header: http.Header{}}
			var whole []float64
			b.ReportAllocs()
			before := cpuSeconds()
			for b.Loop() {
				r, _ := http.NewRequest(http.MethodPost, "http://x"+c.path, bytes.NewReader(c.body))
				r.Header["X-Honeycomb-Team"] = []string{"key"}
				r.Header["Content-Type"] = []string{c.media}
				if c.encoding != "" {
					r.Header["Content-Encoding"] = []string{c.encoding}
				}
				began := time.Now()
				h.ServeHTTP(w, r)
				whole = append(whole, time.Since(began).Seconds())
			}
			if h := s.Health(); h.Totals.Accepted != int64(events*b.N) || h.InFlightBytes != 0 {
				b.Fatalf("%d of %d events accepted: %+v", h.Totals.Accepted, events*b.N, h)
			}
			// Whatever else runs on the machine takes no CPU time of this process; it does take its caches.
			b.ReportMetric(float64(events*b.N)/(cpuSeconds()-before), "events/cpu-s")
			all := median(whole)
			b.ReportMetric(events/all, "events/s/core")
			b.ReportMetric(all*1e6, "µs/batch")
			b.ReportMetric(float64(len(c.body))/events, "B/event")
		})
	}
}
