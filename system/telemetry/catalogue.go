package telemetry

import "slices"

// Kinds of events.
const (
	KindTick       = "tick"
	KindLoop       = "loop"
	KindBatch      = "batch"
	KindProduce    = "produce"
	KindIndex      = "index"
	KindSeal       = "seal"
	KindSnapshot   = "snapshot"
	KindCount      = "count"
	KindQuery      = "query"
	KindEvaluation = "evaluation"
	KindDelivery   = "delivery"
)

// Type is what a field's value is, and so what becomes of it as a metric.
type Type string

// Types of fields. Only counters, gauges and states are metrics.
const (
	Counter Type = "counter" // a number that only grows while the process lives
	Gauge   Type = "gauge"   // a number as it is at that moment, or since the tick before
	State   Type = "state"   // a boolean
	Label   Type = "label"   // says what the event is about
	Value   Type = "value"   // a number about what the event tells
)

// Meaning is what a field says.
type Meaning struct {
	Name string
	Type Type
	Unit string // "ms", "bytes", "events", …; empty for what has none
	Doc  string
	// Role that says it; empty: all.
	Role string
	// Optional fields are left out when there is nothing to say.
	Optional bool
}

// Kind is a kind of event.
type Kind struct {
	Name   string
	Doc    string
	Fields []Meaning
}

// Catalogue lists all that roles say, in the order of docs/telemetry.md. Every event has the fields of [Common] too.
func Catalogue() []Kind {
	tick := slices.Concat(ofEveryTick(), ofShepherd(), ofRetriever(), ofQuery(), ofBeagle(), ofTrigger(), ofDependencies())
	return append([]Kind{
		{Name: KindTick, Doc: "How the role is, every second. Counters count since the process began.", Fields: tick},
		{Name: KindLoop, Doc: "How far one consumer loop of a role with several is, with each tick: a partition that a beagle worker counts.", Fields: ofLoop()},
	}, ofHappenings()...)
}

// Common lists the fields of every event.
func Common() []Meaning {
	return []Meaning{
		{Name: "meta.kind", Type: Label, Doc: "the event's kind"},
		{Name: "seq", Type: Value, Doc: "1, 2, 3 … for each instance, also for events that were dropped: a number that is missing is an event that did not arrive"},
		{Name: "node", Type: Label, Doc: "the node's name in the topology"},
		{Name: "role", Type: Label, Doc: "`shepherd`, `retriever`, `query`, `beagle` or `trigger`; also the dataset's name"},
		{Name: "zone", Type: Label, Doc: "the availability zone"},
		{Name: "instance", Type: Label, Doc: "another for each start of the process"},
	}
}

func ofEveryTick() []Meaning {
	return []Meaning{
		{Name: "tick.gap_ms", Type: Gauge, Unit: "ms", Doc: "since the tick before; 0 in the first. Much more than usual: the process stood still"},
		{Name: "telemetry.sent", Type: Counter, Unit: "events", Doc: "that the observer has taken"},
		{Name: "telemetry.dropped", Type: Counter, Unit: "events", Doc: "for which the queue had no room"},
		{Name: "telemetry.failed", Type: Counter, Unit: "events", Doc: "that were sent and given up: the observer refused them, each for itself or all, or did not answer in time"},
		{Name: "telemetry.waiting", Type: Gauge, Unit: "events", Doc: "in the queue"},
	}
}

func ofShepherd() []Meaning {
	return of("shepherd", []Meaning{
		{Name: "events.accepted", Type: Counter, Unit: "events", Doc: "answered 202"},
		{Name: "events.refused", Type: Counter, Unit: "events", Doc: "answered 503: certainly not stored"},
		{Name: "events.unknown", Type: Counter, Unit: "events", Doc: "answered 504: stored or not"},
		{Name: "events.throttled", Type: Counter, Unit: "events", Doc: "answered 429: a rate limit, or no room"},
		{Name: "events.malformed", Type: Counter, Unit: "events", Doc: "answered 400"},
		{Name: "requests", Type: Counter, Unit: "requests", Doc: "of ingest that were begun"},
		{Name: "requests.open", Type: Gauge, Unit: "requests", Doc: "being answered"},
		{Name: "inflight.events", Type: Gauge, Unit: "events", Doc: "being decoded or waiting for Kafka"},
		{Name: "inflight.bytes", Type: Gauge, Unit: "bytes", Doc: "the same"},
		{Name: "inflight.share", Type: Gauge, Doc: "of the bounds of both, the larger share: from 0 to 1"},
		{Name: "partitions.sick", Type: Gauge, Unit: "partitions", Doc: "that this shepherd avoids"},
		{Name: "draining", Type: State, Doc: "it is ending and takes nothing new"},
	})
}

func ofRetriever() []Meaning {
	return of("retriever", []Meaning{
		{Name: "partition", Type: Label, Doc: "that it follows"},
		{Name: "replica", Type: Label, Doc: "which of the partition's retrievers it is, from 0"},
		{Name: "claimed", Type: State, Doc: "it holds its claim in ZooKeeper"},
		{Name: "claim.lost", Type: Counter, Unit: "times", Doc: "that it held the claim and then did not, or could not know: the connection or session was lost, or another took it"},
		{Name: "offset.next", Type: Gauge, Unit: "records", Doc: "the Kafka offset that it will read next"},
		{Name: "log.end", Type: Gauge, Unit: "records", Doc: "the partition's high watermark at its last fetch"},
		{Name: "lag.records", Type: Gauge, Unit: "records", Doc: "from one to the other. While fetches fail, `fresh.age_ms` grows and this does not"},
		{Name: "fresh.age_ms", Type: Gauge, Unit: "ms", Optional: true, Doc: "since everything up to the high watermark was last known to be here; absent until it was"},
		{Name: "newest.age_ms", Type: Gauge, Unit: "ms", Optional: true, Doc: "since the CreateTime of the record that was indexed last; absent before the first. It also grows when nobody sends"},
		{Name: "offset.durable", Type: Gauge, Unit: "records", Doc: "every record below is synced to the local disk or in S3"},
		{Name: "offset.floor", Type: Gauge, Unit: "records", Doc: "what it holds locally begins here"},
		{Name: "snapshot.generation", Type: Gauge, Doc: "of the partition's manifest as last seen; 0 before the first"},
		{Name: "snapshot.next", Type: Gauge, Unit: "records", Doc: "every record below is in S3, says that manifest"},
		{Name: "rows.held", Type: Gauge, Unit: "events", Doc: "stored locally"},
		{Name: "rows.duplicate", Type: Gauge, Unit: "events", Doc: "dropped as duplicates, of what the local data goes back to"},
		{Name: "records.corrupt", Type: Gauge, Unit: "records", Doc: "that could not be decoded, likewise"},
		{Name: "records.missed", Type: Gauge, Unit: "records", Doc: "offsets that were gone before they were read, likewise"},
		{Name: "segments.repaired", Type: Counter, Unit: "segments", Doc: "damaged or missing ones that were had again"},
		{Name: "memory.bytes", Type: Gauge, Unit: "bytes", Doc: "of rows that are in no segment yet"},
		{Name: "memory.share", Type: Gauge, Doc: "of `max_memory_bytes`"},
		{Name: "local.bytes", Type: Gauge, Unit: "bytes", Doc: "used of the local disk"},
		{Name: "local.share", Type: Gauge, Doc: "of `max_local_bytes`"},
	})
}

func of(role string, list []Meaning) []Meaning {
	for i := range list {
		list[i].Role = role
	}
	return list
}

// Dependencies of roles, as the names of their fields begin.
const (
	Kafka     = "kafka"
	Groups    = "groups"
	ZooKeeper = "zookeeper"
	MySQL     = "mysql"
	S3        = "s3"
	Peers     = "peers"
	Webhooks  = "webhooks"
)

// Dependencies lists what a role depends on.
func Dependencies(role string) []string {
	switch role {
	case "shepherd":
		return []string{Kafka, MySQL}
	case "retriever":
		return []string{Kafka, ZooKeeper, S3, Peers}
	case "query":
		return []string{MySQL, S3, Peers}
	case "beagle":
		return []string{Kafka, Groups, MySQL}
	case "trigger":
		return []string{Kafka, ZooKeeper, MySQL, Peers, Webhooks}
	}
	return nil
}

// OfDependency lists what each tick says of each dependency, behind its name and a dot.
func OfDependency() []Meaning {
	return []Meaning{
		{Name: "ops", Type: Counter, Unit: "operations", Doc: "that have ended"},
		{Name: "errors", Type: Counter, Unit: "operations", Doc: "that failed for certain, or for no reason that is known"},
		{Name: "unknown", Type: Counter, Unit: "operations", Doc: "whose outcome is not known"},
		{Name: "given_up", Type: Counter, Unit: "operations", Doc: "that the role gave up before they had ended: its own time for them was over"},
		{Name: "open", Type: Gauge, Unit: "operations", Doc: "under way"},
		{Name: "time_ms", Type: Counter, Unit: "ms", Doc: "how long all that have ended took together"},
		{Name: "max_ms", Type: Gauge, Unit: "ms", Doc: "how long the longest took that has ended since the tick before"},
		{Name: "oldest_ms", Type: Gauge, Unit: "ms", Doc: "since the oldest that is under way began: a hang shows while it hangs"},
		{Name: "failing_ms", Type: Gauge, Unit: "ms", Doc: "since the first that failed, without one that went well since; 0 if the last went well. An answer such as *not found* is well"},
	}
}
