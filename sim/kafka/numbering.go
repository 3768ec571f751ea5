package kafka

import (
	"errors"
	"math"
	"slices"

	simnet "github.com/ratel-sim/ratel/sim/net"
)

// openRequests is how many requests a leader may owe an answer.
func (p *producer) openRequests() int {
	if p.cfg.Idempotent {
		return 1
	}
	return maxOpenRequests
}

// number gives a partition's batch its sequence number when it is first sent. It keeps it however often it is sent.
func (p *producer) number(pp *producePartition) {
	s := pp.batch
	if !p.cfg.Idempotent || s.seq.producer != 0 {
		return
	}
	s.seq = sequence{p.id, p.epoch, pp.next}
	pp.next = after(pp.next, len(s.recs))
}

// bump begins anew under the next epoch, for the broker may never see a batch that was given up, and takes none behind the
// gap. Brokers drop what is still on its way under the epoch before once they have seen this one.
func (p *producer) bump() {
	if p.epoch == math.MaxInt16 {
		p.id, p.epoch = 0, 0
	} else {
		p.epoch++
	}
	for _, pp := range p.all {
		pp.next = 0
	}
}

// identify asks one broker after another for a producer ID.
func (p *producer) identify() {
	if !p.identifying {
		p.identifying = true
		p.askID(p.k.order())
	}
}

func (p *producer) askID(order []int32) {
	if p.k.closed {
		return
	}
	if len(order) == 0 {
		p.unidentified()
		return
	}
	p.k.conn(order[0]).call(simnet.Message{Body: &initProducerIDRequest{}, Size: headerBytes}, func(body any, err error) {
		if err != nil {
			p.askID(order[1:])
			return
		}
		p.id, p.identifying, p.refusals = body.(*initProducerIDResponse).producer, false, 0
		for _, bp := range p.brokers {
			if bp != nil && bp.due {
				p.flush(bp)
			}
		}
	})
}

// unidentified tries again, or gives up what waits: it was never sent.
func (p *producer) unidentified() {
	if p.refusals++; p.refusals <= p.cfg.RetryMax {
		p.k.p.After(p.cfg.RetryBackoff, func() { p.askID(p.k.order()) })
		return
	}
	p.identifying, p.refusals = false, 0
	for _, bp := range p.brokers {
		if bp == nil {
			continue
		}
		ready := bp.ready
		bp.ready, bp.bytes, bp.due = nil, 0, false
		bp.linger.clear()
		for _, pp := range ready {
			if pp.queued = nil; pp.batch == nil {
				p.cut(pp)
			}
			p.giveUp(pp, errors.New("no broker gave the producer an ID"))
		}
	}
}

// alone takes a partition's batch out of the partition's queue, which goes on without waiting for it: more than one batch
// is on its way at once, and each is sent again by itself.
func (p *producer) alone(pp *producePartition) *producePartition {
	one := &producePartition{ref: pp.ref, batch: pp.batch, of: pp}
	pp.batch = nil
	p.strays = append(p.strays, one)
	return one
}

// joined forgets a batch that was alone and has ended, and returns the partition's queue.
func (p *producer) joined(one *producePartition) *producePartition {
	if one.of == nil {
		return one
	}
	if i := slices.Index(p.strays, one); i >= 0 {
		p.strays = slices.Delete(p.strays, i, i+1)
	}
	return one.of
}
