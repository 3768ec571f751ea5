package kafka

import "github.com/ratel-sim/ratel/system/port"

// produceWait is one partition of a produce with acks=all that waits until the high watermark has reached need.
type produceWait struct {
	c    *srvConn
	gen  uint32
	i    int // index in the response
	need int64
}

func (c *srvConn) produce(r *produceRequest) {
	b := c.b
	resp := &produceResponse{}
	if len(r.parts) <= len(resp.inline) {
		resp.parts = resp.inline[:len(r.parts)]
	} else {
		resp.parts = make([]producedPart, len(r.parts))
	}
	failed := false
	for i := range r.parts {
		in := &r.parts[i]
		out := &resp.parts[i]
		out.ref, out.base = in.ref, noOffset
		p := b.partition(in.ref)
		switch {
		case p == nil && b.knows(in.ref), p != nil && !p.isLeader:
			out.code = codeNotLeaderOrFollower
		case p == nil:
			out.code = codeUnknownTopicOrPartition
		default:
			out.code, out.base = p.appendAsLeader(in, r.acks)
		}
		failed = failed || out.code != codeNone
	}
	// Only now wake who waits for data, so that a follower's one response carries all partitions of this request.
	for i := range resp.parts {
		if resp.parts[i].code == codeNone {
			p := b.partition(resp.parts[i].ref)
			p.advanceHighWatermark()
			p.wakeFollowers()
		}
	}
	switch r.acks {
	case port.AcksNone:
		if failed { // the only way to tell a client that wants no answer
			c.conn.Close()
			c.gone()
			return
		}
		c.done()
		return
	case port.AcksLeader:
		c.producing = resp
		c.respondProduce()
		return
	}
	c.producing, c.open = resp, 0
	for i := range resp.parts {
		out := &resp.parts[i]
		if out.code != codeNone {
			continue
		}
		p := b.partition(out.ref)
		if need := out.base + int64(len(r.parts[i].recs)); p.hw < need {
			out.code = codeRequestTimedOut // unless the replicas make it
			c.open++
			p.produceWaits = append(p.produceWaits, produceWait{c, c.gen, i, need})
		} else {
			out.code = p.durable()
		}
	}
	if c.open == 0 {
		c.respondProduce()
		return
	}
	now := b.s.Now()
	c.timer.set(now, now+r.timeout)
}

func (c *srvConn) respondProduce() {
	r := c.producing
	sum := uint64(0)
	for i := range r.parts {
		sum = sum*31 + uint64(r.parts[i].base)<<4 + uint64(r.parts[i].code)
	}
	c.respond(r, perPartBytes*len(r.parts), sum)
}

// settle gives a waiting partition its result.
func (w *produceWait) settle(result code) {
	if w.c.gen != w.gen || w.c.producing == nil {
		return
	}
	w.c.producing.parts[w.i].code = result
	if w.c.open--; w.c.open == 0 {
		w.c.respondProduce()
	}
}

// appendAsLeader writes a batch to the leader's log. An error means that nothing was written. A batch that the log has
// already is answered with where it is.
func (p *partition) appendAsLeader(in *producePart, acks port.Acks) (code, int64) {
	if acks == port.AcksAll && len(p.isr) < p.minISR {
		return codeNotEnoughReplicas, noOffset
	}
	if in.bytes > p.b.cfg.MaxMessageBytes {
		return codeMessageTooLarge, noOffset
	}
	if old, c := p.log.producers.admit(in.seq, len(in.recs)); c != codeNone || old != noOffset {
		return c, old
	}
	return codeNone, p.log.append(in.recs, in.bytes, in.sum, p.leaderEpoch, in.seq).base
}

// durable says whether a write that the high watermark has passed is on enough replicas.
func (p *partition) durable() code {
	if p.maximalISRSize() < p.minISR {
		return codeNotEnoughReplicasAfterAppend
	}
	return codeNone
}

// settleProduces answers the produces that the high watermark has reached.
func (p *partition) settleProduces() {
	n := 0
	for n < len(p.produceWaits) && p.produceWaits[n].need <= p.hw {
		p.produceWaits[n].settle(p.durable())
		n++
	}
	p.dropProduces(n)
}

// failProduces answers all waiting produces with an error: the replica leads no more.
func (p *partition) failProduces(why code) {
	for i := range p.produceWaits {
		p.produceWaits[i].settle(why)
	}
	p.dropProduces(len(p.produceWaits))
}

func (p *partition) dropProduces(n int) {
	if n == 0 {
		return
	}
	k := copy(p.produceWaits, p.produceWaits[n:])
	clear(p.produceWaits[k:])
	p.produceWaits = p.produceWaits[:k]
}

// knows says whether the broker's metadata has the partition.
func (b *server) knows(ref *tpRef) bool {
	return ref.idx < len(b.meta.parts) && b.meta.parts[ref.idx] != nil
}
