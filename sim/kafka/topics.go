package kafka

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/ratel-sim/ratel/system/port"
)

// createTopic makes a topic: its assignment first, then the state of each partition.
func (k *controller) createTopic(r *createTopicRequest, answer func(any, int)) {
	k.do(func(ctx context.Context) error {
		result, err := k.create(ctx, r.spec)
		if err == nil {
			answer(&createTopicResponse{code: result}, 8)
		}
		return err
	})
}

func (k *controller) create(ctx context.Context, spec port.TopicSpec) (code, error) {
	if _, ok := k.topics[spec.Name]; ok {
		return codeTopicAlreadyExists, nil
	}
	var live []int32
	for id := range k.brokers {
		if k.live(int32(id)) && !k.brokers[id].shutting {
			live = append(live, int32(id))
		}
	}
	switch {
	case spec.Name == "":
		return codeInvalidTopic, nil
	case spec.Partitions < 1:
		return codeInvalidPartitions, nil
	case spec.Replication < 1 || int(spec.Replication) > len(live):
		return codeInvalidReplicationFactor, nil
	}
	replicas := spec.Assignment
	switch {
	case len(replicas) == 0:
		replicas = assign(live, int(spec.Partitions), int(spec.Replication), k.b.rnd.IntN(len(live)))
	case !possible(spec, live):
		return codeInvalidReplicaAssignment, nil
	}
	t := topicNode{Replicas: replicas, MinISR: max(spec.MinISR, 1), Unclean: spec.Unclean}
	err := k.try(ctx, func() error {
		_, err := k.sess.Create(ctx, topicPath(spec.Name), encode(t), port.Persistent)
		return err
	})
	if err != nil && !errors.Is(err, port.ErrNodeExists) { // it exists if the connection was lost in between
		return codeNone, err
	}
	k.topics[spec.Name] = t
	for i, replicas := range t.Replicas {
		k.enter(spec.Name, int32(i), replicas, t)
	}
	return codeNone, k.initialise(ctx, spec.Name)
}

// possible says whether an assignment names each partition, and for each as many brokers as it is to have, all different and alive.
func possible(spec port.TopicSpec, live []int32) bool {
	if len(spec.Assignment) != int(spec.Partitions) {
		return false
	}
	for _, replicas := range spec.Assignment {
		if len(replicas) != int(spec.Replication) {
			return false
		}
		for i, id := range replicas {
			if !slices.Contains(live, id) || slices.Contains(replicas[:i], id) {
				return false
			}
		}
	}
	return true
}

// createPartitions gives a topic more partitions: their assignment first, then the state of each.
func (k *controller) createPartitions(r *createPartitionsRequest, answer func(any, int)) {
	k.do(func(ctx context.Context) error {
		result, err := k.grow(ctx, r.topic, int(r.total))
		if err == nil {
			answer(&createPartitionsResponse{code: result}, 8)
		}
		return err
	})
}

func (k *controller) grow(ctx context.Context, topic string, total int) (code, error) {
	t, ok := k.topics[topic]
	if !ok {
		return codeUnknownTopicOrPartition, nil
	}
	var live []int32
	for id := range k.brokers {
		if k.live(int32(id)) && !k.brokers[id].shutting {
			live = append(live, int32(id))
		}
	}
	have, replication := len(t.Replicas), len(t.Replicas[0])
	switch {
	case total <= have: // as many are refused too
		return codeInvalidPartitions, nil
	case replication > len(live):
		return codeInvalidReplicationFactor, nil
	}
	// Kafka goes on where it began: with the broker that the first partition was given to first.
	start := max(slices.Index(live, t.Replicas[0][0]), 0)
	t.Replicas = slices.Concat(t.Replicas, assign(live, total, replication, start)[have:])
	if err := k.try(ctx, func() error {
		_, err := k.sess.Set(ctx, topicPath(topic), encode(t), -1)
		return err
	}); err != nil {
		return codeNone, err
	}
	k.topics[topic] = t
	for p := have; p < total; p++ {
		k.enter(topic, int32(p), t.Replicas[p], t)
	}
	return codeNone, k.initialise(ctx, topic)
}

// assign spreads replicas over the brokers as Kafka does: leaders round-robin from a random start, followers shifted by
// one more in each round.
func assign(live []int32, partitions, replication, start int) [][]int32 {
	n := len(live)
	shift := start
	all := make([][]int32, partitions)
	for p := range partitions {
		if p > 0 && p%n == 0 {
			shift++
		}
		first := (p + start) % n
		replicas := []int32{live[first]}
		for j := range replication - 1 {
			replicas = append(replicas, live[(first+1+(shift+j)%(n-1))%n])
		}
		all[p] = replicas
	}
	return all
}

// initialise elects the first leaders of a new topic: every live replica is in sync, as all are empty.
func (k *controller) initialise(ctx context.Context, topic string) error {
	dir := topicPath(topic) + "/partitions"
	if err := makePath(ctx, k.b.p, k.sess, dir, nil); err != nil {
		return err
	}
	ch := k.newChange()
	for _, ps := range k.parts {
		if ps.ref.topic != topic || ps.st.leaderEpoch >= 0 {
			continue
		}
		var isr []int32
		leader := noBroker
		for _, id := range ps.st.replicas {
			if k.live(id) {
				isr = append(isr, id)
				if leader == noBroker {
					leader = id
				}
			}
		}
		if leader == noBroker {
			continue
		}
		slices.Sort(isr)
		if err := makePath(ctx, k.b.p, k.sess, dir+"/"+strconv.Itoa(int(ps.ref.part)), nil); err != nil {
			return err
		}
		st := *ps.st
		st.controllerEpoch, st.leader, st.leaderEpoch, st.isr, st.partEpoch = k.epoch, leader, 0, isr, 0
		err := k.try(ctx, func() error {
			_, err := k.sess.Create(ctx, statePath(ps.ref), encode(stateNode{k.epoch, leader, 0, isr}), port.Persistent)
			return err
		})
		if err != nil && !errors.Is(err, port.ErrNodeExists) {
			return err
		}
		old := ps.st
		ps.st = &st
		if err != nil { // a lost connection in between: what is there counts
			if err := k.readState(ctx, ps); err != nil {
				return err
			}
		}
		k.b.c.committed(old, ps.st)
		ch.add(ps, ps.st.replicas...)
	}
	return k.flush(ch)
}
