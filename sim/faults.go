package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/sim/host"
	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/port"
)

// probeDeadline is how long an asker waits before it calls a node silent.
const probeDeadline = 500 * time.Millisecond

// Inject begins a fault.
func (w *World) Inject(ctx context.Context, f system.Fault) error {
	n, ok := w.topology.Node(f.Node)
	if !ok {
		return fmt.Errorf("inject %s: no such node", f)
	}
	switch f.Kind {
	case system.FaultIsolate:
		delete(w.dropped, f.String()) // of one like it that was healed before
		w.links(f, w.net.Cut)
		return nil
	case system.FaultErrors, system.FaultSlow:
		delete(w.dropped, f.String())
		w.before[f.String()] = w.disturbed(f)
	case system.FaultRecreate:
		return system.Recreate(ctx, w.catalog, f, w.topology.Kafka.Partitions)
	case system.FaultStarve:
		w.starve(n, f)
		return nil
	case system.FaultPause:
		w.paused[f.Node]++
		return w.freeze(n)
	case system.FaultKill, system.FaultStop, system.FaultReplace, system.FaultPoison:
	}
	switch n.Role {
	case system.RoleZooKeeper:
		return w.faultZooKeeper(f)
	case system.RoleKafka:
		return w.faultBroker(ctx, f)
	case system.RoleMySQL:
		return faultServer(w.mysql, f)
	case system.RoleS3:
		return faultServer(w.s3, f)
	case system.RoleObserver:
		return faultServer(w.observer, f)
	case system.RoleShepherd, system.RoleRetriever, system.RoleQuery, system.RoleBeagle, system.RoleTrigger:
		return w.faultRole(ctx, f)
	}
	return fmt.Errorf("inject %s: no faults on a %s", f, n.Role)
}

func (w *World) faultZooKeeper(f system.Fault) error {
	switch f.Kind {
	case system.FaultKill, system.FaultStop: // an ensemble member has no clean-up of its own to do
		w.zookeeper.KillNode(f.Node)
	case system.FaultReplace:
		w.zookeeper.KillNode(f.Node)
		w.zookeeper.WipeNode(f.Node)
	case system.FaultPause, system.FaultStarve, system.FaultIsolate, system.FaultErrors, system.FaultSlow, system.FaultRecreate, system.FaultPoison:
	}
	return nil
}

func (w *World) faultBroker(ctx context.Context, f system.Fault) error {
	switch f.Kind {
	case system.FaultKill:
		return w.kafka.KillBroker(f.Node)
	case system.FaultStop:
		return w.kafka.StopBroker(ctx, f.Node)
	case system.FaultReplace:
		if err := w.kafka.KillBroker(f.Node); err != nil {
			return err
		}
		return w.kafka.WipeBroker(f.Node)
	case system.FaultPause, system.FaultStarve, system.FaultIsolate, system.FaultErrors, system.FaultSlow, system.FaultRecreate, system.FaultPoison:
	}
	return nil
}

// server is the model of a single server that roles are clients of.
type server interface {
	Start()
	Kill()
	Wipe()
	SetErrors(rate float64)
	SetSlow(delay time.Duration)
	// Disturbed counts the requests that errors and slowness have ever hit.
	Disturbed() (failed, slowed int64)
}

func faultServer(s server, f system.Fault) error {
	switch f.Kind {
	case system.FaultKill, system.FaultStop:
		s.Kill()
	case system.FaultReplace:
		s.Kill()
		s.Wipe()
	case system.FaultErrors:
		s.SetErrors(f.Rate)
	case system.FaultSlow:
		s.SetSlow(f.Delay)
	case system.FaultPause, system.FaultStarve, system.FaultIsolate, system.FaultRecreate, system.FaultPoison:
	}
	return nil
}

func healServer(s server, f system.Fault) {
	switch f.Kind {
	case system.FaultKill, system.FaultStop, system.FaultReplace:
		s.Start()
	case system.FaultErrors:
		s.SetErrors(0)
	case system.FaultSlow:
		s.SetSlow(0)
	case system.FaultPause, system.FaultStarve, system.FaultIsolate, system.FaultRecreate, system.FaultPoison:
	}
}

// serverOf is the server that a fault of the kinds errors and slow is on.
func (w *World) serverOf(f system.Fault) server {
	switch f.Node {
	case system.NodeName(system.RoleMySQL, 1):
		return w.mysql
	case system.NodeName(system.RoleObserver, 1):
		return w.observer
	}
	return w.s3
}

func (w *World) faultRole(ctx context.Context, f system.Fault) error {
	r := w.roles[f.Node]
	switch f.Kind {
	case system.FaultKill:
		r.kill()
	case system.FaultStop:
		r.stop(ctx)
	case system.FaultReplace:
		r.kill()
		r.disk.Wipe()
	case system.FaultPause, system.FaultStarve, system.FaultIsolate, system.FaultErrors, system.FaultSlow, system.FaultRecreate, system.FaultPoison:
	}
	return nil
}

// Heal ends a fault.
func (w *World) Heal(_ context.Context, f system.Fault) error {
	n, ok := w.topology.Node(f.Node)
	if !ok {
		return fmt.Errorf("heal %s: no such node", f)
	}
	if f.Kind == system.FaultIsolate {
		w.dropped[f.String()] = w.held(f)
		w.links(f, w.net.Heal)
		return nil
	}
	switch f.Kind {
	case system.FaultPause:
		w.paused[f.Node]--
		return w.goOn(n)
	case system.FaultStarve:
		w.feed(n, f)
		return nil
	case system.FaultErrors, system.FaultSlow:
		w.dropped[f.String()] = w.disturbed(f) - w.before[f.String()]
	case system.FaultKill, system.FaultStop, system.FaultReplace, system.FaultIsolate, system.FaultRecreate, system.FaultPoison:
	}
	switch n.Role {
	case system.RoleZooKeeper:
		w.zookeeper.StartNode(f.Node)
	case system.RoleKafka:
		return w.kafka.StartBroker(f.Node)
	case system.RoleMySQL:
		healServer(w.mysql, f)
	case system.RoleS3:
		healServer(w.s3, f)
	case system.RoleObserver:
		healServer(w.observer, f)
	case system.RoleShepherd, system.RoleRetriever, system.RoleQuery, system.RoleBeagle, system.RoleTrigger:
		return w.roles[f.Node].start()
	}
	return nil
}

// links applies a change to every link that an isolation is about.
func (w *World) links(f system.Fault, change func(from, to string)) {
	for _, other := range f.From {
		if f.Direction != system.Outbound {
			change(other, f.Node)
		}
		if f.Direction != system.Inbound {
			change(f.Node, other)
		}
	}
}

// Dropped counts what a fault has hit: the messages that an isolation has held back, the requests that errors and
// slowness have disturbed, the times that a starved process was frozen.
func (w *World) Dropped(_ context.Context, f system.Fault) (int64, error) {
	if s := w.starved[f.String()]; s != nil {
		return s.turns, nil
	}
	if n, healed := w.dropped[f.String()]; healed {
		return n, nil
	}
	if f.Kind == system.FaultErrors || f.Kind == system.FaultSlow {
		return w.disturbed(f) - w.before[f.String()], nil
	}
	return w.held(f), nil
}

// disturbed counts the requests that faults of f's kind have ever hit on its server.
func (w *World) disturbed(f system.Fault) int64 {
	failed, slowed := w.serverOf(f).Disturbed()
	if f.Kind == system.FaultErrors {
		return failed
	}
	return slowed
}

func (w *World) held(f system.Fault) int64 {
	var n int64
	w.links(f, func(from, to string) { n += w.net.Held(from, to) })
	return n
}

// Probe asks a node once.
func (w *World) Probe(ctx context.Context, node string) (system.Reach, string) {
	n, ok := w.topology.Node(node)
	if !ok {
		return system.Refuses, "no such node"
	}
	ctx, cancel := w.harness.WithTimeout(ctx, probeDeadline)
	defer cancel()
	service := serviceProbe
	switch n.Role {
	case system.RoleKafka:
		service = w.kafka.ProbeService()
	case system.RoleZooKeeper:
		service = w.zookeeper.ProbeService()
	case system.RoleMySQL:
		service = w.mysql.ProbeService()
	case system.RoleS3:
		service = w.s3.ProbeService()
	case system.RoleObserver:
		service = host.ProbeService
	case system.RoleShepherd, system.RoleRetriever, system.RoleQuery, system.RoleBeagle, system.RoleTrigger:
	}
	_, err := simnet.Call(ctx, w.harness, w.home, node, service, simnet.Message{Size: 16})
	switch {
	case errors.Is(err, port.ErrRefused):
		return system.Refuses, "connection refused"
	case err != nil:
		return system.Silent, "no reply within " + probeDeadline.String()
	}
	return w.ready(ctx, n)
}

// ready says whether a node that answers does its work: a broker is back when the metadata lists it, a retriever when it
// holds its claim.
func (w *World) ready(ctx context.Context, n system.Node) (system.Reach, string) {
	switch n.Role {
	case system.RoleKafka:
		ids, err := w.log.Admin().Brokers(ctx)
		if err != nil || !slices.Contains(ids, int32(n.Number)) {
			return system.Silent, "not in the cluster's metadata"
		}
		return system.Answers, "registered in the cluster's metadata"
	case system.RoleRetriever:
		st, err := w.holders[n.Name].Status(ctx)
		if err != nil || !st.Claimed {
			return system.Silent, "its partition is not claimed"
		}
		return system.Answers, "claimed its partition"
	case system.RoleShepherd, system.RoleZooKeeper, system.RoleMySQL, system.RoleS3, system.RoleQuery, system.RoleBeagle, system.RoleTrigger, system.RoleObserver:
	}
	return system.Answers, "replied"
}
