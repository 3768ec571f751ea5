package kafka

import (
	"context"
	"errors"
	"slices"
	"time"
)

// channelBackoff is the controller's pause before it repeats a request to a broker.
const channelBackoff = 100 * time.Millisecond

// imbalancePercent is leader.imbalance.per.broker.percentage.
const imbalancePercent = 10

// brokersChanged compares who is registered with who was.
func (k *controller) brokersChanged(ctx context.Context) error {
	now, err := k.readBrokers(ctx)
	if err != nil {
		return err
	}
	var failed, came []int32
	for id := range now {
		old := k.brokers[id].epoch
		if old == now[id] {
			continue
		}
		if old != 0 { // gone, or came back as another incarnation: that is both
			failed = append(failed, int32(id))
		}
		if now[id] != 0 {
			came = append(came, int32(id))
		}
	}
	for _, id := range failed {
		k.brokers[id] = brokerState{}
		k.open(id)
	}
	if len(failed) > 0 {
		if err := k.brokersFailed(ctx, failed); err != nil {
			return err
		}
	}
	if len(came) == 0 {
		return nil
	}
	for _, id := range came {
		k.brokers[id] = brokerState{epoch: now[id]}
		k.open(id)
	}
	return k.brokersCame(ctx, came)
}

// brokersFailed elects new leaders where the leader is gone and takes the dead out of the ISRs.
func (k *controller) brokersFailed(ctx context.Context, dead []int32) error {
	ch := k.newChange()
	for _, ps := range k.parts {
		st := ps.st
		switch {
		case st.leader == noBroker || slices.Contains(dead, st.leader):
			if err := k.electOffline(ctx, ps, ch); err != nil {
				return err
			}
		case slices.ContainsFunc(dead, func(id int32) bool { return slices.Contains(st.isr, id) }):
			if err := k.update(ctx, ps, ch, st.leader, without(st.isr, dead)); err != nil {
				return err
			}
		}
	}
	return k.flush(ch)
}

// electOffline elects a leader for a partition that has none: the first live replica in the ISR, or if the topic allows
// unclean election, the first live one at all. Without either the partition stays without leader, and its ISR as it was
// but for members known to be dead; the last member always stays.
func (k *controller) electOffline(ctx context.Context, ps *partState, ch *change) error {
	st := ps.st
	if st.leaderEpoch < 0 { // its topic was being created when the last controller died
		return k.initialise(ctx, ps.ref.topic)
	}
	var isr []int32
	for _, id := range st.isr {
		if k.live(id) {
			isr = append(isr, id)
		}
	}
	leader := noBroker
	for _, id := range st.replicas {
		if slices.Contains(isr, id) {
			leader = id
			break
		}
	}
	if leader == noBroker && ps.unclean {
		for _, id := range st.replicas {
			if k.live(id) {
				leader, isr = id, []int32{id}
				break
			}
		}
	}
	if leader == noBroker {
		isr = slices.Clone(st.isr)
		for _, id := range st.replicas {
			if i := slices.Index(isr, id); i >= 0 && len(isr) > 1 && !k.live(id) {
				isr = slices.Delete(isr, i, i+1)
			}
		}
		if st.leader == noBroker && slices.Equal(isr, st.isr) {
			return nil
		}
	}
	return k.update(ctx, ps, ch, leader, isr)
}

// update writes a new leader or ISR under the next leader epoch. If the state was changed by an earlier controller's
// last write, nothing happens: the next event looks again.
func (k *controller) update(ctx context.Context, ps *partState, ch *change, leader int32, isr []int32) error {
	err := k.write(ctx, ps, leader, ps.st.leaderEpoch+1, isr)
	if errors.Is(err, errMoved) {
		k.do(k.brokersChanged)
		err = nil
	}
	if err == nil {
		ch.add(ps, ps.st.replicas...)
	}
	return err
}

// brokersCame tells new brokers everything, and elects leaders that only they can be.
func (k *controller) brokersCame(ctx context.Context, came []int32) error {
	ch := k.newChange()
	for _, ps := range k.parts {
		if ps.st.leader == noBroker {
			before := ps.st
			if err := k.electOffline(ctx, ps, ch); err != nil {
				return err
			}
			if ps.st != before {
				continue
			}
		}
		var to []int32
		for _, id := range came {
			if slices.Contains(ps.st.replicas, id) {
				to = append(to, id)
			}
		}
		ch.add(ps, to...)
	}
	return k.flush(ch)
}

// alterPartition decides on a leader's proposal for its ISR.
func (k *controller) alterPartition(r *alterPartitionRequest, answer func(any, int)) {
	k.do(func(ctx context.Context) error {
		resp, err := k.alter(ctx, r)
		if err == nil {
			answer(resp, perPartBytes)
		}
		return err
	})
}

func (k *controller) alter(ctx context.Context, r *alterPartitionRequest) (*alterPartitionResponse, error) {
	refuse := func(why code) (*alterPartitionResponse, error) { return &alterPartitionResponse{code: why}, nil }
	ps := k.byIdx[r.ref.idx]
	switch {
	case k.brokers[r.broker].epoch != r.brokerEpoch:
		return refuse(codeStaleBrokerEpoch)
	case ps == nil:
		return refuse(codeUnknownTopicOrPartition)
	case ps.st.leader != r.broker || ps.st.leaderEpoch != r.leaderEpoch:
		return refuse(codeFencedLeaderEpoch)
	case ps.st.partEpoch != r.partEpoch && slices.Equal(ps.st.isr, r.isr): // the answer to the first attempt was lost
		return &alterPartitionResponse{partEpoch: ps.st.partEpoch, isr: ps.st.isr}, nil
	case ps.st.partEpoch != r.partEpoch:
		return refuse(codeInvalidUpdateVersion)
	}
	for _, id := range r.isr {
		if !k.live(id) || k.brokers[id].shutting {
			return refuse(codeIneligibleReplica)
		}
	}
	err := k.write(ctx, ps, ps.st.leader, ps.st.leaderEpoch, r.isr)
	if errors.Is(err, errMoved) {
		return refuse(codeInvalidUpdateVersion)
	}
	if err != nil {
		return nil, err
	}
	ch := k.newChange()
	ch.add(ps)
	return &alterPartitionResponse{partEpoch: ps.st.partEpoch, isr: ps.st.isr}, k.flush(ch)
}

// controlledShutdown moves leaders off a broker that wants to stop, then takes it out of the ISRs.
func (k *controller) controlledShutdown(r *controlledShutdownRequest, answer func(any, int)) {
	k.do(func(ctx context.Context) error {
		if k.brokers[r.broker].epoch != r.brokerEpoch {
			answer(&controlledShutdownResponse{code: codeStaleBrokerEpoch}, 8)
			return nil
		}
		k.brokers[r.broker].shutting = true
		ch := k.newChange()
		var stop stopReplicaRequest
		remaining := 0
		for _, ps := range k.parts {
			st := ps.st
			if !slices.Contains(st.replicas, r.broker) || len(st.replicas) == 1 {
				continue
			}
			if st.leader == r.broker {
				to := k.firstInSync(st)
				if to == noBroker {
					remaining++
					continue
				}
				isr := slices.DeleteFunc(slices.Clone(st.isr), func(id int32) bool { return k.brokers[id].shutting })
				if err := k.update(ctx, ps, ch, to, isr); err != nil {
					return err
				}
			} else if slices.Contains(st.isr, r.broker) && len(st.isr) > 1 {
				if err := k.update(ctx, ps, ch, st.leader, without(st.isr, []int32{r.broker})); err != nil {
					return err
				}
			}
			stop.parts = append(stop.parts, ps.ref)
			stop.leaderEpochs = append(stop.leaderEpochs, ps.st.leaderEpoch)
		}
		if err := k.flush(ch); err != nil {
			return err
		}
		stop.controllerEpoch, stop.brokerEpoch = k.epoch, r.brokerEpoch
		k.send(r.broker, &stop, len(stop.parts))
		answer(&controlledShutdownResponse{remaining: remaining}, 8)
		return nil
	})
}

// firstInSync is the first live replica in the ISR that does not shut down.
func (k *controller) firstInSync(st *leaderAndISR) int32 {
	for _, id := range st.replicas {
		if slices.Contains(st.isr, id) && k.live(id) && !k.brokers[id].shutting {
			return id
		}
	}
	return noBroker
}

// scheduleRebalance has preferred leaders elected now and then.
func (k *controller) scheduleRebalance() {
	every := k.b.cfg.ImbalanceInterval
	if every < 0 {
		return
	}
	k.b.p.After(every, func() {
		if !k.resigned {
			k.do(k.electPreferred)
			k.scheduleRebalance()
		}
	})
}

// electPreferred gives leadership back to the preferred replicas (the first of each assignment) of brokers that lead too
// few of theirs.
func (k *controller) electPreferred(ctx context.Context) error {
	preferred := make([]int, len(k.brokers))
	led := make([]int, len(k.brokers))
	for _, ps := range k.parts {
		preferred[ps.st.replicas[0]]++
		if ps.st.leader == ps.st.replicas[0] {
			led[ps.st.replicas[0]]++
		}
	}
	ch := k.newChange()
	for _, ps := range k.parts {
		id := ps.st.replicas[0]
		if ps.st.leader == id || ps.st.leader == noBroker || (preferred[id]-led[id])*100 <= imbalancePercent*preferred[id] {
			continue
		}
		if k.live(id) && !k.brokers[id].shutting && slices.Contains(ps.st.isr, id) {
			if err := k.update(ctx, ps, ch, id, ps.st.isr); err != nil {
				return err
			}
		}
	}
	if len(ch.news) == 0 {
		return nil
	}
	return k.flush(ch)
}

func without(isr, dead []int32) []int32 {
	return slices.DeleteFunc(slices.Clone(isr), func(id int32) bool { return slices.Contains(dead, id) })
}
