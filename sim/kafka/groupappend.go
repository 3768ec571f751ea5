package kafka

import (
	"time"

	"github.com/ratel-sim/ratel/sim/sched"
	"github.com/ratel-sim/ratel/system/port"
)

// localWait is an append of the broker itself that waits until the high watermark has reached need.
type localWait struct {
	need  int64
	done  func(code)
	timer sched.Timer
}

// appendLocally appends records as this broker's own produce with acks=all and calls done with what became of it, never
// before it returns. An error after the append leaves the records in the log: they may be committed later.
func (p *partition) appendLocally(recs []port.Record, timeout time.Duration, done func(code)) {
	b := p.b
	later := func(result code) { b.p.After(0, func() { done(result) }) }
	if !p.isLeader {
		later(codeNotLeaderOrFollower)
		return
	}
	in := producePart{ref: p.ref, recs: recs, bytes: batchHeaderBytes}
	for i := range recs {
		in.bytes += sizeOfRecord(&recs[i])
		in.sum = groupSum(in.sum, recs[i].Key, recs[i].Value)
	}
	result, base := p.appendAsLeader(&in, port.AcksAll)
	if result != codeNone {
		later(result)
		return
	}
	p.advanceHighWatermark()
	p.wakeFollowers()
	w := &localWait{need: base + int64(len(recs)), done: done}
	if p.hw >= w.need {
		later(p.durable())
		return
	}
	p.localWaits = append(p.localWaits, w)
	w.timer = b.p.After(timeout, func() { w.settle(p, codeRequestTimedOut) })
}

// settle ends the wait. What follows from it is another step: it may append, which must not happen within a fetch that
// has been read but does not wait yet.
func (w *localWait) settle(p *partition, result code) {
	if done := w.done; done != nil {
		w.done = nil
		w.timer.Stop()
		p.b.p.After(0, func() { done(result) })
	}
}

// settleLocal ends the waits that the high watermark has reached.
func (p *partition) settleLocal() {
	n := 0
	for n < len(p.localWaits) && (p.localWaits[n].done == nil || p.localWaits[n].need <= p.hw) {
		p.localWaits[n].settle(p, p.durable())
		n++
	}
	p.localWaits = p.localWaits[n:]
}

// failLocal ends all waits: the replica leads no more.
func (p *partition) failLocal(why code) {
	for _, w := range p.localWaits {
		w.settle(p, why)
	}
	p.localWaits = nil
}
