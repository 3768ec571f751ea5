package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/ratel-sim/ratel/sim/kafka"
	"github.com/ratel-sim/ratel/sim/mysql"
	"github.com/ratel-sim/ratel/sim/s3"
	"github.com/ratel-sim/ratel/sim/zookeeper"
	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/planted"
)

// readyPoll is how often Start looks whether a node is ready.
const readyPoll = 50 * time.Millisecond

// Start brings the whole topology up.
func (w *World) Start(ctx context.Context, t system.Topology) error {
	w.topology = t
	var zkNames, brokers []string
	var roles []*role
	for _, n := range t.Whole().Place(w.opts.Planted) {
		switch n.Role {
		case system.RoleZooKeeper:
			zkNames = append(zkNames, n.Name)
		case system.RoleKafka:
			brokers = append(brokers, n.Name)
		case system.RoleMySQL:
			w.mysql = mysql.New(w.sched, w.net, mysql.Config{Node: n.Name, Events: &w.sink})
		case system.RoleS3:
			w.s3 = s3.New(w.sched, w.net, s3.Config{Node: n.Name, Events: &w.sink})
		case system.RoleShepherd:
			roles = append(roles, w.newShepherd(n))
			w.ingests = append(w.ingests, w.ingest(n.Name))
		case system.RoleRetriever:
			r := w.newRetriever(n)
			if w.roles[n.Name] = r; !t.Waits(n) {
				roles = append(roles, r)
			}
			w.holders[n.Name] = &holder{w: w, node: n.Name}
		case system.RoleQuery:
			roles = append(roles, w.newQuery(n))
			w.queriers = append(w.queriers, w.querier(n.Name))
		case system.RoleBeagle:
			roles = append(roles, w.newBeagle(n))
		case system.RoleTrigger:
			roles = append(roles, w.newTrigger(n))
		case system.RoleObserver:
			w.observer = w.newObserver(n)
			w.observer.Start()
		}
	}
	w.mysql.Start()
	w.s3.Start()
	w.zookeeper = zookeeper.New(w.sched, w.net, zookeeper.Config{Nodes: zkNames, Events: &w.sink})
	for _, name := range zkNames {
		w.zookeeper.StartNode(name)
	}
	w.kafka = kafka.New(w.sched, w.net, w.zookeeper, kafka.Config{
		Brokers:           len(brokers),
		SessionTimeout:    t.Kafka.SessionTimeout,
		ReplicaLagTimeMax: t.Kafka.ReplicaLagTimeMax,
		Bugs:              kafka.Bugs{TruncateToHighWatermark: w.opts.Planted.Has(planted.TruncateToHighWatermark)},
		Events:            &w.sink,
	})
	for _, name := range brokers {
		if err := w.kafka.StartBroker(name); err != nil {
			return err
		}
	}
	w.log = w.kafka.Client(w.home, w.harness)
	w.catalog, w.blobs = w.mysql.Client(w.home, w.harness), w.s3.Client(w.home, w.harness)

	for _, team := range t.Teams {
		if err := w.until(ctx, "the team "+team.Name+" to be created", func(ctx context.Context) (bool, error) {
			_, err := w.catalog.CreateTeam(ctx, team.NewTeam())
			return err == nil, err
		}); err != nil {
			return err
		}
	}
	if err := w.until(ctx, "the brokers to register", func(ctx context.Context) (bool, error) {
		ids, err := w.log.Admin().Brokers(ctx)
		return len(ids) == len(brokers), err
	}); err != nil {
		return err
	}
	spec := t.Kafka.TopicSpec()
	if err := w.until(ctx, "the events topic to be created", func(ctx context.Context) (bool, error) {
		err := w.log.Admin().CreateTopic(ctx, spec)
		return err == nil, err
	}); err != nil {
		return err
	}
	if err := w.until(ctx, "full ISRs of the events topic", w.fullISR); err != nil {
		return err
	}
	for _, r := range roles {
		w.roles[r.node.Name] = r
		if err := r.start(); err != nil {
			return err
		}
	}
	return w.claimed(ctx, roles)
}

// StartNodes starts retrievers that there was room for and that did not run so far.
func (w *World) StartNodes(ctx context.Context, names []string) error {
	var roles []*role
	for _, name := range names {
		r := w.roles[name]
		switch {
		case r == nil:
			return fmt.Errorf("there is no node %s", name)
		case r.process != nil:
			return fmt.Errorf("%s was started before", name)
		}
		roles = append(roles, r)
	}
	for _, r := range roles {
		if err := r.start(); err != nil {
			return err
		}
	}
	return w.claimed(ctx, roles)
}

// claimed waits until all retrievers among roles have their partitions.
func (w *World) claimed(ctx context.Context, roles []*role) error {
	return w.until(ctx, "the retrievers to claim their partitions", func(ctx context.Context) (bool, error) {
		for _, r := range roles {
			if r.node.Role != system.RoleRetriever {
				continue
			}
			if st, err := w.holders[r.node.Name].Status(ctx); err != nil || !st.Claimed {
				return false, err
			}
		}
		return true, nil
	})
}

func (w *World) fullISR(ctx context.Context) (bool, error) {
	parts, err := w.log.Admin().Describe(ctx, system.EventsTopic)
	if err != nil || len(parts) != int(w.topology.Kafka.Partitions) {
		return false, err
	}
	for _, p := range parts {
		if p.Leader < 0 || len(p.ISR) < int(w.topology.Kafka.Replication) {
			return false, nil
		}
	}
	return true, nil
}

// until polls a condition until it holds or ctx ends; the error then says what was waited for and what stood in the way.
func (w *World) until(ctx context.Context, what string, holds func(ctx context.Context) (bool, error)) error {
	for {
		ok, err := holds(ctx)
		if ok {
			return nil
		}
		if sleepErr := w.harness.Sleep(ctx, readyPoll); sleepErr != nil {
			if err != nil {
				return fmt.Errorf("waiting for %s: %w (last: %w)", what, sleepErr, err)
			}
			return fmt.Errorf("waiting for %s: %w", what, sleepErr)
		}
	}
}
