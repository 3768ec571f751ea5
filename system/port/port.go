// Package port is what a role may ask of the world outside its process. Each port has the semantics of the real server
// and client behind it, failure modes included: a produce ends accepted at an offset, refused, or unknown; a
// coordination operation may lose its connection and leave its effect behind.
package port

import (
	"errors"

	"github.com/ratel-sim/ratel/system/telemetry"
)

// ErrRefused marks an operation that certainly had no effect and never will have. An error that does not match it has an
// unknown outcome, and the caller must treat it so: the effect may be there, or may still appear.
var ErrRefused = errors.New("refused")

// ErrUnknown marks an operation whose outcome cannot be known (a timeout or a lost connection after sending).
// Errors that match neither ErrRefused nor ErrUnknown must be treated as unknown too.
var ErrUnknown = errors.New("outcome unknown")

// Ports is everything that a role's process is given.
type Ports struct {
	Log          Log
	Coordination Coordination
	Catalog      Catalog
	Blobs        Blobs
	Peers        Peers
	Disk         Disk
	Groups       Groups
	Definitions  Definitions
	Counts       Counts
	Evaluations  Evaluations
	Webhooks     Webhooks
	// Observer is nil where nobody observes.
	Observer Observer
	// Telemetry is where the role says what it does; nil where it says nothing. It sends to Observer.
	Telemetry *telemetry.Recorder
	Events    Events
}

// Event is a typed announcement of something that happened inside a role or a server: evidence for reports, lanes in
// timelines, and what an aimed fault waits for. Kind is one of the Event* constants.
type Event struct {
	Kind   string
	Node   string // the node it is about, by its topology name
	Topic  string // with Partition, where it concerns one partition; else empty
	Part   int32
	Detail string // for people; deterministic for a seed
}

// Kinds of events.
const (
	EventISRChanged     = "isr.changed"
	EventLeaderElected  = "leader.elected"
	EventLogTruncated   = "log.truncated"
	EventSessionExpired = "session.expired"
	EventControllerUp   = "controller.elected"
	EventEnsembleLeader = "zookeeper.leader.elected"
	EventNodeStarted    = "node.started"
	EventNodeStopped    = "node.stopped"
	EventClaimed        = "partition.claimed"
	EventClaimLost      = "partition.claim.lost"
	EventPartitionSick  = "partition.sick"
	EventPartitionWell  = "partition.well"
	EventShed           = "ingest.shed"
	EventRecovered      = "disk.recovered"
	EventDiskCorrupt    = "disk.corrupt" // stored bytes were damaged: they are set aside, never served
	EventDiskFull       = "disk.full"
	EventOffsetReset    = "offset.reset" // a reader's offset was outside of the log: it goes on elsewhere

	EventSegmentSealed   = "segment.sealed"   // rows became immutable columnar segments on local disk
	EventSegmentDamaged  = "segment.damaged"  // a segment's bytes do not match their checksum: it is not served
	EventSegmentRepaired = "segment.repaired" // a damaged or missing segment was had again: Detail says from where
	EventSegmentAged     = "segment.aged"     // local segments were dropped, since S3 has them
	EventManifestWritten = "manifest.written" // a snapshot became visible: Detail has its generation and next offset
	EventManifestLost    = "manifest.lost"    // another writer's manifest was there first
	EventSealsDisagree   = "seals.disagree"   // the manifest has other rows of a range than are here: this never happens to a sound pair
	EventSnapshotFailed  = "snapshot.failed"
	EventBootstrapped    = "bootstrapped" // a retriever without local data began from a snapshot, or from the log's start
	EventCacheMended     = "cache.mended" // a cached dataset turned out to be stale
	EventCatalogAway     = "catalog.away" // the metadata store does not answer: what is cached goes on
	EventCatalogBack     = "catalog.back"
	EventTenantShed      = "tenant.shed" // one team's events are shed, the others' are not
	EventQueryPartial    = "query.partial"
	EventQueryHedged     = "query.hedged"

	EventGroupJoined    = "group.joined"    // a member has an assignment: Detail has generation and partitions
	EventGroupRebalance = "group.rebalance" // a coordinator began a rebalance
	EventGroupEvicted   = "group.evicted"   // a coordinator evicted a member
	EventProgress       = "progress.marked" // counts and progress were committed: Detail has from and to
	EventProgressLost   = "progress.lost"   // somebody else has counted what was about to be counted
	EventDatasetUnknown = "dataset.unknown" // events of a dataset that is not in the catalog were passed over
	EventRecordSkipped  = "record.skipped"  // a record that cannot be read was passed over
	EventLeaderUp       = "trigger.leader"  // a trigger worker leads: Detail has its epoch
	EventLeaderDown     = "trigger.deposed" // it leads no more
	EventAlertFired     = "alert.fired"
	EventAlertStale     = "alert.stale" // data were not fresh enough in time
	EventAlertDelivered = "alert.delivered"
)

// Events is the sink of announcements. Announce never blocks and may be called with locks held.
type Events interface {
	Announce(e Event)
}

// Discard is a sink that forgets.
type Discard struct{}

// Announce implements [Events].
func (Discard) Announce(Event) {}
