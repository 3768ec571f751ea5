package shepherd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"google.golang.org/genproto/googleapis/rpc/errdetails"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
)

func attr(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
}

// spansOf is a request with n spans of each service.
func spansOf(n int, services ...string) *collector.ExportTraceServiceRequest {
	req := &collector.ExportTraceServiceRequest{}
	for _, service := range services {
		scope := &trace.ScopeSpans{}
		for i := range n {
			scope.Spans = append(scope.Spans, &trace.Span{TraceId: []byte("0123456789abcdef"), SpanId: []byte(fmt.Sprintf("%08d", i)), Name: service})
		}
		req.ResourceSpans = append(req.ResourceSpans, &trace.ResourceSpans{Resource: &resource.Resource{Attributes: []*common.KeyValue{attr("service.name", service)}}, ScopeSpans: []*trace.ScopeSpans{scope}})
	}
	return req
}

// tooWide adds a span that has too many columns.
func tooWide(req *collector.ExportTraceServiceRequest) *collector.ExportTraceServiceRequest {
	span := &trace.Span{}
	for i := range 2001 {
		span.Attributes = append(span.Attributes, attr("a"+strconv.Itoa(i), "x"))
	}
	spans := &req.ResourceSpans[0].ScopeSpans[0].Spans
	*spans = append(*spans, span)
	return req
}

func wireOf(t testing.TB, m proto.Message) string {
	t.Helper()
	body, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func postTraces(h http.Handler, body string, header map[string]string) *httptest.ResponseRecorder {
	c := call{path: "/v1/traces", body: body, header: map[string]string{"Content-Type": typeXProto}}
	for k, v := range header {
		c.header[k] = v
	}
	return c.do(h)
}

func TestOTLPOverHTTP(t *testing.T) {
	t.Parallel()
	good := wireOf(t, spansOf(2, "a", "b", "A"))
	const goodJSON = `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0102","name":"x"}]}]}]}`
	for name, c := range map[string]struct {
		body   string
		header map[string]string
		code   int
		text   string // in the answer
		stored int
	}{
		"protobuf":             {good, nil, 200, "", 6},
		"application/protobuf": {good, map[string]string{"Content-Type": "application/protobuf"}, 200, "", 6},
		"gzip":                 {gzipped(good), map[string]string{"Content-Encoding": "gzip"}, 200, "", 6},
		"zstd":                 {zstded(good), map[string]string{"Content-Encoding": "zstd"}, 200, "", 6},
		"JSON":                 {goodJSON, map[string]string{"Content-Type": "application/json; charset=utf-8"}, 200, "{}", 1},
		"nothing in it":        {"", nil, 200, "", 0},
		"rejected":             {wireOf(t, tooWide(spansOf(2, "a"))), nil, 200, "too many columns", 2},
		"rejected all":         {wireOf(t, tooWide(spansOf(0, "a"))), nil, 200, "too many columns", 0},
		"garbage":              {"hello", nil, 400, "failed to parse OTLP request body", 0},
		"garbage as JSON":      {"hello", map[string]string{"Content-Type": "application/json"}, 400, `"code":13,"message":"failed to parse OTLP request body`, 0},
		"media type":           {good, map[string]string{"Content-Type": "text/plain"}, 415, textMedia, 0},
		"no media type":        {good, map[string]string{"Content-Type": ""}, 415, textMedia, 0},
		"encoding":             {good, map[string]string{"Content-Encoding": "br"}, 415, "gzip, zstd", 0},
		"cut zstd":             {zstded(good)[:20], map[string]string{"Content-Encoding": "zstd"}, 400, "malformed", 0},
		"bomb":                 {gzipped(strings.Repeat("\x00", 50_000_000)), map[string]string{"Content-Encoding": "gzip"}, 413, "too large", 0},
		"zstd bomb":            {zstdChunks(strings.Repeat("\x00", 50_000_000)), map[string]string{"Content-Encoding": "zstd"}, 413, "too large", 0},
		"no key":               {good, map[string]string{"X-Honeycomb-Team": ""}, 401, "missing 'x-honeycomb-team' header", 0},
		"short key header":     {good, map[string]string{"X-Honeycomb-Team": "", "X-Hny-Team": "key"}, 200, "", 6},
		"unknown key":          {good, map[string]string{"X-Honeycomb-Team": "other"}, 401, "unknown API key", 0},
		"classic, nowhere":     {good, map[string]string{"X-Honeycomb-Team": strings.Repeat("0a", 16)}, 401, "missing 'x-honeycomb-dataset' header", 0},
		"classic":              {good, map[string]string{"X-Honeycomb-Team": strings.Repeat("0a", 16), "X-Honeycomb-Dataset": "mine"}, 200, "", 6},
		"bad dataset":          {good, map[string]string{"X-Honeycomb-Team": strings.Repeat("0a", 16), "X-Honeycomb-Dataset": "a/b"}, 400, "slash", 0},
		"dataset not used":     {good, map[string]string{"X-Honeycomb-Dataset": "a/b"}, 200, "", 6},
	} {
		b := newBench(t, 2, nil)
		b.dir.teams[strings.Repeat("0a", 16)] = port.Team{ID: 9, Name: "classic"}
		w := postTraces(Handler(b.Shepherd), c.body, c.header)
		stored := b.log.storedEvents(t)
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.text) || len(stored) != c.stored {
			t.Errorf("%s: %d %q, %d stored; want %d %q, %d", name, w.Code, w.Body, len(stored), c.code, c.text, c.stored)
		}
		if h := b.Health(); h.InFlightBytes != 0 || h.InFlightEvents != 0 || h.Requests != 0 || h.PeakBytes > h.MaxInFlightBytes {
			t.Errorf("%s: left %+v", name, h)
		}
		if name == "classic" {
			if _, ok := b.dir.datasets["mine"]; !ok || len(b.dir.datasets) != 1 {
				t.Errorf("%v", b.dir.datasets)
			}
		}
		if c.header["Content-Type"] != "" || c.code == 415 {
			continue
		}
		if c.code == 200 {
			var answer collector.ExportTraceServiceResponse
			if err := proto.Unmarshal(w.Body.Bytes(), &answer); err != nil || (answer.PartialSuccess.GetRejectedSpans() == 1) != (c.text != "") || !strings.Contains(answer.PartialSuccess.GetErrorMessage(), c.text) {
				t.Errorf("%s: %v %v", name, err, &answer)
			}
			continue
		}
		var s rpcstatus.Status
		if err := proto.Unmarshal(w.Body.Bytes(), &s); err != nil || !strings.Contains(s.Message, c.text) || s.Code == 0 {
			t.Errorf("%s: %v %v", name, err, &s)
		}
	}
	b := newBench(t, 1, nil)
	if w := (call{method: "GET", path: "/v1/logs"}).do(Handler(b.Shepherd)); w.Code != 405 {
		t.Errorf("GET: %d", w.Code)
	}
	if w := (call{path: "/v1/profiles"}).do(Handler(b.Shepherd)); w.Code != 404 {
		t.Errorf("unknown signal: %d", w.Code)
	}
	small := newBench(t, 1, func(c *Config) { c.MaxBodyBytes = 100 })
	odd := "" // that no encoding makes shorter
	for i := range 100 {
		odd += string(rune(i * 7919 % 127))
	}
	for encoding, body := range map[string]string{"": odd + "x", "gzip": gzipped(odd), "zstd": zstdStream(odd)} {
		c := call{path: "/1/events/x", body: body, noLength: true, header: map[string]string{"Content-Encoding": encoding}}
		if w := c.do(Handler(small.Shepherd)); len(body) <= 100 || w.Code != 413 || !strings.Contains(w.Body.String(), "at most 100 bytes") {
			t.Errorf("%d bytes of an unknown length in %q: %d %q", len(body), encoding, w.Code, w.Body)
		}
	}
	if w := postTraces(Handler(small.Shepherd), good, nil); w.Code != 413 || !strings.Contains(w.Body.String(), "at most 100 bytes") {
		t.Errorf("a bound of 100 bytes: %d %q", w.Code, w.Body)
	}
}

// TestOTLPIsTakenWholeOrNotAtAll: what is turned away comes again as a whole, so nothing of it may be stored.
func TestOTLPIsTakenWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	// A rate limit of the dataset that comes second.
	b := newBench(t, 2, nil)
	b.dir.datasets["b"] = port.Dataset{ID: 7, Team: 1, Name: "b", Partitions: b.dir.set, Limits: port.Limits{EventsPerSecond: 0.001, Burst: 10}}
	h := Handler(b.Shepherd)
	if w := postTraces(h, wireOf(t, spansOf(4, "b")), nil); w.Code != 200 || w.Header().Get("RateLimit") == "" || w.Header().Get("Retry-After") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	w := postTraces(h, wireOf(t, spansOf(8, "a", "b")), nil)
	if after, _ := strconv.Atoi(w.Header().Get("Retry-After")); w.Code != 429 || after < 1900 || after > 2001 || len(b.log.storedEvents(t)) != 4 {
		t.Errorf("%d %v, %d stored", w.Code, w.Header(), len(b.log.storedEvents(t)))
	}
	if w := postTraces(h, wireOf(t, spansOf(6, "a", "b")), nil); w.Code != 200 || len(b.log.storedEvents(t)) != 16 {
		t.Errorf("what there are tokens for: %d %q", w.Code, w.Body)
	}
	// More than the bucket ever holds is let in when it is full, and owed.
	b = newBench(t, 2, nil)
	b.dir.on(func(d *fakeDirectory) {
		d.teams["key"] = port.Team{ID: 1, Name: "one", Limits: port.Limits{EventsPerSecond: 0.001, Burst: 10}}
	})
	h = Handler(b.Shepherd)
	if w := postTraces(h, wireOf(t, spansOf(25, "a")), nil); w.Code != 200 || len(b.log.storedEvents(t)) != 25 {
		t.Errorf("more than the bucket holds: %d", w.Code)
	}
	w = postTraces(h, wireOf(t, spansOf(1, "a")), nil)
	if after, _ := strconv.Atoi(w.Header().Get("Retry-After")); w.Code != 429 || after < 15_900 {
		t.Errorf("a bucket that owes: %d %v", w.Code, w.Header())
	}
	// The bound on what is in flight.
	b = newBench(t, 2, func(c *Config) { c.MaxInFlightEvents, c.TeamShare = 15, 1 })
	h = Handler(b.Shepherd)
	if w := postTraces(h, wireOf(t, spansOf(10, "a", "b")), nil); w.Code != 429 || w.Header().Get("Retry-After") != "1" || len(b.log.attempts()) != 0 {
		t.Errorf("no room: %d %v, %d produced", w.Code, w.Header(), len(b.log.attempts()))
	}
	if h := b.Health(); h.InFlightBytes != 0 || h.InFlightEvents != 0 || h.Totals.Throttled != 20 {
		t.Errorf("left %+v", h)
	}
	if w := postTraces(h, wireOf(t, spansOf(7, "a", "b")), nil); w.Code != 200 {
		t.Errorf("what there is room for: %d", w.Code)
	}
}

// TestOTLPOutcomes: what Kafka does with a request's events is what the answer says, over HTTP and gRPC.
func TestOTLPOutcomes(t *testing.T) {
	t.Parallel()
	refused := fmt.Errorf("no leader: %w", port.ErrRefused)
	for name, c := range map[string]struct {
		decide func(partition int32) error
		cfg    func(*Config)
		drain  bool
		dirErr error
		http   int
		code   grpccodes.Code
		retry  bool
	}{
		"accepted":       {http: 200, code: grpccodes.OK},
		"refused":        {decide: func(int32) error { return refused }, http: 503, code: grpccodes.Unavailable, retry: true},
		"unknown":        {decide: func(int32) error { return errAnswerLost }, http: 504, code: grpccodes.DeadlineExceeded},
		"silent":         {decide: func(int32) error { return errHang }, cfg: func(c *Config) { c.AckTimeout = 20 * time.Millisecond }, http: 504, code: grpccodes.DeadlineExceeded},
		"too large":      {decide: func(int32) error { return port.ErrTooLarge }, http: 200, code: grpccodes.OK},
		"draining":       {drain: true, http: 503, code: grpccodes.Unavailable, retry: true},
		"no catalog":     {dirErr: fmt.Errorf("away: %w", port.ErrUnknown), http: 503, code: grpccodes.Unavailable, retry: true},
		"no room at all": {cfg: func(c *Config) { c.MaxInFlightBytes = 1000 }, http: 429, code: grpccodes.ResourceExhausted, retry: true},
	} {
		b := newBench(t, 3, c.cfg)
		if c.decide != nil {
			b.log.decide = c.decide
		}
		b.dir.err = c.dirErr
		if c.drain {
			ctx, stop := context.WithCancel(context.Background())
			stop()
			if err := b.Run(ctx); err != nil {
				t.Fatal(err)
			}
		}
		w := postTraces(Handler(b.Shepherd), wireOf(t, spansOf(20, "a", "b")), nil)
		if w.Code != c.http || (w.Header().Get("Retry-After") != "") != c.retry {
			t.Errorf("%s over HTTP: %d %v %q", name, w.Code, w.Header(), w.Body)
		}
		client, err := grpc.NewClient(grpcServer(t, b.Shepherd), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := collector.NewTraceServiceClient(client).Export(metadata.AppendToOutgoingContext(t.Context(), "x-honeycomb-team", "key"), spansOf(20, "a", "b"))
		retry := false
		for _, detail := range status.Convert(err).Details() {
			info, ok := detail.(*errdetails.RetryInfo)
			retry = retry || ok && info.RetryDelay.AsDuration() > 0
		}
		if status.Code(err) != c.code || retry != c.retry {
			t.Errorf("%s over gRPC: %v, retry %t", name, err, retry)
		}
		if name == "too large" && answer.GetPartialSuccess().GetRejectedSpans() != 40 {
			t.Errorf("%s: %v", name, answer)
		}
		client.Close()
		b.log.settle(nil)
		if h := b.Health(); h.InFlightBytes != 0 || h.Requests != 0 {
			t.Errorf("%s: left %+v", name, h)
		}
	}
}

// TestMsgpackOverHTTP: batches and events in MessagePack, and answers in what the client accepts.
func TestMsgpackOverHTTP(t *testing.T) {
	t.Parallel()
	packed := func(v any) string {
		b, err := msgpack.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	batch := packed([]any{map[string]any{"data": map[string]any{"a": 1}, "time": time.Unix(1_700_000_000, 5), "samplerate": 3}, map[string]any{"data": map[string]any{}}})
	b := newBench(t, 1, nil)
	h := Handler(b.Shepherd)
	type answer struct {
		Status    int    `msgpack:"status" json:"status"`
		Error     string `msgpack:"error" json:"error"`
		Partition *int32 `msgpack:"partition" json:"partition"`
		Offset    *int64 `msgpack:"offset" json:"offset"`
	}
	for _, c := range []struct {
		media, accept, encoding, body, want string
	}{
		{"application/msgpack", "", "", batch, typeMsgpack},
		{"application/x-msgpack", "", "zstd", zstded(batch), typeMsgpack},
		{"application/msgpack", "application/json", "gzip", gzipped(batch), typeJSON},
		{"application/json", "application/msgpack", "", `[{"data":{"a":1},"time":"2023-11-14T22:13:20.000000005Z","samplerate":3},{"data":{}}]`, typeMsgpack},
	} {
		w := call{body: c.body, header: map[string]string{"Content-Type": c.media, "Accept": c.accept, "Content-Encoding": c.encoding, "X-Ratel-Receipts": "kafka"}}.do(h)
		var got []answer
		decode := json.Unmarshal
		if c.want == typeMsgpack {
			decode = msgpack.Unmarshal
		}
		if err := decode(w.Body.Bytes(), &got); err != nil || w.Code != 200 || w.Header().Get("Content-Type") != c.want {
			t.Fatalf("%+v: %d %v %q %v", c, w.Code, w.Header(), w.Body, err)
		}
		if len(got) != 2 || got[0].Status != 202 || *got[0].Partition != 0 || *got[0].Offset < 0 || got[1].Status != 400 || got[1].Error != event.TextEmpty || got[1].Partition != nil {
			t.Errorf("%+v: %+v", c, got)
		}
	}
	if w := (call{path: "/1/events/x", body: packed(map[string]any{"a": 1}), header: map[string]string{"Content-Type": "application/msgpack", "X-Honeycomb-Samplerate": "3", "X-Honeycomb-Event-Time": "1700000000000"}}).do(h); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("one event: %d %q", w.Code, w.Body)
	}
	if w := (call{body: batch[:9], header: map[string]string{"Content-Type": "application/msgpack"}}).do(h); w.Code != 400 || !strings.Contains(w.Body.String(), "malformed") {
		t.Errorf("cut: %d %q", w.Code, w.Body)
	}
	stored := b.log.storedEvents(t)
	if len(stored) != 5 {
		t.Fatalf("%d stored", len(stored))
	}
	for _, e := range stored {
		if v, _ := e.Get("a"); v.Int() != 1 || e.SampleRate != 3 || e.Time.Unix() != 1_700_000_000 {
			t.Errorf("%+v", e)
		}
	}
}
