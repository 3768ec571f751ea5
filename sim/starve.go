package sim

import (
	"fmt"

	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system"
)

// starvation is a process that is frozen and let go on in turns. Its connections stay open, and what came meanwhile is
// worked off late, as by a machine whose processor or disk has nothing left to give.
type starvation struct {
	turns  int64 // how often it was frozen
	next   sched.Timer
	healed bool
}

// starve begins the turns with a frozen one.
func (w *World) starve(n system.Node, f system.Fault) {
	s := &starvation{}
	w.starved[f.Key()] = s
	var freeze, run func()
	freeze = func() {
		// A process that is down meanwhile has nothing to freeze; the next incarnation is on the same sick machine.
		if w.freeze(n, f) == nil {
			s.turns++
		}
		s.next = w.harness.After(f.Delay, run)
	}
	run = func() {
		_ = w.thaw(n, f)
		s.next = w.harness.After(f.Turn(), freeze)
	}
	freeze()
}

// feed ends the turns.
func (w *World) feed(n system.Node, f system.Fault) {
	s := w.starved[f.Key()]
	if s == nil || s.healed {
		return
	}
	s.healed = true
	s.next.Stop()
	_ = w.thaw(n, f)
}

// freeze stops a node's process until nothing freezes it any more. One that a fault has ended cannot be frozen.
func (w *World) freeze(n system.Node, f system.Fault) error {
	if w.isDown(n.Name) {
		return fmt.Errorf("freeze %s: it does not run", n.Name)
	}
	if len(w.frozen[n.Name]) == 0 {
		if err := w.machineOf(n).freeze(); err != nil {
			return err
		}
		w.frozen[n.Name] = map[string]bool{}
	}
	w.frozen[n.Name][f.Key()] = true
	return nil
}

// thaw ends what freeze began, unless another fault keeps the process frozen.
func (w *World) thaw(n system.Node, f system.Fault) error {
	if !w.frozen[n.Name][f.Key()] {
		return nil // the process has ended meanwhile
	}
	if delete(w.frozen[n.Name], f.Key()); len(w.frozen[n.Name]) > 0 {
		return nil
	}
	return w.machineOf(n).goOn()
}
