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

// Inject begins a fault. Several may be on a node at once: it is down until the last that took it down is healed, and
// disturbed by all that disturb it together.
func (w *World) Inject(ctx context.Context, f system.Fault) error {
	n, ok := w.topology.Node(f.Node)
	if !ok {
		return fmt.Errorf("inject %s: no such node", f)
	}
	switch f.Kind {
	case system.FaultKill, system.FaultStop, system.FaultReplace:
		return w.takeDown(ctx, n, f)
	case system.FaultPause:
		return w.freeze(n, f)
	case system.FaultStarve:
		w.starve(n, f)
		return nil
	case system.FaultIsolate:
		delete(w.dropped, f.Key()) // of an earlier time
		w.on[n.Name] = append(w.on[n.Name], f)
		w.links(f, w.net.Cut)
		w.before[f.Key()] = w.held(f) // by another that has cut the same link
		return nil
	case system.FaultErrors, system.FaultSlow:
		if w.serverOf(n) == nil {
			break
		}
		delete(w.dropped, f.Key())
		w.before[f.Key()] = w.disturbed(n, f.Kind)
		w.on[n.Name] = append(w.on[n.Name], f)
		w.degrade(n)
		return nil
	case system.FaultRecreate:
		return system.Recreate(ctx, w.catalog, f, w.topology.Kafka.Partitions)
	case system.FaultPoison:
	}
	return fmt.Errorf("inject %s: there is no such fault on a %s", f, n.Role)
}

// Heal ends a fault.
func (w *World) Heal(_ context.Context, f system.Fault) error {
	n, ok := w.topology.Node(f.Node)
	if !ok {
		return fmt.Errorf("heal %s: no such node", f)
	}
	switch f.Kind {
	case system.FaultKill, system.FaultStop, system.FaultReplace:
		w.lift(f)
		if w.isDown(n.Name) {
			return nil
		}
		return w.machineOf(n).start()
	case system.FaultPause:
		return w.thaw(n, f)
	case system.FaultStarve:
		w.feed(n, f)
	case system.FaultIsolate:
		w.dropped[f.Key()] = w.held(f) - w.before[f.Key()]
		w.lift(f)
		w.links(f, func(from, to string) {
			if !w.isCut(from, to) {
				w.net.Heal(from, to)
			}
		})
	case system.FaultErrors, system.FaultSlow:
		w.dropped[f.Key()] = w.disturbed(n, f.Kind) - w.before[f.Key()]
		w.lift(f)
		w.degrade(n)
	case system.FaultRecreate, system.FaultPoison: // are over as soon as they have begun
	}
	return nil
}

// lift takes a fault off its node.
func (w *World) lift(f system.Fault) {
	on := w.on[f.Node]
	if i := slices.IndexFunc(on, func(g system.Fault) bool { return g.Key() == f.Key() }); i >= 0 {
		w.on[f.Node] = slices.Delete(on, i, i+1)
	}
}

// isDown tells whether a fault keeps a node from running.
func (w *World) isDown(node string) bool {
	return slices.ContainsFunc(w.on[node], func(f system.Fault) bool {
		return f.Kind == system.FaultKill || f.Kind == system.FaultStop || f.Kind == system.FaultReplace
	})
}

// isCut tells whether an isolation keeps one node from hearing of another.
func (w *World) isCut(from, to string) bool {
	cut := false
	for _, on := range w.on { // order: any of them will do
		for _, f := range on {
			if f.Kind == system.FaultIsolate {
				w.links(f, func(a, b string) { cut = cut || a == from && b == to })
			}
		}
	}
	return cut
}

func (w *World) takeDown(ctx context.Context, n system.Node, f system.Fault) error {
	already, m := w.isDown(n.Name), w.machineOf(n)
	w.on[n.Name] = append(w.on[n.Name], f)
	if !already {
		if err := m.end(ctx, f.Kind == system.FaultStop); err != nil {
			w.lift(f)
			return err
		}
		delete(w.frozen, n.Name) // whatever starts there later runs
	}
	if f.Kind == system.FaultReplace {
		if err := m.wipe(); err != nil {
			w.lift(f)
			return err
		}
	}
	return nil
}

// degrade has a server's requests suffer what the faults on it amount to.
func (w *World) degrade(n system.Node) {
	rate, delay := system.Degradation(w.on[n.Name])
	w.serverOf(n).SetErrors(rate)
	w.serverOf(n).SetSlow(delay)
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
	if s := w.starved[f.Key()]; s != nil {
		return s.turns, nil
	}
	if n, healed := w.dropped[f.Key()]; healed {
		return n, nil
	}
	if f.Kind == system.FaultErrors || f.Kind == system.FaultSlow {
		n, _ := w.topology.Node(f.Node)
		return w.disturbed(n, f.Kind) - w.before[f.Key()], nil
	}
	return w.held(f) - w.before[f.Key()], nil
}

// disturbed counts the requests that faults of a kind have ever hit on a server.
func (w *World) disturbed(n system.Node, kind system.FaultKind) int64 {
	failed, slowed := w.serverOf(n).Disturbed()
	if kind == system.FaultErrors {
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
