package shepherd

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/port"
)

const goodBody = `[{"data":{"a":1}},{"data":{"b":"x"},"samplerate":2}]`

func gzipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, s)
	_ = z.Close()
	return b.String()
}

func zstded(s string, opts ...zstd.EOption) string {
	z, err := zstd.NewWriter(nil, opts...)
	if err != nil {
		panic(err)
	}
	return string(z.EncodeAll([]byte(s), nil))
}

// zstdChunks is zstdStream in larger pieces.
func zstdChunks(s string) string {
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	if err != nil {
		panic(err)
	}
	for len(s) > 0 {
		n := min(len(s), 1<<20)
		_, _ = io.WriteString(z, s[:n])
		s = s[n:]
	}
	_ = z.Close()
	return b.String()
}

func zstdStream(s string, opts ...zstd.EOption) string {
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, opts...)
	if err != nil {
		panic(err)
	}
	for len(s) > 0 { // in pieces, so that the frame's size is not known in front
		n := min(len(s), 7)
		_, _ = io.WriteString(z, s[:n])
		s = s[n:]
	}
	_ = z.Close()
	return b.String()
}

type call struct {
	method, path, body string
	header             map[string]string
	noLength           bool
}

func (c call) do(h http.Handler) *httptest.ResponseRecorder {
	method := c.method
	if method == "" {
		method = http.MethodPost
	}
	path := c.path
	if path == "" {
		path = "/1/batch/my%20data"
	}
	r := httptest.NewRequest(method, path, strings.NewReader(c.body))
	if c.noLength {
		r.ContentLength = -1
	}
	r.Header.Set("X-Honeycomb-Team", "key")
	r.Header.Set("Content-Type", "application/json")
	for k, v := range c.header {
		if v == "" {
			r.Header.Del(k)
		} else {
			r.Header.Set(k, v)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHTTPGood(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]call{
		"plain":              {body: goodBody},
		"charset":            {body: goodBody, header: map[string]string{"Content-Type": "application/json; charset=utf-8"}},
		"no content type":    {body: goodBody, header: map[string]string{"Content-Type": ""}},
		"short team header":  {body: goodBody, header: map[string]string{"X-Honeycomb-Team": "", "X-Hny-Team": "key"}},
		"unknown length":     {body: goodBody, noLength: true},
		"gzip":               {body: gzipped(goodBody), header: map[string]string{"Content-Encoding": "gzip"}},
		"zstd":               {body: zstded(goodBody), header: map[string]string{"Content-Encoding": "zstd"}},
		"zstd stream":        {body: zstdStream(goodBody), header: map[string]string{"Content-Encoding": "ZSTD"}},
		"zstd small window":  {body: zstdStream(goodBody, zstd.WithWindowSize(64<<10)), header: map[string]string{"Content-Encoding": "zstd"}},
		"zstd large segment": {body: zstded(goodBody+strings.Repeat(" ", 3_000_000), zstd.WithSingleSegment(true)), header: map[string]string{"Content-Encoding": "zstd"}},
		"identity":           {body: goodBody, header: map[string]string{"Content-Encoding": "identity"}},
	} {
		b := newBench(t, 1, nil)
		h := Handler(b.Shepherd)
		for range 2 { // the second time with pooled decoders
			w := c.do(h)
			if w.Code != 200 || w.Body.String() != `[{"status":202},{"status":202}]`+"\n" || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("%s: %d %s", name, w.Code, w.Body)
			}
		}
		chunk, err := event.DecodeChunk(b.log.stored[0][0].Value)
		if err != nil || chunk.Dataset.Name != "my data" || chunk.Events[1].SampleRate != 2 {
			t.Errorf("%s: %v, %+v", name, err, chunk)
		}
		if h := b.Health(); h.InFlightBytes != 0 || h.InFlightEvents != 0 || h.Requests != 0 {
			t.Errorf("%s: left in flight: %+v", name, h)
		}
	}
}

func TestHTTPMalformed(t *testing.T) {
	t.Parallel()
	large := strings.Repeat(" ", defaultMaxBody+1)
	for name, c := range map[string]struct {
		call
		code int
		text string
	}{
		"empty":                   {call{}, 400, "Request body should not be empty."},
		"blank":                   {call{body: "  "}, 400, "Request body should not be empty."},
		"no events":               {call{body: "[]"}, 400, "Request body should not be empty."},
		"not JSON":                {call{body: "hello"}, 400, "Request body is malformed and cannot be read."},
		"cut off":                 {call{body: goodBody[:20]}, 400, "Request body is malformed and cannot be read."},
		"an object":               {call{body: `{"data":{}}`}, 400, "Expected an array"},
		"too large":               {call{body: large}, 413, "too large"},
		"too large, no length":    {call{body: large, noLength: true}, 413, "too large"},
		"too large once unpacked": {call{body: gzipped(large), header: map[string]string{"Content-Encoding": "gzip"}}, 413, "too large"},
		"too large in zstd":       {call{body: zstdStream(large), header: map[string]string{"Content-Encoding": "zstd"}}, 413, "too large"},
		"too large, says zstd":    {call{body: zstded(large), header: map[string]string{"Content-Encoding": "zstd"}}, 413, "too large"},
		"not gzip":                {call{body: goodBody, header: map[string]string{"Content-Encoding": "gzip"}}, 400, "not gzip"},
		"cut gzip":                {call{body: gzipped(goodBody)[:30], header: map[string]string{"Content-Encoding": "gzip"}}, 400, "not gzip"},
		"not zstd":                {call{body: goodBody, header: map[string]string{"Content-Encoding": "zstd"}}, 400, "not zstd"},
		"empty zstd":              {call{body: "", header: map[string]string{"Content-Encoding": "zstd"}}, 400, "not zstd"},
		"cut zstd":                {call{body: zstded(goodBody)[:20], header: map[string]string{"Content-Encoding": "zstd"}}, 400, "malformed"},
		"unknown encoding":        {call{body: goodBody, header: map[string]string{"Content-Encoding": "br"}}, 415, "gzip, zstd"},
		"not msgpack":             {call{body: goodBody, header: map[string]string{"Content-Type": "application/msgpack"}}, 400, "malformed"},
		"another content type":    {call{body: goodBody, header: map[string]string{"Content-Type": "text/plain"}}, 415, "application/msgpack"},
		"bad content type":        {call{body: goodBody, header: map[string]string{"Content-Type": ";;"}}, 415, "application/json"},
		"unknown key":             {call{body: goodBody, header: map[string]string{"X-Honeycomb-Team": "other"}}, 401, "unknown API key - check your credentials"},
		"no key":                  {call{body: goodBody, header: map[string]string{"X-Honeycomb-Team": ""}}, 401, "API key"},
		"no dataset":              {call{body: goodBody, path: "/1/batch/"}, 400, "dataset's name is missing"},
		"slash in dataset":        {call{body: goodBody, path: "/1/batch/a%2Fb"}, 400, "slash"},
		"plain slash in dataset":  {call{body: goodBody, path: "/1/batch/a/b"}, 400, "slash"},
		"long dataset":            {call{body: goodBody, path: "/1/batch/" + strings.Repeat("d", 256)}, 400, "256 bytes"},
		"all datasets":            {call{body: goodBody, path: "/1/batch/__ALL__%20"}, 400, "stands for all"},
		"dataset not UTF-8":       {call{body: goodBody, path: "/1/batch/%ff"}, 400, "UTF-8"},
		"GET a batch":             {call{method: "GET"}, 405, "POST"},
		"PUT a batch":             {call{method: "PUT", body: goodBody}, 405, "POST"},
		"POST healthz":            {call{path: "/healthz"}, 405, "GET"},
		"unknown path":            {call{path: "/1/event/x", body: goodBody}, 404, "unknown path"},
		"root":                    {call{path: "/", method: "GET"}, 404, "unknown path"},
	} {
		b := newBench(t, 1, nil)
		w := c.do(Handler(b.Shepherd))
		var reply struct {
			Status int
			Error  string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &reply); err != nil || reply.Status != c.code {
			t.Errorf("%s: the body is not an API error: %v: %s", name, err, w.Body)
		}
		if w.Code != c.code || !strings.Contains(reply.Error, c.text) {
			t.Errorf("%s: %d %q, want %d about %q", name, w.Code, reply.Error, c.code, c.text)
		}
		if w.Code == 405 && w.Header().Get("Allow") == "" {
			t.Errorf("%s: no Allow header", name)
		}
		if h := b.Health(); h.InFlightBytes != 0 || h.Requests != 0 || len(b.log.attempts()) != 0 {
			t.Errorf("%s: left behind %+v", name, h)
		}
	}
}

func TestHTTPMixedBatchKeepsOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, nil)
	w := call{body: `[{"data":{}},{"data":{"a":1}},{"data":{"a":1e999}},{"data":{"a":2}}]`, header: map[string]string{"X-Ratel-Receipts": "kafka"}}.do(Handler(b.Shepherd))
	var got []wireStatus
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got) != 4 {
		t.Fatalf("%v: %s", err, w.Body)
	}
	if got[0].Status != 400 || got[0].Error != event.TextEmpty || got[1].Status != 202 || *got[1].Offset != 0 || *got[1].Partition != 0 || got[2].Status != 400 || got[3].Status != 202 {
		t.Errorf("%s", w.Body)
	}
	if h := b.Health(); h.Totals != (Totals{Accepted: 2, Malformed: 2}) {
		t.Errorf("%+v", h.Totals)
	}
}

func TestHTTPShedsBeforeItReads(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, func(c *Config) { c.MaxInFlightBytes, c.TeamShare = 200_000, 1 })
	h := Handler(b.Shepherd)
	w := call{body: "[" + strings.Repeat(" ", 400_000) + goodBody[1:]}.do(h)
	if w.Code != 429 || b.seen.count(port.EventShed) != 1 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := (call{body: zstdStream(goodBody), header: map[string]string{"Content-Encoding": "zstd"}}).do(h); w.Code != 429 {
		t.Errorf("a decoder's window was not counted: %d", w.Code)
	}
	if w := (call{body: goodBody}).do(h); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if left := b.Health().InFlightBytes; left != 0 {
		t.Errorf("%d bytes left", left)
	}
}

func TestHTTPStatusAndHealth(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, nil)
	h := Handler(b.Shepherd)
	call{body: goodBody}.do(h)
	var health Health
	if w := (call{method: "GET", path: "/status"}).do(h); json.Unmarshal(w.Body.Bytes(), &health) != nil || health.Totals.Accepted != 2 {
		t.Errorf("%s", w.Body)
	}
	if w := (call{method: "GET", path: "/healthz"}).do(h); w.Code != 200 {
		t.Errorf("%d", w.Code)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if err := b.Run(ctx); err != nil {
		t.Error(err)
	}
	if w := (call{method: "GET", path: "/healthz"}).do(h); w.Code != 503 {
		t.Errorf("draining: %d", w.Code)
	}
	if w := (call{body: goodBody}).do(h); w.Code != 200 || !strings.Contains(w.Body.String(), `"status":503`) {
		t.Errorf("draining: %d %s", w.Code, w.Body)
	}
}

func TestClientOverRealHTTP(t *testing.T) {
	t.Parallel()
	b := newBench(t, 3, nil)
	server := httptest.NewServer(Handler(b.Shepherd))
	defer server.Close()
	for _, encoding := range []string{"", "gzip", "zstd"} {
		c := NewClient(server.URL, server.Client().Transport, Compressed(encoding))
		req := batchOf(25)
		req.Dataset = "spaces and ümlauts?#%"
		a, err := c.Send(context.Background(), req)
		if err != nil || a.Code != 200 || len(a.Statuses) != 25 {
			t.Fatalf("%q: %v, %+v", encoding, err, a)
		}
		for i, s := range a.Statuses {
			chunk, err := event.DecodeChunk(b.log.stored[s.Partition][s.Offset].Value)
			if err != nil || chunk.Dataset.Name != req.Dataset {
				t.Fatalf("%v, dataset %q", err, chunk.Dataset.Name)
			}
			want := req.Events[i]
			if !slices.ContainsFunc(chunk.Events, func(e event.Event) bool { e.ID = event.ID{}; return e.Equal(&want) }) {
				t.Errorf("event %d is not where its receipt says", i)
			}
		}
	}
	c := NewClient(server.URL, server.Client().Transport)
	if a, err := c.Send(context.Background(), Request{Dataset: "d", Events: batchOf(1).Events}); err != nil || a.Code != 401 || !strings.Contains(a.Error, "API key") {
		t.Errorf("%v, %+v", err, a)
	}
	if _, err := NewClient(server.URL, server.Client().Transport, Compressed("br")).Send(context.Background(), batchOf(1)); !errors.Is(err, port.ErrRefused) {
		t.Errorf("%v", err)
	}
}

func TestClientKnowsWhatWasCertainlyNotSent(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	if _, err := NewClient("http://"+address, &http.Transport{}).Send(context.Background(), batchOf(1)); !errors.Is(err, port.ErrRefused) {
		t.Errorf("connection refused: %v", err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, _, _ := w.(http.Hijacker).Hijack()
		conn.Close()
	}))
	defer server.Close()
	if _, err := NewClient(server.URL, server.Client().Transport).Send(context.Background(), batchOf(1)); err == nil || errors.Is(err, port.ErrRefused) {
		t.Errorf("connection closed without an answer: %v must be unknown", err)
	}
}

type replies func(*http.Request) (*http.Response, error)

func (f replies) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestClientReadsOddAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code int
		body string
		want string // of the answer's error, or of the error
		fail bool
	}{
		{200, "hello", "cannot be read", true},
		{200, `[{"status":202}]`, "1 statuses for 2 events", true},
		{503, `{"error":"later"}`, "later", false},
		{502, "<html>", "Bad Gateway", false},
		{202, "", "Accepted", false},
	} {
		client := NewClient("http://x", replies(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: c.code, Body: io.NopCloser(strings.NewReader(c.body))}, nil
		}))
		a, err := client.Send(context.Background(), batchOf(2))
		if c.fail != (err != nil) || errors.Is(err, port.ErrRefused) || !strings.Contains(fmt.Sprint(a.Error, err), c.want) {
			t.Errorf("%d %q: %+v, %v", c.code, c.body, a, err)
		}
	}
}

// FuzzBatch: whatever is sent, the handler answers with one status an event or with an error, stores what it accepts and
// nothing else, and holds nothing afterwards.
func FuzzBatch(f *testing.F) {
	f.Add("data", "application/json", "", []byte(goodBody))
	f.Add("a%2Fb", "application/json", "gzip", []byte(gzipped(goodBody)))
	f.Add("x", "", "zstd", []byte(zstded(goodBody)))
	f.Add("x", "", "", []byte(`[{"data":{"a":NaN}},{"data":{"a":1e999}},7,{"data":{"a":{"b":[1]}},"time":-1,"samplerate":0}]`))
	f.Add("x", "", "", []byte("[{\"data\":{\"a\":\"\xff\"}},{\"data\":{\"a\":true}}]"))
	f.Add("x", "application/msgpack", "", []byte("\x92\x81\xa4data\x81\xa1a\x01\x81\xa4data\x80"))
	b := newBench(f, 2, func(c *Config) { c.MaxInFlightBytes, c.MaxInFlightEvents = 4<<20, 1000 })
	h := Handler(b.Shepherd)
	f.Fuzz(func(t *testing.T, dataset, contentType, encoding string, body []byte) {
		r, err := http.NewRequest(http.MethodPost, "http://x/1/batch/"+dataset, bytes.NewReader(body))
		if err != nil {
			return
		}
		r.Header["X-Honeycomb-Team"] = []string{"key"}
		r.Header["Content-Type"] = []string{contentType}
		r.Header["Content-Encoding"] = []string{encoding}
		r.Header["Accept"] = []string{typeJSON}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if left := b.Health(); left.InFlightBytes != 0 || left.InFlightEvents != 0 || left.Requests != 0 || left.PeakBytes > left.MaxInFlightBytes {
			t.Fatalf("left in flight: %+v", left)
		}
		stored := len(b.log.storedEvents(t))
		for i := range b.log.stored {
			b.log.stored[i] = nil
		}
		if w.Code != http.StatusOK {
			var e struct {
				Status int
				Error  string
			}
			if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Status != w.Code || e.Error == "" || stored != 0 {
				t.Fatalf("%d with %d stored and body %q: %v", w.Code, stored, w.Body, err)
			}
			return
		}
		var got []wireStatus
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatalf("%v: %q", err, w.Body)
		}
		accepted := 0
		for _, s := range got {
			switch s.Status {
			case Accepted:
				accepted++
			case Malformed, Throttled:
				if s.Error == "" {
					t.Fatalf("refused without a reason: %q", w.Body)
				}
			default:
				t.Fatalf("status %d: %q", s.Status, w.Body)
			}
		}
		if accepted != stored {
			t.Fatalf("%d events accepted, %d stored", accepted, stored)
		}
		var elements []json.RawMessage
		if encoding == "" && json.Unmarshal(body, &elements) == nil && len(elements) != len(got) {
			t.Fatalf("%d statuses for %d events", len(got), len(elements))
		}
	})
}

func BenchmarkHTTPBatch(b *testing.B) {
	s := newBench(b, 6, nil)
	h := Handler(s.Shepherd)
	body := event.AppendBatchJSON(nil, batchOf(10).Events)
	b.ReportAllocs()
	for b.Loop() {
		r, _ := http.NewRequest(http.MethodPost, "http://x/1/batch/data", bytes.NewReader(body))
		r.Header["X-Honeycomb-Team"] = []string{"key"}
		h.ServeHTTP(httptest.NewRecorder(), r)
		for i := range s.log.stored {
			s.log.stored[i] = s.log.stored[i][:0]
		}
		s.log.produced = s.log.produced[:0]
	}
}
