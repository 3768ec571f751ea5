package process

import (
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ratel-sim/ratel/system/event"
	"github.com/ratel-sim/ratel/system/telemetry"
)

// pathMetrics is where every role exposes its metrics to Prometheus.
const pathMetrics = "/metrics"

// metric is a field of a tick as a metric.
type metric struct {
	name  string // Prometheus's
	help  string
	kind  telemetry.Type
	scale float64
}

// metricOf is a field's metric: "kafka.max_ms" is ratel_kafka_max_seconds, and a counter's name ends in _total. ok is false
// for what is no number.
func metricOf(kind string, m telemetry.Meaning) (_ metric, ok bool) {
	if m.Type != telemetry.Counter && m.Type != telemetry.Gauge && m.Type != telemetry.State {
		return metric{}, false
	}
	name := "ratel_" + strings.ReplaceAll(m.Name, ".", "_")
	if kind == telemetry.KindLoop {
		name = "ratel_loop_" + strings.ReplaceAll(m.Name, ".", "_")
	}
	out := metric{kind: m.Type, scale: 1}
	out.help = strings.ReplaceAll(m.Doc, "`", "")
	if m.Unit != "" && m.Unit != "ms" {
		out.help = m.Unit + ": " + out.help
	}
	if base, is := strings.CutSuffix(name, "_ms"); is {
		name, out.scale = base+"_seconds", 1e-3
	}
	if m.Type == telemetry.Counter {
		name += "_total"
	}
	out.name = name
	return out, true
}

// metricsOf are the metrics of a role, by kind of event and field.
func metricsOf(role, kind string) map[string]metric {
	all := map[string]metric{}
	for _, k := range telemetry.Catalogue() {
		if k.Name != kind {
			continue
		}
		for _, m := range k.Fields {
			if m.Role != "" && m.Role != role {
				continue
			}
			if out, ok := metricOf(kind, m); ok {
				all[m.Name] = out
			}
		}
	}
	return all
}

// number is a field's value as a metric's.
func number(f *telemetry.Field) float64 {
	if f.Value.Kind() == event.Bool {
		if f.Value.Bool() {
			return 1
		}
		return 0
	}
	return f.Value.Float()
}

// exposition gives Prometheus the last tick. It implements prometheus.Collector.
type exposition struct {
	recorder   *telemetry.Recorder
	tick, loop map[string]metric
}

// Describe implements prometheus.Collector: which metrics there are is known once there is a tick.
func (c *exposition) Describe(chan<- *prometheus.Desc) {} // channel: an interface of a library

// Collect implements prometheus.Collector.
func (c *exposition) Collect(to chan<- prometheus.Metric) { // channel: an interface of a library
	latest := c.recorder.Latest()
	c.emit(to, c.tick, latest.Tick)
	for _, loop := range latest.Loops {
		c.emit(to, c.loop, loop)
	}
}

func (c *exposition) emit(to chan<- prometheus.Metric, all map[string]metric, fields []telemetry.Field) { // channel: an interface of a library
	labels, values := labelsOf(c.recorder.Identity(), fields)
	for i := range fields {
		m, ok := all[fields[i].Name]
		if !ok {
			continue
		}
		kind := prometheus.GaugeValue
		if m.kind == telemetry.Counter {
			kind = prometheus.CounterValue
		}
		to <- prometheus.MustNewConstMetric(prometheus.NewDesc(m.name, m.help, labels, nil), kind, number(&fields[i])*m.scale, values...) // channel: as the fields
	}
}

// labelsOf says whom and what fields are about.
func labelsOf(who telemetry.Identity, fields []telemetry.Field) (names, values []string) {
	names, values = []string{"node", "role", "zone"}, []string{who.Node, who.Role, who.Zone}
	for i := range fields {
		if name := fields[i].Name; name == "partition" || name == "replica" {
			names, values = append(names, name), append(values, fields[i].Value.String())
		}
	}
	return names, values
}

// registry has a role's metrics and those of its process.
func registry(recorder *telemetry.Recorder) *prometheus.Registry {
	role := recorder.Identity().Role
	r := prometheus.NewRegistry()
	r.MustRegister(
		&exposition{recorder: recorder, tick: metricsOf(role, telemetry.KindTick), loop: metricsOf(role, telemetry.KindLoop)},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return r
}

// withMetrics serves GET /metrics beside what next serves.
func withMetrics(recorder *telemetry.Recorder, next http.Handler) http.Handler {
	metrics := promhttp.HandlerFor(registry(recorder), promhttp.HandlerOpts{MaxRequestsInFlight: 4})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == pathMetrics {
			metrics.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
