// Package sim is the simulated world: Kafka, ZooKeeper, MySQL, S3, disks, the network and time are models in one process, and the
// pipeline's own code runs on them. A run is exactly reproducible from its seed.
package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/sim/kafka"
	"github.com/ratel-sim/ratel/sim/mysql"
	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/sim/s3"
	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/sim/zookeeper"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/observer"
	"github.com/ratel-sim/ratel/system/planted"
	"github.com/ratel-sim/ratel/system/port"
	"github.com/ratel-sim/ratel/system/query"
	"github.com/ratel-sim/ratel/system/retriever"
	"github.com/ratel-sim/ratel/system/rt"
	"github.com/ratel-sim/ratel/system/shepherd"
)

// harnessNode is where the engine and the load run: outside every zone that can fail.
const harnessNode = "harness"

// virtualLimit bounds a run in virtual time, against a plan that never ends.
const virtualLimit = 100 * time.Hour

// driveStep is how much virtual time passes between two looks at the caller's context.
const driveStep = time.Second

// Options set up a simulated world.
type Options struct {
	Seed    uint64
	Planted planted.Set
	// OverHTTP carries requests as the bytes of the real HTTP API through the real handler, decoders and encoders.
	// Otherwise the same shepherd is called with decoded events, which is many times cheaper.
	OverHTTP bool
	// OnStep, if set, is told every step of the scheduler: how a divergence between two runs of one seed is located.
	OnStep func(step uint64, desc string)
}

// World is one simulated world, for one run.
type World struct {
	opts    Options
	sched   *sched.Sim
	net     *simnet.Network
	harness *sched.Process
	home    *simnet.Node
	sink    sink

	topology  system.Topology // as it begins
	zookeeper *zookeeper.Ensemble
	kafka     *kafka.Cluster
	mysql     *mysql.Server
	s3        *s3.Server
	log       port.Log
	catalog   port.Metadata
	blobs     port.Blobs
	roles     map[string]*role
	ingests   []shepherd.Ingest
	queriers  []query.Querier
	holders   map[string]retriever.Holder
	on        map[string][]system.Fault  // the faults on a node that take it down or disturb its requests
	dropped   map[string]int64           // what faults have hit that were healed
	before    map[string]int64           // what the server of a fault had had of its kind when it began
	frozen    map[string]map[string]bool // by node: the faults that keep its process frozen
	starved   map[string]*starvation
	receiving bool // webhooks
	observer  *observerHost
	observed  observer.Sink
}

// New makes a world. Nothing runs before Drive.
func New(opts Options) *World {
	s := sched.New(opts.Seed)
	if opts.OnStep != nil {
		s.OnStep(opts.OnStep)
	}
	w := &World{opts: opts, sched: s, net: simnet.New(s, lan()), roles: map[string]*role{}, holders: map[string]retriever.Holder{}, on: map[string][]system.Fault{}, dropped: map[string]int64{}, before: map[string]int64{},
		frozen: map[string]map[string]bool{}, starved: map[string]*starvation{}}
	w.home = w.net.AddNode(harnessNode, "")
	w.harness = s.Process(harnessNode)
	w.home.Start(w.harness)
	return w
}

// lan is a network of one data centre, of the order measured between containers of one machine.
func lan() simnet.Config {
	return simnet.Config{Latency: 200 * time.Microsecond, Jitter: 150 * time.Microsecond, BytesPerSecond: 1 << 30, RetransmitTimeout: 200 * time.Millisecond}
}

// Name says which world this is.
func (w *World) Name() string { return "sim" }

// Runtime is the harness's process.
func (w *World) Runtime() rt.Runtime { return w.harness }

// Trace is the hash of everything that happened, and in how many steps.
func (w *World) Trace() (hash, steps uint64, ok bool) { return w.sched.Hash(), w.sched.Steps(), true }

// Machine says nothing: no machine is slow in virtual time.
func (w *World) Machine(context.Context) (system.MachineUse, bool) { return system.MachineUse{}, false }

// Can says what this world cannot do.
func (w *World) Can(kind system.FaultKind, _ system.Role, _ bool) error {
	switch kind {
	case system.FaultKill, system.FaultStop, system.FaultReplace, system.FaultPause, system.FaultIsolate, system.FaultErrors, system.FaultSlow, system.FaultStarve, system.FaultRecreate, system.FaultPoison:
		return nil
	}
	return fmt.Errorf("no model of the fault %q", kind)
}

// Drive runs f in virtual time. An interrupt through ctx ends it between two steps of virtual time.
func (w *World) Drive(ctx context.Context, f func(ctx context.Context) error) error {
	defer w.sched.Close()
	ended := false
	var result error
	w.harness.Go("run", func(ctx context.Context) {
		result = f(ctx)
		ended = true
		w.sched.Stop()
	})
	for limit := driveStep; !ended; limit += driveStep {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("interrupted at %v of virtual time: %w", w.sched.Now(), err)
		}
		if limit > virtualLimit {
			return fmt.Errorf("the run did not end within %v of virtual time", virtualLimit)
		}
		if err := w.sched.Run(limit); err != nil {
			return fmt.Errorf("at %v of virtual time: %w", w.sched.Now(), err)
		}
	}
	return result
}

// Subscribe hands every announcement to another sink as well.
func (w *World) Subscribe(s port.Events) { w.sink.subscribers = append(w.sink.subscribers, s) }

// Log is the harness's own Kafka client.
func (w *World) Log() port.Log { return w.log }

// Ingests are the shepherds, as clients reach them over the simulated network.
func (w *World) Ingests() []shepherd.Ingest { return w.ingests }

// Catalog is the harness's own MySQL client.
func (w *World) Catalog() port.Metadata { return w.catalog }

// Blobs is the harness's own S3 client.
func (w *World) Blobs() port.Blobs { return w.blobs }

// ChangedObjects names the objects whose stored bytes a reader has changed, which none may: for tests.
func (w *World) ChangedObjects() []string { return w.s3.Changed() }

// Queriers are the query nodes, as clients reach them over the simulated network.
func (w *World) Queriers() []query.Querier { return w.queriers }

// Holder is a retriever, by its node's name.
func (w *World) Holder(node string) retriever.Holder { return w.holders[node] }

// errNoLeader is what ZooKeeperLeader says between two leaders.
var errNoLeader = errors.New("the ensemble has no leader at the moment")

// ZooKeeperLeader names the ensemble's leader.
func (w *World) ZooKeeperLeader(context.Context) (string, error) {
	if name := w.zookeeper.Leader(); name != "" {
		return name, nil
	}
	return "", errNoLeader
}

// sink hands announcements to whoever has subscribed so far.
type sink struct{ subscribers []port.Events }

// Announce implements port.Events.
func (s *sink) Announce(e port.Event) {
	for _, sub := range s.subscribers {
		sub.Announce(e)
	}
}
