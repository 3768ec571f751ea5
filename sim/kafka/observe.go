package kafka

import (
	"slices"

	"github.com/ratel-sim/ratel/system/port"
)

// What observers see: faults that pick a target, checks and tests. Nothing in the model reads it.

// State returns a partition's state as last committed to ZooKeeper; ok is false if there is none.
func (c *Cluster) State(topic string, partition int32) (st port.PartitionState, ok bool) {
	r := c.refs[refKey{topic, partition}]
	if r == nil || c.states[r.idx] == nil {
		return port.PartitionState{}, false
	}
	s := c.states[r.idx]
	return port.PartitionState{Partition: partition, Leader: s.leader, LeaderEpoch: s.leaderEpoch, Replicas: slices.Clone(s.replicas), ISR: slices.Clone(s.isr)}, true
}

// Leader names the broker that leads a partition; "" if none does.
func (c *Cluster) Leader(topic string, partition int32) string {
	if st, ok := c.State(topic, partition); ok && st.Leader != noBroker {
		return c.byID(st.Leader).name
	}
	return ""
}

// Controller names the broker that believes itself to be the active controller under the highest epoch; "" if none does.
func (c *Cluster) Controller() string {
	name, epoch := "", int32(-1)
	for _, b := range c.brokers {
		if b.run != nil && b.run.controller != nil && !b.run.controller.resigned && b.run.controller.epoch > epoch {
			name, epoch = b.name, b.run.controller.epoch
		}
	}
	return name
}

// Running reports whether a broker's process runs.
func (c *Cluster) Running(name string) bool {
	b, err := c.named(name)
	return err == nil && b.run != nil
}

// Replica is one replica's log as it lies on a broker's disk.
type Replica struct {
	Broker        string
	Running       bool
	HighWatermark int64 // of a running broker; else as last checkpointed
	Start, End    int64
	Records       []port.Fetched // from Start on
	Epochs        []int32        // the leader epoch of each record
}

// Replicas returns every replica of a partition that exists on a disk, in order of broker ids. Records are shared with
// the model and must not be changed.
func (c *Cluster) Replicas(topic string, partition int32) []Replica {
	r := c.refs[refKey{topic, partition}]
	if r == nil {
		return nil
	}
	var out []Replica
	for _, b := range c.brokers {
		if r.idx >= len(b.disk.logs) || b.disk.logs[r.idx] == nil {
			continue
		}
		l := b.disk.logs[r.idx]
		rep := Replica{Broker: b.name, HighWatermark: l.checkpoint, Start: l.start, End: l.end}
		if b.run != nil {
			rep.Running = true
			if p := b.run.partition(r); p != nil {
				rep.HighWatermark = p.hw
			}
		}
		for _, batch := range l.batches {
			for _, rec := range batch.recs {
				if rec.Offset >= l.start {
					rep.Records = append(rep.Records, rec)
					rep.Epochs = append(rep.Epochs, batch.epoch)
				}
			}
		}
		out = append(out, rep)
	}
	return out
}

// Expire moves a partition's log start offset up to offset on all replicas, as retention does.
func (c *Cluster) Expire(topic string, partition int32, offset int64) {
	r := c.refs[refKey{topic, partition}]
	if r == nil {
		return
	}
	for _, b := range c.brokers {
		if r.idx < len(b.disk.logs) && b.disk.logs[r.idx] != nil {
			b.disk.logs[r.idx].expire(offset)
		}
	}
}
