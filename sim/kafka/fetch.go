package kafka

// fetchWait is a fetch that waits for data of a partition (among others).
type fetchWait struct {
	c   *srvConn
	gen uint32
}

func (w fetchWait) live() bool { return w.c.gen == w.gen && w.c.fetching != nil }

func (c *srvConn) fetch(r *fetchRequest) {
	b := c.b
	// The response is read first: a follower that advances the high watermark by this fetch learns so from the next.
	resp, ready := c.read(r)
	if r.replica != noBroker {
		for i := range r.parts {
			f := &r.parts[i]
			if p := b.partition(f.ref); p != nil && p.isLeader && f.epoch == p.leaderEpoch {
				p.followerFetched(r.replica, f.offset)
			}
		}
	}
	if ready || r.maxWait <= 0 {
		c.answerFetch(resp)
		return
	}
	c.fetching = r
	for i := range r.parts {
		if p := b.partition(r.parts[i].ref); p != nil {
			if r.replica != noBroker {
				p.followerWaits = addWait(p.followerWaits, fetchWait{c, c.gen})
			} else {
				p.consumerWaits = addWait(p.consumerWaits, fetchWait{c, c.gen})
			}
		}
	}
	now := b.s.Now()
	c.timer.set(now, now+r.maxWait)
}

// addWait appends w, first dropping waits that are over: a partition that gets no data would collect them.
func addWait(ws []fetchWait, w fetchWait) []fetchWait {
	if len(ws) >= 4 {
		k := 0
		for _, old := range ws {
			if old.live() {
				ws[k] = old
				k++
			}
		}
		clear(ws[k:])
		ws = ws[:k]
	}
	return append(ws, w)
}

// read collects what a fetch gets now, into a response that is used again if it is not sent. ready says whether that is worth answering before the wait ends: any record
// (fetch.min.bytes is 1) or any error.
func (c *srvConn) read(r *fetchRequest) (resp *fetchResponse, ready bool) {
	b := c.b
	if resp = c.unsent; resp == nil {
		if resp, r.spent = r.spent, nil; resp == nil {
			resp = &fetchResponse{}
			resp.parts = resp.inline[:0]
		}
		c.unsent = resp
	}
	resp.parts = resp.parts[:0]
	left := r.maxBytes
	for i := range r.parts {
		f := &r.parts[i]
		out := fetchedPart{ref: f.ref}
		p := b.partition(f.ref)
		if p == nil {
			out.code = codeUnknownTopicOrPartition
			if b.knows(f.ref) {
				out.code = codeNotLeaderOrFollower
			}
		} else {
			p.readFor(f, r.replica, &left, &out)
		}
		switch {
		case out.code != codeNone || len(out.batches) > 0:
			ready = true
		case r.replica != noBroker && !r.full && c.told(f.ref) == out.hw:
			continue // nothing new: the fetch session leaves it out
		}
		resp.parts = append(resp.parts, out)
	}
	return resp, ready
}

// readFor fills in one partition of a fetch response.
func (p *partition) readFor(f *fetchPart, replica int32, left *int, out *fetchedPart) {
	out.hw, out.start = p.hw, p.log.start
	if out.code = p.checkEpoch(f.epoch); out.code != codeNone {
		return
	}
	if f.offset < p.log.start || f.offset > p.log.end {
		out.code, out.hw = codeOffsetOutOfRange, p.log.end
		if replica == noBroker {
			out.hw = p.hw
		}
		return
	}
	to := p.hw
	limit := *left
	if replica != noBroker {
		to, limit = p.log.end, p.b.cfg.FetchMaxBytes
		if p.remote(replica) == nil {
			out.code = codeUnknownLeaderEpoch // not a replica of this partition
			return
		}
	}
	if limit <= 0 {
		return
	}
	out.batches = p.log.read(f.offset, to, limit)
	for _, b := range out.batches {
		*left -= b.bytes
	}
}

// checkEpoch fences requests of another leader epoch (KIP-320).
func (p *partition) checkEpoch(epoch int32) code {
	switch {
	case epoch != noEpoch && epoch < p.leaderEpoch:
		return codeFencedLeaderEpoch
	case epoch > p.leaderEpoch:
		return codeUnknownLeaderEpoch
	case !p.isLeader:
		return codeNotLeaderOrFollower
	}
	return codeNone
}

// answerFetch sends a fetch response.
func (c *srvConn) answerFetch(resp *fetchResponse) {
	r := c.cur.Body.(*fetchRequest)
	size, sum := 0, uint64(r.replica)
	for i := range resp.parts {
		out := &resp.parts[i]
		size += perPartBytes
		sum = sum*31 + uint64(out.hw)<<4 + uint64(out.code)
		for _, b := range out.batches {
			size += b.bytes
			sum = (sum+uint64(b.base))*31 + b.sum
		}
	}
	if r.replica != noBroker {
		c.tell(resp)
	}
	c.unsent = nil
	c.respond(resp, size, sum)
}

// told is the high watermark that the fetch session on this connection was last told.
func (c *srvConn) told(ref *tpRef) int64 {
	if ref.idx < len(c.session) {
		return c.session[ref.idx]
	}
	return noOffset
}

func (c *srvConn) tell(resp *fetchResponse) {
	for i := range resp.parts {
		idx := resp.parts[i].ref.idx
		for len(c.session) <= idx {
			c.session = append(c.session, noOffset)
		}
		if resp.parts[i].code == codeNone {
			c.session[idx] = resp.parts[i].hw
		} else { // a follower does not look at what comes with an error
			c.session[idx] = noOffset
		}
	}
}

// wakeFollowers answers the followers' fetches that wait for this partition's records.
func (p *partition) wakeFollowers() { p.followerWaits = p.wake(p.followerWaits) }

// wakeConsumers answers the consumers' fetches that the high watermark has reached.
func (p *partition) wakeConsumers() { p.consumerWaits = p.wake(p.consumerWaits) }

func (p *partition) wake(ws []fetchWait) []fetchWait {
	k := 0
	for _, w := range ws {
		if !w.live() {
			continue
		}
		if resp, ready := w.c.read(w.c.fetching); ready {
			w.c.answerFetch(resp)
			continue
		}
		ws[k] = w
		k++
	}
	clear(ws[k:])
	return ws[:k]
}

// epochEnds answers a follower that asks where an epoch ended (OffsetsForLeaderEpoch).
func (b *server) epochEnds(c *srvConn, r *epochEndRequest) {
	resp := &epochEndResponse{parts: make([]epochEnd, len(r.parts))}
	sum := uint64(0)
	for i, q := range r.parts {
		out := &resp.parts[i]
		out.ref, out.epoch, out.end = q.ref, noEpoch, noOffset
		if p := b.partition(q.ref); p == nil {
			out.code = codeUnknownTopicOrPartition
		} else if out.code = p.checkEpoch(q.currentEpoch); out.code == codeNone {
			out.epoch, out.end = p.log.endOffsetFor(q.askedEpoch)
		}
		sum = sum*31 + uint64(out.end)<<4 + uint64(out.code)
	}
	c.respond(resp, perPartBytes*len(r.parts), sum)
}

// listOffsets answers with the log start offset or the high watermark.
func (b *server) listOffsets(c *srvConn, r *listOffsetsRequest) {
	resp := &listOffsetsResponse{offset: noOffset}
	p := b.partition(r.ref)
	switch {
	case p == nil && b.knows(r.ref):
		resp.code = codeNotLeaderOrFollower
	case p == nil:
		resp.code = codeUnknownTopicOrPartition
	default:
		if resp.code = p.checkEpoch(r.epoch); resp.code != codeNone {
			break
		}
		switch {
		case r.earliest:
			resp.offset = p.log.start
		case p.hw < p.epochStart: // a new leader does not yet know how far consumers may read (KIP-207)
			resp.code = codeOffsetNotAvailable
		default:
			resp.offset = p.hw
		}
	}
	c.respond(resp, 16, uint64(resp.offset)<<4+uint64(resp.code))
}
