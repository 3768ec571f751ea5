package containers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/containers/docker"
)

func (w *World) node(name string) (*node, error) {
	n := w.nodes[name]
	if n == nil {
		return nil, fmt.Errorf("no node %q in this topology", name)
	}
	return n, nil
}

// Inject implements the engine's World. Faults on one node may overlap: it runs again when the last that keeps it down
// is healed.
func (w *World) Inject(ctx context.Context, f system.Fault) error {
	if f.Kind == system.FaultRecreate {
		if err := system.Recreate(ctx, w.Catalog(), f, w.topology.Kafka.Partitions); err != nil {
			return fmt.Errorf("inject %s: %w", f, err)
		}
		return nil
	}
	if w.isObserver(f.Node) {
		return w.collector.inject(f)
	}
	n, err := w.node(f.Node)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ctr == nil && f.Kind != system.FaultReplace {
		return fmt.Errorf("%s: %s has been destroyed by a fault that is not healed yet", f, f.Node)
	}
	what := "inject " + f.String()
	switch f.Kind {
	case system.FaultKill, system.FaultStop, system.FaultReplace:
		if err := w.Can(f.Kind, n.Role, false); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		// Marked first: whoever waits to restart it must not.
		already := len(n.down) > 0
		n.down[f.Key()] = true
		switch {
		case f.Kind == system.FaultReplace:
			err = w.remove(ctx, n)
		case already:
			return nil
		case f.Kind == system.FaultKill:
			err = w.engine.Kill(ctx, n.ctr.GetContainerID())
		default:
			err = w.stopNode(ctx, n)
		}
		if err != nil {
			delete(n.down, f.Key())
			return errors.Join(docker.Explain(what, err), w.undo(ctx, n))
		}
		n.lost()
		if !already {
			w.announceNode(n, false)
		}
		return nil
	case system.FaultPause:
		if err := w.freeze(ctx, n, f); err != nil {
			return docker.Explain(what, err)
		}
		n.paused[f.Key()] = true
		return nil
	case system.FaultStarve:
		return docker.Explain(what, w.starve(ctx, n, f))
	case system.FaultIsolate:
		return docker.Explain(what, w.isolate(ctx, n, f))
	case system.FaultErrors, system.FaultSlow:
		return docker.Explain(what, w.degrade(ctx, n, f))
	case system.FaultRecreate, system.FaultPoison: // are about no node's process
	}
	return fmt.Errorf("%s: no such fault here", what)
}

// undoDeadline bounds how long the engine may take to undo what it has half done.
const undoDeadline = 30 * time.Second

// undo starts a node that has ended although its fault could not be injected: nobody heals what was not.
func (w *World) undo(ctx context.Context, n *node) error {
	if len(n.down) > 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoDeadline)
	defer cancel()
	if n.ctr != nil {
		st, err := w.engine.State(ctx, n.ctr.GetContainerID())
		if err != nil || st.Running {
			return err
		}
	}
	n.lost()
	return w.revive(ctx, n)
}

// stopNode asks a process to end and waits until it has. A paused one cannot hear that and is killed by the engine.
func (w *World) stopNode(ctx context.Context, n *node) error {
	patience := stopPatience
	if deadline, ok := ctx.Deadline(); ok {
		// What is left over is for the engine to kill and to answer.
		patience = min(patience, max(time.Until(deadline)-3*time.Second, time.Second))
	}
	return n.ctr.Stop(ctx, &patience)
}

// Heal implements the engine's World.
func (w *World) Heal(ctx context.Context, f system.Fault) error {
	if f.Kind == system.FaultRecreate {
		return nil // there is nothing to heal
	}
	if w.isObserver(f.Node) {
		return w.collector.heal(ctx, f)
	}
	n, err := w.node(f.Node)
	if err != nil {
		return err
	}
	what := "heal " + f.String()
	if f.Kind == system.FaultStarve {
		return docker.Explain(what, w.feed(ctx, n, f))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch f.Kind {
	case system.FaultKill, system.FaultStop, system.FaultReplace:
		if !n.down[f.Key()] {
			return fmt.Errorf("%s: it was not injected", what)
		}
		delete(n.down, f.Key())
		if len(n.down) > 0 {
			return nil // something else keeps it down
		}
		return w.revive(ctx, n)
	case system.FaultPause:
		if !n.paused[f.Key()] {
			return fmt.Errorf("%s: it was not injected", what)
		}
		delete(n.paused, f.Key())
		return docker.Explain(what, w.thaw(ctx, n, f))
	case system.FaultIsolate:
		return docker.Explain(what, w.rejoin(ctx, n, f))
	case system.FaultErrors, system.FaultSlow:
		return docker.Explain(what, w.mend(ctx, n, f))
	case system.FaultStarve, system.FaultRecreate, system.FaultPoison:
	}
	return fmt.Errorf("%s: no such fault here", what)
}

// revive starts a node again, as a fresh and empty one if its container was destroyed.
func (w *World) revive(ctx context.Context, n *node) error {
	if n.Role == system.RoleKafka {
		if err := w.awaitDeregistered(ctx, n); err != nil {
			return err
		}
	}
	if n.ctr == nil {
		if err := w.create(ctx, n); err != nil {
			return err
		}
	}
	if err := w.start(ctx, n); err != nil {
		return err
	}
	if supervised(n) {
		w.rejoins.Go(func() { w.nurse(n) })
	}
	return nil
}

// awaitDeregistered waits until a broker's old registration in ZooKeeper is gone: a broker that starts before that finds
// the znode owned by another session and exits. When ZooKeeper cannot be asked, or does not expire the session in time,
// the broker is started all the same, and nurse starts it again as often as needed.
func (w *World) awaitDeregistered(ctx context.Context, n *node) error {
	znode := fmt.Sprintf("/kafka/brokers/ids/%d", n.Number)
	patience := time.Now().Add(2*w.topology.Kafka.SessionTimeout + 2*time.Second)
	for time.Now().Before(patience) {
		held, err := w.ephemeral(ctx, znode)
		if err == nil && !held {
			return nil
		}
		if err := pause(ctx, readyPoll); err != nil {
			return fmt.Errorf("wait for the old session of %s to expire: %w", n.Name, err)
		}
	}
	return nil
}

// lost forgets what a process's end has undone: a pause ends with it, and its network namespace goes.
func (n *node) lost() {
	clear(n.frozen)
	if n.front != nil {
		return // its cuts are in force around its proxy, which goes on
	}
	for _, iso := range n.cuts {
		iso.applied = false
	}
}
