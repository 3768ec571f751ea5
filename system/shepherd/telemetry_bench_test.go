package shepherd

import (
	"bytes"
	"context"
	"net/http"
	"runtime"
	"testing"

	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/telemetry"
	"github.com/ratel-sim/ratel/system/telemetry/watch"
)

// attentive is an observer that takes everything at once; stuck is one that never answers.
type (
	attentive struct{}
	stuck     struct{}
)

func (attentive) Observe(context.Context, string, []byte) error { return nil }

func (stuck) Observe(ctx context.Context, _ string, _ []byte) error {
	<-ctx.Done()
	return ctx.Err()
}

// BenchmarkTelemetry is what a shepherd that describes itself costs, against one that does not: the same work as
// BenchmarkIngest's msgpack.
func BenchmarkTelemetry(b *testing.B) {
	const events = 50
	body := packedBatch(b, wideBatch(events))
	every := telemetry.DefaultConfig()
	every.BatchSample, every.ProduceSample = 1, 1
	for _, c := range []struct {
		name string
		cfg  telemetry.Config
		to   telemetry.Observer
	}{
		{"off", telemetry.Config{}, nil}, {"on", telemetry.DefaultConfig(), attentive{}}, {"all", every, attentive{}}, {"stuck", every, stuck{}},
	} {
		b.Run(c.name, func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			r := rt.NewWall(1)
			defer func() { r.Kill(); r.Wait() }()
			ports := port.Ports{Log: &nullLog{r: r}, Catalog: newMemCatalog()}
			ports.Telemetry = telemetry.New(r, c.to, c.cfg, telemetry.Identity{Node: "shepherd1", Role: "shepherd", Zone: "a"})
			s, err := New(r, watch.Ports(r, ports), DefaultConfig(), 6, "shepherd1", planted.Set{})
			if err != nil {
				b.Fatal(err)
			}
			ports.Telemetry.Start()
			h, w := Handler(s), &answerWriter{header: http.Header{}}
			b.ReportAllocs()
			before := cpuSeconds()
			for b.Loop() {
				r, _ := http.NewRequest(http.MethodPost, "http://x/1/batch/data", bytes.NewReader(body))
				r.Header["X-Honeycomb-Team"], r.Header["Content-Type"] = []string{"key"}, []string{typeMsgpack}
				h.ServeHTTP(w, r)
			}
			b.ReportMetric(float64(events*b.N)/(cpuSeconds()-before), "events/cpu-s")
		})
	}
}
