package sim

import (
	"context"
	"time"

	"github.com/ratel-sim/ratel/sim/kafka"
	"github.com/ratel-sim/ratel/sim/zookeeper"
	"github.com/ratel-sim/ratel/system"
)

// machine is what a node runs on, whatever its role.
type machine interface {
	// start starts the process again. What had been made durable is there, unless the disk was wiped.
	start() error
	// end ends the process: at once, or in order where it has something to do first.
	end(ctx context.Context, inOrder bool) error
	// wipe gives a machine whose process has ended an empty disk, as another in its place has.
	wipe() error
	// freeze stops the process as SIGSTOP does: its connections stay open and nobody answers.
	freeze() error
	// goOn ends a freeze, as SIGCONT does. A process that began after it runs anyway.
	goOn() error
}

func (w *World) machineOf(n system.Node) machine {
	switch n.Role {
	case system.RoleZooKeeper:
		return member{w.zookeeper, n.Name}
	case system.RoleKafka:
		return broker{w.kafka, n.Name}
	case system.RoleMySQL, system.RoleS3, system.RoleObserver:
		return single{w.serverOf(n)}
	case system.RoleShepherd, system.RoleRetriever, system.RoleQuery, system.RoleBeagle, system.RoleTrigger:
	}
	return w.roles[n.Name]
}

// member is a ZooKeeper server. It has nothing to do before it ends.
type member struct {
	ensemble *zookeeper.Ensemble
	name     string
}

func (m member) start() error                    { m.ensemble.StartNode(m.name); return nil }
func (m member) end(context.Context, bool) error { m.ensemble.KillNode(m.name); return nil }
func (m member) wipe() error                     { m.ensemble.WipeNode(m.name); return nil }
func (m member) freeze() error                   { m.ensemble.PauseNode(m.name); return nil }
func (m member) goOn() error                     { m.ensemble.ResumeNode(m.name); return nil }

// broker is a Kafka broker. Ended in order, it hands its partitions over first.
type broker struct {
	cluster *kafka.Cluster
	name    string
}

func (b broker) start() error { return b.cluster.StartBroker(b.name) }

func (b broker) end(ctx context.Context, inOrder bool) error {
	if inOrder {
		err := b.cluster.StopBroker(ctx, b.name)
		if !b.cluster.Running(b.name) { // it did not end in time, as one that is frozen, and was killed, as a container engine does
			return nil
		}
		return err
	}
	return b.cluster.KillBroker(b.name)
}

func (b broker) wipe() error   { return b.cluster.WipeBroker(b.name) }
func (b broker) freeze() error { return b.cluster.PauseBroker(b.name) }
func (b broker) goOn() error   { return b.cluster.ResumeBroker(b.name) }

// single is a server that there is one of. It has nothing to do before it ends.
type single struct{ server }

func (s single) start() error                    { s.Start(); return nil }
func (s single) end(context.Context, bool) error { s.Kill(); return nil }
func (s single) wipe() error                     { s.Wipe(); return nil }
func (s single) freeze() error                   { s.Pause(); return nil }
func (s single) goOn() error                     { s.Resume(); return nil }

// server is the model of a single server that roles are clients of.
type server interface {
	Start()
	Kill()
	Wipe()
	Pause()
	Resume()
	SetErrors(rate float64)
	SetSlow(delay time.Duration)
	// Disturbed counts the requests that errors and slowness have ever hit.
	Disturbed() (failed, slowed int64)
}

// serverOf is the server that a node is; nil if it is none.
func (w *World) serverOf(n system.Node) server {
	switch n.Role {
	case system.RoleMySQL:
		return w.mysql
	case system.RoleS3:
		return w.s3
	case system.RoleObserver:
		return w.observer
	case system.RoleZooKeeper, system.RoleKafka, system.RoleShepherd, system.RoleRetriever, system.RoleQuery, system.RoleBeagle, system.RoleTrigger:
	}
	return nil
}
