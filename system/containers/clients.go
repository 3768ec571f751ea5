package containers

import (
	"context"
	"errors"

	"github.com/IBM/sarama"

	"github.com/ratel-sim/ratel/system"
	"github.com/ratel-sim/ratel/system/port"
)

// clients are the harness's own connections to the running topology.
type clients struct {
	admin *tmpAdmin
}

func (c *clients) close(context.Context) {
	if c.admin != nil {
		_ = c.admin.c.Close()
	}
}

func (w *World) connect(context.Context) error {
	var addrs []string
	for _, n := range w.of(system.RoleKafka) {
		addrs = append(addrs, n.host())
	}
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V3_9_0_0
	c, err := sarama.NewClient(addrs, cfg)
	if err != nil {
		return err
	}
	w.clients = &clients{admin: &tmpAdmin{c}}
	return nil
}

type tmpAdmin struct{ c sarama.Client }

func (a *tmpAdmin) Brokers(context.Context) (ids []int32, err error) {
	err = a.c.RefreshMetadata()
	for _, b := range a.c.Brokers() {
		ids = append(ids, b.ID())
	}
	return ids, err
}
func (a *tmpAdmin) CreateTopic(_ context.Context, s port.TopicSpec) error {
	ca, err := sarama.NewClusterAdminFromClient(a.c)
	if err != nil {
		return err
	}
	err = ca.CreateTopic(s.Name, &sarama.TopicDetail{NumPartitions: s.Partitions, ReplicationFactor: s.Replication}, false)
	if errors.Is(err, sarama.ErrTopicAlreadyExists) {
		return nil
	}
	return err
}
func (a *tmpAdmin) Describe(_ context.Context, topic string) (out []port.PartitionState, err error) {
	if err := a.c.RefreshMetadata(topic); err != nil {
		return nil, err
	}
	ps, err := a.c.Partitions(topic)
	for _, p := range ps {
		l, epoch, _ := a.c.LeaderAndEpoch(topic, p)
		isr, _ := a.c.InSyncReplicas(topic, p)
		reps, _ := a.c.Replicas(topic, p)
		s := port.PartitionState{Partition: p, Leader: -1, LeaderEpoch: epoch, ISR: isr, Replicas: reps}
		if l != nil {
			s.Leader = l.ID()
		}
		out = append(out, s)
	}
	return out, err
}
