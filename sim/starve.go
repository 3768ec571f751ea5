package sim

import (
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
	w.starved[f.String()] = s
	var freeze, run func()
	freeze = func() {
		// A process that is down meanwhile has nothing to freeze; the next incarnation is on the same sick machine.
		if w.freeze(n) == nil {
			s.turns++
		}
		s.next = w.harness.After(f.Delay, run)
	}
	run = func() {
		if w.paused[n.Name] == 0 {
			_ = w.goOn(n)
		}
		s.next = w.harness.After(f.Turn(), freeze)
	}
	freeze()
}

// feed ends the turns.
func (w *World) feed(n system.Node, f system.Fault) {
	s := w.starved[f.String()]
	if s == nil || s.healed {
		return
	}
	s.healed = true
	s.next.Stop()
	if w.paused[n.Name] == 0 {
		_ = w.goOn(n)
	}
}

// freeze stops a node's process as SIGSTOP does.
func (w *World) freeze(n system.Node) error {
	switch n.Role {
	case system.RoleZooKeeper:
		w.zookeeper.PauseNode(n.Name)
	case system.RoleKafka:
		return w.kafka.PauseBroker(n.Name)
	case system.RoleMySQL:
		w.mysql.Pause()
	case system.RoleS3:
		w.s3.Pause()
	case system.RoleObserver:
		w.observer.Pause()
	case system.RoleShepherd, system.RoleRetriever, system.RoleQuery, system.RoleBeagle, system.RoleTrigger:
		w.roles[n.Name].process.Pause()
	}
	return nil
}

// goOn ends a freeze.
func (w *World) goOn(n system.Node) error {
	switch n.Role {
	case system.RoleZooKeeper:
		w.zookeeper.ResumeNode(n.Name)
	case system.RoleKafka:
		return w.kafka.ResumeBroker(n.Name)
	case system.RoleMySQL:
		w.mysql.Resume()
	case system.RoleS3:
		w.s3.Resume()
	case system.RoleObserver:
		w.observer.Resume()
	case system.RoleShepherd, system.RoleRetriever, system.RoleQuery, system.RoleBeagle, system.RoleTrigger:
		w.roles[n.Name].process.Resume()
	}
	return nil
}
