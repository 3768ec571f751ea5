package process

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/telemetry"
)

// OTLP is where a role's metrics are exported to over OTLP/HTTP.
type OTLP struct {
	// Endpoint is the receiver's base URL, such as "http://collector:4318"; /v1/metrics is added.
	Endpoint string            `json:"endpoint"`
	Headers  map[string]string `json:"headers,omitempty"`
	// Seconds between two exports; 0: 10.
	Seconds int `json:"seconds,omitempty"`
}

// Check says what is wrong with o. Without an endpoint, nothing is exported.
func (o OTLP) Check() error {
	if o.Endpoint == "" {
		return nil
	}
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("otlp: endpoint is %q, expected such as \"http://host:4318\"", o.Endpoint)
	}
	if o.Seconds < 0 || o.Seconds > 3600 {
		return fmt.Errorf("otlp: seconds is %d, expected 1 to 3600, or 0 for 10", o.Seconds)
	}
	return nil
}

// export begins to export a role's last ticks, until stop is called.
func export(ctx context.Context, r rt.Runtime, o OTLP, recorder *telemetry.Recorder) (stop func(context.Context) error, err error) {
	target, err := url.JoinPath(o.Endpoint, "v1/metrics")
	if err != nil {
		return nil, fmt.Errorf("otlp: %w", err)
	}
	exporter, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(target), otlpmetrichttp.WithHeaders(o.Headers))
	if err != nil {
		return nil, fmt.Errorf("otlp: %w", err)
	}
	every := time.Duration(o.Seconds) * time.Second
	if every == 0 {
		every = 10 * time.Second
	}
	who := recorder.Identity()
	provider := sdk.NewMeterProvider(
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "ratel-"+who.Role), attribute.String("service.instance.id", who.Node))),
		sdk.WithReader(sdk.NewPeriodicReader(exporter, sdk.WithInterval(every), sdk.WithProducer(&ticks{r: r, began: r.Now(), of: recorder}))),
	)
	return provider.Shutdown, nil
}

// ticks gives the SDK the last tick as metrics, named as the fields are. It implements sdk.Producer.
type ticks struct {
	r     rt.Runtime
	began time.Time
	of    *telemetry.Recorder
}

// Produce implements sdk.Producer.
func (t *ticks) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	latest := t.of.Latest()
	role, now := t.of.Identity().Role, t.r.Now()
	out := metricdata.ScopeMetrics{Scope: instrumentation.Scope{Name: "github.com/ratel-sim/ratel"}}
	t.add(&out, "ratel.", telemetry.KindTick, role, now, latest.Tick)
	for _, loop := range latest.Loops {
		t.add(&out, "ratel.loop.", telemetry.KindLoop, role, now, loop)
	}
	return []metricdata.ScopeMetrics{out}, nil
}

func (t *ticks) add(out *metricdata.ScopeMetrics, prefix, kind, role string, now time.Time, fields []telemetry.Field) {
	names, values := labelsOf(t.of.Identity(), fields)
	attrs := make([]attribute.KeyValue, len(names))
	for i := range names {
		attrs[i] = attribute.String(names[i], values[i])
	}
	set := attribute.NewSet(attrs...)
	all := metricsOf(role, kind)
	for i := range fields {
		m, ok := all[fields[i].Name]
		if !ok {
			continue
		}
		one := metricdata.Metrics{Name: prefix + fields[i].Name, Description: m.help}
		if m.scale != 1 {
			one.Unit = "ms"
		}
		point := []metricdata.DataPoint[float64]{{Attributes: set, StartTime: t.began, Time: now, Value: number(&fields[i])}}
		if m.kind == telemetry.Counter {
			one.Data = metricdata.Sum[float64]{DataPoints: point, Temporality: metricdata.CumulativeTemporality, IsMonotonic: true}
		} else {
			one.Data = metricdata.Gauge[float64]{DataPoints: point}
		}
		out.Metrics = append(out.Metrics, one)
	}
}
