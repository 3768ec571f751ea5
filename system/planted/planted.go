// Package planted is the registry of bugs that can be planted into the pipeline or into the simulated servers, to prove
// that a check catches them. A Set cannot be filled from a configuration file, a scenario script or a request: only the
// bugs command and the hidden flag by which it starts a role make one.
package planted

import (
	"fmt"
	"slices"
	"strings"
)

// Bug is one named defect.
type Bug struct {
	ID        string // as in the bug bank, such as K1
	Name      string
	Mechanism string // what it does and why that loses, duplicates or misreports
	Source    string // where the defect is known from
	SimOnly   bool   // it lives in a model of a server, so real servers cannot have it
}

// The bugs that can be planted.
const (
	AcksLeader              = "K1"
	TruncateToHighWatermark = "K5"
	RetriesUnnumbered       = "P2"
	RetriesOvertake         = "P3"
	AcceptBeforeKafka       = "P7"
	PartialAsSuccess        = "P11"
	RefusesAShare           = "P12"

	NoFailoverOffDeadSet = "P8"
	ShedAllTenants       = "P9"
	StaleDatasetCache    = "P10"
	NeverWidens          = "B1"
	UnboundedQueue       = "A1"

	AutoCommitEarly     = "C1"
	CommitBeforeDurable = "C2"
	NoDedup             = "C3"
	ManifestBeforeData  = "S1"
	TwoSnapshotWriters  = "S2"
	RetentionTooEager   = "S3"
	IdleNeverSealed     = "S4"
	BootstrapFromPeer   = "A6"
	SameZonePair        = "A7"
	LivenessByHeartbeat = "A2"

	OldDataDropped = "D7"

	FirstZooKeeperOnly   = "A4"
	LockWithoutFencing   = "Z1"
	OrphanEphemeral      = "Z2"
	SessionLossUnnoticed = "Z5"
	LeaderWithoutZnode   = "Z6"

	UndrainedRebalance    = "C4"
	ZombieCommits         = "C5"
	ResetToLatest         = "C6"
	PoisonRecord          = "C16"
	SkipsInSilence        = "C16b"
	SLOByProcessingTime   = "C17"
	SampleRatesIgnored    = "C17b"
	RangeAssignment       = "B2"
	SeriesAssignment      = "B6"
	NoNegativeCache       = "N1"
	SchemaWhileWaiting    = "N2"
	ProgressOnlyWithSLOs  = "D1a"
	EmptyPartitionCrashes = "D1b"

	TelemetryBlocks       = "E4a"
	TelemetryKept         = "E4b"
	SampledTwice          = "E4c"
	DependenciesUnwatched = "E4d"
)

// All lists every bug in a stable order.
func All() []Bug {
	const ours = "incident of a pipeline of this shape"
	return []Bug{
		{ID: AcksLeader, Name: "acks=1", Mechanism: "the producer takes the leader's answer alone; what the followers had not fetched when the leader is lost is gone", Source: "Kafka producer configuration, acks"},
		{ID: TruncateToHighWatermark, Name: "truncation to the high watermark", Mechanism: "a new follower truncates to its own high watermark, which lags, instead of by leader epoch; elected next, it has lost acknowledged records", Source: "KIP-101", SimOnly: true},
		{ID: RetriesUnnumbered, Name: "retries without idempotence", Mechanism: "the producer does not number its batches; one whose answer is lost is sent again and is in the log twice", Source: "Kafka producer configuration, enable.idempotence"},
		{ID: RetriesOvertake, Name: "several batches in flight without idempotence", Mechanism: "a batch that fails is sent again after one that was sent later, so the log has them in another order", Source: "Kafka producer configuration, max.in.flight.requests.per.connection"},
		{ID: AcceptBeforeKafka, Name: "accepted before Kafka has acknowledged", Mechanism: "the shepherd answers 202 once an event is queued; a crash or a failed produce loses it", Source: "design class"},
		{ID: PartialAsSuccess, Name: "partial batch reported as success", Mechanism: "one part of a batch fails and the answer says that all were accepted", Source: "design class"},
		{ID: RefusesAShare, Name: "a share of all batches is refused", Mechanism: "a shepherd refuses one batch in twenty though nothing is wrong, so the error budget is being used up before any fault", Source: "design class"},
		{ID: NoFailoverOffDeadSet, Name: "no failover off a dead partition set", Mechanism: "events stay with their dataset's set of partitions even while none of it can be written, so its tenants get nothing but errors", Source: ours},
		{ID: ShedAllTenants, Name: "overload protection sheds all tenants", Mechanism: "one bound for everybody: what a stuck tenant has in flight takes the room of all others", Source: ours},
		{ID: StaleDatasetCache, Name: "stale dataset cache", Mechanism: "a dataset that was deleted and created again keeps its old ID in a cache that is never looked after; its events go where no query looks", Source: "design class"},
		{ID: NeverWidens, Name: "widened sets are not used", Mechanism: "a dataset keeps the partitions with which it was first seen; a customer that has grown stays on few of them, which saturate while the cluster idles", Source: ours},
		{ID: UnboundedQueue, Name: "unbounded producer queue", Mechanism: "what waits for Kafka is not bounded, so a stall of Kafka becomes memory", Source: ours},
		{ID: AutoCommitEarly, Name: "position committed before processing", Mechanism: "the position is made durable when records are fetched; after a crash, what was fetched and not yet stored is skipped", Source: "Kafka consumer configuration, enable.auto.commit"},
		{ID: CommitBeforeDurable, Name: "offset committed before the snapshot is durable", Mechanism: "the manifest names an offset whose segments were not all uploaded; the next bootstrap skips them", Source: "design class"},
		{ID: NoDedup, Name: "replay without deduplication", Mechanism: "what is read again after a crash between snapshot and commit is indexed twice", Source: "at-least-once delivery"},
		{ID: ManifestBeforeData, Name: "manifest before data", Mechanism: "the manifest is written first; a crash or an error before the segments are there leaves it pointing at nothing", Source: "design class"},
		{ID: TwoSnapshotWriters, Name: "two writers of one snapshot key", Mechanism: "both of a pair put the manifest unconditionally; the last writer wins with older content", Source: "design class"},
		{ID: RetentionTooEager, Name: "retention deletes a snapshot that is still needed", Mechanism: "objects are removed by age alone, also those that the current manifest names", Source: "design class"},
		{ID: IdleNeverSealed, Name: "an idle partition is never sealed", Mechanism: "segments are only closed when the next record comes; what came last before a partition went quiet stays on the retrievers' disks, however long", Source: "design class"},
		{ID: BootstrapFromPeer, Name: "bootstrap only from the peer", Mechanism: "an empty retriever copies from the other of its pair and begins at the log's end without one", Source: ours},
		{ID: SameZonePair, Name: "both of a pair in one zone", Mechanism: "placement does not look at zones, so one zone's loss takes both copies", Source: ours},
		{ID: LivenessByHeartbeat, Name: "liveness by heartbeat only", Mechanism: "a partition counts as well while its leader keeps its session and its connections; that it has stopped working is not looked at, so events go on to a broker that is sick and not dead", Source: ours},
		{ID: OldDataDropped, Name: "old data left out of answers that say complete", Mechanism: "the workers that read S3 do not start, and the query answers with fresh data alone", Source: ours},
		{ID: FirstZooKeeperOnly, Name: "first ZooKeeper only", Mechanism: "the lock's client knows only the first address of the ensemble, so alerting stops when that node is down", Source: ours},
		{ID: LockWithoutFencing, Name: "lock without fencing", Mechanism: "evaluations carry no epoch that the database checks; a leader that was paused longer than its session goes on beside its successor", Source: "F. Junqueira, note on fencing"},
		{ID: OrphanEphemeral, Name: "own orphan ephemeral", Mechanism: "a create whose answer is lost leaves a znode that its own client does not recognise: it waits for itself, and so does everybody", Source: "CURATOR-45"},
		{ID: SessionLossUnnoticed, Name: "session loss is not signalled", Mechanism: "the lock does not tell its holder that the session is lost, so the holder works on", Source: "libkv PR 156, kazoo issue 2"},
		{ID: LeaderWithoutZnode, Name: "leader without znode", Mechanism: "after its session expired, the leader opens another and does not create its znode again: two lead", Source: "Helix PR 2815"},
		{ID: UndrainedRebalance, Name: "undrained queue at a rebalance", Mechanism: "what was read before a partition was revoked is counted after another worker has it, and progress is moved from wherever it is", Source: "kafka-go issue 1398"},
		{ID: ZombieCommits, Name: "zombie after max.poll.interval", Mechanism: "a worker that was paused until it was evicted commits what it had gathered on top of its successor's progress", Source: "Kafka consumer configuration, max.poll.interval.ms"},
		{ID: ResetToLatest, Name: "reset to latest", Mechanism: "a partition without progress is counted from its end, so what was there before is skipped", Source: "KIP-1327"},
		{ID: PoisonRecord, Name: "poison record", Mechanism: "a record that cannot be read is tried again for ever; its partition is counted and stored no further", Source: "design class"},
		{ID: SkipsInSilence, Name: "poison is skipped in silence", Mechanism: "a record that cannot be read is passed over and nobody is told, so what it held is missed by nobody until it is asked for", Source: "design class"},
		{ID: SLOByProcessingTime, Name: "SLO counted by processing time", Mechanism: "an event counts in the minute in which it is read, so a backlog lands in the wrong minutes", Source: "design class"},
		{ID: SampleRatesIgnored, Name: "sample rates are ignored by SLOs", Mechanism: "an event counts once, however many it stands for; whoever keeps all errors and one in ten successes is told of ten times the failures there were", Source: "design class"},
		{ID: RangeAssignment, Name: "range assignment beside paired leaders", Mechanism: "ranges of partitions give one worker several that are led by one broker, to which it has one connection: they wait for one another", Source: ours},
		{ID: SeriesAssignment, Name: "partitions assigned in series", Mechanism: "workers are filled one after the other, so the last of a group that was scaled out have no work and drag down the average by which it is scaled", Source: ours},
		{ID: NoNegativeCache, Name: "no negative cache", Mechanism: "that a dataset is gone is not remembered, so each of its messages costs a look-up in the database and a backlog of them cannot be worked off", Source: ours},
		{ID: SchemaWhileWaiting, Name: "schema looked up while the client waits", Mechanism: "a batch with a column that was not seen before waits for the dataset's columns to be read from the metadata store, so its answer is as slow as that", Source: ours},
		{ID: ProgressOnlyWithSLOs, Name: "progress not marked without SLOs", Mechanism: "a partition whose events have no SLOs never marks its progress; it looks stuck and is read from its start after every restart", Source: ours},
		{ID: EmptyPartitionCrashes, Name: "an empty partition crashes the processor", Mechanism: "the first fetch of a partition without records is taken for an error that ends the worker", Source: ours},
		{ID: TelemetryBlocks, Name: "a request waits for the observer", Mechanism: "a shepherd hands what it says about a request to the observer before it answers, so a slow observer makes slow clients", Source: ours},
		{ID: TelemetryKept, Name: "unbounded telemetry queue", Mechanism: "what the observer did not take is kept and sent again, together with all that has come since, so an outage of the observer becomes memory", Source: ours},
		{ID: SampledTwice, Name: "sampled twice", Mechanism: "a counter of everything is multiplied by the rate at which requests are sampled, so it claims more than happened", Source: "design class"},
		{ID: DependenciesUnwatched, Name: "dependencies are not watched", Mechanism: "a role says nothing of how Kafka, ZooKeeper, MySQL and S3 answer it; the client's retries hide an outage, and no telemetry ever shows it", Source: ours},
	}
}

// Set is a set of planted bugs. The zero Set is empty: the system as it should be.
type Set struct{ ids []string }

// Parse makes a set of bug IDs, refusing unknown ones.
func Parse(ids ...string) (Set, error) {
	var s Set
	for _, id := range ids {
		if !slices.ContainsFunc(All(), func(b Bug) bool { return b.ID == id }) {
			known := make([]string, 0, len(All()))
			for _, b := range All() {
				known = append(known, b.ID)
			}
			return Set{}, fmt.Errorf("no planted bug %q: there are %s", id, strings.Join(known, ", "))
		}
		if !s.Has(id) {
			s.ids = append(s.ids, id)
		}
	}
	slices.Sort(s.ids)
	return s, nil
}

// Has says whether the bug is planted.
func (s Set) Has(id string) bool { return slices.Contains(s.ids, id) }

// IDs lists the planted bugs, sorted.
func (s Set) IDs() []string { return slices.Clone(s.ids) }
