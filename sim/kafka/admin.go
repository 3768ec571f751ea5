package kafka

import (
	"context"
	"fmt"
	"slices"
	"time"

	simnet "github.com/ratel-sim/ratel/sim/net"
	"github.com/ratel-sim/ratel/system/port"
)

const (
	adminDialTimeout = time.Second
	adminReadTimeout = 4 * time.Second
	adminBackoff     = 100 * time.Millisecond
	// metadataPatience is how long Describe waits for further brokers once one has answered.
	metadataPatience = 500 * time.Millisecond
)

// admin implements port.LogAdmin.
type admin struct{ k *client }

// CreateTopic implements port.LogAdmin. It returns once every partition has a leader.
func (a *admin) CreateTopic(ctx context.Context, spec port.TopicSpec) error {
	exists := false
	for {
		id, err := a.controller(ctx)
		if err != nil {
			return fmt.Errorf("kafka: create topic %s: no controller: %w", spec.Name, err)
		}
		body, err := a.k.ask(ctx, id, simnet.Message{Body: &createTopicRequest{spec}, Size: headerBytes + len(spec.Name), Sum: uint64(spec.Partitions)})
		if ctx.Err() != nil {
			return fmt.Errorf("kafka: create topic %s: %w: %w", spec.Name, port.ErrUnknown, ctx.Err())
		}
		if err == nil {
			switch result := body.(*createTopicResponse).code; result {
			case codeNone:
				return a.created(ctx, spec, false)
			case codeTopicAlreadyExists:
				exists = true
			case codeNotController:
			default:
				return fmt.Errorf("kafka: create topic %s (%d partitions, replication %d): broker answered %v: %w",
					spec.Name, spec.Partitions, spec.Replication, result, port.ErrRefused)
			}
		}
		if exists {
			return a.created(ctx, spec, true)
		}
		if err := a.k.p.Sleep(ctx, adminBackoff); err != nil {
			return fmt.Errorf("kafka: create topic %s: %w: %w", spec.Name, port.ErrUnknown, err)
		}
	}
}

// created waits until all partitions have leaders, and compares the shape if the topic was there before.
func (a *admin) created(ctx context.Context, spec port.TopicSpec, existed bool) error {
	for {
		parts, err := a.Describe(ctx, spec.Name)
		ready := err == nil && len(parts) > 0
		for _, p := range parts {
			ready = ready && p.Leader != noBroker
		}
		if ready && existed && (len(parts) != int(spec.Partitions) || len(parts[0].Replicas) != int(spec.Replication)) {
			return fmt.Errorf("kafka: topic %s has %d partitions and replication %d, wanted %d and %d: %w", spec.Name,
				len(parts), len(parts[0].Replicas), spec.Partitions, spec.Replication, port.ErrExists)
		}
		if ready && len(parts) == int(spec.Partitions) {
			return nil
		}
		if err := a.k.p.Sleep(ctx, adminBackoff); err != nil {
			return fmt.Errorf("kafka: topic %s was created but has no leaders yet: %w", spec.Name, err)
		}
	}
}

// GrowTopic implements port.LogAdmin.
func (a *admin) GrowTopic(ctx context.Context, topic string, total int32) error {
	fail := func(why error, because any) error {
		return fmt.Errorf("kafka: grow topic %s to %d partitions: %w: %v", topic, total, why, because)
	}
	for {
		id, err := a.controller(ctx)
		if err != nil {
			return fail(port.ErrUnknown, err)
		}
		body, err := a.k.ask(ctx, id, simnet.Message{Body: &createPartitionsRequest{topic, total}, Size: headerBytes + len(topic), Sum: uint64(total)})
		if err == nil {
			switch result := body.(*createPartitionsResponse).code; result {
			case codeNone, codeInvalidPartitions: // which is said of fewer and of as many: which of both is told by looking
				return a.grown(ctx, topic, total, result)
			case codeUnknownTopicOrPartition:
				return fail(port.ErrNoTopic, result)
			case codeNotController:
			default:
				return fail(port.ErrRefused, result)
			}
		}
		if err := a.k.p.Sleep(ctx, adminBackoff); err != nil {
			return fail(port.ErrUnknown, err)
		}
	}
}

// grown waits until all partitions have leaders.
func (a *admin) grown(ctx context.Context, topic string, total int32, result code) error {
	for {
		parts, err := a.Describe(ctx, topic)
		switch {
		case err == nil && result != codeNone && len(parts) != int(total):
			return fmt.Errorf("kafka: grow topic %s to %d partitions: it has %d: broker answered %v: %w", topic, total, len(parts), result, port.ErrRefused)
		case err == nil && len(parts) == int(total) && !slices.ContainsFunc(parts, func(p port.PartitionState) bool { return p.Leader == noBroker }):
			return nil
		}
		if err := a.k.p.Sleep(ctx, adminBackoff); err != nil {
			return fmt.Errorf("kafka: topic %s has grown to %d partitions, which have no leaders yet: %w", topic, total, err)
		}
	}
}

// controller finds the active controller.
func (a *admin) controller(ctx context.Context) (int32, error) {
	for {
		resps, err := a.k.everyone(ctx, nil)
		if err != nil {
			return 0, err
		}
		votes := make([]int, len(a.k.conns))
		best := noBroker
		for _, r := range resps {
			if r.controller == noBroker {
				continue
			}
			votes[r.controller]++
			if best == noBroker || votes[r.controller] > votes[best] {
				best = r.controller
			}
		}
		if best != noBroker {
			return best, nil
		}
		if err := a.k.p.Sleep(ctx, adminBackoff); err != nil {
			return 0, err
		}
	}
}

// Describe implements port.LogAdmin: each partition as the broker sees it that knows its highest epoch.
func (a *admin) Describe(ctx context.Context, topic string) ([]port.PartitionState, error) {
	resps, err := a.k.everyone(ctx, []string{topic})
	if err != nil {
		return nil, fmt.Errorf("kafka: describe %s: %w", topic, err)
	}
	var best []*partitionMetadata
	for _, r := range resps {
		for i := range r.topics {
			for j := range r.topics[i].parts {
				p := &r.topics[i].parts[j]
				for len(best) <= int(p.ref.part) {
					best = append(best, nil)
				}
				if b := best[p.ref.part]; b == nil || p.epoch > b.epoch || p.epoch == b.epoch && p.partEpoch > b.partEpoch {
					best[p.ref.part] = p
				}
			}
		}
	}
	var out []port.PartitionState
	for i, p := range best {
		if p == nil {
			return nil, fmt.Errorf("kafka: describe %s: partition %d is not in the metadata yet", topic, i)
		}
		out = append(out, port.PartitionState{Partition: int32(i), Leader: p.leader, LeaderEpoch: p.epoch, Replicas: slices.Clone(p.replicas), ISR: slices.Clone(p.isr)})
	}
	if out == nil {
		return nil, fmt.Errorf("kafka: describe %s: %w", topic, port.ErrNoTopic)
	}
	return out, nil
}

// Brokers implements port.LogAdmin: as most of those that answer see it, the controller's word first.
func (a *admin) Brokers(ctx context.Context) ([]int32, error) {
	id, err := a.controller(ctx)
	if err != nil {
		return nil, fmt.Errorf("kafka: list brokers: %w", err)
	}
	ctx2, cancel := a.k.p.WithTimeout(ctx, metadataPatience)
	defer cancel()
	body, err := a.k.ask(ctx2, id, simnet.Message{Body: &metadataRequest{}, Size: headerBytes})
	var resp *metadataResponse
	if err == nil {
		resp = body.(*metadataResponse)
	} else { // the controller is away: whoever answers
		all, err := a.k.everyone(ctx, nil)
		if err != nil {
			return nil, fmt.Errorf("kafka: list brokers: %w", err)
		}
		resp = all[0]
	}
	var ids []int32
	for _, b := range resp.brokers {
		ids = append(ids, b.id)
	}
	return ids, nil
}

// Offsets implements port.LogAdmin.
func (a *admin) Offsets(ctx context.Context, topic string, partition int32) (start, highWatermark int64, err error) {
	ref := a.k.c.ref(topic, partition)
	if start, err = a.offset(ctx, ref, true); err == nil {
		highWatermark, err = a.offset(ctx, ref, false)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("kafka: offsets of %s/%d: %w", topic, partition, err)
	}
	return start, highWatermark, nil
}

func (a *admin) offset(ctx context.Context, ref *tpRef, earliest bool) (int64, error) {
	denied := 0
	for {
		if l, ok := a.k.leader(ref); ok {
			req := &listOffsetsRequest{ref: ref, epoch: l.epoch, earliest: earliest}
			body, err := a.k.ask(ctx, l.id, simnet.Message{Body: req, Size: headerBytes + perPartBytes})
			if err == nil {
				if resp := body.(*listOffsetsResponse); resp.code == codeNone {
					return resp.offset, nil
				}
			}
			a.k.forget(ref)
		} else if err := a.k.refreshWait(ctx, ref.topic); err == nil {
			if _, ok := a.k.leader(ref); ok {
				continue
			}
			if a.k.view(ref.topic).code == codeUnknownTopicOrPartition {
				if denied++; denied >= unknownTopicTries {
					return 0, port.ErrNoTopic
				}
			}
		}
		if err := a.k.p.Sleep(ctx, adminBackoff); err != nil {
			return 0, err
		}
	}
}
