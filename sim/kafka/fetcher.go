package kafka

import (
	"slices"
	"time"

	simnet "github.com/ratel-sim/ratel/sim/net"
)

// fetcher replicates from one leader: one connection and one fetch session for all partitions followed there.
type fetcher struct {
	b      *server
	leader int32
	parts  []*partition
	rpc    *rpcConn
	fresh  bool // the connection has no fetch session yet
	busy   bool // a request is out, or a pause runs
	// The request that is out. A fetch is used again once it has been answered: its connection carries one at a time,
	// so nobody looks at it any more.
	asked    *epochEndRequest
	req      *fetchRequest
	answered func(body any, err error)
}

// follow moves a partition to the fetcher of its new leader, or to none.
func (b *server) follow(p *partition, leader int32) {
	for _, f := range b.fetchers {
		if f != nil {
			if i := slices.Index(f.parts, p); i >= 0 {
				f.parts = slices.Delete(f.parts, i, i+1)
			}
		}
	}
	if leader == noBroker {
		return
	}
	f := b.fetchers[leader]
	if f == nil {
		f = &fetcher{b: b, leader: leader}
		f.answered = f.answer
		b.fetchers[leader] = f
	}
	f.parts = append(f.parts, p)
}

func (b *server) kickFetchers() {
	for _, f := range b.fetchers {
		if f != nil {
			f.next()
		}
	}
}

// next sends the next request: first ask where epochs ended, for replicas that may have to truncate, then fetch.
func (f *fetcher) next() {
	if f.busy || len(f.parts) == 0 {
		return
	}
	now := f.b.s.Now()
	var truncating, fetching int
	wake := time.Duration(-1)
	for _, p := range f.parts {
		switch {
		case p.notBefore > now:
			if wake < 0 || p.notBefore < wake {
				wake = p.notBefore
			}
		case p.truncating:
			truncating++
		default:
			fetching++
		}
	}
	switch {
	case truncating > 0:
		f.askEpochs(now, truncating)
	case fetching > 0:
		f.fetch(now)
	case wake >= 0:
		f.pause(wake - now)
	}
}

func (f *fetcher) pause(d time.Duration) {
	f.busy = true
	f.b.p.After(d, func() {
		f.busy = false
		f.next()
	})
}

// send makes a request over the connection, dialling if there is none.
func (f *fetcher) send(m simnet.Message) {
	b := f.b
	if f.rpc == nil || f.rpc.dead {
		f.rpc = dial(b.s, b.node, b.p, b.c.byID(f.leader).name, b.cfg.SocketTimeout, b.cfg.SocketTimeout, nil)
		f.fresh = true
	}
	f.busy = true
	f.rpc.call(m, f.answered)
}

// answer takes the answer to the request that was out. When there is none, everything pauses.
func (f *fetcher) answer(body any, err error) {
	f.busy = false
	if err != nil {
		f.req = nil // it may still be on its way
		f.pause(f.b.cfg.FetchBackoff)
		return
	}
	switch resp := body.(type) {
	case *epochEndResponse:
		for i := range resp.parts {
			f.truncate(&f.asked.parts[i], &resp.parts[i])
		}
	case *fetchResponse:
		f.store(f.req, resp)
		f.req.spent = resp
	}
	f.next()
}

func (f *fetcher) askEpochs(now time.Duration, n int) {
	r := &epochEndRequest{parts: make([]epochEndPart, 0, n)}
	for _, p := range f.parts {
		if p.notBefore > now || !p.truncating {
			continue
		}
		latest := p.log.latestEpoch()
		if latest == noEpoch { // an empty log has nothing to cut
			p.truncating = false
			continue
		}
		r.parts = append(r.parts, epochEndPart{p.ref, p.leaderEpoch, latest})
	}
	if len(r.parts) == 0 {
		f.next()
		return
	}
	f.asked = r
	f.send(simnet.Message{Body: r, Size: headerBytes + perPartBytes*len(r.parts), Sum: uint64(f.b.id)})
}

// truncate cuts the log to where it and the leader's agree (KIP-101, KIP-279).
func (f *fetcher) truncate(asked *epochEndPart, got *epochEnd) {
	p := f.b.partition(asked.ref)
	if p == nil || !slices.Contains(f.parts, p) || p.leaderEpoch != asked.currentEpoch || !p.truncating {
		return
	}
	if got.code != codeNone {
		p.notBefore = f.b.s.Now() + f.b.cfg.FetchBackoff
		return
	}
	offset, done := truncateTo(p.log, got.epoch, got.end, p.hw)
	p.cut(offset, "where the leader's epochs part from its own")
	p.truncating = !done
}

// truncateTo is where a follower's log must be cut, given the largest epoch that the leader knows up to the follower's
// latest and where that ends. If done is false the follower must ask again with its latest epoch after the cut.
func truncateTo(l *replicaLog, leaderEpoch int32, leaderEnd, hw int64) (offset int64, done bool) {
	if leaderEpoch == noEpoch { // the leader knows no such epoch: only what was committed is certain
		return hw, true
	}
	epoch, end := l.endOffsetFor(leaderEpoch)
	switch epoch {
	case noEpoch: // above all of ours: nothing of ours is newer
		return min(leaderEnd, l.end), true
	case leaderEpoch:
		return min(end, leaderEnd), true
	}
	return end, false // we do not have that epoch: drop what is newer
}

func (f *fetcher) fetch(now time.Duration) {
	b := f.b
	if f.rpc == nil || f.rpc.dead {
		f.fresh = true
	}
	if f.req == nil || f.fresh {
		f.req = &fetchRequest{replica: b.id, maxWait: b.cfg.FetchWaitMax, maxBytes: 10 << 20}
		f.req.parts = f.req.inline[:0]
	}
	r := f.req
	r.brokerEpoch, r.full, r.parts = b.epoch, f.fresh, r.parts[:0]
	sum := uint64(b.id)
	for _, p := range f.parts {
		if p.notBefore > now || p.truncating {
			continue
		}
		r.parts = append(r.parts, fetchPart{p.ref, p.log.end, p.leaderEpoch})
		sum = sum*31 + uint64(p.log.end)
	}
	// The fetch session sends only what changed: about one partition's position.
	f.send(simnet.Message{Body: r, Size: headerBytes + perPartBytes, Sum: sum})
	f.fresh = false
}

// store appends what was fetched.
func (f *fetcher) store(r *fetchRequest, resp *fetchResponse) {
	b, asked := f.b, 0
	for i := range resp.parts {
		got := &resp.parts[i]
		for r.parts[asked].ref != got.ref { // the response is in the order of the request
			asked++
		}
		q := &r.parts[asked]
		p := b.partition(got.ref)
		if p == nil || p.isLeader || p.leader != f.leader || p.leaderEpoch != q.epoch || p.log.end != q.offset || p.truncating {
			f.fresh = true // it has been told otherwise meanwhile, and forgoes what this says
			continue
		}
		switch got.code {
		case codeNone:
			for _, batch := range got.batches {
				p.log.add(batch)
			}
			p.hw = max(p.hw, min(got.hw, p.log.end))
		case codeOffsetOutOfRange:
			if p.log.end < got.start {
				p.log.restartAt(got.start)
				p.hw = got.start
			} else {
				p.cut(got.hw, "the leader's end")
			}
		default:
			p.notBefore = b.s.Now() + b.cfg.FetchBackoff
		}
	}
}
