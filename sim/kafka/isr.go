package kafka

import (
	"slices"
	"time"

	simnet "github.com/ratel-sim/ratel/sim/net"
)

// alterRetry is the pause before an ISR change is sent again.
const alterRetry = 50 * time.Millisecond

// shrinkISRs proposes to drop followers that have not been caught up for replica.lag.time.max.
func (b *server) shrinkISRs() {
	now := b.s.Now()
	for _, p := range b.hosted {
		if !p.isLeader || p.pending != nil {
			continue
		}
		isr := slices.DeleteFunc(slices.Clone(p.isr), func(id int32) bool {
			m := p.remote(id)
			return m != nil && m.end != p.log.end && now-m.caughtUpAt > b.cfg.ReplicaLagTimeMax
		})
		if len(isr) < len(p.isr) {
			p.proposeISR(isr)
		}
	}
}

// proposeISR asks the controller to change the ISR (AlterPartition, KIP-497). Until it has answered, the high watermark
// waits for the members of both.
func (p *partition) proposeISR(isr []int32) {
	p.pending = &pendingISR{isr: isr, epoch: p.leaderEpoch}
	p.markMembers()
	p.sendAlter(p.pending)
}

func (p *partition) sendAlter(change *pendingISR) {
	b := p.b
	if p.pending != change {
		return
	}
	again := func() { b.p.After(alterRetry, func() { p.sendAlter(change) }) }
	conn := b.controllerConn()
	if conn == nil {
		again()
		return
	}
	r := &alterPartitionRequest{broker: b.id, brokerEpoch: b.epoch, ref: p.ref, leaderEpoch: p.leaderEpoch, partEpoch: p.partEpoch, isr: change.isr}
	m := simnet.Message{Body: r, Size: headerBytes + perPartBytes + 4*len(r.isr), Sum: uint64(p.ref.idx)<<32 | uint64(uint32(r.partEpoch))}
	conn.call(m, func(body any, err error) {
		if p.pending != change {
			return
		}
		if err != nil {
			again()
			return
		}
		switch resp := body.(*alterPartitionResponse); resp.code {
		case codeNone:
			p.isr, p.partEpoch, p.pending = resp.isr, resp.partEpoch, nil
			p.markMembers()
			p.advanceHighWatermark()
		case codeIneligibleReplica: // someone of it is not alive: back to what is committed
			p.pending = nil
			p.markMembers()
			p.advanceHighWatermark()
		case codeFencedLeaderEpoch, codeInvalidUpdateVersion, codeUnknownTopicOrPartition:
			// The state has moved on; the controller's next order says to what. Until then both ISRs count.
		default:
			again()
		}
	})
}

// controllerConn is the connection to the controller as far as this broker knows it, or nil.
func (b *server) controllerConn() *rpcConn {
	id := b.meta.controller
	if id == noBroker {
		return nil
	}
	if b.toController == nil || b.toController.dead || b.toControllerID != id {
		if b.toController != nil {
			b.toController.close()
		}
		b.toController = dial(b.s, b.node, b.p, b.c.byID(id).name, b.cfg.SocketTimeout, b.cfg.SocketTimeout, nil)
		b.toControllerID = id
	}
	return b.toController
}
