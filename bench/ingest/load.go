package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// perRequest is how many events a request has; each has 30 attributes.
const perRequest = 50

// dataset is where a shepherd puts them; the Collector does not look at it.
const dataset = "checkout"

// load is a kind of requests.
type load struct {
	name string
	body func() ([]byte, error)
	of   func(s *server) string // the address, empty where a server does not speak it
	open func(address, key string, body []byte) (send func(ctx context.Context) error, end func(), err error)
}

func loads() []load {
	return []load{
		{"OTLP/gRPC", spans, func(s *server) string { return s.grpc }, overGRPC},
		{"OTLP/HTTP", spans, func(s *server) string { return s.http }, overHTTP("/v1/traces", "application/x-protobuf", otlpTaken)},
		{"msgpack batch", packed, func(s *server) string { return s.batch }, overHTTP("/1/batch/"+dataset, "application/msgpack", batchTaken)},
	}
}

// attributes are those of a span or event: 18 texts, 8 whole numbers, 4 fractions.
func attributes(i int, text func(key, value string), whole func(key string, n int64), fraction func(key string, f float64)) {
	for j := range 18 {
		text(fmt.Sprintf("app.attribute_%d", j), fmt.Sprintf("value %d of %d", i%5, j))
	}
	for j := range 8 {
		whole(fmt.Sprintf("app.count_%d", j), int64(i*j))
	}
	for j := range 4 {
		fraction(fmt.Sprintf("app.ratio_%d", j), float64(i+j)/7)
	}
}

func text(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
}

var spanNames = [...]string{"GET /cart", "POST /order", "GET /item/:id"} //nolint:gochecknoglobals // a constant

// spans is a request of OTLP.
func spans() ([]byte, error) {
	start := uint64(time.Now().Add(-time.Minute).UnixNano())
	scope := &trace.ScopeSpans{Scope: &common.InstrumentationScope{Name: "go.example.org/checkout", Version: "v1.2.3"}}
	for i := range perRequest {
		s := &trace.Span{
			TraceId: fmt.Appendf(nil, "%016x", i/10*7919), SpanId: fmt.Appendf(nil, "%08x", i), ParentSpanId: fmt.Appendf(nil, "%08x", i/10),
			Name: spanNames[i%len(spanNames)], Kind: trace.Span_SPAN_KIND_SERVER, StartTimeUnixNano: start + uint64(i)*1000, EndTimeUnixNano: start + uint64(i)*2000,
		}
		attributes(i, func(key, value string) { s.Attributes = append(s.Attributes, text(key, value)) },
			func(key string, n int64) {
				s.Attributes = append(s.Attributes, &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: n}}})
			},
			func(key string, f float64) {
				s.Attributes = append(s.Attributes, &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: f}}})
			})
		scope.Spans = append(scope.Spans, s)
	}
	return proto.Marshal(&collector.ExportTraceServiceRequest{ResourceSpans: []*trace.ResourceSpans{{ScopeSpans: []*trace.ScopeSpans{scope},
		Resource: &resource.Resource{Attributes: []*common.KeyValue{text("service.name", "checkout"), text("host.name", "node-17"), text("k8s.pod.name", "checkout-7d9f")}}}}})
}

// packed is a batch of Honeycomb's API with the same attributes, as MessagePack.
func packed() ([]byte, error) {
	start := time.Now().Add(-time.Minute)
	var batch []any
	for i := range perRequest {
		data := map[string]any{
			"service.name": "checkout", "host.name": "node-17", "k8s.pod.name": "checkout-7d9f", "name": spanNames[i%len(spanNames)], "duration_ms": float64(i) / 1000,
			"trace.trace_id": fmt.Sprintf("%032x", i/10*7919), "trace.span_id": fmt.Sprintf("%016x", i), "trace.parent_id": fmt.Sprintf("%016x", i/10),
		}
		attributes(i, func(key, value string) { data[key] = value }, func(key string, n int64) { data[key] = n }, func(key string, f float64) { data[key] = f })
		batch = append(batch, map[string]any{"data": data, "time": start.Add(time.Duration(i) * time.Microsecond)})
	}
	var out bytes.Buffer
	enc := msgpack.NewEncoder(&out)
	enc.SetSortMapKeys(true)
	err := enc.Encode(batch)
	return out.Bytes(), err
}

// otlpTaken checks an answer of OTLP: nothing may be rejected.
func otlpTaken(answer []byte) error {
	var r collector.ExportTraceServiceResponse
	if err := proto.Unmarshal(answer, &r); err != nil {
		return fmt.Errorf("the answer cannot be read: %w", err)
	}
	if n := r.GetPartialSuccess().GetRejectedSpans(); n > 0 {
		return fmt.Errorf("%d spans were rejected: %s", n, r.GetPartialSuccess().GetErrorMessage())
	}
	return nil
}

// batchTaken checks an answer of the batch API: a status for each event, and each 202.
func batchTaken(answer []byte) error {
	var statuses []struct {
		Status int    `msgpack:"status"`
		Error  string `msgpack:"error"`
	}
	if err := msgpack.Unmarshal(answer, &statuses); err != nil {
		return fmt.Errorf("the answer cannot be read: %w", err)
	}
	if len(statuses) != perRequest {
		return fmt.Errorf("%d statuses for %d events", len(statuses), perRequest)
	}
	for i, s := range statuses {
		if s.Status != http.StatusAccepted {
			return fmt.Errorf("event %d: %d %s", i, s.Status, s.Error)
		}
	}
	return nil
}

func overHTTP(path, media string, taken func(answer []byte) error) func(address, key string, body []byte) (func(context.Context) error, func(), error) {
	return func(address, key string, body []byte) (func(context.Context) error, func(), error) {
		t := &http.Transport{MaxIdleConnsPerHost: 1, DisableCompression: true}
		return func(ctx context.Context) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+path, bytes.NewReader(body))
			if err != nil {
				return err
			}
			req.Header["Content-Type"] = []string{media}
			req.Header["X-Honeycomb-Team"], req.Header["X-Honeycomb-Dataset"] = []string{key}, []string{dataset}
			res, err := t.RoundTrip(req)
			if err != nil {
				return err
			}
			defer func() { _ = res.Body.Close() }()
			answer, err := io.ReadAll(res.Body)
			if err == nil && res.StatusCode != http.StatusOK {
				err = fmt.Errorf("%s: %.200s", res.Status, answer)
			}
			if err == nil {
				err = taken(answer)
			}
			return err
		}, t.CloseIdleConnections, nil
	}
}

// raw hands bytes to gRPC as they are: what is sent was encoded before.
type raw struct{}

var _ encoding.CodecV2 = raw{}

// Marshal implements encoding.CodecV2.
func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

// Unmarshal implements encoding.CodecV2.
func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// Name implements encoding.CodecV2.
func (raw) Name() string { return "proto" }

func overGRPC(address, key string, body []byte) (func(context.Context) error, func(), error) {
	c, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(raw{})))
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context) error {
		var answer []byte
		err := c.Invoke(metadata.AppendToOutgoingContext(ctx, "x-honeycomb-team", key, "x-honeycomb-dataset", dataset), "/opentelemetry.proto.collector.trace.v1.TraceService/Export", &body, &answer)
		if err == nil {
			err = otlpTaken(answer)
		}
		return err
	}, func() { _ = c.Close() }, nil
}

// sender sends one request after the other.
type sender struct {
	acked, failed int64
	first         error
	took          []time.Duration // of what was acknowledged in the window
	inWindow      int64
}

// drive puts a load on a server and measures one window. acked counts all requests that were acknowledged.
func drive(ctx context.Context, o options, r *result) (w window, acked int64, err error) {
	body, err := r.load.body()
	if err != nil {
		return w, 0, err
	}
	ctx, stop := context.WithTimeout(ctx, o.warm+o.window+30*time.Second)
	defer stop()
	began := time.Now().Add(o.warm)
	until := began.Add(o.window)
	senders := make([]sender, o.senders)
	var wg sync.WaitGroup
	for i := range senders {
		send, end, err := r.load.open(r.load.of(r.server), r.server.key, body)
		if err != nil {
			return w, 0, err
		}
		defer end()
		wg.Go(func() {
			s := &senders[i]
			for ctx.Err() == nil {
				at := time.Now()
				if at.After(until) {
					return
				}
				err := send(ctx)
				now := time.Now()
				if err != nil {
					s.failed++
					if s.first == nil {
						s.first = err
					}
					time.Sleep(10 * time.Millisecond) // a server that refuses is not to be flooded
					continue
				}
				s.acked++
				if now.After(began) && now.Before(until) {
					s.inWindow++
					s.took = append(s.took, now.Sub(at))
				}
			}
		})
	}
	time.Sleep(time.Until(began))
	cpu, err := r.server.cpu()
	if err != nil {
		return w, 0, err
	}
	time.Sleep(time.Until(until))
	after, err := r.server.cpu()
	w.cpu, w.seconds = after-cpu, time.Since(began).Seconds()
	wg.Wait()
	var took []time.Duration
	for i := range senders {
		s := &senders[i]
		acked += s.acked
		w.events += s.inWindow * perRequest
		w.failed += s.failed
		took = append(took, s.took...)
		if err == nil && s.acked == 0 && s.first != nil {
			err = s.first
		}
	}
	if err == nil && len(took) == 0 {
		err = fmt.Errorf("nothing was acknowledged in %v", o.window)
	}
	if err != nil {
		return w, acked, err
	}
	slices.Sort(took)
	w.p50, w.p99 = took[len(took)/2], took[len(took)*99/100]
	return w, acked, nil
}
