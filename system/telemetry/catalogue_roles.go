package telemetry

import "slices"

func ofQuery() []Meaning {
	return of("query", []Meaning{
		{Name: "queries", Type: Counter, Unit: "queries", Doc: "that were answered"},
		{Name: "queries.partial", Type: Counter, Unit: "queries", Doc: "of which the answer was not complete"},
		{Name: "queries.failed", Type: Counter, Unit: "queries", Doc: "answered without a result"},
		{Name: "queries.open", Type: Gauge, Unit: "queries", Doc: "stored ones that are being answered"},
		{Name: "query.p99_ms", Type: Gauge, Unit: "ms", Doc: "99th percentile of how long queries took that ended since the tick before; 0 if none did"},
		{Name: "query.max_ms", Type: Gauge, Unit: "ms", Doc: "the longest of them"},
		{Name: "query.time_ms", Type: Counter, Unit: "ms", Doc: "how long all queries took together"},
		{Name: "workers.busy", Type: Gauge, Unit: "workers", Doc: "that read S3"},
		{Name: "workers.cold", Type: Counter, Unit: "workers", Doc: "that had to be started"},
		{Name: "rows.scanned", Type: Counter, Unit: "events", Doc: "by queries"},
		{Name: "segments.read", Type: Counter, Unit: "segments", Doc: "by queries, from S3"},
		{Name: "segments.skipped", Type: Counter, Unit: "segments", Doc: "since their statistics say that they have nothing to find"},
		{Name: "reads.hedged", Type: Counter, Unit: "requests", Doc: "sent to a second retriever"},
		{Name: "reads.reissued", Type: Counter, Unit: "requests", Doc: "sent to S3 a second time"},
	})
}

func ofBeagle() []Meaning {
	return of("beagle", []Meaning{
		{Name: "group.member", Type: State, Doc: "it is in a generation of the group"},
		{Name: "group.generation", Type: Gauge, Doc: "of the group, as it knows it; -1 before it has joined"},
		{Name: "group.assignments", Type: Counter, Unit: "times", Doc: "that it was given partitions: once for each rebalance"},
		{Name: "partitions.owned", Type: Gauge, Unit: "partitions", Doc: "that it counts"},
		{Name: "lag.records", Type: Gauge, Unit: "records", Doc: "that it has not read of these, together"},
		{Name: "records.read", Type: Counter, Unit: "records", Doc: "that were decoded"},
		{Name: "events.read", Type: Counter, Unit: "events", Doc: "distinct ones"},
		{Name: "events.counted", Type: Counter, Unit: "events", Doc: "relevant for one SLO at least, each once, whatever its sample rate"},
		{Name: "events.duplicate", Type: Counter, Unit: "events", Doc: "that had been read before"},
		{Name: "events.unknown_dataset", Type: Counter, Unit: "events", Doc: "of datasets that are not in the catalog"},
		{Name: "records.skipped", Type: Counter, Unit: "records", Doc: "that could not be decoded"},
		{Name: "records.missed", Type: Counter, Unit: "records", Doc: "offsets that were gone before they were read"},
		{Name: "commits", Type: Counter, Unit: "commits", Doc: "of counts and progress, marks of progress included"},
		{Name: "commits.overtaken", Type: Counter, Unit: "commits", Doc: "that somebody else had made already"},
		{Name: "slo.good", Type: Counter, Unit: "events", Doc: "committed as good, by sample rate, once for each SLO"},
		{Name: "slo.total", Type: Counter, Unit: "events", Doc: "committed as relevant, by sample rate, once for each SLO"},
		{Name: "catalog.lookups", Type: Counter, Unit: "requests", Doc: "for datasets and their SLOs"},
		{Name: "catalog.away", Type: State, Doc: "the metadata store did not answer when last asked"},
	})
}

func ofTrigger() []Meaning {
	return of("trigger", []Meaning{
		{Name: "leading", Type: State, Doc: "it leads, for all it knows"},
		{Name: "epoch", Type: Gauge, Doc: "its fencing epoch while it leads; else 0"},
		{Name: "terms", Type: Counter, Unit: "times", Doc: "that it has begun to lead"},
		{Name: "alerts", Type: Gauge, Unit: "alerts", Doc: "triggers and burn alerts that it evaluates while it leads"},
		{Name: "alerts.invalid", Type: Gauge, Unit: "alerts", Doc: "that cannot be evaluated, because their definitions cannot be read"},
		{Name: "windows.behind", Type: Gauge, Unit: "windows", Doc: "due and not recorded"},
		{Name: "evaluations", Type: Counter, Unit: "windows", Doc: "recorded by it"},
		{Name: "evaluations.stale", Type: Counter, Unit: "windows", Doc: "of these, without a decision: the data were not fresh enough in time"},
		{Name: "evaluations.overtaken", Type: Counter, Unit: "windows", Doc: "that another worker had recorded already"},
		{Name: "alerts.fired", Type: Counter, Unit: "alerts", Doc: "that it has decided to send"},
		{Name: "alerts.resolved", Type: Counter, Unit: "alerts", Doc: "notices that one is over, likewise"},
		{Name: "deliveries", Type: Counter, Unit: "alerts", Doc: "that all recipients have taken"},
		{Name: "deliveries.open", Type: Gauge, Unit: "alerts", Doc: "on their way"},
		{Name: "troubles", Type: Counter, Unit: "operations", Doc: "that failed and were tried again"},
	})
}

// ofDependencies lists the fields about each dependency of each role.
func ofDependencies() []Meaning {
	var list []Meaning
	for _, role := range Roles() {
		for _, name := range Dependencies(role) {
			for _, m := range OfDependency() {
				m.Name, m.Role = name+"."+m.Name, role
				list = append(list, m)
			}
		}
	}
	return list
}

// Roles lists who speaks.
func Roles() []string { return []string{"shepherd", "retriever", "query", "beagle", "trigger"} }

func ofLoop() []Meaning {
	return of("beagle", []Meaning{
		{Name: "partition", Type: Label, Doc: "that it counts"},
		{Name: "offset.next", Type: Gauge, Unit: "records", Doc: "the Kafka offset that it will read next"},
		{Name: "offset.committed", Type: Gauge, Unit: "records", Doc: "every record below is counted, and that is committed"},
		{Name: "log.end", Type: Gauge, Unit: "records", Doc: "the partition's high watermark at the last fetch; -1 before the first"},
		{Name: "lag.records", Type: Gauge, Unit: "records", Doc: "from `offset.next` to `log.end`"},
		{Name: "progress.age_ms", Type: Gauge, Unit: "ms", Optional: true, Doc: "since progress was last committed or marked by this worker; absent until it was"},
	})
}

// ofHappenings lists the kinds of events that tell of something that has happened.
func ofHappenings() []Kind {
	where := []Meaning{
		{Name: "partition", Type: Label, Doc: "of the events topic"},
		{Name: "offset", Type: Value, Unit: "records", Doc: "of the record in it; -1 if it is not known to have one"},
		{Name: "events", Type: Value, Unit: "events", Doc: "in the chunk"},
	}
	span := []Meaning{
		{Name: "trace.trace_id", Type: Label, Doc: "of the chunk's way: a function of its first event's ID"},
		{Name: "trace.span_id", Type: Label, Doc: "of this step"},
		{Name: "trace.parent_id", Type: Label, Doc: "of the step before; empty if it is in no event of the trace"},
	}
	duration := Meaning{Name: "duration_ms", Type: Value, Unit: "ms", Doc: "how long it took"}
	failed := Meaning{Name: "error", Type: Label, Optional: true, Doc: "why it failed; absent if it did not"}
	return []Kind{
		{Name: KindBatch, Doc: "A request of ingest: one in `batch_sample` of those of which everything was accepted, and each other.", Fields: of("shepherd", []Meaning{
			{Name: "team", Type: Label, Doc: "whose key was given"},
			{Name: "dataset", Type: Label, Doc: "that the events are for; the first, if there are several"},
			{Name: "events", Type: Value, Unit: "events", Doc: "in the request"},
			{Name: "events.accepted", Type: Value, Unit: "events", Doc: "of these, answered 202"},
			{Name: "events.refused", Type: Value, Unit: "events", Doc: "answered 503"},
			{Name: "events.unknown", Type: Value, Unit: "events", Doc: "answered 504"},
			{Name: "events.throttled", Type: Value, Unit: "events", Doc: "answered 429"},
			{Name: "events.malformed", Type: Value, Unit: "events", Doc: "answered 400"},
			{Name: "chunks", Type: Value, Unit: "records", Doc: "that they were put into"},
			{Name: "bytes", Type: Value, Unit: "bytes", Doc: "of these, encoded"},
			duration,
			{Name: "trace.trace_id", Type: Label, Optional: true, Doc: "that of the first chunk; absent if there is none"},
			{Name: "trace.span_id", Type: Label, Optional: true, Doc: "the parent of that chunk's produce"},
		})},
		{Name: KindProduce, Doc: "A chunk that was sent to Kafka: one in `produce_sample` of those that were acknowledged, and each other.", Fields: of("shepherd", slices.Concat(where, []Meaning{
			{Name: "bytes", Type: Value, Unit: "bytes", Doc: "of the chunk"},
			duration,
			{Name: "outcome", Type: Label, Doc: "`accepted`, `refused`, `unknown` or `malformed` (too large)"},
			{Name: "refusals", Type: Value, Unit: "partitions", Doc: "that refused it before"},
		}, span))},
		{Name: KindIndex, Doc: "A chunk that a retriever has read: the same ones as of produce, by both of a pair.", Fields: of("retriever", slices.Concat(where, []Meaning{
			{Name: "dataset", Type: Label, Doc: "that the chunk is of"},
			{Name: "bytes", Type: Value, Unit: "bytes", Doc: "of the record"},
			{Name: "delay_ms", Type: Value, Unit: "ms", Doc: "since the record's CreateTime, which is the shepherd's clock"},
		}, span))},
		{Name: KindSeal, Doc: "Rows that became segments on local disk.", Fields: of("retriever", []Meaning{
			{Name: "partition", Type: Label, Doc: "of the events topic"},
			{Name: "offset.first", Type: Value, Unit: "records", Doc: "where the seal begins"},
			{Name: "offset.next", Type: Value, Unit: "records", Doc: "where it ends"},
			{Name: "events", Type: Value, Unit: "events", Doc: "in it"},
			{Name: "segments", Type: Value, Unit: "segments", Doc: "that were made"},
			{Name: "bytes", Type: Value, Unit: "bytes", Doc: "of these"},
			duration,
		})},
		{Name: KindSnapshot, Doc: "A manifest that was written: what it names is in S3.", Fields: of("retriever", []Meaning{
			{Name: "partition", Type: Label, Doc: "of the events topic"},
			{Name: "generation", Type: Value, Doc: "of the manifest"},
			{Name: "offset.next", Type: Value, Unit: "records", Doc: "every record below is in S3"},
			{Name: "seals", Type: Value, Unit: "seals", Doc: "that it names"},
			{Name: "duration_ms", Type: Value, Unit: "ms", Doc: "how long the writing of the manifest took"},
		})},
		{Name: KindCount, Doc: "A chunk that a beagle worker has read: the same ones as of produce. One that is read again after a rebalance is told again.", Fields: of("beagle", slices.Concat(where, []Meaning{
			{Name: "dataset", Type: Label, Doc: "that the chunk is of"},
			{Name: "delay_ms", Type: Value, Unit: "ms", Doc: "since the record's CreateTime, which is the shepherd's clock"},
		}, span))},
		{Name: KindQuery, Doc: "A query that was answered.", Fields: of("query", []Meaning{
			{Name: "dataset", Type: Label, Doc: "that was asked; empty if it was asked by its ID, as trigger workers do"},
			{Name: "code", Type: Value, Doc: "of the answer, as of HTTP"},
			{Name: "complete", Type: State, Doc: "nothing is missing in the answer"},
			{Name: "missing", Type: Value, Unit: "parts", Doc: "that could not be had"},
			duration,
			{Name: "rows.scanned", Type: Value, Unit: "events", Doc: "by it"},
			{Name: "segments.read", Type: Value, Unit: "segments", Doc: "from S3"},
			{Name: "segments.skipped", Type: Value, Unit: "segments", Doc: "that could have nothing to find"},
			{Name: "reads.hedged", Type: Value, Unit: "requests", Doc: "sent to a second retriever"},
			{Name: "reads.reissued", Type: Value, Unit: "requests", Doc: "sent to S3 a second time"},
			failed,
		})},
		{Name: KindEvaluation, Doc: "An evaluation of an alert that this worker has recorded.", Fields: of("trigger", []Meaning{
			{Name: "alert", Type: Label, Doc: "its definition's ID"},
			{Name: "alert.name", Type: Label, Doc: "its name"},
			{Name: "window", Type: Label, Doc: "the window's end"},
			{Name: "epoch", Type: Value, Doc: "under which it was recorded"},
			{Name: "stale", Type: State, Doc: "the data were not fresh enough in time, so nothing was decided"},
			{Name: "triggered", Type: State, Doc: "the condition holds"},
			{Name: "fires", Type: State, Doc: "an alert is sent"},
			{Name: "resolves", Type: State, Doc: "a notice that it is over is sent"},
			{Name: "value", Type: Value, Doc: "that was compared"},
			{Name: "threshold", Type: Value, Doc: "with which"},
			{Name: "delay_ms", Type: Value, Unit: "ms", Doc: "since the window's end"},
			failed,
		})},
		{Name: KindDelivery, Doc: "An attempt to deliver an alert to one recipient.", Fields: of("trigger", []Meaning{
			{Name: "alert", Type: Label, Doc: "its definition's ID"},
			{Name: "window", Type: Label, Doc: "the window's end"},
			{Name: "key", Type: Label, Doc: "the idempotence key"},
			{Name: "delivered", Type: State, Doc: "the recipient has taken it"},
			duration,
			failed,
		})},
	}
}
