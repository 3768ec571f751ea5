// Package engine runs a plan in a world and gathers the evidence. It is written on rt, so phases, pacing, faults and
// deadlines are the same code in virtual and in wall time.
package engine

import (
	"context"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/observer"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/retriever"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/shepherd"
)

// WebhookSink takes webhooks. An error means that it does not take it now.
type WebhookSink = interface {
	Deliver(key string, body []byte) error
}

// World is what the engine needs of the simulated and of the containers world. The methods that take a context block on
// the world's runtime; all but Name, Can and Drive are called from within Drive's function.
type World interface {
	// Name is "sim" or "containers".
	Name() string
	// Can says, before anything starts, why the world cannot do such a fault on such a role; nil if it can. aimed is
	// whether the fault waits for a protocol event.
	Can(kind system.FaultKind, role system.Role, aimed bool) error
	// Drive runs f as the harness's main task and returns when it has; it returns f's error, or why the world itself
	// broke down (a panic in a role, a deadlock, an interrupt through ctx). Everything the world has started is gone when Drive returns;
	// where it cannot be, the world has said so.
	Drive(ctx context.Context, f func(ctx context.Context) error) error
	// Runtime is the harness's own process.
	Runtime() rt.Runtime
	// Start brings the topology up and returns when every node is ready: the events topic exists with full ISRs,
	// shepherds answer, and every retriever has claimed its partition.
	Start(ctx context.Context, t system.Topology) error
	// StartNodes starts nodes of the whole topology that do not run from the start ([system.Topology.Waits]), and returns
	// when each is ready.
	StartNodes(ctx context.Context, names []string) error
	// Log is the harness's Kafka client: for observation and for reading the log back.
	Log() port.Log
	// ZooKeeperLeader names the node that leads the ensemble.
	ZooKeeperLeader(ctx context.Context) (string, error)
	// Ingests are the shepherds as clients reach them, in order of their numbers.
	Ingests() []shepherd.Ingest
	// Catalog and Blobs are the harness's own clients.
	Catalog() port.Metadata
	Blobs() port.Blobs
	// Queriers are the query nodes as clients reach them, in order of their numbers.
	Queriers() []query.Querier
	// Holder is a retriever, by its node's name.
	Holder(node string) retriever.Holder
	// ShepherdHealth is what a shepherd says about itself, by its node's name.
	ShepherdHealth(ctx context.Context, node string) (shepherd.Health, error)
	// Inject and Heal begin and end a fault. They return when it is done, not when its effect shows. A healed node has
	// been told to start; it may not be ready yet.
	Inject(ctx context.Context, f system.Fault) error
	Heal(ctx context.Context, f system.Fault) error
	// Probe asks a node once, with a short deadline, and says what an asker sees. Detail is for people.
	Probe(ctx context.Context, node string) (reach system.Reach, detail string)
	// Dropped counts what an injected isolation has held back so far: packets in containers, messages in the simulation.
	Dropped(ctx context.Context, f system.Fault) (int64, error)
	// Subscribe hands every announced event to sink from now on. Events are stamped by the engine.
	Subscribe(sink port.Events)
	// Receive lets roles deliver webhooks to sink for as long as the run goes on, and returns the URL at which they do.
	Receive(ctx context.Context, sink WebhookSink) (url string, err error)
	// Observe hands what the pipeline's observer takes to sink, if the topology has one. It is called before Start.
	Observe(sink observer.Sink)
	// Machine is what the machine on which the world runs has done so far; ok is false where that is not known, and in the simulation,
	// in which nothing depends on it.
	Machine(ctx context.Context) (use system.MachineUse, ok bool)
	// Trace is the hash and the number of steps of a deterministic run; ok is false elsewhere.
	Trace() (hash uint64, steps uint64, ok bool)
}
