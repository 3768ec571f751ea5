package kafka

import (
	"fmt"
	"slices"
	"time"

	"github.com/ratel-sim/ratel/system/port"
)

// partition is one replica of a topic partition in a broker's process.
type partition struct {
	ref *tpRef
	b   *server
	log *replicaLog
	hw  int64 // high watermark

	// As ordered by the controller.
	leader      int32
	leaderEpoch int32
	partEpoch   int32 // partition epoch: the version of its state in ZooKeeper
	replicas    []int32
	isr         []int32 // committed
	minISR      int
	isLeader    bool

	// While leading.
	epochStart    int64 // where this leader's epoch begins
	remotes       []remote
	pending       *pendingISR
	followerWaits []fetchWait
	consumerWaits []fetchWait
	produceWaits  []produceWait
	localWaits    []*localWait // of the group coordinator

	// While following.
	truncating bool // the log may have to be cut before anything is fetched
	notBefore  time.Duration
}

// remote is what a leader knows of a follower.
type remote struct {
	id            int32
	end           int64         // its log end offset, noOffset if it has not fetched under this leader
	caughtUpAt    time.Duration // when it last had everything; < 0 is never
	lastFetchAt   time.Duration
	lastFetchEnd  int64 // the leader's end at its last fetch
	inISR, joinup bool  // in the committed ISR; in the maximal ISR (committed or proposed)
}

// pendingISR is a change of the ISR that the controller has not confirmed.
type pendingISR struct {
	isr   []int32
	epoch int32 // leader epoch under which it was proposed
}

func (p *partition) remote(id int32) *remote {
	for i := range p.remotes {
		if p.remotes[i].id == id {
			return &p.remotes[i]
		}
	}
	return nil
}

// becomeLeaderOrFollower obeys the controller (LeaderAndIsr).
func (b *server) becomeLeaderOrFollower(r *leaderAndISRRequest) code {
	if r.controllerEpoch < b.controllerEpoch {
		return codeStaleControllerEpoch
	}
	if r.brokerEpoch < b.epoch {
		return codeStaleBrokerEpoch // meant for an earlier incarnation
	}
	b.controllerEpoch = r.controllerEpoch
	b.meta.controller = r.controller
	for i := range r.parts {
		st := &r.parts[i]
		p := b.host(st.ref)
		if st.leaderEpoch < p.leaderEpoch || st.leaderEpoch == p.leaderEpoch && st.partEpoch <= p.partEpoch {
			continue // already known
		}
		wasLeader := p.isLeader
		if st.leader == b.id {
			p.makeLeader(st)
		} else {
			p.makeFollower(st)
		}
		if st.ref.topic == offsetsTopic && p.isLeader != wasLeader {
			b.coordinate(p)
		}
	}
	b.kickFetchers()
	return codeNone
}

func (p *partition) makeLeader(st *leaderAndISR) {
	now := p.b.s.Now()
	newEpoch, wasLeader := st.leaderEpoch > p.leaderEpoch, p.isLeader
	p.adopt(st)
	p.pending = nil
	if newEpoch {
		p.epochStart = p.log.end
		p.log.noteEpoch(st.leaderEpoch, p.log.end)
		old := p.remotes
		p.remotes = make([]remote, 0, len(st.replicas))
		for _, id := range st.replicas {
			if id == p.b.id {
				continue
			}
			m := remote{id: id, end: noOffset, caughtUpAt: -1, lastFetchEnd: noOffset}
			if i := slices.IndexFunc(old, func(o remote) bool { return o.id == id }); i >= 0 && wasLeader {
				m = old[i]
				m.caughtUpAt = -1
			}
			if slices.Contains(st.isr, id) {
				m.caughtUpAt = now
			}
			p.remotes = append(p.remotes, m)
		}
	}
	p.isLeader = true
	p.markMembers()
	p.advanceHighWatermark()
}

func (p *partition) makeFollower(st *leaderAndISR) {
	newEpoch := st.leaderEpoch > p.leaderEpoch
	p.adopt(st)
	p.isLeader = false
	p.pending, p.remotes = nil, nil
	p.failProduces(codeNotLeaderOrFollower)
	p.failLocal(codeNotLeaderOrFollower)
	// Whoever waits for data learns that this is no longer the place.
	p.wakeFollowers()
	p.wakeConsumers()
	if !newEpoch {
		return
	}
	p.notBefore = 0
	p.truncating = true
	if p.b.cfg.Bugs.TruncateToHighWatermark && st.leader != noBroker {
		p.cut(p.hw, "its high watermark")
		p.truncating = false
	}
}

func (p *partition) adopt(st *leaderAndISR) {
	from := p.leader
	p.leader, p.leaderEpoch, p.partEpoch = st.leader, st.leaderEpoch, st.partEpoch
	p.isr, p.replicas, p.minISR = st.isr, st.replicas, min(max(st.minISR, 1), len(st.replicas))
	follows := st.leader
	if st.leader == p.b.id {
		follows = noBroker
	}
	if from != follows || follows == noBroker {
		p.b.follow(p, follows)
	}
}

// cut truncates a follower's log.
func (p *partition) cut(offset int64, why string) {
	end := p.log.end
	p.log.truncate(offset)
	p.hw = min(p.hw, p.log.end)
	if p.log.end < end && p.ref.topic != offsetsTopic {
		p.b.c.announce(port.Event{Kind: port.EventLogTruncated, Node: p.b.name, Topic: p.ref.topic, Part: p.ref.part,
			Detail: fmt.Sprintf("from %d to %d (%s), leader epoch %d", end, p.log.end, why, p.leaderEpoch)})
	}
}

// markMembers notes in each remote whether it belongs to the committed and to the maximal ISR.
func (p *partition) markMembers() {
	for i := range p.remotes {
		m := &p.remotes[i]
		m.inISR = slices.Contains(p.isr, m.id)
		m.joinup = m.inISR || p.pending != nil && slices.Contains(p.pending.isr, m.id)
	}
}

// maximalISRSize counts the committed ISR and those proposed for it (KIP-497): what a write is waited for on.
func (p *partition) maximalISRSize() int {
	n := 1
	for i := range p.remotes {
		if p.remotes[i].joinup {
			n++
		}
	}
	return n
}

// advanceHighWatermark moves the leader's high watermark to the smallest end of the maximal ISR and of followers that
// are about to join it, and answers who waited for that. Under min.insync.replicas it stays (KAFKA-15583).
func (p *partition) advanceHighWatermark() {
	if !p.isLeader || len(p.isr) < p.minISR {
		return
	}
	to := p.log.end
	var now time.Duration
	if len(p.remotes) >= len(p.isr) {
		now = p.b.s.Now()
	}
	for i := range p.remotes {
		m := &p.remotes[i]
		if m.end < to && (m.joinup || m.caughtUpAt >= 0 && now-m.caughtUpAt <= p.b.cfg.ReplicaLagTimeMax) {
			to = m.end
		}
	}
	if to <= p.hw {
		return
	}
	p.hw = to
	if len(p.produceWaits) > 0 {
		p.settleProduces()
	}
	if len(p.localWaits) > 0 {
		p.settleLocal()
	}
	if len(p.consumerWaits) > 0 {
		p.wakeConsumers()
	}
}

// followerFetched notes what a follower's fetch says: it has everything below offset.
func (p *partition) followerFetched(id int32, offset int64) {
	m := p.remote(id)
	if m == nil || offset > p.log.end {
		return
	}
	now := p.b.s.Now()
	switch {
	case offset >= p.log.end:
		m.caughtUpAt = max(m.caughtUpAt, now)
	case m.lastFetchEnd != noOffset && offset >= m.lastFetchEnd:
		m.caughtUpAt = max(m.caughtUpAt, m.lastFetchAt)
	}
	moved := offset != m.end
	m.end, m.lastFetchEnd, m.lastFetchAt = offset, p.log.end, now
	if !m.joinup && p.pending == nil && offset >= p.hw && offset >= p.epochStart {
		isr := append(slices.Clone(p.isr), id)
		slices.Sort(isr)
		p.proposeISR(isr)
	}
	if moved {
		p.advanceHighWatermark()
	}
}

// updateMetadata takes over the controller's view of the cluster.
func (b *server) updateMetadata(r *updateMetadataRequest) code {
	if r.controllerEpoch < b.controllerEpoch {
		return codeStaleControllerEpoch
	}
	if r.brokerEpoch < b.epoch {
		return codeStaleBrokerEpoch
	}
	b.controllerEpoch = r.controllerEpoch
	b.meta.controller = r.controller
	b.meta.brokers = r.brokers
	for i := range r.parts {
		b.meta.set(&r.parts[i])
	}
	return codeNone
}

// stopReplicas stops following (a controlled shutdown's second half).
func (b *server) stopReplicas(r *stopReplicaRequest) code {
	if r.controllerEpoch < b.controllerEpoch {
		return codeStaleControllerEpoch
	}
	if r.brokerEpoch < b.epoch {
		return codeStaleBrokerEpoch
	}
	for i, ref := range r.parts {
		if p := b.partition(ref); p != nil && !p.isLeader && p.leaderEpoch <= r.leaderEpochs[i] {
			b.follow(p, noBroker)
			p.leader = noBroker
		}
	}
	return codeNone
}
