package plan

// Unit is what a metric is measured in, and so how its value is written in an expectation.
type Unit string

// Units.
const (
	UnitDuration Unit = "duration" // "150ms"; stored in seconds
	UnitRatio    Unit = "ratio"    // "1%" or "0.01"; stored as 0.01
	UnitCount    Unit = "count"    // "0"
	UnitRate     Unit = "rate"     // "900/s" or "900"
)

// Metric is something that an expectation can be about.
type Metric struct {
	Name    string
	Unit    Unit
	Sampled bool // measured once a second of the run's clock; else computed from what the clients saw
	Doc     string
}

// Metrics lists all metrics. Those that are sampled have the names of package evidence.
func Metrics() []Metric {
	return []Metric{
		{"ack.p50", UnitDuration, false, "median time from an event's intended sending to its answer"},
		{"ack.p90", UnitDuration, false, "90th percentile of the same"},
		{"ack.p95", UnitDuration, false, "95th percentile of the same"},
		{"ack.p99", UnitDuration, false, "99th percentile of the same"},
		{"ack.p999", UnitDuration, false, "99.9th percentile of the same"},
		{"ack.max", UnitDuration, false, "longest of the same"},
		{"ack.errors", UnitCount, false, "events that were not answered as accepted"},
		{"ack.error_rate", UnitRatio, false, "the same as a part of the events that were sent"},
		{"ack.rate", UnitRate, false, "events answered as accepted, per second"},
		{"query.p50", UnitDuration, false, "median time from a query's intended sending to its answer"},
		{"query.p99", UnitDuration, false, "99th percentile of the same"},
		{"query.max", UnitDuration, false, "longest of the same"},
		{"query.errors", UnitCount, false, "queries without a result: failed, or not answered in time"},
		{"query.error_rate", UnitRatio, false, "the same as a part of the queries"},
		{"query.partial_rate", UnitRatio, false, "the part of the answers that say what they lack"},
		{"query.freshness", UnitDuration, false, "age of the oldest accepted event that an answer which counts everything did not count"},
		{"kafka.under_replicated", UnitCount, true, "partitions whose ISR is smaller than their replicas"},
		{"kafka.offline", UnitCount, true, "partitions without a leader"},
		{"kafka.below_min_isr", UnitCount, true, "partitions whose ISR is below min.insync.replicas"},
		{"kafka.brokers", UnitCount, true, "live brokers"},
		{"kafka.busiest_share", UnitRatio, true, "largest share of the records of the last five seconds that one partition took; with p partitions 1/p is even"},
		{"retriever.lag", UnitCount, true, "records between the high watermarks and what the retrievers have durably, summed"},
		{"retriever.local_bytes", UnitCount, true, "largest local disk use of any retriever, in bytes"},
		{"retriever.memory_share", UnitRatio, true, "largest share of its memory bound that any retriever uses"},
		{"beagle.lag", UnitCount, true, "records between the high watermarks and the progress of counting, summed"},
		{"beagle.idle", UnitCount, true, "workers that count no partition, by who marked each one's progress last"},
		{"beagle.busiest_share", UnitRatio, true, "largest share of the counted partitions that one worker has"},
		{"shepherd.inflight_share", UnitRatio, true, "largest share of its in-flight bounds that any shepherd has ever used"},
		{"observer.taken", UnitCount, true, "events that the observer of the pipeline has taken since the start"},
		{"observer.refused", UnitCount, true, "events that it has refused since the start, because its queue was full"},
		{"load.in_flight", UnitCount, true, "requests without an answer yet"},
	}
}

// MetricByName finds a metric.
func MetricByName(name string) (Metric, bool) {
	for _, m := range Metrics() {
		if m.Name == name {
			return m, true
		}
	}
	return Metric{}, false
}

// example is a value of the unit as an expectation would have it.
func (u Unit) example() string {
	switch u {
	case UnitDuration:
		return " < 150ms"
	case UnitRatio:
		return " < 1%"
	case UnitRate:
		return " > 900/s"
	}
	return " == 0"
}
