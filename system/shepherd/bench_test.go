package shepherd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
)

// nullLog accepts everything and keeps nothing.
type nullLog struct {
	r    rt.Runtime
	next int64
}

func (l *nullLog) NewProducer(port.ProducerConfig) (port.Producer, error) { return l, nil }
func (l *nullLog) NewReader(port.ReaderConfig, string, int32, int64) (port.Reader, error) {
	return nil, port.ErrRefused
}
func (l *nullLog) Admin() port.LogAdmin        { return nil }
func (l *nullLog) Close(context.Context) error { return nil }
func (l *nullLog) Produce(string, int32, port.Record) *rt.Future[int64] {
	l.next++
	return rt.Resolved(l.r, l.next, nil)
}

// wideBatch is events as an instrumented service sends them: 30 columns, most of them the same from event to event.
func wideBatch(events int) []event.Event {
	start := time.Now().Add(-time.Minute).UTC()
	batch := make([]event.Event, events)
	for i := range batch {
		e := &batch[i]
		e.Time, e.SampleRate = start.Add(time.Duration(i)*time.Millisecond), 1
		add := func(name string, v event.Value) { e.Fields = append(e.Fields, event.Field{Name: name, Value: v}) }
		add("trace.trace_id", event.StringValue(fmt.Sprintf("%032x", i*7919)))
		add("trace.span_id", event.StringValue(fmt.Sprintf("%016x", i*104729)))
		add("service.name", event.StringValue("checkout"))
		add("name", event.StringValue([]string{"GET /cart", "POST /order", "GET /item/:id"}[i%3]))
		add("duration_ms", event.FloatValue(float64(i)*1.37+0.5))
		add("status_code", event.IntValue(int64(200+i%4*100)))
		add("error", event.BoolValue(i%4 == 3))
		for j := range 12 {
			add(fmt.Sprintf("app.attribute_%d", j), event.StringValue(fmt.Sprintf("value %d of %d", i%5, j)))
		}
		for j := range 8 {
			add(fmt.Sprintf("app.count_%d", j), event.IntValue(int64(i*j)))
		}
		for j := range 3 {
			add(fmt.Sprintf("app.ratio_%d", j), event.FloatValue(float64(i+j)/7))
		}
	}
	return batch
}

// BenchmarkAccepted is a shepherd's whole work on batches of 50 events of 30 columns, on one core, with a log that accepts
// at once: events/s/core, and how the time divides into decoding the body, encoding and producing the chunks, and all else
// (HTTP, catalog, limits, columns, choice of partitions, answers), which is called route.
func BenchmarkAccepted(b *testing.B) {
	const events = 50
	batch := wideBatch(events)
	if n := len(batch[0].Fields); n != 30 {
		b.Fatalf("%d columns", n)
	}
	body := event.AppendBatchJSON(nil, batch)
	for _, c := range []struct {
		encoding string
		body     []byte
	}{{"", body}, {"gzip", []byte(gzipped(string(body)))}, {"zstd", []byte(zstded(string(body)))}} {
		name := c.encoding
		if name == "" {
			name = "plain"
		}
		b.Run(name, func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // garbage collection is a part of the work
			r := rt.NewWall(1)
			defer func() { r.Kill(); r.Wait() }()
			log := &nullLog{r: r}
			s, err := New(r, port.Ports{Log: log, Catalog: newMemCatalog()}, DefaultConfig(), 6, "shepherd1", planted.Set{})
			if err != nil {
				b.Fatal(err)
			}
			h := Handler(s).(*handler)
			request := func() *http.Request {
				r, _ := http.NewRequest(http.MethodPost, "http://x/1/batch/data", bytes.NewReader(c.body))
				r.Header["X-Honeycomb-Team"] = []string{"key"}
				r.Header["Content-Type"] = []string{typeJSON}
				if c.encoding != "" {
					r.Header["Content-Encoding"] = []string{c.encoding}
				}
				return r
			}
			w := &answerWriter{header: http.Header{}}
			t := s.enter(port.Team{ID: 1})
			var whole, decoding, producing []float64 // seconds a batch
			b.ReportAllocs()
			for b.Loop() {
				req := request()
				began := time.Now()
				h.ServeHTTP(w, req)
				whole = append(whole, time.Since(began).Seconds())
				if w.bytes == 0 {
					b.Fatal("no answer")
				}

				req = request()
				in := h.newIntake(t)
				began = time.Now()
				items, err := decode(in, bodyOf(req), event.DecodeBatch)
				decoding = append(decoding, time.Since(began).Seconds())
				in.end()
				if err != nil || len(items) != events {
					b.Fatal(err)
				}

				began = time.Now()
				for first := 0; first < events; first += s.cfg.ChunkEvents {
					c := consignment{owner: t, value: s.encode(event.Dataset{ID: 1, Name: "data"}, batch[first:first+s.cfg.ChunkEvents], event.ID{Source: 1, Seq: uint64(first)})}
					c.future = log.Produce(Topic, 0, port.Record{Value: c.value})
					if _, err := c.future.Wait(context.Background()); err != nil {
						b.Fatal(err)
					}
				}
				producing = append(producing, time.Since(began).Seconds())
			}
			if h := s.Health(); h.Totals.Accepted != int64(events*b.N) || h.InFlightBytes != 0 {
				b.Fatalf("%d of %d events accepted: %+v", h.Totals.Accepted, events*b.N, h)
			}
			all, decode, produce := median(whole), median(decoding), median(producing)
			b.ReportMetric(events/all, "events/s/core")
			b.ReportMetric(all*1e6, "µs/batch")
			b.ReportMetric(decode/all, "decode")
			b.ReportMetric(produce/all, "produce")
			b.ReportMetric(1-(decode+produce)/all, "route")
			b.ReportMetric(0, "ns/op") // it covers the parts measured apart, too
		})
	}
}

// median is what half of the batches need at most: other work on the machine does not count.
func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}

type answerWriter struct {
	code   int
	header http.Header
	bytes  int
}

func (w *answerWriter) Header() http.Header  { return w.header }
func (w *answerWriter) WriteHeader(code int) { w.code = code }
func (w *answerWriter) Write(p []byte) (int, error) {
	n, err := io.Discard.Write(p)
	w.bytes += n
	return n, err
}
